"""Training on several devices and in several processes ends where training on one does; a killed process stops all.

Virtual devices of this CPU and processes on the loopback stand in for GPUs and machines.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from cxr.networks.backend import keras
from tests.conftest import PROJECT, TINY, prepare, settings_in, tiny_params

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason='JAX is not installed (pip install -e ".[jax]")'
)
needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="MirroredStrategy needs TensorFlow"
)
TOGETHER = ("sh", PROJECT / "on_machines.sh", "localhost", "localhost", "--")
TRAIN = ("sh", PROJECT / "train_Ensemble.sh", "--settings", "SETTINGS.json", "--params", "PARAMS.json")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Backend -> the variables of a process that runs it; JAX on a machine without TensorFlow, as it is meant for."""
    without = tmp_path_factory.mktemp("without")
    (without / "tensorflow.py").write_text("raise ImportError('this machine has no TensorFlow')")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("KERAS_DISTRIBUTION", "SLURM"))}
    clean |= {"PYTHON": sys.executable, "PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT}"}
    return {
        "tensorflow": clean | {"KERAS_BACKEND": "tensorflow"},
        "jax": clean | {"KERAS_BACKEND": "jax", "PYTHONPATH": f"{without}:{clean['PYTHONPATH']}"},
    }


# Devices of one machine


