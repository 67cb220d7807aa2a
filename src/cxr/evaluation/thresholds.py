"""Decision thresholds: fitted on val only, per finding and hospital, applied to any predictions table."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from cxr.core import artifacts
from cxr.evaluation import predictions
from cxr.evaluation.source_fits import fit_by_source, fit_of

UNFITTED_THRESHOLD = 0.5  # where val holds no film of one class, in any source


def fit_thresholds(val_table: pd.DataFrame, rule: str) -> dict[str, Any]:
    """Decision thresholds from val: per finding and hospital, and a pooled one for hospitals that val does not have.

    Parameters
    ----------
    val_table : predictions table
    rule : {"f1", "youden", "sensitivity_90", "specificity_90"}
        What a threshold maximises: F1; sensitivity + specificity - 1 (Youden 1950); specificity where sensitivity is
        0.90 or more; sensitivity where specificity is 0.90 or more. Of equal maxima the highest threshold is taken. It
        lies midway between the lowest probability called positive and the next one.

    Returns
    -------
    thresholds : dict that JSON can hold
        ``rule``; ``val`` with number of films and patients and the digest of the sorted image_ids; ``findings``:
        finding -> hospital or "pooled" -> threshold, fitted_on, films, positives, negatives, prevalence and, where it
        fell back to pooled (or to 0.5), the reason.
    """
    findings = fit_by_source(
        val_table,
        lambda truth, probabilities, name: _fitted(truth, probabilities, rule, name),
        fallback=("threshold", "fitted_on"),
        unfitted={"threshold": UNFITTED_THRESHOLD, "fitted_on": "nothing"},
    )
    ids = sorted(val_table["image_id"])
    val = {"films": len(ids), "patients": int(val_table["patient_id"].nunique()), "digest": artifacts.digest_of(ids)}
    return {"rule": rule, "val": val, "findings": findings}


def _fitted(truth, probabilities, rule: str, name: str) -> dict[str, Any]:
    counts = label_counts(truth)
    reason = why_undefined(truth)
    if reason:
        return {"threshold": None, "fitted_on": None, **counts, "reason": f"{reason} in val"}
    return {"threshold": best_threshold(truth, probabilities, rule), "fitted_on": name, **counts}


def best_threshold(truth: np.ndarray, probabilities: np.ndarray, rule: str) -> float:
    """The threshold that maximises ``rule`` (see `fit_thresholds`) on arrays (N,) that hold both classes."""
    known = ~np.isnan(truth)
    order = np.argsort(-probabilities[known], kind="stable")
    score, positive = probabilities[known][order], truth[known][order] == 1
    ends = np.flatnonzero(np.r_[score[1:] != score[:-1], True])  # a threshold cannot part equal probabilities
    hits = np.cumsum(positive)[ends]
    called = ends + 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    gains = {  # integers in Youden's, so that equal gains compare equal
        "f1": lambda: 2 * hits / (called + positives),
        "youden": lambda: hits * negatives - (called - hits) * positives,
        "sensitivity_90": lambda: np.where(10 * hits >= 9 * positives, negatives - (called - hits), -1),
        "specificity_90": lambda: np.where(10 * (called - hits) <= negatives, hits, -1),
    }
    gain = gains[rule]()
    best = int(np.argmax(gain))
    if gain[best] < 0:  # specificity 0.90 is only reached where nothing is called
        return float(np.nextafter(score[0], np.inf))
    lowest = score[ends[best]]
    following = score[ends[best + 1]] if best + 1 < len(ends) else lowest
    # Of neighbours in float64 the mean may be the lower one, which is not called.
    return float(max((lowest + following) / 2, np.nextafter(following, lowest)))


def decide(table: pd.DataFrame, thresholds: dict[str, Any]) -> np.ndarray:
    """Decisions, bool of shape (N, F): probability >= the threshold of the finding and the film's hospital."""
    return predictions.arrays(table)[1] >= limits(table, thresholds)


def limits(table: pd.DataFrame, thresholds: dict[str, Any]) -> np.ndarray:
    """The threshold of every film and finding, float64 of shape (N, F): that of the film's hospital."""
    findings, sources = predictions.findings_of(table), predictions.source(table)
    values = np.empty((len(table), len(findings)))
    for name in set(sources):
        values[sources == name] = [threshold_of(thresholds, finding, name)["threshold"] for finding in findings]
    return values


def threshold_of(thresholds: dict[str, Any], finding: str, source: str) -> dict[str, Any]:
    """The threshold of a finding for a film's source, with ``fitted_on`` and the counts it was fitted on."""
    return fit_of(thresholds["findings"][finding], source)


def digits_to_see(probability: float, threshold: float) -> int:
    """How many digits behind the point, two or more, it takes to see on which side of a threshold a probability is.

    One that equals the threshold is called, and looks like it.
    """
    digits = 2
    while probability != threshold and f"{probability:.{digits}f}" == f"{threshold:.{digits}f}":
        digits += 1
    return digits


def beside_threshold(probability: float, threshold: float) -> tuple[str, str]:
    """Both as text, with as many digits as it takes to see the decision."""
    probability, threshold = float(probability), float(threshold)
    digits = digits_to_see(probability, threshold)
    return f"{probability:.{digits}f}", f"{threshold:.{digits}f}"


def threshold_text(threshold: float, probabilities: Iterable[float]) -> str:
    """A threshold as text, with as many digits as it takes to see the decision on every one of these films."""
    threshold = float(threshold)
    digits = max((digits_to_see(float(probability), threshold) for probability in probabilities), default=2)
    return f"{threshold:.{digits}f}"


def why_undefined(truth: np.ndarray) -> str | None:
    """Why a curve of these labels is not defined, or None where it is."""
    if not (truth == 1).any() and not (truth == 0).any():
        return "no film with a known label"
    if not (truth == 1).any():
        return "no positive film"
    if not (truth == 0).any():
        return "no negative film"
    return None


def label_counts(truth: np.ndarray) -> dict[str, Any]:
    positives, negatives = int((truth == 1).sum()), int((truth == 0).sum())
    films = positives + negatives
    prevalence = positives / films if films else None
    return {"films": films, "positives": positives, "negatives": negatives, "prevalence": prevalence}
