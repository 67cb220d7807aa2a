"""Model and weights files that are something else, and what is told of them."""

import json
import shutil
import zipfile

import numpy as np
import pytest

from cxr.core.configuration import params_from
from cxr.core.errors import InputError
from cxr.networks import classifiers, saved_models
from cxr.networks.backend import keras
from tests.conftest import tiny_params

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:66\nsize 42000000\n"
PAGE = b"\n<!DOCTYPE html><html><title>Sign in</title></html>"


def tiny(weights="none"):
    sizes = {"DENSENET_INPUT_SIZE": 32, "EFFICIENTNET_INPUT_SIZE": 32, "EFFICIENTNET_VARIANT": "B0"}
    return classifiers.build_classifier("tiny", params_from({"WEIGHTS": str(weights)} | sizes, "-"))


def refused(work, *expected: str) -> None:
    with pytest.raises(InputError) as error:
        work()
    said = str(error.value)
    assert all(part in said for part in expected), said
    assert "\n" not in said
    assert len(said) < 700


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (POINTER, "it is a Git LFS pointer; fetch the file itself with: git lfs pull"),
        (PAGE, "it is a web page; download it again"),
        (b"PK\x03\x04 cut", "it is no zip file, or a part of it is missing"),
    ],
)
def test_what_lies_in_a_models_place_is_named(tmp_path, content, told):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    refused(lambda: saved_models.load_model(path, 32, "sh train_Ensemble.sh"), told, "sh train_Ensemble.sh")


@pytest.mark.parametrize(("content", "told"), [(POINTER, "git lfs pull"), (PAGE, "web page"), (b"x", "file signature")])
def test_what_lies_in_the_place_of_weights_is_named(tmp_path, content, told):
    (tmp_path / "w.h5").write_bytes(content)
    refused(lambda: tiny(tmp_path / "w.h5"), "WEIGHTS: ", told)


def test_a_folder_in_a_models_place_is_named(tmp_path):
    (tmp_path / "model.keras").mkdir()
    refused(lambda: saved_models.load_model(tmp_path / "model.keras", 32, "train.py"), "a folder; a SavedModel")


def test_weights_of_keras_3_under_an_older_name_are_told_how_to_be_called(tmp_path):
    backbone = classifiers._tiny(input_shape=(32, 32, 3))
    backbone.save_weights(tmp_path / "w.weights.h5")
    shutil.copy(tmp_path / "w.weights.h5", tmp_path / "w.h5")
    refused(lambda: tiny(tmp_path / "w.h5"), "its name must end in .weights.h5")
    tiny(tmp_path / "w.weights.h5")


def test_a_model_of_another_keras_says_so_and_shows_no_configuration(tmp_path):
    whole, path = tmp_path / "whole.keras", tmp_path / "model.keras"
    tiny().save(whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "metadata.json":
                content = json.dumps({"keras_version": "2.15.0"}).encode()
            if name == "config.json":  # as Keras 2 wrote it
                content = content.replace(b"keras.src.models.functional", b"keras.src.engine.functional")
            target.writestr(name, content)
    load = lambda: saved_models.load_model(path, 32, "train.py")  # noqa: E731
    refused(load, f"it is of Keras 2.15.0, this is {keras.__version__}: Could not deserialize class 'Functional'")


@pytest.mark.parametrize("member", ["tiny", "convnexttiny"])  # the latter has networks within it
def test_a_network_trained_in_half_precision_says_in_float32_what_its_weights_say(tmp_path, member):
    params = tiny_params(INPUT_SIZE=32)
    films = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1)).astype(np.float32)
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        trained = classifiers.build_classifier(member, params)
        trained.save(tmp_path / "model.keras")
        kept = saved_models.load_model(tmp_path / "model.keras", 32, "train.py")
        assert kept.get_layer("features").compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    plain = classifiers.build_classifier(member, params)
    plain.set_weights(trained.get_weights())
    loaded = saved_models.load_model(tmp_path / "model.keras", 32, "train.py")
    expected, found = (keras.ops.convert_to_numpy(model(films, training=False)) for model in (plain, loaded))
    np.testing.assert_array_equal(found, expected)
    assert np.abs(keras.ops.convert_to_numpy(trained(films, training=False)) - expected).max() > 1e-6
