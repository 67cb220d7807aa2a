"""The files and the films below a folder."""

import os
from collections.abc import Callable
from pathlib import Path

from cxr.core.errors import InputError

FILM_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".dcm", ".dicom"})


def walk(folder: Path, skip: Callable[[str], bool] = lambda folder: False) -> list[str]:
    """All files below a folder as sorted posix paths relative to it; links are followed, to a folder once each.

    Hidden files and folders are left out, and what a Mac's zip brings along (``._x.png``, ``__MACOSX``).

    Parameters
    ----------
    folder : Path
    skip : (path of a folder) -> bool
        Whether it is not entered.

    Raises
    ------
    InputError
        A folder cannot be read.
    """
    files, waiting, entered = [], [("", False)], {os.path.realpath(folder)}
    while waiting:
        inside, is_link = waiting.pop()
        path = os.path.join(folder, inside)
        if is_link:
            target = os.path.realpath(path)
            if target in entered or _leads_back(target, path):
                continue
            entered.add(target)
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            raise InputError(f"{folder / inside}: cannot be listed: {error.strerror}. Check its permissions.") from None
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            is_link = entry.is_symlink()
            if not (os.path.isdir(entry.path) if is_link else entry.is_dir()):
                files.append(inside + entry.name)
            elif not skip(entry.path):
                waiting.append((f"{inside}{entry.name}/", is_link))
    return sorted(files)


def _leads_back(target: str, link: str) -> bool:
    """Whether a link's target holds the link itself."""
    around = os.path.realpath(os.path.dirname(link.rstrip("/")))
    return os.path.commonpath([target, around]) == target


def films_below(folder: Path) -> list[Path]:
    """All film files below a folder, sorted: known by their suffix, or, whatever their name, as DICOM by their content.

    Raises
    ------
    InputError
        A folder cannot be read.
    """
    return sorted(path for path in map(folder.joinpath, walk(folder)) if path.is_file() and _looks_like_a_film(path))


def list_films(folder: Path) -> list[Path]:
    """`films_below` a folder that must hold some.

    Raises
    ------
    InputError
        The folder does not exist, cannot be read or holds no film.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected films (PNG, JPEG, TIFF, DICOM) in it.")
    films = films_below(folder)
    if not films:
        raise InputError(f"{folder}: no film in it; expected PNG, JPEG, TIFF or DICOM files.")
    return films


def _looks_like_a_film(path: Path) -> bool:
    if path.suffix.lower() in FILM_SUFFIXES:
        return True
    try:
        with open(path, "rb") as file:  # DICOMDIR is a table of contents that such folders bring along
            return file.read(132)[128:] == b"DICM" and path.name != "DICOMDIR"
    except OSError:
        return False
