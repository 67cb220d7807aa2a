"""One network trained again and again: no training knows of those before it."""

import numpy as np
import pytest

from cxr.core.errors import InputError
from cxr.networks import backend
from cxr.networks.backend import keras
from cxr.training import loop, losses, repeated
from tests.conftest import tiny_params

ROWS = np.arange(6)
TRUTH = np.array([[1, 0, np.nan, 0, 1, 0]] * 3 + [[0, 1, 1, 0, 0, np.nan]] * 3, np.float32)


@pytest.fixture(scope="module")
def network():
    return repeated.Repeated("tiny", tiny_params(EPOCHS=2, LEARNING_RATE=0.01, DROPOUT=0.5))


@pytest.fixture(scope="module")
def pack():
    return np.random.default_rng(1).integers(0, 256, (6, 32, 32), np.uint8)


def trained(network, pack, first, seed=1):
    network.train(first, pack, ROWS, [f"film {row}" for row in ROWS], TRUTH, seed)
    return network.probabilities(pack, ROWS)


def test_a_training_is_the_same_whatever_was_trained_before_it(network, pack):
    first, other = network.first_weights("none", 1), network.first_weights("none", 2)
    before = trained(network, pack, first)
    assert np.abs(trained(network, pack, other) - before).max() > 1e-3
    np.testing.assert_allclose(trained(network, pack, first), before, rtol=1e-5, atol=1e-6)
    assert np.abs(trained(network, pack, first, seed=2) - before).max() > 1e-4


def test_weights_can_be_scored_without_training(network, pack):
    first = network.first_weights("none", 1)
    before = network.probabilities(pack, ROWS, first)
    trained(network, pack, first)
    np.testing.assert_array_equal(network.probabilities(pack, ROWS, first), before)


def test_first_weights_that_cannot_be_had_are_told_or_refused(network):
    found, missing = network.available(["none", "imagenet"], asked=False)  # tiny has none of ImageNet
    assert list(found) == ["none"]
    assert "Without first weights of imagenet, which cannot be had here: WEIGHTS: 'imagenet'" in missing[0]
    with pytest.raises(InputError, match="could not be loaded for tiny"):
        network.available(["imagenet"], asked=True)


def test_each_training_weighs_its_own_positives():
    logits = keras.ops.convert_to_tensor(np.linspace(-1, 1, 36, dtype=np.float32).reshape(6, 6))
    weights = np.array([2, 1, 3, 1, 5, 1], np.float32)
    both = np.concatenate([TRUTH, np.broadcast_to(weights, TRUTH.shape)], axis=1)
    assert float(repeated._weighted_loss(both, logits)) == pytest.approx(
        float(losses.masked_cross_entropy(weights)(TRUTH, logits))
    )


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_rate_is_that_of_a_cosine(accumulation):
    params = tiny_params(EPOCHS=50, LEARNING_RATE=0.5, SCHEDULE="cosine", GRADIENT_ACCUMULATION=accumulation)
    rates = repeated._Follow(None, range(25), params, 1).rates
    schedule = loop.make_optimizer(params, 1250)._learning_rate
    np.testing.assert_allclose(rates[::50], [float(schedule(step)) for step in range(0, 1250, 50)], rtol=1e-4)


def test_half_precision_is_as_anywhere_else_and_its_scale_of_the_loss_begins_anew(monkeypatch, pack):
    monkeypatch.setattr(backend, "best_precision", lambda: "mixed_float16")
    try:
        half = repeated.Repeated("tiny", tiny_params(EPOCHS=2, LEARNING_RATE=0.01))
        assert half.params.training.precision == "mixed_float16"
        half.optimizer.dynamic_scale.assign(1.0)  # as after gradients that were too large
        first = half.first_weights("none", 1)
        trained(half, pack, first)
        assert float(half.optimizer.dynamic_scale) == half.optimizer.initial_scale
        assert (
            max(np.abs(one - other).max() for one, other in zip(first, half.classifier.get_weights(), strict=True))
            > 1e-3
        )
    finally:
        keras.config.set_dtype_policy("float32")
