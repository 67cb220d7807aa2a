"""The files and the films below a folder, and what was not taken of it."""

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cxr.core.errors import InputError, one_line
from cxr.imaging.file_kinds import (
    DICOM,
    DICOM_SUFFIXES,
    HEAD,
    IMAGE_SUFFIXES,
    IMAGES,
    ONE_FILM,
    PACKED,
    UNREAD,
    kind_of,
)

FILM_SUFFIXES = IMAGE_SUFFIXES | DICOM_SUFFIXES
EXPECTED = "PNG, JPEG, TIFF, DICOM, BMP, GIF, WebP, JPEG 2000, AVIF or PGM files"
MOST_REASONS = 8
PAGES = (".html", ".htm")  # which lie beside films rightly
KIND_OF_SUFFIX = {suffix: kind for kind, (_, suffixes, _) in UNREAD.items() for suffix in suffixes.split()}


@dataclass(frozen=True)
class Listing:
    """The films of a folder, sorted, and how many of its files are no films, or were left out, by reason."""

    films: list[Path]
    not_taken: Counter[str]


def told(not_taken: Counter[str]) -> list[str]:
    """A line to print, such as ``not taken: 1 .zip (unpack it), 3 hidden, 2 .txt``: what can be mended first."""
    most = sorted(not_taken.items(), key=lambda item: ("(" not in item[0], -item[1], item[0]))[:MOST_REASONS]
    others = not_taken.total() - sum(number for _, number in most)
    reasons = [f"{number:,} {one_line(reason)}" for reason, number in most] + [f"{others:,} others"] * (others > 0)
    return [f"not taken: {', '.join(reasons)}"] if reasons else []


def walk(
    folder: Path, skip: Callable[[str], bool] = lambda folder: False, not_taken: Counter[str] | None = None
) -> list[str]:
    """All files below a folder as sorted posix paths relative to it; links are followed, to a folder once each.

    Hidden files and folders are left out, and what a Mac's zip brings along (``._x.png``, ``__MACOSX``).

    Parameters
    ----------
    folder : Path
    skip : (path of a folder) -> bool
        Whether it is not entered.
    not_taken : Counter, optional
        Counts what is left out, by reason.

    Raises
    ------
    InputError
        A folder cannot be read.
    """
    files, waiting, links, entered = [], [""], [], set()
    not_taken = Counter() if not_taken is None else not_taken
    while waiting or links:  # links last: a folder is listed where it lies
        inside = waiting.pop() if waiting else links.pop()
        path = os.path.join(folder, inside)
        try:
            status = os.stat(path)
            entries = sorted(os.scandir(path), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            raise InputError(f"{folder / inside}: cannot be listed: {error.strerror}. Check its permissions.") from None
        if (status.st_dev, status.st_ino) in entered or (os.path.islink(path.rstrip("/")) and _leads_back(path)):
            not_taken["links to folders that are listed already"] += 1
            continue
        entered.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                not_taken["hidden"] += 1
            elif not (os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()):
                files.append(inside + entry.name)
            elif not skip(entry.path):
                (links if entry.is_symlink() else waiting).append(f"{inside}{entry.name}/")
    return sorted(files)


def _leads_back(link: str) -> bool:
    """Whether a link's target holds the link itself."""
    target, around = os.path.realpath(link), os.path.realpath(os.path.dirname(link.rstrip("/")))
    return os.path.commonpath([target, around]) == target


def films_below(folder: Path) -> Listing:
    """All film files below a folder: known by their suffix, or, whatever their name, by their content.

    Raises
    ------
    InputError
        A folder cannot be read.
    """
    films, not_taken = [], Counter()
    for path in map(folder.joinpath, walk(folder, not_taken=not_taken)):
        reason = _why_no_film(path)
        if reason:
            not_taken[reason] += 1
        else:
            films.append(path)
    return Listing(sorted(films), not_taken)


def list_films(folder: Path) -> Listing:
    """`films_below` a folder that must hold some.

    Raises
    ------
    InputError
        The folder does not exist, cannot be read or holds no film.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected films in it: {EXPECTED}.")
    listing = films_below(folder)
    if not listing.films:
        found = "".join(f" ({line})" for line in told(listing.not_taken))
        raise InputError(f"{folder}: no film in it{found}; expected {EXPECTED}.")
    return listing


def has_film_name(path: str | Path) -> bool:
    """Whether a file is a film by its suffix: one that we read, or one to be refused by name (HEIC, ``.dcm.gz``)."""
    path = Path(path)
    suffix = path.suffix.lower()
    packed = suffix in PACKED and Path(path.stem).suffix.lower() in FILM_SUFFIXES
    return suffix in FILM_SUFFIXES or packed or KIND_OF_SUFFIX.get(suffix) in ONE_FILM


def reason_by_name(path: str | Path, kind: str = "") -> str:
    """What is said of a file that is no film: its suffix, and what to do with one of ``kind`` (of `UNREAD`)."""
    name = os.path.basename(path)
    ends = re.search(r"(\.[a-z]\w{0,4})?(\.[a-z]\w{0,5})$", name, re.IGNORECASE)  # not the dots of a DICOM UID
    suffix = "" if ends is None else (ends[0] if ends[2] in PACKED else ends[2]).lower()
    known = KIND_OF_SUFFIX.get(suffix and f".{suffix.rsplit('.')[-1]}", "")
    kind = kind or known
    if suffix in PAGES:
        return suffix
    if kind in UNREAD:
        return f"{suffix if kind == known else kind} ({UNREAD[kind][2]})"
    return kind or suffix or "without a suffix"


def _why_no_film(path: Path) -> str:
    """Why a file is not taken for a film; "" where it is."""
    if not path.is_file():
        return "no ordinary files" if path.exists() else "links to nothing"
    if has_film_name(path):
        return ""
    try:
        with open(path, "rb") as file:
            kind = kind_of(file.read(HEAD))
    except OSError:
        return "that cannot be opened"
    return "" if kind == DICOM or kind in IMAGES or kind in ONE_FILM else reason_by_name(path, kind)
