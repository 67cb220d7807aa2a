"""Thresholds and calibration set anew on local patients: what that is worth, by how many of them were labelled.

Patients are drawn, with all of their films; what is fitted on them is tested on the other local patients, and what came
with the model on the same ones.
"""

import copy
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.artifacts import digest_of
from cxr.evaluation import predictions
from cxr.evaluation.calibration import fit_one, logit
from cxr.evaluation.figures import outcomes, rates
from cxr.evaluation.operating_points import fit_on_val
from cxr.evaluation.source_fits import POOLED
from cxr.evaluation.thresholds import best_threshold, why_undefined
from cxr.new_hospital.carried import Here
from cxr.tables.splitting import hash_fraction

DRAWS = 50
SMALLEST = 25  # patients
TESTED = 0.2  # share of the patients that the largest draw leaves to be tested on
SURE = 0.9  # share of the draws that must be better, for a hospital draws its patients once only
CALIBRATION = "Brier score"
# What the rule of the thresholds aims at, of rates; the larger the better.
AIMS = {
    "f1": ("F1", lambda rate: rate["f1"]),
    "youden": ("balanced accuracy", lambda rate: rate["balanced_accuracy"]),
    "sensitivity_90": ("distance of sensitivity from 0.90", lambda rate: -abs(rate["recall"] - 0.9)),
    "specificity_90": ("distance of specificity from 0.90", lambda rate: -abs(rate["specificity"] - 0.9)),
}


def sizes(patients: int) -> list[int]:
    """Patients to fit on: 25, 50, 100, 200 … and at last all but the share `TESTED`."""
    most = patients - max(1, round(TESTED * patients))
    steps = [SMALLEST * 2**power for power in range(20)]
    return [*(step for step in steps if step < most), most]


def curve(here: Here, rule: str, seed: int, draws: int = DRAWS) -> pd.DataFrame:
    """What refitting is worth: a row for each finding, number of local patients and figure.

    Parameters
    ----------
    here : Here
    rule : str
        THRESHOLD_RULE.
    seed, draws : int

    Returns
    -------
    table : DataFrame
        ``finding``, ``figure`` (what the rule aims at, of decisions; `CALIBRATION`, of probabilities), ``patients``,
        mean ``films`` and ``positives`` that were fitted on; mean ``came`` and ``refitted`` on the other patients,
        ``gain`` (above 0 = refitted is better) with its ``spread`` (standard deviation over the draws), share of the
        draws in which it was ``better``, and in which there were too few films to fit (``kept``: what came is used).
    """
    names, patients = np.unique(here.patients.astype(str), return_inverse=True)
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(draws):
        order = np.empty(len(names), dtype=int)
        order[random.permutation(len(names))] = np.arange(len(names))
        for size in sizes(len(names)):
            local = order[patients] < size
            rows += [row for f in range(len(here.findings)) for row in _draw(here, f, local, rule, size)]
    columns = ["finding", "figure", "patients", "films", "positives", "came", "refitted", "kept"]
    table = pd.DataFrame(rows, columns=columns)
    lower_is_better = table["figure"] == CALIBRATION
    table["gain"] = (table["refitted"] - table["came"]).where(~lower_is_better, table["came"] - table["refitted"])
    table = table.dropna(subset="gain")
    table["better"] = (table["gain"] > 0).astype(float)
    grouped = table.groupby(["finding", "figure", "patients"], sort=False)
    means = grouped[["films", "positives", "came", "refitted", "gain", "better", "kept"]].mean()
    means.insert(5, "spread", grouped["gain"].std(ddof=1))
    return means.assign(draws=grouped.size()).reset_index()


def _draw(here: Here, f: int, local: np.ndarray, rule: str, size: int) -> list[tuple]:
    """Both figures of one finding and draw: fitted on the films ``local``, bool (N,), and tested on the others."""
    known = ~np.isnan(here.truth[:, f])
    fit, test = known & local, known & ~local
    truth, raw = here.truth[:, f], here.raw[:, f]
    came = here.decisions[test, f], here.deployed[test, f]
    decisions, probabilities = came
    unfitted = why_undefined(truth[fit]) is not None
    if not unfitted:
        decisions = raw[test] >= best_threshold(truth[fit], raw[fit], rule)
    platt = fit_one(truth[fit], raw[fit], POOLED)
    if platt["slope"] is not None:
        probabilities = 1 / (1 + np.exp(-(platt["slope"] * logit(raw[test]) + platt["intercept"])))
    aim, of_rates = AIMS[rule]

    def aimed(called: np.ndarray) -> float:
        return float(of_rates(rates(outcomes(truth[test], called).sum(axis=0))))

    def brier(values: np.ndarray) -> float:
        return float(np.mean((values - truth[test]) ** 2)) if test.any() else np.nan

    about = (here.findings[f],), (size, int(fit.sum()), int((truth[fit] == 1).sum()))
    return [
        (*about[0], aim, *about[1], aimed(came[0]), aimed(decisions), unfitted),
        (*about[0], CALIBRATION, *about[1], brier(came[1]), brier(probabilities), platt["slope"] is None),
    ]


