"""What are these lists of films, who is in both, and what can this test set show? Before any training.

Reads   [TRAIN] TEST: a text with a film's name at the start of each line, or a CSV with a column for it; without any
        list the split.csv that prepare_data.sh made
        Labels: --labels FILE, or the tables that SETTINGS.json names; without any, only films and patients are compared
Writes  --out DIR (default: split_check): power.csv, where labels are known
"""

import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.core.artifacts import need, write_csv
from cxr.core.errors import InputError, counted
from cxr.core.own_files import OwnFiles
from cxr.external import label_tables
from cxr.new_hospital import power, split_passport
from cxr.tables.sources.known_lists import released


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("lists", nargs="*", type=command_line.path, metavar="LIST", help="[TRAIN] TEST")
    parser.add_argument("--labels", type=command_line.path, action="append", help="table of labels; repeatable")
    parser.add_argument("--auroc", type=float, default=power.AUROC, help="of a model, assumed for the power")
    parser.add_argument("--out", type=command_line.path, default=Path("split_check"), help="folder of power.csv")
    arguments = parser.parse_args(argv)
    if len(arguments.lists) > 2:
        raise InputError(f"expected [TRAIN] TEST; found {len(arguments.lists)} lists. Give one or two.")
    if not 0.5 <= arguments.auroc < 1:
        raise InputError(f"--auroc: expected 0.5 or more, below 1; found {arguments.auroc}.")
    settings, params = command_line.load(arguments)
    lists = arguments.lists or [need(settings.split_csv, "sh prepare_data.sh, or give [TRAIN] TEST")] * 2
    own = OwnFiles(arguments.out, ["power.csv"])
    files = arguments.labels or label_tables.label_files(settings)
    labels = label_tables.read_labels(files, params, bool(arguments.labels))
    names = ("train", "test")[-len(lists) :]
    tables = {name: split_passport.read_list(path, name) for name, path in zip(names, lists, strict=True)}
    for name, table in tables.items():
        labels.check(table["image_id"], params.findings)
        rows = labels.table.set_index("image_id").reindex(table["image_id"]).reset_index()
        rows["patient_id"] = rows["patient_id"].astype(object).fillna(table["patient_id"])
        tables[name] = rows
        known = split_passport.recognise(table["image_id"])
        source = f": {known}, from {known.source}" if known else ": no known public list"
        patients = rows["patient_id"].nunique()
        print(f"{name}: {counted(len(table), 'film')} of {patients:,} patients{source}")
        if rows["patient_id"].isna().any():
            print(f"  {int(rows['patient_id'].isna().sum()):,} films name no patient: only the films are compared")
    test = tables["test"]
    known = split_passport.recognise(test["image_id"])
    for other in split_passport.trained(test["image_id"]):
        films = int(test["image_id"].isin(other.films).sum())
        print(f"  {films:,} of {len(test):,} test films ({films / len(test):.1%}) are in {other}")
    if "train" in tables:
        shared = split_passport.overlap(tables["train"], test)
        print(
            f"in both: {counted(shared['patients'], 'patient')} ({counted(shared['test_films'], 'test film')}), "
            f"{counted(shared['films'], 'film')}"
        )
        recalls = {name: split_passport.recalled(tables["train"], test, name) for name in params.findings}
        for name, auroc in recalls.items():
            if auroc is not None:
                print(f"  AUROC of recalling the patient's labels: {name} {auroc:.3f}")
    if any(table[list(params.findings)].notna().any(axis=None) for table in tables.values()):
        print(split_passport.shift(tables, params.findings).round(3).to_string())
        table = power.table(test[list(params.findings)].to_numpy(dtype=float), test["patient_id"].fillna(
            test["image_id"]), params.findings, arguments.auroc)  # fmt: skip
        write_csv(table, arguments.out / "power.csv")
        own.finish(["power.csv"], ["power.csv"])
        print(*[f"{row.finding}: {row.verdict}" for row in table.itertuples()], sep="\n")
        print(f"-> {arguments.out / 'power.csv'}")
    print(split_passport.line(test["image_id"]))
    if split_passport.recognise(released(test["image_id"])) and "train" in tables and shared["patients"]:
        print("But test patients are in training: no published figure may stand beside yours.")


if __name__ == "__main__":
    command_line.run(main)
