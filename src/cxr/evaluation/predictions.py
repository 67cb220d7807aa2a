"""The predictions file: what a model said of every film beside what is known of it; written, read, averaged.

Columns: ``image_id``, ``patient_id``, ``split``, then ``<finding>_true`` (1, 0 or empty = not known) of every finding,
then ``<finding>_prob``, in the same order. Everything after this file (metrics, plots, reports) never sees a model, and
takes the list of findings from it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from cxr.core import artifacts
from cxr.core.errors import InputError
from cxr.tables.sources.catalogue import label_source_of, source_of
from cxr.tables.splitting import SPLITS

MADE_BY = "sh evaluate_Ensemble.sh (or evaluate_Efficientnet.sh)"
NAMES = ["image_id", "patient_id", "split"]
NEAREST = 1e-6  # to 0 and 1, in which a logit is infinite


def findings_of(table: pd.DataFrame) -> list[str]:
    """The findings of a predictions table, in its order."""
    return [column.removesuffix("_prob") for column in table if column.endswith("_prob")]


def true_columns(findings: Sequence[str]) -> list[str]:
    return [f"{finding}_true" for finding in findings]


def prob_columns(findings: Sequence[str]) -> list[str]:
    return [f"{finding}_prob" for finding in findings]


def build(
    image_ids: Sequence[str], patient_ids: Sequence[str], splits: Sequence[str], truth, probabilities,
    findings: Sequence[str], precision: type = np.float32,
) -> pd.DataFrame:  # fmt: skip
    """A predictions table from its parts.

    Parameters
    ----------
    image_ids, patient_ids, splits : sequences of N str
    truth : array of shape (N, F)
        1, 0 or NaN = not known.
    probabilities : array of shape (N, F)
        0..1.
    findings : sequence of F str
    precision : type
        Of the probabilities: float32 is what our models give and `write` holds exactly; other people's files are kept
        in float64, for what differs by 1e-9 is ranked.

    Returns
    -------
    table : DataFrame of N rows
        Truth as float with NaN; of float32 `read` gives the same table back after `write`.
    """
    names = {"image_id": list(image_ids), "patient_id": list(patient_ids), "split": list(splits)}
    names = {name: pd.Series([str(value) for value in values], dtype="str") for name, values in names.items()}
    truths = dict(zip(true_columns(findings), np.asarray(truth, dtype=float).T, strict=True))
    scores = dict(zip(prob_columns(findings), np.asarray(probabilities, dtype=precision).T, strict=True))
    return pd.DataFrame({**names, **truths, **scores})


def write(table: pd.DataFrame, path: Path) -> None:
    """The same bytes for the same table; nine digits give every float32 back exactly."""
    findings = findings_of(table)
    columns = [*NAMES, *true_columns(findings), *prob_columns(findings)]
    text = table[columns].astype(dict.fromkeys(true_columns(findings), "Int8"))
    for column in prob_columns(findings):
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
        table = pd.read_csv(path, dtype=dict.fromkeys(NAMES, "str"), encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a predictions table (CSV), cannot be read: {error}") from None
    findings = findings_of(table) or ["<finding>"]
    findings += [column.removesuffix("_true") for column in table if column.endswith("_true")]
    findings = list(dict.fromkeys(findings))
    truths, scores = true_columns(findings), prob_columns(findings)
    missing = [column for column in (*NAMES, *truths, *scores) if column not in table]
    if missing:
        raise InputError(
            f"{path}: column {', '.join(missing)} is missing; expected {', '.join(NAMES)} and, for each finding, "
            f"<finding>_true and <finding>_prob. Make it again with: {MADE_BY}"
        )
    for column in NAMES:
        _refuse(path, table, table[column].isna(), column, "a name")
    _refuse(path, table, table["image_id"].duplicated(), "image_id", "every film once")
    _refuse(path, table, ~table["split"].isin(SPLITS), "split", "train, val or test")
    for column in truths:
        numbers = pd.to_numeric(table[column], errors="coerce")
        _refuse(path, table, table[column].notna() & ~numbers.isin([0, 1]), column, "1, 0 or empty")
    for column in scores:
        numbers = pd.to_numeric(table[column], errors="coerce")
        _refuse(path, table, ~numbers.between(0, 1), column, "a probability in 0..1")
    named = (table[column] for column in NAMES)
    return build(*named, table[truths].astype(float), table[scores].astype(float), findings)


def _refuse(path: Path, table: pd.DataFrame, wrong: pd.Series, column: str, expected: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = "nothing" if pd.isna(table[column].iloc[row]) else table[column].iloc[row]
        raise InputError(
            f"{path}: line {row + 2}, column {column}: expected {expected}, found {value} "
            f"({int(wrong.sum())} such lines). Make it again with: {MADE_BY}"
        )


def arrays(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Truth (N, F) with NaN = not known, and probabilities (N, F); both float64."""
    findings = findings_of(table)
    return tuple(table[columns(findings)].to_numpy(dtype=float) for columns in (true_columns, prob_columns))