def pays_from(table: pd.DataFrame, finding: str, figure: str) -> pd.Series | None:
    """The row of `curve` with the fewest patients from which on refitting is `SURE` to be better; None = never."""
    rows = table[(table["finding"] == finding) & (table["figure"] == figure)].sort_values("patients")
    sure = (rows["better"] >= SURE).to_numpy()[::-1]
    lasting = np.logical_and.accumulate(sure)[::-1]  # there, and for every larger number
    return rows[lasting].iloc[0] if lasting.any() else None


def sentence(table: pd.DataFrame, finding: str, rule: str) -> str:
    """How many films of a finding must be labelled before refitting pays, in one sentence."""
    told = []
    for what, figure in (("a new threshold", AIMS[rule][0]), ("new calibration", CALIBRATION)):
        first = pays_from(table, finding, figure)
        rows = table[(table["finding"] == finding) & (table["figure"] == figure)]
        if rows.empty:
            told.append(f"{what} cannot be judged: no draw left both kinds of film to test on")
        elif first is None:
            last = rows.iloc[-1]
            told.append(
                f"{what} does not pay within {last['patients']:,.0f} patients ({figure} {_moved(last)}, better in "
                f"{last['better']:.0%} of the draws)"
            )
        else:
            told.append(
                f"{what} pays from {first['patients']:,.0f} patients, about {first['films']:,.0f} films with "
                f"{first['positives']:,.0f} positives ({figure} {_moved(first)})"
            )
    return f"{finding}: {'; '.join(told)}."


def _moved(row: pd.Series) -> str:
    digits = 4 if row["figure"] == CALIBRATION else 3
    return f"{abs(row['came']):.{digits}f} to {abs(row['refitted']):.{digits}f}"


def crossed(here: Here, seed: int) -> np.ndarray:
    """Probabilities (N, F) calibrated on the other half of the local patients; as they came where it has too few."""
    half = hash_fraction(f"refit-{seed}", here.patients) < 0.5
    result = here.deployed.copy()
    for f in range(len(here.findings)):
        for fit, test in ((half, ~half), (~half, half)):
            platt = fit_one(here.truth[fit, f], here.raw[fit, f], POOLED)
            if platt["slope"] is not None:
                scores = platt["slope"] * logit(here.raw[test, f]) + platt["intercept"]
                result[test, f] = 1 / (1 + np.exp(-scores))
    return result


def refitted(thresholds: dict[str, Any], table: pd.DataFrame) -> tuple[dict[str, Any], list[str]]:
    """thresholds.json with what the local films can say in place of what came, and what of it came unchanged.

    The local fit is the pooled one, which new films get, and that of the hospitals that the local films name; a finding
    with too few films keeps what came.
    """
    local = fit_on_val(table.assign(image_id=table["image_id"].str.replace("/", "_")), thresholds["rule"])
    result, kept = copy.deepcopy(thresholds), []
    result["val"] = {**local["val"], "digest": digest_of(sorted(table["image_id"]))}
    parts = {"threshold": (result["findings"], local["findings"])}
    parts |= {
        point: (fits, local["operating_points"][point]) for point, fits in result.get("operating_points", {}).items()
    }
    parts["calibration"] = (result["calibration"]["findings"], local["calibration"]["findings"])
    for part, (old, new) in parts.items():
        for finding, fits in old.items():
            fit = new[finding][POOLED]
            if "reason" in fit:
                kept += [f"{part} of {finding} is as it came: {fit['reason']}"] * (part in ("threshold", "calibration"))
                continue
            named = set(fits) & {POOLED, *predictions.source(table)}
            fits.update({name: {**fit, "fitted_on": "local"} for name in named})
    return result, kept
