"""Calibration, operating points and figures of decisions, against hand-worked numbers and scikit-learn."""

import itertools
import json

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from cxr.core.findings import FINDINGS
from cxr.evaluation import calibration, figures, metrics, operating_points, predictions, thresholds


def table(truth, probabilities, ids=None, split="test"):
    truth, probabilities = (np.repeat(np.asarray(a, dtype=float)[:, None], 6, axis=1) for a in (truth, probabilities))
    ids = ids or [f"nih/{i:08d}_000" for i in range(len(truth))]
    return predictions.build(
        ids, [f"p{i}" for i in range(len(truth))], [split] * len(ids), truth, probabilities, FINDINGS
    )


def overconfident(films=8_000, slope=2.0, shift=1.0, seed=1):
    """Truth drawn from a probability whose logit the model says ``slope`` times as large and shifted."""
    random = np.random.default_rng(seed)
    logits = random.normal(-1.5, 1, films)
    truth = (random.random(films) < 1 / (1 + np.exp(-logits))).astype(float)
    return truth, 1 / (1 + np.exp(-(slope * logits + shift)))


def test_figures_of_decisions_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    truth, decisions = random.random((300, 2)) < 0.3, random.random((300, 2)) < 0.4
    known = truth.astype(float)
    known[:20, 0] = np.nan
    found = figures.rates(figures.outcomes(known, decisions).sum(axis=0))
    for f, first in ((0, 20), (1, 0)):
        arrays = truth[first:, f], decisions[first:, f]
        expected = {
            "accuracy": sk.accuracy_score(*arrays),
            "precision": sk.precision_score(*arrays),
            "recall": sk.recall_score(*arrays),
            "specificity": sk.recall_score(~arrays[0], ~arrays[1]),
            "negative_predictive_value": sk.precision_score(~arrays[0], ~arrays[1]),
            "f1": sk.f1_score(*arrays),
            "balanced_accuracy": sk.balanced_accuracy_score(*arrays),
            "matthews_correlation": sk.matthews_corrcoef(*arrays),
        }
        assert set(expected) == {figure.key for figure in figures.RATES}
        assert {name: found[name][f] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_a_figure_without_a_denominator_is_not_a_number():
    found = figures.rates(np.array([0, 0, 5, 0]))  # no positive film, none called
    assert np.isnan([found[name] for name in ("precision", "recall", "f1", "matthews_correlation")]).all()
    assert (found["specificity"], found["negative_predictive_value"]) == (1, 1)


def test_replicates_of_figures_equal_plain_resampling_of_patients():
    random = np.random.default_rng(2)
    truth, decisions = (random.random((60, 1)) < 0.4).astype(float), random.random((60, 1)) < 0.5
    owner = random.integers(20, size=60)
    names = np.unique([f"{p:02d}" for p in owner])
    found = figures.replicate_rates(truth, decisions, [f"{p:02d}" for p in owner], 5, 9)
    draws = np.random.default_rng(9)
    for replicate in range(5):
        drawn = draws.integers(len(names), size=len(names))
        films = np.concatenate([np.flatnonzero(owner == int(names[p])) for p in drawn])
        assert found["f1"][replicate, 0] == pytest.approx(sk.f1_score(truth[films, 0], decisions[films, 0]))


def test_brier_score_error_and_calibration_in_the_large_by_hand():
    # Ten films, ten bins of one film each but for the equal ones: |0 - .1| x 8 films, |1 - .6| and |0 - .8|.
    truth, scores = np.array([0] * 8 + [1, 0.0]), np.array([0.1] * 8 + [0.6, 0.8])
    found = calibration.measure(truth, scores, np.arange(10), 0, 1)
    assert found["brier"] == pytest.approx((8 * 0.01 + 0.16 + 0.64) / 10)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(truth, scores))
    assert found["in_the_large"] == pytest.approx(0.1 - (0.8 + 1.4) / 10)
    assert found["expected_calibration_error"] == pytest.approx((8 * 0.1 + 0.4 + 0.8) / 10)
    assert [one["films"] for one in found["reliability"]] == [8, 1, 1]
    assert found["brier_interval"] is None


def test_films_with_unknown_truth_or_without_a_calibrated_probability_count_nowhere():
    found = calibration.measure(np.array([1, np.nan, 0]), np.array([0.5, 0.9, np.nan]), np.arange(3), 0, 1)
    assert (found["films"], found["brier"]) == (1, 0.25)
    assert calibration.measure(np.array([np.nan]), np.array([0.5]), np.arange(1), 0, 1) is None


