"""Subgroups with their n and marks, and paired comparisons of models."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.evaluation import bootstrap, comparison, figures, metrics, predictions, subgroups, thresholds
from cxr.report import page_tables

NONE = {"rule": "f1", "findings": thresholds.fit_thresholds(
    predictions.build([], [], [], np.empty((0, 6)), np.empty((0, 6)), FINDINGS), "f1")["findings"]}  # fmt: skip


def films(n=600, quality=(1.5, 0.5), seed=1):
    """Two views, of which the model is good in the first; three films a patient, in both views."""
    random = np.random.default_rng(seed)
    truth = (random.random((n, 6)) < 0.3).astype(float)
    first = random.random(n) < 0.5
    strength = np.where(first, *quality)[:, None]
    probabilities = 1 / (1 + np.exp(-random.normal(strength * (truth - 0.5) * 2, 1)))
    ids = [f"nih/{i:08d}_000" for i in range(n)]
    table = predictions.build(ids, [f"p{i // 3:04d}" for i in range(n)], ["test"] * n, truth, probabilities, FINDINGS)
    facts = pd.DataFrame({"image_id": ids, "view": np.where(first, "PA", "AP"), "sex": "F", "age": np.arange(n) % 100})
    return table, facts


def test_every_film_is_in_one_group_of_each_grouping_and_the_unknown_are_a_group():
    table, facts = films(6)
    facts["age"] = [17, 18, 39, 79, 80, None]
    facts.loc[0, "sex"] = None
    groups = subgroups.groupings(table, facts[1:][::-1])  # the first film is not in the table of facts
    assert groups["age"].tolist() == ["not known", "18-39", "18-39", "60-79", "80 and over", "not known"]
    assert groups["sex"].tolist() == ["not known"] + ["F"] * 5
    assert set(groups["source"]) == {"nih"}


def test_figures_of_a_group_are_those_of_its_films_alone_and_the_gap_is_their_difference():
    table, facts = films()
    found = subgroups.evaluate(table, subgroups.groupings(table, facts), NONE, 100, 1)
    here = (facts["view"] == "PA").to_numpy()
    block = found["view"]["groups"]["PA"]
    truth, probabilities = predictions.arrays(table[here])
    assert block["films"] == here.sum()
    assert block["patients"] == table["patient_id"][here].nunique()
    edema = block["findings"]["Edema"]
    assert edema["auroc"] == roc_auc_score(truth[:, 2], probabilities[:, 2])
    assert edema["recall"] == pytest.approx((probabilities[truth[:, 2] == 1, 2] >= 0.5).mean())
    assert edema["recall_interval"][0] <= edema["recall"] <= edema["recall_interval"][1]
    assert not edema["too_few"]
    gap = found["view"]["gap"]
    assert (gap["first"], gap["second"]) == ("PA", "AP")
    low, high = gap["findings"]["Edema"]["interval"]
    assert 0 < low < gap["findings"]["Edema"]["difference"] < high
    other = found["view"]["groups"]["AP"]["findings"]["Edema"]["auroc"]
    assert gap["findings"]["Edema"]["difference"] == pytest.approx(edema["auroc"] - other)
    assert "gap" not in found["sex"]
    assert block["macro"]["auroc"] == pytest.approx(np.mean([one["auroc"] for one in block["findings"].values()]))
    json.dumps(found, allow_nan=False)


def test_the_interval_of_a_group_is_that_of_its_films_as_a_table_of_their_own():
    table, _ = films()
    half = np.where(np.arange(600) < 300, "a", "b").astype(object)
    block = subgroups.evaluate(table, {"half": half}, NONE, 50, 3)["half"]["groups"]["a"]
    truth, probabilities = predictions.arrays(table)
    names, owners = np.unique(table["patient_id"].to_numpy(dtype=str)[:300], return_inverse=True)
    values = []
    for weights in bootstrap.draws(len(names), 50, 3):
        drawn = np.repeat(np.arange(300), weights[owners])
        values.append(roc_auc_score(truth[drawn, 0], probabilities[drawn, 0]))
    assert block["findings"]["Consolidation"]["auroc_interval"] == pytest.approx(bootstrap.interval(np.array(values)))


def test_a_sources_group_has_the_figures_and_intervals_of_its_own_block():
    table, _ = films(80)
    table["image_id"] = [f"{'nih' if n % 3 else 'own'}/{n}" for n in range(80)]
    fitted = thresholds.fit_thresholds(table.assign(split="val"), "f1")
    block = metrics.evaluate(table, fitted, 50, 1)["by_source"]
    found = subgroups.evaluate(table, {"source": predictions.label_source(table)}, fitted, 50, 1)["source"]["groups"]
    assert set(found) == {"nih", "own"}
    for source, group in found.items():
        for finding, values in group["findings"].items():
            own = block[source]["findings"][finding]
            assert values["without_interval"].items() <= own["without_interval"].items()
            for key in ("auroc", "auroc_interval", "recall", "recall_interval", "specificity_interval", "too_few"):
                assert values[key] == own[key]
        assert group["macro"]["auroc_interval"] == block[source]["macro"]["auroc_interval"]


def test_a_group_with_few_patients_is_marked_and_one_without_both_classes_has_a_reason():
    table, _ = films(60)
    table.loc[:8, "Edema_true"] = 0.0
    group = np.array(["small"] * 9 + ["large"] * 51, dtype=object)
    found = subgroups.evaluate(table, {"size": group}, NONE, 10, 1)["size"]["groups"]
    assert found["small"]["findings"]["Edema"]["auroc"] is None
    assert found["small"]["findings"]["Edema"]["reason"] == "no positive film"
    assert found["small"]["findings"]["Effusion"]["too_few"]
    assert "Effusion" in found["small"]["macro"]["too_few"]


def test_a_gap_without_an_interval_says_why_and_a_mean_over_marked_groups_is_grey():
    table, facts = films(60)
    facts["view"] = "AP"
    facts.loc[table.index[table["Edema_true"] == 1][:3], "view"] = "PA"
    facts.loc[table.index[table["Edema_true"] == 0][:20], "view"] = "PA"
    found = subgroups.evaluate(table, subgroups.groupings(table, facts), NONE, 10, 1)
    gap = found["view"]["gap"]["findings"]["Edema"]
    assert (gap["interval"], gap["no_interval"]) == (None, "3 positive patients")
    names = predictions.findings_of(table)
    (by_view,) = (one for one in page_tables.subgroups({"subgroups": found}, names) if one.caption == "AUROC by view")
    assert any("Edema (PA minus AP)" in note and "difference without an interval" in note for note in by_view.notes)
    assert by_view.rows[1][-1].faint  # of PA
    found = subgroups.evaluate(table, subgroups.groupings(table, facts), NONE, 0, 1)["view"]["gap"]["findings"]
    assert all(change["no_interval"] for change in found.values() if change["difference"] is not None)


def test_sensitivity_is_of_the_films_that_nothing_was_fitted_on():
    table, _ = films(40)
    table.loc[:19, "split"] = "val"
    one = subgroups.evaluate(table, {"all": np.full(40, "x", dtype=object)}, NONE, 0, 1)["all"]["groups"]["x"]
    truth, probabilities = predictions.arrays(table[20:])
    assert one["findings"]["Edema"]["recall"] == pytest.approx((probabilities[truth[:, 2] == 1, 2] >= 0.5).mean())
    assert one["findings"]["Edema"]["films"] == 40


def test_a_paired_difference_is_narrower_than_the_intervals_of_both_models():
    table, _ = films()
    worse = table.copy()
    random = np.random.default_rng(5)
    worse["Edema_prob"] = np.clip(table["Edema_prob"] + random.normal(0, 0.03, 600), 0, 1).astype(np.float32)
    found = comparison.paired(table, worse[::-1], 200, 1)
    edema = found["findings"]["Edema"]["auroc"]
    truth, probabilities = predictions.arrays(table)
    assert edema["first"] == pytest.approx(roc_auc_score(truth[:, 2], probabilities[:, 2]))
    assert edema["second"] == pytest.approx(roc_auc_score(truth[:, 2], predictions.arrays(worse)[1][:, 2]))
    auroc = figures.replicate_scores(truth, probabilities, table["patient_id"], 200, 1)["auroc"]
    low, high = bootstrap.interval(auroc[:, 2])
    assert edema["interval"][1] - edema["interval"][0] < (high - low) / 3
    same = found["findings"]["Effusion"]["auroc"]  # of the same probabilities
    assert (same["interval"], same["no_interval"]) == (None, "the same")
    assert found["macro"]["auroc"]["difference"] == pytest.approx(edema["difference"] / 6)
    json.dumps(found, allow_nan=False)


def test_models_are_compared_on_common_films_with_the_same_labels_only():
    table, _ = films(30)
    assert comparison.paired(table[:20], table[10:], 10, 1)["films"] == 10
    with pytest.raises(InputError, match="no film in common"):
        comparison.paired(table[:10], table[20:], 10, 1)
    other = table.copy()
    other.loc[3, "Edema_true"] = 1 - other.loc[3, "Edema_true"]
    with pytest.raises(InputError, match=r"nih/00000003_000: Edema is . in ours and . in theirs"):
        comparison.paired(table, other, 10, 1, ("ours", "theirs"))


def test_the_best_member_is_chosen_on_val():
    good, _ = films(100, (3, 3))
    poor, _ = films(100, (0.1, 0.1))
    good["split"] = poor["split"] = "val"
    assert comparison.best_on_val({"poor": poor, "good": good}) == "good"
    assert comparison.best_on_val({"a": good.assign(split="test"), "b": good.assign(split="test")}) == "a"
