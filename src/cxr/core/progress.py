"""Progress with rate and time left: a bar on a terminal; a line a minute in a log, or where a notebook shows it."""

import sys
import weakref
from collections.abc import Iterable

from tqdm import tqdm

LOG_EVERY = 60  # seconds between two lines of a log
_bars: weakref.WeakSet[tqdm] = weakref.WeakSet()


def progress(items: Iterable | None, total: int, what: str, unit: str = "film") -> tqdm:
    """The items again, with what is done of ``total`` on standard error; without items, a bar to ``update``.

    What takes less than `LOG_EVERY` leaves nothing in a log.
    """
    line = "{desc}: {n_fmt} of {total_fmt} {unit}s, {rate_fmt}, {elapsed} since the start, {remaining} left\n"
    seldom = {"delay": LOG_EVERY, "mininterval": LOG_EVERY, "maxinterval": LOG_EVERY, "bar_format": line}
    bar = tqdm(items, total=total, desc=what, unit=unit, **({"dynamic_ncols": True} if sys.stderr.isatty() else seldom))
    _bars.add(bar)
    return bar


def end_bars() -> None:
    """Let every bar that an error left open say its last, so that the error stands below it."""
    for bar in list(_bars):
        bar.close()


def duration(seconds: float) -> str:
    """A time as a person says it: 40 s, 2.5 min, 36.0 h."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
