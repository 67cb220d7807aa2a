"""Aggregates that may leave a site: no cell under ten, and nothing from which one could be told."""

import pandas as pd

from cxr.new_hospital.disclosure import hidden

CAME = {
    "finding": ["Nodule", "Mass"], "films": [400, 400], "patients_with": [90, 6], "positives": [100, 8],
    "negatives": [300, 392], "hits": [97, 5], "misses": [3, 3], "alarms": [60, 50], "rejections": [240, 342],
    "auroc": [0.9, 0.8], "recall": [0.97, 0.625], "specificity": [0.8, 0.87], "precision": [0.62, 0.09],
    "negative_predictive_value": [0.99, 0.99], "prevalence_here": [0.25, 0.02],
    "intercept": [0.1, 0.2], "slope": [1.0, 1.1], "expected": [90.0, 9.0], "observed": [100, 8],
}  # fmt: skip


def tables(**more):
    came = pd.DataFrame(CAME)
    for key in ("auroc", "recall", "specificity", "precision", "negative_predictive_value", "intercept", "slope"):
        came[f"{key}_low"], came[f"{key}_high"] = came[key] - 0.01, came[key] + 0.01
    curves = pd.DataFrame({"finding": ["Nodule", "Mass"], "prevalence": 0.1, "ppv": 0.5, "npv": 0.9})
    return {"as_came": came, "predictive_curves": curves, **more}


def test_three_misses_hide_the_hits_beside_them_and_every_share_of_either():
    row = hidden(tables())["as_came"].set_index("finding").loc["Nodule"]
    assert row[["hits", "misses", "recall", "recall_low", "precision", "negative_predictive_value"]].isna().all()
    assert row[["positives", "alarms", "rejections"]].tolist() == [100, 60, 240]
    assert row["specificity"] == 0.8


def test_a_finding_of_six_patients_shows_nothing_that_counts_them():
    shown = hidden(tables())
    row = shown["as_came"].set_index("finding").loc["Mass"]
    assert row.drop("films").isna().all()
    assert shown["predictive_curves"].empty  # Nodule's sensitivity is hidden too


def test_points_of_curves_with_a_small_cell_are_blank_and_the_others_stay():
    curve = pd.DataFrame(
        {"finding": ["Nodule", "Nodule", "Mass"], "coverage": [0.1, 0.2, 0.2], "wrong": [0.1, 0.15, 0.2],
         "answered": [40, 80, 80], "answered_wrong": [4, 12, 16], "answered_right": [36, 68, 64]}
    )  # fmt: skip
    shown = hidden(tables(risk_coverage=curve))["risk_coverage"]
    assert shown["finding"].tolist() == ["Nodule", "Nodule"]
    assert shown["wrong"].isna().tolist() == [True, False]
    assert shown["answered"].tolist() == [40, 80]  # which the coverage tells anyway


def test_a_few_missed_films_are_not_told_by_the_wrong_ones_less_the_false_alarms():
    row = {"finding": "Nodule", "risk": 0.1, "coverage": 0.5, "missed": 0.03, "alarmed": 0.1, "wrong": 0.2}
    row |= {"answered": 200, "left": 200, "answered_wrong": 33, "answered_right": 167}
    row |= {"missed_films": 3, "found_films": 97, "alarmed_films": 30, "spared_films": 270}
    shown = hidden(tables(abstaining=pd.DataFrame([row])))["abstaining"].iloc[0]
    assert shown[["missed", "missed_films", "found_films", "answered_wrong", "answered_right", "wrong"]].isna().all()
    assert shown[["alarmed", "alarmed_films", "answered", "left", "coverage"]].notna().all()
