"""The films below a folder."""

from pathlib import Path

from cxr.core.errors import InputError

FILM_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".dcm", ".dicom"})


def list_films(folder: Path) -> list[Path]:
    """All film files below a folder, sorted: known by their suffix, or, whatever their name, as DICOM by their content.

    Raises
    ------
    InputError
        The folder does not exist or holds no film.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected films (PNG, JPEG, TIFF, DICOM) in it.")
    films = sorted(path for path in folder.rglob("*") if path.is_file() and _looks_like_a_film(path))
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
