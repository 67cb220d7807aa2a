"""Files of the raw folders: only listed and read, never touched."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError
from cxr.imaging.listing import FILM_SUFFIXES, walk

FILM_SUFFIX = re.compile(rf"(?:{'|'.join(map(re.escape, FILM_SUFFIXES))})$", re.IGNORECASE)


def list_files(folder: Path, studies: bool = True, key: str = "DATASET_DIR") -> pd.Series:
    """All files below a folder as sorted posix paths relative to it; see `cxr.imaging.listing.walk`.

    Parameters
    ----------
    folder : Path
    studies : bool
        False leaves out ``patient00001/study1/…``: a release by studies has a quarter of a million folders.
    key : str
        Of SETTINGS.json, that names the folder.

    Raises
    ------
    InputError
        The folder is not there, or one below it cannot be read.
    """
    if not folder.is_dir():
        wrong = "is a file" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {wrong}. {key} in SETTINGS.json must name the folder of the films.")
    return pd.Series(walk(folder) if studies else walk(folder, _patients_of_studies()), dtype=str)


def _patients_of_studies() -> Callable[[str], bool]:
    """Whether a folder is ``patient…`` and holds ``study…``; the first of them tells of all beside it."""
    holds_studies: dict[str, bool] = {}

    def is_one(folder: str) -> bool:
        beside, name = os.path.split(folder)
        if not re.fullmatch(r"patient\d+", name):
            return False
        if beside not in holds_studies:
            holds_studies[beside] = any(re.fullmatch(r"study\d+", inside) for inside in os.listdir(folder))
        return holds_studies[beside]

    return is_one


def present(folder: Path, paths: pd.Series) -> pd.Series:
    """Those of the paths, relative to a folder, at which there is a file: quicker than a list of CheXpert's folders."""
    base = f"{folder}/"
    return paths[[os.path.isfile(base + path) for path in paths.tolist()]]


def same_name(names: pd.Series, on_disk: pd.Series) -> tuple[pd.Series, list[str]]:
    """The file of each film wherever it lies: the one of its very name, or else the one of `stem`.

    Mirrors of the releases hold their films as JPEG or in other folders, Windows writes ``.PNG``, and a spreadsheet
    makes 1 of 00001.

    Returns
    -------
    files : Series of str
        Paths of ``on_disk``, NaN where there is none.
    others : list of str
        Further files of the same names, which are not used.
    """
    files = pd.Series(on_disk.to_numpy(), index=on_disk.str.rsplit("/", n=1).str[-1])
    wanted = names.str.replace("\\", "/", regex=False).str.rsplit("/", n=1).str[-1]
    found, others = pd.Series(np.nan, index=names.index, dtype=object), []
    for key in (lambda texts: texts, stem):
        missing = found.isna()
        if missing.any():
            known, keys = files.set_axis(key(files.index)), key(wanted[missing])
            again = known.index.duplicated()
            others += known[again & known.index.isin(keys)].tolist()
            found = found.mask(missing, keys.map(known[~again]))
    return found, others


def stem(names: pd.Series | pd.Index) -> pd.Series | pd.Index:
    """Names without the suffix of a film (what is left of a DICOM UID's dots stays), case and leading zeros."""
    plain = names.str.replace(FILM_SUFFIX, "", regex=True).str.normalize("NFC").str.lower()
    return plain.str.replace(r"^0+(?=\d+$)", "", regex=True)


def leaves_raw_folder(paths: pd.Series) -> pd.Series:
    """Whether a path is absolute, has a Windows drive, or climbs with ``..``: raw data is below DATASET_DIR only."""
    whole = "\n" + "\n".join(paths.dropna())
    if not any(mark in whole for mark in ("..", "\\", ":", "\n/")):  # a third of a million searches less
        return pd.Series(False, index=paths.index)
    return paths.str.contains(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)")
