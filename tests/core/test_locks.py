"""One writer a folder: the second is told who the first is; a killed one leaves neither lock nor half a file."""

import re
import signal
import subprocess
import sys

import pytest

from cxr.core import locks
from cxr.core.errors import BusyError
from tests.conftest import PROJECT

HOLDER = (
    "import sys, time; from pathlib import Path; from cxr.core import locks; locks.hold(*map(Path, sys.argv[1:])); "
)
WAIT = "print('held', flush=True); time.sleep(60)"


def holding(*folders, then=WAIT):
    """Another process that holds the folders."""
    command = [sys.executable, "-c", HOLDER + then, *map(str, folders)]
    return subprocess.Popen(command, env={"PYTHONPATH": str(PROJECT / "src")}, stdout=subprocess.PIPE, text=True)


def test_the_second_writer_is_told_who_writes_there_and_since_when(tmp_path):
    with holding(tmp_path / "a") as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=rf"a: another run is writing there \(-c, process {first.pid}, since 20"):
            locks.hold(tmp_path / "a")
        locks.hold(tmp_path / "b")  # another folder: another member on another GPU
        first.kill()
    locks.hold(tmp_path / "a")


def test_a_kill_lets_the_lock_go_and_the_next_run_removes_what_it_left(tmp_path):
    half = "Path(sys.argv[1], '.part7.images.csv').touch(); "
    with holding(tmp_path, then=half + WAIT) as first:
        first.stdout.readline()
        first.send_signal(signal.SIGKILL)
    assert (tmp_path / ".part7.images.csv").exists()
    (tmp_path / "images.csv").touch()
    locks.hold(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "images.csv"}


def test_the_same_process_may_hold_a_folder_twice_and_its_own_half_file_stays(tmp_path):
    locks.hold(tmp_path)
    (tmp_path / ".part1.x").touch()
    locks.hold(tmp_path)
    assert (tmp_path / ".part1.x").exists()


def test_below_a_held_folder_everything_half_written_is_swept(tmp_path):
    (tmp_path / "Edema/nih").mkdir(parents=True)
    for name in (".part1.a.png", "a.png"):
        (tmp_path / "Edema/nih" / name).touch()
    locks.sweep(tmp_path)
    assert [path.name for path in tmp_path.rglob("*.png")] == ["a.png"]


def test_where_nothing_can_be_written_there_is_nothing_to_hold(tmp_path):
    (tmp_path / "file").touch()
    locks.hold(tmp_path / "file/below")  # no folder can be made there


def test_a_script_stops_with_exit_status_4(tmp_path):
    from tests.conftest import settings_in

    settings = settings_in(tmp_path)
    (tmp_path / "PARAMS.json").write_text("{}")
    with holding(settings.classification) as first:
        first.stdout.readline()
        script = PROJECT / "src/classification/etl/0_nih_table.py"
        files = ["--settings", "SETTINGS.json", "--params", "PARAMS.json"]
        second = subprocess.run([sys.executable, script, *files], cwd=tmp_path, capture_output=True, text=True)
        first.kill()
    assert second.returncode == 4
    assert re.fullmatch(r"error: .*another run is writing there \(.*\)\. Wait .*\n", second.stderr)
