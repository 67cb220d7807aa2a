"""One evaluation for everybody: fit on val, metrics, subgroups; of our own models and of anybody's predictions."""

from typing import Any

import numpy as np
import pandas as pd

from cxr.evaluation import metrics, subgroups
from cxr.evaluation.operating_points import fit_on_val


def judge(
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
    block = metrics.evaluate(table, thresholds, replicates, seed)
    groups = {**subgroups.groupings(table, films), **(more_groups or {})}
    block["subgroups"] = subgroups.evaluate(table, groups, thresholds, replicates, seed)
    return block, thresholds


def on_list(image_ids: pd.Series, names: set[str], inside: str, outside: str) -> np.ndarray:
    """A grouping: whether NIH's film is on a list of file names; "" for films of other releases."""
    bare = image_ids.str.removeprefix("nih/")
    listed = bare.isin({name.rsplit(".", 1)[0] for name in names})
    return np.where(image_ids.str.startswith("nih/"), np.where(listed, inside, outside), "").astype(object)
