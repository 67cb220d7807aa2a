"""The figures of metrics.json that come from truth and predictions: of probabilities (rankings), of decisions (rates).

A further figure is a function and a line in `RANKINGS` or `RATES`: metrics.json with intervals and means, the result
table, the report, the model card and comparisons follow (`cxr.evaluation.metrics.FIGURES`). Each function serves films
and resamples alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from cxr.evaluation import bootstrap


@dataclass(frozen=True)
class Figure:
    """A figure.

    key: in metrics.json. title: in tables for people. compute: from what its kind is computed from. plain: for a
    ranking (truth, probabilities) -> float without weights, by a library. column: its heading in result.csv, "" = it
    has none there beside those of the original's form. on_card: whether the model card shows it. share: of a rate that
    is one, what is counted and of how many. undefined: why it is n/a where it is.
    """

    key: str
    title: str
    compute: Callable | None = None
    plain: Callable | None = None
    column: str = ""
    on_card: bool = False
    share: Callable | None = None
    undefined: str = "no film with a known label"


# --- of probabilities


@dataclass(frozen=True)
class Ranking:
    """Films with a known label, sorted by falling probability; films of equal probability form a group.

    Only groups with a positive film matter to AUROC and average precision: M of them.
    """

    patients: np.ndarray  # (n,) index of the patient of each sorted film
    positives: np.ndarray  # positions of the positive films
    first_positive: np.ndarray  # (M,) index into `positives` where each group begins
    begins: np.ndarray  # (M,) position of each group's first film
    ends: np.ndarray  # (M,) position after each group's last film


def rank(truth: np.ndarray, probabilities: np.ndarray, patients: np.ndarray) -> Ranking:
    """Sort the films of one finding.

    Parameters
    ----------
    truth : array of shape (N,)
        1, 0 or NaN = not known; such films are left out.
    probabilities : array of shape (N,)
    patients : int array of shape (N,)
        Index of each film's patient.
    """
    known = np.flatnonzero(~np.isnan(truth))
    order = known[np.argsort(-probabilities[known], kind="stable")]
    scores = probabilities[order]  # (n,)
    _, group_begins = np.unique(-scores, return_index=True)
    group_ends = np.append(group_begins[1:], len(scores))[: len(group_begins)]
    positives = np.flatnonzero(truth[order] == 1)
    group_of_positive = np.searchsorted(group_begins, positives, side="right") - 1
    groups, first_positive = np.unique(group_of_positive, return_index=True)
    return Ranking(patients[order], positives, first_positive, group_begins[groups], group_ends[groups])


@dataclass(frozen=True)
class Drawn:
    """Films counted as often as their patient was drawn, by group of equal probability from the highest: M groups.

    Groups without a positive film are left out; their negative films count in the groups after them.
    """

    positives: np.ndarray  # (M,) in each group
    positives_to_end: np.ndarray  # (M,) up to the end of each group
    negatives_to_begin: np.ndarray
    negatives_to_end: np.ndarray
    positive: int  # of all films
    negative: int


def auroc(drawn: Drawn) -> float:
    # A positive film beats the negatives after its group and half of those in it (Hanley and McNeil 1982).
    doubled_wins = drawn.positives * (2 * drawn.negative - drawn.negatives_to_end - drawn.negatives_to_begin)
    return doubled_wins.sum() / (2 * drawn.positive * drawn.negative)


def average_precision(drawn: Drawn) -> float:
    films_to_end = drawn.positives_to_end + drawn.negatives_to_end
    return np.sum(drawn.positives * drawn.positives_to_end / np.maximum(films_to_end, 1)) / drawn.positive


RANKINGS = (
    Figure("auroc", "AUROC", auroc, roc_auc_score, "AUROC", on_card=True),
    Figure("average_precision", "Average precision", average_precision, average_precision_score, "AP", on_card=True),
)


def scores(ranking: Ranking, weights: np.ndarray) -> list[float]:
    """Every figure of `RANKINGS` of films that count as often as their patient was drawn.

    Parameters
    ----------
    ranking : Ranking
    weights : int array of shape (P,)
        How often each patient was drawn; all 1 gives the figures of scikit-learn.

    Returns
    -------
    scores : list of float
        NaN where not both classes were drawn.
    """
    film_weights = weights[ranking.patients]
    films_before = np.concatenate([[0], np.cumsum(film_weights)])  # (n + 1,)
    if not len(ranking.positives):
        return [np.nan] * len(RANKINGS)
    positives = np.add.reduceat(film_weights[ranking.positives], ranking.first_positive)
    to_end = np.cumsum(positives)
    before, until = films_before[ranking.begins] - (to_end - positives), films_before[ranking.ends] - to_end
    drawn = Drawn(positives, to_end, before, until, to_end[-1], films_before[-1] - to_end[-1])
    if drawn.positive == 0 or drawn.negative == 0:
        return [np.nan] * len(RANKINGS)
    return [float(figure.compute(drawn)) for figure in RANKINGS]


def replicate_scores(truth, probabilities, patient_ids, replicates: int, seed: int) -> dict[str, np.ndarray]:
    """The figures of `RANKINGS` in every replicate; all findings (and models) of a seed share their draws.

    Parameters
    ----------
    truth, probabilities : arrays of shape (N, F)
    patient_ids : array of shape (N,)
    replicates, seed : int

    Returns
    -------
    scores : dict of arrays of shape (replicates, F)
        By key; NaN where a replicate has not both classes. The order of films does not matter.
    """
    names, patients = np.unique(np.asarray(patient_ids, dtype=str), return_inverse=True)
    rankings = [rank(truth[:, f], probabilities[:, f], patients) for f in range(truth.shape[1])]
    results = np.full((replicates, truth.shape[1], len(RANKINGS)), np.nan)
    for number, weights in enumerate(bootstrap.draws(len(names), replicates, seed)):
        results[number] = [scores(ranking, weights) for ranking in rankings]
    return {figure.key: results[..., index] for index, figure in enumerate(RANKINGS)}


# --- of decisions


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


def _rate(key: str, title: str, share: Callable, undefined: str) -> Figure:
    """A figure that is a share of films: of all that have the finding, of all that are called …"""
    return Figure(key, title, lambda n: _share(*share(n)), on_card=True, share=share, undefined=undefined)


def matthews(n: Counts) -> np.ndarray:
    """Matthews 1975; not defined where a row or column is empty."""
    sides = (n.hits + n.misses) * (n.alarms + n.rejections) * (n.hits + n.alarms) * (n.rejections + n.misses)
    return _share(n.hits * n.rejections - n.alarms * n.misses, np.sqrt(sides))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)


# Recall is sensitivity, precision is the positive predictive value.
RATES = (
    _rate("recall", "Sensitivity", lambda n: (n.hits, n.hits + n.misses), "no positive film"),
    _rate("specificity", "Specificity", lambda n: (n.rejections, n.rejections + n.alarms), "no negative film"),
    _rate("precision", "PPV", lambda n: (n.hits, n.hits + n.alarms), "no film is called"),
    _rate(
        "negative_predictive_value", "NPV", lambda n: (n.rejections, n.rejections + n.misses), "every film is called"
    ),
    Figure(
        "f1", "F1", lambda n: _share(2 * n.hits, 2 * n.hits + n.alarms + n.misses), column="F1",
        undefined="no positive film, and none is called",
    ),
    Figure(
        "balanced_accuracy", "Balanced accuracy", lambda n: (recall(n) + specificity(n)) / 2,
        undefined="no positive or no negative film",
    ),
    Figure("matthews_correlation", "MCC", matthews, undefined="all films are called alike, or labelled alike"),
    _rate("accuracy", "Accuracy", lambda n: (n.hits + n.rejections, n.all), Figure.undefined),
)  # fmt: skip
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


def rates(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of decisions.

    Parameters
    ----------
    counts : array of shape (..., 4)
        True positives, false positives, true negatives, false negatives.

    Returns
    -------
    rates : dict of float arrays of shape (...)
        Those of `RATES` and `SHARES` by key; NaN where not defined.
    """
    films = Counts(*np.moveaxis(np.asarray(counts, dtype=float), -1, 0))
    return {figure.key: figure.compute(films) for figure in (*RATES, *SHARES)}


def replicate_rates(truth, decisions, patient_ids, replicates: int, seed: int) -> dict[str, np.ndarray]:
    """The figures of every patient resample, arrays of shape (replicates, F); arguments as in `outcomes`.

    The draws of a seed are those of `replicate_scores`.
    """
    findings = truth.shape[1]
    films = outcomes(truth, decisions).reshape(len(truth), findings * 4)
    counts = bootstrap.replicate_sums(films, patient_ids, replicates, seed).reshape(replicates, findings, 4)
    return rates(counts)
