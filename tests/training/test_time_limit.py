"""Hours and signals: what ends a training, with which words and exit status."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cxr.core import command_line
from cxr.core.errors import Ended
from cxr.training import time_limit
from cxr.training.time_limit import TimeLimit
from tests.conftest import PROJECT, TINY, prepare, settings_in, tiny_params

AGAIN = "sh train_Ensemble.sh --hours 2"


@pytest.fixture
def clock(monkeypatch):
    """The seconds that have passed, to be set."""
    passed = [0.0]
    monkeypatch.setattr(time_limit.time, "monotonic", lambda: passed[0])
    return passed


def test_an_epoch_begins_only_where_it_would_be_whole_in_time(clock):
    limit = TimeLimit(2, AGAIN)
    clock[0] = 5400.0
    assert limit.left() == 1800
    assert limit.why_end(1800) == ""
    assert limit.why_end(1860) == "the next epoch, 31.0 min, would not be whole within --hours 2"


def test_without_hours_training_ends_only_where_it_is_asked_to():
    limit = TimeLimit()
    assert limit.why_end(1e9) == ""
    limit.on_signal(signal.SIGUSR1, None)
    assert limit.why_end(0) == "asked to by SIGUSR1"


def test_an_end_says_what_is_kept_and_how_to_go_on_and_has_a_status_of_its_own():
    limit = TimeLimit(2, AGAIN)
    limit.advance("epoch 3 of 50 of xception is whole and kept")
    said = f"SIGTERM; epoch 3 of 50 of xception is whole and kept. Go on with: {AGAIN}"
    assert command_line.explained(limit.ended("SIGTERM")) == (said, 6)


def test_hours_too_few_for_an_epoch_are_a_mistake_so_that_no_chain_of_jobs_goes_on_for_ever(clock):
    limit = TimeLimit(0.5, AGAIN)
    clock[0] = 1800.0
    said, status = command_line.explained(limit.ended("--hours 0.5 are over"))
    assert (said, status) == (
        "no epoch was whole within --hours 0.5; nothing was trained yet. Give it more hours.",
        2,
    )
    limit.advance("epoch 1 of 2 of tiny is whole and kept")
    assert command_line.explained(limit.ended("--hours 0.5 are over"))[1] == 6


def wait(send):
    send()
    time.sleep(5)
    pytest.fail("it went on")


@pytest.mark.parametrize(("name", "said"), [("SIGTERM", "SIGTERM"), ("SIGALRM", "--hours 2 are over")])
def test_sigterm_and_the_end_of_the_hours_end_at_once(name, said):
    with pytest.raises(Ended, match=f"{said}; nothing was trained yet"), time_limit.within(2, AGAIN):
        wait(lambda: os.kill(os.getpid(), getattr(signal, name)))


def test_the_clock_ends_what_takes_too_long_and_signals_are_then_as_before():
    before = {name: signal.getsignal(name) for name in (signal.SIGUSR1, signal.SIGTERM, signal.SIGALRM)}
    with pytest.raises(Ended, match="no epoch was whole"), time_limit.within(0.05 / 3600, AGAIN):
        wait(lambda: None)
    assert {name: signal.getsignal(name) for name in before} == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e300", "two"])
def test_hours_are_a_number_above_zero(text):
    with pytest.raises(command_line.argparse.ArgumentTypeError, match="expected a number of hours above 0"):
        command_line.hours(text)


def test_a_shell_script_that_slurm_ends_says_how_to_go_on_and_does(tmp_path):
    labels = np.random.default_rng(0).integers(0, 2, (12, 6))
    prepare(settings_in(tmp_path), tiny_params(), range(12), ["train"] * 8 + ["val"] * 4, labels=labels)
    (tmp_path / "PARAMS.json").write_text(json.dumps(TINY | {"EPOCHS": 6, "SCHEDULE": "constant"}))
    script = ["sh", PROJECT / "train_Ensemble.sh"]
    given = ["--settings", tmp_path / "SETTINGS.json", "--params", tmp_path / "PARAMS.json", "--hours", "9"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = os.environ | {"PYTHON": sys.executable, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([*script, *given], env=environment, **pipes)
    while "epoch 1:" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGUSR1)  # reaches Python: the shell is no longer there
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 6, errors
    words = " ".join(map(str, given))
    told = r"ended: asked to by SIGUSR1; epoch (\d) of 6 of tiny is whole and kept. Go on with: "
    epoch = re.search(told, errors)[1]
    assert errors.rstrip().endswith(f"sh train_Ensemble.sh {words}")
    again = subprocess.run([*script, *given], env=environment, capture_output=True, text=True)
    assert (again.returncode, f"resumed after epoch {epoch}" in again.stdout) == (0, True), again.stderr
