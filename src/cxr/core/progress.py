"""Progress with rate and time left: a bar on a terminal; a line a minute in a log, or where a notebook shows it."""

import sys
from collections.abc import Iterable

from tqdm import tqdm

LOG_EVERY = 60  # seconds between two lines of a log


def progress(items: Iterable | None, total: int, what: str, unit: str = "film") -> tqdm:
    """The items again, with what is done of ``total`` on standard error; without items, a bar to ``update``.

    What takes less than `LOG_EVERY` leaves nothing in a log.
    """
    if sys.stderr.isatty():
        return tqdm(items, total=total, desc=what, unit=unit, dynamic_ncols=True)
    line = "{desc}: {n_fmt} of {total_fmt} {unit}s, {rate_fmt}, {elapsed} since the start, {remaining} left\n"
    seldom = {"delay": LOG_EVERY, "mininterval": LOG_EVERY, "maxinterval": LOG_EVERY}
    return tqdm(items, total=total, desc=what, unit=unit, bar_format=line, **seldom)


def end_bars() -> None:
    """Let every bar that an error left open say its last, so that the error stands below it."""
    for bar in list(tqdm._instances):
        bar.close()


def duration(seconds: float) -> str:
    """A time as a person says it: 40 s, 2.5 min, 36.0 h."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
