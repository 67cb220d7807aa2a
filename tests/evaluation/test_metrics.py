"""Metrics against numbers worked out by hand, scikit-learn, and the published figures of a real network."""

import json
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from cxr.core.command_line import PROJECT
from cxr.core.findings import FINDINGS
from cxr.evaluation import bootstrap, figures, metrics, predictions, thresholds
from cxr.report import model_card, page_tables, result_table

REAL = PROJECT.parent / "shared" / "data"


def table(truth, probabilities, ids=None, patients=None, split="test") -> pd.DataFrame:
    """A predictions table whose six findings all have the truth and probabilities (N,) given."""
    truth, probabilities = (np.repeat(np.asarray(a, dtype=float)[:, None], 6, axis=1) for a in (truth, probabilities))
    ids = ids or [f"nih/{i:08d}_000" for i in range(len(truth))]
    return predictions.build(
        ids, patients or [f"p{i}" for i in range(len(truth))], [split] * len(ids), truth, probabilities, FINDINGS
    )


HAND = table([1, 1, 1, 0, 0, 0, 0, np.nan], [0.9, 0.7, 0.3, 0.8, 0.2, 0.1, 0.1, 0.99])


def at(threshold: float, hospitals=("nih",)) -> dict:
    fitted = {"threshold": threshold, "fitted_on": "nih"}
    findings = {finding: {name: fitted for name in ("pooled", *hospitals)} for finding in FINDINGS}
    return {"rule": "f1", "val": {"films": 0, "patients": 0, "digest": ""}, "findings": findings}


