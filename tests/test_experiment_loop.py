"""experiment.sh: which scripts it calls, what it does when one fails, and that it goes on where it stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT, TINY, settings_in

# Stands for Python: prepares nothing, notes what is trained and tabled, and lets evaluate.py leave metrics.
FAKE = """#!/bin/sh
case "$1" in
    -c | */next_run.py) exec {python} "$@" ;;
    */experiments/table.py) echo table >> {log} ;;
    */classification/train/train.py)
        [ "$FAILING" != train ] || {{ echo "error: the disk is full" >&2; exit 2; }}
        echo "$4" >> {log} ;;
    */classification/eval/evaluate.py)
        echo "{{}}" > "$(dirname "$4")/models/classification/ensemble/metrics.json" ;;
esac
"""


@pytest.fixture
def loop(tmp_path):
    """Calls `experiment.sh protocols`; gives its result, and in order what was trained and when tables were made."""
    settings, log = settings_in(tmp_path), tmp_path / "calls"
    (tmp_path / "PARAMS.json").write_text(json.dumps(TINY | {"LUNG_MASKING": "none"}))
    fake = tmp_path / "python"
    fake.write_text(FAKE.format(python=sys.executable, log=log))
    fake.chmod(0o755)

    def call(failing=""):
        log.write_text("")
        files = ["--settings", tmp_path / "SETTINGS.json", "--params", tmp_path / "PARAMS.json"]
        result = subprocess.run(
            ["sh", PROJECT / "experiment.sh", "protocols", "--member", "tiny", "--seeds", "1", *files],
            env=os.environ | {"PYTHON": str(fake), "FAILING": failing}, capture_output=True, text=True,
        )  # fmt: skip
        return result, [Path(line).parents[1].name if "/" in line else line for line in log.read_text().splitlines()]

    for folder in ("base", "protocols_by_image"):
        (settings.models_dir / f"experiments/tiny/{folder}/seed_1/models/classification/ensemble").mkdir(parents=True)
    return call


WHOLE = ["table", "base", "table", "protocols_by_image", "table"]


def test_every_variant_is_trained_once_with_a_table_after_each(loop):
    result, calls = loop()
    assert (result.returncode, calls) == (0, WHOLE), result.stderr
    assert loop()[1] == ["table"]


def test_a_run_that_fails_stops_everything_with_its_own_error_and_is_not_counted(loop):
    result, calls = loop(failing="train")
    assert (result.returncode, calls) == (2, ["table"])
    assert result.stderr.endswith("error: the disk is full\n")
    result, calls = loop()
    assert calls == WHOLE
    assert "protocols: 0 of 2 runs are finished" in result.stderr


def test_help_is_shown_once_and_nothing_else_is_done(tmp_path):
    for given in (["--help"], ["protocols", "-h"]):
        result = subprocess.run(["sh", PROJECT / "experiment.sh", *given], cwd=tmp_path, capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.count("usage:") == 1


@pytest.mark.parametrize("given", [["--scheduler", "tcp://a:1"], ["--scheduler=tcp://a:1"]])
def test_the_scripts_are_told_the_scheduler(loop, tmp_path, given):
    fake = tmp_path / "python"
    fake.write_text(fake.read_text().replace('"$4" >>', '"$*" >>'))
    files = ["--settings", tmp_path / "SETTINGS.json", "--params", tmp_path / "PARAMS.json"]
    command = ["sh", PROJECT / "experiment.sh", "protocols", "--member", "tiny", "--seeds", "1", *files, *given]
    result = subprocess.run(command, env=os.environ | {"PYTHON": str(fake), "FAILING": ""}, capture_output=True)
    assert result.returncode == 0, result.stderr
    trained = [line for line in (tmp_path / "calls").read_text().splitlines() if line != "table"]
    assert len(trained) == 2
    assert all(line.endswith("--scheduler tcp://a:1") for line in trained)


def test_drawn_films_are_measured_after_preparing_with_the_files_that_were_named(tmp_path):
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\n[ "$1" = -c ] || echo "${1##*/} $2 $3 $4 $5"\n')
    fake.chmod(0o755)
    given = ["drawn", "--settings=S.json", "--params", "P.json", "--seeds", "1"]
    result = subprocess.run(
        ["sh", PROJECT / "experiment.sh", *given],
        env=os.environ | {"PYTHON": str(fake)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    first, *_, before, last = result.stdout.splitlines()
    assert first == "0_nih_table.py --settings S.json --params P.json"
    assert before == "6_split_train_val.py --settings S.json --params P.json"
    assert last == "drawn.py drawn --settings=S.json --params P.json"
