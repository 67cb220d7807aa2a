"""Boxes that heatmaps outline, in pixels of the original film."""

import numpy as np
import pandas as pd

from cxr.core.findings import FINDINGS
from cxr.maps.family_maps import Scored
from cxr.maps.localisation import Box, film_boxes


def film_detections(scored: Scored, finding: str, row: int) -> list[tuple[Box, float]]:
    """((x, y, width, height), score) of what the heatmap outlines, in film pixels, clipped to the film."""
    return film_boxes(scored.heat(finding, row), scored.params.evaluation.map_threshold, scored.place(row))


def detect(scored: Scored) -> pd.DataFrame:
    """Boxes of every test film and finding that is called positive, in pixels of the original film."""
    rows = []
    test = (scored.table["split"] == "test").to_numpy()
    for place, finding in enumerate(FINDINGS):
        for row in np.flatnonzero(test & scored.decisions[:, place]):
            probability = scored.probability(finding)[row]
            for box, score in film_detections(scored, finding, row):
                rows.append(
                    [scored.table["image_id"].iloc[row], finding, *np.round(box, 1), round(score, 4), probability]
                )
    return pd.DataFrame(rows, columns=["image_id", "finding", "x", "y", "width", "height", "score", "probability"])
