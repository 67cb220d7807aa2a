"""Would another training say the same of a film? Decisions that flip between trainings, and how many members it takes.

Reads   FILE …: predictions of the same films by two trainings or more, in any form that score_predictions.sh reads:
        MODELS_DIR/classification/ensemble/*/predictions.csv, or those of several seeds
Writes  --out DIR (default: flips): flips.json; films.csv (a row a film; not with --aggregates)

Each training decides at thresholds of its own, from its file's val films, or from a share of the patients that is drawn
by a hash (--val-fraction). Labels are needed for thresholds and AUROC only.
"""

import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.core.artifacts import write_csv, write_json
from cxr.core.errors import InputError, counted
from cxr.core.own_files import OwnFiles
from cxr.evaluation import predictions
from cxr.evaluation.thresholds import fit_thresholds
from cxr.external import label_tables, prediction_files
from cxr.new_hospital import disclosure, flips

FILES = ("flips.json", "films.csv")


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("files", nargs="+", type=command_line.path, metavar="FILE", help="predictions of one training")
    disclosure.add_option(parser)
    parser.add_argument("--out", type=command_line.path, default=Path("flips"), help="folder of the results")
    parser.add_argument("--labels", type=command_line.path, action="append", help="table of labels; repeatable")
    parser.add_argument(
        "--val-fraction", type=float, default=0.2, help="share of patients to fit on, without val films"
    )
    arguments = parser.parse_args(argv)
    if not 0 < arguments.val_fraction < 1:
        raise InputError(f"--val-fraction: expected a share above 0 and below 1; found {arguments.val_fraction}.")
    whole = [path.resolve() for path in arguments.files]
    if len(set(whole)) < len(whole):
        raise InputError("a file is given twice: of one training nothing flips. Give each training once.")
    settings, params = command_line.load(arguments)
    files = arguments.labels or label_tables.label_files(settings)
    labels = label_tables.read_labels(files, params, bool(arguments.labels))
    names, tables, fitted = [str(path) for path in arguments.files], [], []
    read = [prediction_files.read(path, labels, params.findings) for path in arguments.files]
    scored = [finding for finding in params.findings if all(finding in foreign.findings for foreign in read)]
    if not scored:
        raise InputError(f"{' and '.join(names)}: no finding in common. Give predictions of the same findings.")
    columns = [*predictions.NAMES, *predictions.true_columns(scored), *predictions.prob_columns(scored)]
    for name, foreign in zip(names, read, strict=True):
        val, table, note = prediction_files.with_val(foreign, None, arguments.val_fraction)
        print(*(f"{name}: {told}" for told in (*foreign.notes, note)), sep="\n")
        fitted.append(fit_thresholds(val[columns], params.evaluation.threshold_rule))
        tables.append(table.loc[table["split"] == "test", columns])
    films = flips.aligned(tables, names)
    if arguments.aggregates:  # a path may name a patient
        names = [f"training {number}" for number in range(1, len(names) + 1)]
    measured = {"names": names, **flips.between(films, fitted, arguments.aggregates)}
    made = FILES[:1] if arguments.aggregates else FILES
    own = OwnFiles(arguments.out, made)
    write_json(measured, arguments.out / "flips.json")
    if not arguments.aggregates:
        write_csv(flips.of_films(films, fitted), arguments.out / "films.csv")
    own.finish(made, FILES)
    say(measured)
    print(f"-> {', '.join(str(arguments.out / name) for name in made)}")


def say(measured):
    print(f"{counted(measured['trainings'], 'training')}, {counted(measured['films'], 'film')}")
    for finding, values in measured["findings"].items():
        nearest = values["bands"][0]
        near = "too few" if nearest["flips"] is None else f"{nearest['flips']:.1%}"
        members = values["needed"] or f"more than {flips.MOST_MEMBERS}"
        print(
            f"  {finding}: {values['flips']:.1%} of decisions flip from one training to another, {near} within "
            f"{flips.DISTANCES[1]:g} logits of the threshold; coefficient of variation "
            f"{values['coefficient_of_variation']:.2f}; members for under {flips.ASKED:.0%}: {members}"
        )
    print(*map(disclosure.sentence, measured.get("hidden", [])), sep="\n", end="\n" if measured.get("hidden") else "")


if __name__ == "__main__":
    command_line.run(main)
