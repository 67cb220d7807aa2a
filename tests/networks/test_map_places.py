import numpy as np
import pytest

from cxr.core.configuration import params_from
from cxr.networks import classifiers, map_places
from cxr.networks.backend import keras
from cxr.networks.map_places import Places
from tests.conftest import tiny_params

SIZES = dict.fromkeys((f"{name}_INPUT_SIZE" for name in ("DENSENET", "INCEPTION", "XCEPTION", "EFFICIENTNET")), 80)


def network_of(*stack) -> keras.Model:
    """Layers one after the other on films of 80 pixels."""
    x = film = keras.Input((80, 80, 1))
    for layer in stack:
        x = layer(x)
    return keras.Model(film, keras.layers.Activation("linear", name="features")(x))


def convolution(window, stride, padding, dilation=1):
    return keras.layers.Conv2D(1, window, strides=stride, padding=padding, dilation_rate=dilation)


@pytest.mark.parametrize(
    ("stack", "first"),
    [
        ([convolution(2, 2, "valid")], 1),  # pixels 0 and 1
        ([convolution(3, 2, "valid")], 1.5),  # 0, 1, 2
        ([convolution(3, 2, "same")], 1.5),  # of an even side the padding is all behind
        ([convolution(3, 1, "same")], 0.5),
        ([convolution(3, 1, "same", 4)], 0.5),
        ([convolution(3, 1, "valid", 4)], 4.5),
        ([keras.layers.ZeroPadding2D(3), convolution(7, 2, "valid")], 0.5),  # -3 to 3
        ([keras.layers.ZeroPadding2D(((0, 1), (0, 1))), convolution(3, 2, "valid")], 1.5),
        ([convolution(2, 2, "valid"), keras.layers.AveragePooling2D(2, strides=1, padding="same")], 2),  # 0 to 3
        ([convolution(3, 2, "valid"), keras.layers.MaxPooling2D(3, strides=2, padding="same")], 1.5),  # an odd side
        ([convolution(3, 2, "same"), convolution(3, 2, "same"), convolution(3, 2, "same")], 7.5),
    ],
)
def test_the_middle_of_the_first_place_by_hand(stack, first):
    assert map_places.places_of(network_of(*stack)).first == first


@pytest.mark.parametrize(
    ("member", "stride"),
    [("tiny", 32), ("densenet121", 16), ("inceptionv3", 16), ("xception", 16), ("efficientnetb0", 8)],
)
def test_places_lie_where_the_network_looks(member, stride):
    """What moves a place in the middle, by automatic differentiation of a network whose weights are all alike."""
    given = {"WEIGHTS": "none", "OUTPUT_STRIDE": {member: stride}, "EFFICIENTNET_VARIANT": "B0", **SIZES}
    classifier = classifiers.build_classifier(member, params_from(given, "-"))
    places = map_places.places_of(classifier)
    assert places.count == classifier.get_layer("features").output.shape[1]
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)
    for layer in classifier.layers:
        if isinstance(layer, kinds):
            layer.set_weights([np.full(weights.shape, 1 / weights[..., 0].size) for weights in layer.get_weights()])
    features = keras.Model(classifier.input, classifier.get_layer("features").output)
    still = np.full((1, 80, 80, 1), 200, np.float32)
    middle = places.count // 2
    bright = np.repeat(still, 80, axis=0)
    bright[np.arange(80), np.arange(80)] += 20  # film i: row i is brighter
    moved = np.abs(features.predict(bright, verbose=0) - features.predict(still, verbose=0))[:, middle, middle].sum(
        axis=-1
    )
    seen = (moved * (np.arange(80) + 0.5)).sum() / moved.sum()
    assert abs(seen - (places.first + middle * places.step)) < 4


def test_maps_lie_on_the_film_where_their_places_are_and_keep_their_sum():
    """Two places a side of 16 pixels: cells' middles are pixels 2, 6, 10, 14."""
    maps = np.zeros((1, 2, 2, 1), np.float16)
    maps[0, :, 0], maps[0, :, 1] = 4, 12
    in_the_middle = map_places.onto_film(maps, Places(2, 4.0, 8), 16)[0, ..., 0]
    np.testing.assert_allclose(in_the_middle, np.repeat([[1, 1.5, 2.5, 3]], 4, axis=0))
    further_in = map_places.onto_film(maps, Places(2, 6.0, 8), 16)[0, ..., 0]  # at pixels 6 and 14
    np.testing.assert_allclose(np.diff(further_in[0]), [0, 1, 1])
    np.testing.assert_allclose(np.ptp(further_in, axis=0), 0, atol=1e-6)
    assert further_in.sum() == pytest.approx(maps.sum())


def test_a_grid_is_twice_as_fine_as_the_places_up_to_thirty_two():
    assert [Places(count, 0.5, 1).grid for count in (1, 5, 14, 16, 20, 64)] == [2, 10, 28, 32, 32, 32]


def test_of_more_places_than_cells_none_is_lost():
    maps = np.zeros((2, 64, 64, 1), np.float32)
    maps[0, 20, 20] = 1
    maps[1, ::2] = 1  # every other row
    one, rows = map_places.onto_film(maps, Places(64, 4.0, 8), 512)[..., 0]
    assert np.unravel_index(one.argmax(), one.shape) == (10, 10)
    assert (one.sum(), rows.sum()) == (pytest.approx(1), pytest.approx(64 * 32))
    assert np.ptp(rows[1:-1]) < 0.05 * rows.mean()


@pytest.mark.parametrize(
    ("member", "stride", "expected"),
    [
        ("tiny", 32, "features"),
        ("densenet121", 32, "pool3_conv"),
        ("densenet121", 8, "pool3_pool"),  # behind it the network is dilated
        ("inceptionv3", 16, "mixed2"),
        ("inceptionv3", 8, "mixed3"),
        ("xception", 16, "add_1"),
        ("efficientnetv2b0", 32, "block4a_expand_activation"),
        ("nasnetmobile", 32, "features"),  # its cells look past each other
    ],
)
def test_inner_maps_are_of_the_last_operation_at_stride_8_before_any_dilation(member, stride, expected):
    keras.backend.clear_session()  # sums are counted
    given = {"INPUT_SIZE": 80, "OUTPUT_STRIDE": stride, "ENSEMBLE_MEMBERS": [member]}
    classifier = classifiers.build_classifier(member, tiny_params(**given))
    operation = map_places.inner_operation(classifier)
    assert operation.name == expected
    if expected != "features":
        places = map_places.places_of(classifier, operation.name)
        assert (places.step, places.count) == (8, operation.output.shape[1])
