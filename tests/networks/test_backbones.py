"""Every network of keras.applications: its grays are those of Keras, and what we need of a network holds for all."""

import numpy as np
import pytest

from cxr.core.errors import InputError
from cxr.core.members import BACKBONES
from cxr.networks import class_activation, classifiers, recomputation, workload
from cxr.networks.backend import keras
from tests.conftest import tiny_params

MODULES = {  # of keras.applications, by the beginning of a name, whose preprocess_input says what grays a network takes
    "densenet": "densenet", "inceptionv3": "inception_v3", "xception": "xception", "mobilenetv2": "mobilenet_v2",
    "inceptionresnetv2": "inception_resnet_v2", "mobilenet": "mobilenet", "nasnet": "nasnet", "vgg16": "vgg16",
    "vgg19": "vgg19", "resnet50v2": "resnet_v2", "resnet101v2": "resnet_v2", "resnet152v2": "resnet_v2",
    "resnet": "resnet",
}  # fmt: skip
SCALE_INSIDE = ("tiny", "efficientnet", "convnext", "mobilenetv3")  # Keras' preprocess_input does nothing for them


def test_all_of_keras_applications_are_there_by_name():
    published = {name.lower() for name in dir(keras.applications) if name[0].isupper()}
    assert set(BACKBONES) == published | {"tiny"}


@pytest.mark.parametrize("name", [name for name in BACKBONES if not name.startswith(SCALE_INSIDE)])
def test_grays_are_scaled_as_keras_scales_them(name):
    module = next(MODULES[start] for start in MODULES if name.startswith(start))
    grays = np.repeat(np.arange(0, 256, 5, dtype=np.float32)[None, :, None, None], 3, axis=-1)
    scale, offset = classifiers.APPLICATIONS[name][1]
    expected = getattr(keras.applications, module).preprocess_input(grays.copy())
    np.testing.assert_allclose(grays * np.float32(scale) + np.float32(offset), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("convnexttiny", keras.applications.densenet.preprocess_input),  # ImageNet's mean and deviation
        ("mobilenetv3small", lambda grays: grays / 127.5 - 1),
    ],
)
def test_networks_that_would_scale_by_themselves_are_told_not_to(name, inside):
    constructor, (scale, offset) = classifiers.APPLICATIONS[name]
    keras.utils.set_random_seed(1)
    ours = constructor(include_top=False, weights=None, input_shape=(32, 32, 3))
    theirs = constructor.func(include_top=False, weights=None, input_shape=(32, 32, 3))
    weighted = [[one for one in model.layers if one.weights] for model in (ours, theirs)]
    for mine, other in zip(*([one for one in group if one.name != "stem"] for group in weighted), strict=False):
        if [one.shape for one in mine.weights] == [one.shape for one in other.weights]:
            other.set_weights(mine.get_weights())
    grays = np.repeat(np.linspace(0, 255, 32 * 32, dtype=np.float32).reshape(1, 32, 32, 1), 3, axis=-1)
    np.testing.assert_allclose(grays * np.float32(scale) + np.float32(offset), inside(grays.copy()), atol=1e-3)
    np.testing.assert_allclose(
        np.asarray(ours(grays * np.float32(scale) + np.float32(offset))), np.asarray(theirs(grays)), atol=1e-3
    )


@pytest.mark.parametrize("name", ["convnexttiny", "mobilenetv3small"])
def test_what_is_asked_of_a_network_holds_where_sums_are_no_layers_and_networks_lie_in_networks(name, tmp_path):
    classifier = classifiers.build_classifier(name, params := tiny_params(INPUT_SIZE=64))
    film = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 1), np.uint8)
    explainer = class_activation.explainer(classifier, ("gradcam", "hirescam"))
    probabilities, maps, inner = map(np.asarray, explainer(film, training=False))
    logits = np.log(probabilities / (1 - probabilities))
    bias = np.asarray(classifier.get_layer("logits").bias)
    np.testing.assert_allclose(maps.sum(axis=(1, 2)) + bias, logits, atol=1e-4)
    np.testing.assert_allclose(inner.sum(axis=(1, 2)) + bias, logits, atol=1e-4)
    assert (maps.shape[1], inner.shape[1]) == (2, 8)
    classifier.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(np.asarray(again(film, training=False)), probabilities, atol=1e-6)
    chain = recomputation.logits_of(classifier, recompute=True)
    np.testing.assert_allclose(np.asarray(chain(film, training=False)), logits, atol=1e-4)
    recomputed = workload.training_bytes(classifier, 1, tiny_params(INPUT_SIZE=64, RECOMPUTE=True))
    assert recomputed < workload.training_bytes(classifier, 1, params)


def test_a_network_whose_paths_need_their_strides_says_so():
    with pytest.raises(InputError, match=r"OUTPUT_STRIDE: nasnet_mobile cannot be made finer than 32"):
        classifiers.build_classifier("nasnetmobile", tiny_params(INPUT_SIZE=64, OUTPUT_STRIDE=16))
