"""Do a bundle's decisions hold when films get worse? Noise, blur, JPEG, contrast, gamma, rotation, crop, resolution.

Reads   BUNDLE, a folder of export.sh; FILM …: films or folders of films; --labels CSV, in any form that
        score_predictions.sh reads
Writes  --out DIR (default: stress): stress.csv (AUROC, its change and flipped decisions, by corruption, strength 1 to 3
        and finding), stress.png, slices.csv (films as they are, by each column --by of the labels' file)

Each film goes the whole way, lung mask and all, once as it is and once for each of 8 corruptions at 3 strengths.
"""

import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line

# isort: split
import pandas as pd

from cxr.core import locks
from cxr.core.artifacts import write_csv
from cxr.core.errors import InputError, counted
from cxr.core.own_files import OwnFiles
from cxr.core.progress import progress
from cxr.evaluation import predictions, subgroups
from cxr.evaluation.source_fits import POOLED
from cxr.external import label_tables
from cxr.imaging.decoding import read_film, write_image
from cxr.new_films import bundles, film_files, known_labels, predicting
from cxr.new_hospital import corruptions, disclosure, stress
from cxr.report.styles import PRINT, save_png

FILES = ("stress.csv", "stress.png", "slices.csv")
PAIRS = [(kind, strength) for kind in corruptions.SETTINGS for strength in corruptions.STRENGTHS]
AT_ONCE = 1500  # films made worse that lie on the disk at a time


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("bundle", type=command_line.path, metavar="BUNDLE", help="folder of export.sh")
    parser.add_argument("films", nargs="+", type=command_line.path, metavar="FILM", help="films, or folders of films")
    parser.add_argument("--labels", type=command_line.path, required=True, help="table of labels")
    parser.add_argument("--by", action="append", default=[], help="a column of --labels to slice by; repeatable")
    parser.add_argument("--hospital", default=POOLED, help="whose thresholds, such as nih")
    disclosure.add_option(parser)
    parser.add_argument("--out", type=command_line.path, default=Path("stress"), help="folder of the results")
    arguments = parser.parse_args(argv)
    paths = film_files.find_films(arguments.films).films
    bundle = bundles.open_bundle(arguments.bundle)
    predicting.check_hospital(bundle, arguments.hospital)
    found = labelled(paths, arguments, bundle.params)
    print(*found.notes, sep="\n")
    known = found.films
    own = OwnFiles(arguments.out, FILES)
    # Keras is imported only now: --help and wrong input answer at once.
    from cxr.networks import backend

    print(f"{counted(len(paths), 'film')}, {bundle.name}; {backend.start(bundle.params)}")
    with locks.work_folder(arguments.out) as work:
        table, rows = measured(bundle, paths, known, arguments.hospital, work)
    results = pd.DataFrame(rows)
    if arguments.aggregates:
        results = stress.aggregates(results, table)
    write_csv(results.round(6), arguments.out / "stress.csv")
    drawn = stress.figure(results, f"{bundle.family}, {counted(len(table), 'film')}", style=PRINT)
    save_png(drawn, arguments.out / "stress.png")
    groups = {name: values[table.index] for name, values in stress.slices(known, arguments.by).items()}
    replicates = bundle.params.evaluation.bootstrap_replicates
    evaluated = subgroups.evaluate(table, groups, bundle.thresholds, replicates, bundle.params.general.seed)
    if groups:
        write_csv(stress.slice_table(evaluated, arguments.aggregates), arguments.out / "slices.csv")
    own.finish(FILES if groups else FILES[:2], FILES)
    say(results, {} if arguments.aggregates else evaluated, arguments.out, bool(groups))
    # Last: whoever reads SETTINGS.json takes its list of chest films, and a bundle has none.
    for note in known_labels.bundle_learned_from(found, bundle, command_line.load(arguments)[0]):
        print(note)


def labelled(paths, arguments, params):
    """What the labels' file says of each film, with the columns to slice by."""
    labels = label_tables.read_labels([arguments.labels], params, given=True)
    labels = stress.with_columns(labels, arguments.labels, arguments.by)
    known = known_labels.of_labels(labels, [arguments.labels], arguments.films, paths, params)
    if known.films["image_id"].duplicated().any():
        again = int(known.films["image_id"].duplicated().argmax())
        film = known.films["image_id"][again]
        raise InputError(f"{paths[again]}: another of these files is of the same film ({film}). Keep one.")
    return known


