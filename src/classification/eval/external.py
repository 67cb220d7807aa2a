"""At a new hospital: does a model hold, what must be set anew, how many films that takes, what may be promised.

Reads   WHAT: a bundle of export.sh, with --films the films it is to predict; or predictions of anybody's, as
        score_predictions.sh reads them, with --bundle the bundle that made them, or --home predictions of the home
        hospital (of a predictions.csv of ours, its val films), which thresholds, calibration and promises come from
        LABELS: the local table of labels, with patients (image, patient_id, a column a finding)
Writes  --out DIR (default: external): report.html, external.json, a CSV a table, metrics.json; with --films also
        <bundle>_refitted beside it: the same networks, thresholds and calibration fitted on the local films

No row of a film or patient is written. With --aggregates findings with a cell under 10 are not shown, no metrics.json
is written and no bundle is refitted. With a bundle and --home the promises are made from those films.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line

# isort: split
import numpy as np

from cxr.core.artifacts import digest, write_csv, write_json
from cxr.core.errors import InputError, counted, one_line
from cxr.core.own_files import OwnFiles
from cxr.core.progress import progress
from cxr.evaluation import predictions
from cxr.evaluation.operating_points import fit_on_val
from cxr.evaluation.source_fits import POOLED
from cxr.external import label_tables, prediction_files
from cxr.new_films import bundles, film_files, known_labels, predicting, prediction_table, refitted_bundles
from cxr.new_hospital import carried, disclosure, external_page, external_report, refitting, split_passport
from cxr.report import html_page, table_notes
from cxr.tables.sources.known_lists import released

TABLES = tuple(disclosure.COUNTS)
FILES = ("report.html", "external.json", "metrics.json", *(f"{name}.csv" for name in TABLES))


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("what", type=command_line.path, metavar="WHAT", help="a bundle's folder, or predictions (CSV)")
    parser.add_argument("labels", type=command_line.path, metavar="LABELS", help="labels of the local films (CSV)")
    parser.add_argument("--films", type=command_line.path, action="append", help="local films, for a bundle to predict")
    parser.add_argument("--bundle", type=command_line.path, help="the bundle that made the predictions")
    parser.add_argument("--home", type=command_line.path, help="predictions of the home hospital (CSV)")
    parser.add_argument("--home-labels", type=command_line.path, help="their labels (default: its own columns)")
    disclosure.add_option(parser)
    parser.add_argument("--out", type=command_line.path, default=Path("external"), help="folder of the results")
    arguments = parser.parse_args(argv)
    check(arguments)
    bundle = arguments.bundle and bundles.open_bundle(arguments.bundle)
    params = bundle.params if bundle else command_line.load(arguments)[1]
    labels = told_of("LABELS", label_tables.read_labels, [arguments.labels], params, True)
    here = local(arguments, bundle, params, labels)
    marked = int((here.table["split"] != "test").sum())
    if marked:
        here.notes.append(f"{marked:,} local films are marked train or val, and left out.")
    if released(here.table["image_id"]):  # of a hospital of one's own no public list is known
        here.notes.append(split_passport.line(here.table["image_id"]))
    if bundle:
        films = known_labels.Known(here.table, np.ones(len(here.table), bool), [])
        learned = known_labels.bundle_learned_from(films, bundle, command_line.load(arguments)[0])
        here.notes.extend(line.partition(" Leave them out")[0] for line in learned)  # no name: no row is written
        print(*learned, sep="\n", end="\n" if learned else "")
    came = what_came(arguments, bundle, params, here)
    own = OwnFiles(arguments.out, FILES)  # only now: wrong input leaves no folder behind
    table = predictions.of_findings(here.table[here.table["split"] == "test"], came.findings).reset_index(drop=True)
    films = carried.at(table, came.thresholds)
    replicates, seed = params.evaluation.bootstrap_replicates, params.general.seed
    if arguments.aggregates:  # notes count films one by one
        came = replace(came, notes=())
    tables, block = external_report.tables(films, came, replicates, seed)
    shown = disclosure.hidden(tables) if arguments.aggregates else tables
    said = external_report.sentences(shown, came.thresholds["rule"])
    write(arguments, came, films, shown, said, block)
    own.finish([name for name in FILES if not (arguments.aggregates and name == "metrics.json")], FILES)
    print("\n".join(line for lines in said.values() for line in lines))
    if not arguments.aggregates:
        for note in table_notes.of_all_thresholds(block):
            print(note)
    print(one_line(f"-> {arguments.out / 'report.html'}, external.json, {counted(len(shown), 'table')}"))
    if arguments.films and not arguments.aggregates:  # of a file nobody knows which networks made it
        refit(arguments, bundle, came, table)


def check(arguments):
    if arguments.home_labels and not arguments.home:
        raise InputError("--home-labels: expected beside --home PREDICTIONS, whose labels they are.")
    if arguments.what.is_dir():
        if arguments.bundle:
            raise InputError(f"--bundle: {arguments.what} is a bundle already; give its films with --films.")
        if not arguments.films:
            raise InputError("--films: missing; expected the local films that the bundle is to predict.")
        arguments.bundle = arguments.what
    elif arguments.films:
        raise InputError(f"--films: {arguments.what} has predictions already; leave --films out, or give a bundle.")
    elif not (arguments.bundle or arguments.home):
        raise InputError("--home or --bundle: missing; expected where thresholds and calibration come from.")


def local(arguments, bundle, params, labels):
    if not arguments.films:
        return read(arguments.what, labels, params, "LABELS")
    paths = film_files.find_films(arguments.films).films
    # Keras is imported only now: --help and wrong input answer at once.
    from cxr.networks import backend

    print(f"{counted(len(paths), 'film')}, {bundle.name}; {backend.start(params)}")

    def bar(films, doing):
        return progress(films, len(paths), doing)

    with tempfile.TemporaryDirectory() as work:  # which is gone at the end, with its rows
        predicted = predicting.predict(bundle, paths, POOLED, Path(work), bar, with_maps=False)
        made = Path(work) / "predictions.csv"
        write_csv(prediction_table.of(predicted, [""] * len(predicted.films)), made)
        here = read(made, labels, params, "LABELS")
    for name, problem in predicted.problems.to_numpy()[:1]:
        count = f"{len(predicted.problems)} of {len(paths)} films could not be predicted, and are in no figure"
        here.notes.append(f"{count}.")  # no name: what is written may leave the site
        print(one_line(f"{count}; the first: {name}: {problem}"))
    return here


def told_of(option, work, *given):
    """What ``work`` returns; its error names the argument of this script and not score_predictions.sh's."""
    try:
        return work(*given)
    except InputError as error:
        raise InputError(str(error).replace("--labels FILE", option)) from None


