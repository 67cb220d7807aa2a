"""A promise that can be checked: "misses at most 10 % of the positives", by conformal risk control (Angelopoulos 2022).

What is promised is of patients: of a new patient with the finding, the share of the films with it that is missed, on
average over patients. Films of one patient resemble each other and are not exchangeable; patients are.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta

from cxr.core.errors import counted
from cxr.evaluation.bootstrap import exact_interval
from cxr.evaluation.calibration import logit
from cxr.new_hospital.carried import Here
from cxr.tables.splitting import hash_fraction

RISK = 0.1  # the promise: at most this share is missed
RISKS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2)  # of the abstaining variant
COVERAGES = np.round(np.arange(0.05, 1.001, 0.05), 2)
HELD, BROKEN, OPEN, NONE = "held", "broken", "not decided", "could not be made"


def patients_needed(risk: float) -> int:
    """The fewest patients of a calibration that can promise a risk: with fewer, one to come could be all of it."""
    return math.ceil(1 / Fraction(str(risk))) - 1


def limit(scores: np.ndarray, patients: np.ndarray, risk: float) -> float | None:
    """The highest threshold that keeps the promise: score >= threshold is called.

    Parameters
    ----------
    scores : array of shape (N,)
        Of the films with the finding.
    patients : array of shape (N,)
        Whose films they are.
    risk : float
        0..1.

    Returns
    -------
    threshold : float or None
        (n / (n + 1)) x missed + 1 / (n + 1) <= risk, with n patients and their mean share of missed films; None where
        n < `patients_needed`.
    """
    names, owners, films = np.unique(np.asarray(patients, dtype=str), return_inverse=True, return_counts=True)
    if len(names) < patients_needed(risk):
        return None
    order = np.argsort(scores, kind="stable")
    weights = 1 / films[owners[order]]
    missed_before = np.cumsum(weights) - weights  # patients, were the threshold this film's score
    allowed = risk * (len(names) + 1) - 1
    return float(scores[order][np.flatnonzero(missed_before <= allowed + 1e-9)[-1]])


def one_film(image_ids: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """One film of every patient, int array of positions: drawn by a hash, so that it is the same in every run.

    A patient's missed share is the chance that a film drawn so is missed: counts of these films are binomial, and their
    exact interval is one of what was promised.
    """
    order = np.argsort(hash_fraction("promise", image_ids), kind="stable")
    _, first = np.unique(np.asarray(patients, dtype=str)[order], return_index=True)
    return order[first]


def fate(missed: np.ndarray, image_ids: np.ndarray, patients: np.ndarray, risk: float) -> dict[str, Any]:
    """Whether a promise holds on other patients.

    Parameters
    ----------
    missed : bool array of shape (N,)
        Of the films with the finding.
    image_ids, patients : arrays of shape (N,)
    risk : float

    Returns
    -------
    fate : dict
        ``missed``: mean share over patients; ``missed_of_films``; ``drawn``, ``drawn_missed``: of `one_film` a patient,
        with the exact interval ``low`` to ``high`` (Clopper and Pearson 1934); ``fate``: held where all of it is at
        most the risk, broken where all of it is above.
    """
    if not len(missed):
        return {"missed": np.nan, "drawn": 0, "drawn_missed": 0, "drawn_found": 0, "fate": OPEN}
    chosen = missed[one_film(image_ids, patients)]
    low, high = exact_interval(int(chosen.sum()), len(chosen))
    return {
        "missed": float(pd.Series(missed, dtype=float).groupby(np.asarray(patients, dtype=str)).mean().mean()),
        "missed_of_films": float(missed.mean()),
        "low": low,
        "high": high,
        "drawn": len(chosen),
        "drawn_missed": int(chosen.sum()),
        "drawn_found": int((~chosen).sum()),
        "fate": HELD if high <= risk else BROKEN if low > risk else OPEN,
    }


def luck(patients: int, risk: float) -> tuple[float, float]:
    """Where 95 % of thresholds of so many patients, a film each, land at home: the promise is their mean."""
    allowed = math.floor(Fraction(str(risk)) * (patients + 1))
    return tuple(float(end) for end in beta.interval(0.95, allowed, patients + 1 - allowed))


def halves(here: Here) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of the local patients by a hash, bool arrays of shape (N,): to promise anew on, and to test on."""
    first = hash_fraction("promise-half", here.patients) < 0.5
    return first, ~first


def _sources(here: Here, home: Here | None) -> list[tuple[str, Here, np.ndarray, np.ndarray]]:
    """Where promises are made: name, films, those that it is made from, and the local films that it is tested on."""
    first, second = halves(here)
    local = ("here", here, first, second)
    return (
        [("home", home, *(np.ones(len(films.table), dtype=bool) for films in (home, here))), local] if home else [local]
    )


def promises(here: Here, home: Here | None) -> pd.DataFrame:
    """The promise `RISK` of each finding: made at home and checked here; and made on half of here, checked on the rest.

    Returns
    -------
    table : DataFrame
        ``finding``, ``made`` (home, here), ``patients`` that it was made from and those ``needed``, ``threshold``,
        ``luck_low`` and ``luck_high`` from `luck`, then what `fate` says.
    """
    rows = []
    for f, finding in enumerate(here.findings):
        for name, source, fit, test in _sources(here, home):
            fit, test = fit & (source.truth[:, f] == 1), test & (here.truth[:, f] == 1)
            patients = len(np.unique(source.patients[fit]))
            threshold = limit(source.raw[fit, f], source.patients[fit], RISK)
            row = {"finding": finding, "made": name, "patients": patients, "needed": patients_needed(RISK)}
            if threshold is None:
                rows.append({**row, "fate": NONE})
                continue
            low, high = luck(patients, RISK)
            row |= {"threshold": threshold, "luck_low": low, "luck_high": high}
            missed, ids = here.raw[test, f] < threshold, here.table["image_id"].to_numpy()[test]
            rows.append(row | fate(missed, ids, here.patients[test], RISK))
    columns = ["finding", "made", "patients", "needed", "threshold", "luck_low", "luck_high"]
    columns += ["missed", "missed_of_films", "low", "high", "drawn", "drawn_missed", "drawn_found", "fate"]
    return pd.DataFrame(rows, columns=columns)