def of_findings(table: pd.DataFrame, findings: Sequence[str]) -> pd.DataFrame:
    """A predictions table with these of its findings only."""
    return table[[*NAMES, *true_columns(findings), *prob_columns(findings)]]


def logit(probabilities: np.ndarray) -> np.ndarray:
    """log(p / (1 - p)), with p kept `NEAREST` away from 0 and 1."""
    clipped = np.clip(np.asarray(probabilities, dtype=float), NEAREST, 1 - NEAREST)
    return np.log(clipped) - np.log1p(-clipped)


def member_weights(thresholds: dict[str, Any], members: Sequence[str]) -> dict[str, np.ndarray]:
    """Finding -> weights (M,) of members, of those findings that thresholds.json has weights of; else all count alike.

    They are 0 or more, and add up to 1.
    """
    fitted = {name: fit["weights"] for name, fit in thresholds.get("ensemble", {}).get("findings", {}).items()}
    return {name: np.array([weights[member] for member in members]) for name, weights in fitted.items() if weights}


def together(members: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """What members (M, ...) say together of one finding: the mean probability; with weights the mean logit's."""
    if weights is None:
        return members.mean(axis=0)
    return 1 / (1 + np.exp(-np.tensordot(weights, logit(members), axes=1)))


def combined(members: np.ndarray, findings: Sequence[str], weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """`together` of every finding: (N, F) from (M, N, F)."""
    by_finding = [together(members[..., f], weights.get(finding)) for f, finding in enumerate(findings)]
    return np.stack(by_finding, axis=-1)


def average(tables: Sequence[pd.DataFrame], weights: Mapping[str, np.ndarray] = MappingProxyType({})) -> pd.DataFrame:
    """What the members say together (`combined`), in the first member's order of films."""
    first, findings = tables[0], findings_of(tables[0])
    probabilities = combined(stacked(tables), findings, weights)
    return build(*(first[name] for name in NAMES), arrays(first)[0], probabilities, findings)


def stacked(tables: Sequence[pd.DataFrame]) -> np.ndarray:
    """The members' probabilities (M, N, F), in the first member's order of films.

    Raises
    ------
    InputError
        Where the members do not list the same films or findings, or differ in a film's patient, split or truth.
    """
    first = tables[0]
    findings = findings_of(first)
    scores = [arrays(first)[1]]
    for number, other in enumerate(tables[1:], start=2):
        if findings_of(other) != findings:
            raise InputError(
                f"predictions of member 1 are of {', '.join(findings)}, those of member {number} of "
                f"{', '.join(findings_of(other))}. Evaluate both again: {MADE_BY}"
            )
        only_one = set(first["image_id"]) ^ set(other["image_id"])
        if only_one or len(first) != len(other):
            raise InputError(
                f"predictions of member 1 and member {number} do not list the same films ({len(first)} and "
                f"{len(other)}; in one only: {', '.join(sorted(only_one)[:3])} …). Evaluate both again: {MADE_BY}"
            )
        other = other.set_index("image_id").loc[first["image_id"]].reset_index()
        for column in NAMES[1:] + true_columns(findings):
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
    return np.stack(scores)


def source(table: pd.DataFrame) -> np.ndarray:
    """The hospital, or release, a film is of, for every row; see `cxr.tables.sources.catalogue.source_of`."""
    return source_of(table["image_id"])


def label_source(table: pd.DataFrame) -> np.ndarray:
    """Whose labels a film has, for every row; see `cxr.tables.sources.catalogue.label_source_of`."""
    return label_source_of(table["image_id"])
