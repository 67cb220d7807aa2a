"""What a predictions table is worth: thresholds from val, metrics of test, intervals, the result table, Dice and IoU.

Films whose label is not known count nowhere. A figure that is not defined is None in the JSON and NaN in a table.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from cxr import artifacts, bootstrap, predictions
from cxr.labels import FINDINGS

mean_interval = bootstrap.mean_interval

POOLED = "pooled"
UNFITTED_THRESHOLD = 0.5  # where val holds no film of one class, in any source
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
RESULT_COLUMNS = {
    "Accuracy": "accuracy",
    "Precision": "precision",
    "Recall": "recall",
    "Prevalence": "prevalence",
    "Always-no accuracy": "always_no_accuracy",
    "AUROC": "auroc",
    "95 % interval": "auroc_interval",
    "AP": "average_precision",
    "F1": "f1",
    "Films": "films",
    "Positives": "positives",
}
RATE_HEADS = ("Accuracy", "Precision", "Recall", "Prevalence", "Always-no accuracy", "F1")


def fit_thresholds(val_table: pd.DataFrame, rule: str) -> dict[str, Any]:
    """Decision thresholds from val: per finding and hospital, and a pooled one for hospitals that val does not have.

    Parameters
    ----------
    val_table : predictions table
    rule : {"f1", "youden"}
        What a threshold maximises: F1, or sensitivity + specificity - 1 (Youden 1950). Of equal maxima the highest
        threshold is taken. It lies midway between the lowest probability called positive and the next one.

    Returns
    -------
    thresholds : dict that JSON can hold
        ``rule``; ``val`` with number of films and patients and the digest of the sorted image_ids; ``findings``:
        finding -> hospital or "pooled" -> threshold, fitted_on, films, positives, negatives, prevalence and, where it
        fell back to pooled (or to 0.5), the reason.
    """
    truth, probabilities = predictions.arrays(val_table)
    hospitals = predictions.hospital(val_table)
    findings = {}
    for f, finding in enumerate(FINDINGS):
        pooled = _fitted(truth[:, f], probabilities[:, f], rule, POOLED)
        if "reason" in pooled:
            pooled |= {"threshold": UNFITTED_THRESHOLD, "fitted_on": "nothing"}
        findings[finding] = {POOLED: pooled}
        for name in sorted(set(hospitals)):
            here = hospitals == name
            fitted = _fitted(truth[here, f], probabilities[here, f], rule, name)
            if "reason" in fitted:
                fitted |= {"threshold": pooled["threshold"], "fitted_on": pooled["fitted_on"]}
            findings[finding][name] = fitted
    ids = sorted(val_table["image_id"])
    val = {"films": len(ids), "patients": int(val_table["patient_id"].nunique()), "digest": artifacts.digest_of(ids)}
    return {"rule": rule, "val": val, "findings": findings}


def _fitted(truth, probabilities, rule: str, name: str) -> dict[str, Any]:
    counts = _label_counts(truth)
    reason = _undefined(truth)
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
    }
    best = int(np.argmax(gains[rule]()))
    lowest = score[ends[best]]
    following = score[ends[best + 1]] if best + 1 < len(ends) else lowest
    return float((lowest + following) / 2)


def decide(table: pd.DataFrame, thresholds: dict[str, Any]) -> np.ndarray:
    """Decisions, bool of shape (N, F): probability >= the threshold of the finding and the film's hospital."""
    limits = np.empty((len(table), len(FINDINGS)))
    hospitals = predictions.hospital(table)
    for name in set(hospitals):
        limits[hospitals == name] = [_threshold(thresholds, finding, name)["threshold"] for finding in FINDINGS]
    return predictions.arrays(table)[1] >= limits


