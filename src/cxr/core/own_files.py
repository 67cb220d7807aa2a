"""What is ours in a folder of --out: a record there lists it, and nothing else is replaced or removed."""

import functools
import json
import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from cxr.core import locks
from cxr.core.artifacts import read_record, write_text
from cxr.core.errors import InputError

RECORD = ".cxr-made.json"


def listed(folder: Path) -> frozenset[str]:
    """Names, relative to the folder, of the files that its record lists; none where there is no record of ours."""
    names = read_record(folder / RECORD).get("made") if is_plain_file(folder, RECORD) else None
    return frozenset(filter(is_inside, names)) if isinstance(names, list) else frozenset()


def is_inside(name: object) -> bool:
    """Whether what a file says is the name of one below that file's folder: relative, and it does not climb."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.as_posix() == name != "."


def is_plain_file(folder: Path, name: str) -> bool:
    """Whether a name that `is_inside` is a regular file of this folder, reached without a link."""
    return locks.link_below(folder, folder / name) is None and (folder / name).is_file()


def not_listed(paths: Iterable[Path]) -> list[Path]:
    """The paths but for those that a record in one of their folders lists: pictures of earlier runs are no films."""
    names = functools.cache(listed)

    def is_ours(path: Path) -> bool:
        return any(path.relative_to(folder).as_posix() in names(folder) for folder in path.parents)

    return [path for path in paths if not is_ours(path.absolute())]


class OwnFiles:
    """The files that a script makes in a folder of the user's, which is held from here on.

    They are listed before they are written, so that those of a killed run are known too.

    Parameters
    ----------
    folder : Path
    names : iterable of str
        What it may write.

    Attributes
    ----------
    older : frozenset of str
        What an earlier run made there.

    Raises
    ------
    InputError
        One of the names is taken by a file that no run of ours made, or lies behind a link; nothing was touched.
    BusyError
        Another run is writing there.
    """

    def __init__(self, folder: Path, names: Iterable[str]):
        names = frozenset(names)
        _refuse_foreign(folder, names, listed(folder))  # before anything of ours is there
        locks.hold(folder)
        older = listed(folder)  # as the run before left it, which may just have ended
        _refuse_foreign(folder, names, older)
        for inside in {(folder / name).parent for name in older}:
            if locks.link_below(folder, inside) is None:
                locks.remove_parts(inside)
        self.folder, self.older, self.listed = folder, older, older | names
        self._write(self.listed)

    def finish(self, names: Iterable[str], kinds: Sequence[str]) -> None:
        """Remove what is listed beside these names: results of an earlier run, and of one that was killed.

        Only names of the patterns ``kinds``, which the calling script gives: a record may be somebody else's.
        """
        names = frozenset(names)
        for name in self.listed - names:
            if any(fnmatchcase(name, kind) for kind in kinds) and is_plain_file(self.folder, name):
                (self.folder / name).unlink()
        self._write(names)

    def _write(self, names: frozenset[str]) -> None:
        text = json.dumps({"made": sorted(names)}, indent=1)  # ASCII: a name may be no UTF-8
        write_text(text, self.folder / RECORD)


def _refuse_foreign(folder: Path, names: Iterable[str], known: frozenset[str]) -> None:
    for name in sorted(names):
        link = locks.link_below(folder, (folder / name).parent)
        if link:
            raise InputError(f"{link}: is a link; nothing is written where it leads. Give another --out.")
        if os.path.lexists(folder / name) and not (name in known and is_plain_file(folder, name)):
            raise InputError(
                f"{folder / name}: is there, and no run of ours made it (else {RECORD} would list it). It is not "
                "replaced: move it away, or give another --out."
            )
