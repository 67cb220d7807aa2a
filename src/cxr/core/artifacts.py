"""Artifacts: written beside their final name, renamed when whole, made again only when what they depend on changed."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.core import locks
from cxr.core.errors import InputError, counted

LARGEST_TEXT = 1_000_000_000  # bytes of a table or of JSON; tables of millions of films are smaller
FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # what a cell begins with that spreadsheets compute


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name to write to; renamed to ``path`` when the block ends well, removed when it does not.

    Raises
    ------
    InputError
        A link in a held folder leads elsewhere. One in the place of ``path`` itself is replaced, not followed.
    """
    locks.refuse_links(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        wrong = "expected a folder to write into; there is a file, or a link to nothing. Move it away"
        raise InputError(f"{path.parent}: {wrong}.") from None
    # The name stays last: cv2.imwrite and Keras choose the format by its suffixes.
    temporary = path.with_name(f"{locks.PART}{os.getpid()}.{path.name}")
    temporary.unlink(missing_ok=True)  # a link of that name would be followed
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(text: str, path: Path) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # as `cxr.core.errors.escaped`


def write_json(content: Any, path: Path) -> None:
    """Indented JSON; NaN is refused because it is no JSON (write None)."""
    write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n", path)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """A table without its index; not known is empty."""
    with written_whole(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", errors="backslashreplace")


def write_problems(table: pd.DataFrame, path: Path) -> None:
    """A list for people, of files and what is wrong with them."""
    write_csv(table.map(lambda cell: no_formula(cell) if isinstance(cell, str) else cell), path)


def no_formula(name: str) -> str:
    """A file's name or path as a spreadsheet shows it and does not compute it: still the way to the same file."""
    return f"./{name}" if name.startswith(FORMULA) else name


def need(path: Path, made_by: str) -> Path:
    """The path of an artifact that must be there.

    Raises
    ------
    InputError
        Names the command that makes it.
    """
    if not path.exists():
        raise InputError(f"{path}: not there yet. Make it with: {made_by}")
    return ordinary(path)


def ordinary(path: Path) -> Path:
    """The path of a file that has an end; an InputError for a pipe or a device, which could be read for ever."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{path}: is a pipe or a device; expected a file. Save there is what it gives.")
    return path


def read_ordinary(path: Path) -> bytes:
    """The content of an `ordinary` file of text, which is not larger than any text that somebody means."""
    if ordinary(path).stat().st_size > LARGEST_TEXT:
        raise InputError(f"{path}: is larger than {LARGEST_TEXT / 1e9:.0f} GB. Is it another file?")
    return path.read_bytes()


def as_json(content: Any) -> Any:
    """What comes back once it is written as JSON: tuples are lists, paths are text."""
    return json.loads(json.dumps(content, default=str))


def read_record(path: Path) -> dict[str, Any]:
    """A JSON object that vouches for something; empty where it is missing or broken, for then nothing does."""
    try:
        return read_json(path, "")
    except InputError:
        return {}


def read_json_if_there(path: Path, made_by: str, kind: type = dict) -> Any:
    """`read_json`, or None where there is no such file."""
    return read_json(path, made_by, kind) if path.is_file() else None


def read_json(path: Path, made_by: str, kind: type = dict) -> Any:
    """A JSON object (or list) that one of our steps wrote.

    Raises
    ------
    InputError
        Not there, or no whole JSON object; names the command that makes it.
    """
    try:
        content = json.loads(need(path, made_by).read_text(encoding="utf-8"), parse_constant=_no_number)
    except (ValueError, OSError, RecursionError) as error:  # nesting without end is the last
        raise InputError(f"{path}: cannot be read as JSON: {error}. Make it again with: {made_by}") from None
    if not isinstance(content, kind):
        expected = "a JSON object" if kind is dict else f"a JSON {kind.__name__}"
        raise InputError(f"{path}: expected {expected}, found {type(content).__name__}. Make it again with: {made_by}")
    return content


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def read_csv(path: Path, made_by: str, columns: Iterable[str] = (), **options) -> pd.DataFrame:
    """A table that one of our steps wrote; ``options`` are those of pandas.

    Raises
    ------
    InputError
        Not there, no CSV, or without one of ``columns``; names the command that makes it.
    """
    try:
        table = pd.read_csv(need(path, made_by), **options)
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}. Make it again with: {made_by}") from None
    for column in columns:
        if column not in table:
            names = ", ".join(map(str, table))
            raise InputError(f"{path}: no column {column}; found {names}. Make it again with: {made_by}")
    return table


def digest(path: Path) -> str:
    """BLAKE2b of a file's content, 32 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def digest_of(content: Any) -> str:
    """BLAKE2b of anything that JSON can hold, 32 hex digits."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def origin(record: Path, made_by: str) -> str:
    """What a step's outputs were made from, by its record: its inputs and parameters in one digest.

    Not the record's own digest, which holds times: what is made again from the same, or copied, is the same.

    Raises
    ------
    InputError
        No whole record.
    """
    content = read_json(record, made_by)
    return digest_of([content.get("inputs"), content.get("parameters")])


def raw_state(paths: Iterable[Path]) -> str:
    """What raw files are identified by: path, size and modification time, in one digest; a missing file counts too."""

    def state(path: Path) -> list:
        try:
            status = path.stat()
        except OSError:
            return [str(path), None, None]
        return [str(path), status.st_size, status.st_mtime_ns]

    return digest_of([state(path) for path in paths])


def _stamp(path: Path) -> list:
    """Size and modification time: enough to see that an output was touched, and quick for an 88 GB pack."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def refuse_problems(csv: Path | None) -> None:
    """Raise an InputError where a table of problems (``path``, ``problem``) is not empty; None = none is asked for."""
    listed = pd.DataFrame() if csv is None else pd.read_csv(csv, dtype=str, keep_default_na=False)
    if len(listed):
        shown = "; ".join(f"{path}: {problem}" for path, problem in listed.head(5).itertuples(index=False))
        raise InputError(
            f"--strict: {counted(len(listed), 'problem')}, listed in {csv}: {shown}{' …' if len(listed) > 5 else ''}. "
            "Mend them, or run without --strict."
        )


class Step:
    """The record of one step, beside its outputs: what they were made from; done again only when that changed.

    Parameters
    ----------
    record : Path
        JSON file of the step, written by `finish`.
    inputs : dict
        Name to digest (`digest`, `raw_state`) of everything that is read.
    parameters : dict
        The keys of PARAMS.json that the outputs depend on.
    outputs : list of Path
        Every file that the step writes.
    refuse : Path, optional
        One of them, a table of problems that must be empty (--strict).
    """

    def __init__(
        self, record: Path, inputs: dict[str, str], parameters: dict[str, Any], outputs: list[Path],
        refuse: Path | None = None,
    ):  # fmt: skip
        self.record, self.outputs, self.refuse = record, outputs, refuse
        self.made_from = as_json({"inputs": inputs, "parameters": parameters})

    def is_current(self) -> bool:
        """True where the outputs are there, untouched, and made from these very inputs and parameters.

        Raises
        ------
        InputError
            They are, and the problems that `refuse` lists are still there; so does `finish`.
        """
        recorded = read_record(self.record)
        if not recorded or any(not path.exists() for path in self.outputs):
            return False
        stamps = {path.name: _stamp(path) for path in self.outputs}
        current = {**self.made_from, "outputs": stamps} == recorded
        if current:
            refuse_problems(self.refuse)
        return current

    def run(self, make: Callable[[], list[str]]) -> list[str]:
        """Lines to print: that the outputs are up to date, or what ``make``, which writes them, says of them."""
        if self.is_current():
            return [f"{self.outputs[0]}: up to date"]
        self.begin()
        lines = make()
        self.finish()
        return lines

    def begin(self) -> None:
        """Remove the old record: what it vouches for is about to be replaced."""
        self.record.unlink(missing_ok=True)

    def finish(self) -> None:
        """Write the record; called last, so that an interrupted step counts as not done."""
        write_json({**self.made_from, "outputs": {path.name: _stamp(path) for path in self.outputs}}, self.record)
        refuse_problems(self.refuse)
