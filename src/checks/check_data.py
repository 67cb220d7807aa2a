"""Check what was downloaded before hours are spent on it: archives, tables, label counts, unreadable films, lung masks.

Reads   the data sets that SETTINGS.json names; every film of them, or --sample of each
Writes  DATA_DIR/check/: problems.csv, and nih.png, chexpert.png, lungs.png: 16 films of each set to look at
"""

import functools

import numpy as np
import pandas as pd

from cxr.core import command_line, executors, locks
from cxr.core.artifacts import write_problems
from cxr.core.errors import InputError
from cxr.core.progress import progress
from cxr.core.steps import refuse_problems
from cxr.preparation import reading
from cxr.report import film_pictures
from cxr.tables import download_check

SIDE = 256  # pixels, of a film on a sheet


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("--sample", type=int, default=0, help="films read of each set; 0 = all")
    arguments = parser.parse_args(argv)
    settings, params = command_line.load(arguments)
    folder = settings.data_dir / "check"
    locks.hold(folder)
    problems, absent = [], []
    for check in download_check.checks(settings, params):
        try:
            checked = check()
        except InputError as error:  # one set that is not there is no reason not to look at the others
            problems.append(pd.DataFrame({"path": [str(arguments.settings)], "problem": [str(error)]}))
            absent.append(str(error))
            print(f"PROBLEM: {error}")
            continue
        unreadable = look(checked, arguments.sample, executors.process_count(params.general.workers), folder)
        print(f"{checked.name}:", *checked.lines, f"unreadable or unfit: {len(unreadable):,}", sep="\n  ")
        problems += [checked.problems, unreadable]
    table = pd.concat([pd.DataFrame(columns=["path", "problem"]), *problems], ignore_index=True)
    write_problems(table, folder / "problems.csv")
    of_films = table.loc[~table["problem"].isin(absent), "problem"]
    for problem, rows in of_films.str.replace(r"^.*/\S+: ", "", regex=True).value_counts().head(10).items():
        print(f"problem: {problem}: {rows:,}")
    sheets = "; look at the sheets beside it" if any(folder.glob("*.png")) else ""
    print(f"problems: {len(table):,} -> {folder / 'problems.csv'}{sheets}")
    if absent:
        raise InputError(f"{len(absent)} of the data sets could not be looked at: see PROBLEM above.")
    if arguments.strict:
        refuse_problems(folder / "problems.csv")


def look(checked, sample, workers, folder):
    """Read the films of a set, draw 16 of them on a sheet; those that cannot be used, as problems."""
    names = spread(list(checked.films), sample or len(checked.films))
    shown = set(spread(names, 16))
    read = functools.partial(reading.try_film_or_pair, size=SIDE, fit="pad")
    results = executors.by_processes(read, [checked.films[name] for name in names], workers)
    wrong, sheet = [], {}
    for name, (film, mask, problem) in zip(names, progress(results, len(names), checked.name), strict=True):
        if problem:
            wrong.append((str(checked.films[name][0]), problem))
        elif name in shown:
            sheet[name] = (film, mask)
    if sheet:
        films, masks = zip(*sheet.values(), strict=True)
        film_pictures.preview_grid(films, list(sheet), folder / f"{checked.name}.png", contours=masks)
    return pd.DataFrame(wrong, columns=["path", "problem"])


def spread(names, count):
    """Some of the names, evenly from the first to the last."""
    positions = np.unique(np.linspace(0, max(0, len(names) - 1), count).astype(int))
    return [names[position] for position in positions] if names else []


if __name__ == "__main__":
    command_line.run(main)
