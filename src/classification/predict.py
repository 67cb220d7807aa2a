"""Predict new films: probabilities, decisions, maps, and what speaks against trusting them.

Reads   FILM …: films or folders of films (PNG, JPEG, TIFF, DICOM …); the evaluated models of MODELS_DIR, or with
        --bundle a folder that export.sh wrote, which needs neither the two JSON files nor training data
Writes  --out DIR (default: predicted): predictions.csv, problems.csv (files that are no readable chest film, and why),
        overlays/<film>.png, report.html, run.json. Files of other origin that are there stay; one of these names is
        refused. With --dicom also dicom/, beside each DICOM film in its study: its picture (Secondary Capture) and its
        figures (structured report, TID 1500), listed in dicom.csv (needs the package extra "dicom")

With --bundle DIR --check, and no film, nothing is written: the bundle's examples are predicted and compared with its
examples/expected.csv.

With --labels FILE the films of that table are evaluated too, in the same report.html and in metrics.json and
result.csv: at the thresholds and the calibration that came with the model. Nothing is fitted on them.

Thresholds and calibration are those of all val films pooled, or with --hospital those of one that val had films of.
Exit status 3: the run is whole, but files stand in problems.csv, or with --dicom a film has no DICOM result.
"""

import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line

# isort: split
import pandas as pd

from cxr.core import locks, machine
from cxr.core.artifacts import write_csv, write_json, write_problems, write_text
from cxr.core.errors import InputError, counted, one_line
from cxr.core.members import FAMILIES
from cxr.core.own_files import OwnFiles
from cxr.core.progress import progress
from cxr.delivery import dicom_results
from cxr.evaluation.source_fits import POOLED
from cxr.imaging import chest_films
from cxr.imaging.listing import told
from cxr.new_films import (
    bundle_check,
    bundles,
    film_files,
    known_labels,
    new_films_report,
    predicting,
    prediction_table,
    run_record,
)
from cxr.report.result_table import result_table, result_text

FILES = ("predictions.csv", "problems.csv", "report.html", "run.json")
EVALUATED = ("metrics.json", "result.csv")


def main(argv=None):
    arguments = parsed(argv)
    if arguments.check:
        return check(arguments)
    if not arguments.films:
        raise InputError("FILM: missing; expected films, or folders of films.")
    if arguments.dicom and dicom_results.why_not():
        raise InputError(f"--dicom: {dicom_results.why_not()}")
    found = film_files.find_films(arguments.films)
    paths = found.films
    bundle = open_bundle(arguments)
    predicting.check_hospital(bundle, arguments.hospital)
    known = known_films(arguments, paths, bundle.params)
    if arguments.chest_films or arguments.bundle:  # last: whoever reads SETTINGS.json takes its list; no bundle does
        chest_films.use(arguments.chest_films)
    listed = chest_films.among(paths)
    files = [*FILES, *(EVALUATED if known else ()), *(dicom_results.names(paths) if arguments.dicom else ())]
    own = OwnFiles(arguments.out, [*files, *map(film_files.overlay_path, paths)])
    if own.older:
        print(f"results of an earlier run in {arguments.out} are replaced")
    # Keras is imported only now: --help and wrong input answer at once.
    from cxr.networks import backend

    device = backend.start(bundle.params)
    print(
        f"{counted(len(paths), 'film')}, {bundle.name}; {device}",
        *told(found.not_taken),
        *bundles.told_of_drawn(bundle),
        sep="\n",
    )
    print(f"thresholds and calibration: {arguments.hospital}")

    def bar(films, doing):
        return progress(films, len(paths), doing)

    with locks.work_folder(arguments.out) as work:
        predicted = predicting.predict(bundle, paths, arguments.hospital, work, bar)
        overlays = new_films_report.overlay_names(predicted, arguments.limit)
        new_films_report.draw_overlays(predicted, overlays, arguments.out, bar)
        write_csv(prediction_table.of(predicted, overlays), arguments.out / "predictions.csv")
        write_problems(predicted.problems, arguments.out / "problems.csv")
        dicom = dicom_results.write(predicted, arguments.out, work, bar) if arguments.dicom else pd.DataFrame()
        record = run_record.record(predicted, device, machine.versions(), listed)
        evaluated = known and known_labels.evaluate(predicted, known)
        page = new_films_report.page(predicted, overlays, run_record.facts(record), evaluated)
        write_text(page, arguments.out / "report.html")
        write_json(record, arguments.out / "run.json")
        if evaluated:
            write_json(evaluated.metrics, arguments.out / "metrics.json")
            write_csv(result_table(evaluated.metrics), arguments.out / "result.csv")
        made = [*FILES, *(EVALUATED if evaluated else ()), *filter(None, overlays), *dicom_results.written(dicom)]
        own.finish(made, [*FILES, *EVALUATED, "overlays/*.png", *dicom_results.PATTERNS])
    if known:
        say_evaluated(evaluated)
    return max(say(predicted, arguments.out), say_dicom(dicom, arguments.out))


