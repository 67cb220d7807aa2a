"""A film's flip risk: how often one further training, made as the others were, would call otherwise.

It is read from a table that is fitted on val by leaving out each training in turn: a risk is a share that was counted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.isotonic import isotonic_regression

from cxr.evaluation import predictions
from cxr.evaluation.source_fits import fit_of
from cxr.evaluation.thresholds import fit_thresholds
from cxr.new_hospital.flips import above, aligned, between, margins, variances

ROWS = 10  # of the table
SMALLEST = 1e-6  # variance of margins, where trainings agree to the last digit
ONE_MEMBER = "one member only: nobody to differ from. Train the family with several members, or compare seeds: flips.sh"
NOT_RECORDED = "this bundle has none: it was refitted, or written before flip risk was; export the family again for it"


def of_family(tables: dict[str, pd.DataFrame], rule: str) -> dict[str, Any] | None:
    """What a bundle holds so that the flip risk of new films can be told; None of one member.

    Parameters
    ----------
    tables : mapping of member to its predictions table of val
    rule : str
        THRESHOLD_RULE.

    Returns
    -------
    dict that JSON can hold
        The table of `fit_risk`, and ``thresholds``: member -> finding -> source or "pooled" -> its own threshold.
    """
    if len(tables) < 2:
        return None
    fitted = {member: fit_thresholds(table, rule) for member, table in tables.items()}
    films = aligned(list(tables.values()), list(tables))
    own = {
        member: {
            finding: {source: fit["threshold"] for source, fit in by_source.items()}
            for finding, by_source in of_member["findings"].items()
        }
        for member, of_member in fitted.items()
    }
    return {**fit_risk(margins(films, list(fitted.values())), predictions.findings_of(films[0])), "thresholds": own}


def of_members(val: dict[str, pd.DataFrame], test: dict[str, pd.DataFrame], rule: str) -> dict[str, Any]:
    """flips.json: `flips.between` of members on test, at thresholds from val, with `check_risk` of the table from val.

    Parameters
    ----------
    val, test : mappings of member to its predictions table
    rule : str
        THRESHOLD_RULE.

    Returns
    -------
    dict that JSON can hold
        ``reason`` and nothing else where there is one member, or no test film.
    """
    if len(test) < 2:
        return {"reason": ONE_MEMBER}
    if next(iter(test.values())).empty:
        return {"reason": "no test film"}
    films = aligned(list(test.values()), list(test))
    fitted = [fit_thresholds(table, rule) for table in val.values()]
    findings = predictions.findings_of(films[0])
    table = fit_risk(margins(aligned(list(val.values()), list(val)), fitted), findings)
    names = {"names": list(test)}
    return {**names, **between(films, fitted), "risk": check_risk(margins(films, fitted), table, findings)}


def of_new_films(
    members: np.ndarray, recorded: dict[str, Any] | None, names: Sequence[str], findings: Sequence[str], hospital: str
) -> tuple[np.ndarray, str]:
    """The flip risk of new films, or why there is none.

    Parameters
    ----------
    members : array of shape (M, N, F)
        Probabilities of the members.
    recorded : dict or None
        From `of_family`.
    names, findings : sequences of M and F str
    hospital : str
        Whose thresholds count.

    Returns
    -------
    risk : array of shape (N, F)
        NaN where there is none.
    reason : str
        "" where there is one.
    """
    reason = ONE_MEMBER if len(members) < 2 else "" if recorded else NOT_RECORDED
    if reason:
        return np.full(members.shape[1:], np.nan), reason
    own = [[fit_of(recorded["thresholds"][name][finding], hospital) for finding in findings] for name in names]
    return risk(above(members.astype(float), np.array(own)[:, None]), recorded, findings), ""


def fit_risk(far: np.ndarray, findings: Sequence[str]) -> dict[str, Any]:
    """The table that `risk` reads: how often a training calls otherwise than the others, by how far those are.

    Parameters
    ----------
    far : array of shape (M, N, F)
        Margins of val films, of two trainings at least.
    findings : sequence of F str

    Returns
    -------
    table : dict that JSON can hold
        ``variance``: finding -> mean variance of a film's margin between trainings; ``from``: distances in standard
        deviations at which a row begins (rows of equal numbers of pairs, all findings together); ``flips``: the share
        that flipped, made to fall with the distance (isotonic); ``pairs``: of a film and a training in each row.
    """
    pooled = far.var(axis=0, ddof=1).mean(axis=0)
    distances, flipped = left_out(far, pooled)
    edges = np.unique(np.quantile(distances, np.arange(ROWS) / ROWS))
    edges[0] = 0.0
    row = np.searchsorted(edges, distances, side="right") - 1
    pairs = np.bincount(row, minlength=len(edges))
    shares = np.bincount(row, weights=flipped, minlength=len(edges)) / pairs
    falling = isotonic_regression(shares, sample_weight=pairs, increasing=False)
    return {
        "variance": dict(zip(findings, pooled.tolist(), strict=True)),
        "from": edges.tolist(),
        "flips": falling.tolist(),
        "pairs": pairs.tolist(),
    }


def left_out(far: np.ndarray, pooled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of every training, film and finding: how far the mean of the other trainings is from 0, in their standard
    deviations; and whether the one left out calls otherwise. Two arrays of M x N x F values."""
    distances, flipped = [], []
    for training in range(len(far)):
        others = np.delete(far, training, axis=0)
        distances.append(_distance(others, pooled))
        flipped.append((others.mean(axis=0) >= 0) != (far[training] >= 0))
    return np.ravel(distances), np.ravel(flipped)


def _distance(far: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    spread = np.sqrt(np.maximum(variances(far, pooled), SMALLEST))
    return np.abs(far.mean(axis=0)) / spread


def risk(far: np.ndarray, table: dict[str, Any], findings: Sequence[str]) -> np.ndarray:
    """The flip risk of films: how often one further training, made as these were, would call otherwise.

    Parameters
    ----------
    far : array of shape (M, N, F)
        Margins of two trainings at least.
    table : dict
        From `fit_risk`.
    findings : sequence of F str

    Returns
    -------
    risk : array of shape (N, F)
    """
    pooled = np.array([table["variance"][finding] for finding in findings])
    row = np.searchsorted(table["from"], _distance(far, pooled), side="right") - 1
    return np.array(table["flips"])[row]


def check_risk(far: np.ndarray, table: dict[str, Any], findings: Sequence[str]) -> list[dict[str, Any]]:
    """The table of other films beside what happens on these: a row each, ``from``, ``pairs``, ``said``, ``flips``."""
    distances, flipped = left_out(far, np.array([table["variance"][finding] for finding in findings]))
    row = np.searchsorted(table["from"], distances, side="right") - 1
    return [
        {
            "from": first,
            "pairs": int(here.sum()),
            "said": said,
            "flips": float(flipped[here].mean()) if here.any() else None,
        }
        for first, said, here in zip(
            table["from"], table["flips"], (row == r for r in range(len(table["from"]))), strict=True
        )
    ]
