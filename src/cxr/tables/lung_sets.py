"""Films with lung masks as users download or draw them -> pairs: Montgomery, Shenzhen, JSRT, one's own."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from cxr.anatomy.drawn_masks import drawn, grays_of, why_no_lungs
from cxr.anatomy.heart import NOT_KNOWN
from cxr.core.errors import InputError, composed, escaped, unescaped
from cxr.imaging.decoding import read_film
from cxr.imaging.listing import Listing, list_films

SET_OF_PREFIX = {"MCUCXR": "montgomery", "CHNCXR": "shenzhen", "JPC": "jsrt"}
PUBLISHED_PAIRS = {"montgomery": 138, "shenzhen": 566, "jsrt": 247}
# Words behind a mask's name, and of folders that hold masks of the heart or of something else (SCR's of JSRT).
OF_A_MASK = re.compile(r"(?:[ ._-]*(?:masks?|msk|lungs?|heart|left|right|labels?|seg(?:mentation)?))+$", re.IGNORECASE)
HEART_COVERS = (0.01, 0.35)  # of the film
OF_HEART = re.compile("heart", re.IGNORECASE)
OF_OTHER_ORGANS = re.compile("clavicle|trachea|spine|rib", re.IGNORECASE)
PAIR_COLUMNS = ["image_id", "set", "patient_id", "film", "masks", "hearts"]


def without_ending(path: Path) -> str:
    """A file's name without its last ending, which digits are not: they are part of a DICOM UID such as 1.2.840.113."""
    return path.name if path.suffix[1:].isdecimal() else path.stem


def mask_names(films: Sequence[Path]) -> list[Path]:
    """Where the masks of films lie so that `pair_masks` finds them: the film's own place and name, as PNG.

    Films that differ by nothing but their ending (``x.png`` and ``x.dcm``) keep it, for one file holds one mask.
    """
    plain = [film.with_name(f"{without_ending(film)}.png") for film in films]
    count = Counter(str(name).lower() for name in plain)
    return [
        name if count[str(name).lower()] == 1 else film.with_name(f"{film.name}.png")
        for film, name in zip(films, plain, strict=True)
    ]


def _stem(path: Path) -> str:
    """A file's name as ids take it, so escaped; JSRT's films end in .IMG.png."""
    return escaped(composed(without_ending(path))).removesuffix(".IMG")


def _film_of(mask: Path, stems: Mapping[str, str]) -> str | None:
    """The stem of the film that a mask belongs to: its own, in any case, or without the words that say mask."""
    stem = _stem(mask)
    return stems.get(stem.lower()) or stems.get(OF_A_MASK.sub("", stem).lower())


def _set_of(stem: str) -> str:
    return next((name for prefix, name in SET_OF_PREFIX.items() if stem.upper().startswith(prefix)), "own")


def _patient_of(stem: str) -> str:
    """Montgomery, Shenzhen: the number (the last digit is the diagnosis). JSRT, own films: each its own patient."""
    source = _set_of(stem)
    parts = stem.split("_")
    return f"{source}-{parts[1]}" if source in ("montgomery", "shenzhen") and len(parts) > 1 else f"{source}-{stem}"


def list_sets(films_dir: Path, masks_dir: Path) -> tuple[Listing, Listing]:
    """The lung films, and the masks.

    Raises
    ------
    InputError
        A folder is missing, holds no picture, or is (in) the other, or a file is film and mask at once.
    """
    places = [Path(os.path.realpath(folder)) for folder in (films_dir, masks_dir)]
    if places[0].is_relative_to(places[1]) or places[1].is_relative_to(places[0]):
        where = "is also" if places[0] == places[1] else "lies in, or around,"
        raise InputError(
            f"{masks_dir}: the folder of the masks {where} that of the films, {films_dir}: films would be taken for "
            "masks. Keep them in two folders, one beside the other, and name both (DATASET_DIR_SEGMENTATION and "
            "MASK_DIR in SETTINGS.json; of evaluate.py FOLDER and --masks)."
        )
    films, masks = list_films(films_dir), list_films(masks_dir)
    of_films = {os.path.realpath(film): film for film in films.films}
    for mask in masks.films:
        film = of_films.get(os.path.realpath(mask))
        if film:
            raise InputError(
                f"{mask}: is the same file as the film {film}. One folder must hold films, the other their masks."
            )
    return films, masks


def files_of(pair: Any, films_dir: Path, masks_dir: Path) -> tuple[Path, ...]:
    """The film and its lung masks of a row of pairs."""
    return films_dir / unescaped(pair.film), *(masks_dir / unescaped(mask) for mask in pair.masks.split("|"))


def jobs_of(pairs: pd.DataFrame, films_dir: Path, masks_dir: Path) -> list[tuple[Path, list[Path], list[Path]]]:
    """Of each pair the film, its lung masks, and its heart masks, usually none."""
    files = [files_of(pair, films_dir, masks_dir) for pair in pairs.itertuples()]
    hearts = [[masks_dir / unescaped(mask) for mask in names.split("|") if mask] for names in pairs["hearts"]]
    return [(film, masks, heart) for (film, *masks), heart in zip(files, hearts, strict=True)]


