import os

import pytest

from cxr.networks import backend, classifiers, workload
from cxr.networks.backend import keras
from tests.conftest import tiny_params


def test_the_work_of_a_transposed_convolution_is_counted_by_its_input():
    film = keras.Input((4, 4, 3))
    model = keras.Model(film, keras.layers.Conv2DTranspose(5, 2, strides=2)(film))
    assert workload.forward_flops(model) == 2 * 16 * (2 * 2 * 3 * 5)


def test_a_rate_is_the_work_of_a_step_over_its_seconds(monkeypatch):
    clock = iter(range(1000))  # every look at it is a second later
    monkeypatch.setattr(workload.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(workload, "MEASURED_SECONDS", 3)
    params = tiny_params()
    backend.start(params)
    # Four convolutions of 64 x 64 channels on 64 x 64 places, and one output; two a weight and place; 8 films
    assert workload.measured_rate(params) == 3 * 8 * 2 * (4 * 64**2 * 9 * 64**2 + 64)


def small(filters=5):
    """Eight by eight places of a film of one channel, and what a step keeps of them."""
    x = film = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name="conv")(x)  # 8 * 8 * filters numbers
    x = keras.layers.BatchNormalization(name="norm")(x)  # nothing: its input is the convolution's output
    x = keras.layers.Activation("relu", name="features")(x)  # 8 * 8 * filters
    x = keras.layers.GlobalAveragePooling2D(name="pooled")(x)  # filters
    return keras.Model(film, keras.layers.Dense(6, name="logits")(x))  # 6


def test_memory_of_a_step_is_what_its_layers_keep_of_each_film_and_what_the_optimizer_keeps_of_each_weight():
    model, params = small(), tiny_params()
    learned = 9 * 5 + 2 * 5 + 5 * 6 + 6  # weights, their gradients, and AdamW's two moments
    of_film = 2 * 64 * 5 + 5 + 6
    assert workload.training_bytes(model, 3, params) == 4 * (3 * of_film + 4 * learned)
    half = tiny_params(PRECISION="mixed_float16", OPTIMIZER="sgd")
    assert workload.training_bytes(model, 3, half) == 2 * 3 * of_film + 4 * 3 * learned


def test_of_a_separable_convolution_what_lies_between_its_two_is_kept_too():
    film = keras.Input((4, 4, 3))
    model = keras.Model(film, keras.layers.SeparableConv2D(5, 3, padding="same", use_bias=False)(film))
    learned = 9 * 3 + 3 * 5
    assert workload.training_bytes(model, 1, tiny_params()) == 4 * (16 * (3 + 5) + 4 * learned)


def test_recomputing_keeps_less_and_grows_slower_with_the_batch():
    classifier = classifiers.build_classifier("densenet121", params := tiny_params(DENSENET_INPUT_SIZE=64))
    again = tiny_params(DENSENET_INPUT_SIZE=64, RECOMPUTE=True)
    kept, recomputed = (
        workload.training_bytes(classifier, 8, one) - workload.training_bytes(classifier, 0, one)
        for one in (params, again)
    )
    assert 0 < recomputed < kept / 3


@pytest.mark.parametrize(
    ("films_that_fit", "told"),
    [
        (4.1, ["a step of 4 films needs about"]),
        (9.0, ["would fit", "up to about 8 "]),
        (2.5, ["WARNING", '"BATCH_SIZE": 2 with "GRADIENT_ACCUMULATION": 2', '"RECOMPUTE": true']),
        (0.5, ["WARNING", "a smaller input size"]),
    ],
)
def test_advice_on_the_batch_is_of_what_the_gpu_has(films_that_fit, told, monkeypatch):
    monkeypatch.setattr(
        workload,
        "training_bytes",
        lambda _, films, params: int(1e9 * (1 + films * (0.6 if params.training.recompute else 1))),
    )
    advice = workload.batch_advice(None, tiny_params(), int(1e9 * (1 + films_that_fit) / workload.FREE))
    assert all(part in advice for part in told), advice
    assert ("WARNING" in advice) == ("WARNING" in told)
    assert ("RECOMPUTE" in advice) == (films_that_fit == 2.5)


def test_nothing_is_advised_without_a_gpu():
    assert workload.batch_advice(None, tiny_params(), None) == ""


def test_the_memory_is_that_of_the_smallest_gpu(monkeypatch, tmp_path):
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\nprintf '81559\\n15360\\n'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert backend.gpu_bytes() is None  # a driver, and no GPU that the backend sees
    monkeypatch.setattr(backend, "gpus", lambda: ["GPU:0"])
    assert backend.gpu_bytes() == 15360 * 2**20
    driver.write_text("#!/bin/sh\necho '[N/A]'\n")
    assert backend.gpu_bytes() is None
