"""Evaluate anybody's predictions: a CSV with a film's name and a probability for each of the findings it knows.

Reads   FILE … (.csv or .csv.gz): Image Index, image, filename, dicom_id, or CheXpert's Path or Study; prob_Edema,
        Edema_prob, p_Edema or Edema, any of FINDINGS. Patient, view, sex, age: from the labels, or columns of FILE.
        Labels: --labels FILE, which wins; or columns <Finding>_true of FILE; or NIH's and CheXpert's tables as
        SETTINGS.json names them. Labels of studies are given to their films (column study_id, or the film's folder).
        NIH's test_list.txt beside its table, if there: what remains on the official test films.
Writes  --out DIR (default: scores): metrics.json, thresholds.json, result.csv, roc.png, precision_recall.png,
        report.html; of several files one such folder each, and comparison.json with paired intervals. With
        --aggregates result.csv alone, of findings without a cell under 10, and comparison.json of those

Thresholds and calibration come from --val FILE, from the file's own split column, or from a share of the patients
(--val-fraction), drawn by a hash; they are never chosen on the films they are judged on.

A model's decisions (Edema_pred_label, Edema_binary) are no labels and no probabilities. Every column that names a
finding and was not used is told with the reason; labels that contradict each other are refused, or see --majority.
"""

import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.core.artifacts import write_csv, write_json
from cxr.core.errors import InputError, counted, one_line
from cxr.core.own_files import OwnFiles
from cxr.evaluation import assessment, comparison
from cxr.external import label_tables, prediction_files
from cxr.new_hospital import disclosure, split_passport
from cxr.report import curves, html_page, table_notes
from cxr.report.result_table import result_table, result_text
from cxr.tables.sources.catalogue import listed_films

FILES = ("metrics.json", "thresholds.json", "result.csv", "roc.png", "precision_recall.png", "report.html")
AGGREGATES = ("result.csv",)


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("files", nargs="+", type=command_line.path, metavar="FILE", help="predictions to evaluate")
    parser.add_argument("--out", type=command_line.path, default=Path("scores"), help="folder of the results")
    parser.add_argument("--labels", type=command_line.path, action="append", help="table of labels; repeatable")
    parser.add_argument("--majority", action="store_true", help="where rows of labels differ, the majority counts")
    parser.add_argument(
        "--val", type=command_line.path, action="append", help="val predictions, one for each FILE in its order"
    )
    parser.add_argument("--val-fraction", type=float, default=0.2, help="share of patients to fit on, without --val")
    disclosure.add_option(parser)
    arguments = parser.parse_args(argv)
    settings, params = command_line.load(arguments)
    check(arguments)
    label_files = arguments.labels or label_tables.label_files(settings)
    labels = label_tables.read_labels(label_files, params, bool(arguments.labels), arguments.majority)
    print("labels: " + (", ".join(map(str, label_files)) or "the files' own columns"))
    vals = arguments.val or [None] * len(arguments.files)
    models = [
        score(path, val, arguments, labels, label_files, params)
        for path, val in zip(arguments.files, vals, strict=True)
    ]
    names = html_page.distinct_names([model.name for model in models])
    files = AGGREGATES if arguments.aggregates else FILES
    made = [f"{name}/{file}" for name in names for file in files] if len(models) > 1 else list(files)
    own = OwnFiles(arguments.out, [*made, "comparison.json"])  # only now: wrong input leaves no folder behind
    made += ["comparison.json"] if len(models) > 1 else []
    differences = [
        {"first": names[0], "second": name, **compare(models[0], model, params, (names[0], name))}
        for name, model in zip(names[1:], models[1:], strict=True)
    ]
    if arguments.aggregates:
        aggregates(dict(zip(names, models, strict=True)), differences, arguments.out)
        own.finish(made, [*FILES, *(f"*/{file}" for file in FILES), "comparison.json"])
        return
    if differences:
        write_json(differences, arguments.out / "comparison.json")
    for name, model in zip(names, models, strict=True):
        folder = arguments.out / name if len(models) > 1 else arguments.out
        write(model, folder, name, dict(zip(names, models, strict=True)), differences)
        print("\n".join(["", one_line(name), *(f"* {note}" for note in model.notes), result_text(model.metrics)]))
        print(one_line(f"-> {folder / 'report.html'}, metrics.json, roc.png"))


def check(arguments):
    if arguments.val and len(arguments.val) != len(arguments.files):
        raise InputError(f"--val: expected one for each of {len(arguments.files)} files; found {len(arguments.val)}.")
    if not 0 <= arguments.val_fraction < 1:
        raise InputError(f"--val-fraction: expected 0 or more, below 1; found {arguments.val_fraction}.")


def score(path, val, arguments, labels, label_files, params):
    foreign = prediction_files.read(path, labels, params.findings)
    val = val and prediction_files.read(val, labels, params.findings)
    val_table, table, note = prediction_files.with_val(foreign, val, arguments.val_fraction)
    evaluated = params.evaluation
    block, thresholds = assessment.assess(
        val_table, table, foreign.films, evaluated.threshold_rule, evaluated.bootstrap_replicates, params.general.seed,
        listed_films(label_files, table["image_id"]),
    )  # fmt: skip
    for part in (block, *block["by_source"].values()):
        for finding, reason in foreign.reasons.items():
            part["findings"][finding]["reason"] = reason
    notes = [*foreign.notes, *(f"{val.name}: {told}" for told in (val.notes if val else ())), note]
    notes.append(split_passport.line(table["image_id"]))
    return html_page.Model(foreign.name, block, thresholds, table, val_table, foreign.findings, notes)


def compare(first, second, params, names):
    replicates, seed = params.evaluation.bootstrap_replicates, params.general.seed
    return comparison.paired(first.table, second.table, replicates, seed, names)


def aggregates(models, differences, out):
    """Writes and prints what may leave a site: figures of findings without a cell under ten, no curve, no row."""
    hidden = {}
    for name, model in models.items():
        folder = out / name if len(models) > 1 else out
        table = disclosure.result_table(model.metrics, model.table)
        hidden[name] = set(table.loc[table["AUROC"].isna(), "finding"])
        write_csv(table, folder / "result.csv")
        line = split_passport.line(model.table["image_id"], aggregates=True)
        print("\n".join(["", one_line(name), line, table_notes.as_text(table)]))
        print(one_line(f"-> {folder / 'result.csv'}"))
    told = [disclosure.comparison(each, hidden[each["first"]] | hidden[each["second"]]) for each in differences]
    if told:
        write_json(told, out / "comparison.json")


def write(model, folder, name, models, differences):
    write_json(model.metrics, folder / "metrics.json")
    write_json(model.thresholds, folder / "thresholds.json")
    write_csv(result_table(model.metrics), folder / "result.csv")
    curves.save_curves(model.table, folder, f"{name}, {counted(len(model.table), 'film')}")
    html_page.write(html_page.of_predictions(name, model, models, differences), folder / "report.html")


if __name__ == "__main__":
    command_line.run(main)
