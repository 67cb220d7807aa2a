"""What may leave a site that lets no rows out: aggregates, of which no cell is of fewer than ten films or patients."""

from collections.abc import Mapping

import pandas as pd

FEWEST = 10
# Table -> its counts. One that is hidden could be told by others of the same finding, in whatever table: three misses
# are the wrong decisions less the alarms. So a finding with a small cell in `as_came` is shown nowhere, and of the
# other tables' rows those with one are left out whole.
COUNTS: Mapping[str, tuple[str, ...]] = {
    "as_came": (
        "patients_with", "patients_without", "positives", "negatives", "hits", "misses", "alarms", "rejections",
    ),
    "predictive_curves": (),
    "decision_curves": ("hits", "alarms", "rejections", "misses"),
    "refits": (),
    "promises": ("patients", "drawn_missed", "drawn_found"),
    "abstaining": (
        "answered", "left", "answered_wrong", "answered_right", "missed_films", "found_films", "alarmed_films",
        "spared_films",
    ),
    "risk_coverage": ("answered_wrong", "answered_right"),
}  # fmt: skip


def hidden(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables of a report without counts under `FEWEST`, of `as_came` the name and the films of such a finding.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By the names in `COUNTS`; ``as_came`` among them.
    """
    came = tables["as_came"].copy()
    few = _small(came, "as_came")
    numbers = came.columns.drop(["finding", "films"])
    came[numbers] = came[numbers].astype(float).mask(few)
    result = {"as_came": came}
    for name, table in tables.items():
        if name != "as_came":
            shown = ~table["finding"].isin(came.loc[few, "finding"]) & ~_small(table, name)
            result[name] = table[shown].reset_index(drop=True)
    return result


def _small(table: pd.DataFrame, name: str) -> pd.Series:
    """Whether a row has a count under `FEWEST`, or one that is not known, bool of shape (rows,)."""
    return ~(table[list(COUNTS[name])] >= FEWEST).all(axis=1)
