"""Training on several devices and in several processes ends where training on one does; a killed process stops all.

Virtual devices of this CPU and processes on the loopback stand in for GPUs and machines.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from cxr.backend import keras
from tests.conftest import PROJECT, TINY, prepare, settings_in, tiny_params

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason='JAX is not installed (pip install -e ".[jax]")'
)
needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="MirroredStrategy needs TensorFlow"
)
TOGETHER = ("sh", PROJECT / "on_machines.sh", "localhost", "localhost", "--")
TRAIN = ("sh", PROJECT / "train_Ensemble.sh", "--settings", "SETTINGS.json", "--params", "PARAMS.json")


def environment(backend: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("KERAS_DISTRIBUTION", "SLURM"))}
    return clean | {"KERAS_BACKEND": backend, "PYTHON": sys.executable, "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT}"}


# Devices of one machine


def weights_from(folder, backend: str, devices: int, *options: str) -> list[np.ndarray]:
    """Last weights of tests/train_on_devices.py, started in a process of its own: the others' devices are fixed."""
    folder = folder / f"{devices}{''.join(options)}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.train_on_devices", folder, str(devices), *options]
    result = subprocess.run(command, cwd=PROJECT, env=environment(backend), capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ("2 devices train together" in result.stdout) == (devices == 2)
    with np.load(folder / "weights.npz") as weights:
        return list(weights.values())


def difference(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    return max(float(np.abs(first - second).max()) for first, second in zip(one, other, strict=True))


@needs_tensorflow
def test_mirrored_devices_train_the_weights_of_one_also_where_unknown_labels_are_unevenly_spread(tmp_path):
    one, two = (weights_from(tmp_path, "tensorflow", devices) for devices in (1, 2))
    assert difference(one, two) < 1e-5
    # Batch normalisation takes its statistics from each device's part of the batch.
    one, two = (weights_from(tmp_path, "tensorflow", devices, "--norm") for devices in (1, 2))
    print(f"with batch normalisation: {difference(one, two):.1e}")
    assert 1e-5 < difference(one, two) < 0.1


@needs_jax
def test_devices_of_jax_train_the_weights_of_one_batch_normalisation_included(tmp_path):
    one, two = (weights_from(tmp_path, "jax", devices, "--norm") for devices in (1, 2))
    assert difference(one, two) < 1e-6


# Processes, as on several machines


def miniature(folder):
    """What prepare_data.sh leaves of 22 films, 8 of them for validation, with one label in four unknown."""
    random = np.random.default_rng(0)
    labels = random.choice([0, 1, np.nan], (22, 6), p=[0.375, 0.375, 0.25])
    changes = {"EPOCHS": 4, "EARLY_STOPPING_PATIENCE": 0, "OPTIMIZER": "sgd", "LEARNING_RATE": 0.05}
    folder.mkdir()
    prepare(settings_in(folder), tiny_params(), range(22), ["train"] * 14 + ["val"] * 8, labels=labels)
    (folder / "PARAMS.json").write_text(json.dumps(TINY | changes))
    return folder


def start(folder, *command) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment("jax"), text=True, **pipes)


def run_of(folder):
    return folder / "models/classification/ensemble/tiny"


def weights_of(folder) -> list[np.ndarray]:
    return keras.saving.load_model(run_of(folder) / "model.keras", compile=False).get_weights()


def log_of(folder) -> pd.DataFrame:
    return pd.read_csv(run_of(folder) / "log.csv").drop(columns="seconds")


def processes_below(folder) -> dict[int, int]:
    """Which process of the training -> its process id, of those that work in the folder."""
    found = {}
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline") as command, open(f"/proc/{entry}/environ") as variables:
                words, defined = command.read().split("\0"), variables.read().split("\0")
            here = os.readlink(f"/proc/{entry}/cwd") == str(folder)
        except OSError:
            continue
        if here and any(word.endswith("train.py") for word in words):
            named = dict(line.split("=", 1) for line in defined if "=" in line)
            found[int(named["KERAS_DISTRIBUTION_PROCESS_ID"])] = int(entry)
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A folder in which one process trained."""
    folder = miniature(tmp_path_factory.mktemp("alone") / "run")
    process = start(folder, *TRAIN)
    said, errors = process.communicate()
    assert process.returncode == 0, said + errors
    return folder


@needs_jax
def test_two_processes_train_the_weights_of_one_and_only_the_first_writes_and_speaks(alone, tmp_path):
    folder = miniature(tmp_path / "run")
    process = start(folder, *TOGETHER, *TRAIN)
    said, errors = process.communicate()
    assert process.returncode == 0, said + errors
    assert "CPU: 2 devices of 2 processes train together" in said
    assert said.count("epoch 4:") == said.count("-> ") == 1
    assert difference(weights_of(alone), weights_of(folder)) < 1e-6
    pd.testing.assert_frame_equal(log_of(alone), log_of(folder), rtol=1e-5)
    files = {one: sorted(path.name for path in run_of(one).rglob("*")) for one in (alone, folder)}
    assert files[folder] == files[alone] == [".lock", "curves.png", "log.csv", "model.keras", "run.json"]
    again = start(folder, *TOGETHER, *TRAIN)
    assert again.communicate()[0].count("up to date") == 1
    assert again.returncode == 0


@needs_jax
def test_a_killed_process_stops_all_and_the_same_command_goes_on(alone, tmp_path):
    folder = miniature(tmp_path / "run")
    process = start(folder, *TOGETHER, *TRAIN)
    line = process.stdout.readline()
    while line and "epoch 1:" not in line:
        line = process.stdout.readline()
    workers = processes_below(folder)
    assert sorted(workers) == [0, 1]
    os.kill(workers[1], signal.SIGKILL)
    killed = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - killed < 15
    assert process.returncode == 137
    assert (
        "error: process 1 on localhost ended with exit status 137; the other processes were stopped. The same command "
        "goes on after the last whole epoch." in errors
    )
    assert not processes_below(folder)
    resumed = start(folder, *TOGETHER, *TRAIN)
    said, errors = resumed.communicate()
    assert resumed.returncode == 0, said + errors
    assert "resumed after epoch" in said
    assert difference(weights_of(alone), weights_of(folder)) < 1e-6
    assert not (run_of(folder) / "backup").exists()
