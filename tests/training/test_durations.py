import numpy as np
import pytest

from cxr.core.errors import InputError
from cxr.networks import backend, workload
from cxr.training import durations
from cxr.training.durations import FORWARD, LAST_ALONE
from tests.conftest import tiny_params

FILMS = {"train": 100, "val": 20, "test": 30, "masked": 150, "lung_train": 8, "lung_val": 2}
KEYS = {"EPOCHS": 4, "UNET_EPOCHS": 5, "MEMBER_OVERRIDES": {"efficientnetb0": {"EPOCHS": 1}}, "FAITHFULNESS_FILMS": 10}

WORK = {"unet": 2e9, "tiny": 3e9, "efficientnetb0": 9e9}


def test_films_are_counted_as_often_as_they_go_through_a_network():
    """A film in training counts three times; of the test 30 twice, 10 thirty times more; maps take .7 a finding."""
    found = durations.work_of(tiny_params(**KEYS), FILMS)
    assert found == {
        "prepare_data.sh": {"training the U-Net": (3 * 8 + 2, 1 + FORWARD), "lung masks": (150, FORWARD)},
        "train_Ensemble.sh": {"tiny": (4 * (300 + 20), 1 + FORWARD)},
        "evaluate_ and visualization_Ensemble.sh": {"tiny": (20 + 60 + 300 + 210, FORWARD)},
        "train_Efficientnet.sh": {"efficientnetb0": (300 + 20, 1 + FORWARD)},
        "evaluate_ and visualization_Efficientnet.sh": {"efficientnetb0": (20 + 60 + 300 + 210, FORWARD)},
    }


@pytest.mark.parametrize("split", ["train", "val"])
def test_where_nothing_can_be_trained_only_preparation_takes_time(split):
    assert list(durations.work_of(tiny_params(), FILMS | {split: 0})) == ["prepare_data.sh"]


def test_what_is_not_asked_for_is_not_counted():
    keys = {"BLANK_CORNERS": False, "TEST_TIME_AUGMENTATION": True, "FAITHFULNESS_FILMS": 0, "MAP_METHOD": "gradcam"}
    found = durations.work_of(tiny_params(**KEYS | keys), FILMS | {"lung_train": 0, "lung_val": 0})
    assert found["evaluate_ and visualization_Ensemble.sh"] == {"tiny": (2 * (20 + 30), FORWARD)}
    assert list(found["prepare_data.sh"]) == ["lung masks"]  # no U-Net is to be trained


@pytest.mark.parametrize(
    ("keys", "passes", "compiled"),
    [
        ({"FREEZE": "backbone"}, 4 * (100 + 20), LAST_ALONE + FORWARD),
        ({"FREEZE": 3}, 3 * 100 + 1 * 300 + 4 * 20, 1 + LAST_ALONE + FORWARD),
        ({"RECOMPUTE": True}, 4 * (400 + 20), 1 + FORWARD),
    ],
    ids=["last layer alone", "last layer first", "computed again"],
)
def test_what_learns_and_what_is_kept_in_memory_counts(keys, passes, compiled):
    counted = durations.learning(tiny_params(**{"EPOCHS": 4, "WEIGHTS": "imagenet"} | keys), 100, 20)
    assert counted == (passes, pytest.approx(compiled))


def test_seconds_are_passes_over_the_measured_rate_and_layers_that_are_compiled(monkeypatch):
    monkeypatch.setattr(workload, "measured_rate", lambda params: 1e9)
    monkeypatch.setattr(workload, "measured_compiling", lambda params: 0.05)
    networks = {name: durations.Network(flops, 100) for name, flops in WORK.items()}
    monkeypatch.setattr(durations, "networks_of", lambda params: networks)
    device, seconds = durations.estimate(tiny_params(**KEYS), FILMS | {"lung_train": 0, "lung_val": 0})
    assert device.endswith(", 1 GFLOP a second, 50 ms a layer to compile")
    step = 100 * durations.COMPILED_SLOWER * 0.05
    assert seconds["prepare_data.sh"] == {"lung masks": pytest.approx(150 * 2 + FORWARD * step)}
    assert seconds["train_Ensemble.sh"] == {"tiny": pytest.approx(1280 * 3 + (1 + FORWARD) * step)}
    told = 150 * 2 + (1280 + 590) * 3 + (320 + 590) * 9
    assert durations.together(seconds) == pytest.approx(told + (2 + 5 * FORWARD) * step)


def test_compiling_is_timed_a_layer():
    backend.start(tiny_params())
    assert 1e-4 < workload.measured_compiling(tiny_params()) < 10


def test_the_networks_are_counted_as_they_are_built_and_by_how_they_are_computed():
    by_hand = 2 * 9 * (256 * 3 * 8 + 64 * 8 * 16 + 16 * 16 * 32) + 2 * 32 * 6  # at 32 px
    found = durations.networks_of(tiny_params())
    assert set(found) == {"unet", "tiny", "efficientnetb0"}
    assert found["tiny"].flops == by_hand * durations.SLOWER["tiny"]
    assert all(np.isfinite(network.flops) and network.layers > 10 for network in found.values())


@pytest.mark.parametrize("name", ["tiny.csv", "tiny.weights.h5", "tiny.safetensors"])
def test_a_file_that_cannot_be_loaded_as_first_weights_is_refused_before_films_are_prepared(tmp_path, name):
    (tmp_path / name).write_text("film,Edema")
    with pytest.raises(InputError, match=f"WEIGHTS: '.*{name}' (could not be loaded for tiny|is a PyTorch file)"):
        durations.networks_of(tiny_params(WEIGHTS={"tiny": str(tmp_path / name)}))
