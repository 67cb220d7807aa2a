"""A list of DICOM files that are chest films whatever their header says: modality and body part are typed by people.

Its place is in a variable of the environment, so that every process that this one starts knows it too.
"""

import functools
import os
from collections.abc import Iterable
from pathlib import Path

from cxr.core.errors import InputError
from cxr.core.settings import CHEST_FILMS


def use(path: Path | None) -> None:
    """Take the files of this list, and of no other, as chest films."""
    os.environ[CHEST_FILMS] = str(path.absolute()) if path else ""


def listed() -> dict[Path, str]:
    """The list in use: each file and its line; none where there is no list.

    A path a line, relative to the folder of the list; empty lines and such as begin with # are passed over.

    Raises
    ------
    InputError
        The list cannot be read, or a file of it is not there.
    """
    path = os.environ.get(CHEST_FILMS, "")
    return _read(Path(path)) if path else {}


@functools.cache
def _read(path: Path) -> dict[Path, str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or "is no text"
        raise InputError(f"{path}: {told}; expected a list of DICOM files, a path a line.") from None
    files = {}
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        file = path.parent / os.path.expanduser(name)
        if not file.is_file():
            raise InputError(
                f"{path}: line {number}: {name}: no such file; expected a path relative to {path.parent}, or a whole "
                "one. Mend the line, or remove it."
            )
        files[file.resolve()] = name
    return files


def is_listed(path: Path) -> bool:
    return path.resolve() in listed()


def among(paths: Iterable[Path]) -> list[str]:
    """The lines of the list whose file is one of these, sorted."""
    files = listed()
    return sorted(files[path] for path in {path.resolve() for path in paths} & files.keys()) if files else []


def recorded(paths: Iterable[Path], scheduler: str | None = None) -> dict[str, list[str]]:
    """What the record of a step that reads these films says of the list; nothing where none of them is on it.

    Raises
    ------
    InputError
        As `listed`; or the films are read by workers elsewhere, which do not know the list.
    """
    names = among(paths)
    if names and scheduler:
        raise InputError(
            f"CHEST_FILMS: {len(names)} of these films are on the list, which workers of --scheduler do not know. Run "
            "this step without --scheduler."
        )
    return {"chest_films": names} if names else {}
