"""Training within the hours that one has: when it ends, and what it does where a batch system asks it to end."""

import contextlib
import math
import signal
import time
from collections.abc import Iterator

from cxr.core import process_group
from cxr.core.errors import Ended, InputError
from cxr.core.progress import duration

HELP = "end after the last epoch that is whole within so many hours from now; exit status 6, the same command goes on"


class TimeLimit:
    """How long a script may train, all members together, and whether it was asked to end before.

    Parameters
    ----------
    hours : float, optional
        From now; None = for ever.
    again : str
        The command that goes on.
    """

    def __init__(self, hours: float | None = None, again: str = "the same command"):
        self.hours = hours
        self.end = math.inf if hours is None else time.monotonic() + 3600 * hours
        self.again = again if process_group.count() == 1 else "the same command on all machines"
        self.asked = ""  # the signal that asked to end after this epoch
        self.kept, self.advanced = "nothing was trained yet", False

    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def advance(self, kept: str) -> None:
        """Note, in words, what is whole and kept; from now on the same command again gets further."""
        self.kept, self.advanced = kept, True

    def why_end(self, seconds: float) -> str:
        """Why an epoch of so many seconds must not begin; "" where it may."""
        if self.left() < seconds:
            return f"the next epoch, {duration(seconds)}, would not be whole within --hours {self.hours:g}"
        return self.asked and f"asked to by {self.asked}"

    def ended(self, why: str) -> Ended:
        """What to raise. Where nothing was gained it is a mistake: a chain of jobs that go on would never end."""
        error = Ended(f"{why}; {self.kept}. Go on with: {self.again}")
        if not self.advanced and self.left() <= 0:
            error = Ended(f"no epoch was whole within --hours {self.hours:g}; {self.kept}. Give it more hours.")
            error.exit_status = InputError.exit_status
        return error

    def on_signal(self, number: int, frame) -> None:
        if number == signal.SIGUSR1:
            self.asked = "SIGUSR1"
        elif number == signal.SIGALRM:
            raise self.ended(f"--hours {self.hours:g} are over")
        else:
            raise self.ended("SIGTERM")


@contextlib.contextmanager
def within(hours: float | None, again: str) -> Iterator[TimeLimit]:
    """The `TimeLimit` of the training in this block, which it and signals end by raising `Ended`.

    SIGUSR1, which SLURM sends as long before the end as it is told to (``--signal``): after the epoch in work. SIGTERM,
    after which SLURM kills within half a minute and Kaggle and Docker sooner, and the end of the hours: at once, as
    Ctrl-C would, with the last whole epoch kept. An epoch that is known not to fit is not begun: `why_end`.
    """
    numbers = (signal.SIGUSR1, signal.SIGTERM, signal.SIGALRM)
    limit = TimeLimit(hours, again)
    before = {number: signal.signal(number, limit.on_signal) for number in numbers}
    if hours is not None:
        signal.setitimer(signal.ITIMER_REAL, 3600 * hours)
    try:
        yield limit
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
