"""Whether another training would say the same of a film: how often decisions flip between trainings, and why.

A training is a member of a family, or the same network from another seed. Each has thresholds of its own, fitted on its
own val predictions: a film's margin is its logit minus the logit of that threshold, and its decision flips where two
trainings have margins of different sign.
"""

from collections.abc import Sequence
from itertools import combinations, islice
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from cxr.core.artifacts import no_formula
from cxr.core.errors import InputError
from cxr.evaluation import predictions
from cxr.evaluation.bootstrap import FEWEST
from cxr.evaluation.calibration import NEAREST, logit
from cxr.evaluation.figures import RANKINGS
from cxr.evaluation.metrics import ranking
from cxr.evaluation.thresholds import limits
from cxr.new_hospital import disclosure

DISTANCES = (0.0, 0.25, 0.5, 1.0, 2.0)  # logits from the threshold at which a band of films begins
SIZES = (1, 2, 3, 5, 10, 20)  # members of ensembles that are told
ASKED = 0.05  # share of films that may flip between two ensembles
MOST_MEMBERS = 200
MOST_HALVES = 100
NOT_TOLD = {"films": None, "flips": None}  # of a band
OF_ALL = ("flips", "not_unanimous", "probability_sd", "coefficient_of_variation", "log_ratio")


def aligned(tables: Sequence[pd.DataFrame], names: Sequence[str]) -> list[pd.DataFrame]:
    """The trainings' predictions of the films that all of them have, in the order of the first.

    Raises
    ------
    InputError
        Fewer than two trainings, no film in common, or predictions of other findings.
    """
    if len(tables) < 2:
        raise InputError(f"{', '.join(names) or 'trainings'}: expected two trainings at least; one cannot differ.")
    common = set.intersection(*(set(table["image_id"]) for table in tables))
    ids = [image_id for image_id in tables[0]["image_id"] if image_id in common]
    if not ids:
        raise InputError(f"{' and '.join(names)}: no film in common. Give predictions of the same films.")
    for table, name in zip(tables, names, strict=True):
        if predictions.findings_of(table) != predictions.findings_of(tables[0]):
            raise InputError(f"{name}: is of other findings than {names[0]}. Give predictions of the same findings.")
    return [table.set_index("image_id", drop=False).loc[ids].reset_index(drop=True) for table in tables]


def margins(tables: Sequence[pd.DataFrame], fitted: Sequence[dict[str, Any]]) -> np.ndarray:
    """How far each training's probability lies above its own threshold, in logits.

    Parameters
    ----------
    tables : M predictions tables of the same N films
    fitted : M dicts
        thresholds.json of each training.

    Returns
    -------
    margins : array of shape (M, N, F)
        0 or more: called.
    """
    pairs = [(predictions.arrays(table)[1], limits(table, own)) for table, own in zip(tables, fitted, strict=True)]
    return np.stack([above(probabilities, threshold) for probabilities, threshold in pairs])


