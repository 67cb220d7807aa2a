"""Films with lung masks as users download or draw them -> pairs: Montgomery, Shenzhen, JSRT, one's own."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cxr.core.artifacts import read_csv
from cxr.core.errors import InputError
from cxr.core.parameters import Params, UnetParams
from cxr.core.settings import Settings
from cxr.imaging.decoding import read_film
from cxr.imaging.listing import list_films
from cxr.tables.splitting import hash_fraction

SET_OF_PREFIX = {"MCUCXR": "montgomery", "CHNCXR": "shenzhen", "JPC": "jsrt"}
PUBLISHED_PAIRS = {"montgomery": 138, "shenzhen": 566, "jsrt": 247}
PAIR_COLUMNS = ["image_id", "set", "patient_id", "film", "masks"]


def _stem(path: Path) -> str:
    """What a film and its masks share of their names: Shenzhen's masks end in _mask, JSRT's films in .IMG.png."""
    return path.stem.removesuffix(".IMG").removesuffix("_mask")


def _set_of(stem: str) -> str:
    return next((name for prefix, name in SET_OF_PREFIX.items() if stem.upper().startswith(prefix)), "own")


def _patient_of(stem: str) -> str:
    """Montgomery, Shenzhen: the number (the last digit is the diagnosis). JSRT, own films: each its own patient."""
    source = _set_of(stem)
    parts = stem.split("_")
    return f"{source}-{parts[1]}" if source in ("montgomery", "shenzhen") and len(parts) > 1 else f"{source}-{stem}"


def why_skip(settings: Settings, params: Params) -> str:
    """Why prepare_data.sh need not train a U-Net: it is there already, or masks are not wanted; "" where it must."""
    if params.pack.lung_masking == "none":
        return '"LUNG_MASKING": "none" needs no U-Net'
    # The backup of an unfinished run means that the model there is not the last word.
    if settings.unet.exists() and not (settings.unet.parent / "backup").exists():
        return f"{settings.unet} is there (python src/segmentation/train.py trains it anew)"
    return ""


def pair_masks(films_dir: Path, masks_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pair each film with its mask or masks (one a lung) by name, in all subfolders.

    Returns
    -------
    pairs : DataFrame
        ``image_id`` (unique), ``set`` (montgomery, shenzhen, jsrt, own), ``patient_id``, ``film`` (relative to
        ``films_dir``), ``masks`` (relative to ``masks_dir``, several joined by |), sorted by ``image_id``.
    problems : DataFrame
        ``path``, ``problem``: what has no partner, or a name that stands twice. Nothing is moved or deleted.

    Raises
    ------
    InputError
        A folder is missing or empty, or nothing pairs.
    """
    films, masks = list_films(films_dir), list_films(masks_dir)
    masks_of: dict[str, list[Path]] = {}
    for mask in masks:
        masks_of.setdefault(_stem(mask), []).append(mask)
    rows, problems, seen = [], [], {}
    for film in films:
        stem = _stem(film)
        if stem in seen:
            problems.append([str(film), f"same name as {seen[stem]}; the first is used"])
        elif stem not in masks_of:
            problems.append([str(film), "no mask of this name"])
        else:
            seen[stem] = film
            named = [mask.relative_to(masks_dir) for mask in masks_of[stem]]
            # One patient a subfolder: the mask in the film's own. Else all of this name: left and right are two files.
            beside = [mask for mask in named if mask.parent == film.parent.relative_to(films_dir)]
            files = str(film.relative_to(films_dir)), "|".join(map(str, beside or named))
            rows.append([f"{_set_of(stem)}/{stem}", _set_of(stem), _patient_of(stem), *files])
    stems = {_stem(film) for film in films}
    problems += [[str(mask), "no film of this name"] for mask in masks if _stem(mask) not in stems]
    if not rows:
        raise InputError(
            f"{films_dir}: none of its {len(films)} films has a mask of the same name in {masks_dir} ({len(masks)} "
            "files); expected for example MCUCXR_0001_0.png in both, or CHNCXR_0001_0.png and CHNCXR_0001_0_mask.png."
        )
    pairs = pd.DataFrame(rows, columns=PAIR_COLUMNS).sort_values("image_id", ignore_index=True)
    return pairs, pd.DataFrame(sorted(problems), columns=["path", "problem"])