def read(path, labels, params, option):
    return told_of(option, prediction_files.read, path, labels, params.findings)


def what_came(arguments, bundle, params, here):
    home, notes, findings = None, [*here.notes], here.findings
    if arguments.home:
        given = [arguments.home_labels] if arguments.home_labels else []
        labels = told_of("--home-labels FILE", label_tables.read_labels, given, params, bool(given))
        foreign = read(arguments.home, labels, params, "--home-labels FILE")
        findings = [finding for finding in findings if finding in foreign.findings]
        if not findings:
            raise InputError(
                f"{arguments.home}: has no probabilities of {', '.join(here.findings)}. Give another file."
            )
        split = foreign.table["split"]
        used = "val" if (split == "val").any() else "test"
        if not (split == used).any():
            raise InputError(f"{arguments.home}: marks all films as train; expected some of val or test.")
        home = foreign.table[split == used].assign(split="val").reset_index(drop=True)
        home = predictions.of_findings(home, findings)
        refuse_shared(arguments.home, home, here)
        notes += [f"{foreign.name}: {note}" for note in foreign.notes]
        notes.append(f"{foreign.name}: what came, and the promise, are of its {len(home):,} {used} films.")
    if bundle is None:
        thresholds = fit_on_val(home, params.evaluation.threshold_rule)
        name = f"thresholds and calibration of {arguments.home.name}"
        return carried.Carried(name, thresholds, findings, home, tuple(notes))
    if home is None:
        notes.append("No promise came with the bundle: give --home predictions of its val films to see its fate.")
    return carried.Carried(bundle.name, bundle.thresholds, findings, home, tuple(notes))


def refuse_shared(path, home, here):
    for column, thing in (("patient_id", "patient"), ("image_id", "film")):  # where no patient is known: the film
        shared = sorted(set(home[column].dropna()) & set(here.table[column].dropna()))
        if shared:
            raise InputError(
                f"{path}: {thing} {shared[0]} is also among the local films ({len(shared)} such {thing}s); expected "
                "other patients. Leave them out of one of the files; if they are others, prefix their ids with the "
                "hospital."
            )


def write(arguments, came, films, shown, said, block):
    facts = {
        "what came": came.name,
        "threshold rule": came.thresholds["rule"],
        "films, patients here": f"{len(films.table):,}, {films.table['patient_id'].nunique():,}",
        "films, patients at home": "{films:,}, {patients:,}".format(**came.thresholds["val"]),
        "digest of the labels": digest(arguments.labels),
    }
    whole = None if arguments.aggregates else external_page.Whole(block, films)
    if whole:
        write_json(block, arguments.out / "metrics.json")
    for name, table in shown.items():
        write_csv(table, arguments.out / f"{name}.csv")
    content = {"facts": facts, "notes": list(came.notes), "said": said, **external_page.as_records(shown)}
    write_json(content, arguments.out / "external.json")
    title = f"{arguments.what.name} on {arguments.labels.name}"
    page = external_page.page(title, came, shown, said, {"Run": list(facts.items())}, whole)
    html_page.write(page, arguments.out / "report.html")


def refit(arguments, bundle, came, table):
    thresholds, kept, few = refitting.refitted(came.thresholds, table)
    films, patients = len(table), table["patient_id"].nunique()
    what = f"thresholds and calibration{', as far as they sufficed,' if kept else ''} fitted"
    on_few = ", some on too few (refitted.json)" if few else ""
    note = f"{what} on {counted(films, 'local film')} of {patients:,} patients{on_few}"
    record = {"note": note, "from": bundle.name, "labels": digest(arguments.labels), "kept": kept, "few": few}
    out = refitted_bundles.write(arguments.bundle, thresholds, record)
    print(*kept, *few, one_line(f"{bundles.open_bundle(out).name}: {note} -> {out}"), sep="\n")


if __name__ == "__main__":
    command_line.run(main)
