"""Progress with rate and time left: a bar on a terminal, in a log a line every few minutes."""

import sys
from collections.abc import Iterable

from tqdm import tqdm

LOG_EVERY = 300  # seconds between two lines of a log


def progress(items: Iterable | None, total: int, what: str, unit: str = "film") -> tqdm:
    """The items again, with what is done of ``total`` on standard error; without items, a bar to ``update``.

    What takes less than `LOG_EVERY` leaves nothing in a log.
    """
    if sys.stderr.isatty():
        return tqdm(items, total=total, desc=what, unit=unit, dynamic_ncols=True)
    line = "{desc}: {n_fmt} of {total_fmt} {unit}s, {rate_fmt}, {elapsed} since the start, {remaining} left\n"
    seldom = {"delay": LOG_EVERY, "mininterval": LOG_EVERY, "maxinterval": LOG_EVERY}
    return tqdm(items, total=total, desc=what, unit=unit, bar_format=line, **seldom)
