"""Where shards of films are worked on: processes or threads of this machine, or the workers of a Dask cluster."""

import contextlib
import math
import multiprocessing
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from cxr.core.errors import InputError, MachineError

READ_AHEAD = 8  # jobs in flight per process: enough that nobody waits, few enough that memory stays flat
CLUSTER_AHEAD = 4096  # the same of all workers of a cluster, most of which may come later: a result is a few kB
SCHEDULER_SECONDS = 10  # in which it must answer
WORKERS_SECONDS = 60  # in which the first worker must have come: a queue may start them after the scheduler

_cache: dict[str, tuple[Hashable, Any]] = {}
_cache_lock = threading.RLock()


@dataclass(frozen=True)
class Pool:
    """An executor, and how many jobs may be in flight there so that nobody waits and memory stays flat."""

    executor: Executor
    ahead: int


def process_count(workers: int) -> int:
    """Processes for the parameter WORKERS, where 0 means one per core this process may use."""
    return workers or usable_cores()


def usable_cores(control_groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use: those it may run on, or fewer where its container is given less of their time.

    Parameters
    ----------
    control_groups : Path
        Where Linux tells the container's quota, in files of version 2 or 1; a part of a core counts as one.
    """
    # macOS binds no process to cores.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota(control_groups))))


def _quota(control_groups: Path) -> float:
    """How many cores' time the container is given; infinite where nobody limits it."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # no such file; "max" is no number
            quota, period = " ".join((control_groups / name).read_text() for name in names).split()
            if int(quota) > 0:
                return int(quota) / int(period)
    return math.inf


def _start_worker() -> None:
    """One OpenCV thread a process; and no process outlives the run that started it, even one that is killed."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()

    def end_with_parent():
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


@contextmanager
def processes(count: int) -> Iterator[Pool]:
    """Processes of this machine, started afresh: forked copies of one that runs TensorFlow's threads can hang."""
    context = multiprocessing.get_context("spawn")
    os.environ["PYTHONSAFEPATH"] = "1"  # they start with python -c, which would import from the current folder first
    with ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker) as executor:
        yield Pool(executor, READ_AHEAD * count)


@contextmanager
def threads(count: int) -> Iterator[Pool]:
    """Threads of this process, for work that shares one network; OpenCV lets others run while it decodes."""
    usual = cv2.getNumThreads()
    cv2.setNumThreads(1)  # of its own in each of ours
    try:
        with ThreadPoolExecutor(count) as executor:
            yield Pool(executor, 2 * count)
    finally:
        cv2.setNumThreads(usual)


@contextmanager
def cluster(scheduler: str) -> Iterator[Pool]:
    """The workers of a Dask cluster, which see the same files under the same paths.

    A worker that dies loses nothing: its jobs run again elsewhere, so they must bear being run twice.

    Parameters
    ----------
    scheduler : str
        Its address, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    InputError
        Dask is not installed, no scheduler or no worker is there, or one of them lacks this package.
    MachineError
        The scheduler ended, or a job ended several workers.
    """
    try:
        import distributed
    except ImportError:
        raise InputError(f'--scheduler {scheduler}: needs Dask. Run: pip install -e ".[dask]"') from None
    try:
        # Refused here, for Dask would start its event loop first, which does not always end well.
        if not re.fullmatch(r"(?:(?!https?:)\w+://)?[^/\s]+:\d+/?", scheduler):
            raise ValueError(scheduler)
        client = distributed.Client(scheduler, timeout=SCHEDULER_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError):  # no answer; or no address
        raise InputError(
            f"--scheduler {scheduler}: no Dask scheduler answers there within {SCHEDULER_SECONDS} s. Start one with: "
            "dask scheduler; expected its address, such as tcp://10.0.0.1:8786."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_SECONDS)
        except TimeoutError:
            raise InputError(
                f"--scheduler {scheduler}: has no worker after {WORKERS_SECONDS} s. Start some with: "
                f"dask worker {scheduler}"
            ) from None
        try:
            # Not pure: Dask would take a result that it remembers for one that was written again.
            yield Pool(client.get_executor(pure=False), CLUSTER_AHEAD)
        except distributed.KilledWorker as error:
            raise MachineError(
                f"--scheduler {scheduler}: a shard of films ended {error.allowed_failures + 1} worker(s), most often "
                "for want of memory. Give workers more, or lower SCORE_BATCH_SIZE."
            ) from None
        except (ModuleNotFoundError, RuntimeError) as error:
            if "deserialization" not in str(error) and getattr(error, "name", None) != __package__.partition(".")[0]:
                raise
            raise InputError(
                f"--scheduler {scheduler}: the scheduler or a worker lacks this project's package. In the environment "
                "that starts them: pip install -r requirements.txt"
            ) from None
        except CancelledError:
            raise MachineError(
                f"--scheduler {scheduler}: the scheduler ended. Start it and its workers again; the same command "
                "begins this step again, finished ones are kept."
            ) from None


def in_order(work: Callable, jobs: Iterable, pool: Pool) -> Iterator[Any]:
    """Results of ``work(job)`` in the order of the jobs, with a bounded number in flight."""
    running: deque = deque()
    try:
        for job in jobs:
            running.append(pool.executor.submit(work, job))
            if len(running) > pool.ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


def each_film(
    work: Callable, shards: Iterable, scheduler: str | None, here: AbstractContextManager[Pool]
) -> Iterator[dict[str, Any]]:
    """What ``work(shard)`` says of each film, in order: by the `cluster` of a scheduler, or without one here.

    Parameters
    ----------
    work : callable
        shard -> a record for each of its films. It can be pickled, and bears being run twice.
    shards : iterable
    scheduler : str or None
    here : `processes` or `threads`
    """
    with cluster(scheduler) if scheduler else here as pool:
        for records in in_order(work, shards, pool):
            yield from records


def by_processes(work: Callable, jobs: Iterable, count: int) -> Iterator[Any]:
    """`in_order` from that many processes of this machine."""
    with processes(count) as pool:
        yield from in_order(work, jobs, pool)


def shards(jobs: Sequence, size: int) -> Iterator[Sequence]:
    """The jobs in slices of ``size``."""
    return (jobs[first : first + size] for first in range(0, len(jobs), size))


def cached(what: str, key: Hashable, make: Callable[[], Any]) -> Any:
    """``make()``, made once in this process until another ``key`` is asked for.

    A worker of a cluster outlives many runs: the key must hold a digest of what is cached, not its path alone.
    """
    with _cache_lock:
        if what not in _cache or _cache[what][0] != key:
            _cache.pop(what, None)  # let go of the old one first: both may not fit into memory
            _cache[what] = key, make()
        return _cache[what][1]


def forget(what: str) -> None:
    """Cache it no longer."""
    with _cache_lock:
        _cache.pop(what, None)
