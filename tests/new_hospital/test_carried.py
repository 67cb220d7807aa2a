"""What came to a new hospital, in figures worked out by hand."""

import numpy as np
import pytest

from cxr.new_hospital import carried


def test_predictive_values_follow_from_two_rates_and_the_prevalence():
    ppv, npv = carried.predictive_values(0.8, 0.9, np.array([0.1, 0.5]))
    np.testing.assert_allclose(ppv, [0.08 / 0.17, 0.40 / 0.45])
    np.testing.assert_allclose(npv, [0.81 / 0.83, 0.45 / 0.55])


def test_net_benefit_pays_alarms_at_the_odds_of_the_limit():
    truth, probabilities = np.array([1.0, 1, 0, 0, np.nan]), np.array([0.9, 0.3, 0.6, 0.05, 0.7])
    curve = carried.net_benefit(truth, probabilities).set_index("limit")
    assert curve.loc[0.5, ["hits", "alarms"]].tolist() == [1, 1]
    assert curve.loc[0.5, "net_benefit"] == pytest.approx((1 - 1 * 1) / 4)
    assert curve.loc[0.25, "net_benefit"] == pytest.approx((2 - 1 / 3) / 4)
    assert curve.loc[0.25, "treat_all"] == pytest.approx((2 - 2 / 3) / 4)


def test_calibration_in_the_large_is_the_shift_that_makes_expected_and_observed_equal():
    found = carried.in_the_large(np.array([1.0, 1, 1, 0]), np.full(4, 0.5), list("abcd"), 0, 0)
    assert (found["expected"], found["observed"]) == (2.0, 3)
    assert found["intercept"] == pytest.approx(np.log(3))  # the logit of 0.75
    assert np.isnan(found["slope"])  # of equal probabilities


def test_the_slope_is_the_ratio_of_what_is_found_to_what_was_said():
    # Of ten films at 0.2 four have the finding, of ten at 0.8 six: a line through two points.
    truth, probabilities = np.repeat([1.0, 0, 1, 0], [4, 6, 6, 4]), np.repeat([0.2, 0.8], 10)
    found = carried.in_the_large(truth, probabilities, np.arange(20), 50, 0)
    assert found["slope"] == pytest.approx(np.log(1.5) / np.log(4), abs=1e-4)
    assert found["intercept"] == pytest.approx(0, abs=1e-9)
    assert found["slope_low"] < found["slope"] < found["slope_high"]


def test_calibration_of_one_class_is_not_defined():
    found = carried.in_the_large(np.ones(3), np.full(3, 0.5), list("abc"), 10, 0)
    assert (found["observed"], found["intercept"], found["slope"]) == (3, None, None)
