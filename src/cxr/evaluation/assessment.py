"""One evaluation for everybody: fit on val, metrics, subgroups; of our own models and of anybody's predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.artifacts import digest, need, read_csv, read_json, read_record, write_json
from cxr.core.errors import InputError
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.evaluation import metrics, predictions, subgroups
from cxr.evaluation.operating_points import fit_on_val
from cxr.evaluation.scoring import refuse_other_findings


def assess(
    val: pd.DataFrame,
    table: pd.DataFrame,
    films: pd.DataFrame,
    rule: str,
    replicates: int,
    seed: int,
    more_groups: dict[str, np.ndarray] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics.json and thresholds.json of one model.

    Parameters
    ----------
    val, table : predictions tables
        What is fitted on, and what is evaluated (see `metrics.evaluate`).
    films : DataFrame
        ``image_id``, ``view``, ``sex``, ``age`` of the evaluated films.
    rule : str
        THRESHOLD_RULE.
    replicates, seed : int
    more_groups : dict, optional
        Further groupings, as `subgroups.evaluate` takes them.

    Returns
    -------
    metrics, thresholds : dicts that JSON can hold
    """
    thresholds = fit_on_val(val, rule)
    return judge(table, films, thresholds, replicates, seed, more_groups), thresholds


def judge(
    table: pd.DataFrame,
    films: pd.DataFrame,
    thresholds: dict[str, Any],
    replicates: int,
    seed: int,
    more_groups: dict[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """metrics.json at thresholds and a calibration that are already there; parameters as in `assess`."""
    block = metrics.evaluate(table, thresholds, replicates, seed)
    groups = {**subgroups.groupings(table, films), **(more_groups or {})}
    block["subgroups"] = subgroups.evaluate(table, groups, thresholds, replicates, seed)
    return block


# What stands or falls together: one written by another run than the others would be read beside them.
EVALUATED = ("predictions.csv", "thresholds.json", "metrics.json")


def begin(folder: Path) -> None:
    """Say that a family's evaluation is about to be replaced: until `finish` nobody reads it."""
    for name in ("evaluation.json", "reference.json"):
        (folder / name).unlink(missing_ok=True)


def finish(settings: Settings, family: str, members: Sequence[str]) -> None:
    """Say that a family's evaluation is whole, and what it was made from."""
    write_json(_record(settings, family, members), settings.family_dir(family) / "evaluation.json")


def check_evaluated(settings: Settings, params: Params, family: str) -> None:
    """Raise an InputError where a family's files are not of one evaluation, or not of its models, data and findings."""
    folder, made_by = settings.family_dir(family), f"sh evaluate_{family.capitalize()}.sh"
    members = params.members(family)
    for member in members:
        record, model = (settings.member_dir(family, member) / name for name in ("predictions.json", "model.keras"))
        inputs = read_record(record).get("inputs", {})
        if inputs and model.is_file() and inputs["model"] != digest(model):
            raise InputError(f"{model}: was trained again since it was evaluated. Run: {made_by}")
        if inputs and settings.split_csv.is_file() and inputs["split"] != digest(settings.split_csv):
            raise InputError(
                f"{record}: was evaluated on another {settings.split_csv.name}. Train again, then: {made_by}"
            )
    path = need(folder / "predictions.csv", made_by)
    scored = predictions.findings_of(read_csv(path, made_by, nrows=0))
    refuse_other_findings(f"{path}: is of", scored, params, f"train again, then: {made_by}")
    recorded, fitted = (read_json(folder / name, made_by) for name in ("evaluation.json", "thresholds.json"))
    used, asked = fitted.get("ensemble", {}).get("rule", "equal"), params.evaluation.ensemble_weights
    if len(members) > 1 and used != asked:
        raise InputError(f'{folder}: was evaluated with "ENSEMBLE_WEIGHTS" "{used}", now "{asked}". Run: {made_by}')
    current = _record(settings, family, members)
    for name, value in {**current["members"], **current["files"]}.items():
        if value != {**recorded.get("members", {}), **recorded.get("files", {})}.get(name):
            raise InputError(f"{folder}: {name} is of another evaluation than the rest. Run: {made_by}")


def _record(settings: Settings, family: str, members: Sequence[str]) -> dict[str, Any]:
    made_by = f"sh evaluate_{family.capitalize()}.sh"
    scored = {member: settings.member_dir(family, member) / "predictions.csv" for member in members}
    return {
        "members": {member: digest(need(path, made_by)) for member, path in scored.items()},
        "files": {name: digest(need(settings.family_dir(family) / name, made_by)) for name in EVALUATED},
    }
