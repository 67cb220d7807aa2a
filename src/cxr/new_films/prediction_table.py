"""predictions.csv of new films."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxr.evaluation import predictions
from cxr.imaging.film_checks import FLAGS
from cxr.new_films.predicting import Predicted


def of(predicted: Predicted, overlays: Sequence[str]) -> pd.DataFrame:
    """predictions.csv: a row a film.

    Columns: ``filename``, ``width``, ``height``; for each finding ``_prob``, ``_calibrated`` (empty where val had too
    few films for a fit), ``_called`` (1, 0), ``_disagreement`` (highest minus lowest member; empty with one member)
    and ``_flip_risk`` (empty where `Predicted.no_flip_risk` says why); ``cardiothoracic_ratio`` (where the U-Net
    outlines the heart); the flags; ``distance``, ``notes``, ``overlay``
    (empty where none was drawn), ``thresholds_of``.
    """
    films, members = predicted.films, predicted.members
    spread = members.max(axis=0) - members.min(axis=0) if len(members) > 1 else np.full(members.shape[1:], np.nan)
    parts = {
        "prob": predictions.arrays(predicted.scored.table)[1],
        "calibrated": predicted.calibrated,
        "called": predicted.scored.decisions.astype(int),
        "disagreement": spread,
        "flip_risk": predicted.flip_risk,
    }
    table = films[["filename", "width", "height"]].astype({"width": "Int64", "height": "Int64"})
    for name, values in parts.items():
        for index, finding in enumerate(predicted.scored.findings):
            column = values[:, index]
            text = [str(value) if name == "called" else "" if np.isnan(value) else f"{value:.6g}" for value in column]
            table[f"{finding}_{name}"] = pd.Series(text, table.index, dtype="str")
    if "cardiothoracic_ratio" in films:
        table["cardiothoracic_ratio"] = films["cardiothoracic_ratio"].round(3)
    table = table.join(films[[*FLAGS, "distance", "notes"]])
    return table.assign(overlay=list(overlays), thresholds_of=predicted.hospital)
