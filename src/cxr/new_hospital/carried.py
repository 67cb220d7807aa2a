"""What a model is worth where it was not made, with thresholds and calibration as they came.

Prevalence there and here, calibration in the large, predictive values at any prevalence, and net benefit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from cxr.evaluation import bootstrap, predictions
from cxr.evaluation.calibration import calibrated, logit
from cxr.evaluation.figures import outcomes
from cxr.evaluation.source_fits import fit_of
from cxr.evaluation.thresholds import decide, limits
from cxr.new_hospital import disclosure

LIMITS = np.round(np.arange(0.01, 0.505, 0.01), 2)  # probabilities at which somebody might act, of decision curves
PREVALENCES = np.round(np.geomspace(0.005, 0.6, 25), 4)
MOST_LINES = 200  # resamples behind the intervals of intercept and slope: each is a fit
FARTHEST = 30  # logits: no intercept is farther from 0
VERSIONS = ("as it came, calibrated", "as it came, raw", "calibrated on the other half here")  # of probabilities
RATES = ("recall", "specificity", "precision", "negative_predictive_value")
# Of thousands of fits of two numbers: more threads only wait for each other.
ONE_THREAD = threadpool_limits.wrap(limits=1)


@dataclass(frozen=True)
class Carried:
    """What came to the new hospital.

    name: of the bundle or file. thresholds: thresholds.json. findings: those that both hospitals have. home:
    predictions of the home hospital, which the promises are made from; None where only a bundle came. notes: what is
    to be said.
    """

    name: str
    thresholds: dict[str, Any]
    findings: Sequence[str]
    home: pd.DataFrame | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Here:
    """The new hospital's films as the model saw them; arrays of shape (N, F), of which NaN = not known.

    deployed: probabilities as one would have shown them: calibrated as it came, where it could be. limits: thresholds
    that came. decisions: probability >= limits.
    """

    table: pd.DataFrame
    findings: list[str]
    patients: np.ndarray  # (N,)
    truth: np.ndarray
    raw: np.ndarray
    deployed: np.ndarray
    limits: np.ndarray
    decisions: np.ndarray


def at(table: pd.DataFrame, thresholds: dict[str, Any]) -> Here:
    """A predictions table under thresholds and calibration of somewhere else."""
    truth, raw = predictions.arrays(table)
    known = calibrated(table, thresholds["calibration"])
    return Here(
        table, predictions.findings_of(table), table["patient_id"].to_numpy(), truth, raw,
        np.where(np.isnan(known), raw, known), limits(table, thresholds), decide(table, thresholds),
    )  # fmt: skip


def as_came(here: Here, carried: Carried, block: Mapping[str, Any], replicates: int, seed: int) -> pd.DataFrame:
    """A row a finding: prevalence there and here, the figures of metrics.json that one acts on, calibration.

    Parameters
    ----------
    here : Here
    carried : Carried
    block : mapping
        metrics.json of these films, from `cxr.evaluation.metrics.evaluate`.
    replicates, seed : int
        Patient resamples behind the intervals of calibration, of which `MOST_LINES` are used.
    """
    labels = disclosure.of_labels(here.truth, here.patients, here.findings)
    counts = labels.join(disclosure.of_decisions(here.truth, here.decisions, here.findings))
    sources = predictions.source(here.table)
    rows = []
    for f, finding in enumerate(here.findings):
        values, known = block["findings"][finding], ~np.isnan(here.truth[:, f])
        fits = {name: fit_of(carried.thresholds["findings"][finding], name) for name in set(sources)}
        of_most = fits[max(sorted(fits), key=lambda name: (sources == name).sum())]
        row = {
            "finding": finding,
            "films": int(known.sum()),
            **{name: int(counts.at[finding, name]) for name in disclosure.LABELS},
            "prevalence_home": of_most.get("prevalence"),
            "prevalence_here": values["prevalence"],
            "threshold": of_most["threshold"],
            **{name: int(counts.at[finding, name]) for name in disclosure.DECISIONS},
        }
        for key in ("auroc", *RATES):
            row[key] = values[key]
            row[f"{key}_low"], row[f"{key}_high"] = values[f"{key}_interval"] or (None, None)
        arrays = (here.truth[known, f], here.deployed[known, f], here.patients[known])
        rows.append(row | in_the_large(*arrays, replicates, seed))
    table = pd.DataFrame(rows).set_index("finding")
    return table.apply(pd.to_numeric).reset_index()  # of None: NaN


@ONE_THREAD
def in_the_large(truth, probabilities, patient_ids, replicates: int, seed: int) -> dict[str, float | None]:
    """How far probabilities are off as a whole (Cox 1958; Van Calster 2019).

    Parameters
    ----------
    truth, probabilities : arrays of shape (N,)
        All known.
    patient_ids : array of shape (N,)
    replicates, seed : int

    Returns
    -------
    figures : dict
        ``expected``, ``observed``: films with the finding, by the probabilities and by the labels. ``intercept``: what
        must be added to all logits for both to be equal (0 = right; below it, probabilities are too high). ``slope`` of
        a logistic regression on the logit (1 = right; below it, they are too extreme). Of both ``_low`` and ``_high``;
        None where not both classes are there.
    """
    sums = {"expected": float(np.sum(probabilities)), "observed": int(np.sum(truth))}
    keys = ("intercept", "slope")
    if len(set(truth)) < 2:
        return sums | {f"{key}{end}": None for key in keys for end in ("", "_low", "_high")}
    scores = logit(probabilities)
    names, patients = np.unique(np.asarray(patient_ids, dtype=str), return_inverse=True)
    drawn = [
        _line(truth, scores, weights[patients]) for weights in bootstrap.draws(len(names), replicates, seed)
    ]  # fmt: skip
    drawn, silent = np.array(drawn).reshape(-1, 2), bootstrap.silence(truth, patients)
    for column, (key, value) in enumerate(zip(keys, _line(truth, scores, np.ones(len(truth))), strict=True)):
        low, high = bootstrap.interval(drawn[:, column], silent) or (None, None)
        sums |= {key: value, f"{key}_low": low, f"{key}_high": high}
    return sums


def _line(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Intercept at slope 1, and slope, of films that count as often as their patient was drawn."""
    used = weights > 0
    truth, scores, weights = truth[used], scores[used], weights[used]
    if len(set(truth)) < 2:
        return np.nan, np.nan
    intercept = brentq(lambda shift: weights @ (expit(scores + shift) - truth), -FARTHEST, FARTHEST)
    if np.ptp(scores) == 0:
        return float(intercept), np.nan
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(scores[:, None], truth, weights)
    return float(intercept), float(model.coef_[0, 0])


