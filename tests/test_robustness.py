"""Short versions of what is run by hand: tests/fuzz.py, tests/interruptions.py, and a disk that is full or read-only."""

import importlib.util
import subprocess
import sys

import pytest

from tests.conftest import PROJECT


def by_hand(module: str, *arguments: str) -> str:
    """What one of the long scripts prints; it must end well."""
    environment = {"PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT}", "PATH": ""}
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


def test_a_step_that_is_killed_leaves_nothing_half_done_and_the_next_run_mends_it():
    assert "; 0 failures" in by_hand("tests.interruptions", "--tables", "--kills", "12")
