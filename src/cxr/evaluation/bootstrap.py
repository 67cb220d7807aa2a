"""95 % percentile intervals by patient bootstrap: patients are drawn with replacement, with all of their films.

Films of one patient resemble each other, so resampling films would give intervals that are too narrow. How often a
patient was drawn is a weight; films are sorted once per finding, and a replicate is then one pass over sorted weights
instead of a new sort. Resampling the test films does not cover the variance of training.
"""

import numpy as np


def draws(patients: int, replicates: int, seed: int):
    """How often each patient is drawn: an int array of shape (patients,) a replicate, whose sum is ``patients``."""
    random = np.random.default_rng(seed)
    for _ in range(replicates):
        yield np.bincount(random.integers(patients, size=patients), minlength=patients)


def replicate_sums(values: np.ndarray, patient_ids, replicates: int, seed: int) -> np.ndarray:
    """Sums over films that count as often as their patient was drawn; all sums of a seed share their draws.

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
