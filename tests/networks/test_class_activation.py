import itertools

import numpy as np
import pytest

from cxr.core.configuration import params_from
from cxr.core.findings import FINDINGS
from cxr.core.parameters import MAP_METHODS
from cxr.evaluation.randomisation import cascade
from cxr.networks import classifiers, recomputation, saved_models
from cxr.networks.backend import keras
from cxr.networks.class_activation import explainer
from cxr.networks.map_places import inner_operation

SIZE = 32  # the tiny backbone leaves a grid of 4 x 4 with 32 channels


@pytest.fixture
def classifier():
    keras.utils.set_random_seed(3)
    model = classifiers.build_classifier("tiny", params_from({"DENSENET_INPUT_SIZE": SIZE, "WEIGHTS": "none"}, "-"))
    head = model.get_layer("logits")
    head.set_weights([head.get_weights()[0], np.linspace(-1, 1, 6)])  # a bias that cannot be overlooked
    return model


def films(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 1)).astype("float32")


def outputs(network, x) -> list[np.ndarray]:
    """Probabilities and HiResCAM's maps."""
    return [keras.ops.convert_to_numpy(one) for one in network(x, training=False)][:2]


def maps_of(classifier, method: str, x) -> np.ndarray:
    return keras.ops.convert_to_numpy(explainer(classifier, (method,))(x, training=False)[1])


def deeper_of(size: int, precision: str = "float32") -> keras.Model:
    keras.utils.set_random_seed(4)
    x = film = keras.Input((size, size, 1))
    for strides in (2, 2, 2, 1, 2):
        x = keras.layers.Conv2D(8, 3, strides=strides, padding="same", activation="swish", dtype=precision)(x)
    features = keras.layers.Activation("linear", name="features", dtype=precision)(x)
    logits = keras.layers.Dense(6, name="logits", bias_initializer="random_normal")(
        keras.layers.GlobalAveragePooling2D(dtype=precision)(features)
    )
    return keras.Model(film, keras.layers.Activation("sigmoid", name="probabilities")(logits))


@pytest.fixture
def deeper():
    """Two convolutions behind where stride 8 ends, one of them a stride further: nothing there is linear."""
    return deeper_of(SIZE)


def gradients_of_logit(classifier, x, finding: int, name: str = "features") -> tuple[np.ndarray, np.ndarray]:
    """The features (N, h, w, C) and the derivative of one finding's logit by them, by automatic differentiation."""
    before = keras.Model(classifier.input, classifier.get_layer(name).output)
    after = keras.Model(classifier.get_layer(name).output, classifier.get_layer("logits").output)
    features = before(x, training=False)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        with tensorflow.GradientTape() as tape:
            tape.watch(features)
            logit = after(features, training=False)[:, finding]
        gradients = tape.gradient(logit, features)
    elif keras.backend.backend() == "jax":
        import jax

        gradients = jax.grad(lambda given: after(given, training=False)[:, finding].sum())(features)
    else:
        pytest.skip(f"automatic differentiation is tested on TensorFlow and JAX, not on {keras.backend.backend()}")
    return keras.ops.convert_to_numpy(features), keras.ops.convert_to_numpy(gradients)


@pytest.mark.parametrize("finding", range(len(FINDINGS)), ids=FINDINGS)
def test_the_closed_form_is_grad_cam_by_automatic_differentiation(classifier, finding):
    """Selvaraju 2017: channels weighted by the mean over h and w of the logit's gradient, summed; before the ReLU."""
    x = films()
    features, gradients = gradients_of_logit(classifier, x, finding)
    weights = gradients.mean(axis=(1, 2))
    by_gradient = np.einsum("nhwc,nc->nhw", features, weights)
    maps = maps_of(classifier, "gradcam", x)[..., finding]
    assert np.abs(by_gradient).max() > 1e-3
    np.testing.assert_allclose(maps, by_gradient, rtol=1e-5, atol=1e-5 * np.abs(by_gradient).max())


