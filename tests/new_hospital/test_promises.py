"""Conformal risk control by patient: the rule, its fate elsewhere, and what is left to a reader, by hand."""

import numpy as np
import pytest

from cxr.evaluation import predictions
from cxr.evaluation.operating_points import fit_on_val
from cxr.new_hospital import carried, promises


def test_ten_in_a_hundred_needs_nine_patients():
    assert [promises.patients_needed(risk) for risk in (0.2, 0.1, 0.05, 0.01)] == [4, 9, 19, 99]


@pytest.mark.parametrize(("patients", "threshold"), [(8, None), (9, 1), (18, 1), (19, 2), (29, 3)])
def test_of_n_patients_the_threshold_may_miss_a_tenth_of_one_more_less_the_one_to_come(patients, threshold):
    scores = np.arange(1.0, patients + 1)
    assert promises.limit(scores, np.arange(patients), 0.1) == threshold


def test_whichever_patient_is_the_one_to_come_the_promise_is_kept_on_average():
    scores = np.arange(20.0)
    missed = [scores[i] < promises.limit(np.delete(scores, i), np.delete(scores, i), 0.1) for i in range(20)]
    assert sum(missed) == 2  # of 20: exactly what was promised


def test_a_patient_with_many_films_counts_once():
    # The first patient's two films are half a patient each: both may be missed, and nobody else.
    scores, patients = np.r_[0.1, 0.2, np.linspace(0.3, 0.9, 18)], np.r_[0, 0, np.arange(1, 19)]
    assert promises.limit(scores, patients, 0.1) == pytest.approx(0.3)
    # As if they were of two patients, 20 in all, the threshold would lie a film lower.
    assert promises.limit(scores, np.arange(20), 0.1) == pytest.approx(0.2)


def test_equal_scores_are_missed_together_or_not_at_all():
    assert promises.limit(np.r_[np.full(3, 0.5), np.linspace(0.6, 0.9, 16)], np.arange(19), 0.1) == 0.5


def test_one_film_of_each_patient_is_drawn_the_same_in_any_order():
    ids, patients = np.array([f"film{i}" for i in range(12)], dtype=object), np.repeat(["a", "b", "c", "d"], 3)
    chosen = promises.one_film(ids, patients)
    assert list(patients[chosen]) == ["a", "b", "c", "d"]
    assert set(ids[::-1][promises.one_film(ids[::-1], patients[::-1])]) == set(ids[chosen])


@pytest.mark.parametrize(("misses", "fate"), [(0, promises.HELD), (4, promises.OPEN), (20, promises.BROKEN)])
def test_the_fate_is_told_by_an_exact_interval_of_patients(misses, fate):
    names = np.array([str(number) for number in range(40)], dtype=object)
    found = promises.fate(np.arange(40) < misses, names, names, 0.1)
    assert (found["missed"], found["drawn"], found["drawn_missed"], found["fate"]) == (misses / 40, 40, misses, fate)
    if misses == 0:
        assert found["high"] == pytest.approx(1 - 0.025 ** (1 / 40))  # 8.8 %


def test_missed_is_the_mean_over_patients_and_not_over_films():
    patients = np.array(["a", "b", "b", "b"], dtype=object)
    found = promises.fate(np.array([True, False, False, False]), np.array(list("wxyz"), dtype=object), patients, 0.1)
    assert (found["missed"], found["missed_of_films"]) == (0.5, 0.25)


def test_luck_is_where_thresholds_of_nine_patients_land():
    # The lowest of nine is a threshold below which a share u of patients lies with probability 1 - (1 - u)^9.
    low, high = promises.luck(9, 0.1)
    assert (low, high) == (pytest.approx(1 - 0.975 ** (1 / 9)), pytest.approx(1 - 0.025 ** (1 / 9)))


def test_what_lies_between_both_limits_is_left_to_a_reader_and_where_they_cross_nothing_is():
    scores = np.array([0.1, 0.3, 0.5, 0.9])
    yes, no = promises.answers(scores, low=0.3, high=0.5)
    assert (yes.tolist(), no.tolist()) == ([False, False, False, True], [True, False, False, False])
    yes, no = promises.answers(scores, low=0.5, high=0.2)
    assert (yes.tolist(), no.tolist()) == ([False, False, True, True], [True, True, False, False])


def films(hospital, shift, patients=80):
    truth = np.arange(patients) % 2
    probabilities = np.where(truth == 1, 0.5, 0.1) + np.linspace(0, 0.3, patients) - shift
    ids = [f"{hospital}/{number}" for number in range(patients)]
    return predictions.build(
        ids, ids, ["test"] * patients, truth[:, None], np.clip(probabilities, 0, 1)[:, None], ["Nodule"], np.float64
    )


def both(shift):
    home = films("home", 0)
    thresholds = fit_on_val(home, "youden")
    return carried.at(films("there", shift), thresholds), carried.at(home, thresholds)


def test_a_promise_holds_at_a_hospital_like_home_and_breaks_where_probabilities_are_lower():
    table = promises.promises(*both(shift=-0.05)).set_index("made")
    assert (table.loc["home", "patients"], table.loc["home", "fate"]) == (40, promises.HELD)
    table = promises.promises(*both(shift=0.4))
    broken = table.to_dict("records")[0]
    assert (broken["missed"], broken["fate"]) == (1.0, promises.BROKEN)
    assert promises.sentence(broken) == (
        "Nodule: promised at home, at most 10% missed; missed here 100.0% (exact 95 % interval 91.2% to 100.0%, "
        "40 patients, a film each). It broke."
    )


def test_what_cannot_be_promised_is_told_with_what_it_takes():
    here, _ = both(0)
    few = carried.at(films("there", 0, patients=12), fit_on_val(films("home", 0), "youden"))
    row = promises.promises(few, None).to_dict("records")[0]
    assert row["fate"] == promises.NONE
    assert promises.sentence(row).endswith("patients with the finding, 9 are needed.")
    assert set(promises.abstaining(here, None)["made"]) == {"here"}


def test_abstaining_answers_all_films_that_two_limits_part_and_counts_both_errors():
    here, home = both(0)
    rows = promises.abstaining(here, home)
    row = rows[(rows["made"] == "home") & (rows["risk"] == 0.1)].iloc[0]
    # Classes are parted and 40 patients may lose 3 each way: below the fourth positive no, from it on yes.
    assert (row["coverage"], row["missed"], row["alarmed"], row["left"]) == (1.0, 3 / 40, 0.0, 0)


def test_the_surest_films_are_wrong_less_often():
    here, _ = both(0.25)
    curve = promises.risk_coverage(here)
    assert curve["answered"].tolist()[:2] == [4, 8]
    assert curve["wrong"].iloc[-1] == (here.decisions[:, 0] != here.truth[:, 0]).mean()
    assert curve["wrong"].iloc[0] <= curve["wrong"].iloc[-1]
