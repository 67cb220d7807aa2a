"""The table of films: its columns, reading and checking it, counting.

A table has one row a film: ``image_id``, ``path`` below its source's folder, ``patient_id``, ``view``, ``sex``,
``age``, ``source``, ``label_source``, then one column a finding: 1, 0 or not known.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.artifacts import read_csv
from cxr.core.errors import InputError
from cxr.tables.raw_files import leaves_raw_folder

VIEWS = ("PA", "AP", "LATERAL")
# Before the findings' own columns. source: the hospital, or release; label_source: who labelled the film there.
COLUMNS = ["image_id", "path", "patient_id", "view", "sex", "age", "source", "label_source"]
ETL = "python src/classification/etl"


def problems_csv(artifact: Path) -> Path:
    """Where the step that writes ``artifact`` lists what it could not use: ``path``, ``problem``."""
    return artifact.with_name(f"{artifact.stem}_problems.csv")


def problems(paths: Iterable[str] = (), problem: str | Iterable[str] = "") -> pd.DataFrame:
    """Rows for a list of problems: ``path``, ``problem``."""
    return pd.DataFrame({"path": pd.Series(list(paths), dtype=str), "problem": problem}).astype(str)


def findings_of(table: pd.DataFrame) -> list[str]:
    """The findings of a table of `COLUMNS`: the columns behind these."""
    return list(table.columns[len(COLUMNS) :])


def typed(table: pd.DataFrame, findings: Sequence[str]) -> pd.DataFrame:
    """The table's columns in their order, with the types they have everywhere: text, and integers that can be NA."""
    types = {name: "Int8" for name in findings} | {"age": "Int16"}
    columns = [*COLUMNS, *findings]
    return table[columns].astype({name: types.get(name, "str") for name in columns})


def read_table(path: Path, made_by: str, findings: Sequence[str]) -> pd.DataFrame:
    """A table that one of our steps wrote for these findings, checked.

    Raises
    ------
    InputError
        It is not there, or not as the step writes it; names the command that makes it.
    """
    again = f"Make it again with: {made_by}"
    numbers, expected = ("age", *findings), [*COLUMNS, *findings]
    table = read_csv(path, made_by, dtype={column: str for column in COLUMNS if column != "age"})
    if list(table.columns) != expected:
        raise InputError(f"{path}: expected the columns {', '.join(expected)}; found {', '.join(table)}. {again}")
    try:
        for column in numbers:
            table[column] = pd.to_numeric(table[column]).astype("Int16")
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: column {column}: expected whole numbers or nothing; {error}. {again}") from None
    for column in findings:
        wrong = table.index[~table[column].isin([0, 1]) & table[column].notna()]
        if len(wrong):
            came = table.at[wrong[0], column]
            raise InputError(f"{path}: row {wrong[0] + 2}, {column}: expected 1, 0 or nothing; found {came}. {again}")
    for column in ("image_id", "path", "patient_id", "source", "label_source"):
        if table[column].isna().any():
            raise InputError(f"{path}: row {table[column].isna().argmax() + 2} has no {column}. {again}")
    if table["image_id"].duplicated().any():
        twice = table.loc[table["image_id"].duplicated(), "image_id"].iloc[0]
        raise InputError(f"{path}: {twice} stands more than once. {again}")
    unknown = set(table["view"].dropna()) - set(VIEWS)
    if unknown:
        raise InputError(f"{path}: view: expected {', '.join(VIEWS)} or nothing; found {min(unknown)}. {again}")
    return typed(table, findings)


def read_images(path: Path, findings: Sequence[str]) -> pd.DataFrame:
    """images.csv, checked: row i is row i of the packed array. See `read_table`."""
    images = read_table(path, "sh prepare_data.sh", findings)
    if not images["image_id"].is_monotonic_increasing:
        raise InputError(
            f"{path}: not sorted by image_id, so its rows are not those of the packed array. "
            f"Make it again with: sh prepare_data.sh"
        )
    climbing = leaves_raw_folder(images["image_id"])  # pictures are named after it
    if climbing.any():
        odd = images.loc[climbing, "image_id"].iloc[0]
        raise InputError(f"{path}: image_id: {odd} climbs out of its folder. Make it again with: sh prepare_data.sh")
    return images


def label_array(images: pd.DataFrame, findings: Sequence[str]) -> np.ndarray:
    """Labels as a float32 array of shape (N, F): 1, 0, NaN where not known."""
    return images[list(findings)].to_numpy(dtype="float32", na_value=np.nan)


def count(images: pd.DataFrame, by: dict[str, Iterable], findings: Sequence[str]) -> pd.DataFrame:
    """Films, patients, and "positives/known" of each finding, a row for each group of films.

    Parameters
    ----------
    images : DataFrame
        Any table of films.
    by : dict
        Name of a grouping to its values, one a film.
    findings : sequence of str
    """
    groups = [pd.Series(np.asarray(values), index=images.index, name=name) for name, values in by.items()]
    grouped = images.groupby(groups, sort=True)
    counted = grouped["patient_id"].agg(films="size", patients="nunique")
    for finding in findings:
        positive, known = grouped[finding].sum(), grouped[finding].count()
        counted[finding] = positive.astype(str) + "/" + known.astype(str)
    return counted
