"""Files of new films: found where the user points, and named so that no name can do harm."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from cxr.core.errors import InputError
from cxr.imaging.listing import films_below


def find_films(given: Sequence[Path], out: Path) -> list[Path]:
    """Files as given, and the films below folders, each once; no overlay of an earlier run that ``out`` holds.

    Raises
    ------
    InputError
        Nothing of it is there, or a folder cannot be read.
    """
    overlays, films = out.resolve() / "overlays", []
    for path in given:
        if path.is_dir():
            films += [film for film in films_below(path) if overlays not in film.resolve().parents]
        else:
            films.append(path)
    if not any(path.exists() for path in films):
        names = ", ".join(map(str, given[:3]))
        raise InputError(f"{names}: no film there; expected PNG, JPEG, TIFF or DICOM files, or folders with some.")
    return list(dict.fromkeys(films))


def overlay_name(filename: str) -> str:
    """A file name for a film's overlay that is safe and its own: films of one name in two folders differ."""
    last = unicodedata.normalize("NFC", Path(filename).stem)
    safe = re.sub(r"[^\w.-]+", "_", last).strip("._-")[:40] or "film"
    return f"{safe}_{hashlib.blake2b(filename.encode(), digest_size=5).hexdigest()}.png"