def test_scaling_finds_the_slope_and_shift_that_a_model_is_wrong_by():
    truth, scores = overconfident(shift=1.0)
    fitted = calibration.fit_calibration(table(truth, scores, split="val"))
    edema = fitted["findings"]["Edema"]["nih"]
    assert edema["slope"] == pytest.approx(0.5, abs=0.05)
    assert edema["intercept"] == pytest.approx(-0.5, abs=0.1)
    test_truth, test_scores = overconfident(shift=1.0, seed=2)
    test = table(test_truth, test_scores)
    mended = calibration.calibrated(test, fitted)[:, 2]
    before = calibration.measure(test_truth, test_scores, np.arange(8_000), 0, 1)
    after = calibration.measure(test_truth, mended, np.arange(8_000), 0, 1)
    assert after["expected_calibration_error"] < 0.02
    assert before["expected_calibration_error"] > 0.05
    assert after["brier"] < before["brier"]
    assert abs(after["in_the_large"]) < 0.015
    assert np.array_equal(np.argsort(mended, kind="stable"), np.argsort(test["Edema_prob"], kind="stable"))
    assert json.loads(json.dumps(fitted, allow_nan=False)) == fitted


def test_each_hospital_has_its_own_fit_and_without_enough_films_the_pooled_one_or_none():
    truth, scores = overconfident(4000)
    ids = (
        [f"nih/{i}" for i in range(2000)]
        + [f"chexpert/train/{i}" for i in range(1990)]
        + [f"seoul/{i}" for i in range(10)]
    )
    fitted = calibration.fit_calibration(table(truth, scores, ids, "val"))["findings"]["Edema"]
    assert fitted["nih"]["slope"] != fitted["chexpert"]["slope"]
    assert fitted["seoul"]["slope"] == fitted["pooled"]["slope"]
    assert fitted["seoul"]["reason"] == "fewer than 10 positive or negative films in val"
    few = calibration.fit_calibration(table([0, 1], [0.1, 0.2], split="val"))
    assert few["findings"]["Edema"]["nih"]["slope"] is None
    assert np.isnan(calibration.calibrated(table([0, 1], [0.1, 0.2]), few)).all()
    for scores_of_all in (np.full(4000, 0.3), np.linspace(1e-59, 1e-9, 4000)):  # a logit has no slope to learn
        flat = calibration.fit_calibration(table(truth, scores_of_all, split="val"))["findings"]["Edema"]["nih"]
        assert flat["reason"] == "all val films have the same probability (to 1e-06 of 0 and 1)"
    backwards = calibration.fit_calibration(table(1 - truth, scores, split="val"))["findings"]["Edema"]["nih"]
    assert backwards["reason"] == "val films with the finding have the lower probabilities"


def test_operating_points_reach_on_val_what_they_promise_and_no_point_is_better():
    truth, scores = overconfident(3000)
    val = table(truth, scores, split="val")
    fitted = operating_points.fit_on_val(val, "f1")
    found = operating_points.at_points(val, fitted)["Edema"]
    assert list(found) == list(operating_points.POINTS)
    assert 0.90 <= found["sensitivity_90"]["recall"] < 0.905
    assert 0.90 <= found["specificity_90"]["specificity"] < 0.905
    false_rate, true_rate, _ = sk.roc_curve(truth, scores)
    youden = found["youden"]["recall"] + found["youden"]["specificity"] - 1
    assert youden == pytest.approx((true_rate - false_rate).max())
    assert found["f1"]["f1"] == max(point["f1"] for point in found.values())
    assert fitted["val"]["digest"] == thresholds.fit_thresholds(val, "f1")["val"]["digest"]
    assert json.loads(json.dumps(fitted, allow_nan=False)) == fitted
    assert set(fitted["operating_points"]["youden"]) == set(FINDINGS)


def test_points_by_hand():
    # Sensitivity .90 of two positives needs both: all down to 0.2. Specificity .90 of four negatives allows no alarm.
    truth, scores = np.array([1, 0, 1, 0, 0, 0.0]), np.array([0.9, 0.4, 0.2, 0.1, 0.1, 0.0])
    assert thresholds.best_threshold(truth, scores, "sensitivity_90") == pytest.approx(0.15)
    assert thresholds.best_threshold(truth, scores, "specificity_90") == pytest.approx(0.65)
    nobody = thresholds.best_threshold(1 - truth, scores, "specificity_90")  # the highest film is negative
    assert 0.9 < nobody < 0.9 + 1e-9


