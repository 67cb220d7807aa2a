"""Two models on the same films: differences of AUROC and average precision with paired intervals by patient."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.errors import InputError
from cxr.evaluation import bootstrap, figures, metrics, predictions

SAME = "the same"  # an interval from 0 to 0 would look like much certainty


def best_on_val(tables: Mapping[str, pd.DataFrame]) -> str:
    """The model with the highest mean AUROC on val (the first of equals, or where none is defined)."""
    scores = {}
    for name, table in tables.items():
        score = metrics.mean_auroc(*predictions.arrays(table[table["split"] == "val"]))
        scores[name] = -1.0 if np.isnan(score) else score
    return max(scores, key=scores.get)


def paired(
    first: pd.DataFrame, second: pd.DataFrame, replicates: int, seed: int,
    names: Sequence[str] = ("the first", "the second"),
) -> dict[str, Any]:  # fmt: skip
    """How much better the first model is than the second, on the films that both have.

    Parameters
    ----------
    first, second : predictions tables
        Of the films to compare on, usually those of test.
    replicates, seed : int
        Patients are drawn once for both models: what makes a film hard for both drops out of the difference.
    names : sequence of two str
        What an error calls them.

    Returns
    -------
    differences : dict that JSON can hold
        ``films``, ``patients``; ``findings``: finding -> ``auroc`` and ``average_precision``, each with ``first``,
        ``second``, ``difference``, ``interval`` and ``no_interval``, why there is none (`SAME` where both are equal in
        every resample); and ``too_few``, see `bootstrap.too_few`. ``macro``: the same of the mean over the findings
        defined, ``too_few`` the findings that are.

    Raises
    ------
    InputError
        No film in common, or a film whose label differs.
    """
    first, second = _on_common_films(first, second, names)
    scored, (truth, scores) = predictions.findings_of(first), predictions.arrays(first)
    other_truth, other_scores = predictions.arrays(second)
    truth = np.where(np.isnan(other_truth), np.nan, truth)  # a finding that only one file has is not compared
    patients = first["patient_id"].to_numpy()
    drawn = [figures.replicate_scores(truth, values, patients, replicates, seed) for values in (scores, other_scores)]
    silent = metrics.silences(truth, patients, scored)
    findings: dict[str, Any] = {
        finding: {"too_few": bootstrap.too_few(truth[:, f], patients)} for f, finding in enumerate(scored)
    }
    macro: dict[str, Any] = {}
    for figure in figures.RANKINGS:
        plain = [metrics.ranking(figure, truth, values) for values in (scores, other_scores)]
        columns = {finding: [f] for f, finding in enumerate(scored)} | {None: np.flatnonzero(~np.isnan(plain[0]))}
        for finding, chosen in columns.items():
            few = {scored[f]: silent[scored[f]] for f in chosen}
            change = _difference(
                *(values[chosen] for values in plain), *(by[figure.key][:, chosen] for by in drawn),
                bootstrap.silence_of_mean(few) if finding is None else silent[finding], len(set(patients)),
            )  # fmt: skip
            (macro if finding is None else findings[finding])[figure.key] = change
    macro["too_few"] = [
        finding
        for finding, values in findings.items()
        if values["too_few"] and values["auroc"]["difference"] is not None
    ]
    return {"films": len(first), "patients": len(set(patients)), "findings": findings, "macro": macro}


def _on_common_films(first: pd.DataFrame, second: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, ...]:
    """Both tables on the films that both have, checked to be of the same findings and labels."""
    both = first["image_id"][first["image_id"].isin(second["image_id"])]
    if both.empty:
        raise InputError(
            f"no film in common: {names[0]} has {first['image_id'].iloc[0]}, {names[1]} {second['image_id'].iloc[0]}. "
            "Compare predictions of the same films."
        )
    first, second = (table.set_index("image_id", drop=False).loc[both] for table in (first, second))
    scored, others = predictions.findings_of(first), predictions.findings_of(second)
    if others != scored:
        raise InputError(
            f"{names[0]} is of {', '.join(scored)}, {names[1]} of {', '.join(others)}. "
            "Compare predictions of the same findings."
        )
    truth, other_truth = (predictions.arrays(table)[0] for table in (first, second))
    differs = (truth != other_truth) & ~np.isnan(truth) & ~np.isnan(other_truth)
    if differs.any():
        row, column = np.argwhere(differs)[0]
        raise InputError(
            f"{both.iloc[row]}: {scored[column]} is {truth[row, column]:.0f} in {names[0]} and "
            f"{other_truth[row, column]:.0f} in {names[1]}. Give both the same labels."
        )
    return first, second


def _difference(first, second, first_replicates, second_replicates, silent: str | None, patients: int):
    """Of the mean over columns: values (F,), replicates (R, F); ``silent``: see `bootstrap.silence`."""
    if not len(first) or np.isnan(first).any():
        return {"first": None, "second": None, "difference": None, "interval": None, "no_interval": None}
    change = (first_replicates - second_replicates).mean(axis=1)
    limits = bootstrap.interval(change, silent)
    why = silent or bootstrap.why_none(patients, len(change))
    if np.array_equal(first, second) and not np.nan_to_num(change).any():
        limits, why = None, SAME
    return {
        "first": float(first.mean()),
        "second": float(second.mean()),
        "difference": float(first.mean() - second.mean()),
        "interval": limits,
        "no_interval": None if limits else why,
    }
