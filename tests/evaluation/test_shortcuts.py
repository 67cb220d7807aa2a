import numpy as np
import pandas as pd
import pytest

from cxr.core.findings import FINDINGS, LARGE_HEART
from cxr.evaluation import predictions, shortcuts
from tests.conftest import load_script, settings_in, tiny_params


def table(hospitals, probabilities, truth=0, split="test"):
    """One film a patient of these hospitals, with the same probability of every finding."""
    count = len(hospitals)
    ids = [f"{name}/{split}{n}" for n, name in enumerate(hospitals)]
    scores = np.repeat(np.asarray(probabilities, np.float32)[:, None], 6, axis=1)
    truths = np.array(np.broadcast_to(truth, (count, 6)), float)
    return predictions.build(ids, [f"p-{split}{n}" for n in range(count)], [split] * count, truths, scores, FINDINGS)


HOSPITALS = ["chexpert", "nih"] * 30


def test_films_without_findings_are_told_by_what_every_hospital_labels():
    """A finding that one hospital does not label is not known to be absent there: it must not empty the probe."""
    unknown = np.where((np.array(HOSPITALS) == "chexpert")[:, None] & (np.arange(6) == 2), np.nan, 0)
    val, test = (table(HOSPITALS, np.linspace(0.1, 0.9, 60), unknown, split) for split in ("val", "test"))
    probe = shortcuts.source_probe(val, test, 0, 1)
    assert probe["none of the findings"]["films"] == 60
    assert probe["none of the findings"]["auroc"] is not None


def test_scores_that_give_the_hospital_away_are_found():
    telling = np.where(np.array(HOSPITALS) == "nih", 0.7, 0.3) + np.linspace(-0.1, 0.1, 60)
    probe = shortcuts.source_probe(table(HOSPITALS, telling, split="val"), table(HOSPITALS, telling), 50, 1)
    assert probe["hospitals"] == ["chexpert", "nih"]
    assert probe["all films"]["auroc"] == probe["none of the findings"]["auroc"] == 1
    assert probe["all films"]["interval"] is None  # every resample gives 1: that says nothing


def test_scores_that_do_not_tell_are_near_a_half():
    blind = np.random.default_rng(0).uniform(0.1, 0.9, 60)
    val, test = (table(HOSPITALS, blind, split=split) for split in ("val", "test"))
    test = test.assign(**{f"{finding}_prob": np.random.default_rng(5).uniform(0.1, 0.9, 60) for finding in FINDINGS})
    low, high = shortcuts.source_probe(val, test, 200, 1)["all films"]["interval"]
    assert low < 0.5 < high


def test_only_films_with_none_of_the_findings_are_healthy():
    ill = table(HOSPITALS, np.linspace(0.1, 0.9, 60), truth=1)
    probe = shortcuts.source_probe(table(HOSPITALS, np.linspace(0.1, 0.9, 60), split="val"), ill, 0, 1)
    assert probe["none of the findings"]["auroc"] is None
    assert "fewer than 10 such films of a hospital" in probe["none of the findings"]["reason"]
    assert probe["all films"]["auroc"] is not None


def test_one_hospital_alone_cannot_be_told_from_another():
    one = table(["nih"] * 20, np.linspace(0.1, 0.9, 20))
    assert "there are 1" in shortcuts.source_probe(one, one, 0, 1)["reason"]


def test_what_blanked_corners_change():
    truth = np.tile([0.0, 1.0], 10)
    whole = table(["nih"] * 20, 0.2 + 0.6 * truth).assign(**{f"{FINDINGS[0]}_true": truth})
    blank = whole.assign(**{f"{FINDINGS[0]}_prob": np.float32(0.5)})
    change = shortcuts.blanked(whole, blank.sample(frac=1, random_state=3), 20, 1)
    assert change["films"] == change["changed"] == 20
    assert change["mean_change"][FINDINGS[0]] == pytest.approx(0.3)
    assert change["mean_change"][FINDINGS[1]] == 0
    assert change["findings"][FINDINGS[0]]["auroc"]["difference"] == -0.5


def test_films_whose_scores_do_not_move_are_not_counted_as_changed():
    same = table(["nih"] * 20, np.linspace(0.1, 0.9, 20))
    assert shortcuts.blanked(same, same, 0, 1)["changed"] == 0


# film: cardiothoracic ratio, probability, label, view; of a patient of its own
HEARTS = {
    "a": (0.40, 0.10, 0, "PA"), "b": (0.45, 0.20, 0, "PA"), "c": (0.50, 0.90, 1, "PA"), "d": (0.60, 0.30, 1, "PA"),
    "e": (0.55, 0.40, 0, "AP"), "f": (0.65, 0.35, 1, "AP"), "g": (np.nan, 0.5, 1, "AP"), "h": (np.nan, 0.5, 0, "AP"),
    "i": (0.70, 0.60, np.nan, "AP"),
}  # fmt: skip


def compared(hearts, findings=(LARGE_HEART,), replicates=0, **changes):
    """`heart_size` of films as in HEARTS: the mask of g is not accepted, j has no row in the table of masks."""
    ratios, probabilities, labels, views = map(list, zip(*hearts.values(), strict=True))
    ids, number = list(hearts), len(findings)
    truth, scores = (np.repeat(np.array(column, float)[:, None], number, axis=1) for column in (labels, probabilities))
    test = predictions.build(ids, [f"of {name}" for name in ids], ["test"] * len(ids), truth, scores, findings)
    films = pd.DataFrame({"image_id": ids, "view": views, "sex": "F", "age": 50.0})
    masks = pd.DataFrame({"image_id": ids, "accepted": [name != "g" for name in ids], "cardiothoracic_ratio": ratios})
    masks = masks[masks["image_id"] != "j"].assign(**{"doubt": np.nan, **changes})
    return shortcuts.heart_size(test, films, masks.sample(frac=1, random_state=1), replicates, 1)


