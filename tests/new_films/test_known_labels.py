"""What a model is worth on new films whose labels are known, at the thresholds and calibration that came with it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cxr.core.artifacts import digest
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.evaluation import predictions
from cxr.evaluation.operating_points import fit_on_val
from cxr.new_films import known_labels, new_films_report, predicting
from tests.conftest import tiny_params
from tests.new_films.test_new_films_report import predicted as one_film

FIRST, SECOND = FINDINGS[:2]
PARAMS = tiny_params()


def labels_csv(folder, rows, columns=("file", FIRST, SECOND)) -> list[Path]:
    pd.DataFrame(rows, columns=columns).to_csv(folder / "labels.csv", index=False)
    return [folder / "labels.csv"]


def known(tables, folder, *names):
    return known_labels.read(tables, [folder], [folder / name for name in names], PARAMS, majority=False)


def fitted():
    """Of two hospitals, whose val films say .3 and .7 are the limits of the first finding; nothing of the others."""
    ids = [f"nih/{i}" for i in range(4)] + [f"own/{i}" for i in range(4)]
    scores, truth = np.full((8, len(FINDINGS)), 0.5), np.full((8, len(FINDINGS)), np.nan)
    scores[:, 0], truth[:, 0] = [0.1, 0.2, 0.4, 0.5, 0.5, 0.6, 0.8, 0.9], [0, 0, 1, 1] * 2
    return fit_on_val(predictions.build(ids, ids, ["val"] * 8, truth, scores, FINDINGS), "youden")


def predicted(scores, rows, hospital):
    """Films of these rows of the files that were given; the others could not be predicted."""
    films = pd.DataFrame({"row": rows})
    members = np.array(scores, np.float32)[None, :, None] * np.ones((1, 1, len(FINDINGS)), np.float32)
    table = predicting._table(films, hospital, members, FINDINGS, {})
    bundle = SimpleNamespace(params=PARAMS, name="bundle x", family="ensemble", thresholds=fitted())
    scored = SimpleNamespace(findings=list(FINDINGS), table=table)
    problems = pd.DataFrame({"filename": ["c.png"], "problem": ["broken"]})
    return SimpleNamespace(bundle=bundle, hospital=hospital, films=films, scored=scored, problems=problems)


def test_films_are_found_by_their_path_below_the_folder_and_those_without_a_label_are_told(tmp_path):
    tables = labels_csv(tmp_path, [("a/x.png", 1, None), ("b/x.png", 0, 1)])
    found = known(tables, tmp_path, "a/x.dcm", "b/x.dcm", "c/x.dcm")
    assert found.films["image_id"].tolist() == ["own/a/x", "own/b/x", "own/c/x"]
    assert found.films[FIRST].tolist()[:2] == [1, 0]
    assert found.labelled.tolist() == [True, True, False]
    assert "2 of 3 films have a known label" in found.notes[-2]
    assert found.notes[-1] == "without a label, so predicted and not evaluated: 1, the first own/c/x"
    assert any("counts as a patient of its own" in note for note in found.notes)


def test_a_release_s_film_is_known_wherever_it_lies_with_its_patient(tmp_path):
    tables = labels_csv(tmp_path, [("00000001_000.png", 1, 0)], ("Image Index", FIRST, SECOND))
    found = known(tables, tmp_path, "deep/00000001_000.png")
    assert found.films[["image_id", "patient_id"]].iloc[0].tolist() == ["nih/00000001_000", "nih-1"]


def test_labels_of_other_films_and_two_files_of_one_film_are_refused(tmp_path):
    tables = labels_csv(tmp_path, [("a.png", 1, 0)])
    with pytest.raises(InputError, match=r"no film here has a known label: .* own/a, here lies own/z\."):
        known(tables, tmp_path, "z.png")
    with pytest.raises(InputError, match=r"a\.dcm: is the film own/a, as is .*a\.png\. Give one of the two"):
        known(tables, tmp_path, "a.png", "a.dcm")


@pytest.mark.parametrize(("hospital", "recall", "specificity"), [("nih", 1.0, 0.0), ("own", 0.5, 1.0)])
def test_decisions_are_those_of_the_model_s_own_thresholds(tmp_path, hospital, recall, specificity):
    tables = labels_csv(tmp_path, [("a.png", 1, 0), ("b.png", 1, 0), ("c.png", 0, 0), ("d.png", 0, 1)])
    found = known(tables, tmp_path, "a.png", "b.png", "c.png", "d.png", "e.png")
    result = predicted([0.8, 0.4, 0.6, 0.9], [0, 1, 3, 4], hospital)  # c could not be read, e has no label
    model = known_labels.evaluate(result, found)
    assert model.table["image_id"].tolist() == ["own/a", "own/b", "own/d"]
    values = model.metrics["findings"][FIRST]
    assert values["threshold"] == {"own": pytest.approx({"nih": 0.3, "own": 0.7}[hospital])}
    assert (values["recall"], values["specificity"], values["auroc"]) == (recall, specificity, 0.5)
    assert values["threshold_fitted_on"] == {"own": f"the model's own val, {hospital}"}
    assert model.metrics["findings"][SECOND]["threshold_fitted_on"] == {"own": "nothing"}
    assert model.metrics["protocol"]["thresholds_from"] == result.bundle.thresholds["val"]
    assert model.notes[0] == (
        f"Thresholds and calibration came with the model (bundle x): those of its val films of {hospital}. Nothing was "
        "fitted on the films here."
    )
    assert model.notes[-1] == "1 file could not be predicted, nor be evaluated."


def test_where_no_labelled_film_could_be_predicted_there_is_no_evaluation(tmp_path):
    found = known(labels_csv(tmp_path, [("a.png", 1, 0)]), tmp_path, "a.png", "b.png")
    assert known_labels.evaluate(predicted([0.5], [1], "pooled"), found) is None


def test_films_that_the_model_learned_from_are_warned_of(tmp_path):
    found = known(labels_csv(tmp_path, [("a.png", 1, 0), ("b.png", 1, 0)]), tmp_path, "a.png", "b.png", "c.png")
    settings = SimpleNamespace(images_csv=tmp_path / "images.csv", split_csv=tmp_path / "split.csv")
    assert known_labels.learned_from(found, settings) == []
    ids, patients = ["own/a", "own/b", "own/c", "own/d"], ["p1", "p2", "p3", "own/b"]  # a film of b's patient
    pd.DataFrame({"image_id": ids, "patient_id": patients}).to_csv(settings.images_csv, index=False)
    pd.DataFrame({"image_id": ids, "split": ["train", "test", "train", "val"]}).to_csv(settings.split_csv, index=False)
    by_film, by_patient = known_labels.learned_from(found, settings)
    assert by_film.startswith("WARNING: 1 of the films with a known label are among those that the networks")
    assert by_film.endswith("Leave them out: own/a")
    assert by_patient.startswith("WARNING: 1 of the films with a known label are of patients with films among those")
    assert by_patient.endswith("Leave them out: own/b")
    (tmp_path / "model.keras").write_bytes(b"network")
    settings.member_dir = lambda *names: tmp_path
    for made_from, told in ((digest(tmp_path / "model.keras"), [by_film, by_patient]), ("another", [])):
        bundle = SimpleNamespace(family="ensemble", reference={"made_from": {"models": {"tiny": made_from}}})
        assert known_labels.bundle_learned_from(found, bundle, settings) == told


def test_the_report_of_new_films_holds_the_evaluation_and_says_whose_thresholds_they_are(tmp_path):
    found = known(labels_csv(tmp_path, [("a.png", 1, 0), ("b.png", 0, 1)]), tmp_path, "a.png", "b.png")
    model = known_labels.evaluate(predicted([0.8, 0.4], [0, 1], "pooled"), found)
    page = new_films_report.page(one_film(tiny_params()), [""], {}, model)
    assert "those of all its val films pooled. Nothing was fitted on the films here." in page
    assert page.count('id="results"') == page.count('id="probabilities"') == page.count('id="calibration"') == 1
    assert "Total (micro)" in page
    assert "Total (micro)" not in new_films_report.page(one_film(tiny_params()), [""], {})
