import numpy as np
import pytest

from cxr.core.findings import FINDINGS
from cxr.evaluation import predictions, shortcuts


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
