"""All that is fitted on val and used on test: thresholds, four operating points a finding, calibration."""

from typing import Any

import numpy as np
import pandas as pd

from cxr.evaluation import predictions
from cxr.evaluation.calibration import fit_calibration
from cxr.evaluation.figures import outcomes, rates
from cxr.evaluation.thresholds import decide, fit_thresholds, threshold_of

POINTS = {
    "youden": "Youden (sensitivity + specificity)",
    "f1": "best F1",
    "sensitivity_90": "sensitivity ≥ 0.90",
    "specificity_90": "specificity ≥ 0.90",
}
SHOWN = ("recall", "specificity", "precision", "negative_predictive_value", "f1", "balanced_accuracy")


def fit_on_val(val_table: pd.DataFrame, rule: str) -> dict[str, Any]:
    """thresholds.json: `fit_thresholds` with ``operating_points`` (point -> finding -> hospital) and ``calibration``.

    Parameters
    ----------
    val_table : predictions table
    rule : str
        The operating point at which decisions are made, one of `POINTS`.
    """
    fitted = fit_thresholds(val_table, rule)
    points = {point: fit_thresholds(val_table, point)["findings"] for point in POINTS}
    return {**fitted, "operating_points": points, "calibration": fit_calibration(val_table)}


def at_points(table: pd.DataFrame, thresholds: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What each operating point of val is worth on a test table: finding -> point -> figures.

    Returns
    -------
    points : dict that JSON can hold
        ``threshold`` and ``fitted_on`` by hospital, sensitivity (``recall``), specificity and the other `SHOWN`
        figures, None where not defined. Empty where ``thresholds`` has no operating points.
    """
    truth = predictions.arrays(table)[0]
    sources, names = sorted(set(predictions.source(table))), predictions.findings_of(table)
    points: dict[str, dict[str, Any]] = {finding: {} for finding in names}
    for point, fitted in thresholds.get("operating_points", {}).items():
        at_point = {"findings": fitted}
        values = rates(outcomes(truth, decide(table, at_point)).sum(axis=0))  # of counts (F, 4)
        for f, finding in enumerate(names):
            used = {name: threshold_of(at_point, finding, name) for name in sources}
            points[finding][point] = {
                "threshold": {name: fit["threshold"] for name, fit in used.items()},
                "fitted_on": {name: fit["fitted_on"] for name, fit in used.items()},
                **{name: none_if_nan(values[name][f]) for name in SHOWN},
            }
    return points


def none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