def _threshold(thresholds: dict[str, Any], finding: str, hospital: str) -> dict[str, Any]:
    fitted = thresholds["findings"][finding]
    return fitted.get(hospital, fitted[POOLED])


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
        reason = _undefined(truth[:, f])
        known = ~np.isnan(truth[:, f])
        arrays = truth[known, f], probabilities[known, f]
        used = {name: _threshold(thresholds, finding, name) for name in hospitals}
        findings[finding] = {
            "auroc": None if reason else float(roc_auc_score(*arrays)),
            "auroc_interval": bootstrap.interval(auroc[:, f]),
            "average_precision": None if reason else float(average_precision_score(*arrays)),
            "average_precision_interval": bootstrap.interval(precision[:, f]),
            **_rates(truth[:, f], decisions[:, f]),
            "threshold": {name: fitted["threshold"] for name, fitted in used.items()},
            "threshold_fitted_on": {name: fitted["fitted_on"] for name, fitted in used.items()},
            **_label_counts(truth[:, f]),
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


def _undefined(truth: np.ndarray) -> str | None:
    """Why a curve of these labels is not defined, or None where it is."""
    if not (truth == 1).any() and not (truth == 0).any():
        return "no film with a known label"
    if not (truth == 1).any():
        return "no positive film"
    if not (truth == 0).any():
        return "no negative film"
    return None


def _label_counts(truth: np.ndarray) -> dict[str, Any]:
    positives, negatives = int((truth == 1).sum()), int((truth == 0).sum())
    films = positives + negatives
    prevalence = positives / films if films else None
    return {"films": films, "positives": positives, "negatives": negatives, "prevalence": prevalence}


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
        if _undefined(truth[:, f]) is None
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


def result_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """The result table in the original's form, then what it takes to judge it.

    Parameters
    ----------
    metrics : dict
        From `evaluate`, or one source of its ``by_source``.

    Returns
    -------
    table : DataFrame
        A row a finding, then Total (micro) and Mean (macro); NaN where not defined.
    """
    rows = [(finding, metrics["findings"][finding]) for finding in FINDINGS]
    rows += [("Total (micro)", metrics["total"]), ("Mean (macro)", metrics["macro"])]
    table = pd.DataFrame(
        [{"finding": name, **{head: values.get(key) for head, key in RESULT_COLUMNS.items()}} for name, values in rows]
    )
    table["95 % interval"] = [
        f"{limits[0]:.3f}-{limits[1]:.3f}" if isinstance(limits, list) else None for limits in table["95 % interval"]
    ]
    numbers = [head for head in RESULT_COLUMNS if head != "95 % interval"]
    return table.astype(dict.fromkeys(numbers, float)).astype({"Films": "Int64", "Positives": "Int64"})


def result_text(metrics: dict[str, Any]) -> str:
    """The result table for a terminal: of all films and, where there are several kinds of labels, of each kind."""
    sources = metrics["protocol"]["sources"]
    if len(sources) == 1:
        (only,) = sources.items()
        return _text(metrics, f"{only[0]}: {only[1]:,} films")
    counts = ", ".join(f"{name} {films:,}" for name, films in sources.items())
    texts = [_text(metrics, f"All {metrics['protocol']['films']:,} films pooled ({counts})")]
    texts += [_text(metrics["by_source"][name], f"{name}: {films:,} films") for name, films in sources.items()]
    return "\n\n".join(texts)


def _text(block: dict[str, Any], title: str) -> str:
    table = result_table(block)
    cells = table.astype(object)
    for head in table.columns[1:]:
        whole = head in ("Films", "Positives")
        for row, name in enumerate(table["finding"]):
            value = table[head].iloc[row]
            if pd.isna(value):
                applies = name in FINDINGS or head in RATE_HEADS
                cells.loc[row, head] = "n/a" if applies else ""
            elif head != "95 % interval":
                cells.loc[row, head] = f"{value:,}" if whole else f"{value:.3f}"
    cells = cells.rename(columns={"Always-no accuracy": "Always-no"})
    widths = [max(len(head), *cells[head].map(len)) for head in cells]
    lines = [list(cells.columns), *cells.to_numpy().tolist()]
    aligned = [
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    ]
    rule = "-" * len(aligned[0])
    body = [title, aligned[0], rule, *aligned[1:7], rule, *aligned[7:]]
    return "\n".join([line.rstrip() for line in body] + _footnotes(block))


def _footnotes(block: dict[str, Any]) -> list[str]:
    """Why a figure is n/a, and where a threshold was not fitted on val films of the same hospital."""
    notes: dict[str, list[str]] = {}
    for finding, values in block["findings"].items():
        reasons = []
        if values["auroc"] is None:
            reasons.append(f"AUROC and AP n/a: {values['reason']}")
        elif values["auroc_interval"] is None:
            reasons.append("interval n/a: no bootstrap replicates, or only one patient")
        if values["films"] and values["precision"] is None:
            reasons.append("Precision n/a: no film was called positive")
        for name, origin in values["threshold_fitted_on"].items():
            if origin == POOLED:
                reasons.append(f"pooled threshold for {name}: val does not hold both classes of its films")
            elif origin == "nothing":
                reasons.append(f"threshold {UNFITTED_THRESHOLD} for {name}: val does not hold both classes")
        for reason in reasons:
            notes.setdefault(reason, []).append(finding)
    over = block["macro"]["auroc_over"]
    if 0 < len(over) < len(FINDINGS):
        notes[f"AUROC and AP are means over {len(over)} findings"] = ["Mean (macro)"]
    return [f"* {', '.join(names)}: {reason}." for reason, names in notes.items()]
