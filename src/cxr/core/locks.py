"""One writer a folder: a lock that the kernel lets go when its process ends, however it ends; and no link leads out."""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cxr.core.errors import BusyError, InputError

# Names that nobody else gives a file: what is called so is ours.
LOCK = ".cxr-lock"
BACKUP = ".cxr-backup"  # the folder of a training that is not finished
PART = ".cxr-part"  # then the process, and the name that it will have once it is whole
_PART_NAME = re.compile(rf"{re.escape(PART)}\d+\..+", re.DOTALL)
_HOLDER = re.compile(rb"(.*, process \d+, since .*\n)?", re.DOTALL)  # what a lock says of who holds it
_FOREIGN = "{}: is no lock of ours (a link, or something else of this name); it is left as it is. Move it away."
_held: dict[Path, int | None] = {}  # file descriptors, open until this process ends; None where there are no locks


def hold(*folders: Path) -> None:
    """Be the only process that writes into these folders until this one ends; again in the same process is no harm.

    What a killed run left half written there is removed: nobody else can be writing it. Where the folder cannot be
    written, or its file system knows no locks, nothing is locked: the step will say so when it writes.

    Raises
    ------
    BusyError
        Another process holds one of them; names it and since when.
    InputError
        There is a file in the place of a folder or of its lock, or a link in that of the lock.
    """
    for folder in folders:
        path = folder.resolve()
        if path in _held:
            continue
        _held[path] = _locked(folder, path)
        remove_parts(path)


def _locked(folder: Path, path: Path) -> int | None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{folder}: expected a folder to write into; there is a file. Name another.") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):  # a link, a folder, a socket
            raise InputError(_FOREIGN.format(path / LOCK)) from None
        return None
    try:
        holder = os.pread(file, 1000, 0) if stat.S_ISREG(os.fstat(file).st_mode) else b"?"
        if not _HOLDER.fullmatch(holder):
            raise InputError(_FOREIGN.format(path / LOCK))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        who = holder.decode("utf-8", "replace").strip() or "it has just begun"
        raise BusyError(
            f"{folder}: another run is writing there ({who}). Wait for its end, or give this run other folders "
            "(DATA_DIR, MODELS_DIR)."
        ) from None
    except OSError:
        os.close(file)
        return None
    with contextlib.suppress(OSError):  # a full disk is no reason not to hold it
        os.ftruncate(file, 0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        os.pwrite(file, f"{Path(sys.argv[0]).name}, process {os.getpid()}, since {since}\n".encode(), 0)
    return file


def link_below(folder: Path, path: Path) -> Path | None:
    """The first link on the way from a folder, itself left out, to a path in it, which may be the last; or None."""
    parts = path.relative_to(folder).parts
    way = (folder.joinpath(*parts[:end]) for end in range(1, len(parts) + 1))
    return next((place for place in way if place.is_symlink()), None)


def refuse_links(path: Path) -> None:
    """Raise an InputError where a link leads from the held folder that ``path`` is to lie in to somewhere else.

    The held folder may itself be reached by links: those are its owner's. One in the place of ``path`` is no harm: it
    is replaced, or removed.
    """
    path = Path(os.path.abspath(path))
    held = next((folder for folder in path.parents if folder.resolve() in _held), None)
    link = held and link_below(held, path.parent)
    if link:
        raise InputError(f"{link}: is a link; nothing is written or removed where it leads. Move it away.")


def remove_parts(folder: Path) -> None:
    """Remove what a killed run left half written in a folder that is held."""
    with contextlib.suppress(OSError):
        for name in filter(_PART_NAME.fullmatch, os.listdir(folder)):
            if (folder / name).is_dir() and not (folder / name).is_symlink():
                shutil.rmtree(folder / name, ignore_errors=True)
            else:
                (folder / name).unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """`remove_parts` of a folder below a held one, and of all folders below it."""
    refuse_links(folder / LOCK)
    for inside, *_ in os.walk(folder):
        remove_parts(Path(inside))


@contextlib.contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """An empty folder in one that is held, for as long as the block lasts."""
    path = folder / f"{PART}{os.getpid()}.work"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
