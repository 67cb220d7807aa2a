"""Which of several processes this one is, that only the first speaks, and that one that fails ends at once."""

import subprocess
import sys
import time

import pytest

from cxr.core import process_group


def process(monkeypatch, index: int, count: int) -> None:
    monkeypatch.setenv(process_group.COUNT, str(count))
    monkeypatch.setenv(process_group.INDEX, str(index))


def test_without_a_launcher_there_is_one_process(monkeypatch):
    monkeypatch.delenv(process_group.COUNT, raising=False)
    monkeypatch.delenv(process_group.INDEX, raising=False)
    assert (process_group.count(), process_group.index(), process_group.is_first(), process_group.name()) == (
        1,
        0,
        True,
        "",
    )


def test_the_launcher_says_which_process_this_is(monkeypatch):
    process(monkeypatch, 2, 4)
    assert (process_group.count(), process_group.index(), process_group.is_first()) == (4, 2, False)
    assert process_group.name() == "process 2 of 4"


@pytest.mark.parametrize("index", [0, 1])
def test_only_the_first_speaks_but_every_error_is_heard(monkeypatch, capsys, index):
    process(monkeypatch, index, 2)

    @process_group.first_speaks()
    def fails():
        print("films")
        print("WARNING", file=sys.stderr)
        raise ValueError("heard")

    with pytest.raises(ValueError, match="heard"):
        fails()
    expected = ("", "") if index else ("films\n", "WARNING\n")
    assert tuple(capsys.readouterr()) == expected
    print("after")
    assert capsys.readouterr().out == "after\n"


def test_a_process_that_fails_says_which_it_is_and_does_not_wait_for_what_is_done_at_exit(monkeypatch):
    process(monkeypatch, 1, 2)
    lines = [
        "import atexit, time",
        "from cxr.core import command_line",
        "from cxr.core.errors import InputError",
        "atexit.register(time.sleep, 60)",
        "def main(): raise InputError('no films')",
        "command_line.run(main)",
    ]
    started = time.monotonic()
    result = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=50)
    assert time.monotonic() - started < 40
    assert (result.returncode, result.stderr) == (2, "error in process 1 of 2: no films\n")
