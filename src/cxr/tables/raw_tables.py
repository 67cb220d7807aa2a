"""What the readers of all releases share: a CSV file as it was downloaded, ages, and what a reader hands on."""

import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError, counted, hint
from cxr.tables.merging import first_of_each
from cxr.tables.raw_files import leaves_raw_folder
from cxr.tables.schema import COLUMNS, findings_of, problems, typed
from cxr.tables.table_text import check_rows, text_of

OLDEST = 120  # years; NIH's table of 2017 has ages such as 411


@dataclass(frozen=True)
class Release:
    """What a reader makes of one source.

    Attributes
    ----------
    table : DataFrame
        The columns of `cxr.tables.schema.COLUMNS`, in the order of the release.
    problems : DataFrame
        ``path``, ``problem``.
    missing : Series of int
        Films not on disk, by archive folder.
    raw_counts : DataFrame or None
        How often each finding is 1, 0, -1 or blank as the source has it, where it has such values.
    boxes, box_problems : DataFrame or None
        Known boxes (image_id, finding, x, y, width, height; fractions of the film's sides), and those of no use.
    split : DataFrame or None
        ``image_id``, ``split`` (train, val, test) of the films that the source's own table puts into one.
    notes : list of str
        How the table was read, for the user.
    repeated : DataFrame or None
        Rows of films that stand in ``table`` already.
    """

    table: pd.DataFrame
    problems: pd.DataFrame
    missing: pd.Series
    raw_counts: pd.DataFrame | None = None
    boxes: pd.DataFrame | None = None
    box_problems: pd.DataFrame | None = None
    split: pd.DataFrame | None = None
    notes: list[str] = field(default_factory=list)
    repeated: pd.DataFrame | None = None

    @property
    def every_row(self) -> pd.DataFrame:
        """``table`` and the rows that stand in it already: they may say something else."""
        return self.table if self.repeated is None else pd.concat([self.table, self.repeated], ignore_index=True)

    def __str__(self) -> str:
        """The numbers that a user would check, a line each."""
        findings = findings_of(self.table)
        positive = (self.table[findings] == 1).fillna(False)
        known = self.table[findings].notna().sum()
        other = self.problems.loc[self.problems["problem"] != "missing", "problem"].value_counts()
        lines = [
            f"{counted(len(self.table), 'film')} of {self.table['patient_id'].nunique():,} patients in the table, "
            f"{len(self.table) - self.missing.sum():,} on disk",
            *[f"not on disk: {films:,} of {folder}" for folder, films in self.missing.items()],
            *[
                f"{finding}: {positive[finding].sum():,} of {known[finding]:,} with a known label"
                for finding in findings
            ],
            f"one or more of the {len(findings)} findings: {positive.any(axis=1).sum():,} of {len(self.table):,} films",
            *[f"problem: {problem}: {rows:,}" for problem, rows in other.items()],
        ]
        return "\n".join(lines)


def whole_release(table: pd.DataFrame, listed: list[pd.DataFrame], on_disk: pd.Series, **more) -> Release:
    """A reader's last step: one row a film, and the films that are not on disk counted and listed."""
    rows = table[[*COLUMNS, *table.columns.difference(COLUMNS, sort=False)]]
    table, twice = first_of_each(rows)
    missing = table["path"][~table["path"].isin(on_disk) & ~leaves_raw_folder(table["path"])]
    folder = missing.str.extract(r"^(.*?)/?(?:images/|patient\d+/study\d+/)?[^/]+$")[0].replace("", "an unknown folder")
    listed = pd.concat([*listed, twice, problems(missing, "missing")], ignore_index=True)
    more["repeated"] = typed(rows[rows["image_id"].duplicated()], findings_of(rows))
    return Release(typed(table, findings_of(table)), listed, folder.value_counts(sort=False), **more)


def read_raw_csv(path: Path, columns: Iterable[str], mend: str, aliases: dict[str, str] | None = None) -> pd.DataFrame:
    """A release's own CSV file, every value as text, empty as NaN; packed and encoded as `text_of` takes it.

    Parameters
    ----------
    path : Path
        The file.
    columns : iterable of str
        Columns that must be there.
    mend : str
        What to do where the file is wrong, for messages.
    aliases : dict, optional
        Other spellings of a column, to ours.

    Raises
    ------
    InputError
        No such file, no CSV, no rows, one that is not whole, or a column is missing.
    """
    if path.is_dir():
        raise InputError(f"{path}: expected a CSV file, found a folder. {mend}")
    if not path.exists():
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"{path}: no such table.{hint(path.name, names)} {mend}")
    try:
        text = text_of(path, mend)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. {mend}") from None
    check_rows(text, path, mend)
    try:
        with warnings.catch_warnings():
            # NIH's rows may have one comma more or less than its header.
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            table = pd.read_csv(io.StringIO(text), dtype=str, index_col=False, skipinitialspace=True)
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the file is empty. {mend}") from None
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}. {mend}") from None
    table.columns = table.columns.str.strip()
    table = table.rename(columns=aliases or {})
    need_columns(table, path, columns, mend)
    if table.empty:
        raise InputError(f"{path}: the table has a header and no rows. {mend}")
    return table


def need_columns(table: pd.DataFrame, path: Path, columns: Iterable[str], mend: str) -> None:
    """Raise an InputError where a column is missing."""
    for column in columns:
        if column not in table.columns:
            meant = hint(column, table.columns)
            raise InputError(f"{path}: no column {column!r}.{meant} Found: {', '.join(table.columns[:20])}. {mend}")


def how_to_mend(key: str) -> str:
    """What to do about a table, by the key of SETTINGS.json or the argument that names it."""
    if key.startswith("--"):
        return f"Mend the table, or give another one with {key}."
    return f'Mend {key} in SETTINGS.json ("" leaves this source out), or download the file again.'


def completed_years(text: pd.Series) -> pd.Series:
    """Completed years from ``58``, ``058Y``, ``013M``, ``012W``, ``012D``; NA where not known or impossible."""
    codes, spellings = pd.factorize(text)  # a few hundred of them
    parts = pd.Series(spellings, dtype=str).str.extract(r"^\s*(?P<number>\d+)(?:\.0*)?(?P<unit>[YMWD]?)\s*$")
    per_year = parts["unit"].map({"": 1, "Y": 1, "M": 12, "W": 52.18, "D": 365.25}).astype(float)  # text, if none is
    years = np.floor(parts["number"].astype(float) / per_year)
    return years.where(years <= OLDEST).astype("Int16").reindex(codes).set_axis(text.index)


def none_found(
    source: str, folder: Path, expected: str, on_disk: pd.Series, tables: Iterable[str], key: str = "DATASET_DIR"
) -> InputError:
    """No film of a source is there; ``tables`` are the keys that leave it out, ``key`` names its folder of films."""
    there = f"{len(on_disk)} other files are there, such as {on_disk.iloc[0]}" if len(on_disk) else "it holds no files"
    return InputError(
        f"{folder}: no film of {source}'s table was found below it; expected for example {folder / expected}; {there}. "
        f'Mend {key} in SETTINGS.json or the paths in the table, or put the films there; {" and ".join(tables)} "" '
        "leaves this source out."
    )