def above(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Logit of a probability minus that of its threshold."""
    return logit(probabilities) - logit(thresholds)


def differ(called: np.ndarray) -> np.ndarray:
    """Share of the pairs of trainings that differ on a film: k of M call it, so 2 k (M - k) / (M (M - 1)).

    Parameters
    ----------
    called : bool array of shape (M, ...)

    Returns
    -------
    shares : array of shape (...)
        Its mean over films is the share of decisions that flip from one training to another.
    """
    trainings, calls = len(called), called.sum(axis=0)
    return 2 * calls * (trainings - calls) / (trainings * (trainings - 1))


def variances(of_film: np.ndarray, pooled: np.ndarray | float) -> np.ndarray:
    """Variance of a film's margin between trainings (M, ...) -> (...): its own, with the pooled one as one more
    observation, for that of two or three trainings is hardly known."""
    trainings = len(of_film)
    own = of_film.var(axis=0, ddof=1) if trainings > 1 else np.zeros(of_film.shape[1:])
    return (pooled + (trainings - 1) * own) / trainings


def expected(of_finding: np.ndarray, members: int) -> float:
    """Share of films on which two ensembles of so many members would differ.

    A film's margins are taken as normal, the mean of m members has 1 / m of the variance. The films' mean margins are
    first drawn together by what their own error adds to their spread.

    Parameters
    ----------
    of_finding : array of shape (M, N)
        Margins of one finding.
    members : int
    """
    pooled = of_finding.var(axis=0, ddof=1).mean()
    means, spread = of_finding.mean(axis=0), variances(of_finding, pooled)
    seen = means.var()
    kept = np.sqrt(max(0.0, 1 - pooled / len(of_finding) / seen)) if seen > 0 else 1.0
    means = means.mean() + kept * (means - means.mean())
    with np.errstate(divide="ignore", invalid="ignore"):  # trainings that agree to the last digit
        positive = np.nan_to_num(norm.cdf(means * np.sqrt(members / spread)), nan=1.0)
    return float((2 * positive * (1 - positive)).mean())


def needed(of_finding: np.ndarray) -> int | None:
    """Fewest members with which less than `ASKED` of the films are `expected` to flip; None: more than MOST_MEMBERS."""
    sizes = range(1, MOST_MEMBERS + 1)
    return next((size for size in sizes if expected(of_finding, size) < ASKED), None)


def halves(of_finding: np.ndarray) -> dict[str, Any] | None:
    """Measured: share of films on which the means of two halves of the trainings differ; None for fewer than four."""
    trainings, half = len(of_finding), len(of_finding) // 2
    if half < 2:
        return None
    flips = []
    for first in islice(combinations(range(trainings), half), MOST_HALVES):
        rest = [training for training in range(trainings) if training not in first][:half]
        one, other = (of_finding[list(chosen)].mean(axis=0) >= 0 for chosen in (first, rest))
        flips.append((one != other).mean())
    return {"members": half, "flips": float(np.mean(flips))}


def between(
    tables: Sequence[pd.DataFrame], fitted: Sequence[dict[str, Any]], aggregates: bool = False
) -> dict[str, Any]:
    """How much trainings differ on the same films.

    Parameters
    ----------
    tables : M predictions tables of the same N films
    fitted : M dicts
        thresholds.json of each training.
    aggregates : bool
        Nothing that is of fewer than ten films or patients, or would tell such a count: such a finding has no block
        and is named in ``hidden``, a band is null, and ``all`` is of the other findings.

    Returns
    -------
    flips : dict that JSON can hold
        ``trainings``, ``films``; ``findings``: finding -> ``flips`` (share of decisions that differ between two
        trainings), ``not_unanimous`` (share of films), ``probability_sd``, ``coefficient_of_variation`` and
        ``log_ratio`` (of highest and lowest probability), each the mean over films, as Zech 2019 has them; ``auroc``
        (lowest and highest training), ``bands`` (by distance of the mean margin from 0: ``from``, ``films``,
        ``flips``; both null for fewer than ten films), ``expected`` (members -> share, see `expected`), ``needed``,
        ``halves``; ``all``: means over findings of flips and spread.
    """
    far, findings = margins(tables, fitted), predictions.findings_of(tables[0])
    truth, _ = predictions.arrays(tables[0])
    probabilities = np.stack([predictions.arrays(table)[1] for table in tables])
    aurocs = np.stack([ranking(RANKINGS[0], truth, of_training) for of_training in probabilities])
    blocks = {
        finding: _of_finding(far[..., f], probabilities[..., f], aurocs[:, f], aggregates)
        for f, finding in enumerate(findings)
    }
    few = _few(tables[0], far) if aggregates else []
    blocks = {finding: block for finding, block in blocks.items() if finding not in few}
    means = {name: float(np.mean([block[name] for block in blocks.values()])) for name in OF_ALL} if blocks else {}
    whole = {"trainings": len(tables), "films": len(tables[0]), "findings": blocks, "all": means}
    return whole | ({"hidden": few} if aggregates else {})


def _few(table: pd.DataFrame, far: np.ndarray) -> list[str]:
    """Findings with a cell of fewer than ten films or patients: of labels, or of films that flip or do not."""
    findings, flipped = predictions.findings_of(table), (differ(far >= 0) > 0).sum(axis=0)
    cells = disclosure.of_labels(predictions.arrays(table)[0], table["patient_id"], findings)
    cells = cells.assign(flipped=flipped, same=len(table) - flipped)
    return [finding for finding, small in disclosure.small(cells).items() if small]


def _of_finding(far: np.ndarray, probabilities: np.ndarray, aurocs: np.ndarray, aggregates: bool) -> dict[str, Any]:
    called = far >= 0
    flipped, spread = differ(called), probabilities.std(axis=0, ddof=1)
    clipped = np.clip(probabilities, NEAREST, 1 - NEAREST)
    distances = np.abs(far.mean(axis=0))
    band_of = np.searchsorted(DISTANCES, distances, side="right") - 1
    films, of_band = [band_of == number for number in range(len(DISTANCES))], []
    counts = np.array([[here.sum(), (flipped[here] > 0).sum(), (flipped[here] == 0).sum()] for here in films])
    # Of the others a share says nothing; and neither it nor the whole may tell a small count.
    told = disclosure.shown(counts) if aggregates else counts[:, 0] >= FEWEST
    for first, here, may in zip(DISTANCES, films, told, strict=True):
        values = {"films": int(here.sum()), "flips": float(flipped[here].mean())} if may else NOT_TOLD
        of_band.append({"from": first, **values})
    return {
        "flips": float(flipped.mean()),
        "not_unanimous": float((flipped > 0).mean()),
        "probability_sd": float(spread.mean()),
        "coefficient_of_variation": float((spread / clipped.mean(axis=0)).mean()),
        "log_ratio": float(np.log(clipped.max(axis=0) / clipped.min(axis=0)).mean()),
        "auroc": None if np.isnan(aurocs).any() else [float(aurocs.min()), float(aurocs.max())],
        "bands": of_band,
        "expected": {str(size): expected(far, size) for size in SIZES},
        "needed": needed(far),
        "halves": halves(far),
    }


def of_films(tables: Sequence[pd.DataFrame], fitted: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A row a film: ``image_id`` and, for each finding, ``_prob`` (mean of the trainings), ``_sd``, ``_margin`` (mean,
    logits), ``_calls`` (trainings that call it) and ``_flips`` (share of their pairs that differ)."""
    far, findings = margins(tables, fitted), predictions.findings_of(tables[0])
    probabilities = np.stack([predictions.arrays(table)[1] for table in tables])
    parts = {
        "prob": probabilities.mean(axis=0),
        "sd": probabilities.std(axis=0, ddof=1),
        "margin": far.mean(axis=0),
        "calls": (far >= 0).sum(axis=0),
        "flips": differ(far >= 0),
    }
    columns = {
        f"{finding}_{name}": values[:, f].round(6)
        for f, finding in enumerate(findings)
        for name, values in parts.items()
    }
    return pd.DataFrame({"image_id": tables[0]["image_id"].map(no_formula), **columns})
