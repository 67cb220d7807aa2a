"""The errors that are the user's to mend, their exit status, and how words and names of files are shown."""

import difflib
import re
import unicodedata
from collections.abc import Iterable

MOST_MEANT = 5  # words that a hint names


class InputError(Exception):
    """Something the user gave is wrong; the message says where, what was expected, what came and what to do."""

    exit_status = 2


class MachineError(InputError):
    """The machine does not let us: no room, no permission, no memory; what was finished before stays whole."""

    exit_status = 5


class BusyError(InputError):
    """Another process is at work in the same folder."""

    exit_status = 4


class Ended(KeyboardInterrupt):
    """Training ended before its last epoch, as it was asked to; what is whole is kept, and it says how to go on.

    As Ctrl-C, so that nothing on its way takes it for an error of its own.
    """

    exit_status = 6


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word most like this one, whatever its case; None where none is as like it as ``cutoff`` (0..1)."""
    spelt = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), sorted(spelt), n=1, cutoff=cutoff)
    return spelt[close[0]] if close else None


def hint(word: str, known: Iterable[str]) -> str:
    """`` Did you mean X?`` with the known word most like this one, or those that end in it; empty where there is none.

    Two letters in the wrong order are much of a short word; of a long one as little in common is another word:
    train.csv and valid.csv, MASKS_DIR and MODELS_DIR. A short one is no longer word with letters left out: LR and BLUR.
    """
    known = sorted(known)
    ending = [name for name in known if name.lower().endswith(f"_{word.lower()}")]
    same = [name for name in known if name.lower() == word.lower()]
    if same:
        return f" Did you mean {same[0]}?"
    if 1 < len(ending) <= MOST_MEANT:  # THRESHOLD, INPUT_SIZE: naming one of them would be a guess
        return f" Did you mean {', '.join(ending[:-1])} or {ending[-1]}?"
    if len(word) < 5:
        meant = closest(word, (name for name in known if abs(len(name) - len(word)) < 2))
    else:
        meant = closest(word, known, cutoff=0.75)
    return f" Did you mean {meant}?" if meant else ""


def counted(number: int, thing: str) -> str:
    """A number with what it counts, such as ``1 film``, ``2,000 films`` or ``0 boxes``."""
    return f"{number:,} {thing}{'' if number == 1 else 'es' if thing[-1] in 'sx' else 's'}"


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


def composed(text: str) -> str:
    """The text with letters in one piece: Macs store 흉부 and é in parts, and both are the same name."""
    return unicodedata.normalize("NFC", text)


def escaped(text: str) -> str:
    """The text with the bytes of a file's name that are no UTF-8 (old Korean and Japanese disks) as ``\\udcc8``.

    Python holds them as half characters, which no file, page or C++ library takes. Printing, CSV, JSON and HTML write
    them in this way too.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def unescaped(text: str) -> str:
    """The name on disk of what `escaped` gave."""
    return re.sub(r"\\udc[89a-f][0-9a-f]", lambda found: chr(int(found[0][2:], 16)), text)


class FilmError(InputError):
    """A file that is no usable film; the message names the file and what is wrong with it."""
