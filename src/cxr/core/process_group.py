"""Several processes that train one network together, as on_machines.sh starts them: which one this is."""

import contextlib
import os
from collections.abc import Iterator

# What keras.distribution.initialize reads.
COUNT, INDEX = "KERAS_DISTRIBUTION_NUM_PROCESSES", "KERAS_DISTRIBUTION_PROCESS_ID"


def count() -> int:
    """How many processes train together; 1 where nothing says so."""
    return int(os.environ.get(COUNT, 1))


def index() -> int:
    """Which of them this is, from 0."""
    return int(os.environ.get(INDEX, 0))


def is_first() -> bool:
    """Whether this process holds the lock of the run's folder, writes there and speaks."""
    return index() == 0


def name() -> str:
    """This process in words, for a line that several may write; empty where there is one."""
    return f"process {index()} of {count()}" if count() > 1 else ""


@contextlib.contextmanager
def first_speaks() -> Iterator[None]:
    """Output of the others goes nowhere, warnings and progress included; an error that leaves the block is shown."""
    with contextlib.ExitStack() as stack:
        if not is_first():
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        yield


def end(status: int) -> None:
    """End at once where others may be waiting for this process: JAX would first wait minutes for them to end too."""
    if count() > 1:
        os._exit(status)
