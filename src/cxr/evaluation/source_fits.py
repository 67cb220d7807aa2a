"""What is fitted on val for each finding: of every source apart, and pooled for where a source has too few films."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxr.evaluation import bootstrap, predictions

POOLED = "pooled"


def fit_by_source(
    val_table: pd.DataFrame,
    fit: Callable[[np.ndarray, np.ndarray, str], dict[str, Any]],
    fallback: Sequence[str],
    unfitted: dict[str, Any] | None = None,
) -> dict[str, dict[str, dict[str, Any]]]:
    """finding -> source or "pooled" -> what ``fit`` says of its films; ``few``: `bootstrap.shortage` of what it is of.

    Parameters
    ----------
    val_table : predictions table
    fit : callable
        (truth (N,), probabilities (N,), name) -> a dict; with a ``reason`` where nothing could be fitted.
    fallback : sequence of str
        The keys that a source then takes from the pooled fit.
    unfitted : dict, optional
        What the pooled fit holds where it could not be fitted either.
    """
    truth, probabilities = predictions.arrays(val_table)
    sources, patients = predictions.source(val_table), val_table["patient_id"].to_numpy()
    fits: dict[str, dict[str, dict[str, Any]]] = {}
    for f, finding in enumerate(predictions.findings_of(val_table)):
        pooled = fit(truth[:, f], probabilities[:, f], POOLED)
        if "reason" in pooled:
            pooled |= {"few": None, **(unfitted or {})}  # fitted on nothing: the reason says more
        else:
            pooled["few"] = bootstrap.shortage(truth[:, f], patients)
        fits[finding] = {POOLED: pooled}
        for name in sorted(set(sources)):
            here = sources == name
            fitted = fit(truth[here, f], probabilities[here, f], name)
            if "reason" in fitted:
                fitted |= {key: pooled[key] for key in (*fallback, "few")}
            else:
                fitted["few"] = bootstrap.shortage(truth[here, f], patients[here])
            fits[finding][name] = fitted
    return fits


def fit_of(fits: dict[str, dict[str, Any]], source: str) -> dict[str, Any]:
    """The fit of one finding for a film's source, or the pooled one for a source that val did not have."""
    return fits.get(source, fits[POOLED])
