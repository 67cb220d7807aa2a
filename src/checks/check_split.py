"""What are these lists of films, who is in both, and what can this test set show? Before any training.

Reads   [TRAIN] TEST: a text with a film's name at the start of each line, or a CSV with a column for it; without any
        list the split.csv that prepare_data.sh made
        Labels: --labels FILE, or the tables that SETTINGS.json names; without any, only films and patients are compared
Writes  --out DIR (default: split_check): passport.txt, what is printed; power.csv, where labels are known
"""

import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.core.artifacts import need, write_csv, write_text
from cxr.core.errors import InputError, counted
from cxr.core.own_files import OwnFiles
from cxr.external import label_tables
from cxr.new_hospital import disclosure, power, split_passport
from cxr.tables.sources.known_lists import released

FILES = ("passport.txt", "power.csv")


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("lists", nargs="*", type=command_line.path, metavar="LIST", help="[TRAIN] TEST")
    parser.add_argument("--labels", type=command_line.path, action="append", help="table of labels; repeatable")
    parser.add_argument("--auroc", type=float, default=power.AUROC, help="of a model, assumed for the power")
    disclosure.add_option(parser)
    parser.add_argument("--out", type=command_line.path, default=Path("split_check"), help="folder of the results")
    arguments = parser.parse_args(argv)
    if len(arguments.lists) > 2:
        raise InputError(f"expected [TRAIN] TEST; found {len(arguments.lists)} lists. Give one or two.")
    if not 0.5 <= arguments.auroc < 1:
        raise InputError(f"--auroc: expected 0.5 or more, below 1; found {arguments.auroc}.")
    settings, params = command_line.load(arguments)
    lists = arguments.lists or [need(settings.split_csv, "sh prepare_data.sh, or give [TRAIN] TEST")] * 2
    files = arguments.labels or label_tables.label_files(settings)
    labels = label_tables.read_labels(files, params, bool(arguments.labels))
    names = ("train", "test")[-len(lists) :]
    tables = {
        name: labelled(split_passport.read_list(path, name), labels, params)
        for name, path in zip(names, lists, strict=True)
    }
    own = OwnFiles(arguments.out, FILES)  # only now: wrong input leaves no folder behind
    lines, test = passport(tables, params.findings, arguments.aggregates), tables["test"]
    made = ["passport.txt"]
    if test[list(params.findings)].notna().any(axis=None):
        patients = test["patient_id"].fillna(test["image_id"])
        table = power.table(test[list(params.findings)].to_numpy(dtype=float), patients, params.findings,
                            arguments.auroc)  # fmt: skip
        if arguments.aggregates:
            table = power.aggregates(table)
        write_csv(table, arguments.out / "power.csv")
        lines += [f"{row.finding}: {row.verdict}" for row in table.itertuples()]
        made.append("power.csv")
    lines += last_lines(tables, arguments.aggregates)
    write_text("\n".join(lines) + "\n", arguments.out / "passport.txt")
    own.finish(made, FILES)
    print(*lines, f"-> {', '.join(str(arguments.out / name) for name in made)}", sep="\n")


def labelled(listed, labels, params):
    """The films of a list, with what the tables of labels say of them."""
    labels.check(listed["image_id"], params.findings)
    rows = labels.table.set_index("image_id").reindex(listed["image_id"]).reset_index()
    rows["patient_id"] = rows["patient_id"].astype(object).fillna(listed["patient_id"])
    return rows


def passport(tables, findings, aggregates):
    """What the lists are, who is in both, and how they differ, in lines."""

    def told(number, thing):
        return f"{disclosure.FEW} {thing}s" if aggregates and number < disclosure.FEWEST else counted(number, thing)

    lines, test = [], tables["test"]
    for name, rows in tables.items():
        known = split_passport.recognise(rows["image_id"])
        source = f": {known}, from {known.source}" if known else ": no known public list"
        lines.append(f"{name}: {told(len(rows), 'film')} of {told(rows['patient_id'].nunique(), 'patient')}{source}")
        if unnamed := int(rows["patient_id"].isna().sum()):
            lines.append(f"  {told(unnamed, 'film')} name no patient: only the films are compared")
    for other in split_passport.trained(test["image_id"]):
        films = int(test["image_id"].isin(other.films).sum())
        inside = disclosure.told(films, aggregates, len(test))
        share = f" ({films / len(test):.1%})" if inside == f"{films:,}" else ""
        lines.append(f"  {inside} of {len(test):,} test films{share} are in {other}")
    if "train" in tables:
        shared = split_passport.overlap(tables["train"], test)
        lines.append(
            f"in both: {told(shared['patients'], 'patient')} ({told(shared['test_films'], 'test film')}), "
            f"{told(shared['films'], 'film')}"
        )
        for name in findings if not aggregates or shared["patients"] >= disclosure.FEWEST else ():
            auroc = split_passport.recalled(tables["train"], test, name)
            if auroc is not None:
                lines.append(f"  AUROC of recalling the patient's labels: {name} {auroc:.3f}")
    if any(table[list(findings)].notna().any(axis=None) for table in tables.values()):
        lines.append(split_passport.shift(tables, findings, aggregates).round(3).to_string())
    return lines


def last_lines(tables, aggregates):
    test = tables["test"]
    lines = [split_passport.line(test["image_id"], aggregates)]
    in_both = "train" in tables and split_passport.overlap(tables["train"], test)["patients"]
    if in_both and split_passport.recognise(released(test["image_id"])):
        lines.append("But test patients are in training: no published figure may stand beside yours.")
    return lines


if __name__ == "__main__":
    command_line.run(main)
