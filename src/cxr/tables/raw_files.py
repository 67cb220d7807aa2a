"""Files of the raw folders: only listed and read, never touched."""

import os
from pathlib import Path

import pandas as pd

from cxr.core.errors import InputError
from cxr.imaging.listing import walk


def list_files(folder: Path, skip: tuple[str, ...] = ()) -> pd.Series:
    """All files below a folder as sorted posix paths relative to it; see `cxr.imaging.listing.walk`.

    Parameters
    ----------
    folder : Path
    skip : tuple of str
        Folders whose name begins so (any case) are not entered: CheXpert has a folder for each of its studies.

    Raises
    ------
    InputError
        The folder is not there, or one below it cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. DATASET_DIR in SETTINGS.json must name the folder of the films.")
    return pd.Series(walk(folder, skip), dtype=str)


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
