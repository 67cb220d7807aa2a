"""What a predictions table is worth: thresholds from val, metrics of test, intervals, the result table, Dice and IoU.

Films whose label is not known count nowhere. A figure that is not defined is None in the JSON and NaN in a table.
"""

from typing import Any

import numpy as np
import pandas as pd

from cxr.evaluation import bootstrap, calibration, figures, predictions
from cxr.evaluation.figures import RANKINGS, RATES, SHARES, Counts, Figure
from cxr.evaluation.operating_points import at_points, none_if_nan
from cxr.evaluation.source_fits import POOLED, fit_of
from cxr.evaluation.thresholds import decide, label_counts, threshold_of, why_undefined

mean_interval = bootstrap.mean_interval

# Every figure of a finding, in the order in which tables show them.
FIGURES = (
    *RANKINGS,
    *RATES,
    *SHARES,
    Figure("brier", "Brier"),  # these two: from `calibration`
    Figure("expected_calibration_error", "Calibration error", on_card=True),
)
DRAWN = (*RANKINGS, *RATES)  # those with an interval from the same draws of patients
CHANCE = 0.5  # AUROC of a guess
HAIR = 0.1  # logits; probabilities of all films that are nearer to each other say the same of all


def evaluate(test_table: pd.DataFrame, thresholds: dict[str, Any], replicates: int, seed: int) -> dict[str, Any]:
    """Everything of metrics.json.

    Parameters
    ----------
    test_table : predictions table
        AUROC and average precision are of all of its films; what depends on a threshold or on a calibration is of those
        whose ``split`` is test (all of them, but where somebody's predictions were split for the fit).
    thresholds : dict
        From `fit_on_val` (or `fit_thresholds`, then without operating points and calibration).
    replicates : int
        Patient resamples behind the 95 % intervals; 0 = none.
    seed : int

    Returns
    -------
    metrics : dict that JSON can hold
        ``findings``, ``total`` (micro, over all film-finding cells with a known label) and ``macro`` (mean over the
        findings where a figure is defined) of all films, then ``by_source`` with the same three for each kind of label,
        then ``protocol``. None where undefined, with a ``reason`` where that is the AUROC. ``guessing``: see
        `why_guessing`; ``too_few``: see `bootstrap.too_few`, of ``macro`` the findings that are.
        Recall is sensitivity, precision the positive predictive value.
    """
    sources = predictions.label_source(test_table)
    names = sorted(set(sources))
    overall = _block(test_table, thresholds, replicates, seed)
    by_source = {
        name: overall if len(names) == 1 else _block(test_table[sources == name], thresholds, replicates, seed)
        for name in names
    }
    protocol = {
        "films": len(test_table),
        "patients": int(test_table["patient_id"].nunique()),
        "sources": {name: int((sources == name).sum()) for name in names},
        "decided_films": int((test_table["split"] == "test").sum()),
        "splits": sorted(set(test_table["split"])),
        "threshold_rule": thresholds["rule"],
        "thresholds_from": thresholds["val"],
        "interval": "95 % percentile bootstrap of test patients; does not cover the variance of training; of a share "
        f"where resampling says nothing, and of fewer than {bootstrap.FEWEST} patients: Clopper-Pearson, by films",
        "replicates": replicates,
        "seed": seed,
        "total": "micro: all film-finding cells with a known label",
        "macro": "mean over the findings where a figure is defined",
    }
    return {**overall, "by_source": by_source, "protocol": protocol}


