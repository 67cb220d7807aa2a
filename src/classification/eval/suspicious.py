"""Films whose label disagrees most with what is predicted without it: where to look for wrong labels first.

Reads   FILE …: predictions in any form that score_predictions.sh reads, of networks that were not trained on these
        films (a predictions.csv of ours holds val and test; of several seeds, other patients are in val each time);
        labels as there; the packed films that SETTINGS.json leads to, for the sheets
Writes  --out DIR (default: suspicious): suspicious.csv (the first --most of each finding), sheet_<finding>.png

A logistic regression on the stored probabilities of all findings is fitted anew, folds by patient, so that no label
speaks for itself. Nothing is trained again, and films of train cannot be doubted: their network has seen the label.
"""

import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.core.artifacts import write_csv
from cxr.core.errors import InputError, counted
from cxr.core.own_files import OwnFiles
from cxr.evaluation import predictions
from cxr.external import label_tables, prediction_files
from cxr.new_hospital import suspicious
from cxr.preparation.films import load_films
from cxr.report import film_pictures

SHOWN = 24  # films on a sheet


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("files", nargs="+", type=command_line.path, metavar="FILE", help="predictions")
    parser.add_argument("--out", type=command_line.path, default=Path("suspicious"), help="folder of the results")
    parser.add_argument("--labels", type=command_line.path, action="append", help="table of labels; repeatable")
    parser.add_argument("--most", type=command_line.count, default=100, help="labels listed of each finding; 0 = all")
    parser.add_argument("--aggregates", action="store_true", help="refused: this tells films one by one")
    arguments = parser.parse_args(argv)
    if arguments.aggregates:
        raise InputError(
            "--aggregates: what is told here is films, one by one; expected no such argument. Leave it out, and keep "
            "the folder of --out at the site."
        )
    settings, params = command_line.load(arguments)
    files = arguments.labels or label_tables.label_files(settings)
    labels = label_tables.read_labels(files, params, bool(arguments.labels))
    read = [prediction_files.read(path, labels, params.findings) for path in arguments.files]
    for path, foreign in zip(arguments.files, read, strict=True):
        for told in foreign.notes:
            print(f"{path}: {told}")
    table = suspicious.gathered([foreign.table for foreign in read], [str(path) for path in arguments.files])
    truth, _ = predictions.arrays(table)
    fitted = suspicious.cross_fitted(suspicious.logits(table), truth, table["patient_id"])
    ranked = suspicious.ranked(table, fitted)
    listed = suspicious.first_of_each(ranked, arguments.most or len(ranked))
    films, why_not = packed(settings, params)
    findings = listed["finding"].unique()
    if films and not listed["image_id"].isin(films[0]).any():
        films, why_not = None, "none of these films is among those packed here"
    with_films = listed.loc[listed["image_id"].isin(films[0]), "finding"].unique() if films else ()
    sheets = {finding: f"sheet_{finding}.png" for finding in with_films}
    own = OwnFiles(arguments.out, ["suspicious.csv", *sheets.values()])
    write_csv(listed.round(6), arguments.out / "suspicious.csv")
    for finding, name in sheets.items():
        draw(listed[listed["finding"] == finding], *films, arguments.out / name)
    own.finish(["suspicious.csv", *sheets.values()], ["suspicious.csv", "sheet_*.png"])
    print(
        f"{counted(len(table), 'film')} of {table['patient_id'].nunique():,} patients, {counted(len(ranked), 'label')}"
    )
    for finding in findings:
        doubted = ranked[(ranked["finding"] == finding) & (ranked["confident"] == 1)]
        print(f"  {finding}: {counted(len(doubted), 'label')} that confident learning calls wrong")
    print(f"-> {arguments.out / 'suspicious.csv'}" + (", a sheet a finding" if films else f"; no sheets: {why_not}"))
    print("A label that disagrees is one to look at, not one that is wrong: a network errs more often on rare looks.")


def packed(settings, params):
    """image_id -> row, and the packed films; or None and why there are none."""
    try:
        size = max(params.input_size(member) for member in params.members("ensemble"))
        films, pack = load_films(settings, params, size)
    except InputError as error:
        return None, str(error)
    return ({image_id: row for row, image_id in enumerate(films["image_id"])}, pack), ""


def draw(listed, rows, pack, path):
    shown = listed[listed["image_id"].isin(rows)].head(SHOWN)
    titles = [
        f"{row.rank}. label {row.label}, {row.probability:.3f}  {row.image_id}" for row in shown.itertuples(index=False)
    ]
    film_pictures.preview_grid([pack[rows[image_id]] for image_id in shown["image_id"]], titles, path, columns=6)


if __name__ == "__main__":
    command_line.run(main)
