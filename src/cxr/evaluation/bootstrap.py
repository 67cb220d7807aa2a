"""95 % percentile intervals by patient bootstrap: patients are drawn with replacement, with all of their films.

Films of one patient resemble each other, so resampling films would give intervals that are too narrow. How often a
patient was drawn is a weight; films are sorted once per finding, and a replicate is then one pass over sorted weights
instead of a new sort. Resampling the test films does not cover the variance of training.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from cxr.evaluation.figure import Figure


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


def draws(patients: int, replicates: int, seed: int):
    """How often each patient is drawn: an int array of shape (patients,) a replicate, whose sum is ``patients``."""
    random = np.random.default_rng(seed)
    for _ in range(replicates):
        yield np.bincount(random.integers(patients, size=patients), minlength=patients)


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
    for number, weights in enumerate(draws(len(names), replicates, seed)):
        results[number] = [scores(ranking, weights) for ranking in rankings]
    return {figure.key: results[..., place] for place, figure in enumerate(RANKINGS)}


def replicate_sums(values: np.ndarray, patient_ids, replicates: int, seed: int) -> np.ndarray:
    """Sums over films that count as often as their patient was drawn; the draws of a seed are `replicate_scores`'.

    Parameters
    ----------
    values : array of shape (N, K)
    patient_ids : array of shape (N,)
    replicates, seed : int

    Returns
    -------
    sums : float array of shape (replicates, K)
    """
    names, patients = np.unique(np.asarray(patient_ids, dtype=str), return_inverse=True)
    by_patient = np.stack([np.bincount(patients, weights=column, minlength=len(names)) for column in values.T], axis=1)
    sums = np.empty((replicates, values.shape[1]))
    for number, weights in enumerate(draws(len(names), replicates, seed)):
        sums[number] = weights @ by_patient
    return sums


def interval(values: np.ndarray) -> list[float] | None:
    """95 % percentile interval [low, high] of replicates without the undefined ones; None for fewer than two."""
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return None
    return [float(limit) for limit in np.percentile(values, [2.5, 97.5])]


def mean_interval(values, groups, replicates: int, seed: int) -> list[float] | None:
    """95 % interval of a mean, by bootstrap of groups (patients).

    Parameters
    ----------
    values : array of shape (N,)
        One number a film, such as its Dice; NaN is left out.
    groups : array of shape (N,)
        The patient of each film.

    Returns
    -------
    interval : [low, high] or None
        None without replicates, or where there are fewer than two patients.
    """
    values = np.asarray(values, dtype=float)
    known = ~np.isnan(values)
    names, patients = np.unique(np.asarray(groups, dtype=str)[known], return_inverse=True)
    if len(names) < 2:
        return None
    sums = np.bincount(patients, weights=values[known])
    films = np.bincount(patients)
    return interval(np.array([weights @ sums / (weights @ films) for weights in draws(len(names), replicates, seed)]))
