"""Thresholds and calibration set anew on local patients: what that is worth, by how many of them were labelled.

Patients are drawn, with all of their films; what is fitted on them is tested on the other local patients, at least half
of all, and what came with the model on the same ones. All of them are used in folds.
"""

import copy
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from cxr.core.artifacts import digest_of
from cxr.evaluation import predictions
from cxr.evaluation.calibration import fit_one, logit
from cxr.evaluation.figures import outcomes, rates
from cxr.evaluation.operating_points import fit_on_val
from cxr.evaluation.source_fits import POOLED
from cxr.evaluation.thresholds import best_threshold, why_undefined
from cxr.new_hospital.carried import ONE_THREAD, Here
from cxr.report.table_notes import fitted_on_few
from cxr.tables.splitting import hash_fraction

DRAWS = 50
SMALLEST = 25  # patients
FOLDS = 5  # of "all": each is tested on what the others say
WORTH = 0.01  # of what came: a mean gain below it is not worth a label
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
    """Patients to fit on: 25, 50, 100 … up to half of all, for a test on fewer says little; and at last all."""
    steps = [SMALLEST * 2**power for power in range(20)]
    return [*(step for step in steps if step <= patients / 2), patients]


@ONE_THREAD
def curve(here: Here, rule: str, seed: int, draws: int) -> pd.DataFrame:
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
        The last number of patients is all of them, in `FOLDS` folds.
    """
    names, patients = np.unique(here.patients.astype(str), return_inverse=True)
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(draws):
        place = random.permutation(len(names))[patients]  # (N,) of each film's patient in this draw
        for size in sizes(len(names)):
            parts = [(place < size, place >= size)]
            if size == len(names):
                parts = [(place % FOLDS != fold, place % FOLDS == fold) for fold in range(FOLDS)]
            rows += [row for f in range(len(here.findings)) for row in _draw(here, f, parts, rule, size)]
    columns = ["finding", "figure", "patients", "films", "positives", "came", "refitted", "kept"]
    table = pd.DataFrame(rows, columns=columns)
    lower_is_better = table["figure"] == CALIBRATION
    table["gain"] = (table["refitted"] - table["came"]).where(~lower_is_better, table["came"] - table["refitted"])
    table = table.dropna(subset="gain")
    table["better"] = (table["gain"] > 0).astype(float)
    grouped = table.groupby(["finding", "figure", "patients"], sort=False)
    means = grouped[["films", "positives", "came", "refitted", "gain", "better", "kept"]].mean()
    means.insert(5, "spread", grouped["gain"].std(ddof=1))
    table = means.assign(draws=grouped.size()).reset_index()
    return table.sort_values(
        ["finding", "figure", "patients"], key=lambda column: column if column.name == "patients" else _places(column)
    ).reset_index(drop=True)


def _places(names: pd.Series) -> np.ndarray:
    """Numbers that sort names in the order in which they first stand."""
    return pd.factorize(names)[0]


def _draw(here: Here, f: int, parts: list[tuple[np.ndarray, np.ndarray]], rule: str, size: int) -> list[tuple]:
    """Both figures of one finding and draw; ``parts``: films to fit on and to test on, bool (N,), all tests pooled."""
    truth, raw, known = here.truth[:, f], here.raw[:, f], ~np.isnan(here.truth[:, f])
    decisions, probabilities = here.decisions[:, f].copy(), here.deployed[:, f].copy()
    tested, unfitted, uncalibrated = np.zeros(len(truth), dtype=bool), 0, 0
    for fit, test in parts:
        fit, test = fit & known, test & known
        tested |= test
        if why_undefined(truth[fit]) is None:
            decisions[test] = raw[test] >= best_threshold(truth[fit], raw[fit], rule)
        else:
            unfitted += 1
        uncalibrated += not _calibrate(probabilities, truth, raw, fit, test)
    aim, of_rates = AIMS[rule]

    def aimed(called: np.ndarray) -> float:
        return float(of_rates(rates(outcomes(truth[tested], called[tested]).sum(axis=0))))

    def brier(values: np.ndarray) -> float:
        return float(np.mean((values[tested] - truth[tested]) ** 2)) if tested.any() else np.nan

    fitted = np.logical_or.reduce([fit for fit, _ in parts]) & known
    about, share = (size, int(fitted.sum()), int((truth[fitted] == 1).sum())), 1 / len(parts)
    return [
        (here.findings[f], aim, *about, aimed(here.decisions[:, f]), aimed(decisions), unfitted * share),
        (here.findings[f], CALIBRATION, *about, brier(here.deployed[:, f]), brier(probabilities), uncalibrated * share),
    ]


def _calibrate(
    probabilities: np.ndarray, truth: np.ndarray, raw: np.ndarray, fit: np.ndarray, test: np.ndarray
) -> bool:
    """Calibrate the films ``test`` of arrays (N,) by those of ``fit``, in place; whether these were enough."""
    platt = fit_one(truth[fit], raw[fit], POOLED)
    if platt["slope"] is None:
        return False
    probabilities[test] = expit(platt["slope"] * logit(raw[test]) + platt["intercept"])
    return True


def pays_from(table: pd.DataFrame, finding: str, figure: str) -> pd.Series | None:
    """The row of `curve` with the fewest patients from which on refitting pays; None = never.

    It pays where it is `SURE` to be better, by the share `WORTH` of what came on average: there and for all larger
    numbers. All patients are not judged: their folds are the same patients in every draw.
    """
    rows = judged(table, finding, figure)
    sure = (rows["better"] >= SURE) & (rows["gain"] >= WORTH * rows["came"].abs())
    lasting = np.logical_and.accumulate(sure.to_numpy()[::-1])[::-1]
    return rows[lasting].iloc[0] if lasting.any() else None


def judged(table: pd.DataFrame, finding: str, figure: str) -> pd.DataFrame:
    """The rows of `curve` whose draws leave other patients to test on, by number of patients."""
    rows = table[(table["finding"] == finding) & (table["figure"] == figure)].sort_values("patients")
    return rows[rows["patients"] < table["patients"].max()]


def sentence(table: pd.DataFrame, finding: str, rule: str) -> str:
    """How many films of a finding must be labelled before refitting pays, in one sentence."""
    told = []
    for what, figure in (("a new threshold", AIMS[rule][0]), ("new calibration", CALIBRATION)):
        first = pays_from(table, finding, figure)
        rows = judged(table, finding, figure)
        if rows.empty:
            told.append(f"{what} cannot be judged: too few patients, or no draw left both kinds of film to test on")
        elif (rows["kept"] == 1).all():
            told.append(f"{what} could not be fitted: too few films")
        elif first is None:
            last = rows.iloc[-1]
            told.append(f"{what} does not pay with up to {last['patients']:,.0f} patients ({figure} {_moved(last)})")
        else:
            told.append(
                f"{what} pays from {first['patients']:,.0f} patients, about {first['films']:,.0f} films with "
                f"{first['positives']:,.0f} positives ({figure} {_moved(first)})"
            )
    return f"{finding}: {'; '.join(told)}."


def _moved(row: pd.Series) -> str:
    digits = 4 if row["figure"] == CALIBRATION else 3
    moved = f"{abs(row['came']):.{digits}f} to {abs(row['refitted']):.{digits}f}"
    return f"{moved}, better in {row['better']:.0%} of the draws"


@ONE_THREAD
def crossed(here: Here, seed: int) -> np.ndarray:
    """Probabilities (N, F) calibrated on the other half of the local patients; as they came where it has too few."""
    half = hash_fraction(f"refit-{seed}", here.patients) < 0.5
    result = here.deployed.copy()
    for f in range(len(here.findings)):
        for fit, test in ((half, ~half), (~half, half)):
            _calibrate(result[:, f], here.truth[:, f], here.raw[:, f], fit, test)
    return result


@ONE_THREAD
def refitted(thresholds: dict[str, Any], table: pd.DataFrame) -> tuple[dict[str, Any], list[str], list[str]]:
    """thresholds.json with what the local films can say in place of what came; what of it came unchanged; and what was
    fitted on too few patients (`bootstrap.shortage`).

    The local fit is the pooled one, which new films get, and that of the hospitals that the local films name; a finding
    with too few films keeps what came.
    """
    local = fit_on_val(table.assign(image_id=table["image_id"].str.replace("/", "_")), thresholds["rule"])
    result, kept, few = copy.deepcopy(thresholds), [], []
    result["val"] = {**local["val"], "digest": digest_of(sorted(table["image_id"]))}
    parts = {"threshold": (result["findings"], local["findings"])}
    parts |= {
        point: (fits, local["operating_points"][point]) for point, fits in result.get("operating_points", {}).items()
    }
    parts["calibration"] = (result["calibration"]["findings"], local["calibration"]["findings"])
    for part, (old, new) in parts.items():
        for finding in new:
            fits, fit = old[finding], new[finding][POOLED]
            named_part = part in ("threshold", "calibration")  # the operating points rest on the same films
            if "reason" in fit:
                here = fit["reason"].replace(" in val", " among the local films")
                kept += [f"{part} of {finding} is as it came: {here}"] * named_part
                continue
            few += [f"{part} of {finding}: {fitted_on_few(fit['few'])}"] * (named_part and fit["few"] is not None)
            named = set(fits) & {POOLED, *predictions.source(table)}
            fits.update({name: {**fit, "fitted_on": "local"} for name in named})
    return result, kept, few
