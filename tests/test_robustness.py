"""Short versions of what is run by hand (tests/fuzz.py, tests/interruptions.py), and a full or read-only disk."""

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cxr.imaging.decoding import write_image
from tests import fuzz
from tests.conftest import PROJECT, TINY, settings_in


def by_hand(module: str, *arguments: str) -> str:
    """What one of the long scripts prints; it must end well."""
    environment = os.environ | {"PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT}"}
    command = [sys.executable, "-m", module, *arguments]
    result = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
    return result.stdout


@pytest.mark.skipif(not importlib.util.find_spec("hypothesis"), reason='needs hypothesis: pip install -e ".[fuzz]"')
def test_spoilt_films_tables_and_json_files_end_in_our_own_errors_only(tmp_path):
    printed = by_hand("tests.fuzz", "--cases", "400", "--kept", str(tmp_path / "case"))
    assert printed.count("read") >= 5
    assert "BUG" not in printed
    assert not list(tmp_path.iterdir())


def test_spoilt_dicom_headers_end_in_our_own_errors_only(tmp_path):
    outcomes = fuzz.fuzz_headers(200, 1, tmp_path, tmp_path / "case")
    assert set(outcomes) == {"read", "refused"}
    assert min(outcomes.values()) > 20


def test_a_step_that_is_killed_leaves_nothing_half_done_and_the_next_run_mends_it():
    assert "; 0 failures" in by_hand("tests.interruptions", "--tables", "--kills", "12")


# --- a disk that is full, or read-only ------------------------------------------------------------------------------


def mounted(folder, *options: str) -> None:
    command = ["mount", "-o", ",".join(options), *([] if "remount" in options else ["-t", "tmpfs", "tmpfs"]), folder]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"cannot mount a small disk here: {result.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """A disk of one megabyte, where mounting is allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted(folder, "size=1m")
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    yield folder
    subprocess.run(["umount", folder], check=True)


class Project:
    """Twenty films and a table; results go to the small disk."""

    def __init__(self, folder, disk):
        self.folder, self.disk = folder, disk
        self.settings = settings_in(folder)
        keys = json.loads((folder / "SETTINGS.json").read_text()) | {
            "DATA_DIR": "disk/data",
            "MODELS_DIR": "disk/models",
        }
        (folder / "SETTINGS.json").write_text(json.dumps(keys))
        rows = [f"{n:08d}_000.png,Effusion,0,{n},50,M,PA" for n in range(20)]
        header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
        for number, name in enumerate(row.split(",")[0] for row in rows):
            write_image(np.add.outer(np.arange(64), np.arange(64) + number).astype(np.uint8), folder / "raw" / name)
        (folder / "raw/Data_Entry_2017.csv").write_text("\n".join([header, *rows]))
        self.write_params(256)

    def write_params(self, size: int) -> None:
        sizes = {"DENSENET_INPUT_SIZE": size, "EFFICIENTNET_INPUT_SIZE": size}
        (self.folder / "PARAMS.json").write_text(json.dumps(TINY | {"LUNG_MASKING": "none"} | sizes))

    def run(self, *steps: str):
        """Steps in processes of their own, up to the first that fails: the result of the last."""
        for step in steps:
            files = ["--settings", "SETTINGS.json", "--params", "PARAMS.json"]
            command = [sys.executable, PROJECT / "src/classification" / step.split()[0], *step.split()[1:], *files]
            result = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
            if result.returncode:
                break
        return result

    def made(self) -> dict[str, bytes]:
        return {
            path.name: path.read_bytes()
            for path in sorted(self.disk.rglob("*"))
            if path.is_file() and path.name != ".cxr-lock"
        }


TABLES = ("etl/0_nih_table.py", "etl/2_merge_tables.py", "etl/3_hold_out_test.py", "etl/6_split_train_val.py")


def test_a_pack_that_does_not_fit_is_an_error_before_any_work_and_what_was_there_stays_whole(tmp_path, disk):
    project = Project(tmp_path, disk)
    assert project.run(*TABLES).returncode == 0
    before = project.made()
    failed = project.run("etl/5_pack_arrays.py")  # 20 films of 256 x 256
    assert failed.returncode == 5
    assert re.fullmatch(
        r"error: .*images_256.npy: needs 0.0 GB, the disk has no room for it. Free some or change DATA_DIR.\n",
        failed.stderr,
    )
    assert project.made() == before
    mounted(disk, "remount", "size=8m")
    assert project.run("etl/5_pack_arrays.py").returncode == 0
    assert project.made().items() >= before.items()


def test_a_full_disk_stops_each_step_with_one_line_and_the_same_command_mends_it(tmp_path, disk):
    project = Project(tmp_path, disk)
    for step in TABLES:
        before = project.made()
        with open(disk / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))
        failed = project.run(step)
        (disk / "filler").unlink()
        assert failed.returncode == 5, failed.stderr
        assert re.fullmatch(r"error: .*No space left on device\. Free some room.*\n", failed.stderr)
        left = project.made()
        assert {name: left[name] for name in before} == before
        assert not [name for name in left if name.startswith(".cxr-part")]
        assert project.run(step).returncode == 0


def test_a_read_only_disk_is_said_and_steps_that_are_up_to_date_still_answer(tmp_path, disk):
    project = Project(tmp_path, disk)
    project.write_params(32)
    assert project.run(*TABLES).returncode == 0
    mounted(disk, "remount", "ro")
    assert "up to date" in project.run(*TABLES).stdout
    failed = project.run("etl/5_pack_arrays.py")
    assert failed.returncode == 5
    assert re.fullmatch(
        r"error: .*Read-only file system\. Make it writable, or change --out, or DATA_DIR.*\n", failed.stderr
    )


def test_training_on_a_full_disk_stops_with_one_line_and_goes_on_when_there_is_room(tmp_path, disk):
    project = Project(tmp_path, disk)
    project.write_params(32)
    assert project.run(*TABLES, "etl/5_pack_arrays.py").returncode == 0
    table = pd.read_csv(disk / "data/classification/split.csv")
    assert set(table["split"]) == {"train", "val", "test"}
    mounted(disk, "remount", "size=200k")
    failed = project.run("train/train.py ensemble")
    assert failed.returncode == 5, failed.stderr
    assert re.search(r"error: .*No space left on device\. Free some room", failed.stderr)
    mounted(disk, "remount", "size=8m")
    assert project.run("train/train.py ensemble").returncode == 0