def test_the_ratio_alone_stands_beside_the_model_for_all_films_and_each_view():
    """By hand: of nine pairs the ratio has eight right (not c and e), the model seven (not d and e, f and e)."""
    groups = compared(HEARTS)["groups"]
    assert list(groups) == ["all films", "PA", "AP"]
    every, standing, bedside = groups.values()
    assert (every["films"], every["patients"], every["positives"], every["too_few"]) == (6, 6, 3, True)
    assert every["ratio"] == {"auroc": pytest.approx(8 / 9), "interval": None, "no_interval": "3 positive patients"}
    assert every["auroc"]["first"] == pytest.approx(7 / 9)
    assert every["auroc"]["difference"] == pytest.approx(-1 / 9)
    assert (every["median_with"], every["median_without"]) == (0.60, 0.45)
    # Ranks apart by 0, 0, 3, 2, 1, 2: squares 18, and 1 - 6 * 18 / (6 * 35).
    assert every["spearman"] == pytest.approx(1 - 108 / 210)
    assert (standing["ratio"]["auroc"], standing["auroc"]["first"]) == (1, 1)
    assert (standing["median_with"], standing["median_without"]) == (pytest.approx(0.55), pytest.approx(0.425))
    assert (bedside["films"], bedside["ratio"]["auroc"], bedside["auroc"]["first"]) == (2, 1, 0)


def test_the_film_on_which_ratio_and_model_differ_most_is_named_with_both():
    odd = {
        "image_id": "c", "doubt": "", "label": 1, "ratio": 0.5, "probability": pytest.approx(0.9), "ratio_rank": 0.5,
        "probability_rank": 1.0,
    }  # fmt: skip
    assert compared(HEARTS)["disagreement"] == odd
    assert compared(HEARTS, doubt="one is high")["disagreement"] == odd | {"doubt": "one is high"}
    agreed = {name: (value, value, label, "PA") for name, value, label in (("a", 0.4, 0), ("b", 0.6, 1))}
    assert compared(agreed)["disagreement"] is None


def test_films_without_a_ratio_are_counted_by_the_reason():
    found = compared(HEARTS | {"j": (np.nan, 0.5, 0, "PA")})
    assert found["films"] == 9  # the label of i is not known
    assert found["without_ratio"] == {
        "lung mask not accepted": 1, "no heart found above the diaphragm": 1, "not in the table of lung masks": 1
    }  # fmt: skip


def test_the_interval_of_the_ratio_is_of_resampled_patients():
    random = np.random.default_rng(3)
    labels = np.tile([0, 1], 30)
    ratios = 0.45 + 0.05 * labels + random.normal(0, 0.05, 60)
    many = {f"film {n}": (ratios[n], 0.5, labels[n], "PA") for n in range(60)}
    group = compared(many, replicates=100)["groups"]["PA"]
    low, high = group["ratio"]["interval"]
    assert 0.5 < low < group["ratio"]["auroc"] < high < 1
    assert group["ratio"]["no_interval"] is None
    # A model that says the same of all has .5, and differs from the ratio by as much as that does from guessing.
    assert group["auroc"]["interval"] == [pytest.approx(0.5 - high), pytest.approx(0.5 - low)]
    assert group["spearman"] is None


def test_one_kind_of_label_has_no_auroc_and_one_median():
    group = compared({"a": (0.4, 0.1, 0, "PA"), "b": (0.5, 0.2, 0, "PA")})["groups"]["all films"]
    assert group["ratio"]["auroc"] is group["auroc"]["difference"] is group["median_with"] is None
    assert group["median_without"] == pytest.approx(0.45)


def test_without_ratios_or_the_finding_nothing_is_compared():
    assert compared(HEARTS, findings=("Edema",)) is None
    assert compared(HEARTS, cardiothoracic_ratio=np.nan) is None
    of_older_version = pd.DataFrame({"image_id": ["nih/a"], "accepted": [True]})
    assert shortcuts.heart_size(table(["nih"], [0.5]), pd.DataFrame(), of_older_version, 0, 1) is None
    unlabelled = {name: (ratio, probability, np.nan, view) for name, (ratio, probability, _, view) in HEARTS.items()}
    assert compared(unlabelled) is None


def test_the_evaluation_takes_ratios_from_the_table_of_masks_where_there_is_one(tmp_path):
    settings, heart_size_of = settings_in(tmp_path), load_script("src/classification/eval/evaluate.py").heart_size_of
    scored = pd.concat([table(["nih"] * 2, [0.2, 0.6], [[0] * 6, [1] * 6], split) for split in ("test", "val")])
    films = pd.DataFrame({"image_id": scored["image_id"], "view": "PA", "sex": "F", "age": 50.0})
    assert heart_size_of(scored, films, settings, tiny_params()) is None
    settings.lung_masks.parent.mkdir(parents=True)
    masks = films[["image_id"]].assign(accepted=True, doubt="", cardiothoracic_ratio=[0.6, 0.4, 0.4, 0.6])
    masks.to_csv(settings.lung_masks.with_suffix(".csv"), index=False)
    (group, _) = heart_size_of(scored, films, settings, tiny_params())["groups"].values()
    assert (group["films"], group["ratio"]["auroc"], group["auroc"]["first"]) == (2, 0, 1)  # of test films alone
