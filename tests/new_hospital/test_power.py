"""What a test set can show, from its labels alone: numbers worked out by hand."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from cxr.new_hospital import power


def films(truth, patients):
    return power.table(np.array(truth, dtype=float)[:, None], patients, ["Edema"])


def test_two_pairs_that_share_a_film_of_guesses_are_both_right_every_third_time():
    # Of three independent scores each is the highest as often: P(x > y and x > y') = 1/3, and 1/3 - 1/4 = 1/12.
    assert power.covariance(0.5, 0.5) == pytest.approx(1 / 12)


def test_pairs_without_correlation_have_no_covariance_and_a_pair_has_that_of_a_coin_with_itself():
    assert power.covariance(0.8, 0.0) == pytest.approx(0, abs=1e-12)
    assert power.covariance(0.8, 1.0) == pytest.approx(0.8 * 0.2)


def test_of_guesses_on_films_of_different_patients_the_variance_is_that_of_the_rank_sum():
    # 1/12 (1/n + 1/m): 100 positives and 300 negatives.
    first, second = np.repeat([1, 0], [100, 300]), np.repeat([0, 1], [100, 300])
    assert power.variance(first, second, auroc=0.5) == pytest.approx((1 / 100 + 1 / 300) / 12)


def test_films_that_all_score_alike_within_a_patient_count_as_one():
    # Ten patients with 5 positive films each, ten with 5 negative ones, correlation 1: as 10 against 10 films.
    positives, negatives = np.repeat([5, 0], [10, 10]), np.repeat([0, 5], [10, 10])
    assert power.variance(positives, negatives, 0.8, within=1) == pytest.approx(
        power.variance(positives // 5, negatives // 5, 0.8, within=1)
    )


def test_a_patient_with_films_of_both_kinds_costs_less_than_two_patients():
    apart = power.variance(np.repeat([1, 0], 50), np.repeat([0, 1], 50))
    assert power.variance(np.ones(50, int), np.ones(50, int)) < apart


def test_the_smallest_difference_is_two_point_eight_errors_of_the_difference():
    # r = 0.5: the difference has the error of one AUROC; 1.95996 + 0.84162 = 2.80159.
    assert power.smallest_difference(0.01, between=0.5) == pytest.approx(0.0280159, abs=1e-6)


def test_of_eight_patients_nothing_can_be_said():
    row = films([1] * 12 + [0] * 40, [f"p{n % 8}" for n in range(12)] + [f"q{n}" for n in range(40)]).iloc[0]
    assert row["verdict"] == "8 patients with Edema: nothing can be said"
    assert np.isnan(row["smallest_difference"])
    assert (row["positives"], row["patients_with"]) == (12, 8)


def test_of_few_patients_no_difference_is_large_enough():
    row = films([1] * 10 + [0] * 10, [f"p{n}" for n in range(20)]).iloc[0]
    # Two scores correlated by .5 are both below .8416 with .6870; .6870 - .64 = .0470, on both sides of ten films each:
    # an error of sqrt(.0094) = .0970; 2.8016 · .0970 · sqrt(2 · .3) = .2105, more than there is above .8.
    assert multivariate_normal.cdf([0.8416, 0.8416], cov=[[1, 0.5], [0.5, 1]]) == pytest.approx(0.687, abs=5e-4)
    assert row["smallest_difference"] == pytest.approx(0.2105, abs=0.001)
    assert row["verdict"] == "no better model than 0.8 can be told; a worse one from 0.211 below on"


def test_unknown_labels_count_nowhere():
    known = films([1] * 20 + [0] * 20, [f"p{n}" for n in range(40)])
    assert films([1] * 20 + [0] * 20 + [np.nan] * 9, [f"p{n}" for n in range(49)]).equals(known)
