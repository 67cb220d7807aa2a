"""Values of labels as tables have them -> 1, 0 or not known."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.findings import canonical
from cxr.core.parameters import TableParams

MEANING = {"negative": 0.0, "positive": 1.0, "ignore": np.nan}
WORDS = {
    **dict.fromkeys(("true", "yes", "y", "positive", "present"), "1"),
    **dict.fromkeys(("false", "no", "n", "negative", "absent"), "0"),
    **dict.fromkeys(("uncertain", "maybe"), "-1"),
}


def states(column: pd.Series) -> pd.Series:
    """1, 0, -1 (uncertain), NaN (blank), inf (something else) from numbers, true/false, yes/no, positive/negative."""
    codes, spellings = pd.factorize(column)  # a few
    text = pd.Series(spellings).astype("string").str.strip().str.lower().replace("", pd.NA)
    numbers = pd.to_numeric(text.replace(WORDS), errors="coerce").astype(float)
    meanings = numbers.where(numbers.isin([1, 0, -1]), np.inf).mask(text.isna())
    return meanings.reindex(codes).set_axis(column.index)


def spelling(findings: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Finding -> what a source calls it; findings that it does not have are left out."""
    by_name = {canonical(name): name for name in reversed(names)}
    return {finding: by_name[canonical(finding)] for finding in findings if canonical(finding) in by_name}


def apply_policies(raw: pd.DataFrame, expert: Any, params: TableParams, blank: str) -> pd.DataFrame:
    """Labels 1, 0, NaN from `states`, a column a finding.

    Parameters
    ----------
    raw : DataFrame of shape (N, F)
        1, 0, -1, NaN (blank), inf (something else: not known).
    expert : bool array of shape (N,), or bool
        Films whose labels no policy changes: what is not said is just not known.
    params : TableParams
        UNCERTAIN_LABELS, BLANK_LABELS.
    blank : {"negative", "ignore"}
        What a blank means of findings that BLANK_LABELS does not name.
    """
    labels, by_policy = raw.where(raw.isin([0, 1])), ~np.broadcast_to(np.asarray(expert, dtype=bool), len(raw))
    for finding in raw:
        uncertain = MEANING[_policy(params.uncertain_labels, finding, "ignore")]
        empty = MEANING[_policy(params.blank_labels, finding, blank)]
        labels[finding] = labels[finding].mask(by_policy & (raw[finding] == -1), uncertain)
        labels[finding] = labels[finding].mask(by_policy & raw[finding].isna(), empty)
    return labels


def _policy(policies: Mapping[str, str], finding: str, usual: str) -> str:
    return next((policy for name, policy in policies.items() if canonical(name) == canonical(finding)), usual)
