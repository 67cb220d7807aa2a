import numpy as np
import pandas as pd
import pytest

from cxr.core.command_line import PROJECT
from cxr.core.configuration import params_from
from cxr.core.findings import FINDINGS
from cxr.evaluation import predictions
from cxr.experiments import results
from cxr.experiments.planning import begin, plan
from cxr.experiments.results import (
    auroc_table,
    decisions_table,
    difference,
    film_notes,
    on_same_films,
    recalled_auroc,
    values_of,
)
from cxr.tables.raw_files import list_files
from cxr.tables.schema import typed
from cxr.tables.sources.nih import read_nih
from cxr.tables.splitting import hold_out, shared_with_training, split_images
from tests.conftest import settings_in, tiny_params

SHARED = PROJECT.parent / "shared" / "data" / "nih"
POOLED, MACRO = results.POOLED, results.MACRO


def films(*rows) -> pd.DataFrame:
    """Films as (patient, split, label of all findings)."""
    usual = {"path": "", "view": "PA", "sex": "M", "age": 50, "source": "nih", "label_source": "nih"}
    table = pd.DataFrame(
        [
            {"image_id": f"nih/{n}", "patient_id": patient, **usual, **dict.fromkeys(FINDINGS, label)}
            for n, (patient, _, label) in enumerate(rows)
        ]
    )
    return typed(table, FINDINGS).assign(split=[split for _, split, _ in rows])


def run(variant, seed, auroc, train=100, test=50, **more):
    """The figures of one run in which all findings have the same AUROC."""
    figures = {"auroc": auroc, "accuracy": 0.8, "precision": 0.5, "recall": 0.25, "always_no_accuracy": 0.9}
    rows = {finding: figures | {"positives": 5, "films": test} for finding in FINDINGS}
    rows[MACRO] = figures | {"auroc_interval": [auroc - 0.1, auroc + 0.1]}
    split = {name: {"films": count, "patients": 9} for name, count in (("train", train), ("val", 7), ("test", test))}
    return {
        "variant": variant, "seed": seed, "films": split, "leaked": 0, "recalled": None, "epochs": 5, "best_epoch": 4,
        "seconds": 3.2, "figures": {POOLED: rows},
    } | more  # fmt: skip