def test_what_could_not_be_calibrated_has_its_reason_in_the_metrics():
    truth = np.zeros((40, 6))
    truth[:3] = 1  # too few positive films of val for a fit
    ids = [f"nih/{i}" for i in range(40)]
    probabilities = np.random.default_rng(1).random((40, 6))
    val, test = (predictions.build(ids, ids, [split] * 40, truth, probabilities, FINDINGS) for split in ("val", "test"))
    values = metrics.evaluate(test, operating_points.fit_on_val(val, "f1"), 0, 1)["findings"]["Edema"]["calibration"]
    assert values["after"] is None
    assert values["reason"] == "40 films of nih left out: fewer than 10 positive or negative films in val"


# Weights of members


def members_of(truth, *logits, ids=None):
    return {f"member {m}": table(truth, 1 / (1 + np.exp(-one)), ids, "val") for m, one in enumerate(logits)}


def weights_of(tables) -> list[float]:
    return list(calibration.fit_ensemble(tables)["findings"]["Edema"]["weights"].values())


def drawn(films=4_000, seed=3):
    """Truth by two signals, of which the first tells three times as much, and a noise that tells nothing."""
    one, two, noise = np.random.default_rng(seed).normal(size=(3, films))
    truth = (np.random.default_rng(seed + 1).random(films) < 1 / (1 + np.exp(-(1.5 * one + 0.5 * two - 1)))).astype(
        float
    )
    return truth, one, two, noise


def test_weights_are_what_members_add_to_the_logit():
    truth, one, two, _ = drawn()
    found = weights_of(members_of(truth, one, two))
    assert found == pytest.approx([0.75, 0.25], abs=0.03)
    assert sum(found) == pytest.approx(1)


def test_a_member_that_would_count_against_a_finding_counts_for_nothing():
    truth, one, two, _ = drawn()
    assert weights_of(members_of(truth, one, -two)) == [1, 0]


def test_weights_are_the_best_fit_without_a_slope_below_zero():
    truth, one, two, noise = drawn(800)
    logits = np.stack([one, two - 0.8 * one, noise, -two])
    # The best of those fits, of some members, in which all slopes are above 0.
    fits = []
    for chosen in (list(some) for count in range(4) for some in itertools.combinations(range(4), count + 1)):
        model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(logits[chosen].T, truth)
        slopes = np.zeros(4)
        slopes[chosen] = model.coef_[0]
        if (slopes[chosen] > 0).all():
            fits.append((log_loss(truth, model.predict_proba(logits[chosen].T)), (slopes / slopes.sum()).tolist()))
    found = weights_of(members_of(truth, *logits))
    assert found == pytest.approx(min(fits)[1], abs=1e-4)
    assert 0 in found


def test_any_number_of_members_can_be_weighed():
    truth, one, two, noise = drawn()
    found = weights_of(members_of(truth, *(one + shift * noise for shift in np.linspace(-1, 1, 30)), -two))
    assert (sum(found), found[-1]) == (pytest.approx(1), 0)


def test_telling_hospitals_of_another_prevalence_apart_is_no_merit():
    truth, one, _, noise = drawn()
    elsewhere = np.arange(len(truth)) % 2 == 1
    truth[elsewhere] = np.where(noise[elsewhere] < 1, 1, truth[elsewhere])  # far more films with the finding there
    ids = [f"{'chexpert' if other else 'nih'}/{i:08d}_000" for i, other in enumerate(elsewhere)]
    knows_the_hospital = np.where(elsewhere, 3.0, -3.0)
    assert weights_of(members_of(truth, one, knows_the_hospital, ids=ids))[1] < 0.05


def test_where_val_cannot_tell_members_count_alike_and_it_is_said():
    truth, one, two, _ = drawn(400)
    truth[np.flatnonzero(truth == 1)[19:]] = np.nan
    fit = calibration.fit_ensemble(members_of(truth, one, two))["findings"]["Edema"]
    assert (fit["weights"], fit["positives"]) == (None, 19)
    assert fit["reason"] == "fewer than 20 positive or negative films in val"
    truth, one, two, _ = drawn(400)
    fit = calibration.fit_ensemble(members_of(truth, -one, -two))["findings"]["Edema"]
    assert (fit["weights"], fit["reason"]) == (None, "no member ranks val's films rightly")
    assert json.dumps(fit)