def _block(table: pd.DataFrame, thresholds: dict[str, Any], replicates: int, seed: int) -> dict[str, Any]:
    truth, probabilities = predictions.arrays(table)
    patients = table["patient_id"].to_numpy()
    no_interval = bootstrap.why_none(len(set(patients)), replicates)
    if len(set(patients)) < 2:
        replicates = 0
    drawn = figures.replicate_scores(truth, probabilities, patients, replicates, seed)
    sources, names = sorted(set(predictions.source(table))), predictions.findings_of(table)
    test = table[table["split"] == "test"]
    test_truth, decisions = predictions.arrays(test)[0], decide(test, thresholds)
    drawn |= figures.replicate_rates(test_truth, decisions, test["patient_id"], replicates, seed)
    outcomes, owners = figures.outcomes(test_truth, decisions), pd.factorize(test["patient_id"])[0]
    points = at_points(test, thresholds)
    calibrations = _calibrations(test, thresholds, replicates, seed)
    ranked = {figure.key: ranking(figure, truth, probabilities) for figure in RANKINGS}
    findings = {}
    for f, finding in enumerate(names):
        reason = why_undefined(truth[:, f])
        known = ~np.isnan(truth[:, f])
        used = {name: threshold_of(thresholds, finding, name) for name in sources}
        findings[finding] = {
            **{key: none_if_nan(values[f]) for key, values in ranked.items()},
            **_rates(test_truth[:, [f]], decisions[:, [f]]),
            **{f"{figure.key}_interval": bootstrap.interval(drawn[figure.key][:, f]) for figure in RANKINGS},
            **rate_intervals(outcomes[:, f], owners, {figure.key: drawn[figure.key][:, f] for figure in RATES}),
            "threshold": {name: fitted["threshold"] for name, fitted in used.items()},
            "threshold_fitted_on": {name: fitted["fitted_on"] for name, fitted in used.items()},
            **{key: value for key, value in label_counts(truth[:, f]).items() if key != "prevalence"},
            "unknown": int((~known).sum()),
            "no_interval": no_interval,
            "too_few": bootstrap.too_few(truth[:, f], patients),
            "replicates_dropped": int(np.isnan(drawn["auroc"][:, f]).sum()),
            "operating_points": points[finding],
            **calibrations[finding],
            **({"reason": reason} if reason else {}),
        }
        limits = findings[finding]["auroc_interval"]
        findings[finding]["guessing"] = why_guessing(findings[finding]["auroc"], limits, probabilities[known, f])
    known = ~np.isnan(test_truth)
    total = {**_rates(test_truth, decisions), "films": len(test), "cells": int(known.sum())}
    total |= {"positives": int((test_truth == 1).sum()), "unknown": int((~known).sum())}
    return {"findings": findings, "total": total, "macro": _macro(findings, drawn)}


def _calibrations(table: pd.DataFrame, thresholds: dict[str, Any], replicates: int, seed: int) -> dict[str, Any]:
    """Brier score and calibration error of each finding, then both and reliability before and after calibration."""
    truth, raw = predictions.arrays(table)
    fitted = thresholds.get("calibration")
    calibrated = calibration.calibrated(table, fitted) if fitted else np.full_like(raw, np.nan)
    brief = ("brier", "brier_interval", "expected_calibration_error", "expected_calibration_error_interval")
    blocks = {}
    for f, finding in enumerate(predictions.findings_of(table)):
        before, after = (
            calibration.measure(truth[:, f], scores[:, f], table["patient_id"], replicates, seed)
            for scores in (raw, calibrated)
        )
        figures_of_raw = {key: before[key] if before else None for key in brief}
        reason = _why_not_calibrated(table, fitted["findings"][finding], truth[:, f]) if fitted else None
        blocks[finding] = {**figures_of_raw, "calibration": {"before": before, "after": after, "reason": reason}}
    return blocks


def _why_not_calibrated(table: pd.DataFrame, fits: dict[str, Any], truth: np.ndarray) -> str | None:
    """Why there is no calibrated probability of some or all films of one finding; None where there is of all."""
    sources = predictions.source(table)[~np.isnan(truth)]
    if not len(sources):
        return Figure.undefined
    fit = {name: fit_of(fits, name) for name in sorted(set(sources))}
    lacking = [f"{int((sources == name).sum()):,} films of {name}" for name in fit if fit[name]["slope"] is None]
    reasons = sorted({fit[name].get("reason") or fits[POOLED]["reason"] for name in fit if fit[name]["slope"] is None})
    return f"{', '.join(lacking)} left out: {', '.join(reasons)}" if lacking else None


def _macro(findings: dict[str, Any], drawn: dict[str, np.ndarray]) -> dict[str, Any]:
    """Means over the findings where a figure is defined; a replicate counts where all of those findings are defined."""
    names = list(findings)
    macro = {}
    for key in (figure.key for figure in FIGURES):
        defined = [f for f, finding in enumerate(names) if findings[finding][key] is not None]
        macro[key] = float(np.mean([findings[names[f]][key] for f in defined])) if defined else None
        if key in drawn and f"{key}_interval" in findings[names[0]]:
            macro[f"{key}_interval"] = bootstrap.interval(drawn[key][:, defined].mean(axis=1)) if defined else None
    over = [finding for finding in names if findings[finding]["auroc"] is not None]
    few = [finding for finding in over if findings[finding]["too_few"]]
    guessing = why_guessing(macro["auroc"], macro["auroc_interval"], np.zeros(0))
    no_interval = findings[names[0]]["no_interval"] if names else ""
    return {**macro, "auroc_over": over, "no_interval": no_interval, "too_few": few, "guessing": guessing}


