"""Do probabilities mean what they say? Brier score, calibration error, reliability; and what is fitted on val's logits:
calibration, and the weights of an ensemble's members.

A network that was trained with class weights, or on a hospital with another prevalence, gives probabilities that are
too high or too low while it ranks films well. Platt's scaling corrects that per finding and hospital.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from cxr.evaluation import bootstrap, predictions
from cxr.evaluation.predictions import NEAREST, logit
from cxr.evaluation.source_fits import fit_by_source, fit_of
from cxr.evaluation.thresholds import label_counts

BINS = 10
FEWEST = 10  # positive, and negative, val films that a fit of two numbers needs; of members' weights, for each of them


def fit_calibration(val_table: pd.DataFrame) -> dict[str, Any]:
    """Logistic recalibration from val (Platt 1999): calibrated logit = slope x logit + intercept.

    Parameters
    ----------
    val_table : predictions table

    Returns
    -------
    calibration : dict that JSON can hold
        ``method``; ``findings``: finding -> source or "pooled" -> slope, intercept, fitted_on, films, positives,
        negatives, prevalence and, where it fell back to pooled (or to nothing: None), the reason.
    """
    return {
        "method": "platt",
        "findings": fit_by_source(val_table, fit_one, fallback=("slope", "intercept", "fitted_on")),
    }


def fit_one(truth: np.ndarray, probabilities: np.ndarray, name: str) -> dict[str, Any]:
    """The fit of one finding on arrays (N,), as `fit_calibration` gives it; ``name``: whose films they are."""
    counts = label_counts(truth)
    nothing = {"slope": None, "intercept": None, "fitted_on": None, **counts}
    if min(counts["positives"], counts["negatives"]) < FEWEST:
        return {**nothing, "reason": f"fewer than {FEWEST} positive or negative films in val"}
    known = ~np.isnan(truth)
    scores = logit(probabilities[known])
    if np.ptp(scores) == 0:
        return {**nothing, "reason": f"all val films have the same probability (to {NEAREST:g} of 0 and 1)"}
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(scores[:, None], truth[known])
    slope, intercept = float(model.coef_[0, 0]), float(np.ravel(model.intercept_)[0])
    if slope <= 0:
        return {**nothing, "reason": "val films with the finding have the lower probabilities"}
    return {"slope": slope, "intercept": intercept, "fitted_on": name, **counts}


def calibrated(table: pd.DataFrame, calibration: dict[str, Any]) -> np.ndarray:
    """Calibrated probabilities, float64 of shape (N, F); NaN where there is no fit for a film's source."""
    sources = predictions.source(table)
    scores = logit(predictions.arrays(table)[1])
    for f, finding in enumerate(predictions.findings_of(table)):
        for name in set(sources):
            fit, here = fit_of(calibration["findings"][finding], name), sources == name
            known = fit["slope"] is not None
            scores[here, f] = fit["slope"] * scores[here, f] + fit["intercept"] if known else np.nan
    return 1 / (1 + np.exp(-scores))


def bins_of(probabilities: np.ndarray) -> np.ndarray:
    """Bin of each probability, (N,) int: `BINS` bins of about equally many films, equal probabilities in one bin.

    Rare findings have most of their probabilities below 0.1: bins of equal width would put all films in the first one.
    """
    if not len(probabilities):
        return np.zeros(0, dtype=int)
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, BINS + 1)))
    return np.searchsorted(edges[1:-1], probabilities, side="right")


