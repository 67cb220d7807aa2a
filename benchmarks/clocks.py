"""Two clocks: the wall's, and the processors' seconds of a process and all below it, whatever else the machine does."""

import os
import time
from pathlib import Path


def processor() -> float:
    """Seconds that this process, its threads and the processes below it, ended or not, had a core."""
    return sum(os.times()[:4]) + sum(_seconds(child) for child in _below(os.getpid()))


def _below(pid: int) -> list[int]:
    """Running descendants; Linux tells them by thread."""
    try:
        parts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    own = [int(child) for part in parts for child in part.split()]
    return own + [further for child in own for further in _below(child)]


def _seconds(pid: int) -> float:
    """Of one process, and of its children that it has waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


CLOCKS = {"wall": time.perf_counter, "processor": processor}
