"""One writer a folder: the second is told who the first is; a killed one leaves neither lock nor half a file."""

import os
import re
import signal
import subprocess
import sys

import pytest

from cxr.core import locks
from cxr.core.artifacts import write_text
from cxr.core.errors import BusyError, InputError
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
    half = "Path(sys.argv[1], '.cxr-part7.images.csv').touch(); "
    with holding(tmp_path, then=half + WAIT) as first:
        first.stdout.readline()
        first.send_signal(signal.SIGKILL)
    assert (tmp_path / ".cxr-part7.images.csv").exists()
    (tmp_path / "images.csv").touch()
    locks.hold(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".cxr-lock", "images.csv"}


def test_the_same_process_may_hold_a_folder_twice_and_its_own_half_file_stays(tmp_path):
    locks.hold(tmp_path)
    (tmp_path / ".cxr-part1.x").touch()
    locks.hold(tmp_path)
    assert (tmp_path / ".cxr-part1.x").exists()


def test_below_a_held_folder_everything_half_written_is_swept(tmp_path):
    (tmp_path / "Edema/nih").mkdir(parents=True)
    for name in (".cxr-part1.a.png", "a.png"):
        (tmp_path / "Edema/nih" / name).touch()
    locks.sweep(tmp_path)
    assert [path.name for path in tmp_path.rglob("*.png")] == ["a.png"]


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_in_the_place_of_a_folder_is_said(tmp_path, name):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=rf"{name}: expected a folder to write into; there is a file. Name another."):
        locks.hold(tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "other content"])
def test_what_is_called_as_our_lock_and_is_none_is_left_as_it_is(tmp_path, kind):
    (tmp_path / "thesis.txt").write_text("mine")
    lock = tmp_path / "out" / locks.LOCK
    lock.parent.mkdir()
    make = {"link": lambda: lock.symlink_to(tmp_path / "thesis.txt"), "folder": lock.mkdir,
            "pipe": lambda: os.mkfifo(lock), "other content": lambda: lock.write_text("mine")}  # fmt: skip
    make[kind]()
    with pytest.raises(InputError, match=rf"{locks.LOCK}: is no lock of ours"):
        locks.hold(lock.parent)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert kind != "other content" or lock.read_text() == "mine"


def test_only_names_that_are_ours_are_removed(tmp_path):
    mine = [".partner-data/thesis.txt", ".partial-download.zip", ".part1.rar", ".part7.images.csv", ".cxr-parts/a",
            ".cxr-part.a", ".lock"]  # fmt: skip
    for name in (*mine, ".cxr-part1.a.png", ".cxr-part12.work/b"):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text("mine")
    (tmp_path / "out/.cxr-part5.link").symlink_to(tmp_path / "out/.lock")
    locks.hold(tmp_path / "out")
    left = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert left == {*mine, locks.LOCK}
    assert (tmp_path / "out/.lock").read_text() == "mine"


def test_no_link_in_a_held_folder_is_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    half = tmp_path / "elsewhere/.cxr-part1.a.png"
    half.touch()
    out = tmp_path / "out"
    locks.hold(out)
    (out / "overlays").symlink_to(tmp_path / "elsewhere")
    for work in (lambda: write_text("ours", out / "overlays/new/a.txt"), lambda: locks.sweep(out / "overlays")):
        with pytest.raises(InputError, match=r"out/overlays: is a link; nothing is written or removed where it leads"):
            work()
    locks.sweep(out)
    assert list((tmp_path / "elsewhere").iterdir()) == [half]
    (tmp_path / "thesis.txt").write_text("mine")
    (out / "a.txt").symlink_to(tmp_path / "thesis.txt")
    write_text("ours", out / "a.txt")  # a link in the file's own place is replaced
    assert ((out / "a.txt").read_text(), (tmp_path / "thesis.txt").read_text()) == ("ours", "mine")


def test_the_held_folder_itself_may_be_reached_by_links(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    locks.hold(tmp_path / "out")
    write_text("ours", tmp_path / "out/sub/a.txt")
    assert (tmp_path / "disk/sub/a.txt").read_text() == "ours"
    write_text("ours", tmp_path / "out/b.txt")
    assert (tmp_path / "disk/b.txt").read_text() == "ours"


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