def read_pair(film_path: Path, mask_paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """A film and its lung mask of the same shape.

    Returns
    -------
    film : ndarray of shape (H, W), uint8
    mask : ndarray of shape (H, W), uint8
        0 or 255: left and right united, gray edges of interpolated masks cut at half; of masks drawn with small
        numbers (0 and 1, or 1 left and 2 right) all but 0.

    Raises
    ------
    FilmError
        A file cannot be read.
    InputError
        The shapes do not agree, or the mask covers (almost) nothing or everything.
    """
    film = read_film(film_path)
    mask = np.zeros(film.shape, np.uint8)
    for path in mask_paths:
        part = read_film(path)
        # A mask stored at another resolution is fine, another shape of film is a mismatch.
        if abs(part.shape[0] / part.shape[1] - film.shape[0] / film.shape[1]) > 0.02:
            raise InputError(
                f"{path}: {part.shape[1]}x{part.shape[0]} does not fit its film's {film.shape[1]}x{film.shape[0]}"
            )
        part = cv2.resize(part, film.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        mask |= np.where(part > (127 if part.max() > 127 else 0), 255, 0).astype(np.uint8)
    covered = np.count_nonzero(mask) / mask.size
    if not 0.02 < covered < 0.9:
        raise InputError(f"{mask_paths[0]}: covers {covered:.0%} of the film; expected both lungs")
    return film, mask


def read_packed(folder: Path, size: int) -> pd.DataFrame:
    """The lung films as they are packed, row by row, with their ``split``.

    Raises
    ------
    InputError
        A table is missing or broken, or they are not about the same films.
    """
    etl = "src/segmentation/etl"
    packed = read_csv(folder / f"packed_{size}.csv", f"{etl}/2_pack_arrays.py", PAIR_COLUMNS, dtype=str)
    split = read_csv(folder / "split.csv", f"{etl}/1_split_patients.py", ["image_id", "split"], dtype=str)
    merged = packed.merge(split.drop_duplicates("image_id"), on="image_id")
    if len(merged) != len(packed):
        raise InputError(
            f"{folder / 'split.csv'}: lists {len(merged)} of {len(packed)} packed lung films. "
            f"Make it again with: {etl}/1_split_patients.py"
        )
    return merged


def split_pairs(pairs: pd.DataFrame, params: UnetParams, seed: int) -> list[str]:
    """train, val or test for every pair, by patient; whole sets are the test where UNET_TEST_SETS names some.

    Raises
    ------
    InputError
        A set of UNET_TEST_SETS has no film, or nothing is left to train on.
    """
    missing = set(params.unet_test_sets) - set(pairs["set"])
    if missing:
        sets = ", ".join(sorted(set(pairs["set"])))
        raise InputError(f"UNET_TEST_SETS: no film of {', '.join(sorted(missing))}; the lung folders hold {sets}.")
    test = pairs["set"].isin(params.unet_test_sets)
    if not params.unet_test_sets:
        test = hash_fraction("lung-test", pairs["patient_id"]) < params.unet_test_fraction
    val = hash_fraction(f"lung-val-{seed}", pairs["patient_id"]) < params.unet_val_fraction
    split = np.select([test, val], ["test", "val"], "train")
    for name in ("train", "val"):
        if name not in split:
            raise InputError(
                f"lung films: none left for {name} of {len(pairs)}; change UNET_VAL_FRACTION or UNET_TEST_FRACTION."
            )
    return split.tolist()
