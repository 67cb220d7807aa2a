"""Check what was downloaded before hours are spent on it: archives, tables, label counts, unreadable films, lung masks.

Reads   the data sets that SETTINGS.json names; every film of them, or --sample of each
Writes  DATA_DIR/check/: problems.csv; flags.csv: films that deserve a look, and why; for each set a sheet of 16 films,
        such as nih.png, and one of flagged films, such as nih_flagged.png; lungs_doubtful.png, the 16 oddest masks
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line  # first: from here on Ctrl-C is one line

# isort: split
import pandas as pd

from cxr.core import executors, locks
from cxr.core.artifacts import refuse_problems, write_problems
from cxr.core.errors import InputError, counted
from cxr.core.progress import progress
from cxr.imaging import chest_films
from cxr.preparation import film_flags
from cxr.report import film_pictures
from cxr.tables import download_check, lung_films


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("--sample", type=command_line.count, default=0, help="films read of each set; 0 = all")
    arguments = parser.parse_args(argv)
    settings, params = command_line.load(arguments)
    folder = settings.data_dir / "check"
    if listed := chest_films.listed():
        files = counted(len(listed), "file")
        print(f"taken as chest films, whatever their header says: {files} of {settings.chest_films}")
    locks.hold(folder)
    problems, absent, flags = [], [], []
    for check in download_check.checks(settings, params):
        try:
            checked = check()
        except InputError as error:  # one set that is not there is no reason not to look at the others
            told = command_line.with_files_in_use(str(error))
            problems.append(pd.DataFrame({"path": [str(arguments.settings)], "problem": [told]}))
            absent.append(told)
            print(f"PROBLEM: {told}")
            continue
        workers = executors.process_count(params.general.workers)
        looked = film_flags.look(checked, arguments.sample, workers, progress)
        draw(checked, looked, folder)
        print(f"{checked.name}:", *checked.lines, f"unreadable or unfit: {len(looked.problems):,}", sep="\n  ")
        for flag, count in looked.flags["flag"].value_counts().reindex(film_flags.FLAGS).dropna().items():
            print(f"  flag {flag.replace('_', ' ')}: {int(count):,} of {looked.films:,} films read")
        problems += [checked.problems, looked.problems]
        flags.append(looked.flags)
    if params.pack.lung_masking != "none" and (alone := lung_films.why_drawn_alone(settings, params)):
        print(f"lungs: {alone}; the U-Net will learn from drawn films")
    table = pd.concat([pd.DataFrame(columns=["path", "problem"]), *problems], ignore_index=True)
    write_problems(table, folder / "problems.csv")
    columns = pd.DataFrame(columns=["set", "film", "path", "flag", "reason"])
    flagged = pd.concat([columns, *flags], ignore_index=True)
    write_problems(flagged, folder / "flags.csv")
    of_films = table.loc[~table["problem"].isin(absent), "problem"]
    for problem, rows in alike(of_films).value_counts().head(10).items():
        print(f"problem: {problem}: {rows:,}")
    sheets = "; look at the sheets beside it" if any(folder.glob("*.png")) else ""
    print(f"problems: {len(table):,} -> {folder / 'problems.csv'}{sheets}")
    if len(flagged):
        said = "look at them, nothing is left out for a flag"
        print(f"films with a flag: {flagged['path'].nunique():,} -> {folder / 'flags.csv'}; {said}")
    if absent:
        raise InputError(f"{len(absent)} of the data sets could not be looked at: see PROBLEM above.")
    if arguments.strict:
        refuse_problems(folder / "problems.csv")


def alike(said):
    """Problems without what is of one film alone, its path and its grays, so that the same ones can be counted."""
    for own, common in ((r"^.*/\S+: ", ""), (r" /\S+", ""), (r"(its grays are )[^;]+", r"\1…")):
        said = said.str.replace(own, common, regex=True)
    return said


def draw(checked, looked, folder):
    """The sheets of a set: some films, the flagged ones, the oddest masks; what an older check drew is removed."""
    sheets = {
        "": film_flags.shown_films(checked, looked) if looked.shown else None,
        "_flagged": film_flags.flagged_films(checked, looked.flags) if len(looked.flags) else None,
        "_doubtful": film_flags.oddest_masks(checked, looked) if looked.shapes else None,
    }
    for name, sheet in sheets.items():
        path = folder / f"{checked.name}{name}.png"
        path.unlink(missing_ok=True)
        if sheet:
            films, titles, masks = sheet
            film_pictures.preview_grid(films, titles, path, contours=masks)


if __name__ == "__main__":
    command_line.run(main)
