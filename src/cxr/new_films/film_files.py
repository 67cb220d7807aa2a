"""Files of new films: found where the user points, and named so that no name can do harm."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cxr.core.errors import InputError, composed
from cxr.imaging.listing import EXPECTED, Listing, films_below, told


def find_films(given: Sequence[Path], out: Path) -> Listing:
    """Files as given, and the films below folders, each once; no overlay of an earlier run that ``out`` holds.

    Raises
    ------
    InputError
        Nothing of it is there, or a folder cannot be read.
    """
    overlays, films, not_taken = out.resolve() / "overlays", [], Counter()
    for path in given:
        below = films_below(path) if path.is_dir() else Listing([path], Counter())
        new = [film for film in below.films if film == path or overlays not in film.resolve().parents]
        films += new
        not_taken += below.not_taken + Counter({"overlays of an earlier run": len(below.films) - len(new)})
    if not any(path.exists() for path in films):
        found = "".join(f" ({line})" for line in told(not_taken))
        names = ", ".join(map(str, given[:3]))
        raise InputError(f"{names}: no film there{found}; expected {EXPECTED}, or folders with some.")
    return Listing(list(dict.fromkeys(films)), not_taken)


def overlay_name(filename: str) -> str:
    """A file name for a film's overlay that is safe and its own: films of one name in two folders differ."""
    last = composed(Path(filename).stem)
    safe = re.sub(r"[^\w.-]+", "_", last).strip("._-")[:40] or "film"
    return f"{safe}_{hashlib.blake2b(filename.encode(), digest_size=5).hexdigest()}.png"
