"""What may leave a site that lets no rows out: aggregates, of which no cell is of fewer than ten films or patients."""

from argparse import ArgumentParser
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxr.evaluation import predictions
from cxr.evaluation.figures import outcomes
from cxr.report.result_table import result_table as result_table_of

FEWEST = 10
FEW = f"fewer than {FEWEST}"
HIDDEN = "too few films in one of its cells to show anything"
LABELS = ("patients_with", "patients_without", "positives", "negatives")
DECISIONS = ("hits", "alarms", "rejections", "misses")
# Table -> its counts. One that is hidden could be told by others of the same finding, in whatever table: three misses
# are the wrong decisions less the alarms. So a finding with a small cell in `as_came` is shown nowhere, and of the
# other tables' rows those with one are left out whole.
COUNTS: Mapping[str, tuple[str, ...]] = {
    "as_came": (*LABELS, *DECISIONS),
    "predictive_curves": (),
    "decision_curves": DECISIONS,
    "refits": (),
    "promises": ("patients", "drawn_missed", "drawn_found"),
    "abstaining": (
        "answered", "left", "answered_wrong", "answered_right", "missed_films", "found_films", "alarmed_films",
        "spared_films",
    ),
    "risk_coverage": ("answered_wrong", "answered_right"),
}  # fmt: skip


def add_option(arguments: ArgumentParser) -> None:
    """``--aggregates`` of every script whose results may leave a site."""
    what = f"write no row of a film or patient and no cell under {FEWEST}: for what may leave the site"
    arguments.add_argument("--aggregates", action="store_true", help=what)


def sentence(finding: str) -> str:
    """What is said of a finding that is `masked`."""
    return f"{finding}: {HIDDEN}."


def told(number: int, aggregates: bool, whole: int | None = None) -> str:
    """A count, of a whole that is told too, as it may be told."""
    if aggregates and number < FEWEST:
        return FEW
    if aggregates and whole is not None and 0 < whole - number < FEWEST:
        return f"all but {FEW}"
    return f"{number:,}"


def of_labels(truth: np.ndarray, patients: np.ndarray, findings: Sequence[str]) -> pd.DataFrame:
    """`LABELS` of each finding, from truth (N, F), of which NaN = not known, and patients (N,)."""
    patients = np.asarray(patients, dtype=str)
    rows = [
        {
            **{name: len(set(patients[of_one == label])) for name, label in zip(LABELS[:2], (1, 0), strict=True)},
            **{name: int((of_one == label).sum()) for name, label in zip(LABELS[2:], (1, 0), strict=True)},
        }
        for of_one in truth.T
    ]
    return pd.DataFrame(rows, index=pd.Index(findings, name="finding"))


def of_decisions(truth: np.ndarray, decisions: np.ndarray, findings: Sequence[str]) -> pd.DataFrame:
    """`DECISIONS` of each finding, from truth and decisions (N, F)."""
    return pd.DataFrame(outcomes(truth, decisions).sum(axis=0), pd.Index(findings, name="finding"), DECISIONS)


def small(counts: pd.DataFrame) -> pd.Series:
    """Whether a row has a count under `FEWEST`, or one that is not known, bool of shape (rows,)."""
    return ~(counts >= FEWEST).all(axis=1)


def masked(table: pd.DataFrame, few: pd.Series, kept: Sequence[str]) -> pd.DataFrame:
    """A table of which the rows that are ``few`` show the columns ``kept`` alone."""
    result = table.copy()
    for name in table.columns.drop(list(kept)):
        column = table[name].astype("Int64") if pd.api.types.is_integer_dtype(table[name]) else table[name]
        result[name] = column.mask(few.to_numpy())
    return result


def shown(counts: Any) -> np.ndarray:
    """Which groups of a whole may be shown, so that no cell under `FEWEST` is told, nor follows from the whole.

    A single group that is hidden would be the whole less the others: then the next smallest is hidden too, until all
    that are hidden have `FEWEST` together in every cell.

    Parameters
    ----------
    counts : array of shape (groups, cells)

    Returns
    -------
    shown : bool array of shape (groups,)
    """
    counts = np.nan_to_num(np.asarray(counts, dtype=float))
    hide = (counts < FEWEST).any(axis=1)
    for group in np.argsort(counts.min(axis=1), kind="stable"):
        if not hide.any() or (hide.sum() > 1 and (counts[hide].sum(axis=0) >= FEWEST).all()):
            break
        hide[group] = True
    return ~hide


def result_table(block: Mapping[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    """The result table of metrics.json without findings that have a small cell; then without total and mean too.

    Parameters
    ----------
    block : mapping
        metrics.json of ``table``, predictions with the truth.
    """
    shown, findings = result_table_of(block), predictions.findings_of(table)
    cells = of_labels(predictions.arrays(table)[0], table["patient_id"], findings)
    outcomes_of = [f"{truth}_{label}" for truth in ("true", "false") for label in ("positives", "negatives")]
    cells = cells.join(pd.DataFrame(block["findings"]).T[outcomes_of].astype(int))
    few = small(cells)
    shown = shown.drop(columns="Notes")  # which count films of val
    if (few & (cells > 0).any(axis=1)).any():  # both would tell what is hidden
        shown = shown[shown["finding"].isin(findings)]
    return masked(shown, shown["finding"].map(few).eq(True), ("finding", "Films"))


def comparison(paired: Mapping[str, Any], hidden_ones: Collection[str]) -> dict[str, Any]:
    """comparison.json of the findings that are not hidden, and of their mean where none is."""
    left = {name: values for name, values in paired["findings"].items() if name not in hidden_ones}
    compared = {name for name, values in paired["findings"].items() if values["auroc"]["difference"] is not None}
    kept = {"first": paired["first"], "second": paired["second"], "findings": left}
    return kept | ({"macro": paired["macro"]} if compared <= set(left) else {})


def hidden(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables of a report without counts under `FEWEST`, of `as_came` the name and the films of such a finding.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By the names in `COUNTS`; ``as_came`` among them.
    """
    few = small(tables["as_came"][list(COUNTS["as_came"])])
    came = masked(tables["as_came"], few, ("finding", "films"))
    numbers = came.columns.drop(["finding", "films"])
    came[numbers] = came[numbers].astype(float)
    result = {"as_came": came}
    for name, table in tables.items():
        if name != "as_came":
            left = ~table["finding"].isin(came.loc[few, "finding"]) & ~small(table[list(COUNTS[name])])
            result[name] = table[left].reset_index(drop=True)
    return result