@pytest.fixture
def weights_from(environment, tmp_path):
    """Last weights by tests/train_on_devices.py, of each network those of one device and of two.

    In a process of its own: how many devices there are is fixed early.
    """

    def weights(backend: str, *networks: str) -> list[list[list[np.ndarray]]]:
        command = [sys.executable, "-m", "tests.train_on_devices", tmp_path, *networks]
        result = subprocess.run(command, cwd=PROJECT, env=environment[backend], capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        of_one, of_two = (line for line in result.stdout.splitlines() if line.startswith("Keras "))
        assert "devices" not in of_one
        assert "2 devices train together" in of_two
        return [[list(np.load(tmp_path / f"{name}_{n}.npz").values()) for n in (1, 2)] for name in networks]

    return weights


def difference(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    return max(float(np.abs(first - second).max()) for first, second in zip(one, other, strict=True))


@needs_tensorflow
def test_mirrored_devices_train_the_weights_of_one_also_where_unknown_labels_are_unevenly_spread(weights_from):
    (norm_of_one, norm_of_two), (one, two) = weights_from("tensorflow", "norm", "plain")
    assert difference(one, two) < 1e-5
    # Batch normalisation takes its statistics from each device's part of the batch.
    print(f"with batch normalisation the weights differ by {difference(norm_of_one, norm_of_two):.1e}")
    assert 1e-5 < difference(norm_of_one, norm_of_two) < 0.1


@needs_jax
def test_devices_of_jax_train_the_weights_of_one_batch_normalisation_included(weights_from):
    ((one, two),) = weights_from("jax", "norm")
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


@pytest.fixture(scope="module")
def start(environment):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return lambda folder, *command: subprocess.Popen(command, cwd=folder, env=environment["jax"], **pipes)


def whole(process: subprocess.Popen) -> str:
    """What a process that must end well says."""
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, said + errors
    return said


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
def together(start, tmp_path_factory):
    """A folder in which two processes trained, and what they said."""
    folder = miniature(tmp_path_factory.mktemp("together") / "run")
    return folder, whole(start(folder, *TOGETHER, *TRAIN))


@needs_jax
def test_two_processes_train_the_weights_of_one_and_only_the_first_writes_and_speaks(start, together, tmp_path):
    folder, said = together
    alone = miniature(tmp_path / "run")
    whole(start(alone, *TRAIN))
    assert "CPU: 2 devices of 2 processes train together" in said
    assert said.count("epoch 4:") == said.count("-> ") == 1
    assert difference(weights_of(alone), weights_of(folder)) < 1e-5
    pd.testing.assert_frame_equal(log_of(alone), log_of(folder), rtol=1e-5)
    files = {one: sorted(path.name for path in run_of(one).iterdir()) for one in (alone, folder)}
    assert (
        files[folder]
        == files[alone]
        == [".cxr-backup", ".cxr-lock", "curves.png", "log.csv", "model.keras", "run.json"]
    )
    again = whole(start(folder, *TOGETHER, *TRAIN))
    assert again.count("up to date") == 1


@needs_jax
def test_a_killed_process_stops_all_and_the_same_command_goes_on(start, together, tmp_path):
    folder = miniature(tmp_path / "run")
    process = start(folder, *TOGETHER, *TRAIN)
    line = process.stdout.readline()
    while line and "epoch 1:" not in line:
        line = process.stdout.readline()
    workers = processes_below(folder)
    assert sorted(workers) == [0, 1]
    os.kill(workers[1], signal.SIGKILL)
    killed = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - killed < 20
    assert process.returncode == 137
    assert (
        "error: process 1 on localhost ended with exit status 137; the other processes were stopped. The same command "
        "goes on after the last whole epoch." in errors
    )
    assert not processes_below(folder)
    assert "resumed after epoch" in whole(start(folder, *TOGETHER, *TRAIN))
    assert difference(weights_of(together[0]), weights_of(folder)) < 1e-6


# The launcher alone


@pytest.fixture(params=["setsid", "no setsid"])
def launch(tmp_path, request):
    """Run on_machines.sh with stand-ins for ssh and SLURM on the path; also as on macOS: bash is sh, and no setsid."""
    path, bare = tmp_path / "bin", request.param == "no setsid"
    path.mkdir()
    for name, lines in STAND_INS.items():
        (path / name).write_text(lines)
        (path / name).chmod(0o755)
    for name in TOOLS if bare else ():
        (path / name).symlink_to(shutil.which("bash" if name == "sh" else name))
    paths = str(path) if bare else f"{path}:{os.environ['PATH']}"

    def launched(*words: str, **variables: str):
        usual = {"PATH": paths, "PYTHON": sys.executable, "JOB_PORT": "23456"}
        command = [shutil.which("sh", path=paths), PROJECT / "on_machines.sh", *words]
        return subprocess.run(command, cwd=tmp_path, env=usual | variables, capture_output=True, text=True, timeout=30)

    return launched


TOOLS = ("sh", "cat", "dirname", "env", "head", "mkfifo", "mktemp", "rm", "sed", "sleep", "stty", "true", "uname")
STAND_INS = {
    "ssh": """#!/bin/sh
while [ $# -gt 2 ]; do shift; done
echo "ssh to $1" >&2
exec sh -c "$2"
""",
    "scontrol": """#!/bin/sh
printf 'node7\\nnode8\\n'
""",
}
SHOW = (
    'echo "$KERAS_BACKEND $KERAS_DISTRIBUTION_PROCESS_ID/$KERAS_DISTRIBUTION_NUM_PROCESSES '
    '$KERAS_DISTRIBUTION_JOB_ADDRESSES $PYTHON $(pwd)"; for word; do echo "<$word>"; done'
)


def test_each_machine_gets_the_command_as_it_was_written(launch, tmp_path):
    words = ["two words", "it's $HOME", "", "a\nb", "*"]
    for hosts in (["localhost"], ["me@node1"]):
        result = launch(*hosts, "--", "sh", "-c", SHOW, "sh", *words)
        assert result.returncode == 0, result.stderr
        first, rest = result.stdout.split("\n", 1)
        assert first == f"jax 0/1 {hosts[0].removeprefix('me@')}:23456 {sys.executable} {tmp_path}"
        assert rest == "".join(f"<{word}>\n" for word in words)
    assert "ssh to me@node1" in result.stderr


def test_machines_are_numbered_and_meet_at_the_first(launch):
    result = launch("node1", "node2", "node3", "--", "sh", "-c", SHOW)
    lines = sorted(line.split()[1:3] for line in result.stdout.splitlines())
    assert lines == [[f"{number}/3", "node1:23456"] for number in range(3)]


def test_one_that_fails_ends_the_others_even_if_they_do_not_listen(launch):
    started = time.monotonic()
    deaf = 'trap "" TERM; [ $KERAS_DISTRIBUTION_PROCESS_ID = 1 ] && exit 7; sleep 60; sleep 60'
    result = launch("localhost", "localhost", "localhost", "--", "sh", "-c", deaf)
    assert time.monotonic() - started < 20
    assert result.returncode == 7
    assert result.stderr.startswith("error: process 1 on localhost ended with exit status 7; the other processes were")


def test_a_launcher_that_is_stopped_twice_still_ends_all_and_leaves_nothing(tmp_path):
    """As by an impatient second Ctrl-C; what it started does not listen."""
    deaf = 'trap "" TERM; echo $$ > pid.$KERAS_DISTRIBUTION_PROCESS_ID; while :; do sleep 1; done'
    (tmp_path / "notes").mkdir()
    command = ["sh", PROJECT / "on_machines.sh", "localhost", "localhost", "--", "sh", "-c", deaf]
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {"TMPDIR": str(tmp_path / "notes")})
    until = time.monotonic() + 20
    while len(list(tmp_path.glob("pid.*"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    process.terminate()
    time.sleep(0.3)
    process.terminate()
    assert process.wait(timeout=20) == 143
    started = [int(path.read_text()) for path in tmp_path.glob("pid.*")]
    assert len(started) == 2
    time.sleep(0.2)
    assert not [number for number in started if os.path.exists(f"/proc/{number}/cmdline")]
    assert not list((tmp_path / "notes").iterdir())


def test_under_slurm_it_says_which_process_this_is(launch):
    slurm = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_JOB_ID": "9", "SLURM_JOB_NODELIST": "node[7-8]"}
    result = launch("sh", "-c", SHOW + "; exit 3", **slurm)
    assert result.returncode == 3
    assert result.stdout.startswith(f"jax 1/2 node7:23456 {sys.executable}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "usage: sh on_machines.sh"),
        (["node1", "node2"], "usage: sh on_machines.sh"),
        (["--", "true"], "usage: sh on_machines.sh"),
        (["localhost", "node2", "--", "true"], 'node2 cannot find "localhost"'),
    ],
)
def test_a_wrong_command_line_is_said(launch, words, message):
    result = launch(*words)
    assert result.returncode == 2
    assert message in result.stderr
