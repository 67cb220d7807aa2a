"""What worker processes do with one film: read it for the U-Net, or mask it, fit it and write it into the packs."""

import functools
import hashlib
import itertools
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from cxr.artifacts import write_csv
from cxr.errors import InputError
from cxr.film_checks import FilmChecks, check_film
from cxr.images import FilmError, fit_square, read_film, square_affine, square_to_film
from cxr.lung_sets import read_pair
from cxr.lungs import mask_film
from cxr.packs import open_pack, write_rows

BROKEN_LIMIT = 0.1  # share of unreadable films from which something is wrong with the disk or the download
UNREADABLE = "unreadable: "
READ_AHEAD = 8  # films in flight per process: enough that nobody waits, few enough that memory stays flat


def process_count(workers: int) -> int:
    """Processes for the parameter WORKERS, where 0 means one per core this process may use."""
    return workers or len(os.sched_getaffinity(0))


def _start_worker() -> None:
    """One OpenCV thread a process; and no process outlives the run that started it, even one that is killed."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()

    def end_with_parent():
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def in_order(work: Callable, jobs: Iterable, workers: int) -> Iterator[Any]:
    """Results of ``work(job)`` from several processes, in the order of the jobs, with a bounded number in flight."""
    # Fresh processes: forked copies of a process that runs TensorFlow's threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as executor:
        running: deque = deque()
        try:
            for job in jobs:
                running.append(executor.submit(work, job))
                if len(running) > READ_AHEAD * workers:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()


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

    masks: the packed lung masks, (n, u, u), row i of film i. packs: (size, path) pairs.
    """

    packs: tuple[tuple[int, str], ...]
    masks: str
    fit: str
    masking: str
    margin: float


@functools.lru_cache(maxsize=1)
def _masks(path: str) -> np.ndarray:
    return open_pack(Path(path), "sh prepare_data.sh")


def gathered(results: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Results of `pack_film` as a table; a few thousand at a time, since a dict takes ten times a row's memory."""
    results, parts = iter(results), []
    while part := list(itertools.islice(results, 4096)):
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def pack_film(job: tuple[int, Path, bool], packing: Packing) -> dict[str, Any]:
    """Mask one film, fit it to every size and write it into the packs.

    Parameters
    ----------
    job : (row, path, mask_accepted)
        The film's row in the packs, its file, and whether its lung mask may be used; else the whole film is kept.
    packing : Packing

    Returns
    -------
    dict
        ``width``, ``height`` of the film on disk; per size ``scale_x_<size>`` … ``offset_y_<size>`` and
        ``digest_<size>``; ``problem``, "" or why the row is black.
    """
    row, path, accepted = job
    try:
        film = read_film(path)
    except FilmError as error:
        return {"problem": f"{UNREADABLE}{error}"}
    box = None
    if packing.masking != "none" and accepted:
        mask = _masks(packing.masks)[row]
        affine = square_affine(film.shape, mask.shape[0], packing.fit)
        film, box = mask_film(film, square_to_film(mask, film.shape, affine), packing.masking, packing.margin)
    result: dict[str, Any] = {"width": film.shape[1], "height": film.shape[0], "problem": ""}
    for size, pack in packing.packs:
        square, affine = fit_square(film, size, packing.fit, box)
        write_rows(Path(pack), row, square[None])
        for name, value in zip(("scale_x", "scale_y", "offset_x", "offset_y"), affine, strict=True):
            result[f"{name}_{size}"] = value
        result[f"digest_{size}"] = hashlib.blake2b(square.tobytes(), digest_size=8).hexdigest()
    return result
