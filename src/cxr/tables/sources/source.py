"""What a source of films and labels is: all that the rest of the project asks of one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.core.artifacts import read_csv
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.tables.raw_tables import Release
from cxr.tables.schema import problems


@dataclass(frozen=True)
class TestRule:
    """Who of a source is set aside: patients of lists, label sources of which a share is drawn; what is to be said."""

    __test__ = False  # not a test, whatever pytest thinks of its name
    listed: set[str] = field(default_factory=set)
    hashed: set[str] = field(default_factory=set)
    problems: pd.DataFrame = field(default_factory=problems)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Checked:
    """One data set beside what was published of it.

    lines: what to tell. problems: ``path``, ``problem``. films: name of each film to the files it is read from:
    one, or a lung film and its masks. lateral: names of those that the table calls lateral. labels: of each film its
    positive findings, sex and view in words, for the title of a picture.
    """

    name: str
    lines: list[str]
    problems: pd.DataFrame
    films: dict[str, tuple[Path, ...]]
    lateral: frozenset[str] = frozenset()
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """One source. Its functions take `Settings` and are only called where ``tables`` names a table.

    Attributes
    ----------
    name : str
        First part of its image_ids and patient_ids; value of the column ``source``.
    title : str
        What people call it.
    script : str
        That makes its table.
    keys : tuple of str
        Of SETTINGS.json, that name its tables.
    tables : (settings) -> dict of Path
        The tables in use, by their key of SETTINGS.json; empty where the source is not used.
    films_dir : (settings) -> Path
        The folder that paths of its table are relative to.
    on_disk : (settings) -> Series of str
        Its films' files, relative to that folder.
    read : (settings, params, on_disk) -> Release
    labelled : (settings) -> list of str
        The findings that it labels, as it spells them.
    test_rule : (settings, params, images, table) -> TestRule
        From its films in the merged table and its whole table.
    check : (settings, params, release, on_disk) -> list of str
        Lines that hold the download against what was published.
    film_name : str
        Regular expression that knows its films by their names anywhere: groups ``film``, ``patient``, and ``folder``
        where folders say who labelled; "" = none.
    recognises : (columns) -> bool
        Whether a table of labels is one of its own.
    label_table : (path, params) -> DataFrame
        Labels of such a table, of all of its films, on disk or not; a film as often as it stands there.
    parameters : tuple of str
        Keys of PARAMS.json that its table depends on, beside FINDINGS.
    lists : (settings) -> dict of Path
        Official lists of films that ``test_rule`` reads.
    has_boxes : bool
        Whether it ships known boxes; they are all in one file, so one source has them.
    has_split : bool
        Whether its table may put films into a split of its own.
    boxes : (settings) -> Path or None
        Where they are.
    columns : (settings) -> what JSON can hold
        What SETTINGS.json says of its columns.
    by_study : bool
        Whether labels are of studies: a study may then stand for its films.
    folders_label : bool
        Whether the second part of an image_id says who labelled the film: its label source is then name-folder.
    caveat : str
        What a reader must know of its labels.
    """

    name: str
    title: str
    script: str
    keys: tuple[str, ...]
    tables: Callable[[Settings], dict[str, Path]]
    films_dir: Callable[[Settings], Path]
    on_disk: Callable[[Settings], pd.Series]
    read: Callable[[Settings, Params, pd.Series], Release]
    labelled: Callable[[Settings], list[str]]
    test_rule: Callable[[Settings, Params, pd.DataFrame, pd.DataFrame], TestRule]
    check: Callable[[Settings, Params, Release, pd.Series], list[str]]
    film_name: str = ""
    recognises: Callable[[Sequence[str]], bool] = lambda columns: False
    label_table: Callable[[Path, Params], pd.DataFrame] | None = None
    parameters: tuple[str, ...] = ()
    lists: Callable[[Settings], dict[str, Path]] = lambda settings: {}
    has_boxes: bool = False
    has_split: bool = False
    boxes: Callable[[Settings], Path | None] = lambda settings: None
    columns: Callable[[Settings], Any] = lambda settings: None
    by_study: bool = False
    folders_label: bool = False
    caveat: str = ""


def given_split_csv(settings: Settings, source: str) -> Path:
    """Where the step that makes a source's table writes the split that the source's own table gives."""
    return settings.source_csv(source).with_name(f"{source}_split.csv")


def read_given_split(settings: Settings, source: str) -> pd.DataFrame | None:
    """``image_id``, ``split`` of the films that a source puts into one; None where it does not."""
    path = given_split_csv(settings, source)
    given = read_csv(path, "sh prepare_data.sh", ["image_id", "split"], dtype=str) if path.is_file() else None
    return None if given is None or given.empty else given


def beside_published(what: str, count: int, published: int) -> str:
    """A count, and whether it is the published one."""
    same = "as published" if count == published else f"DIFFERS from the {published:,} published"
    return f"{what}: {count:,}, {same}"
