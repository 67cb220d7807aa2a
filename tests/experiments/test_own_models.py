"""Several models of one's own: only on the same films, and with intervals that are paired."""

import numpy as np
import pytest

from cxr.core.artifacts import digest, write_json
from cxr.core.errors import InputError
from cxr.evaluation import metrics, predictions
from cxr.evaluation.assessment import EVALUATED
from cxr.evaluation.operating_points import fit_on_val
from cxr.experiments import own_models
from tests.conftest import load_script

FINDINGS = ["A", "B"]


def family(models_dir, scores, films=("nih/1", "nih/2", "nih/3", "nih/4"), name="ensemble", findings=FINDINGS, **more):
    """An evaluated family whose test films have these scores of both findings; truth 0, 0, 1, 1 of the first one."""
    folder = models_dir / "classification" / name
    truth = np.full((len(films), len(findings)), np.nan)
    truth[:, 0] = more.get("truth", [0, 0, 1, 1])
    table = predictions.build(
        films, more.get("patients", films), ["test"] * len(films), truth, np.array([scores] * len(findings)).T, findings
    )
    predictions.write(table, folder / "predictions.csv")
    thresholds = fit_on_val(table[:0], "f1")
    write_json(thresholds, folder / "thresholds.json")
    write_json(metrics.evaluate(table, thresholds, 0, 1), folder / "metrics.json")
    files = {name: digest(folder / name) for name in EVALUATED}
    write_json({"members": {"tiny": "-"}, "files": files}, folder / "evaluation.json")
    run = {
        "parameters": {"EPOCHS": 3, "SEED": 1} | more.get("parameters", {}),
        "made_from": {"pack": "p", "split": "s"},
    }
    write_json(run, folder / "tiny" / "run.json")
    return models_dir


def test_a_row_a_model_then_its_paired_difference_from_the_first(tmp_path):
    folders = [
        family(tmp_path / "a", [0.1, 0.3, 0.2, 0.4]),  # three of four pairs in order: .75
        family(tmp_path / "b", [0.1, 0.2, 0.3, 0.4], parameters={"EPOCHS": 8}),  # all: 1
    ]
    models = own_models.read(folders, "ensemble")
    (pair,) = own_models.compare(models, 100, 1)
    assert (pair["model"], pair["minus"], pair["films_of"], pair["films"]) == ("b", "a", "all test films", 4)
    assert pair["findings"]["A"]["auroc"]["difference"] == 0.25
    text = own_models.as_markdown(models, [pair])
    assert "# 2 models on the same 4 test films of 4 patients" in text
    rows = {line.split(" | ")[0]: line for line in reversed(text.splitlines()) if line.startswith("| ")}
    assert rows["| a"].startswith("| a | 0.750 (too few) † | n/a | 0.750 (too few) †")
    assert rows["| b − a"].startswith("| b − a | +0.250 (too few) | n/a | +0.250 (too few)")
    assert "* A: difference without an interval: 2 positive patients." in text
    assert "* A: AUROC, Average precision without an interval: 2 positive patients." in text  # of each alone
    assert "over 1 of 2 findings" in text
    assert "* † a: NOT TOLD FROM GUESSING: the mean over the findings (" in text
    assert "too few to tell" in text
    assert "| a | 0.500 (too few) |" in text.split("thresholds, mean")[1]
    (alike,) = own_models.compare({name: models["a"] for name in "xy"}, 100, 1)
    assert "| y − x | the same | n/a | the same |" in own_models.as_markdown(
        {name: models["a"] for name in "xy"}, [alike]
    )
    assert "| EPOCHS | 3 | 8 |" in text
    assert "| SEED |" not in text


def test_labels_of_several_kinds_have_tables_of_their_own(tmp_path):
    films = ("nih/1", "own/2", "nih/3", "own/4")
    folders = [family(tmp_path / name, [0.1, 0.2, 0.3, 0.4], films) for name in "ab"]
    pairs = own_models.compare(own_models.read(folders, "ensemble"), 0, 1)
    assert [(pair["films_of"], pair["films"]) for pair in pairs] == [("all test films", 4), ("nih", 2), ("own", 2)]


def test_the_folder_of_a_family_stands_beside_another_of_the_same_models_dir(tmp_path):
    family(tmp_path / "m", [0.1, 0.2, 0.3, 0.4])
    family(tmp_path / "m", [0.1, 0.2, 0.3, 0.4], name="efficientnet")
    folders = [tmp_path / "m", tmp_path / "m/classification/efficientnet"]
    assert list(own_models.read(folders, "ensemble")) == ["m", "m/classification/efficientnet"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"films": ("nih/1", "nih/2", "nih/3", "nih/9")},
         "b: not the test films of a: 1 only in a, such as nih/4; 1 only in b, such as nih/9. Compare models that"),
        ({"truth": [0, 0, 1, np.nan]}, r"b: A_true of nih/4 is not known, in a 1.0 \(1 such films\)"),
        ({"patients": ["1", "2", "3", "3"]}, r"b: patient_id of nih/1 is 1, in a nih/1 \(4 such films\)"),
        ({"findings": ["A", "C"]}, "b: is of A, C, a of A, B. Compare models of the same findings"),
    ],
)  # fmt: skip
def test_what_was_not_tested_on_the_same_films_is_refused_with_what_differs(tmp_path, other, said):
    folders = [family(tmp_path / "a", [0.1, 0.2, 0.3, 0.4]), family(tmp_path / "b", [0.1, 0.2, 0.3, 0.4], **other)]
    with pytest.raises(InputError, match=said):
        own_models.read(folders, "ensemble")


def test_the_same_films_in_another_order_are_the_same(tmp_path):
    first = family(tmp_path / "a", [0.1, 0.2, 0.3, 0.4])
    turned = family(tmp_path / "b", [0.4, 0.3, 0.2, 0.1], ("nih/4", "nih/3", "nih/2", "nih/1"), truth=[1, 1, 0, 0])
    (pair,) = own_models.compare(own_models.read([first, turned], "ensemble"), 0, 1)
    assert pair["findings"]["A"]["auroc"]["difference"] == 0


def test_one_folder_twice_what_is_not_evaluated_and_what_is_of_two_evaluations_are_refused(tmp_path):
    first, second = (family(tmp_path / name, [0.1, 0.2, 0.3, 0.4]) for name in "ab")
    for folders in ([first], [first, second, first / "classification/ensemble"]):
        with pytest.raises(InputError, match="expected two folders or more, each of other models"):
            own_models.read(folders, "ensemble")
    with pytest.raises(InputError, match=r"none/classification/ensemble/evaluation\.json"):
        own_models.read([first, tmp_path / "none"], "ensemble")
    (second / "classification/ensemble/metrics.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"metrics\.json: is of another evaluation than the rest\. Run: sh evaluate.*--settings"
    ):
        own_models.read([first, second], "ensemble")


def test_the_script_writes_both_files_and_prints_the_tables(tmp_path, capsys):
    folders = [str(family(tmp_path / name, [0.1, 0.2, 0.3, 0.4])) for name in "ab"]
    load_script("src/classification/eval/compare.py").main([*folders, f"--out={tmp_path / 'out'}"])
    text = (tmp_path / "out/comparison.md").read_text()
    assert text in capsys.readouterr().out
    assert "Nothing: parameters, packed films and split are the same." in text
    assert (tmp_path / "out/comparison.json").is_file()
