"""Files of the raw folders: only listed and read, never touched."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cxr.core.errors import InputError
from cxr.imaging.listing import walk


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
        raise InputError(f"{folder}: no such folder. {key} in SETTINGS.json must name the folder of the films.")
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


def leaves_raw_folder(paths: pd.Series) -> pd.Series:
    """Whether a path is absolute, has a Windows drive, or climbs with ``..``: raw data is below DATASET_DIR only."""
    whole = "\n" + "\n".join(paths.dropna())
    if not any(mark in whole for mark in ("..", "\\", ":", "\n/")):  # a third of a million searches less
        return pd.Series(False, index=paths.index)
    return paths.str.contains(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)")
