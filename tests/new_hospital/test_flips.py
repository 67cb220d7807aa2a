import numpy as np
import pytest
from scipy.special import logit

from cxr.core.errors import InputError
from cxr.evaluation import predictions
from cxr.new_hospital import flips

FITTED = {"findings": {"Edema": {"pooled": {"threshold": 0.5}}}}


def table(probabilities, ids=None, finding="Edema"):
    ids = ids or [f"film {i}" for i in range(len(probabilities))]
    truth = np.arange(len(ids)) % 2
    return predictions.build(ids, ids, ["test"] * len(ids), truth[:, None], np.c_[probabilities], [finding])


def test_a_pair_of_trainings_differs_as_often_as_one_calls_and_the_other_does_not():
    # Four trainings call the films 0, 1, 2, 4 times: of their six pairs 0, 3, 4, 0 differ.
    called = np.arange(4)[:, None] < np.array([0, 1, 2, 4])
    assert flips.differ(called).tolist() == [0, 0.5, pytest.approx(2 / 3), 0]


def test_margins_are_logits_above_each_trainings_own_threshold():
    strict = {"findings": {"Edema": {"pooled": {"threshold": 0.8}}}}
    margins = flips.margins([table([0.5, 0.8]), table([0.5, 0.8])], [FITTED, strict])
    assert margins[..., 0] == pytest.approx(np.array([[0, logit(0.8)], [-logit(0.8), 0]]), abs=1e-6)
    assert flips.margins([table([0.0, 1.0])], [FITTED])[0, :, 0] == pytest.approx([-13.8155, 13.8155], abs=1e-3)


def test_what_two_trainings_say_of_two_films():
    ten = [0.2] * 10
    block = flips.between([table([0.4, 0.9, *ten]), table([0.6, 0.9, *ten])], [FITTED, FITTED])
    edema = block["findings"]["Edema"]
    assert (block["trainings"], block["films"]) == (2, 12)
    assert edema["flips"] == edema["not_unanimous"] == pytest.approx(1 / 12)
    # One film with 0.4 and 0.6: standard deviation 0.1414, mean 0.5, ratio 1.5; the others do not differ at all.
    assert edema["probability_sd"] == pytest.approx(np.sqrt(0.02) / 12, abs=1e-6)
    assert edema["coefficient_of_variation"] == pytest.approx(np.sqrt(0.02) / 0.5 / 12, abs=1e-6)
    assert edema["log_ratio"] == pytest.approx(np.log(1.5) / 12, abs=1e-6)
    # Margins: 0 (of -0.405 and 0.405), 2.197, and ten of -1.386: those in bands from 0, 2 and 1.
    assert [band["films"] for band in edema["bands"]] == [None, None, None, 10, None]
    assert [band["flips"] for band in edema["bands"]] == [None, None, None, 0.0, None]


def test_a_film_on_the_threshold_flips_half_of_the_time_however_many_members():
    margins = np.array([[-1.0], [1.0]])
    assert [flips.expected(margins, members) for members in (1, 9)] == [0.5, 0.5]


def test_more_members_flip_less_and_as_the_normal_distribution_says():
    # All films at a mean margin of 1 with variance 1 between trainings: one calls with probability 0.8413.
    far = np.array([[2.0, 2.0], [1.0, 1.0], [0.0, 0.0]])
    assert flips.expected(far, 1) == pytest.approx(2 * 0.8413 * 0.1587, abs=1e-4)
    assert flips.expected(far, 4) == pytest.approx(2 * 0.9772 * 0.0228, abs=1e-4)
    assert flips.needed(far) == 4  # three: 2 x 0.9584 x 0.0416 = 0.08
    assert flips.needed(np.array([[-1.0], [1.0]])) is None


def test_trainings_that_agree_to_the_last_digit_never_flip():
    assert flips.expected(np.ones((3, 2)), 1) == 0
    assert flips.needed(-np.ones((3, 2))) == 1


def test_what_is_expected_is_what_other_trainings_do():
    random = np.random.default_rng(0)
    films = random.normal(-1, 2, 4000)
    trainings = films + random.normal(0, 1.5, (4, 4000))
    others = [films + random.normal(0, 1.5 / np.sqrt(5), 4000) >= 0 for number in range(2)]
    assert flips.expected(trainings, 5) == pytest.approx((others[0] != others[1]).mean(), abs=0.02)
    assert flips.halves(trainings)["flips"] == pytest.approx(flips.expected(trainings, 2), abs=0.02)
    assert flips.halves(trainings[:3]) is None


def test_films_that_all_trainings_have_are_compared_in_one_order():
    first, second = flips.aligned([table([0.1, 0.2], ["a", "b"]), table([0.3, 0.4], ["b", "c"])], ["one", "two"])
    assert (first["Edema_prob"].tolist(), second["Edema_prob"].tolist()) == ([pytest.approx(0.2)], [pytest.approx(0.3)])


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ([table([0.1])], "expected two trainings at least"),
        ([table([0.1], ["a"]), table([0.1], ["b"])], "no film in common"),
        ([table([0.1]), table([0.1], finding="Mass")], "two: is of other findings than one"),
    ],
    ids=["one training", "other films", "other findings"],
)
def test_what_cannot_be_compared_is_refused(tables, told):
    with pytest.raises(InputError, match=told):
        flips.aligned(tables, ["one", "two"][: len(tables)])


def test_the_table_of_films_says_who_calls_it():
    row = flips.of_films([table([0.4]), table([0.6]), table([0.7])], [FITTED] * 3).iloc[0]
    assert row["Edema_calls"] == 2
    assert row["Edema_flips"] == pytest.approx(2 / 3, abs=1e-6)
    assert row["Edema_prob"] == pytest.approx(1.7 / 3, abs=1e-6)
    assert row["Edema_margin"] == pytest.approx(logit(0.7) / 3, abs=1e-6)


def test_aggregates_have_no_finding_with_a_small_cell_and_no_band_that_would_tell_one():
    first = [0.55] * 12 + [0.3] * 40 + [0.05] * 40 + [0.001] * 8
    second = [0.45] * 12 + [0.3] * 28 + [0.6] * 12 + [0.05] * 28 + [0.9] * 12 + [0.001] * 8
    both = [table(first), table(second)]
    block = flips.between(both, [FITTED, FITTED], aggregates=True)
    assert block["hidden"] == []
    told = [band["films"] for band in block["findings"]["Edema"]["bands"] if band["films"]]
    assert sum(told) <= 90  # what is left holds ten films at least
    rare = [one.assign(Edema_true=(np.arange(100) < 9).astype(float)) for one in both]
    hidden = flips.between(rare, [FITTED, FITTED], aggregates=True)
    assert (hidden["findings"], hidden["hidden"], hidden["all"]) == ({}, ["Edema"], {})