def cells(table: str, row: str) -> list[str]:
    line = next(line for line in table.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_recalling_training_labels_is_worth_what_the_leak_is():
    known = [("a", "train", 1), ("a", "train", 1), ("b", "train", 0), ("c", "train", 0)]
    leaking = films(*known, ("a", "test", 1), ("b", "test", 0), ("b", "test", 1))
    # Positives are called 1 and 0, the negative 0: of the two pairs one is won and one is a tie.
    assert recalled_auroc(leaking, FINDINGS) == pytest.approx(0.75)
    # A patient that is not known gets the training share, 1/2: below a, above b and c.
    assert recalled_auroc(films(*known, ("a", "test", 1), ("new", "test", 0), ("b", "test", None)), FINDINGS) == 1.0


def test_without_a_leak_there_is_nothing_to_recall():
    assert (
        recalled_auroc(films(("a", "train", 1), ("b", "train", 0), ("c", "test", 1), ("d", "test", 0)), FINDINGS)
        is None
    )


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there: NIH's table is no part of the project")
def test_on_all_of_nih_knowing_the_patient_is_worth_much_without_any_film():
    table = read_nih(SHARED / "Data_Entry_2017.csv.gz", SHARED, list_files(SHARED), FINDINGS).table
    params = params_from({"SPLIT": "image", "TEST_FRACTION": 0.075, "VAL_FRACTION": 0.1}, "the original").tables
    split = split_images(table, hold_out(table, set(), {"nih"}, params), 1, params)["split"]
    assert (split == "test").sum() == 8438
    assert shared_with_training(table, split) == 7009
    assert recalled_auroc(table.assign(split=split), FINDINGS) == pytest.approx(0.758, abs=0.0005)


def test_differences_are_paired_by_seed_and_averaged():
    found = [run("ours", 1, 0.80), run("theirs", 1, 0.84), run("ours", 2, 0.82), run("theirs", 2, 0.83)]
    same = {POOLED: {"films": 40, "difference": 0.02, "interval": [-0.01, 0.05]}}
    for one, base in ((1, 0), (3, 2)):
        found[one]["difference"] = {"auroc": difference(found[one], found[base]), "same_films": same}
    table = auroc_table(["ours", "theirs"], found, POOLED)
    assert table.splitlines()[0] == "| finding | positives/films | ours | theirs | theirs − ours |"
    expected = ["0.810 (0.800 0.820)", "0.835 (0.840 0.830)", "+0.025 (+0.040 +0.010)"]
    assert cells(table, "Edema") == ["5/50", *expected]
    assert cells(table, MACRO) == ["", *expected]
    assert cells(table, "95 % interval") == ["", "0.710 to 0.910", "0.735 to 0.935", ""]
    assert cells(table, "same films") == ["", "", "", "+0.020, -0.010 to +0.050; 40 films"]


def test_a_run_that_is_missing_leaves_its_seed_out_of_the_difference_only():
    found = [run("ours", 1, 0.8), run("ours", 2, 0.9), run("theirs", 1, 0.7)]
    found[2]["difference"] = {"auroc": difference(found[2], found[0]), "same_films": {}}
    row = cells(auroc_table(["ours", "theirs", "others"], found, POOLED), "Effusion")
    assert row[1:] == ["0.850 (0.800 0.900)", "0.700", "n/a", "-0.100", "n/a"]


def test_what_is_not_told_from_guessing_or_of_too_few_patients_says_so_with_its_runs():
    found = [run("ours", 1, 0.8), run("ours", 2, 0.52), run("theirs", 1, 0.51)]
    for guess in found[1:]:
        guess["figures"][POOLED]["Edema"] |= {"guessing": "the interval holds 0.5"}
    for one in found:
        one["figures"][POOLED]["Pneumonia"] |= {"too_few": True, "guessing": None}
    row = cells(auroc_table(["ours", "theirs"], found, POOLED), "Edema")
    assert row[1:3] == ["0.660 (0.800 0.520) †", "0.510 †"]
    few = "too few: fewer than 10 patients with, or without, the finding"
    assert results.marked(["ours", "theirs"], found, POOLED) == [
        "* Edema: † not told from guessing (ours, seed 2).\n"
        f"* Pneumonia: {few} (ours, seed 1 2).\n"
        "* Edema: † not told from guessing (theirs, seed 1).\n"
        f"* Pneumonia: {few} (theirs, seed 1)."
    ]
    assert results.marked(["ours"], [run("ours", 1, 0.8)], POOLED) == []


def test_two_runs_are_compared_on_the_test_films_that_both_have(tmp_path):
    settings = settings_in(tmp_path)
    ours, theirs = plan("protocols", settings, tiny_params(BOOTSTRAP_REPLICATES=20), "tiny", [1])
    truth, right = [1, 0, 1, 0, 1], [0.9, 0.1, 0.8, 0.2, 0.7]
    for one, splits, scores in ((ours, "tttvt", right), (theirs, "ttttv", [0.1, 0.9, 0.8, 0.2, 0.7])):
        begin(one, settings, tiny_params(), [])
        names = [f"{'chexpert/valid' if n == 2 else 'nih'}/{n}" for n in range(5)]
        named = ["test" if split == "t" else "val" for split in splits]
        table = predictions.build(names, names, named, np.tile(np.c_[truth], 6), np.tile(np.c_[scores], 6), FINDINGS)
        predictions.write(table, one.results() / "predictions.csv")
    same = on_same_films(theirs, ours)
    assert (same[POOLED]["films"], same["nih"]["films"], same["chexpert-valid"]["films"]) == (3, 2, 1)
    # Of the pairs (0, 1) and (2, 1) ours gets both right, theirs none.
    assert same[POOLED]["difference"] == -1.0
    assert same[POOLED]["no_interval"] == "fewer than 5 patients in 6 of its 6 findings"
    assert same["chexpert-valid"] == {"films": 1, "difference": None, "interval": None, "no_interval": None}


def test_what_is_not_defined_has_no_difference():
    one, base = run("theirs", 1, 0.8), run("ours", 1, 0.7)
    base["figures"][POOLED]["Edema"] = base["figures"][POOLED]["Edema"] | {"auroc": None}
    changes = difference(one, base)[POOLED]
    assert changes["Edema"] is None
    assert changes["Effusion"] == pytest.approx(0.1)
    assert values_of([base], "ours", "figures", POOLED, "Edema", "auroc") == []


def test_the_originals_table_stands_once_for_each_variant():
    table = decisions_table(["ours", "theirs"], [run("ours", 1, 0.8), run("theirs", 1, 0.9)])
    assert table.splitlines()[0].startswith(
        "| finding | ours: Accuracy | ours: Precision | ours: Recall | ours: Always"
    )
    assert cells(table, "Pneumonia") == ["0.800", "0.500", "0.250", "0.900"] * 2


def test_unlike_numbers_of_films_and_what_a_leak_offers_are_said():
    alike = [run("ours", 1, 0.8), run("theirs", 1, 0.9, train=104)]
    assert film_notes(["ours", "theirs"], alike) == []
    unlike = [run("ours", 1, 0.8), run("theirs", 1, 0.9, train=106, test=51, recalled=0.6)]
    numbers, tested, leak = film_notes(["ours", "theirs"], unlike)
    assert "different numbers of films" in numbers
    assert "tested on different films" in tested
    assert "leak of theirs" in leak
    assert "mean AUROC of 0.600 on its" in leak