def measure(truth, probabilities, patient_ids, replicates: int, seed: int) -> dict[str, Any] | None:
    """How far the probabilities of one finding can be taken at their word.

    Parameters
    ----------
    truth, probabilities : arrays of shape (N,)
        Films whose truth or probability is NaN are left out.
    patient_ids : array of shape (N,)
    replicates, seed : int
        Patient resamples behind the intervals; the bins stay those of all films.

    Returns
    -------
    figures : dict that JSON can hold, or None without such films
        ``brier`` (Brier 1950); ``expected_calibration_error``: mean over the bins, by their films, of |share of
        positives - mean probability|; ``in_the_large``: prevalence - mean probability; of each `bootstrap.intervals`;
        ``reliability``: a dict a bin.
    """
    known = ~(np.isnan(truth) | np.isnan(probabilities))
    if not known.any():
        return None
    labels, scores = truth[known], np.asarray(probabilities, dtype=float)[known]
    owners = np.asarray(patient_ids)[known]
    bins = bins_of(scores)
    one_hot = np.eye(bins.max() + 1)[bins]
    # Of each film: squared error, then in the column of its bin a film, its probability, a positive.
    films = np.hstack([(scores - labels)[:, None] ** 2, one_hot, one_hot * scores[:, None], one_hot * labels[:, None]])
    sums = bootstrap.replicate_sums(films, owners, replicates, seed)
    brier, error, large = _figures(films.sum(axis=0)[None])
    keys = ("brier", "expected_calibration_error", "in_the_large")
    drawn = dict(zip(keys, _figures(sums), strict=True))
    count, expected, positives = np.split(films.sum(axis=0)[1:], 3)
    return {
        "films": int(known.sum()),
        "brier": float(brier[0]),
        "expected_calibration_error": float(error[0]),
        "mean_probability": float(scores.mean()),
        "prevalence": float(labels.mean()),
        "in_the_large": float(large[0]),
        **bootstrap.intervals(drawn, bootstrap.silence(labels, owners), len(np.unique(owners))),
        "reliability": [
            {"films": int(n), "mean_probability": float(p / n), "share_positive": float(y / n)}
            for n, p, y in zip(count, expected, positives, strict=True)
            if n
        ],
    }


def _figures(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Brier score, calibration error and calibration in the large of sums (R, 1 + 3 bins), each of shape (R,)."""
    count, expected, positives = np.split(sums[:, 1:], 3, axis=1)
    films = count.sum(axis=1)
    error = np.abs(positives - expected).sum(axis=1) / films
    return sums[:, 0] / films, error, (positives - expected).sum(axis=1) / films


def fit_ensemble(val_tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Members' weights from val: stacking (Wolpert 1992), a logistic regression on their logits with no slope below 0.

    Parameters
    ----------
    val_tables : mapping of member to its predictions table

    Returns
    -------
    ensemble : dict that JSON can hold
        ``rule``: "val"; ``findings``: finding -> ``weights`` (member -> 0 or more, 1 together), films, positives,
        negatives, prevalence; where val does not tell them, weights None and the reason: all then count alike.
    """
    tables = list(val_tables.values())
    logits, truth = logit(predictions.stacked(tables)), predictions.arrays(tables[0])[0]
    sources = predictions.source(tables[0])
    fits = {}
    for f, finding in enumerate(predictions.findings_of(tables[0])):
        weights, fit = _member_weights(truth[:, f], logits[..., f].T, sources)
        named = dict(zip(val_tables, weights.tolist(), strict=True)) if weights is not None else None
        fits[finding] = {"weights": named, **fit}
    return {"rule": "val", "findings": fits}


def _member_weights(
    truth: np.ndarray, logits: np.ndarray, sources: np.ndarray
) -> tuple[np.ndarray | None, dict[str, Any]]:
    """Weights (M,) of one finding from truth (N,), logits (N, M) and sources (N,), or None; counts, and why None.

    Each source has an intercept of its own: to tell hospitals of another prevalence apart is no merit of a member.
    """
    here = {name: truth[sources == name] for name in set(sources)}
    both = [name for name in sorted(here) if {0, 1} <= set(here[name])]
    known = ~np.isnan(truth) & np.isin(sources, both)
    counts, needed = label_counts(truth[known]), FEWEST * logits.shape[1]
    if min(counts["positives"], counts["negatives"]) < needed:
        return None, {**counts, "reason": f"fewer than {needed} positive or negative films in val"}
    sign, members = 2 * truth[known] - 1, logits.shape[1]
    of_source = (sources[known][:, None] == both).astype(float)
    # Minus its mean there, a logit that is the source's alone is nothing; the intercepts take it up.
    means = (of_source.T @ logits[known]) / of_source.sum(axis=0)[:, None]
    inputs = np.hstack([logits[known] - of_source @ means, of_source])

    def loss(slopes: np.ndarray) -> tuple[float, np.ndarray]:
        """Cross-entropy and its gradient."""
        margins = sign * (inputs @ slopes)
        return np.logaddexp(0, -margins).mean(), -(sign * expit(-margins)) @ inputs / len(sign)

    # scikit-learn's logistic regression knows no bounds.
    limits = [(0, None)] * members + [(None, None)] * len(both)
    found = minimize(loss, np.zeros(len(limits)), jac=True, bounds=limits, options={"ftol": 1e-14, "gtol": 1e-9})
    slopes = found.x[:members]
    if not slopes.any():
        return None, {**counts, "reason": "no member ranks val's films rightly"}
    return slopes / slopes.sum(), counts