def measured(bundle, paths, known, hospital, work):
    """Predictions of the films as they are, with the truth; and the rows of stress.csv."""
    findings = list(bundle.params.findings)
    table, called = clean = scored(bundle, dict(enumerate(paths)), hospital, work / "none")
    if table.empty:
        raise InputError("FILM: no film of these could be predicted; sh predict.sh says why of each.")
    if missing := len(paths) - len(table):
        print(f"{missing} of {len(paths)} films could not be predicted, and are in no figure; predict.sh says why")
    table[predictions.true_columns(findings)] = known.loc[table.index, findings].astype(float)
    table["patient_id"] = known.loc[table.index, "patient_id"].astype(str)
    films = {number: paths[number] for number in table.index}
    rows = [about("none", 0) | row for row in compared(table, clean, clean)]
    worse, decided = stressed(bundle, films, hospital, work)
    for kind, strength in PAIRS:
        here = [key[:2] == (kind, strength) for key in worse.index]
        numbers = [key[2] for key in worse.index[here]]
        sides = (table, called), (worse[here].set_axis(numbers), decided[here].set_axis(numbers))
        rows += [about(kind, strength) | row for row in compared(table, *sides)]
    return table, rows


def about(kind, strength):
    setting = corruptions.SETTINGS[kind][strength - 1] if strength else None
    return {"corruption": kind, "strength": strength, "setting": setting}


def compared(table, clean, worse):
    """`stress.compare` on the films that both have: one may have become so poor that it is refused."""
    both = table.index.intersection(worse[0].index)
    truth, _ = predictions.arrays(table.loc[both])
    sides = [(predictions.arrays(part.loc[both])[1], calls.loc[both].to_numpy()) for part, calls in (clean, worse)]
    return stress.compare(truth, *sides, predictions.findings_of(table))


def stressed(bundle, films, hospital, work):
    """`scored` of films made worse, by (kind, strength, number): many at a time, so that networks are read rarely."""
    jobs, tables, called = [(*pair, number) for pair in PAIRS for number in films], [], []
    with progress(None, len(jobs), "stress") as bar:
        for first in range(0, len(jobs), AT_ONCE):
            folder = work / f"worse_{first}"
            folder.mkdir()
            made = {job: folder / f"{number}.png" for number, job in enumerate(jobs[first : first + AT_ONCE])}
            for (kind, strength, number), path in made.items():
                write_image(corruptions.corrupt(read_film(films[number]), kind, strength, number), path)
                bar.update()
            parts = scored(bundle, made, hospital, folder / "packs")
            tables.append(parts[0])
            called.append(parts[1])
            for path in made.values():
                path.unlink()
    return pd.concat(tables), pd.concat(called)


def scored(bundle, films, hospital, work):
    """Predictions table and decisions of films that can be predicted, by their key in ``films`` (key -> path)."""
    work.mkdir(parents=True)
    predicted = predicting.predict(
        bundle, list(films.values()), hospital, work, lambda each, doing: each, with_maps=False
    )
    keys = {path: key for key, path in films.items()}
    index = pd.Index([keys[path] for path in predicted.films["path"]], tupleize_cols=False)
    for path in work.iterdir():
        path.unlink()
    return predicted.scored.table.set_axis(index), pd.DataFrame(predicted.scored.decisions, index)


def say(results, evaluated, out, sliced):
    means = results[results["finding"] == stress.MEAN].set_index(["corruption", "strength"])
    print(f"mean AUROC of the films as they are: {means.loc[('none', 0), 'auroc']:.3f}")
    for kind in corruptions.SETTINGS:
        cells = [
            f"{means.loc[(kind, strength), 'change']:+.3f} ({flipped(means.loc[(kind, strength), 'flips'])})"
            for strength in corruptions.STRENGTHS
        ]
        print(f"  {kind}: {', '.join(cells)}")
    for column, groups in evaluated.items():
        for name, block in groups["groups"].items():
            few = [finding for finding, values in block["findings"].items() if values["too_few"]]
            auroc = block["macro"]["auroc"]
            told = f"; too few: {', '.join(few)}" if few else ""
            figure = "n/a" if auroc is None else f"{auroc:.3f}"
            print(f"  {column} {name}: {counted(block['films'], 'film')}, {figure}{told}")
    print(f"-> {out / 'stress.csv'}, stress.png" + (", slices.csv" if sliced else ""))


def flipped(share):
    return "flips not told" if pd.isna(share) else f"{share:.1%} flip"


if __name__ == "__main__":
    command_line.run(main)
