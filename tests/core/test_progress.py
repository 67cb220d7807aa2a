import io
import sys

import pytest

from cxr.core import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_holds_nothing_of_what_is_quick_and_lines_of_what_takes_long(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    assert list(progress.progress(range(3), 3, "packing")) == [0, 1, 2]
    assert log.getvalue() == ""
    monkeypatch.setattr(progress, "LOG_EVERY", 0)
    assert list(progress.progress(range(3), 3, "packing")) == [0, 1, 2]
    lines = [line.strip() for line in log.getvalue().splitlines() if line.strip()]
    assert lines[0].startswith("packing: 0 of 3 films, ")
    assert lines[-1].startswith("packing: 3 of 3 films, ")
    assert lines[-1].endswith(" left")


@pytest.mark.parametrize(("seconds", "said"), [(4.4, "4 s"), (150, "2.5 min"), (129600, "36.0 h")])
def test_a_time_is_said_in_the_largest_unit_that_fits(seconds, said):
    assert progress.duration(seconds) == said


def test_a_terminal_shows_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.progress(None, 2, "epoch 1", "step") as bar:
        bar.update(2)
    assert "epoch 1: 100%" in terminal.getvalue()


def test_a_bar_that_an_error_leaves_open_ends_before_the_error_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = progress.progress(None, 3, "epoch 1", "step")
    progress.end_bars()
    told = sys.stderr.getvalue()
    assert told.endswith("\n")
    bar.close()
    assert sys.stderr.getvalue() == told
