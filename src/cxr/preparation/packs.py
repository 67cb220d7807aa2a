"""Packed arrays: all films of one size in one .npy file, written by rows from many processes, read as a memory map."""

import errno
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cxr.core.artifacts import need, written_whole
from cxr.core.errors import InputError, MachineError


@contextmanager
def written_pack(path: Path, films: int, size: int, *channels: int) -> Iterator[Path]:
    """`written_array` of uint8 (films, size, size), or (films, size, size, channels)."""
    with written_array(path, (films, size, size, *channels), np.uint8) as temporary:
        yield temporary


@contextmanager
def written_array(path: Path, shape: tuple[int, ...], dtype: type) -> Iterator[Path]:
    """A preallocated array to `write_rows` into; renamed to ``path`` when the block ends well.

    Raises
    ------
    MachineError
        The disk has no room for it: before any work is done.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    with written_whole(path) as temporary:
        with open(temporary, "wb") as file:
            header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            start = file.tell()
            try:
                _reserve(file, start + size)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                    raise
                raise MachineError(
                    f"{path}: needs {size / 1e9:.1f} GB, the disk has no room for it. Free some or change DATA_DIR."
                ) from None
        yield temporary


def _reserve(file: BinaryIO, size: int) -> None:
    """Make a file that long, with its room on the disk.

    Without it a full disk would be met hours later, and writing through a memory map there would kill the process.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            return
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
    # macOS, and file systems that cannot: the room is there now, though nobody keeps it.
    if shutil.disk_usage(file.fileno()).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    file.truncate(size)


def write_rows(path: Path, first: int, rows: np.ndarray) -> None:
    """Write rows (n, …) at their position; any process may, in any order, twice without harm."""
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    if rows.dtype != dtype or rows.shape[1:] != shape[1:] or not 0 <= first <= shape[0] - len(rows):
        raise ValueError(f"{rows.dtype} rows of shape {rows.shape} at {first} do not fit a {dtype} pack of {shape}")
    content = memoryview(np.ascontiguousarray(rows)).cast("B")
    offset = start + first * math.prod(shape[1:]) * dtype.itemsize
    # Not to be read through: NFS would fetch the pages that these rows share with another machine's, and send them
    # back whole, its rows as they were.
    file = os.open(path, os.O_WRONLY)
    try:
        while content:
            written = os.pwrite(file, content, offset)
            content, offset = content[written:], offset + written
    finally:
        os.close(file)


def open_array(path: Path, made_by: str) -> np.ndarray:
    """An array that one of our steps wrote, as a read-only memory map; pickled objects are refused, never loaded.

    Raises
    ------
    InputError
        Not there, or no whole array.
    """
    need(path, made_by)
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a broken header makes NumPy raise whatever its parser does
        kind = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: not a packed array ({kind}). Remove it and make it again with: {made_by}") from None


def open_pack(path: Path, made_by: str, *channels: int) -> np.ndarray:
    """A pack as a read-only memory map of shape (N, size, size), or (N, size, size, channels), uint8.

    Raises
    ------
    InputError
        Not there, or no pack.
    """
    pack = open_array(path, made_by)
    if pack.dtype != np.uint8 or pack.ndim < 3 or pack.shape[3:] != channels:
        expected = ", ".join(["N", "size", "size", *map(str, channels)])
        raise InputError(
            f"{path}: expected uint8 of shape ({expected}), found {pack.dtype} of shape {pack.shape}. "
            f"Make it again with: {made_by}"
        )
    return pack
