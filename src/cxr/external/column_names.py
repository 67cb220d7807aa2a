"""What the columns of anybody's CSV mean: film, probability and truth of each finding, patient, view, sex, age.

Names are read in words: ``prob_Pleural_Effusion``, ``p_Edema``, ``Cardiomegaly_prob`` and ``Pleural Effusion`` are all
probabilities of a finding, ``Edema_true`` is a label.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError, hint
from cxr.core.findings import canonical
from cxr.tables.column_roles import FILM_COLUMNS, plain, role_column
from cxr.tables.label_values import states

PROBABILITY_WORDS = set(
    "prob probs proba probability p pred preds predicted prediction score hat output sigmoid".split()
)
TRUTH_WORDS = set("true truth label labels target gt actual".split())
NEUTRAL_WORDS = {"y", "ground"}


def meaning(column: str, findings: Sequence[str]) -> tuple[str, str] | None:
    """Finding and kind ("probability", "truth" or "bare") of a column's name; None where it is not a finding's.

    >>> meaning("prob_Pleural_Effusion", ["Edema", "Effusion"])
    ('Effusion', 'probability')
    """
    words = [word for word in re.split(r"[^a-z0-9]+", column.lower()) if word]
    kinds = PROBABILITY_WORDS | TRUTH_WORDS | NEUTRAL_WORDS
    named = canonical("".join(word for word in words if word not in kinds))
    finding = next((finding for finding in findings if canonical(finding) == named), None)
    if finding is None:
        return None
    if TRUTH_WORDS & set(words):
        return finding, "truth"
    return finding, "probability" if PROBABILITY_WORDS & set(words) else "bare"


def find_columns(raw: pd.DataFrame, path: Path, findings: Sequence[str]) -> dict[str, dict[str, str]]:
    """kind -> finding -> column of the file, for "probability" and "truth".

    A bare name (``Edema``) is the probability, or the label where there is another column for the probability.

    Raises
    ------
    InputError
        Two columns mean the same.
    """
    columns: dict[str, dict[str, str]] = {"probability": {}, "truth": {}, "bare": {}}

    def add(finding: str, kind: str, column: str) -> None:
        if finding in columns[kind]:
            first = columns[kind][finding]
            raise InputError(f"{path}: columns {first!r} and {column!r} both mean {finding}; keep one.")
        columns[kind][finding] = column

    for column in raw:
        known = meaning(column, findings)
        if known:
            add(*known, column)
    for finding, column in columns.pop("bare").items():
        add(finding, "truth" if finding in columns["probability"] else "probability", column)
    return columns


def film_column(raw: pd.DataFrame, path: Path) -> str:
    """The column that names the film.

    Raises
    ------
    InputError
        There is none.
    """
    known = {plain(column): column for column in reversed(raw.columns)}
    for name in FILM_COLUMNS:
        if name in known:
            return known[name]
    first = raw.columns[0]
    if first.startswith("Unnamed") and not pd.to_numeric(raw[first], errors="coerce").notna().any():
        return first  # an index of names that was saved without a head
    raise InputError(
        f"{path}: no column names the film; expected 'Image Index', 'image', 'filename', 'Path' or 'Study'; found "
        f"{', '.join(raw.columns[:12])}.{hint('Image Index', raw.columns)} Rename the column that does."
    )


def other_column(raw: pd.DataFrame, role: str) -> pd.Series | None:
    """The column "patient", "view", "sex", "age" or "split" of a file under one of its usual names, or None."""
    column = role_column(raw.columns, role)
    return None if column is None else raw[column]


def probabilities_of(raw: pd.DataFrame, columns: dict[str, str], path: Path, findings: Sequence[str]) -> np.ndarray:
    """Probabilities, float64 of shape (N, F); NaN for a finding that has no column.

    Raises
    ------
    InputError
        A value that is no probability.
    """
    values = np.full((len(raw), len(findings)), np.nan)
    for f, finding in enumerate(findings):
        if finding not in columns:
            continue
        column = raw[columns[finding]]
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
        wrong = ~((numbers >= 0) & (numbers <= 1))
        if wrong.any():
            row = int(np.argmax(wrong))
            value = "nothing" if pd.isna(column.iloc[row]) else repr(column.iloc[row])
            outside = np.nanmax(np.abs(numbers)) if np.isfinite(numbers).any() else 0
            advice = " Percent? Divide by 100." if 1 < outside <= 100 and np.nanmin(numbers) >= 0 else ""
            advice = " These look like logits: apply the sigmoid first." if np.nanmin([*numbers, 0]) < 0 else advice
            raise InputError(
                f"{path}: line {row + 2}, column {columns[finding]!r}: expected a probability in 0..1, found {value} "
                f"({int(wrong.sum())} such lines).{advice or ' Mend or leave out these lines.'}"
            )
        values[:, f] = numbers
    return values


def labels_of(raw: pd.DataFrame, columns: dict[str, str], path: Path, findings: Sequence[str]) -> np.ndarray:
    """Labels, float64 of shape (N, F): 1, 0, and NaN for blank, for -1 (uncertain) and where there is no column.

    Raises
    ------
    InputError
        Another value.
    """
    values = np.full((len(raw), len(findings)), np.nan)
    for f, finding in enumerate(findings):
        if finding not in columns:
            continue
        numbers = states(raw[columns[finding]])
        wrong = (numbers == np.inf).to_numpy()
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{path}: line {row + 2}, column {columns[finding]!r}: expected the label 1, 0, -1 or nothing, found "
                f"{raw[columns[finding]].iloc[row]!r}. Mend the column, or name a probability prob_{finding}."
            )
        values[:, f] = numbers.mask(numbers == -1)
    return values
