"""What workers do with films: mask and fit a shard of them, and write it into the packs."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.anatomy.lungs import mask_film
from cxr.core.errors import FilmError
from cxr.core.executors import cached
from cxr.imaging.decoding import read_film
from cxr.imaging.geometry import AFFINE, fit_square, square_affine, square_to_film
from cxr.preparation.packs import open_pack, write_rows
from cxr.preparation.reading import UNREADABLE

MADE_BY = "sh prepare_data.sh"
SHARD = 32  # films at most that a process packs at a time: one write for all of them


@dataclass(frozen=True)
class Packing:
    """What all films of one packing run share: paths to write to by size, and how films are masked and fitted.

    packs: (size, path) pairs. masks: the packed lung masks, (n, u, u), row i of film i. masks_digest: of their record.
    """

    packs: tuple[tuple[int, str], ...]
    masks: str
    masks_digest: str
    fit: str
    masking: str
    margin: float


def shard_size(films: int, processes: int) -> int:
    """Films a shard: few enough that the last shards end at about the same time."""
    return max(1, min(SHARD, films // (4 * processes)))


def gathered(records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Records of films as a table; a few thousand at a time, since a dict takes ten times a row's memory."""
    records, parts = iter(records), []
    while part := list(itertools.islice(records, 4096)):
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def pack_shard(shard: Sequence[tuple[int, Path, bool]], packing: Packing) -> list[dict[str, Any]]:
    """Mask films, fit them to every size and write them into the packs, each with one write. Twice does no harm.

    Parameters
    ----------
    shard : sequence of (row, path, mask_accepted)
        A film's row in the packs, its file, and whether its lung mask may be used; else the whole film is kept. Rows
        ascend; one between the first and the last that is not listed becomes black.
    packing : Packing

    Returns
    -------
    list of dict
        For each film ``width``, ``height`` on disk; per size ``scale_x_<size>`` … ``offset_y_<size>``; ``problem``: ""
        or why the row is black.
    """
    first, last = shard[0][0], shard[-1][0]
    blocks = {size: np.zeros((last - first + 1, size, size), np.uint8) for size, _ in packing.packs}
    records = []
    for row, path, accepted in shard:
        record, squares = _packed(row, path, accepted, packing)
        records.append(record)
        for size, square in squares.items():
            blocks[size][row - first] = square
    for size, pack in packing.packs:
        write_rows(Path(pack), first, blocks[size])
    return records


def _packed(row: int, path: Path, accepted: bool, packing: Packing) -> tuple[dict[str, Any], dict[int, np.ndarray]]:
    """What `pack_shard` says of one film, and its squares by size: none where it cannot be read."""
    try:
        film = read_film(path)
    except FilmError as error:
        return {"problem": f"{UNREADABLE}{error}"}, {}
    box = None
    if packing.masking != "none" and accepted:
        masks = cached("masks", (packing.masks, packing.masks_digest), lambda: open_pack(Path(packing.masks), MADE_BY))
        affine = square_affine(film.shape, masks.shape[1], packing.fit)
        film, box = mask_film(film, square_to_film(masks[row], film.shape, affine), packing.masking, packing.margin)
    record: dict[str, Any] = {"width": film.shape[1], "height": film.shape[0], "problem": ""}
    squares = {}
    for size, _ in packing.packs:
        squares[size], affine = fit_square(film, size, packing.fit, box)
        for name, value in zip(AFFINE, affine, strict=True):
            record[f"{name}_{size}"] = value
    return record, squares
