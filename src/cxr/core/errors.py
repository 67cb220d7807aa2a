"""The errors that are the user's to mend, their exit status, and what a message shows of a word or a name."""

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """Something the user gave is wrong; the message says where, what was expected, what came and what to do."""

    exit_status = 2


class MachineError(InputError):
    """The machine does not let us: no room, no permission, no memory; what was finished before stays whole."""

    exit_status = 5


class BusyError(InputError):
    """Another process is at work in the same folder."""

    exit_status = 4


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word most like this one, whatever its case; None where none is as like it as ``cutoff`` (0..1)."""
    spelt = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), sorted(spelt), n=1, cutoff=cutoff)
    return spelt[close[0]] if close else None


def hint(word: str, known: Iterable[str]) -> str:
    """`` Did you mean X?`` with the known word most like this one; empty where none is like it."""
    meant = closest(word, known)
    return f" Did you mean {meant}?" if meant else ""


def one_line(text: str) -> str:
    """The text with everything that would break its line or move a terminal's cursor written as ``\\n``, ``\\x1b`` …

    A file's name may hold any of these.
    """
    return printable(text, "")


def printable(text: str, kept: str) -> str:
    """`one_line`, but for the characters ``kept``."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in kept else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


class FilmError(InputError):
    """A file that is no usable film; the message names the file and what is wrong with it."""