@pytest.mark.parametrize("finding", range(len(FINDINGS)), ids=FINDINGS)
def test_the_closed_form_is_layer_cam_by_automatic_differentiation(classifier, finding):
    """Jiang 2021: every place weighted by its own gradient where that is positive."""
    features, gradients = gradients_of_logit(classifier, films(), finding)
    expected = (features * np.maximum(gradients, 0)).sum(axis=-1)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(maps_of(classifier, "layercam", films())[..., finding], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("finding", range(len(FINDINGS)), ids=FINDINGS)
def test_the_closed_form_is_grad_cam_plus_plus_by_automatic_differentiation(classifier, finding):
    """Chattopadhyay 2018, equation 19: alpha from powers of the gradient, place by place."""
    features, gradients = gradients_of_logit(classifier, films(), finding)
    summed = features.sum(axis=(1, 2), keepdims=True)
    alpha = gradients**2 / (2 * gradients**2 + summed * gradients**3)
    weights = (alpha * np.maximum(gradients, 0)).sum(axis=(1, 2))
    expected = np.einsum("nhwc,nc->nhw", features, weights)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(maps_of(classifier, "gradcam++", films())[..., finding], expected, rtol=1e-4, atol=1e-6)


def test_the_maps_of_all_methods_come_from_one_network(classifier):
    together = [keras.ops.convert_to_numpy(one) for one in explainer(classifier)(films(), training=False)]
    assert len(together) == 1 + len(MAP_METHODS)
    for method, maps in zip(MAP_METHODS, together[1:], strict=True):
        np.testing.assert_allclose(maps, maps_of(classifier, method, films()), rtol=1e-6, atol=1e-6)


def test_of_the_last_layer_hirescam_is_grad_cam(classifier):
    """Draelos 2020, for networks that end in a mean and one layer; of the tiny network that is where stride 8 ends."""
    assert inner_operation(classifier).name == "features"
    expected = maps_of(classifier, "gradcam", films())
    np.testing.assert_allclose(maps_of(classifier, "hirescam", films()), expected, rtol=1e-4, atol=1e-6)


def test_of_an_inner_layer_hirescam_is_activation_times_gradient_and_what_is_left_lies_evenly(deeper):
    x = films()
    activations, gradients = gradients_of_logit(deeper, x, 2, inner_operation(deeper).name)
    products = (activations * gradients).sum(axis=-1)
    maps = maps_of(deeper, "hirescam", x)[..., 2]
    left = (maps - products).reshape(len(x), -1)
    np.testing.assert_allclose(left, left[:, :1].repeat(16, axis=1), atol=1e-5 * np.abs(products).max())
    logits = keras.ops.convert_to_numpy(recomputation.logits_of(deeper)(x, training=False))[:, 2]
    bias = float(deeper.get_layer("logits").get_weights()[1][2])
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), logits - bias, rtol=1e-4, atol=1e-5)
    assert np.abs(products).max() > 1e-3
    assert maps.shape == (5, 4, 4)
    assert maps_of(deeper, "gradcam", x).shape == (5, 2, 2, 6)


def test_in_half_precision_no_gradient_is_lost_among_many_places():
    """Of a logit by one of 32 x 32 places it is near the smallest number that float16 has, as by 64 x 64 of larger."""
    x = np.random.default_rng(0).integers(0, 2, (1, 256, 256, 1)).astype("float32")
    exact, half = deeper_of(256), deeper_of(256, "mixed_float16")
    head = exact.get_layer("logits")
    head.set_weights([head.get_weights()[0] / 1000, head.get_weights()[1]])
    half.set_weights(exact.get_weights())
    expected, maps = (maps_of(network, "hirescam", x) for network in (exact, half))
    np.testing.assert_allclose(maps, expected, atol=0.02 * np.abs(expected).max())


