import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cxr.core.configuration import params_from
from cxr.core.errors import InputError
from cxr.networks import classifiers, output_stride, recomputation, saved_models, u_net
from cxr.networks.backend import keras
from cxr.networks.classifiers import APPLICATIONS, IMAGENET_MEAN, IMAGENET_STD

# The backbones of the two families, each at a size near the smallest that it takes.
REAL = {"densenet169": 32, "inceptionv3": 75, "xception": 71, "efficientnetb0": 32}


def params_of(**keys):
    sizes = {"DENSENET_INPUT_SIZE": 32, "INCEPTION_INPUT_SIZE": 75, "XCEPTION_INPUT_SIZE": 71}
    efficientnet = {"EFFICIENTNET_INPUT_SIZE": 32, "EFFICIENTNET_VARIANT": "B0"}
    return params_from({"WEIGHTS": "none", "UNET_INPUT_SIZE": 32, "UNET_FILTERS": 4} | sizes | efficientnet | keys, "-")


def films(size: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 1)).astype(np.uint8)


def run(model, x) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(keras.ops.cast(x, "float32"), training=False))


def seen_by_backbone(model, x) -> np.ndarray:
    return run(keras.Model(model.input, model.get_layer("scaled").output), x)


@pytest.fixture(autouse=True)
def _forget():
    keras.utils.set_random_seed(1)
    yield
    keras.backend.clear_session()


# The contract of every classifier


@pytest.mark.parametrize("member", REAL)
def test_every_backbone_keeps_the_contract_also_after_saving_and_loading(member, tmp_path):
    params, size = params_of(BATCH_NORM_MOMENTUM=0.9), REAL[member]
    model = classifiers.build_classifier(member, params)
    assert model.input_shape == (None, size, size, 1)
    assert model.output_shape == (None, 6)
    features, logits, probabilities = (model.get_layer(name) for name in ("features", "logits", "probabilities"))
    assert len(features.output.shape) == 4
    assert logits.output.shape == probabilities.output.shape == (None, 6)
    assert logits.output.dtype == probabilities.output.dtype == "float32"
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) > 10
    assert {layer.momentum for layer in norms} == {0.9}

    path = tmp_path / "model.keras"
    model.save(path)
    loaded = saved_models.load_model(path, size, "train")

    def inside(network):
        return keras.Model(
            network.input, [network.get_layer(n).output for n in ("features", "logits", "probabilities")]
        )

    before, after = (inside(network)(films(size).astype("float32"), training=False) for network in (model, loaded))
    before, after = ([keras.ops.convert_to_numpy(one) for one in outputs] for outputs in (before, after))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(before[2], 1 / (1 + np.exp(-before[1])), rtol=1e-5)
    assert {one.dtype for one in before} == {np.dtype("float32")}


def test_logits_and_probabilities_are_float32_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        classifier = classifiers.build_classifier("tiny", params_of())
        unet = u_net.build_unet(params_of())
    finally:
        keras.config.set_dtype_policy("float32")
    assert classifier.get_layer("features").output.dtype == "bfloat16"
    assert classifier.get_layer("logits").output.dtype == classifier.output.dtype == unet.output.dtype == "float32"


def test_a_model_saved_in_float32_stays_so_under_another_policy(tmp_path):
    model = classifiers.build_classifier("tiny", params_of())
    model.save(tmp_path / "model.keras")
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        loaded = saved_models.load_model(tmp_path / "model.keras", 32, "train")
    finally:
        keras.config.set_dtype_policy("float32")
    assert loaded.get_layer("conv0").dtype_policy.name == "float32"
    np.testing.assert_array_equal(run(loaded, films(32)), run(model, films(32)))


def test_the_network_up_to_the_logits_shares_its_weights():
    model = classifiers.build_classifier("tiny", params_of())
    logits = recomputation.logits_of(model)
    kernel = model.get_layer("logits").kernel
    kernel.assign(keras.ops.zeros(kernel.shape))
    np.testing.assert_array_equal(run(logits, films(32)), 0)
    np.testing.assert_array_equal(run(model, films(32)), 0.5)


# Activations computed again


def tiny_with_dropout(**options):
    """The tiny backbone with a dropout inside, as EfficientNet's blocks have one."""
    model = classifiers._tiny(**options)
    return keras.Model(model.input, keras.layers.Dropout(0.5, seed=3, name="inside")(model.output))


