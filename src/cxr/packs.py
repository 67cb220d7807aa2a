"""Packed arrays: all films of one size in one .npy file, written by rows from several processes, read as a memory map."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from cxr import tables
from cxr.artifacts import digest, need, written_whole
from cxr.config import InputError, Params, Settings


@contextmanager
def written_pack(path: Path, films: int, size: int) -> Iterator[Path]:
    """A preallocated uint8 array of shape (films, size, size) to write rows into; renamed to ``path`` when the block ends well.

    Raises
    ------
    InputError
        The disk has no room for it: before any work is done.
    """
    with written_whole(path) as temporary:
        with open(temporary, "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (films, size, size)}
            np.lib.format.write_array_header_1_0(file, header)
            start = file.tell()
            try:
                # Writing through a memory map on a full disk would kill the process; this is an error one can read.
                os.posix_fallocate(file.fileno(), 0, start + films * size * size)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                    raise
                gigabytes = films * size * size / 1e9
                raise InputError(
                    f"{path}: needs {gigabytes:.1f} GB, the disk has no room for it. Free some or change DATA_DIR."
                ) from None
        yield temporary


def write_rows(path: Path, first: int, rows: np.ndarray) -> None:
    """Write (n, size, size) uint8 rows at their place; any process may, in any order, twice without harm."""
    with open(path, "r+b") as file:
        np.lib.format.read_magic(file)
        shape, _, _ = np.lib.format.read_array_header_1_0(file)
        if rows.shape[1:] != shape[1:] or first + len(rows) > shape[0]:
            raise ValueError(f"rows of shape {rows.shape} at {first} do not fit a pack of shape {shape}")
        row_bytes = shape[1] * shape[2]
        content = memoryview(np.ascontiguousarray(rows)).cast("B")
        offset = file.tell() + first * row_bytes
        while content:
            written = os.pwrite(file.fileno(), content, offset)
            content, offset = content[written:], offset + written


def open_pack(path: Path, made_by: str) -> np.ndarray:
    """A pack as a read-only memory map of shape (N, size, size), uint8.

    Raises
    ------
    InputError
        Not there, or no pack.
    """
    try:
        pack = np.load(need(path, made_by), mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: not a packed array ({error}). Remove it and make it again with: {made_by}") from None
    if pack.dtype != np.uint8 or pack.ndim != 3:
        raise InputError(f"{path}: expected uint8 of shape (N, size, size), found {pack.dtype} of shape {pack.shape}.")
    return pack


def load_films(settings: Settings, params: Params, size: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The films of classification: their table, and their pixels at one size.

    Parameters
    ----------
    settings : Settings
    params : Params
    size : int
        Side of the packed films, pixels.

    Returns
    -------
    films : DataFrame of N rows
        images.csv with ``split`` and the columns of the pack's table (width, height, affine, mask_used, problem); a film
        that could not be read has the split "unreadable".
    pack : ndarray of shape (N, size, size), uint8, memory map
        Row i belongs to row i of ``films``.

    Raises
    ------
    InputError
        Something is missing, stale (made from other tables or parameters), or a patient is in two splits.
    """
    made_by = "sh prepare_data.sh"
    path = settings.pack(size)
    images = tables.read_images(settings.images_csv)
    split = tables.read_split(settings.split_csv, images, params.tables.split)
    record = json.loads(need(path.with_suffix(".json"), made_by).read_text())
    wanted = json.loads(json.dumps(params.pack.model_dump(by_alias=True)))
    differing = [key for key, value in wanted.items() if record["parameters"].get(key) != value]
    if differing:
        key = differing[0]
        raise InputError(
            f"{path}: made with {key} {record['parameters'].get(key)!r}, PARAMS.json says {wanted[key]!r}. Run: {made_by}"
        )
    if record["inputs"]["images"] != digest(settings.images_csv):
        raise InputError(f"{path}: made from another {settings.images_csv.name}. Run: {made_by}")
    pack = open_pack(path, made_by)
    packed = pd.read_csv(need(path.with_suffix(".csv"), made_by), dtype={"problem": "str"}).fillna({"problem": ""})
    if not len(pack) == len(packed) == len(images) or pack.shape[1] != size:
        raise InputError(f"{path}: holds {pack.shape}, expected {len(images)} films of {size} px. Run: {made_by}")
    films = pd.concat([images, packed.drop(columns="image_id")], axis=1)
    films["split"] = split.where((films["problem"] == "").to_numpy(), "unreadable").to_numpy()
    return films, pack