def pair_masks(
    films_dir: Path, masks_dir: Path, sets: tuple[Listing, Listing] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pair each film with its mask or masks (one a lung) by name, in all subfolders; ``sets`` as `list_sets` gave them.

    Returns
    -------
    pairs : DataFrame
        ``image_id`` (unique), ``set`` (montgomery, shenzhen, jsrt, own), ``patient_id``, ``film`` (relative to
        ``films_dir``), ``masks`` (relative to ``masks_dir``, several joined by |), ``hearts`` (the same, "" where the
        heart is not drawn), sorted by ``image_id``. Bytes of a name that are no UTF-8 are `cxr.core.errors.escaped`;
        `files_of` gives the files.
    problems : DataFrame
        ``path``, ``problem``: what has no partner, or a name that stands twice. Nothing is moved or deleted.

    Raises
    ------
    InputError
        `list_sets` finds the folders wanting, or nothing pairs.
    """
    films, masks = (found.films for found in sets or list_sets(films_dir, masks_dir))
    stems = {_stem(film).lower(): _stem(film) for film in films}
    masks_of, hearts_of = defaultdict(list), defaultdict(list)
    rows, problems, seen = [], [], {}
    for mask in masks:
        inside, stem = str(mask.relative_to(masks_dir)), _film_of(mask, stems)
        if "|" in inside:  # which stands between masks in the table
            problems.append([str(mask), "its name holds |; rename it"])
        elif OF_OTHER_ORGANS.search(inside):
            problems.append([str(mask), "a mask of something else than lungs or heart, by its name"])
        elif stem is None:
            problems.append([str(mask), "no film of this name"])
        else:
            name = mask.name[len(stem) if mask.name.lower().startswith(stem.lower()) else 0 :]
            beyond = str(mask.relative_to(masks_dir).with_name(f"_{name}"))  # a film's own name may hold the word
            (hearts_of if OF_HEART.search(beyond) else masks_of)[stem].append(mask.relative_to(masks_dir))
    for film in films:
        stem = _stem(film)
        if stem in seen:
            problems.append([str(film), f"same name as {seen[stem]}; the first is used"])
        elif stem not in masks_of:
            only = " but the heart's" if stem in hearts_of else ""
            problems.append([str(film), f"no mask of this name{only}"])
        else:
            seen[stem] = film
            # One patient a subfolder: the mask in the film's own. Else all of this name: left and right are two files.
            own = composed(str(film.parent.relative_to(films_dir)))
            files = [escaped(str(film.relative_to(films_dir)))]
            for named in (masks_of[stem], hearts_of[stem]):
                beside = [mask for mask in named if composed(str(mask.parent)) == own]
                files.append(escaped("|".join(map(str, beside or named))))
            rows.append([f"{_set_of(stem)}/{stem}", _set_of(stem), _patient_of(stem), *files])
    if not rows:
        raise InputError(
            f"{films_dir}: none of its {len(films)} films (such as {films[0].name}) has a mask of the same name in "
            f"{masks_dir} ({len(masks)} files, such as {masks[0].name}); expected for example MCUCXR_0001_0.png in "
            "both, or CHNCXR_0001_0.png and CHNCXR_0001_0_mask.png."
        )
    pairs = pd.DataFrame(rows, columns=PAIR_COLUMNS).sort_values("image_id", ignore_index=True)
    return pairs, pd.DataFrame(sorted(problems), columns=["path", "problem"])


def read_pair(film_path: Path, mask_paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """A film and its lung mask of the same shape.

    Returns
    -------
    film : ndarray of shape (H, W), uint8
    mask : ndarray of shape (H, W), uint8
        0 or 255: left and right united, whatever grays they are drawn in; see `cxr.anatomy.drawn_masks.drawn`.

    Raises
    ------
    FilmError
        A file cannot be read.
    InputError
        The shapes do not agree, a mask is none (a film, more than two grays), does not cover what lungs do (it is
        inverted, or one of something else), or the film is a mask.
    """
    film = read_film(film_path)
    mask = _united(film, film_path, mask_paths)
    if drawn(film) is not None:
        raise InputError(f"{film_path}: its grays are {grays_of(film)}; expected a film, this is a mask")
    problem = why_no_lungs(mask > 0)
    if problem:
        raise InputError(f"{mask_paths[0]}: {problem}")
    return film, mask


def read_heart(film: np.ndarray, film_path: Path, mask_paths: Sequence[Path]) -> np.ndarray:
    """The heart's mask of a film (H, W): uint8, 0 or 255, of its shape; `NOT_KNOWN` all over without a file.

    Raises as `read_pair` does, and an InputError for what covers another share of the film than hearts do.
    """
    if not mask_paths:
        return np.full(film.shape, NOT_KNOWN, np.uint8)
    heart = _united(film, film_path, mask_paths)
    low, high = HEART_COVERS
    if not low < (heart > 0).mean() < high:
        raise InputError(
            f"{mask_paths[0]}: covers {(heart > 0).mean():.0%} of the film; expected the heart, {low:.0%} to "
            f"{high:.0%} of it, white on black"
        )
    return heart


def _united(film, film_path, mask_paths):
    """Masks of one film as one (H, W), 0 or 255."""
    mask = np.zeros(film.shape, np.uint8)
    for path in mask_paths:
        grays = read_film(path)
        part = drawn(grays)
        if part is None:
            swapped = (
                f". Its film {film_path} is a mask: swapped?"
                if drawn(film) is not None
                else "; a film, or a soft mask?"
            )
            raise InputError(f"{path}: its grays are {grays_of(grays)}; expected two, black and white lungs{swapped}")
        # A mask stored at another resolution is fine, another shape of film is a mismatch.
        if abs(part.shape[0] / part.shape[1] - film.shape[0] / film.shape[1]) > 0.02:
            raise InputError(
                f"{path}: {part.shape[1]}x{part.shape[0]} does not fit its film's {film.shape[1]}x{film.shape[0]}"
            )
        part = cv2.resize(part.astype(np.uint8), film.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        mask |= 255 * part
    return mask