def sentence(row: dict[str, Any]) -> str:
    """The fate of a promise, said plainly."""
    finding, made = row["finding"], "at home" if row["made"] == "home" else "on half of the patients here"
    if row["fate"] == NONE:
        return (
            f"{finding}: no promise could be made {made}: {counted(int(row['patients']), 'patient')} with the finding, "
            f"{row['needed']} are needed."
        )
    promised = f"{finding}: promised {made}, at most {RISK:.0%} missed"
    told = {HELD: "It held.", BROKEN: "It broke.", OPEN: "These patients are too few to tell."}[row["fate"]]
    if not row["drawn"]:
        return f"{promised}; no local film has it, so nothing can be said."
    if row["fate"] == OPEN:
        told = "It may have broken" if row["missed"] > RISK else "Nothing says that it broke"
        told += ", but these patients are too few to tell."
    return (
        f"{promised}; missed here {row['missed']:.1%} (exact 95 % interval {row['low']:.1%} to {row['high']:.1%}, "
        f"{row['drawn']:,.0f} patients, a film each). {told}"
    )


def answers(scores: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Films that are called yes, and no, bool of shape (N,); the others are left to a reader.

    Parameters
    ----------
    scores : array of shape (N,)
    low : float
        Below it no keeps the promise about the films with the finding.
    high : float
        Above it yes keeps the one about those without. Where it is below ``low`` one threshold keeps both.
    """
    no = scores < low
    return (scores > high) & ~no if high >= low else ~no, no


def abstaining(here: Here, home: Here | None) -> pd.DataFrame:
    """Yes, no, or left to a reader, at each of `RISKS`: both errors promised, and what is left of coverage.

    Returns
    -------
    table : DataFrame
        ``finding``, ``made``, ``risk``; ``coverage``: share of films that are answered; ``missed``: mean share over
        patients with the finding that is called no; ``alarmed``: the same of those without that are called yes;
        ``wrong``: share of the answered films that are; the other columns count films.
    """
    rows = []
    for f, finding in enumerate(here.findings):
        for name, source, fit, test in _sources(here, home):
            scores, owners, labels = source.raw[fit, f], source.patients[fit], source.truth[fit, f]
            truth, patients = here.truth[test, f], here.patients[test]
            for risk in RISKS:
                low = limit(scores[labels == 1], owners[labels == 1], risk)
                high = limit(-scores[labels == 0], owners[labels == 0], risk)
                if low is None or high is None:
                    continue
                yes, no = answers(here.raw[test, f], low, -high)
                rows.append({"finding": finding, "made": name, "risk": risk, **_answered(truth, yes, no, patients)})
    columns = ["finding", "made", "risk", "coverage", "missed", "alarmed", "wrong", "answered", "left"]
    columns += ["answered_wrong", "answered_right", "missed_films", "found_films", "alarmed_films", "spared_films"]
    return pd.DataFrame(rows, columns=columns)


def _answered(truth: np.ndarray, yes: np.ndarray, no: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
    known = ~np.isnan(truth)
    answered, wrong = known & (yes | no), (no & (truth == 1)) | (yes & (truth == 0))

    def by_patient(error: np.ndarray, films: np.ndarray) -> float:
        owners = np.asarray(patients[films], dtype=str)
        return float(pd.Series(error[films], dtype=float).groupby(owners).mean().mean())

    return {
        "coverage": float(answered.sum() / known.sum()) if known.any() else np.nan,
        "missed": by_patient(no, truth == 1),
        "alarmed": by_patient(yes, truth == 0),
        "wrong": float(wrong.sum() / answered.sum()) if answered.any() else np.nan,
        "answered": int(answered.sum()),
        "left": int((known & ~answered).sum()),
        "answered_wrong": int(wrong.sum()),
        "answered_right": int(answered.sum() - wrong.sum()),
        "missed_films": int((no & (truth == 1)).sum()),
        "found_films": int((~no & (truth == 1)).sum()),
        "alarmed_films": int((yes & (truth == 0)).sum()),
        "spared_films": int((~yes & (truth == 0)).sum()),
    }


def risk_coverage(here: Here) -> pd.DataFrame:
    """Share of wrong decisions among the surest films, of each finding, by how many are answered (Geifman 2017).

    Sure is who is far from the threshold that came, in logits. A row for each of `COVERAGES`: ``wrong`` of the
    ``answered`` films.
    """
    parts = []
    for f, finding in enumerate(here.findings):
        known = ~np.isnan(here.truth[:, f])
        far = np.abs(logit(here.raw[known, f]) - logit(here.limits[known, f]))
        wrong = (here.decisions[known, f] != here.truth[known, f])[np.argsort(-far, kind="stable")]
        films = np.ceil(COVERAGES * len(wrong)).astype(int)
        errors = np.append(0, np.cumsum(wrong))[films]
        with np.errstate(invalid="ignore"):
            parts.append(
                pd.DataFrame(
                    {"finding": finding, "coverage": COVERAGES, "wrong": errors / films, "answered": films,
                     "answered_wrong": errors, "answered_right": films - errors}
                )
            )  # fmt: skip
    return pd.concat(parts, ignore_index=True)
