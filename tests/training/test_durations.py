import numpy as np
import pytest

from cxr.networks import workload
from cxr.training import durations
from tests.conftest import tiny_params

FILMS = {"train": 100, "val": 20, "test": 30, "masked": 150, "lung_train": 8, "lung_val": 2}
KEYS = {"EPOCHS": 4, "UNET_EPOCHS": 5, "MEMBER_OVERRIDES": {"efficientnetb0": {"EPOCHS": 1}}, "FAITHFULNESS_FILMS": 10}


def test_films_are_counted_as_often_as_they_go_through_a_network():
    """A film in training counts three times; of the test 30 twice (corners), and 10 thirty times more."""
    found = durations.passes(tiny_params(**KEYS), FILMS)
    assert found == {
        "prepare_data.sh": {"training the U-Net": 5 * (3 * 8 + 2), "lung masks": 150},
        "train_Ensemble.sh": {"tiny": 4 * (300 + 20)},
        "evaluate_ and visualization_Ensemble.sh": {"tiny": 20 + 60 + 300},
        "train_Efficientnet.sh": {"efficientnetb0": 300 + 20},
        "evaluate_ and visualization_Efficientnet.sh": {"efficientnetb0": 20 + 60 + 300},
    }


def test_what_is_not_asked_for_is_not_counted():
    keys = {"BLANK_CORNERS": False, "TEST_TIME_AUGMENTATION": True, "FAITHFULNESS_FILMS": 0}
    found = durations.passes(tiny_params(**KEYS | keys), FILMS)
    assert found["evaluate_ and visualization_Ensemble.sh"] == {"tiny": 2 * (20 + 30)}


def test_hours_are_passes_times_work_over_the_measured_rate(monkeypatch):
    monkeypatch.setattr(workload, "measured_rate", lambda params: 1e9)
    work = {"unet": 2e9, "tiny": 3e9, "efficientnetb0": 9e9}
    monkeypatch.setattr(durations, "flops_of", lambda params: work)
    device, hours = durations.estimate(tiny_params(**KEYS), FILMS | {"lung_train": 0, "lung_val": 0})
    assert device.endswith(", 1 GFLOP a second")
    assert hours["prepare_data.sh"] == {"lung masks": pytest.approx(150 * 2 / 3600)}  # no U-Net is to be trained
    assert hours["train_Ensemble.sh"] == {"tiny": pytest.approx(1280 * 3 / 3600)}
    assert durations.together(hours) == pytest.approx((150 * 2 + (1280 + 380) * 3 + (320 + 380) * 9) / 3600)


def test_the_networks_are_counted_as_they_are_built_and_by_how_they_are_computed():
    by_hand = 2 * 9 * (256 * 3 * 8 + 64 * 8 * 16 + 16 * 16 * 32) + 2 * 32 * 6  # at 32 px
    work = durations.flops_of(tiny_params())
    assert set(work) == {"unet", "tiny", "efficientnetb0"}
    assert work["tiny"] == by_hand * durations.SLOWER["tiny"]
    assert np.isfinite(list(work.values())).all()
