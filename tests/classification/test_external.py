"""external.sh: from two files of predictions and a table of labels to one report; what is refused in one line."""

import json

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import InputError
from tests.conftest import load_script

PATIENTS = 60
MADE = ("as_came", "predictive_curves", "decision_curves", "refits", "promises", "abstaining", "risk_coverage")


def hospital(folder, name, first, shift):
    """Predictions of one finding, and a row of labels, of two films each of many patients."""
    random = np.random.default_rng(first)
    patients = np.repeat(np.arange(first, first + PATIENTS), 2)
    truth = (patients % 2).astype(int)
    images = [f"film_{patient}_{number}.png" for patient, number in zip(patients, [0, 1] * PATIENTS, strict=True)]
    probabilities = 1 / (1 + np.exp(-(2 * truth - 1 + shift + random.normal(0, 1, len(truth)))))
    path = folder / f"{name}.csv"
    pd.DataFrame({"image": images, "prob_Edema": probabilities}).to_csv(path, index=False)
    return path, pd.DataFrame({"image": images, "patient_id": [f"p{p}" for p in patients], "Edema": truth})


@pytest.fixture
def two(tmp_path, monkeypatch):
    monkeypatch.setattr("cxr.new_hospital.refitting.DRAWS", 2)
    home, home_labels = hospital(tmp_path, "home", 0, 0)
    new, labels = hospital(tmp_path, "new", 1000, -1)
    table = tmp_path / "labels.csv"
    pd.concat([home_labels, labels]).to_csv(table, index=False)
    params = tmp_path / "PARAMS.json"
    params.write_text('{"BOOTSTRAP_REPLICATES": 20}')
    return new, table, home, params


def run(two, *more):
    new, table, home, params = two
    out = new.parent / "out"
    given = [new, table, "--home", home, "--home-labels", table, "--params", params, "--out", out, *more]
    load_script("src/classification/eval/external.py").main([str(word) for word in given])
    return out


def test_two_files_and_labels_become_one_report_without_a_row_of_a_film(two):
    out = run(two)
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {
        "report.html", "external.json", "metrics.json", *(f"{name}.csv" for name in MADE)
    }  # fmt: skip
    written = "".join(path.read_text() for path in out.iterdir())
    assert "film_1" not in written
    assert "p1001" not in written
    came = pd.read_csv(out / "as_came.csv")
    assert came["finding"].tolist() == ["Edema"]
    assert (came.loc[0, "films"], came.loc[0, "patients_with"], came.loc[0, "prevalence_home"]) == (120, 30, 0.5)
    assert came.loc[0, "intercept"] > 0.5  # logits are lower here, by one
    said = json.loads((out / "external.json").read_text())["said"]
    assert said["refits"][0].startswith("Edema: a new threshold")
    assert said["promises"][0].startswith("Edema: promised at home, at most 10% missed")


def test_aggregates_take_the_place_of_what_an_earlier_run_told_in_full(two):
    run(two)
    out = run(two, "--aggregates")
    assert not (out / "metrics.json").exists()
    assert "Aggregates only" in (out / "report.html").read_text()
    curves = pd.read_csv(out / "decision_curves.csv")
    assert not (curves[["hits", "alarms", "rejections", "misses"]] < 10).any(axis=None)
    assert pd.read_csv(out / "as_came.csv")["films"].tolist() == [120]
    assert json.loads((out / "external.json").read_text())["notes"] == []  # which count films one by one


def test_labels_of_no_home_are_refused(two):
    new, table, _, params = two
    with pytest.raises(InputError, match="--home-labels: expected beside --home"):
        load_script("src/classification/eval/external.py").main(
            [str(word) for word in (new, table, "--bundle", new.parent, "--home-labels", table, "--params", params)]
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda new, table, home, params: (new, table, "--params", params), "--home or --bundle: missing"),
        (
            lambda new, table, home, params: (new, table, "--home", new, "--home-labels", table),
            "is also among the local",
        ),
        (lambda new, table, home, params: (new, table, "--home", home), "Give the labels with --home-labels FILE"),
        (lambda new, table, home, params: (new.parent, table, "--params", params), "--films: missing"),
        (lambda new, table, home, params: (new, table, "--films", new.parent), "has predictions already"),
    ],
    ids=["no home", "patients of both", "no labels at home", "no films", "films beside predictions"],
)
def test_what_is_missing_or_the_same_twice_is_told_and_nothing_is_written(two, change, message):
    words = [str(word) for word in (*change(*two), "--out", two[0].parent / "out")]
    with pytest.raises(InputError, match=message):
        load_script("src/classification/eval/external.py").main(words)
    assert not (two[0].parent / "out").exists()


def test_an_empty_table_of_labels_is_told_by_the_name_of_this_script_s_argument(two):
    new, table, home, params = two
    table.write_text("")
    words = [str(word) for word in (new, table, "--home", home, "--params", params, "--out", new.parent / "out")]
    with pytest.raises(InputError, match=r"the file is empty\. Give the table of labels with LABELS"):
        load_script("src/classification/eval/external.py").main(words)


def test_films_of_home_without_a_patient_are_refused_here_too(two):
    new, table, home, params = two
    labels = pd.read_csv(table).drop(columns="patient_id")
    labels.to_csv(new.parent / "no_patients.csv", index=False)
    words = (home, new.parent / "no_patients.csv", "--home", home, "--home-labels", table, "--params", params)
    with pytest.raises(InputError, match="film own/film_0_0 is also among the local films"):
        load_script("src/classification/eval/external.py").main([str(word) for word in words])


def test_films_of_a_release_bring_the_line_of_its_public_lists(two):
    new, table, *_ = two
    names = {f"film_{1000 + n}_{m}.png": f"{n + 1:08d}_00{m}.png" for n in range(PATIENTS) for m in (0, 1)}
    for path in (new, table):
        pd.read_csv(path).replace({"image": names}).to_csv(path, index=False)
    notes = json.loads((run(two) / "external.json").read_text())["notes"]
    assert any(note.startswith("Split passport: these are no known public list") for note in notes)