def why_guessing(auroc: float | None, limits: list[float] | None, probabilities: np.ndarray) -> str | None:
    """Why figures like these are not told from guessing, or None where they are, or where nothing can be said.

    Parameters
    ----------
    auroc, limits : of the films whose label is known
    probabilities : array of shape (N,)
        Of those films.
    """
    if auroc is None:
        return None
    scores = calibration.logit(probabilities)
    if len(scores) > 1 and np.ptp(scores) < HAIR:
        return f"all probabilities lie between {probabilities.min():.3f} and {probabilities.max():.3f}"
    if limits and limits[0] <= CHANCE:
        holds = "holds 0.5" if limits[1] >= CHANCE else "lies below 0.5"
        return f"AUROC {auroc:.3f}, whose interval ({limits[0]:.3f} to {limits[1]:.3f}) {holds}"
    return f"AUROC {auroc:.3f}" if not limits and auroc <= CHANCE else None


def told_of_guessing(macro: str | None, findings: dict[str, str | None]) -> list[str]:
    """Sentences that say what is not told from guessing: reasons of `why_guessing`, of the mean and by finding."""
    lines = [f"NOT TOLD FROM GUESSING: the mean over the findings ({macro})."] if macro else []
    named = [f"{finding} ({reason})" for finding, reason in findings.items() if reason]
    return lines + ([f"Not told from guessing: {'; '.join(named)}."] if named else [])


def guessing_of(block: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `told_of_guessing` from metrics.json."""
    findings = {finding: values.get("guessing") for finding, values in block["findings"].items()}
    return {"macro": block["macro"].get("guessing"), "findings": findings}


def _rates(truth: np.ndarray, decisions: np.ndarray) -> dict[str, float | int | None]:
    """Figures of decisions on all cells with a known label, arrays of shape (N, F)."""
    counts = figures.outcomes(truth, decisions).sum(axis=(0, 1))
    names = ("true_positives", "false_positives", "true_negatives", "false_negatives")
    values = {name: none_if_nan(value) for name, value in figures.rates(counts).items()}
    return {**values, **{name: int(count) for name, count in zip(names, counts, strict=True)}}


def rate_intervals(films: np.ndarray, patients: np.ndarray, drawn: dict[str, np.ndarray]) -> dict[str, Any]:
    """Intervals of every rate of one finding.

    Parameters
    ----------
    films : array of shape (N, 4)
        From `outcomes`.
    patients : int array of shape (N,)
        Index of each film's patient.
    drawn : dict of arrays of shape (R,)
        From `replicate_rates`.

    Returns
    -------
    intervals : dict that JSON can hold
        ``<key>_interval``, and ``exact_intervals``: the keys of those that are Clopper and Pearson's, by films, because
        resampling says nothing (`bootstrap.interval`) or a share is of fewer than `bootstrap.FEWEST` patients. None of
        one patient.
    """
    intervals, exact = {}, []
    for figure in RATES:
        limits = bootstrap.interval(drawn[figure.key])
        if figure.share and len(drawn[figure.key]):
            part, whole = figure.share(Counts(*films.T))
            owners = len(np.unique(patients[whole > 0]))
            limits, is_exact = bootstrap.share_interval(limits, int(part.sum()), int(whole.sum()), owners)
            exact += [figure.key] if is_exact else []
        intervals[f"{figure.key}_interval"] = limits
    return {**intervals, "exact_intervals": exact}


def ranking(figure: Figure, truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """One of `RANKINGS` of every finding (F,) on arrays of shape (N, F), known labels only; NaN where not defined."""
    return np.array(
        [
            np.nan if why_undefined(truth[:, f]) else figure.plain(truth[known, f], probabilities[known, f])
            for f, known in enumerate(~np.isnan(truth).T)
        ]
    )


def mean_auroc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean AUROC over the findings defined on arrays of shape (N, F); NaN where none is."""
    values = ranking(RANKINGS[0], truth, probabilities)
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def dice(truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Dice coefficient 2·|A∩B| / (|A| + |B|) of masks (pixels > 0), 1 where both are empty.

    Parameters
    ----------
    truth, mask : arrays of shape (H, W) or (N, H, W)

    Returns
    -------
    dice : float array of shape () or (N,)
    """
    both, either = _overlap(truth, mask)
    return np.where(either == 0, 1.0, 2 * both / np.maximum(both + either, 1))


def iou(truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Intersection over union (Jaccard) of masks (pixels > 0), 1 where both are empty; shapes as in `dice`."""
    both, either = _overlap(truth, mask)
    return np.where(either == 0, 1.0, both / np.maximum(either, 1))


def _overlap(truth: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the intersection and of the union, of shape () or (N,)."""
    truth, mask = np.asarray(truth) > 0, np.asarray(mask) > 0
    if truth.shape != mask.shape:
        raise ValueError(f"masks of one shape expected, found {truth.shape} and {mask.shape}")
    return (truth & mask).sum(axis=(-2, -1)), (truth | mask).sum(axis=(-2, -1))