def trained(recompute: bool, steps: int = 3):
    """Weights of the classifier after some steps, dropout and batch normalisation included, and the classifier."""
    keras.utils.set_random_seed(1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(APPLICATIONS, "tiny", (tiny_with_dropout, APPLICATIONS["tiny"][1]))
        classifier = classifiers.build_classifier("tiny", params_of(DROPOUT=0.5, BATCH_NORM_MOMENTUM=0.5))
    network = recomputation.logits_of(classifier, recompute)
    network.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", jit_compile=keras.backend.backend() == "jax")
    truth = np.random.default_rng(1).random((8, 6)).astype(np.float32)
    for _ in range(steps):
        network.train_on_batch(films(32, 8), truth)
    return classifier.get_weights(), classifier


@pytest.mark.filterwarnings("error:The structure of `inputs`")  # Keras' own, of a list for a tensor
def test_recomputed_activations_train_the_same_weights_means_and_dropout():
    kept, recomputed = trained(False)[0], trained(True)[0]
    for one, other in zip(kept, recomputed, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    still = trained(False, steps=0)[0]
    assert all(np.abs(one - other).max() > 1e-4 for one, other in zip(kept, still, strict=True))


def test_a_classifier_trained_with_recomputation_is_saved_as_any_other(tmp_path):
    _, classifier = trained(True, steps=1)
    classifier.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as whole:
        assert "cxr" not in whole.read("config.json").decode()
    loaded = saved_models.load_model(tmp_path / "model.keras", 32, "train")
    np.testing.assert_array_equal(run(loaded, films(32)), run(classifier, films(32)))


@pytest.mark.parametrize("member", REAL)
def test_every_backbone_falls_into_a_chain_of_segments_with_all_its_weights(member):
    classifier = classifiers.build_classifier(member, params_of())
    segments = recomputation.segments(classifier)
    assert 5 <= len(segments) <= 12
    ours = [weight for segment in segments for weight in segment.weights]
    head = 2  # the last layer's kernel and bias
    seeds = sum(weight.path.endswith("seed_generator_state") for weight in ours)
    assert len(ours) == len({id(weight) for weight in ours}) == len(classifier.weights) - head + seeds
    assert recomputation.logits_of(classifier, recompute=True).output_shape == (None, 6)


def test_the_first_weights_hang_on_the_seed():
    kernels = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        kernels.append(classifiers.build_classifier("tiny", params_of()).get_layer("conv0").get_weights()[0])
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.allclose(kernels[0], kernels[2])


# Input scaling


def ramp(size: int = 32) -> np.ndarray:
    """Gray 0 to 255, each four times."""
    return np.repeat(np.arange(256, dtype=np.uint8), 4).reshape(1, size, size, 1)


@pytest.mark.parametrize("member", ["inceptionv3", "xception", "tiny"])
def test_gray_becomes_three_equal_colours_from_minus_one_to_one(member):
    size = params_of().input_size(member)
    model = _scaling_only(member, size)
    seen = seen_by_backbone(model, np.resize(ramp(), (1, size, size, 1)))
    expected = np.repeat(np.resize(ramp(), (1, size, size, 1)) / 127.5 - 1, 3, axis=-1)
    np.testing.assert_allclose(seen, expected, atol=1e-6)
    assert (seen.min(), seen.max()) == (-1, 1)


def _scaling_only(member, size):
    """What `build_classifier` puts before the backbone; the backbone itself left out because it takes seconds."""
    scaling = APPLICATIONS[member][1]
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(APPLICATIONS, member, (classifiers._tiny, scaling))
        return classifiers.build_classifier(member, params_of())


def test_densenet_sees_gray_standardised_by_imagenets_mean_and_deviation():
    seen = seen_by_backbone(_scaling_only("densenet169", 32), ramp())
    expected = (ramp() / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_efficientnet_sees_gray_standardised_behind_its_own_division_by_255():
    model = classifiers.build_classifier("efficientnetb0", params_of())
    after_its_own = keras.Model(model.input, model.get_layer("normalization").output)
    expected = (ramp() / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(run(after_its_own, ramp()), expected, atol=1e-5)


def test_efficientnet_v2_scales_by_itself():
    np.testing.assert_array_equal(
        seen_by_backbone(_scaling_only("efficientnetv2b0", 32), ramp()), np.repeat(ramp(), 3, axis=-1)
    )


# First weights


def perturbed(model):
    """Another state of every weight, batch-norm statistics too; variances stay positive."""
    random = np.random.default_rng(5)
    for layer in model.layers:
        positive = isinstance(layer, keras.layers.BatchNormalization)
        drawn = [0.1 * random.standard_normal(w.shape) for w in layer.get_weights()]
        layer.set_weights([w + (abs(d) if positive else d) for w, d in zip(layer.get_weights(), drawn, strict=True)])
    return model


def test_weights_in_imagenets_form_give_kerass_own_imagenet_network(tmp_path):
    """Keras' published files hold variance = std, and its graph a Rescaling(1/sqrt(std)) if told "imagenet"."""
    donor = perturbed(keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(32, 32, 3)))
    normalization = next(layer for layer in donor.layers if isinstance(layer, keras.layers.Normalization))
    normalization.set_weights([np.array(IMAGENET_MEAN), np.array(IMAGENET_STD), np.array(1)])
    normalization.finalize_state()
    donor.save_weights(tmp_path / "imagenet.weights.h5")

    # Keras' graph for weights="imagenet", from the same layers.
    def extra_rescaling(layer, *inputs, **options):
        output = layer(*inputs, **options)
        return output / keras.ops.sqrt(keras.ops.array(IMAGENET_STD)) if layer is normalization else output

    imagenet = keras.models.clone_model(donor, clone_function=lambda layer: layer, call_function=extra_rescaling)

    model = classifiers.build_classifier("efficientnetb0", params_of(WEIGHTS=str(tmp_path / "imagenet.weights.h5")))
    features = keras.Model(model.input, model.get_layer("features").output)
    x = films(32, 4)
    expected = run(imagenet, np.repeat(x, 3, axis=-1))
    assert expected.std() > 0.01
    np.testing.assert_allclose(run(features, x), expected, atol=1e-4 * np.abs(expected).max())
    # A Normalization takes up its weights only when it is loaded: once more from a file.
    model.save(tmp_path / "model.keras")
    loaded = saved_models.load_model(tmp_path / "model.keras", 32, "train")
    features = keras.Model(loaded.input, loaded.get_layer("features").output)
    np.testing.assert_allclose(run(features, x), expected, atol=1e-4 * np.abs(expected).max())


def test_a_local_weights_file_is_really_loaded(tmp_path):
    donor = perturbed(classifiers._tiny(input_shape=(32, 32, 3)))
    donor.save_weights(tmp_path / "tiny.weights.h5")
    model = classifiers.build_classifier("tiny", params_of(WEIGHTS=str(tmp_path / "tiny.weights.h5")))
    untouched = classifiers.build_classifier("tiny", params_of())
    for layer in donor.layers:
        for theirs, ours, first in zip(
            layer.get_weights(),
            model.get_layer(layer.name).get_weights() if layer.weights else [],
            untouched.get_layer(layer.name).get_weights() if layer.weights else [],
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)
            assert not np.allclose(first, theirs)


def test_first_weights_can_differ_by_member(tmp_path):
    perturbed(classifiers._tiny(input_shape=(32, 32, 3))).save_weights(tmp_path / "tiny.weights.h5")
    params = params_of(WEIGHTS={"tiny": str(tmp_path / "tiny.weights.h5"), "xception": "none"})
    model = classifiers.build_classifier("tiny", params)
    assert not np.allclose(model.get_layer("norm0").get_weights()[0], 1)


def test_a_weights_file_that_is_not_there_is_named(tmp_path):
    missing = tmp_path / "gone.weights.h5"
    with pytest.raises(InputError, match=r"gone\.weights\.h5.*WEIGHTS of PARAMS\.json"):
        classifiers.build_classifier("tiny", params_of(WEIGHTS=str(missing)))


def test_a_whole_network_of_another_kind_is_refused_in_one_line_without_keras_warnings(tmp_path, recwarn):
    u_net.build_unet(params_of()).save(tmp_path / "unet.keras")
    recwarn.clear()
    with pytest.raises(InputError, match=r"WEIGHTS: '.*unet\.keras' could not be loaded for tiny"):
        classifiers.build_classifier("tiny", params_of(WEIGHTS=str(tmp_path / "unet.keras")))
    assert not [warning for warning in recwarn if "Skipping" in str(warning.message)]


def test_weights_that_do_not_fit_or_are_broken_are_refused(tmp_path):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    (tmp_path / "broken.weights.h5").write_bytes(b"not HDF5 at all")
    (tmp_path / "empty.weights.h5").touch()
    for name in ("other", "broken", "empty"):
        with pytest.raises(
            InputError, match=rf"WEIGHTS: '.*{name}\.weights\.h5' could not be loaded for tiny \(.+\)\."
        ):
            classifiers.build_classifier("tiny", params_of(WEIGHTS=str(tmp_path / f"{name}.weights.h5")))


@pytest.mark.parametrize("error", [OSError("URL fetch failure on https://…: timed out"), RuntimeError(), OSError("\n")])
def test_imagenet_that_cannot_be_downloaded_says_what_to_set(monkeypatch, error):
    def constructor(input_tensor=None, weights=None, **options):
        if weights == "imagenet":
            raise error
        return classifiers._tiny(input_tensor)

    monkeypatch.setitem(APPLICATIONS, "tiny", (constructor, classifiers.SYMMETRIC))
    with pytest.raises(InputError, match=r"'imagenet' could not be loaded for tiny \(.+\)\.") as refused:
        classifiers.build_classifier("tiny", params_of(WEIGHTS="imagenet"))
    assert 'Set WEIGHTS in PARAMS.json to "none" or to a weights file' in str(refused.value)


# The U-Net


def test_the_unet_gives_a_probability_for_every_pixel():
    unet = u_net.build_unet(params_of(BATCH_NORM_MOMENTUM=0.8))
    assert (unet.input_shape, unet.output_shape) == ((None, 32, 32, 1), (None, 32, 32, 2))
    found = run(unet, films(32))
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    norms = [layer for layer in unet.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 22  # two a level on nine levels, one after each of four transposed convolutions
    assert {layer.momentum for layer in norms} == {0.8}
    filters = [layer.filters for layer in unet.layers if type(layer) is keras.layers.Conv2D]
    assert filters == [4, 4, 8, 8, 16, 16, 32, 32, 64, 64, 32, 32, 16, 16, 8, 8, 4, 4, 2]  # lungs and heart


def test_the_unet_sees_the_same_in_a_darker_and_flatter_film():
    unet = perturbed(u_net.build_unet(params_of()))
    x = films(32).astype("float32")
    np.testing.assert_allclose(run(unet, x), run(unet, 0.4 * x + 60), atol=1e-3)
    assert np.abs(run(unet, x) - run(unet, x[::-1])).max() > 0.01
    standardised = keras.Model(unet.input, unet.get_layer("standardised").output)
    expected = (x - x.mean(axis=(1, 2, 3), keepdims=True)) / x.std(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(run(standardised, x), expected, atol=0.02)


def test_the_unet_survives_a_film_of_one_gray():
    assert np.isfinite(run(u_net.build_unet(params_of()), np.full((1, 32, 32, 1), 77))).all()


def test_the_unet_is_the_same_after_saving_and_loading(tmp_path):
    unet = perturbed(u_net.build_unet(params_of()))
    unet.save(tmp_path / "model.keras")
    loaded = saved_models.load_model(tmp_path / "model.keras", 32, "train")
    np.testing.assert_array_equal(run(loaded, films(32)), run(unet, films(32)))


# Loading


def saved_tiny(folder: Path) -> Path:
    path = folder / "model.keras"
    classifiers.build_classifier("tiny", params_of()).save(path)
    return path


def test_a_model_that_is_not_there_names_what_makes_it(tmp_path):
    with pytest.raises(InputError, match=r"model\.keras: not there yet\. Make it with: sh train_Ensemble\.sh"):
        saved_models.load_model(tmp_path / "model.keras", 32, "sh train_Ensemble.sh")


def test_a_model_for_another_size_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"takes films of 32x32x1, PARAMS\.json says 48x48x1.*sh train"):
        saved_models.load_model(saved_tiny(tmp_path), 48, "sh train_Ensemble.sh")


def test_a_broken_model_is_refused(tmp_path):
    path = saved_tiny(tmp_path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"garbage", pickle.dumps({"model": 1}), b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(content)
        with pytest.raises(
            InputError, match=r"model\.keras: not a whole Keras model \(.+\)\. Make it again with: sh t"
        ):
            saved_models.load_model(path, 32, "sh train_Ensemble.sh")


def test_a_model_without_its_weights_is_refused(tmp_path):
    path = saved_tiny(tmp_path)
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist() if not name.endswith(".h5")}
    with zipfile.ZipFile(path, "w") as rest:
        for name, content in parts.items():
            rest.writestr(name, content)
    with pytest.raises(InputError, match="not a whole Keras model"):
        saved_models.load_model(path, 32, "sh train_Ensemble.sh")


def test_a_saved_network_that_is_no_film_model_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    two = [keras.Input((4,)), keras.Input((4,))]
    keras.Model(two, keras.layers.Add()(two)).save(path)
    with pytest.raises(InputError, match="takes films of"):
        saved_models.load_model(path, 32, "sh train_Ensemble.sh")


def test_no_code_in_a_model_file_is_run(tmp_path):
    """A Lambda layer holds Python code; a model file from elsewhere must not run it."""
    mark, path = tmp_path / "mark", tmp_path / "model.keras"
    film = keras.Input((32, 32, 1))
    changed = keras.layers.Lambda(
        lambda x, name: [open(name, "w").close(), x][1], output_shape=(32, 32, 1), arguments={"name": str(mark)}
    )(film)
    keras.Model(film, changed).save(path)
    mark.unlink(missing_ok=True)
    with pytest.raises(InputError, match="not a whole Keras model"):
        saved_models.load_model(path, 32, "sh train_Ensemble.sh")
    assert not mark.exists()


def test_a_models_file_names_no_class_of_ours(tmp_path):
    """So that anybody with Keras alone can read it."""
    with zipfile.ZipFile(saved_tiny(tmp_path)) as whole:
        content = whole.read("config.json").decode()
    assert "cxr" not in content
    assert json.loads(content)["class_name"] == "Functional"


# Finer features

SIZES = dict.fromkeys((f"{name}_INPUT_SIZE" for name in ("DENSENET", "INCEPTION", "XCEPTION", "EFFICIENTNET")), 80)
# At 80 pixels; as published 1 and 3 a side.
PLACES = [("inceptionv3", 8, 7), ("efficientnetb0", 16, 5)]


@pytest.mark.parametrize(("member", "stride", "places"), PLACES)
def test_a_smaller_output_stride_gives_more_places_with_the_same_weights(member, stride, places, tmp_path):
    model = classifiers.build_classifier(member, params_of(OUTPUT_STRIDE={member: stride}, **SIZES))
    assert model.get_layer("features").output.shape[1:3] == (places, places)
    published = APPLICATIONS[member][0](include_top=False, weights=None, input_shape=(80, 80, 3))
    of_backbone = [weight.shape for layer in model.layers if layer.name != "logits" for weight in layer.weights]
    assert of_backbone == [weight.shape for weight in published.weights]
    if member == "efficientnetb0":
        model.save(tmp_path / "model.keras")
        loaded = saved_models.load_model(tmp_path / "model.keras", 80, "-")
        np.testing.assert_allclose(run(loaded, films(80, 1)), run(model, films(80, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("member", "size"),
    [("densenet121", 64), ("xception", 80), ("efficientnetb0", 80), ("convnexttiny", 64), ("resnet50v2", 64)],
)
def test_every_second_place_of_the_finer_features_is_one_of_the_published_network(member, size):
    """With the same weights: the strides that became 1 take nothing away, and dilation looks at the same places."""
    published = APPLICATIONS[member][0](include_top=False, weights=None, input_shape=(size, size, 3))
    finer = output_stride.with_output_stride(published, 16)
    finer.set_weights(published.get_weights())
    film = np.repeat(films(size, 1), 3, axis=3) / 128 - 1
    coarse = run(published, film)
    np.testing.assert_allclose(run(finer, film)[:, ::2, ::2], coarse, atol=1e-5 * np.abs(coarse).max())


def test_first_weights_of_finer_features_are_those_of_the_published_network(tmp_path):
    published = APPLICATIONS["densenet121"][0](include_top=False, weights=None, input_shape=(32, 32, 3))
    published.save_weights(tmp_path / "first.weights.h5")
    given = {"WEIGHTS": str(tmp_path / "first.weights.h5"), "OUTPUT_STRIDE": 8}
    model = classifiers.build_classifier("densenet121", params_of(**given))
    for name in ("conv1_conv", "conv5_block16_2_conv"):
        ours, theirs = (network.get_layer(name).get_weights()[0] for network in (model, published))
        np.testing.assert_array_equal(ours, theirs)
    assert model.get_layer("conv5_block16_2_conv").dilation_rate == (4, 4)