def test_figures_of_a_hand_worked_example_and_an_unknown_label_counts_nowhere():
    # Called at 0.5: 0.9 (true), 0.8 (false), 0.7 (true); missed: 0.3. The film at 0.99 has no known label.
    values = metrics.evaluate(HAND, at(0.5), 0, 1)["findings"]["Edema"]
    counts = [values[f"{kind}_{sign}"] for kind in ("true", "false") for sign in ("positives", "negatives")]
    assert counts == [2, 3, 1, 1]
    assert (values["films"], values["positives"], values["negatives"], values["unknown"]) == (7, 3, 4, 1)
    assert values["accuracy"] == 5 / 7
    assert values["precision"] == values["recall"] == 2 / 3
    assert values["f1"] == pytest.approx(2 / 3)
    assert values["specificity"] == 3 / 4
    assert values["balanced_accuracy"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert (values["prevalence"], values["always_no_accuracy"]) == (3 / 7, 4 / 7)
    # Of 12 pairs the positive film wins 4 + 3 + 3; precision at the positives is 1, 2/3 and 3/4.
    assert values["auroc"] == pytest.approx(10 / 12)
    assert values["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert values["auroc_interval"] is None


def test_total_is_micro_over_known_cells_and_macro_the_mean_of_defined_findings():
    mixed = HAND.copy()
    mixed.loc[:, "Edema_true"] = [1, 0, 0, 0, 0, 0, 0, 0]  # at 0.5: 1 hit, 3 alarms (0.8, 0.7, 0.99)
    mixed.loc[:, "Pneumonia_true"] = np.nan
    result = metrics.evaluate(mixed, at(0.5), 0, 1)
    total, macro = result["total"], result["macro"]
    assert (total["cells"], total["positives"], total["unknown"]) == (4 * 7 + 8, 4 * 3 + 1, 4 + 8)
    assert total["precision"] == (4 * 2 + 1) / (4 * 3 + 4)
    assert total["recall"] == (4 * 2 + 1) / (4 * 3 + 1)
    assert macro["precision"] == pytest.approx((4 * 2 / 3 + 1 / 4) / 5)
    assert macro["auroc_over"] == [f for f in FINDINGS if f != "Pneumonia"]
    assert result["findings"]["Pneumonia"]["reason"] == "no film with a known label"
    said = "Accuracy, Precision, Recall, Prevalence, Always-no accuracy, AUROC, AP, F1 over 5 of 6 findings"
    assert f"* Mean (macro): {said}." in result_table.result_text(result)
    assert said in result_table.result_table(result)["Notes"].iloc[-1]  # of result.csv
    (mean,) = (note for note in page_tables.all_figures(result, FINDINGS).notes if "over 5 of 6 findings" in note)
    assert mean.startswith("Mean (macro): AUROC, ")
    assert "over 5 of 6 findings" in "\n".join(model_card._results(result))
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize(("label", "reason"), [(0, "no positive film"), (1, "no negative film")])
def test_an_auroc_of_one_class_is_undefined_and_says_why(label, reason):
    values = metrics.evaluate(table([label] * 3, [0.1, 0.2, 0.3]), at(0.5), 20, 1)["findings"]["Effusion"]
    assert values["auroc"] is None
    assert values["auroc_interval"] is None
    assert values["replicates_dropped"] == 20
    assert values["reason"] == reason
    assert values["precision"] is None  # nothing was called


def test_a_threshold_lies_midway_below_the_best_cut_and_rules_differ():
    truth = np.array([1, 0, 1, 0, 0, 0, 0, 0, 0, 0.0])
    probabilities = np.array([0.9, 0.8, 0.6, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert thresholds.best_threshold(truth, probabilities, "f1") == pytest.approx(0.5)  # F1 .8 against .667 above 0.8
    truth = np.array([1, 0, 0, 1, 0, 0, 0, 0, 0, 0.0])
    assert thresholds.best_threshold(truth, probabilities, "f1") == pytest.approx(0.85)  # F1 2/3 twice: the higher cut
    assert thresholds.best_threshold(truth, probabilities, "youden") == pytest.approx(0.25)  # 1 - 2/8 against 1/2


def test_the_f1_threshold_is_the_best_of_all():
    random = np.random.default_rng(2)
    truth, probabilities = (random.random(200) < 0.2).astype(float), random.random(200).round(2)
    best = thresholds.best_threshold(truth, probabilities, "f1")
    reached = f1_score(truth, probabilities >= best)
    assert reached == max(f1_score(truth, probabilities >= cut) for cut in probabilities)


def test_thresholds_are_fitted_per_hospital_and_fall_back_to_the_pooled_one_saying_so():
    ids = ["nih/1", "nih/2", "nih/3", "chexpert/train/p/s/1", "chexpert/train/p/s/2", "seoul/1"]
    val = table([0, 1, 1, 0, 1, 0], [0.1, 0.3, 0.4, 0.6, 0.8, 0.35], ids, split="val")
    fitted = thresholds.fit_thresholds(val, "f1")
    edema = fitted["findings"]["Edema"]
    assert edema["nih"]["threshold"] == pytest.approx(0.2)
    assert edema["pooled"]["threshold"] == pytest.approx(0.2)  # F1 6/8 against 4/6 above 0.35
    assert edema["chexpert"]["threshold"] == pytest.approx(0.7)
    assert edema["seoul"] == {
        **{"threshold": edema["pooled"]["threshold"], "fitted_on": "pooled", "films": 1, "positives": 0},
        **{"negatives": 1, "prevalence": 0.0, "reason": "no positive film in val"},
        "few": "3 positive patients",  # of the pooled fit
    }
    assert edema["nih"]["prevalence"] == 2 / 3
    assert edema["nih"]["few"] == "1 negative patient"
    assert fitted["val"]["films"] == 6
    assert fitted["val"]["digest"] == thresholds.fit_thresholds(val[::-1], "f1")["val"]["digest"]
    test = table([0] * 4, [0.25] * 4, ["nih/9", "chexpert/valid/p/s/v", "chexpert/train/q/s/v", "busan/1"])
    assert thresholds.decide(test, fitted)[:, 0].tolist() == [True, False, False, True]
    assert json.loads(json.dumps(fitted, allow_nan=False)) == fitted


def test_a_probability_that_equals_the_threshold_is_called():
    val = table([1, 0, 1], [0.9, 0.5, 0.25], split="val")  # all called is best: nothing lies below the lowest cut
    fitted = thresholds.fit_thresholds(val, "f1")
    assert fitted["findings"]["Edema"]["nih"]["threshold"] == 0.25
    assert thresholds.decide(val, fitted).all()


def test_one_patient_has_figures_but_no_interval():
    result = metrics.evaluate(table([1, 0, 1], [0.9, 0.5, 0.25], patients=["nih-1"] * 3), at(0.5), 50, 1)
    assert result["findings"]["Edema"]["auroc"] == 0.5
    assert result["findings"]["Edema"]["auroc_interval"] is None
    assert "AUROC without an interval: 1 positive patient." in result_table.result_text(result)
    assert result["findings"]["Edema"]["without_interval"]["recall"] == "it is of one patient"


def test_without_both_classes_anywhere_in_val_the_threshold_is_one_half():
    fitted = thresholds.fit_thresholds(table([0, 0], [0.1, 0.2], split="val"), "youden")["findings"]["Pneumonia"]
    assert (fitted["nih"]["threshold"], fitted["nih"]["fitted_on"]) == (0.5, "nothing")
    assert fitted["pooled"]["reason"] == "no positive film in val"


def test_expert_and_report_labels_are_shown_apart_and_pooled_only_at_the_top():
    ids = ["nih/1", "nih/2", "chexpert/valid/a/s/v", "chexpert/valid/b/s/v", "chexpert/train/c/s/v"]
    result = metrics.evaluate(
        table([0, 1, 0, 1, 1], [0.1, 0.9, 0.9, 0.1, 0.7], ids), at(0.5, ("nih", "chexpert")), 10, 1
    )
    assert list(result) == ["findings", "total", "macro", "by_source", "protocol"]
    assert list(result["by_source"]) == ["chexpert-train", "chexpert-valid", "nih"]
    aurocs = {name: block["findings"]["Edema"]["auroc"] for name, block in result["by_source"].items()}
    assert aurocs == {"chexpert-train": None, "chexpert-valid": 0, "nih": 1}
    assert result["findings"]["Edema"]["films"] == 5
    text = result_table.result_text(result)
    assert "All 5 films pooled (chexpert-train 1, chexpert-valid 2, nih 2)" in text
    assert "Edema, Effusion, Pneumonia, Cardiomegaly: AUROC, AP n/a: no negative film." in text


def tied_films(films=400, patients=150):
    random = np.random.default_rng(3)
    truth = (random.random((films, 2)) < [0.1, 0.4]).astype(float)
    truth[random.random((films, 2)) < 0.1] = np.nan
    probabilities = np.clip(random.normal(0.3 + 0.2 * np.nan_to_num(truth), 0.2), 0, 1).round(1)  # many ties
    return truth, probabilities, random.integers(patients, size=films)


def test_weights_of_one_give_the_figures_of_scikit_learn_ties_included():
    truth, probabilities, _ = tied_films()
    for f in range(2):
        known = ~np.isnan(truth[:, f])
        ours = figures.scores(figures.rank(truth[:, f], probabilities[:, f], np.arange(400)), np.ones(400, dtype=int))
        assert ours[0] == pytest.approx(roc_auc_score(truth[known, f], probabilities[known, f]), abs=1e-14)
        assert ours[1] == pytest.approx(average_precision_score(truth[known, f], probabilities[known, f]), abs=1e-14)


@pytest.mark.parametrize("patients", [400, 150])
def test_weighted_replicates_equal_plain_resampling_of_the_same_draws(patients):
    truth, probabilities, owner = tied_films(patients=patients)
    if patients == 400:
        owner = np.arange(400)  # one film a patient
    names = np.unique([f"{p:03d}" for p in owner])
    auroc, precision = figures.replicate_scores(truth, probabilities, [f"{p:03d}" for p in owner], 20, 7).values()
    random = np.random.default_rng(7)
    for replicate in range(20):
        drawn = random.integers(len(names), size=len(names))
        films = np.concatenate([np.flatnonzero(owner == int(names[p])) for p in drawn])
        for f in range(2):
            sample = films[~np.isnan(truth[films, f])]
            labels, scores = truth[sample, f], probabilities[sample, f]
            assert auroc[replicate, f] == pytest.approx(roc_auc_score(labels, scores), abs=1e-13)
            assert precision[replicate, f] == pytest.approx(average_precision_score(labels, scores), abs=1e-13)


def test_replicates_without_both_classes_are_dropped_and_counted():
    films = table([1] * 5 + [0] * 95, [0.9] * 4 + [0.3] + [0.2] * 50 + [0.6] * 45)
    values = metrics.evaluate(films, at(0.5), 2000, 1)["findings"]["Effusion"]
    assert 2 < values["replicates_dropped"] < 25  # (95/100)^100 = 0.6 % have no positive film
    low, high = values["auroc_interval"]
    assert 0 <= low <= values["auroc"] <= high <= 1


def test_intervals_do_not_hang_on_the_order_of_films_and_widen_when_films_share_a_patient():
    random = np.random.default_rng(4)
    truth = np.repeat((random.random(60) < 0.4).astype(float), 8)  # 60 patients whose 8 films agree
    probabilities = np.repeat(random.random(60), 8) * 0.5 + truth * 0.2
    owners = [f"p{i // 8}" for i in range(480)]
    clustered, single = table(truth, probabilities, patients=owners), table(truth, probabilities)
    order = random.permutation(480)
    interval = metrics.evaluate(clustered, at(0.5), 100, 1)["macro"]["auroc_interval"]
    assert interval == metrics.evaluate(clustered.iloc[order], at(0.5), 100, 1)["macro"]["auroc_interval"]
    low, high = metrics.evaluate(single, at(0.5), 100, 1)["macro"]["auroc_interval"]
    assert interval[1] - interval[0] > 2 * (high - low)


def test_the_interval_of_a_mean_is_by_patient():
    values = np.array([1.0, 1.0, 1.0, 0.0, np.nan])
    assert bootstrap.mean_interval(values, ["a", "a", "a", "b", "b"], 500, 1) is None  # of two patients
    means = bootstrap.mean_interval([0, 0, 1, 1, 1, 1], ["a", "a", *"bcde"], 2000, 1)
    assert means == [0.25, 1.0]  # a is drawn three times of five in 5 %: 2 of 8 are 1; four times in 0.6 %
    many = np.random.default_rng(5).normal(0.9, 0.05, 400)
    low, high = bootstrap.mean_interval(many, np.arange(400), 1000, 1)
    assert (high - low) == pytest.approx(2 * 1.96 * many.std() / 20, rel=0.1)


def test_the_mean_auroc_is_over_defined_findings_and_nan_without_any():
    truth = np.array([[0, 1, np.nan], [1, 1, 1], [np.nan, 1, 0]])
    probabilities = np.array([[0.1, 0.5, 0.5], [0.9, 0.5, 0.2], [0.0, 0.5, 0.8]])
    assert metrics.mean_auroc(truth, probabilities) == 0.5  # 1 and 0; the second has one class
    assert np.isnan(metrics.mean_auroc(truth[:, 1:2], probabilities[:, 1:2]))


def test_the_result_table_has_the_originals_columns_first_and_total_and_mean_last():
    result = metrics.evaluate(HAND, at(0.5), 50, 1)
    shown = result_table.result_table(result)
    assert list(shown.columns[:4]) == ["finding", "Accuracy", "Precision", "Recall"]
    assert list(shown["finding"]) == [*FINDINGS, "Total (micro)", "Mean (macro)"]
    assert shown["Films"].tolist() == [7] * 6 + [8, pd.NA]
    text = result_table.result_text(result)
    assert text.splitlines()[0] == "nih: 8 films"
    assert len({len(line) for line in text.splitlines()[1:10]}) == 1
    assert "Consolidation     0.714      0.667   0.667       0.429      0.571  0.833" in text


def test_a_figure_that_is_not_defined_is_n_a_with_its_reason_below():
    text = result_table.result_text(metrics.evaluate(table([0, 0, 0], [0.1, 0.2, 0.3]), at(0.5), 10, 1))
    assert "n/a" in text.splitlines()[3]
    every = ", ".join(FINDINGS)
    assert f"* {every}: Recall, AUROC, AP n/a: no positive film." in text
    assert f"* {every}, Total (micro): Precision n/a: no film is called." in text
    assert "* Mean (macro): Precision, Recall, AUROC, AP, F1 n/a: not defined for any finding." in text


@pytest.mark.skipif(not (REAL / "peers").is_dir(), reason=f"needs the real predictions in {REAL / 'peers'}")
def test_a_published_network_gets_its_published_aurocs_to_the_last_digit():
    peer = pd.read_csv(REAL / "peers" / "chexnet_reproduction_predictions.csv.gz")
    labels = pd.read_csv(REAL / "nih" / "Data_Entry_2017.csv.gz", index_col="Image Index").loc[peer["Image Index"]]
    truth = np.stack([labels["Finding Labels"].str.contains(finding) for finding in FINDINGS], axis=1)
    probabilities = peer[[f"prob_{finding}" for finding in FINDINGS]]
    ids = "nih/" + peer["Image Index"].str.removesuffix(".png")
    real = predictions.build(ids, labels["Patient ID"], ["test"] * len(peer), truth, probabilities, FINDINGS)
    begin = time.process_time()
    result = metrics.evaluate(real, thresholds.fit_thresholds(real[:4000], "f1"), 200, 1)
    assert time.process_time() - begin < 10
    assert {finding: values["auroc"] for finding, values in result["findings"].items()} == {
        "Consolidation": 0.8002045198129359,
        "Pneumothorax": 0.8776145243493956,
        "Edema": 0.8944599670561432,
        "Effusion": 0.8827164014509215,
        "Pneumonia": 0.7616870310044441,
        "Cardiomegaly": 0.909014913721344,
    }
    assert result["protocol"]["patients"] == 6187


def test_where_all_are_right_the_interval_of_a_share_is_exact_and_of_a_ranking_there_is_none():
    # 11 positives of 11 patients, all called; 30 negatives, of which 3 are called, ranked below all positives.
    truth, probabilities = np.r_[np.ones(11), np.zeros(30)], np.r_[np.full(11, 0.9), np.full(3, 0.6), np.full(27, 0.1)]
    result = metrics.evaluate(table(truth, probabilities), at(0.5), 200, 1)
    values = result["findings"]["Edema"]
    # Clopper and Pearson, all of n right: from the n-th root of .025.
    assert values["recall_interval"] == pytest.approx([0.025 ** (1 / 11), 1.0])
    assert values["negative_predictive_value_interval"] == pytest.approx([0.025 ** (1 / 27), 1.0])
    assert values["exact_intervals"] == ["recall", "negative_predictive_value"]
    assert values["specificity_interval"][0] < 0.9 < values["specificity_interval"][1]
    assert (values["auroc"], values["auroc_interval"]) == (1, None)
    assert not values["too_few"]
    text = result_table.result_text(result)
    assert f"* {', '.join(FINDINGS)}, Mean (macro): AUROC without an interval: every resample that defines it" in text
    assert "Clopper-Pearson, by films" in result["protocol"]["interval"]


@pytest.mark.parametrize(
    ("positives", "silent", "marked"),
    [(1, "1 positive patient", True), (4, "4 positive patients", True), (5, None, True), (9, None, True),
     (10, None, False), (26, "4 negative patients", True)],
)  # fmt: skip
def test_below_five_patients_resampling_says_nothing_and_below_ten_a_figure_is_marked(positives, silent, marked):
    truth = np.r_[np.ones(positives), np.zeros(30 - positives)]
    probabilities = np.r_[np.linspace(0.9, 0.3, positives), np.linspace(0.6, 0.1, 30 - positives)]
    result = metrics.evaluate(table(truth, probabilities), at(0.5), 200, 1)
    values, macro = result["findings"]["Edema"], result["macro"]
    assert values["auroc"] > 0.5
    assert values["too_few"] == marked
    both = ("auroc", "average_precision", "f1", "balanced_accuracy", "brier", "expected_calibration_error")
    for key in both:
        assert values["without_interval"].get(key) == silent
        assert (values[f"{key}_interval"] is None) == bool(silent)
    assert values["calibration"]["before"]["without_interval"].get("in_the_large") == silent
    # Shares of films of one kind have exact intervals, as all shares of few patients.
    assert values["specificity_interval"][0] < values["specificity"]
    assert macro["without_interval"].get("auroc") == (silent and "fewer than 5 patients in 6 of its 6 findings")
    text = result_table.result_text(result)
    if silent:
        assert f"{', '.join(FINDINGS)}: not told from guessing: {silent}, too few to tell." in text
        assert f"{', '.join(FINDINGS)}: AUROC without an interval: {silent}." in text
    assert ("too few to tell" in text) == bool(silent)


def test_what_is_fitted_on_few_patients_of_val_says_so_where_it_is_used():
    val = table([1] + [0] * 29, np.linspace(0.9, 0.1, 30), [f"own/{n}" for n in range(30)], split="val")
    fitted = thresholds.fit_thresholds(val, "f1")
    assert fitted["findings"]["Edema"]["own"]["few"] == "1 positive patient"
    test = table([1, 0] * 12, np.linspace(0.9, 0.1, 24), [f"own/{n}" for n in range(24)])
    text = result_table.result_text(metrics.evaluate(test, fitted, 0, 1))
    assert f"* {', '.join(FINDINGS)}: threshold on films of own: fitted on 1 positive patient: too few." in text
    enough = thresholds.fit_thresholds(test.assign(split="val"), "f1")
    assert "fitted on" not in result_table.result_text(metrics.evaluate(test, enough, 0, 1))


def test_a_share_of_few_patients_has_an_exact_interval_and_of_one_patient_none():
    truth = np.r_[np.ones(8), np.zeros(40)]
    probabilities = np.r_[np.full(5, 0.9), np.full(3, 0.1), np.full(20, 0.9), np.full(20, 0.1)]
    values = metrics.evaluate(table(truth, probabilities), at(0.5), 100, 1)["findings"]["Edema"]
    assert values["recall_interval"] == pytest.approx([0.2449, 0.9148], abs=1e-4)  # 5 of 8, as in any table
    assert values["too_few"]
    assert values["exact_intervals"] == ["recall"]
    patients = ["a"] * 8 + [f"p{i}" for i in range(40)]
    values = metrics.evaluate(table(truth, probabilities, patients=patients), at(0.5), 100, 1)["findings"]["Edema"]
    assert "recall" not in values["exact_intervals"]


@pytest.mark.parametrize(
    ("auroc", "limits", "probabilities", "reason"),
    [
        (0.52, [0.44, 0.61], [0.1, 0.9], "AUROC 0.520, whose interval (0.440 to 0.610) holds 0.5"),
        (0.40, [0.31, 0.49], [0.1, 0.9], "AUROC 0.400, whose interval (0.310 to 0.490) lies below 0.5"),
        (0.58, [0.51, 0.64], [0.486, 0.493], "all probabilities lie between 0.486 and 0.493"),
        (0.58, [0.51, 0.64], [0.001, 0.003], None),  # of a rare finding: these differ by a logit
        (0.58, [0.51, 0.64], [0.1, 0.9], None),
        (0.50, None, [0.1, 0.9], "AUROC 0.500"),
        (1.0, None, [0.1, 0.9], None),
        (None, None, [0.1, 0.9], None),
    ],
)
def test_what_is_not_told_from_guessing_has_a_reason(auroc, limits, probabilities, reason):
    assert metrics.why_guessing(auroc, limits, np.array(probabilities)) == reason


def test_a_model_that_guesses_is_called_one_in_the_table_and_one_that_has_learned_is_not():
    random = np.random.default_rng(0)
    truth = (random.random(300) < 0.3).astype(float)
    guess = metrics.evaluate(table(truth, random.random(300)), at(0.5), 100, 1)
    assert "* Mean (macro): NOT TOLD FROM GUESSING: AUROC 0." in result_table.result_text(guess)
    (mean, findings) = metrics.told_of_guessing(**metrics.guessing_of(guess))
    assert mean.startswith("NOT TOLD FROM GUESSING: the mean over the findings (AUROC 0.")
    assert all(f"{finding} (AUROC" in findings for finding in FINDINGS)
    learned = metrics.evaluate(table(truth, 0.3 * truth + random.random(300)), at(0.5), 100, 1)
    assert metrics.told_of_guessing(**metrics.guessing_of(learned)) == []
    assert "GUESSING" not in result_table.result_text(learned).upper()


@pytest.mark.parametrize(
    ("probability", "threshold", "texts"),
    [
        (0.91, 0.5, ("0.91", "0.50")),
        (0.494, 0.4936, ("0.4940", "0.4936")),
        (0.4951, 0.4949, ("0.50", "0.49")),
        (0.5, 0.5, ("0.50", "0.50")),  # called: it reaches the threshold
        (np.float32(0.7), float(np.nextafter(np.float32(0.7), np.float32(1))), ("0.69999999", "0.70000005")),
    ],
)
def test_a_probability_and_its_threshold_have_the_digits_that_show_the_decision(probability, threshold, texts):
    shown = thresholds.beside_threshold(probability, threshold)
    assert (float(shown[0]) >= float(shown[1])) == (probability >= threshold)
    assert shown == texts


def test_a_threshold_shows_the_decision_on_every_film():
    assert thresholds.threshold_text(0.49361, [0.1, 0.4931, 0.9]) == "0.494"
    assert thresholds.threshold_text(0.49361, [0.1, 0.4936, 0.9]) == "0.49361"
    assert thresholds.threshold_text(0.49361, []) == "0.49"


def test_total_and_findings_that_count_different_films_say_so_in_terminal_and_file():
    some = HAND.copy()
    some.loc[:1, "split"] = "val"  # a share that was fitted on: ranked, not decided
    result = metrics.evaluate(some, at(0.5), 0, 1)
    note = "Total, and all figures but AUROC and average precision: on the 6 films that nothing was fitted on"
    assert f"* Total (micro): {note}" in result_table.result_text(result)
    shown = result_table.result_table(result).set_index("finding")
    assert note in shown.loc["Total (micro)", "Notes"]
    assert (shown.loc["Edema", "Films"], shown.loc["Total (micro)", "Films"]) == (7, 6)
