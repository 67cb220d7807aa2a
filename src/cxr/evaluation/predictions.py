"""The predictions file: what a model said of every film beside what is known of it; written, read, averaged.

Columns: ``image_id``, ``patient_id``, ``split``, then ``<finding>_true`` (1, 0 or empty = not known) of the six
findings, then ``<finding>_prob``. Everything after this file (metrics, plots, reports) never sees a model.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core import artifacts
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS

MADE_BY = "sh evaluate_Ensemble.sh (or evaluate_Efficientnet.sh)"
SPLITS = ("train", "val", "test")
TRUE_COLUMNS = [f"{finding}_true" for finding in FINDINGS]
PROB_COLUMNS = [f"{finding}_prob" for finding in FINDINGS]
COLUMNS = ["image_id", "patient_id", "split", *TRUE_COLUMNS, *PROB_COLUMNS]


def build(image_ids: Sequence[str], patient_ids: Sequence[str], splits: Sequence[str], truth, probabilities):
    """A predictions table from its parts.

    Parameters
    ----------
    image_ids, patient_ids, splits : sequences of N str
    truth : array of shape (N, F)
        1, 0 or NaN = not known, findings in the order of `cxr.core.findings.FINDINGS`.
    probabilities : array of shape (N, F)
        0..1; kept as float32, the precision that models give and the file holds exactly.

    Returns
    -------
    table : DataFrame of N rows
        Truth as float with NaN, probabilities as float32; `read` gives the same table back after `write`.
    """
    names = {"image_id": list(image_ids), "patient_id": list(patient_ids), "split": list(splits)}
    names = {name: pd.Series([str(value) for value in values], dtype="str") for name, values in names.items()}
    truths = dict(zip(TRUE_COLUMNS, np.asarray(truth, dtype=float).T, strict=True))
    scores = dict(zip(PROB_COLUMNS, np.asarray(probabilities, dtype=np.float32).T, strict=True))
    return pd.DataFrame({**names, **truths, **scores}, columns=COLUMNS)


def write(table: pd.DataFrame, path: Path) -> None:
    """The same bytes for the same table; nine digits give every float32 back exactly."""
    text = table[COLUMNS].astype(dict.fromkeys(TRUE_COLUMNS, "Int8"))
    for column in PROB_COLUMNS:
        text[column] = [f"{value:.9g}" for value in table[column]]
    artifacts.write_csv(text, path)


def read(path: Path) -> pd.DataFrame:
    """A predictions table, checked.

    Raises
    ------
    InputError
        Where the file is missing or no table, a column is missing, an ``image_id`` is empty or stands twice, a split is
        unknown, a truth is not 1, 0 or empty, or a probability is not in 0..1.
    """
    artifacts.need(path, MADE_BY)
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(COLUMNS[:3], "str"), encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a predictions table (CSV), cannot be read: {error}") from None
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise InputError(
            f"{path}: column {', '.join(missing)} is missing; expected {', '.join(COLUMNS[:3])} and, for each finding, "
            f"<finding>_true and <finding>_prob. Make it again with: {MADE_BY}"
        )
    for column in COLUMNS[:3]:
        _refuse(path, table, table[column].isna(), column, "a name")
    _refuse(path, table, table["image_id"].duplicated(), "image_id", "every film once")
    _refuse(path, table, ~table["split"].isin(SPLITS), "split", "train, val or test")
    for column in TRUE_COLUMNS:
        numbers = pd.to_numeric(table[column], errors="coerce")
        _refuse(path, table, table[column].notna() & ~numbers.isin([0, 1]), column, "1, 0 or empty")
    for column in PROB_COLUMNS:
        numbers = pd.to_numeric(table[column], errors="coerce")
        _refuse(path, table, ~numbers.between(0, 1), column, "a probability in 0..1")
    ids, patients, splits = (table[column] for column in COLUMNS[:3])
    return build(ids, patients, splits, table[TRUE_COLUMNS].astype(float), table[PROB_COLUMNS].astype(float))


def _refuse(path: Path, table: pd.DataFrame, wrong: pd.Series, column: str, expected: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        found = "nothing" if pd.isna(table[column].iloc[row]) else table[column].iloc[row]
        raise InputError(
            f"{path}: line {row + 2}, column {column}: expected {expected}, found {found} "
            f"({int(wrong.sum())} such lines). Make it again with: {MADE_BY}"
        )


def findings(table: pd.DataFrame) -> list[str]:
    """The findings of a predictions table, in the order of `arrays`."""
    return [column.removesuffix("_prob") for column in table if column.endswith("_prob")]


def arrays(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Truth (N, F) with NaN = not known, and probabilities (N, F); both float64."""
    return table[TRUE_COLUMNS].to_numpy(dtype=float), table[PROB_COLUMNS].to_numpy(dtype=float)


def average(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The mean of the members' probabilities, in the first member's order of films.

    Raises
    ------
    InputError
        Where the members do not list the same films, or differ in a film's patient, split or truth.
    """
    first = tables[0]
    scores = [arrays(first)[1]]
    for number, other in enumerate(tables[1:], start=2):
        only_one = set(first["image_id"]) ^ set(other["image_id"])
        if only_one or len(first) != len(other):
            raise InputError(
                f"predictions of member 1 and member {number} do not list the same films ({len(first)} and "
                f"{len(other)}; in one only: {', '.join(sorted(only_one)[:3])} …). Evaluate both again: {MADE_BY}"
            )
        other = other.set_index("image_id").loc[first["image_id"]].reset_index()
        for column in COLUMNS[1:3] + TRUE_COLUMNS:
            differs = (first[column].to_numpy() != other[column].to_numpy()) & ~(
                first[column].isna().to_numpy() & other[column].isna().to_numpy()
            )
            if differs.any():
                row = int(np.flatnonzero(differs)[0])
                raise InputError(
                    f"predictions of member 1 and member {number} differ in {column} of {first['image_id'].iloc[row]}: "
                    f"{first[column].iloc[row]} and {other[column].iloc[row]}. Evaluate all members again: {MADE_BY}"
                )
        scores.append(arrays(other)[1])
    mean = np.mean(scores, axis=0)
    return build(first["image_id"], first["patient_id"], first["split"], arrays(first)[0], mean)


def source(table: pd.DataFrame) -> np.ndarray:
    """Whose labels a film has, for every row: ``nih``, ``chexpert-valid`` (experts'), ``chexpert-train`` (reports'),
    the first part of any other ``image_id``, or ``unknown`` where it has only one part.
    """
    hospitals = hospital(table)
    parts = table["image_id"].str.split("/", n=2)
    return np.array(
        [f"chexpert-{part[1]}" if name == "chexpert" else name for name, part in zip(hospitals, parts, strict=True)],
        dtype=object,
    )


def hospital(table: pd.DataFrame) -> np.ndarray:
    """The release a film is of, for every row: the first part of its ``image_id``, or ``unknown``."""
    return np.array([name.split("/")[0] if "/" in name else "unknown" for name in table["image_id"]], dtype=object)
