"""95 % intervals by patient bootstrap: patients are drawn with replacement, with all of their films.

Films of one patient resemble each other, so resampling films would give intervals that are too narrow. How often a
patient was drawn is a weight; films are sorted once per finding, and a replicate is then one pass over sorted weights
instead of a new sort. Resampling the test films does not cover the variance of training.

Where all films or none are right every resample is the same, and of a few patients too few are: there resampling
cannot say how sure a figure is. A share has an exact interval then, every other figure none.

One rule for few patients, with a finding or without it (`shortage`): below `FEWEST` a figure is marked, below `LEAST`
it has no interval. A resample holds nothing but the patients that are there, so its figures stay between those of the
best and the worst of k. The middle of a symmetric distribution lies between the extremes of k draws with probability
1 - 2 ** (1 - k): 0, .50, .75, .88 for 1 to 4, and at 5, with .94, near the .95 that is said for the first time.
Measured coverage: docs/new_hospital.md.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import binomtest

from cxr.core.errors import counted

FEWEST = 10  # patients with a finding, and without it, below which a figure is marked: one film moves it by much
LEAST = 5  # below which resampling says nothing of it
NO_WIDTH = 1e-12  # rounding of a mean of equal numbers


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


def interval(
    values: np.ndarray, silent: str | None = None, equal_says_nothing: bool = True
) -> list[float] | None:  # fmt: skip
    """95 % percentile interval [low, high] of replicates without the undefined ones.

    None for fewer than two, where patients are too few (``silent``: from `silence`), and where it would have no width:
    that every resample gives the same does not mean that other patients would (``equal_says_nothing`` False: it does).
    """
    values = values[~np.isnan(values)]
    if len(values) < 2 or silent:
        return None
    low, high = (float(limit) for limit in np.percentile(values, [2.5, 97.5]))
    return None if equal_says_nothing and high - low < NO_WIDTH else [low, high]


def intervals(drawn: Mapping[str, np.ndarray], silent: str | None, patients: int) -> dict[str, Any]:
    """`interval` of each figure (key -> replicates) of so many patients, as metrics.json holds it.

    Returns
    -------
    intervals : dict
        ``<key>_interval``, and ``without_interval``: key -> why it has none.
    """
    limits = {key: interval(values, silent) for key, values in drawn.items()}
    why = {key: silent or why_none(patients, len(drawn[key])) for key in drawn if limits[key] is None}
    return {**{f"{key}_interval": own for key, own in limits.items()}, "without_interval": why}


def exact_interval(right: int, films: int) -> list[float]:
    """95 % interval [low, high] of a share (Clopper and Pearson 1934), as if no two films were of one patient."""
    limits = binomtest(right, films).proportion_ci(method="exact")
    return [float(limits.low), float(limits.high)]


def share_interval(
    limits: list[float] | None, right: int, films: int, patients: int
) -> tuple[list[float] | None, bool]:
    """A share's interval and whether it is exact: that is taken where `interval` says nothing, or of few patients.

    None of one patient. ``right`` of ``films``, of so many patients; ``limits``: from resampling.
    """
    if patients > 1 and (limits is None or patients < FEWEST):
        return exact_interval(right, films), True
    return limits, False


def why_none(patients: int, replicates: int) -> str:
    """Why a figure that is defined has no interval."""
    if patients < LEAST:
        return "it is of one patient" if patients == 1 else f"it is of {patients} patients"
    return "every resample that defines it gives the same" if replicates else "BOOTSTRAP_REPLICATES is 0"


def few(patients: np.ndarray) -> bool:
    """Whether films, of whose patients this is an array (N,), are of fewer than `FEWEST`."""
    return len(np.unique(patients)) < FEWEST


def shortage(truth: np.ndarray, patients: np.ndarray, needed: int = FEWEST) -> str | None:
    """Which patients are fewer than needed, such as "1 positive patient"; None where enough are.

    Parameters
    ----------
    truth : array of shape (N,)
        1, 0 or NaN = not known.
    patients : array of shape (N,)
        Of one with films of both labels, it counts for both.
    needed : int
    """
    return shortage_of(*(len(np.unique(patients[truth == label])) for label in (1, 0)), needed)


def shortage_of(positive: int, negative: int, needed: int = FEWEST) -> str | None:
    """`shortage` of so many patients with the finding, and without it."""
    counts = {"positive": positive, "negative": negative}
    rarer = min(counts, key=counts.get)
    return None if counts[rarer] >= needed else counted(counts[rarer], f"{rarer} patient")


def too_few(truth: np.ndarray, patients: np.ndarray) -> bool:
    """Whether fewer than `FEWEST` patients have the finding, or have films without it; arrays of shape (N,)."""
    return shortage(truth, patients) is not None


def silence(truth: np.ndarray, patients: np.ndarray) -> str | None:
    """Why resampling says nothing of a figure of positive and negative films: `shortage` of `LEAST`; None: it does."""
    return shortage(truth, patients, LEAST)


def silence_of_mean(silent: Mapping[str, str | None]) -> str | None:
    """`silence` of a mean over findings (name -> their `silence`): one of which nothing can be said moves it too."""
    few = [finding for finding, reason in silent.items() if reason]
    return f"fewer than {LEAST} patients in {len(few)} of its {len(silent)} findings" if few else None


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
        None without replicates, or where there are fewer than `LEAST` patients.
    """
    values = np.asarray(values, dtype=float)
    known = ~np.isnan(values)
    names, patients = np.unique(np.asarray(groups, dtype=str)[known], return_inverse=True)
    if len(names) < LEAST:
        return None
    sums = np.bincount(patients, weights=values[known])
    films = np.bincount(patients)
    return interval(np.array([weights @ sums / (weights @ films) for weights in draws(len(names), replicates, seed)]))
