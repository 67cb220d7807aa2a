"""The one error that is the user's to mend, and the word that a misspelt one may have meant."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something the user gave is wrong; the message says where, what was expected, what came and what to do."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, whatever its case; None where none is like it."""
    spelt = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), sorted(spelt), n=1, cutoff=0.6)
    return spelt[close[0]] if close else None