def predictive_values(sensitivity: float, specificity: float, prevalences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PPV and NPV at each prevalence, by Bayes: what a threshold is worth elsewhere if its two rates hold there."""
    with np.errstate(invalid="ignore"):
        hits, alarms = sensitivity * prevalences, (1 - specificity) * (1 - prevalences)
        rejections, misses = specificity * (1 - prevalences), (1 - sensitivity) * prevalences
        return hits / (hits + alarms), rejections / (rejections + misses)


def predictive_curves(came: pd.DataFrame) -> pd.DataFrame:
    """PPV and NPV of each finding over `PREVALENCES`, from the sensitivity and specificity of `as_came`."""
    parts = []
    for row in came.itertuples():
        ppv, npv = predictive_values(row.recall, row.specificity, PREVALENCES)
        curve = {"finding": row.finding, "prevalence": PREVALENCES, "ppv": ppv, "npv": npv}
        parts.append(pd.DataFrame(curve))
    return pd.concat(parts, ignore_index=True)


def net_benefit(truth: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Decision curve (Vickers and Elkin 2006) at `LIMITS`, of arrays (N,): a row a limit.

    ``net_benefit``: (hits - alarms x limit / (1 - limit)) / films, of calling every film from the limit on; the unit is
    a film with the finding that is called, with no alarm to pay for it. ``treat_all``: of calling every film.
    """
    known = ~np.isnan(truth)
    called = probabilities[known][:, None] >= LIMITS
    positive = truth[known] == 1
    counts = outcomes(np.broadcast_to(truth[known][:, None], called.shape), called).sum(axis=0)  # (limits, 4)
    odds, films, positives = LIMITS / (1 - LIMITS), known.sum(), positive.sum()
    table = pd.DataFrame(counts, columns=disclosure.DECISIONS)
    table.insert(0, "limit", LIMITS)
    table["net_benefit"] = (table["hits"] - table["alarms"] * odds) / films
    table["treat_all"] = (positives - (films - positives) * odds) / films
    return table


def decision_curves(here: Here, versions: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """`net_benefit` of each finding under each version of its probabilities (N, F), such as calibrated or not."""
    parts = [
        net_benefit(here.truth[:, f], values[:, f]).assign(finding=finding, version=version)
        for f, finding in enumerate(here.findings)
        for version, values in versions.items()
        if not np.isnan(here.truth[:, f]).all()
    ]
    return pd.concat(parts, ignore_index=True)
