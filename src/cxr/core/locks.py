"""One writer a folder: a lock that the kernel lets go when its process ends, however it ends."""

import contextlib
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from cxr.core.errors import BusyError

LOCK = ".lock"
PART = ".part*"  # names of `artifacts.written_whole` before they are renamed
_held: dict[Path, int] = {}  # file descriptors, open until this process ends


def hold(*folders: Path) -> None:
    """Be the only process that writes into these folders until this one ends; again in the same process is no harm.

    What a killed run left half written there is removed: nobody else can be writing it. Where the folder cannot be
    written, or its file system knows no locks, nothing is held: the step will say so when it writes.

    Raises
    ------
    BusyError
        Another process holds one of them; names it and since when.
    """
    for folder in folders:
        path = folder.resolve()
        if path in _held:
            continue
        try:
            path.mkdir(parents=True, exist_ok=True)
            file = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 1000).decode("utf-8", "replace").strip() or "it has just begun"
            os.close(file)
            raise BusyError(
                f"{folder}: another run is writing there ({holder}). Wait for its end, or give this run other folders "
                "(DATA_DIR, MODELS_DIR)."
            ) from None
        except OSError:
            os.close(file)
            continue
        with contextlib.suppress(OSError):  # a full disk is no reason not to hold it
            os.ftruncate(file, 0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            os.write(file, f"{Path(sys.argv[0]).name}, process {os.getpid()}, since {since}\n".encode())
        _held[path] = file
        _remove(path.glob(PART))


def sweep(folder: Path) -> None:
    """Remove what a killed run left half written anywhere below a folder that is held."""
    _remove(list(folder.rglob(PART)))


def _remove(leftovers: Iterable[Path]) -> None:
    for leftover in leftovers:
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
