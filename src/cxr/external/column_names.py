"""The columns of anybody's CSV: which is the film, the probability and the truth of each finding; their values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError, hint
from cxr.tables.column_roles import FILM_COLUMNS, STUDY_COLUMNS, plain, role_column
from cxr.tables.finding_columns import FindingColumn, merged_twice, of_other_findings, read_name, unused_notes
from cxr.tables.label_values import states

ROUNDING = 1e-6  # a value beyond 0..1 by less is the mean or the sum of probabilities, rounded


@dataclass(frozen=True)
class Columns:
    """What a file says of findings: finding -> column. unused: the other columns that name a finding -> why not."""

    probability: dict[str, str] = field(default_factory=dict)
    truth: dict[str, str] = field(default_factory=dict)
    bare: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)


def find_columns(raw: pd.DataFrame, path: Path, findings: Sequence[str]) -> Columns:
    """The columns by their names alone.

    Raises
    ------
    InputError
        Two columns mean the same, or differ in the suffix of a merge only.
    """
    named = [known for known in (read_name(column, findings) for column in raw) if known]
    columns = Columns(unused={known.column: known.why for known in named if known.why})
    for column in of_other_findings(list(raw.columns), findings):
        columns.unused[column] = "of no finding of FINDINGS"
    named = [known for known in named if not known.why]
    pair = merged_twice(named)
    if pair:
        first, second = pair
        raise InputError(
            f"{path}: columns {first.column!r} and {second.column!r} differ in the suffix of a merge only, or stand "
            f"twice in the header: which is the probability, and which the label? Rename them, such as "
            f"prob_{first.finding} and {first.finding}_true, or leave one out."
        )
    for known in named:
        if known.kind == "bare" and known.suffix:
            columns.unused[known.column] = f"what {known.suffix!r} stands for is not known; rename it"
            continue
        of_kind = getattr(columns, known.kind)
        first = of_kind.setdefault(known.finding, known.column)
        if first != known.column:
            of_kind[known.finding] = _not_the_decision(raw, path, known, first, columns.unused)
    return columns


def _not_the_decision(raw: pd.DataFrame, path: Path, known: FindingColumn, first: str, unused: dict[str, str]) -> str:
    """Of two columns for one probability the one that is no decision of two values, which goes to ``unused``."""
    two = [column for column in (first, known.column) if raw[column].nunique() <= 2]
    if known.kind != "probability" or len(two) != 1:
        raise InputError(f"{path}: columns {first!r} and {known.column!r} both mean {known.finding}; keep one.")
    kept = first if two[0] == known.column else known.column
    unused[two[0]] = f"a decision, of two values, beside {kept!r}"
    return kept


def of_predictions(raw: pd.DataFrame, path: Path, findings: Sequence[str]) -> Columns:
    """`find_columns` of predictions: a bare name is the probability where no other column is.

    ``bare`` then holds columns that may be labels: those of findings with a column for the probability, and none for
    the truth.

    Raises
    ------
    InputError
        As `find_columns`, or no column is a probability.
    """
    found = find_columns(raw, path, findings)
    columns = Columns(found.probability, found.truth, {}, found.unused)
    for finding, column in found.bare.items():
        if finding not in columns.probability:
            columns.probability[finding] = column
        elif finding in columns.truth:
            columns.unused[column] = "other columns are the probability and the label by their names"
        else:
            columns.bare[finding] = column
    if not columns.probability:
        raise InputError(
            f"{path}: no column is a probability of {', '.join(findings)}; expected names such as prob_Edema, "
            f"Edema_prob, p_Edema or Edema; found {', '.join(raw.columns[:12])}. {_told(columns)}Rename the columns."
        )
    return columns


def of_labels(raw: pd.DataFrame, path: Path, findings: Sequence[str]) -> Columns:
    """`find_columns` of a table of labels: ``truth`` holds bare names too; a prediction is no label.

    Raises
    ------
    InputError
        As `find_columns`, or no column is a label.
    """
    found = find_columns(raw, path, findings)
    columns = Columns({}, {**found.bare, **found.truth}, {}, found.unused)
    for column in found.bare.values():
        if column not in columns.truth.values():
            columns.unused[column] = "another column is the label by its name"
    for column in found.probability.values():
        columns.unused[column] = "a prediction by its name, no label"
    if not columns.truth:
        raise InputError(
            f"{path}: no column is one of the findings {', '.join(findings)}; found {', '.join(raw.columns[:12])}. "
            f"{_told(columns)}Give a table with a column for each finding (1, 0, or nothing = not known)."
        )
    return columns


def _told(columns: Columns) -> str:
    return "".join(f"{note}. " for note in unused_notes(columns.unused))


def film_column(raw: pd.DataFrame, path: Path) -> str:
    """The column that names the film, or the study where no film is named.

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
        f"{path}: no column names the film; expected 'Image Index', 'image', 'filename', 'Path', 'dicom_id' or "
        f"'Study'; found {', '.join(raw.columns[:12])}.{hint('Image Index', raw.columns)} Rename the column that does."
    )