def parsed(argv):
    parser = command_line.parser(__doc__)
    parser.add_argument("films", nargs="*", type=command_line.path, metavar="FILM", help="films, or folders of films")
    parser.add_argument("--family", choices=FAMILIES, help="which family predicts (default: ensemble)")
    parser.add_argument(
        "--bundle", type=command_line.path, help="predict from this folder of export.sh, not from MODELS_DIR"
    )
    parser.add_argument("--out", type=command_line.path, default=Path("predicted"), help="folder of the results")
    parser.add_argument("--hospital", default=POOLED, help="whose thresholds, calibration and mean maps, such as nih")
    parser.add_argument(
        "--chest-films", type=command_line.path, metavar="LIST", help="DICOM files that are some, whatever they say"
    )
    parser.add_argument("--labels", type=command_line.path, action="append", help="table of known labels; repeatable")
    parser.add_argument("--majority", action="store_true", help="where rows of labels differ, the majority counts")
    parser.add_argument("--limit", type=command_line.count, default=1000, help="overlays drawn, surest first; 0 = all")
    parser.add_argument("--dicom", action="store_true", help="results as DICOM too, for films that are DICOM")
    parser.add_argument("--check", action="store_true", help="does this machine compute what the bundle's did?")
    return parser.parse_args(argv)


def known_films(arguments, paths, params):
    """What --labels says of the films; None without."""
    if not arguments.labels:
        if arguments.majority:
            raise InputError("--majority: expected beside --labels FILE, whose rows it is about.")
        return None
    known = known_labels.read(arguments.labels, arguments.films, paths, params, arguments.majority)
    if arguments.bundle is None:  # a bundle does not say whose films it was trained on
        known.notes.extend(known_labels.learned_from(known, command_line.load(arguments)[0]))
    return known


def say_evaluated(evaluated):
    if evaluated is None:
        print("not evaluated: none of the films with a known label could be predicted")
    else:
        print(*(f"* {note}" for note in evaluated.notes), result_text(evaluated.metrics), "", sep="\n")


def check(arguments):
    if arguments.bundle is None or arguments.films:
        raise InputError("--check: expected --bundle DIR, and no film: it predicts the examples of that bundle.")
    bundle = open_bundle(arguments)
    from cxr.networks import backend

    print(f"{bundle.name}; {backend.start(bundle.params)}")
    print(bundle_check.check(bundle, arguments.bundle))


def open_bundle(arguments):
    if arguments.bundle is None:
        return bundles.of_models(*command_line.load(arguments), arguments.family or FAMILIES[0])
    bundle = bundles.open_bundle(arguments.bundle)
    if arguments.family not in (None, bundle.family):
        raise InputError(f"--family {arguments.family}: {arguments.bundle} is a bundle of {bundle.family}.")
    return bundle


def say(predicted, out):
    """Print what came out; returns the exit status."""
    called = dict(zip(predicted.scored.findings, predicted.scored.decisions.sum(axis=0), strict=True))
    for finding, films in called.items():
        print(f"  {finding}: {films} called, from {run_record.threshold_shown(predicted, finding)}")
    print(*run_record.told_of_flips(predicted), sep="\n")
    for line in run_record.told_of_guessing(predicted):
        print(f"{line} That was on test films; what is predicted here says no more.")
    for name, number in predicted.films[list(predicting.FLAGS)].sum().items():
        if number:
            print(f"  {name.replace('_', ' ')}: {number} of {len(predicted.films)} films")
    for name, problem in predicted.problems.head(10).to_numpy():
        print(f"  not predicted: {one_line(name)}: {one_line(problem)}")
    counts = f"{counted(len(predicted.films), 'film')} predicted, {len(predicted.problems)} not"
    print(f"{counts} -> {out / 'report.html'}, predictions.csv, problems.csv, overlays")
    print("Research use only. Not a medical device.")
    return 3 if len(predicted.problems) else 0


def say_dicom(table, out):
    """Print how many films have DICOM results, and why others have none; returns the exit status."""
    if table.empty:
        return 0
    without = table[table["problem"] != ""]
    for name, problem in without[["filename", "problem"]].head(10).to_numpy():
        print(f"  no DICOM result: {one_line(name)}: {problem}")
    print(f"DICOM results of {len(table) - len(without)} films, of {len(without)} not -> {out / dicom_results.TABLE}")
    return 3 if len(without) else 0


if __name__ == "__main__":
    command_line.run(main)
