"""What a predictions table is worth: thresholds from val, metrics of test, intervals, means.

Films whose label is not known count nowhere. A figure that is not defined is None in the JSON and NaN in a table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxr.evaluation import bootstrap, calibration, figures, predictions
from cxr.evaluation.figures import RANKINGS, RATES, SHARES, Counts, Figure
from cxr.evaluation.operating_points import at_points, none_if_nan
from cxr.evaluation.source_fits import POOLED, fit_of
from cxr.evaluation.thresholds import decide, label_counts, threshold_of, why_undefined

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
        `why_guessing`; ``too_few``: see `bootstrap.too_few`, of ``macro`` the findings that are;
        ``without_interval``: figure -> why it has none; ``threshold_few``: source -> of which patients its threshold
        was fitted on too few, where it was.
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
        f"where resampling says nothing, and of fewer than {bootstrap.FEWEST} patients: Clopper-Pearson, by films; of "
        f"fewer than {bootstrap.LEAST} patients with, or without, a finding: no other",
        "replicates": replicates,
        "seed": seed,
        "total": "micro: all film-finding cells with a known label",
        "macro": "mean over the findings where a figure is defined",
    }
    return {**overall, "by_source": by_source, "protocol": protocol}


def _block(table: pd.DataFrame, thresholds: dict[str, Any], replicates: int, seed: int) -> dict[str, Any]:
    truth, probabilities = predictions.arrays(table)
    patients = table["patient_id"].to_numpy()
    drawn = figures.replicate_scores(truth, probabilities, patients, replicates, seed)
    sources, names = sorted(set(predictions.source(table))), predictions.findings_of(table)
    test = table[table["split"] == "test"]
    test_truth, decisions = predictions.arrays(test)[0], decide(test, thresholds)
    drawn |= figures.replicate_rates(test_truth, decisions, test["patient_id"], replicates, seed)
    outcomes, owners = figures.outcomes(test_truth, decisions), pd.factorize(test["patient_id"])[0]
    points = at_points(test, thresholds)
    calibrations = _calibrations(test, thresholds, replicates, seed)
    ranked = {figure.key: ranking(figure, truth, probabilities) for figure in RANKINGS}
    findings, silent, decided_silent = {}, silences(truth, patients, names), silences(test_truth, owners, names)
    for f, finding in enumerate(names):
        reason = why_undefined(truth[:, f])
        known = ~np.isnan(truth[:, f])
        used = {name: threshold_of(thresholds, finding, name) for name in sources}
        parts = [
            bootstrap.intervals(
                {figure.key: drawn[figure.key][:, f] for figure in RANKINGS}, silent[finding], len(set(patients))
            ),
            rate_intervals(outcomes[:, f], owners, {figure.key: drawn[figure.key][:, f] for figure in RATES}),
            calibrations[finding],
        ]
        values = {key: none_if_nan(values[f]) for key, values in ranked.items()}
        limits = parts[0]["auroc_interval"]
        findings[finding] = {
            **values,
            **_rates(test_truth[:, [f]], decisions[:, [f]]),
            **{key: value for part in parts for key, value in part.items()},
            "without_interval": {key: why for part in parts for key, why in part["without_interval"].items()},
            "threshold": {name: fitted["threshold"] for name, fitted in used.items()},
            "threshold_fitted_on": {name: fitted["fitted_on"] for name, fitted in used.items()},
            "threshold_few": {name: fitted["few"] for name, fitted in used.items() if fitted.get("few")},
            **{key: value for key, value in label_counts(truth[:, f]).items() if key != "prevalence"},
            "unknown": int((~known).sum()),
            "too_few": bootstrap.too_few(truth[:, f], patients),
            "guessing": why_guessing(values["auroc"], limits, probabilities[known, f], silent[finding]),
            "replicates_dropped": int(np.isnan(drawn["auroc"][:, f]).sum()),
            "operating_points": points[finding],
            **({"reason": reason} if reason else {}),
        }
    known = ~np.isnan(test_truth)
    total = {**_rates(test_truth, decisions), "films": len(test), "cells": int(known.sum())}
    total |= {"positives": int((test_truth == 1).sum()), "unknown": int((~known).sum())}
    silent_of = dict.fromkeys((figure.key for figure in RANKINGS), silent)
    silent_of |= dict.fromkeys((figure.key for figure in RATES), decided_silent)
    return {"findings": findings, "total": total, "macro": _macro(findings, drawn, silent_of, len(set(patients)))}


def silences(truth: np.ndarray, patients: np.ndarray, names: Sequence[str]) -> dict[str, str | None]:
    """`bootstrap.silence` of every finding of an array of shape (N, F)."""
    return {name: bootstrap.silence(truth[:, f], patients) for f, name in enumerate(names)}


def _calibrations(table: pd.DataFrame, thresholds: dict[str, Any], replicates: int, seed: int) -> dict[str, Any]:
    """Brier score and calibration error of each finding, then both and reliability before and after calibration."""
    truth, raw = predictions.arrays(table)
    fitted = thresholds.get("calibration")
    calibrated = calibration.calibrated(table, fitted) if fitted else np.full_like(raw, np.nan)
    sources = sorted(set(predictions.source(table)))
    brief = ("brier", "expected_calibration_error")
    keys = (*brief, *(f"{key}_interval" for key in brief))
    blocks = {}
    for f, finding in enumerate(predictions.findings_of(table)):
        before, after = (
            calibration.measure(truth[:, f], scores[:, f], table["patient_id"], replicates, seed)
            for scores in (raw, calibrated)
        )
        figures_of_raw = {key: before[key] if before else None for key in keys}
        without = before["without_interval"] if before else {}
        figures_of_raw["without_interval"] = {key: without[key] for key in brief if key in without}
        reason = _why_not_calibrated(table, fitted["findings"][finding], truth[:, f]) if fitted else None
        fits = {name: fit_of(fitted["findings"][finding], name) for name in sources} if fitted else {}
        few = {name: fit["few"] for name, fit in fits.items() if fit.get("few")}
        measured = {"before": before, "after": after, "reason": reason, "few": few}
        blocks[finding] = {**figures_of_raw, "calibration": measured}
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


def _macro(
    findings: dict[str, Any], drawn: dict[str, np.ndarray], silent_of: Mapping[str, Mapping[str, str | None]],
    patients: int,
) -> dict[str, Any]:  # fmt: skip
    """Means over the findings where a figure is defined; a replicate counts where all of those findings are defined.

    silent_of: figure -> finding -> `bootstrap.silence`.
    """
    names = list(findings)
    macro: dict[str, Any] = {"without_interval": {}}
    for key in (figure.key for figure in FIGURES):
        defined = [f for f, finding in enumerate(names) if findings[finding][key] is not None]
        macro[key] = float(np.mean([findings[names[f]][key] for f in defined])) if defined else None
        if key in silent_of:
            silent = bootstrap.silence_of_mean({names[f]: silent_of[key][names[f]] for f in defined})
            values = drawn[key][:, defined].mean(axis=1) if defined else np.zeros(0)
            limits = bootstrap.intervals({key: values}, silent, patients)
            macro["without_interval"] |= limits.pop("without_interval")
            macro |= limits
    over = [finding for finding in names if findings[finding]["auroc"] is not None]
    few = [finding for finding in over if findings[finding]["too_few"]]
    silent = bootstrap.silence_of_mean({name: silent_of["auroc"][name] for name in over})
    guessing = why_guessing(macro["auroc"], macro["auroc_interval"], np.zeros(0), silent)
    return {**macro, "auroc_over": over, "too_few": few, "guessing": guessing}


def why_guessing(
    auroc: float | None, limits: list[float] | None, probabilities: np.ndarray, silent: str | None = None
) -> str | None:
    """Why figures like these are not told from guessing, or None where they are, or where nothing can be said.

    Parameters
    ----------
    auroc, limits : of the films whose label is known
    probabilities : array of shape (N,)
        Of those films.
    silent : str, optional
        `bootstrap.silence`: of so few patients it cannot be told, however high the AUROC.
    """
    if auroc is None:
        return None
    scores = calibration.logit(probabilities)
    if len(scores) > 1 and np.ptp(scores) < HAIR:
        return f"all probabilities lie between {probabilities.min():.3f} and {probabilities.max():.3f}"
    if silent:
        return f"{silent}, too few to tell"
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
        As `bootstrap.intervals`, and ``exact_intervals``: the keys of those that are Clopper and Pearson's, by films,
        because resampling says nothing (`bootstrap.interval`) or a share is of fewer than `bootstrap.FEWEST` patients.
        A share of one patient has none; nor has what is no share, where `bootstrap.silence` says why.
    """
    known = films.any(axis=1)
    truth = films[known][:, [0, 3]].sum(axis=1)  # hits and misses have the finding
    silent = bootstrap.silence(truth, patients[known])
    result: dict[str, Any] = bootstrap.intervals(drawn, silent, len(np.unique(patients)))
    without, exact = result["without_interval"], []
    for figure in RATES:
        resampled = drawn[figure.key]
        if figure.share and len(resampled):
            part, whole = figure.share(Counts(*films.T))
            owners = len(np.unique(patients[whole > 0]))
            limits, is_exact = bootstrap.share_interval(
                bootstrap.interval(resampled), int(part.sum()), int(whole.sum()), owners
            )
            exact += [figure.key] if is_exact else []
            result[f"{figure.key}_interval"] = limits
            without.pop(figure.key, None)
            without |= {} if limits else {figure.key: bootstrap.why_none(owners, len(resampled))}
    return {**result, "exact_intervals": exact}


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