def test_a_cascade_shuffles_weights_from_the_last_layer_down(classifier):
    before = {layer.name: layer.get_weights() for layer in classifier.layers if layer.weights}

    def shuffled():
        return {
            name
            for name, weights in before.items()
            if any(
                (one != other).any()
                for one, other in zip(weights, classifier.get_layer(name).get_weights(), strict=True)
            )
        }

    stages = [(name, shuffled()) for name in cascade(classifier, 4, seed=1)]
    assert [name for name, _ in stages] == ["last layer", "last 2 of 7", "last 4 of 7", "last 5 of 7", "all layers"]
    assert stages[0][1] == {"logits"}
    assert all(one <= other for (_, one), (_, other) in itertools.pairwise(stages))  # untrained norms do not change
    assert {"conv0", "conv1", "conv2"} <= stages[-1][1]


@pytest.mark.parametrize("method", ["hirescam", "gradcam"])
def test_a_map_adds_up_to_the_logit(classifier, method):
    x = films()
    maps = maps_of(classifier, method, x)
    assert maps.shape == (5, 4, 4, 6)
    assert maps.dtype == np.float32
    logits = keras.ops.convert_to_numpy(recomputation.logits_of(classifier)(x, training=False))
    bias = classifier.get_layer("logits").get_weights()[1]
    np.testing.assert_allclose(maps.mean(axis=(1, 2)) * 16 + bias, logits, rtol=1e-4, atol=1e-5)


def test_the_probabilities_beside_the_maps_are_the_classifiers(classifier):
    x = films()
    probabilities, _ = outputs(explainer(classifier), x)
    expected = keras.ops.convert_to_numpy(classifier(x, training=False))
    np.testing.assert_array_equal(probabilities, expected)
    assert probabilities.shape == (5, 6)
    assert probabilities.dtype == np.float32


def test_maps_are_the_same_after_saving_and_loading(classifier, tmp_path):
    classifier.save(tmp_path / "model.keras")
    loaded = saved_models.load_model(tmp_path / "model.keras", SIZE, "train")
    for one, other in zip(outputs(explainer(loaded), films()), outputs(explainer(classifier), films()), strict=True):
        np.testing.assert_array_equal(one, other)


def test_maps_follow_weights_that_change_later(classifier):
    """The explainer shares the classifier's weights, it does not copy them."""
    network = explainer(classifier, ("gradcam",))
    head = classifier.get_layer("logits")
    before = outputs(network, films())[1]
    head.set_weights([2 * head.get_weights()[0], head.get_weights()[1]])
    np.testing.assert_allclose(outputs(network, films())[1], 2 * before, rtol=1e-5)


def test_dropout_does_not_touch_the_maps(classifier):
    network, x = explainer(classifier), films()
    plain = outputs(network, x)
    heavy = classifiers.build_classifier(
        "tiny", params_from({"DENSENET_INPUT_SIZE": SIZE, "WEIGHTS": "none", "DROPOUT": 0.9}, "-")
    )
    heavy.set_weights(classifier.get_weights())
    for _ in range(2):
        for one, other in zip(outputs(explainer(heavy), x), plain, strict=True):
            np.testing.assert_array_equal(one, other)


def test_maps_are_float32_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = classifiers.build_classifier("tiny", params_from({"DENSENET_INPUT_SIZE": SIZE, "WEIGHTS": "none"}, "-"))
        probabilities, maps = outputs(explainer(model), films())
    finally:
        keras.config.set_dtype_policy("float32")
    assert probabilities.dtype == maps.dtype == np.float32
    assert np.isfinite(maps).all()


def test_a_place_without_evidence_has_no_heat(classifier):
    """Only the quarter of the film with a pattern can speak for a finding more than the black rest does."""
    x = np.zeros((2, SIZE, SIZE, 1), "float32")
    x[1, :8, :8] = films(1)[0, :8, :8]
    maps = maps_of(classifier, "gradcam", x)
    np.testing.assert_array_equal(maps[1, 2:, 2:], maps[0, 2:, 2:])
    assert np.abs(maps[1, 0, 0] - maps[0, 0, 0]).max() > 0
