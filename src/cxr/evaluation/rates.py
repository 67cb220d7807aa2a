"""Figures of yes/no decisions (sensitivity, PPV, F1, MCC …), from counts; one formula for films and for replicates."""

from dataclasses import dataclass

import numpy as np

from cxr.evaluation import bootstrap
from cxr.evaluation.figure import Figure


@dataclass(frozen=True)
class Counts:
    """Films by outcome, float arrays of shape (...)."""

    hits: np.ndarray  # true positives
    alarms: np.ndarray  # false positives
    rejections: np.ndarray  # true negatives
    misses: np.ndarray  # false negatives

    @property
    def all(self) -> np.ndarray:
        return self.hits + self.alarms + self.rejections + self.misses


def recall(n: Counts) -> np.ndarray:
    return _share(n.hits, n.hits + n.misses)


def specificity(n: Counts) -> np.ndarray:
    return _share(n.rejections, n.rejections + n.alarms)


def matthews(n: Counts) -> np.ndarray:
    """Matthews 1975; not defined where a row or column is empty."""
    sides = (n.hits + n.misses) * (n.alarms + n.rejections) * (n.hits + n.alarms) * (n.rejections + n.misses)
    return _share(n.hits * n.rejections - n.alarms * n.misses, np.sqrt(sides))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)


# Recall is sensitivity, precision is the positive predictive value.
RATES = (
    Figure("recall", "Sensitivity", recall, on_card=True),
    Figure("specificity", "Specificity", specificity, on_card=True),
    Figure("precision", "PPV", lambda n: _share(n.hits, n.hits + n.alarms), on_card=True),
    Figure("negative_predictive_value", "NPV", lambda n: _share(n.rejections, n.rejections + n.misses), on_card=True),
    Figure("f1", "F1", lambda n: _share(2 * n.hits, 2 * n.hits + n.alarms + n.misses), column="F1"),
    Figure("balanced_accuracy", "Balanced accuracy", lambda n: (recall(n) + specificity(n)) / 2),
    Figure("matthews_correlation", "MCC", matthews),
    Figure("accuracy", "Accuracy", lambda n: _share(n.hits + n.rejections, n.all), on_card=True),
)
# What accuracy is to be held against; they need no interval.
SHARES = (
    Figure("prevalence", "Prevalence", lambda n: _share(n.hits + n.misses, n.all)),
    Figure("always_no_accuracy", "Always-no", lambda n: _share(n.alarms + n.rejections, n.all), on_card=True),
    Figure(
        "always_majority_accuracy",
        "Always the majority",
        lambda n: _share(np.maximum(n.hits + n.misses, n.alarms + n.rejections), n.all),
    ),
)


def outcomes(truth: np.ndarray, decisions: np.ndarray) -> np.ndarray:
    """Which outcome each film is.

    Parameters
    ----------
    truth : array of shape (N, F)
        1, 0 or NaN = not known.
    decisions : bool array of shape (N, F)

    Returns
    -------
    outcomes : int array of shape (N, F, 4)
        One-hot over true positive, false positive, true negative, false negative; all 0 where the truth is not known.
    """
    positive, negative = truth == 1, truth == 0
    return np.stack(
        [positive & decisions, negative & decisions, negative & ~decisions, positive & ~decisions], axis=-1
    ).astype(np.int64)


def figures(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of decisions.

    Parameters
    ----------
    counts : array of shape (..., 4)
        True positives, false positives, true negatives, false negatives.

    Returns
    -------
    figures : dict of float arrays of shape (...)
        Those of `RATES` and `SHARES` by key; NaN where not defined.
    """
    films = Counts(*np.moveaxis(np.asarray(counts, dtype=float), -1, 0))
    return {figure.key: figure.compute(films) for figure in (*RATES, *SHARES)}


def replicate_figures(truth, decisions, patient_ids, replicates: int, seed: int) -> dict[str, np.ndarray]:
    """The figures of every patient resample, arrays of shape (replicates, F); arguments as in `outcomes`.

    The draws of a seed are those of `bootstrap.replicate_scores`.
    """
    findings = truth.shape[1]
    films = outcomes(truth, decisions).reshape(len(truth), findings * 4)
    counts = bootstrap.replicate_sums(films, patient_ids, replicates, seed).reshape(replicates, findings, 4)
    return figures(counts)
