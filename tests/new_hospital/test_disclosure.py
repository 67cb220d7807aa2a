"""Aggregates that may leave a site: no cell under ten, and nothing from which one could be told."""

import numpy as np
import pandas as pd

from cxr.new_hospital import disclosure
from cxr.new_hospital.disclosure import hidden

CAME = {
    "finding": ["Nodule", "Mass", "Hernia"], "films": [400, 400, 400], "patients_with": [90, 80, 6],
    "patients_without": [200, 200, 300], "positives": [100, 100, 8], "negatives": [300, 300, 392],
    "hits": [80, 97, 5], "misses": [20, 3, 3], "alarms": [60, 50, 50], "rejections": [240, 250, 342],
    "recall": [0.8, 0.97, 0.6],
}  # fmt: skip


def shown(**more):
    curves = pd.DataFrame({"finding": CAME["finding"], "prevalence": 0.1, "ppv": 0.5, "npv": 0.9})
    return hidden({"as_came": pd.DataFrame(CAME), "predictive_curves": curves, **more})


def test_of_a_finding_with_a_small_cell_only_the_name_and_the_films_are_shown():
    came = shown()["as_came"].set_index("finding")
    assert came.loc[["Mass", "Hernia"]].drop(columns="films").isna().all(axis=None)  # three misses; six patients
    assert came["films"].tolist() == [400, 400, 400]
    assert came.loc["Nodule", "misses"] == 20
    assert shown()["predictive_curves"]["finding"].tolist() == ["Nodule"]


def test_two_patients_without_the_finding_hide_it_however_many_films_they_have():
    table = pd.DataFrame(CAME).assign(patients_without=[2, 200, 300])
    assert hidden({"as_came": table})["as_came"]["recall"].isna().all()


def test_wrong_decisions_at_full_coverage_tell_no_alarms_of_a_finding_whose_misses_are_hidden():
    curve = pd.DataFrame(
        {"finding": ["Nodule", "Nodule", "Mass"], "coverage": [0.1, 1, 1], "wrong": [0.1, 0.2, 0.1],
         "answered": [40, 400, 400], "answered_wrong": [4, 80, 53], "answered_right": [36, 320, 347]}
    )  # fmt: skip
    left = shown(risk_coverage=curve)["risk_coverage"]
    assert left[["finding", "coverage"]].to_numpy().tolist() == [["Nodule", 1]]


def test_a_promise_with_few_missed_patients_is_not_shown_for_its_fate_would_tell_them():
    row = {"finding": "Nodule", "patients": 90, "drawn_missed": 0, "drawn_found": 40, "fate": "held"}
    rows = [
        row,
        {**row, "drawn_missed": 12, "fate": "broken"},
        {"finding": "Nodule", "patients": 5, "fate": "could not"},
    ]
    assert shown(promises=pd.DataFrame(rows))["promises"]["fate"].tolist() == ["broken"]


def test_a_group_that_would_be_the_whole_less_the_others_takes_the_next_smallest_with_it():
    assert disclosure.shown([[40], [30], [20]]).tolist() == [True, True, True]
    assert disclosure.shown([[40], [9], [20]]).tolist() == [True, False, False]  # 9 alone follows from the whole
    assert disclosure.shown([[40], [9], [20], [8]]).tolist() == [True, False, True, False]  # 17 together
    assert disclosure.shown([[40], [3], [20], [4]]).tolist() == [True, False, False, False]  # 7 together do too
    assert disclosure.shown([[40, 5], [30, 30], [20, 90]]).tolist() == [False, True, False]  # of every cell
    assert disclosure.shown([[4]]).tolist() == [False]


def test_counts_of_labels_are_of_films_and_of_patients_and_unknown_ones_are_in_none():
    truth = np.array([[1, 0], [1, np.nan], [0, 1], [np.nan, 1]])
    cells = disclosure.of_labels(truth, np.array(["a", "a", "a", "b"]), ["Edema", "Mass"])
    assert cells.loc["Edema"].tolist() == [1, 1, 2, 1]  # with, without, positives, negatives
    assert cells.loc["Mass"].tolist() == [2, 1, 2, 1]
    called = np.array([[True, False], [False, False], [True, True], [True, False]])
    assert disclosure.of_decisions(truth, called, ["Edema", "Mass"]).loc["Edema"].tolist() == [1, 1, 0, 1]


def test_a_masked_row_keeps_its_name_and_whole_numbers_stay_whole():
    table = pd.DataFrame({"finding": ["Mass", "Hernia"], "hits": [12, 3], "verdict": ["good", "3 of 4"]})
    masked = disclosure.masked(table, disclosure.small(table[["hits"]]), ("finding",))
    assert masked.to_csv(index=False) == "finding,hits,verdict\nMass,12,good\nHernia,,\n"
    assert (disclosure.told(9, True), disclosure.told(9, False)) == ("fewer than 10", "9")


def test_of_two_models_the_mean_of_a_hidden_finding_is_not_compared():
    def one(change):
        return {"auroc": {"difference": change}}

    paired = {
        "first": "a", "second": "b", "films": 9, "macro": 1,
        "findings": {"Mass": one(0.1), "Hernia": one(0.2), "Edema": one(None)},
    }  # fmt: skip
    assert disclosure.comparison(paired, {"Hernia"}) == {
        "first": "a",
        "second": "b",
        "findings": {"Mass": one(0.1), "Edema": one(None)},
    }
    assert disclosure.comparison(paired, {"Edema"})["macro"] == 1
