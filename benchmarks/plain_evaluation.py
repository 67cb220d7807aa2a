"""The figures of metrics.json by scikit-learn in a loop, as one would write it: what `peers.py` holds ours against.

Patients are drawn as ours are; each resample takes its films anew, sorts them anew for AUROC and average precision and
counts them anew (one confusion matrix a finding, from which all rates follow). Thresholds and calibration are given;
means over findings are left out: once the rest is there they cost nothing.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from bootstrap import resampled
from sklearn.metrics import average_precision_score, brier_score_loss, confusion_matrix, roc_auc_score

RATES = (
    "recall specificity precision negative_predictive_value f1 balanced_accuracy matthews_correlation accuracy".split()
)


@dataclass(frozen=True)
class Given:
    """N films, F findings: truth (N, F), 1 or 0; probabilities, as they came and calibrated, and their bins (N, F);
    called (N, F) bool, and at other thresholds by name; patients (N,); test (N,) bool: films that decisions are judged
    on; groups: grouping -> group of every film; gaps: grouping -> two groups.
    """

    findings: list[str]
    truth: np.ndarray
    probabilities: dict[str, np.ndarray]
    bins: dict[str, np.ndarray]
    called: np.ndarray
    points: dict[str, np.ndarray]
    patients: np.ndarray
    test: np.ndarray
    groups: dict[str, np.ndarray]
    gaps: dict[str, tuple[str, str]]


def evaluate(given: Given, replicates: int, seed: int, clock) -> tuple[list[tuple], float, float]:
    """Figures as (path in metrics.json, value, low, high), and seconds: of the figures, and of one resample of all."""
    found, of_figures, of_resamples = [], 0.0, 0.0
    for paths, films, measure, has_interval in jobs(given):
        started = clock()
        values = measure(films)
        of_figures += clock() - started
        limits = np.full((2, len(values)), np.nan)
        if has_interval:
            started = clock()
            drawn = [measure(films[rows]) for rows in resampled(given.patients[films], replicates, seed)]
            with warnings.catch_warnings(action="ignore"):  # a group without the finding
                limits = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
            of_resamples += clock() - started
        found += [(path, *row) for path, *row in zip(paths, values, *limits, strict=True)]
    return found, of_figures, of_resamples / replicates


def jobs(given: Given) -> Iterator[tuple]:
    """(paths of the figures, films, films -> figures, whether resampled) of everything."""
    every, test = np.arange(len(given.truth)), np.flatnonzero(given.test)
    top = [("findings", finding) for finding in given.findings]
    yield paths(top, ["auroc"]), every, lambda films: aurocs(given, films), True
    yield paths(top, ["average_precision"]), every, lambda films: precisions(given, films), True
    yield paths(top, RATES), test, lambda films: rates(given, films, given.called, RATES), True
    for kind, under in (("raw", ()), ("calibrated", ("calibration", "after"))):
        below = [(*path, *under) for path in top]
        keys = ["brier", "expected_calibration_error"]
        yield paths(below, keys), test, lambda films, kind=kind: trust(given, films, kind), True
    for point, called in given.points.items():
        below = [(*path, "operating_points", point) for path in top]
        yield paths(below, RATES[:6]), test, lambda films, called=called: rates(given, films, called, RATES[:6]), False
    for grouping, group in given.groups.items():
        for name in sorted(set(group) - {""}):
            below = [("subgroups", grouping, "groups", name, *path) for path in top]
            here = np.flatnonzero(group == name)
            yield paths(below, ["auroc"]), here, lambda films: aurocs(given, films), True
            shown = RATES[:2]
            decided = here[given.test[here]]
            yield paths(below, shown), decided, lambda films: rates(given, films, given.called, RATES[:2]), True
        if grouping in given.gaps:
            below = [("subgroups", grouping, "gap", *path) for path in top]
            yield (
                paths(below, ["difference"]), every,
                lambda films, group=group, pair=given.gaps[grouping]: gap(given, films, group, pair), True,
            )  # fmt: skip


def paths(under: list[tuple], keys: list[str]) -> list[tuple]:
    return [(*path, key) for path in under for key in keys]


def aurocs(given: Given, films: np.ndarray) -> list[float]:
    return ranked(roc_auc_score, given, films)


def precisions(given: Given, films: np.ndarray) -> list[float]:
    return ranked(average_precision_score, given, films)


def ranked(score, given: Given, films: np.ndarray) -> list[float]:
    columns = zip(given.truth[films].T, given.probabilities["raw"][films].T, strict=True)
    return [score(truth, values) if 0 < truth.sum() < len(truth) else np.nan for truth, values in columns]


def gap(given: Given, films: np.ndarray, group: np.ndarray, pair: tuple[str, str]) -> np.ndarray:
    first, second = (aurocs(given, films[group[films] == name]) for name in pair)
    return np.subtract(first, second)


def rates(given: Given, films: np.ndarray, called: np.ndarray, keys: list[str]) -> list[float]:
    values = []
    for f in range(len(given.findings)):
        matrix = confusion_matrix(given.truth[films, f], called[films, f], labels=[0, 1])
        tn, fp, fn, tp = matrix.ravel().astype(float)
        with np.errstate(all="ignore"):
            sensitivity, specificity = np.divide(tp, tp + fn), np.divide(tn, tn + fp)
            product = (tp + fn) * (tn + fp) * (tp + fp) * (tn + fn)
            own = (
                sensitivity, specificity, np.divide(tp, tp + fp), np.divide(tn, tn + fn),
                np.divide(2 * tp, 2 * tp + fp + fn), (sensitivity + specificity) / 2,
                np.divide(tp * tn - fp * fn, np.sqrt(product)), np.divide(tp + tn, tn + fp + fn + tp),
            )  # fmt: skip
        values += own[: len(keys)]
    return values


def trust(given: Given, films: np.ndarray, kind: str) -> list[float]:
    """Brier score and calibration error of every finding."""
    values = []
    for f in range(len(given.findings)):
        truth, scores = given.truth[films, f], given.probabilities[kind][films, f]
        apart = np.bincount(given.bins[kind][films, f], weights=truth - scores)
        values += [brier_score_loss(truth, scores), np.abs(apart).sum() / len(films)]
    return values
