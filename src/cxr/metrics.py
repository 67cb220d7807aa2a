"""What a predictions table is worth: thresholds from val, metrics of test, intervals, the result table, Dice and IoU.

Films whose label is not known count nowhere. A figure that is not defined is None in the JSON and NaN in a table.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from cxr import bootstrap, predictions
from cxr.labels import FINDINGS
from cxr.thresholds import decide, label_counts, threshold_of, why_undefined

mean_interval = bootstrap.mean_interval

RATES = (
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "balanced_accuracy",
    "prevalence",
    "always_no_accuracy",
)


def evaluate(test_table: pd.DataFrame, thresholds: dict[str, Any], replicates: int, seed: int) -> dict[str, Any]:
    """Everything of metrics.json.

    Parameters
    ----------
    test_table : predictions table
    thresholds : dict
        From `fit_thresholds`, on val.
    replicates : int
        Patient resamples behind the 95 % intervals; 0 = none.
    seed : int

    Returns
    -------
    metrics : dict that JSON can hold
        ``findings``, ``total`` (micro, over all film-finding cells with a known label) and ``macro`` (mean over the
        findings where a figure is defined) of all films, then ``by_source`` with the same three for each kind of label,
        then ``protocol``. None where undefined, with a ``reason`` where that is the AUROC.
    """
    sources = predictions.source(test_table)
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
        "splits": sorted(set(test_table["split"])),
        "threshold_rule": thresholds["rule"],
        "thresholds_from": thresholds["val"],
        "interval": "95 % percentile bootstrap of test patients; does not cover the variance of training",
        "replicates": replicates,
        "seed": seed,
        "total": "micro: all film-finding cells with a known label",
        "macro": "mean over the findings where a figure is defined",
    }
    return {**overall, "by_source": by_source, "protocol": protocol}


def _block(table: pd.DataFrame, thresholds: dict[str, Any], replicates: int, seed: int) -> dict[str, Any]:
    truth, probabilities = predictions.arrays(table)
    decisions = decide(table, thresholds)
    patients = table["patient_id"].to_numpy()
    enough = len(set(patients)) > 1  # the interval of a single patient would have no width
    auroc, precision = bootstrap.replicate_scores(truth, probabilities, patients, replicates if enough else 0, seed)
    hospitals = sorted(set(predictions.hospital(table)))
    findings = {}
    for f, finding in enumerate(FINDINGS):
        reason = why_undefined(truth[:, f])
        known = ~np.isnan(truth[:, f])
        arrays = truth[known, f], probabilities[known, f]
        used = {name: threshold_of(thresholds, finding, name) for name in hospitals}
        findings[finding] = {
            "auroc": None if reason else float(roc_auc_score(*arrays)),
            "auroc_interval": bootstrap.interval(auroc[:, f]),
            "average_precision": None if reason else float(average_precision_score(*arrays)),
            "average_precision_interval": bootstrap.interval(precision[:, f]),
            **_rates(truth[:, f], decisions[:, f]),
            "threshold": {name: fitted["threshold"] for name, fitted in used.items()},
            "threshold_fitted_on": {name: fitted["fitted_on"] for name, fitted in used.items()},
            **label_counts(truth[:, f]),
            "unknown": int((~known).sum()),
            "replicates_dropped": int(np.isnan(auroc[:, f]).sum()),
            **({"reason": reason} if reason else {}),
        }
    known = ~np.isnan(truth)
    total = {**_rates(truth[known], decisions[known]), "films": len(table), "cells": int(known.sum())}
    total |= {"positives": int((truth == 1).sum()), "unknown": int((~known).sum())}
    return {"findings": findings, "total": total, "macro": _macro(findings, auroc, precision)}


def _macro(findings: dict[str, Any], auroc: np.ndarray, precision: np.ndarray) -> dict[str, Any]:
    """Means over the findings where a figure is defined; a replicate counts where all of those findings are defined."""
    defined = [f for f, finding in enumerate(FINDINGS) if findings[finding]["auroc"] is not None]
    means = {}
    for name in ("auroc", "average_precision", *RATES):
        values = [values[name] for values in findings.values() if values[name] is not None]
        means[name] = float(np.mean(values)) if values else None
    intervals = {
        "auroc_interval": bootstrap.interval(auroc[:, defined].mean(axis=1)) if defined else None,
        "average_precision_interval": bootstrap.interval(precision[:, defined].mean(axis=1)) if defined else None,
    }
    return {**means, **intervals, "auroc_over": [FINDINGS[f] for f in defined]}


def _rates(truth: np.ndarray, decisions: np.ndarray) -> dict[str, float | None]:
    """Figures of decisions on films with a known label, arrays of shape (N,)."""
    hits, misses = int(decisions[truth == 1].sum()), int((~decisions[truth == 1]).sum())
    alarms, rejections = int(decisions[truth == 0].sum()), int((~decisions[truth == 0]).sum())
    films = hits + misses + alarms + rejections
    recall, specificity = _share(hits, hits + misses), _share(rejections, rejections + alarms)
    return {
        "accuracy": _share(hits + rejections, films),
        "precision": _share(hits, hits + alarms),
        "recall": recall,
        "specificity": specificity,
        "f1": _share(2 * hits, 2 * hits + alarms + misses),
        "balanced_accuracy": None if recall is None or specificity is None else (recall + specificity) / 2,
        "prevalence": _share(hits + misses, films),
        "always_no_accuracy": _share(alarms + rejections, films),
        "always_majority_accuracy": _share(max(hits + misses, alarms + rejections), films),
        "true_positives": hits,
        "false_positives": alarms,
        "true_negatives": rejections,
        "false_negatives": misses,
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def mean_auroc(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean AUROC over the findings defined on arrays of shape (N, F), known labels only; NaN where none is defined."""
    values = [
        roc_auc_score(truth[known, f], probabilities[known, f])
        for f, known in enumerate(~np.isnan(truth).T)
        if why_undefined(truth[:, f]) is None
    ]
    return float(np.mean(values)) if values else float("nan")


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
