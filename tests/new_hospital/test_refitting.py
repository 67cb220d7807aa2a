"""How many local patients it takes before a refit pays, on films whose answer can be said beforehand."""

import numpy as np
import pandas as pd
import pytest

from cxr.evaluation import predictions
from cxr.evaluation.operating_points import fit_on_val
from cxr.new_hospital import carried, refitting

AIM = refitting.AIMS["f1"][0]


def table(positive, negative, patients=60, hospital="there"):
    """A film a patient, every other one with the finding: probabilities about ``positive`` and ``negative``."""
    truth = np.arange(patients) % 2
    probabilities = np.where(truth == 1, positive, negative) + np.linspace(0, 0.01, patients)
    ids = [f"{hospital}/{number}" for number in range(patients)]
    return predictions.build(ids, ids, ["test"] * patients, truth[:, None], probabilities[:, None], ["Nodule"])


def test_as_many_are_tested_on_as_fitted_on_and_at_last_all_in_folds():
    assert refitting.sizes(590) == [25, 50, 100, 200, 590]
    assert refitting.sizes(50) == [25, 50]
    assert refitting.sizes(30) == [30]


def test_a_threshold_that_calls_nobody_here_pays_to_be_set_anew_from_the_first_patients():
    home, here = table(0.8, 0.6), table(0.3, 0.1)
    found = refitting.curve(carried.at(here, fit_on_val(home, "f1")), "f1", seed=0, draws=5)
    rows = found[found["figure"] == AIM]
    assert rows[["patients", "came", "refitted"]].to_numpy().tolist() == [[25, 0, 1], [60, 0, 1]]
    assert refitting.pays_from(found, "Nodule", AIM)["patients"] == 25
    assert "a new threshold pays from 25 patients, about 25 films with" in refitting.sentence(found, "Nodule", "f1")


def test_what_is_right_already_does_not_pay_to_be_set_anew():
    here = table(0.8, 0.2)
    found = refitting.curve(carried.at(here, fit_on_val(here, "f1")), "f1", seed=0, draws=5)
    assert refitting.pays_from(found, "Nodule", AIM) is None
    assert "a new threshold does not pay with up to 25 patients (F1 1.000 to 1.000, better in 0%" in refitting.sentence(
        found, "Nodule", "f1"
    )


def test_it_pays_only_where_it_pays_for_every_larger_number_too_and_by_more_than_a_hair():
    rows = pd.DataFrame({"finding": "Nodule", "figure": AIM, "patients": [25, 50, 100, 200], "came": 0.5})
    rows = rows.assign(gain=0.1, better=[0.95, 0.8, 0.92, 1.0])
    assert refitting.pays_from(rows, "Nodule", AIM)["patients"] == 100
    assert refitting.pays_from(rows.assign(gain=0.004), "Nodule", AIM) is None  # below a hundredth of 0.5


@pytest.mark.parametrize(
    ("rule", "better", "worse"),
    [("sensitivity_90", {"recall": 0.92}, {"recall": 1.0}), ("f1", {"f1": 0.5}, {"f1": 0.4})],
)
def test_a_rule_is_judged_by_what_it_aims_at(rule, better, worse):
    aim = refitting.AIMS[rule][1]
    assert aim(better) > aim(worse)


def test_the_refitted_thresholds_are_the_local_ones_and_other_hospitals_keep_theirs():
    came = fit_on_val(pd.concat([table(0.8, 0.6), table(0.9, 0.5, hospital="nearby")]), "f1")
    here = table(0.3, 0.1, hospital="there")
    new, kept, few = refitting.refitted(came, here)
    fits = new["findings"]["Nodule"]
    assert 0.11 < fits["pooled"]["threshold"] < 0.3
    assert fits["there"] == fits["pooled"]
    assert fits["nearby"] == came["findings"]["Nodule"]["nearby"]
    assert (new["val"]["films"], kept, few) == (60, [], [])
    assert came["findings"]["Nodule"]["pooled"]["threshold"] > 0.5  # what came is not touched


def test_a_finding_with_too_few_films_keeps_what_came_and_is_told():
    came = fit_on_val(table(0.8, 0.6), "f1")
    here = table(0.3, 0.1).assign(Nodule_true=0.0)
    new, kept, _ = refitting.refitted(came, here)
    assert new["findings"]["Nodule"] == came["findings"]["Nodule"]
    assert kept == [
        "threshold of Nodule is as it came: no positive film among the local films",
        "calibration of Nodule is as it came: fewer than 10 positive or negative films among the local films",
    ]


def test_a_threshold_refitted_on_one_positive_patient_is_marked():
    came, here = fit_on_val(table(0.8, 0.6), "f1"), table(0.3, 0.1)
    positive = here["Nodule_true"] == 1
    one = pd.concat([here[~positive], here[positive][:1]], ignore_index=True)
    few = refitting.refitted(came, one)[2]
    assert few == ["threshold of Nodule: fitted on 1 positive patient: too few"]
