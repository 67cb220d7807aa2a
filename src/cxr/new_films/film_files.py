"""Files of new films: found where the user points, and named so that no name can do harm."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cxr.core.artifacts import no_formula
from cxr.core.errors import InputError, composed, escaped
from cxr.core.own_files import not_listed
from cxr.imaging.listing import EXPECTED, Listing, films_below, told


def find_films(given: Sequence[Path]) -> Listing:
    """Files as given, and the films below folders, each once, but for pictures there that are ours.

    Raises
    ------
    InputError
        Nothing of it is there, or a folder cannot be read.
    """
    films, not_taken = [], Counter()
    for path in given:
        below = films_below(path) if path.is_dir() else Listing([path], Counter())
        others = not_listed(below.films) if path.is_dir() else [path]
        films += others
        not_taken += below.not_taken + Counter({"pictures that earlier runs made": len(below.films) - len(others)})
    if not any(path.exists() for path in given):
        raise InputError(f"{', '.join(map(str, given[:3]))}: no such file or folder.")
    if not any(path.exists() for path in films):
        found = "".join(f" ({line})" for line in told(not_taken))
        names = ", ".join(map(str, given[:3]))
        raise InputError(f"{names}: no film there{found}; expected {EXPECTED}, or folders with some.")
    return Listing(list(dict.fromkeys(films)), not_taken)


def shown_name(path: Path) -> str:
    """A film's path as tables show it: still the way to the file, and no formula in a spreadsheet."""
    return no_formula(escaped(str(path)))


def overlay_path(path: Path) -> str:
    """Where a film's picture lies in --out: a safe name of its own; films of one name in two folders differ."""
    filename = shown_name(path)
    last = composed(Path(filename).stem)
    safe = re.sub(r"[^\w.-]+", "_", last).strip("._-")[:40] or "film"
    return f"overlays/{safe}_{hashlib.blake2b(filename.encode(), digest_size=5).hexdigest()}.png"
