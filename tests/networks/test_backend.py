"""How devices and processes share the work; what they compute together is in tests/test_several_devices.py."""

import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from cxr.core import process_group
from cxr.core.errors import InputError
from cxr.networks import backend
from cxr.networks.backend import keras
from tests.conftest import tiny_params


def devices(monkeypatch, count: int) -> None:
    monkeypatch.setattr(backend, "devices", lambda: [f"GPU:{place}" for place in range(count)])


def test_a_batch_that_devices_cannot_share_is_refused(monkeypatch):
    devices(monkeypatch, 3)
    backend.batch_must_divide(6, "BATCH_SIZE")
    with pytest.raises(InputError, match=r"UNET_BATCH_SIZE is 2, and 3 devices share each batch: .* a multiple of 3"):
        backend.batch_must_divide(2, "UNET_BATCH_SIZE")
    if keras.backend.backend() == "jax":
        with pytest.raises(InputError, match="BATCH_SIZE is 16, and 3 devices share each batch"):
            backend.batch_must_divide(16, "BATCH_SIZE")
    else:
        backend.batch_must_divide(16, "BATCH_SIZE")  # TensorFlow's parts need not be equal
    devices(monkeypatch, 1)
    backend.batch_must_divide(1, "BATCH_SIZE")


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX can")
def test_several_processes_need_jax(monkeypatch):
    backend._join.cache_clear()  # another test may have trained in this process
    monkeypatch.setenv(process_group.COUNT, "2")
    with pytest.raises(InputError, match="2 processes are to train together, and KERAS_BACKEND is tensorflow"):
        backend.start(tiny_params(), together=True)
    backend.start(tiny_params())  # what does not train depends on no other process


def test_one_process_gathers_its_own():
    np.testing.assert_array_equal(backend.gathered(np.arange(3)), [[0, 1, 2]])


def test_on_one_device_nothing_is_copied_or_spread():
    assert len(backend.devices()) == backend.own_devices() == 1
    assert not backend.copies_to_score()
    with backend.scope(), backend.own_scope():
        assert keras.distribution.distribution() is None
    assert float(keras.ops.convert_to_numpy(backend.sum_of_replicas(keras.ops.ones(())))) == 1


def test_devices_that_train_together_are_in_the_first_line(monkeypatch):
    devices(monkeypatch, 4)
    monkeypatch.setattr(backend, "gpus", lambda: ["GPU:0", "GPU:1", "GPU:2", "GPU:3"])
    assert backend.start(tiny_params(), together=True).endswith("GPU:3: 4 devices train together; float32")
    assert backend.start(tiny_params()).endswith("GPU:3; float32")


def test_tensorflow_on_several_gpus_has_no_xla(monkeypatch):
    monkeypatch.setattr(backend, "gpus", lambda: ["GPU:0", "GPU:1"])
    assert backend.jit_compile(tiny_params(XLA="on")) is (keras.backend.backend() == "jax")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.5, "backend": "torch"}, "read"),
        ({"floatx": "bfloat16"}, r"~/\.keras/keras\.json: Invalid `floatx`.* Remove that file"),
    ],
)
def test_keras_s_own_settings_change_no_number(tmp_path, written, said):
    (tmp_path / "keras.json").write_text(json.dumps(written))
    code = """
from cxr.core.errors import InputError
try:
    from cxr.networks.backend import keras
    config = keras.config
    print(config.floatx(), config.image_data_format(), config.epsilon(), config.max_epochs())
    print(config.dtype_policy().name)
    print(config.backend(), "read")
except InputError as error:
    print(error)
"""
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "KERAS_MAX_EPOCHS": "1"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert re.search(said, result.stdout), result.stderr
    if said == "read":
        usual = ["float32 channels_last 1e-07 None", "float32"]
        assert result.stdout.splitlines()[-3:] == [*usual, f"{keras.backend.backend()} read"]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([(8, 0)], "mixed_bfloat16"), ([(9, 0), (7, 5)], "mixed_float16"), ([(6, 1)], "float32"), ([None], "float32"),
     ([], "float32")],
    ids=["A100", "H100 and T4", "P100", "no NVIDIA GPU", "CPU"],
)  # fmt: skip
def test_precision_auto_is_what_the_oldest_gpu_multiplies(monkeypatch, numbers, expected):
    if keras.backend.backend() == "jax":
        import jax

        words = ["gfx90a" if number is None else f"{number[0]}.{number[1]}" for number in numbers]
        found = [SimpleNamespace(platform="gpu", compute_capability=word) for word in words]
        monkeypatch.setattr(jax, "local_devices", lambda: found)
    else:
        import tensorflow

        monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: numbers)
        details = [{} if number is None else {"compute_capability": number} for number in numbers]
        given = iter(details)
        monkeypatch.setattr(tensorflow.config.experimental, "get_device_details", lambda device: next(given))
    monkeypatch.setattr(backend, "gpus", lambda: ["GPU"] * len(numbers))
    assert backend.best_precision() == expected


def test_only_training_is_in_half_precision_where_that_is_left_open(monkeypatch):
    monkeypatch.setattr(backend, "gpus", lambda: ["GPU:0"])
    monkeypatch.setattr(backend, "capability", lambda: 8)
    params = tiny_params()
    assert params.training.precision == "auto"
    try:
        trained = params.with_precision(backend.best_precision())
        assert backend.start(trained).endswith("GPU:0; mixed_bfloat16")
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert backend.start(params).endswith("GPU:0; float32 (TF32 in its multiplications)")
        assert keras.config.dtype_policy().name == "float32"
    finally:
        keras.config.set_dtype_policy("float32")
