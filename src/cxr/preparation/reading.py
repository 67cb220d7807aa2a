"""A film, or a film with its mask, read by a worker: pixels, or the problem with it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.anatomy.heart import NOT_KNOWN
from cxr.core.artifacts import write_problems
from cxr.core.errors import FilmError, InputError
from cxr.imaging.decoding import open_film, read_film
from cxr.imaging.film_checks import FilmChecks, check_film
from cxr.imaging.geometry import fit_square
from cxr.tables.lung_sets import read_heart, read_pair

BROKEN_LIMIT = 0.1  # share of unreadable films from which something is wrong with the disk or the download
UNREADABLE = "unreadable: "


def try_square(path: Path, size: int, fit: str) -> tuple[np.ndarray, str]:
    """A film for the U-Net, (size, size) uint8, and the problem with it: zeros and a text where it cannot be read."""
    try:
        return fit_square(read_film(path), size, fit)[0], ""
    except FilmError as error:
        return np.zeros((size, size), np.uint8), f"{UNREADABLE}{error}"


def try_new_film(path: Path, size: int, fit: str) -> tuple[np.ndarray, FilmChecks | None, str]:
    """`try_square` of a film that is new here, with what the rules of `film_checks` say of it."""
    try:
        film = open_film(path)
    except InputError as error:
        return np.zeros((size, size), np.uint8), None, str(error)
    return fit_square(film.pixels, size, fit)[0], check_film(film, path), ""


def try_pair(
    job: tuple[Path, Sequence[Path], Sequence[Path]], size: int, fit: str
) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """A film (size, size) and its masks of lungs and heart (size, size, 2), uint8, or the problem with them.

    job : the film, its lung masks, its heart masks.
    """
    film_path, *masks = job
    try:
        film, lungs = read_pair(film_path, masks[0])
        heart = read_heart(film, film_path, masks[1])
    except FilmError as error:
        return None, None, f"{UNREADABLE}{error}"
    except InputError as error:
        return None, None, str(error)
    squares = [fit_square(mask, size, fit, is_mask=True)[0] for mask in (lungs, heart)]
    if not masks[1]:
        squares[1][:] = NOT_KNOWN  # beside the film, too
    return fit_square(film, size, fit)[0], np.stack(squares, axis=-1), ""


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
    write_problems(pd.DataFrame([(name, problem) for name, _, problem in listed], columns=["path", "problem"]), csv)
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


def try_checked(
    files: tuple[Path, ...], size: int, fit: str
) -> tuple[np.ndarray | None, np.ndarray | None, FilmChecks | None, str]:
    """A film and its mask (None where it has none), what the rules of `film_checks` say, and the problem with it."""
    path, *masks = files
    try:
        film = open_film(path)
        mask = fit_square(read_pair(path, masks)[1], size, fit, is_mask=True)[0] if masks else None
    except FilmError as error:
        return None, None, None, f"{UNREADABLE}{error}"
    except InputError as error:
        return None, None, None, str(error)
    return fit_square(film.pixels, size, fit)[0], mask, check_film(film, path), ""
