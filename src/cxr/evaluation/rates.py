"""Figures of yes/no decisions (sensitivity, PPV, F1, MCC …), from counts; one formula for films and for replicates."""

import numpy as np

from cxr.evaluation import bootstrap

# What a figure is called in metrics.json; recall is sensitivity, precision is the positive predictive value.
FIGURES = (
    "accuracy precision recall specificity negative_predictive_value f1 balanced_accuracy matthews_correlation"
).split()


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
        NaN where not defined. Matthews' correlation (Matthews 1975) is not defined where a row or column is empty.
    """
    hits, alarms, rejections, misses = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    positives, negatives, called, not_called = hits + misses, alarms + rejections, hits + alarms, rejections + misses
    recall, specificity = _share(hits, positives), _share(rejections, negatives)
    covariance = hits * rejections - alarms * misses
    return {
        "accuracy": _share(hits + rejections, positives + negatives),
        "precision": _share(hits, called),
        "recall": recall,
        "specificity": specificity,
        "negative_predictive_value": _share(rejections, not_called),
        "f1": _share(2 * hits, called + positives),
        "balanced_accuracy": (recall + specificity) / 2,
        "matthews_correlation": _share(covariance, np.sqrt(positives * negatives * called * not_called)),
        "prevalence": _share(positives, positives + negatives),
        "always_no_accuracy": _share(negatives, positives + negatives),
        "always_majority_accuracy": _share(np.maximum(positives, negatives), positives + negatives),
    }


def replicate_figures(truth, decisions, patient_ids, replicates: int, seed: int) -> dict[str, np.ndarray]:
    """The figures of every patient resample, arrays of shape (replicates, F); arguments as in `outcomes`.

    The draws of a seed are those of `bootstrap.replicate_scores`.
    """
    findings = truth.shape[1]
    films = outcomes(truth, decisions).reshape(len(truth), findings * 4)
    counts = bootstrap.replicate_sums(films, patient_ids, replicates, seed).reshape(replicates, findings, 4)
    return figures(counts)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)
