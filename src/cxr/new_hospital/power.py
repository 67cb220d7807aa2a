"""What a test set can show before any training, from labels alone: width of intervals, smallest difference of AUROC.

The variance of an AUROC is that of the binormal model (Obuchowski and McClish 1997) with films clustered in patients
(structural components of Obuchowski 1997, Biometrics 53:567); the difference of two models on the same films has the
variance 2 V (1 - r), r the correlation of their AUROCs (Hanley and McNeil 1983). The form of the textbooks (Hanley and
McNeil 1982, every film a patient of its own) stands beside it in benchmarks/test_set_power.py: it is far too small.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import owens_t
from scipy.stats import norm

from cxr.core.errors import counted
from cxr.evaluation.bootstrap import FEWEST
from cxr.new_hospital import disclosure

AUROC = 0.8  # assumed of both models where nothing is said
WITHIN = 0.3  # correlation of scores of two films of a patient: measured .24 to .26, rounded up
BETWEEN = 0.7  # correlation of the AUROCs of two networks on the same films: measured there too
POWER, LEVEL = 0.8, 0.95
EVEN = 0.5  # share of each side in the variance of a comparison of two films, where both spread alike


def covariance(auroc: float, correlation: float) -> float:
    """Of "the positive film has the higher score" in two pairs of films whose score differences are so correlated.

    The bivariate normal probability that both are true, less its value without correlation.
    """
    z = norm.ppf(auroc)
    both = auroc - 2 * owens_t(z, np.sqrt((1 - correlation) / (1 + correlation)))
    return float(both - auroc**2)


def variance(positives: np.ndarray, negatives: np.ndarray, auroc: float = AUROC, within: float = WITHIN) -> float:
    """Of an AUROC that is measured on films of patients.

    Parameters
    ----------
    positives, negatives : int arrays of shape (patients,)
        Films with and without the finding of each patient.
    auroc : float
        Its true value, above 0 and below 1.
    within : float
        Correlation of the scores of two films of a patient beyond what the finding explains; 0: as if each film were a
        patient's only one.
    """
    n, m = positives.sum(), negatives.sum()
    alone, clustered = covariance(auroc, EVEN), covariance(auroc, EVEN * within)
    of_positives = (n * alone + (positives * (positives - 1)).sum() * clustered) / n**2
    of_negatives = (m * alone + (negatives * (negatives - 1)).sum() * clustered) / m**2
    # A patient who scores high has positives that win more often and negatives that lose more often.
    of_both = 2 * (positives * negatives).sum() * covariance(auroc, -EVEN * within) / (n * m)
    return of_positives + of_negatives + of_both


def smallest_difference(error: float, between: float = BETWEEN) -> float:
    """The difference of two AUROCs of this standard error that is told from 0 with `POWER`, two-sided at 5 %."""
    return float((norm.ppf((1 + LEVEL) / 2) + norm.ppf(POWER)) * error * np.sqrt(2 * (1 - between)))


def table(
    truth: np.ndarray, patient_ids: Sequence[str], findings: Sequence[str], auroc: float = AUROC,
    within: float = WITHIN, between: float = BETWEEN,
) -> pd.DataFrame:  # fmt: skip
    """What a test set can show of each finding.

    Parameters
    ----------
    truth : array of shape (N, F)
        1, 0 or NaN = not known.
    patient_ids : sequence of N str
    findings : sequence of F str
    auroc, within, between : float
        See `variance` and `smallest_difference`.

    Returns
    -------
    table : DataFrame of F rows
        ``interval_width``: from the lower to the upper limit of a 95 % interval. Both figures are NaN where fewer than
        `FEWEST` patients have, or have not, the finding; ``verdict`` says so in words.
    """
    patients = pd.factorize(np.asarray(patient_ids, dtype=str))[0]
    rows = []
    for f, finding in enumerate(findings):
        with_it, without = (np.bincount(patients[truth[:, f] == label], minlength=1) for label in (1, 0))
        size = max(len(with_it), len(without))
        with_it, without = (np.pad(films, (0, size - len(films))) for films in (with_it, without))
        counts = [int((films > 0).sum()) for films in (with_it, without)]
        few = min(counts) < FEWEST
        error = np.nan if few else np.sqrt(variance(with_it, without, auroc, within))
        smallest = np.nan if few else smallest_difference(error, between)
        row = {"finding": finding, "positives": int(with_it.sum()), "negatives": int(without.sum())}
        row |= {"patients_with": counts[0], "patients_without": counts[1], "assumed_auroc": auroc}
        row |= {"interval_width": 2 * norm.ppf((1 + LEVEL) / 2) * error, "smallest_difference": smallest}
        rows.append({**row, "verdict": verdict(finding, *counts, auroc, smallest)})
    return pd.DataFrame(rows)


def aggregates(shown: pd.DataFrame) -> pd.DataFrame:
    """`table` without cells of fewer than ten films or patients."""
    few = disclosure.small(shown[list(disclosure.LABELS)])
    hidden = disclosure.masked(shown, few, ("finding", "assumed_auroc"))
    hidden.loc[few, "verdict"] = disclosure.HIDDEN
    return hidden


def verdict(finding: str, patients_with: int, patients_without: int, auroc: float, smallest: float) -> str:
    """A row of `table` in words."""
    if patients_with < FEWEST:
        return f"{counted(patients_with, 'patient')} with {finding}: nothing can be said"
    if patients_without < FEWEST:
        return f"{counted(patients_without, 'patient')} without {finding}: nothing can be said"
    if auroc + smallest >= 1:
        return f"no better model than {auroc:g} can be told; a worse one from {smallest:.3f} below on"
    return f"differences from {smallest:.3f} on are seen with {POWER:.0%} power"
