"""Files of new films: found where the user points, and named so that no name can do harm."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from cxr.core.artifacts import no_formula
from cxr.core.errors import InputError
from cxr.core.own_files import not_listed
from cxr.imaging.listing import films_below


def find_films(given: Sequence[Path]) -> tuple[list[Path], int]:
    """Files as given, and the films below folders, each once; and how many pictures there are ours, so left out.

    Raises
    ------
    InputError
        Nothing of it is there, or a folder cannot be read.
    """
    films, left_out = [], 0
    for path in given:
        below = films_below(path) if path.is_dir() else []
        others = not_listed(below)
        left_out += len(below) - len(others)
        films += others if path.is_dir() else [path]
    if not any(path.exists() for path in films):
        names = ", ".join(map(str, given[:3]))
        raise InputError(f"{names}: no film there; expected PNG, JPEG, TIFF or DICOM files, or folders with some.")
    return list(dict.fromkeys(films)), left_out


def shown_name(path: Path) -> str:
    """A film's path as tables show it: still the way to the file, and no formula in a spreadsheet."""
    return no_formula(str(path).encode("utf-8", "backslashreplace").decode())


def overlay_path(path: Path) -> str:
    """Where a film's picture lies in --out: a safe name of its own; films of one name in two folders differ."""
    filename = shown_name(path)
    last = unicodedata.normalize("NFC", Path(filename).stem)
    safe = re.sub(r"[^\w.-]+", "_", last).strip("._-")[:40] or "film"
    return f"overlays/{safe}_{hashlib.blake2b(filename.encode(), digest_size=5).hexdigest()}.png"
