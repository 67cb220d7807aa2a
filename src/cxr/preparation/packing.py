"""What workers do with films: read one for the U-Net, or mask and fit a shard of them and write it into the packs."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.artifacts import write_csv
from cxr.core.errors import InputError
from cxr.core.executors import kept
from cxr.imaging.film_checks import FilmChecks, check_film
from cxr.imaging.images import FilmError, fit_square, read_film, square_affine, square_to_film
from cxr.tables.lung_sets import read_pair
from cxr.imaging.lungs import mask_film
from cxr.preparation.packs import open_pack, write_rows

BROKEN_LIMIT = 0.1  # share of unreadable films from which something is wrong with the disk or the download
MADE_BY = "sh prepare_data.sh"
UNREADABLE = "unreadable: "
SHARD = 32  # films at most that a process packs at a time: one write for all of them


def try_square(path: Path, size: int, fit: str) -> tuple[np.ndarray, str]:
    """A film for the U-Net, (size, size) uint8, and the problem with it: zeros and a text where it cannot be read."""
    try:
        return fit_square(read_film(path), size, fit)[0], ""
    except FilmError as error:
        return np.zeros((size, size), np.uint8), f"{UNREADABLE}{error}"


def try_new_film(path: Path, size: int, fit: str) -> tuple[np.ndarray, FilmChecks | None, str]:
    """`try_square` of a film that is new here, with what the rules of `film_checks` say of it."""
    try:
        film = read_film(path)
    except InputError as error:
        return np.zeros((size, size), np.uint8), None, str(error)
    return fit_square(film, size, fit)[0], check_film(film), ""


def try_pair(job: tuple[Path, list[Path]], size: int, fit: str) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """A film and its mask, (size, size) uint8 each, or the problem with them."""
    try:
        film, mask = read_pair(*job)
    except FilmError as error:
        return None, None, f"{UNREADABLE}{error}"
    except InputError as error:
        return None, None, str(error)
    return fit_square(film, size, fit)[0], fit_square(mask, size, fit, nearest=True)[0], ""


def list_broken(names: Iterable[str], paths: Sequence[Path], problems: Iterable[str], csv: Path) -> int:
    """Write ``path``, ``problem`` of the films that could not be used; returns how many.

    Parameters
    ----------
    names : iterable of str
        What the list calls each film.
    paths : sequence of Path
        Its file.
    problems : iterable of str
        "" where all is well.
    csv : Path

    Raises
    ------
    InputError
        More than `BROKEN_LIMIT` of the films present on disk are unreadable, or none is there any more. A film that is
        not there never counts as unreadable.
    """
    listed = [(name, path, problem) for name, path, problem in zip(names, paths, problems, strict=True) if problem]
    write_csv(pd.DataFrame([(name, problem) for name, _, problem in listed], columns=["path", "problem"]), csv)
    gone = sum(not path.exists() for _, path, _ in listed)
    present = len(paths) - gone
    unreadable = [problem for _, path, problem in listed if path.exists() and problem.startswith(UNREADABLE)]
    if not present:
        raise InputError(
            f"none of the {len(paths)} films is on disk any more; the first: {paths[0]}. Mend SETTINGS.json."
        )
    if len(unreadable) > BROKEN_LIMIT * present:
        shown = "; ".join(problem.removeprefix(UNREADABLE) for problem in unreadable[:10])
        raise InputError(
            f"{len(unreadable)} of {present} films on disk cannot be read, more than a tenth: {shown}"
            f"{' …' if len(unreadable) > 10 else ''}. All are listed in {csv}. Check the download and the disk."
        )
    return len(listed)


def try_film_or_pair(files: tuple[Path, ...], size: int, fit: str) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """A film, and its mask where it has one: `try_pair`, or `try_square` with None for the mask."""
    film, *masks = files
    if masks:
        return try_pair((film, masks), size, fit)
    square, problem = try_square(film, size, fit)
    return square, None, problem


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
        mask = kept("masks", (packing.masks, packing.masks_digest), lambda: open_pack(Path(packing.masks), MADE_BY))[
            row
        ]
        affine = square_affine(film.shape, mask.shape[0], packing.fit)
        film, box = mask_film(film, square_to_film(mask, film.shape, affine), packing.masking, packing.margin)
    record: dict[str, Any] = {"width": film.shape[1], "height": film.shape[0], "problem": ""}
    squares = {}
    for size, _ in packing.packs:
        squares[size], affine = fit_square(film, size, packing.fit, box)
        for name, value in zip(("scale_x", "scale_y", "offset_x", "offset_y"), affine, strict=True):
            record[f"{name}_{size}"] = value
    return record, squares
