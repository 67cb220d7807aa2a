"""What the U-Net learns from: real lung films, drawn ones, which of them train, and whether it is due at all."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core import locks
from cxr.core.artifacts import read_csv, read_record
from cxr.core.errors import InputError
from cxr.core.parameters import Params, UnetParams
from cxr.core.settings import Settings
from cxr.tables.lung_sets import PAIR_COLUMNS
from cxr.tables.splitting import hash_fraction

MADE_BY = [f"src/segmentation/etl/{step}.py" for step in ("0_pair_masks", "1_split_patients", "2_pack_arrays")]
MOST_PASSES = 8  # an epoch, over a real film beside drawn ones
DRAWN = "drawn"  # the set of films that this project draws; they have no files
FOLDERS = ("DATASET_DIR_SEGMENTATION", "MASK_DIR")  # of the real ones, as SETTINGS.json names them
SHARE_ALONE = 0.05  # of them, for val and for test each, where there are no others


def why_skip(settings: Settings, params: Params) -> str:
    """Why prepare_data.sh need not train a U-Net: it is there already, or masks are not wanted; "" where it must."""
    if params.pack.lung_masking == "none":
        return '"LUNG_MASKING": "none" needs no U-Net'
    # The backup of an unfinished run means that the model there is not the last word.
    if settings.unet.exists() and not (settings.unet.parent / locks.BACKUP).exists():
        otherwise, steps = _learned_otherwise(settings, params), ["src/segmentation/train.py"]
        again = f"python {', then '.join([*MADE_BY, *steps] if otherwise else steps)}"
        return f"{settings.unet} is there{otherwise} ({again} trains it anew)"
    return ""


def _learned_otherwise(settings: Settings, params: Params) -> str:
    """How the films that the U-Net learned from are not those that there are now, as a clause; "" where they may be."""
    learned, now = read_record(settings.unet.parent / "run.json").get("parameters", {}), params.flat()
    keys = ["LUNG_FILMS", *(["DRAWN_LUNG_FILMS"] if drawn_count(params) else [])]
    changed = [f"{key} {learned[key]}" for key in keys if learned.get(key, now[key]) != now[key]]
    if changed:
        return f", and learned with {' and '.join(changed)}"
    pairs = settings.segmentation / "pairs.csv"
    try:
        alone = not pairs.is_file() or (read_pairs(pairs)["set"] != DRAWN).any() or why_drawn_alone(settings, params)
    except InputError:  # told by whoever reads them
        return ""
    return "" if alone else ", and learned from drawn films alone: real ones are there now"


def places(settings: Settings) -> tuple[Path, Path]:
    """Folders of the real lung films and of their masks."""
    return settings.dataset_dir_segmentation, settings.mask_dir


def drawn_count(params: Params) -> int:
    """How many films are drawn for the U-Net."""
    return 0 if params.unet.lung_films == "real" else params.unet.drawn_lung_films


def passes_of_real(real: int, drawn: int) -> int:
    """How often an epoch passes over a real film, at most `MOST_PASSES`: they are about as many as drawn ones then."""
    return min(MOST_PASSES, max(1, round(drawn / real))) if real and drawn else 1


def check_packed(packed: pd.DataFrame, params: Params) -> None:
    """Raise an InputError where the packed films are not those that LUNG_FILMS and DRAWN_LUNG_FILMS ask for."""
    drawn = int((packed["set"] == DRAWN).sum())
    if drawn != drawn_count(params) or (params.unet.lung_films == "drawn" and drawn < len(packed)):
        raise InputError(
            f"the packed lung films are {drawn} drawn and {len(packed) - drawn} real ones, LUNG_FILMS is "
            f'"{params.unet.lung_films}" and DRAWN_LUNG_FILMS {params.unet.drawn_lung_films}. Make them again with: '
            f"{', then '.join(MADE_BY)}"
        )


def why_drawn_alone(settings: Settings, params: Params) -> str:
    """Why the U-Net learns from drawn films alone; "" where real ones are to be read.

    Raises
    ------
    InputError
        A folder that is to be read is "" in SETTINGS.json.
    """
    wanted = params.unet.lung_films
    if wanted == "drawn":
        return '"LUNG_FILMS": "drawn"'
    folders = places(settings)
    empty = [key for key, folder in zip(FOLDERS, folders, strict=True) if folder == Path()]
    if empty == list(FOLDERS) and wanted == "both":
        return f"no real lung films: {' and '.join(FOLDERS)} are empty"
    if empty:
        mend = "or leave both empty" if wanted == "both" else 'or set "LUNG_FILMS": "both" or "drawn" in PARAMS.json'
        raise InputError(
            f'{" and ".join(empty)} in SETTINGS.json: expected a folder, for "LUNG_FILMS" is "{wanted}"; found "". '
            f"Name it, {mend}."
        )
    # One of both folders missing, or a link to nowhere, is a mistake to be told; nothing there is no lung films.
    if wanted == "both" and not any(os.path.lexists(folder) for folder in folders):
        return f"no real lung films: {FOLDERS[0]} {folders[0]} and {FOLDERS[1]} {folders[1]} are not there"
    return ""


def drawn_pairs(count: int) -> pd.DataFrame:
    """Rows of pairs for so many drawn films, each of a patient of its own."""
    numbers = [f"{number:06d}" for number in range(count)]
    rows = [[f"{DRAWN}/{number}", DRAWN, f"{DRAWN}-{number}", "", "", ""] for number in numbers]
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def read_pairs(path: Path, made_by: str = "src/segmentation/etl/0_pair_masks.py") -> pd.DataFrame:
    """A table of `PAIR_COLUMNS`, all text, "" where there is no file."""
    return read_csv(path, made_by, PAIR_COLUMNS, dtype=str, keep_default_na=False)


def read_packed(folder: Path, size: int) -> pd.DataFrame:
    """The lung films as they are packed, row by row, with their ``split``.

    Raises
    ------
    InputError
        A table is missing or broken, or they are not about the same films.
    """
    etl = "src/segmentation/etl"
    packed = read_pairs(folder / f"packed_{size}.csv", f"{etl}/2_pack_arrays.py")
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

    Drawn films are all trained on where there are real ones: what is measured is measured on real films. Alone, few of
    them say all that they can: that training went well.

    Raises
    ------
    InputError
        A set of UNET_TEST_SETS has no film, or nothing is left to train on.
    """
    missing = set(params.unet_test_sets) - set(pairs["set"])
    if missing:
        sets = ", ".join(sorted(set(pairs["set"])))
        raise InputError(
            f"UNET_TEST_SETS: no film of {', '.join(sorted(missing))}; LUNG_FILMS and the lung folders give {sets}."
        )
    is_drawn, test = pairs["set"] == DRAWN, pairs["set"].isin(params.unet_test_sets)
    alone = (is_drawn | test).all()  # no real film is left to train and to choose on
    most = SHARE_ALONE if alone else 1.0
    if not params.unet_test_sets:
        test = hash_fraction("lung-test", pairs["patient_id"]) < min(params.unet_test_fraction, most)
    val = hash_fraction(f"lung-val-{seed}", pairs["patient_id"]) < min(params.unet_val_fraction, most)
    split = np.select([is_drawn & (not alone), test, val], ["train", "test", "val"], "train")
    for name in ("train", "val"):
        if name not in split:
            raise InputError(
                f"lung films: none left for {name} of {len(pairs)}; change UNET_VAL_FRACTION or UNET_TEST_FRACTION."
            )
    return split.tolist()