def is_study(column: str) -> bool:
    """Whether a column names studies."""
    return plain(column) in STUDY_COLUMNS


def other_column(raw: pd.DataFrame, role: str) -> pd.Series | None:
    """The column "patient", "view", "sex", "age" or "split" of a file under one of its usual names, or None."""
    column = role_column(raw.columns, role)
    return None if column is None else raw[column]


def probabilities_of(
    raw: pd.DataFrame, columns: dict[str, str], path: Path, findings: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Probabilities as the file has them, and a note of those that were clipped.

    Returns
    -------
    values : float64 array of shape (N, F)
        NaN for a finding that has no column.
    notes : list of str

    Raises
    ------
    InputError
        A value that is no probability.
    """
    values, clipped = np.full((len(raw), len(findings)), np.nan), 0
    for f, finding in enumerate(findings):
        if finding not in columns:
            continue
        numbers = pd.to_numeric(raw[columns[finding]], errors="coerce").to_numpy(dtype=float)
        wrong = ~((numbers > -ROUNDING) & (numbers < 1 + ROUNDING))
        if wrong.any():
            raise _no_probability(raw[columns[finding]], numbers, wrong, path)
        values[:, f] = np.clip(numbers, 0, 1)
        clipped += int((numbers != values[:, f]).sum())
    told = f"{clipped:,} values beyond 0..1 by less than {ROUNDING:g} were taken as 0 or 1 (rounding)"
    return values, [told] if clipped else []


def _no_probability(column: pd.Series, numbers: np.ndarray, wrong: np.ndarray, path: Path) -> InputError:
    row = int(np.argmax(wrong))
    value = "nothing" if pd.isna(column.iloc[row]) else repr(column.iloc[row])
    known = numbers[np.isfinite(numbers)]
    if str(column.iloc[row]).rstrip().endswith("%") or (len(known) and known.min() >= 0 and 1 < known.max() <= 100):
        advice = "Percent? Divide by 100."
    elif len(known) and known.min() <= -ROUNDING:
        advice = "These look like logits: apply the sigmoid first."
    elif str(column.iloc[row]).count(",") == 1 and str(column.iloc[row]).replace(",", "").strip().isdigit():
        advice = "A decimal comma? Write a point."
    else:
        advice = "Mend or leave out these lines."
    return InputError(
        f"{path}: line {row + 2}, column {column.name!r}: expected a probability in 0..1, found {value} "
        f"({int(wrong.sum())} such lines). {advice}"
    )


def labels_of(raw: pd.DataFrame, columns: dict[str, str], path: Path, findings: Sequence[str]) -> np.ndarray:
    """Labels, float64 of shape (N, F): 1, 0, -1 (uncertain), and NaN for blank and where there is no column.

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
        values[:, f] = numbers
    return values
