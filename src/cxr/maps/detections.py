"""Boxes that heatmaps outline, in pixels of the original film."""

import numpy as np
import pandas as pd

from cxr.core.progress import progress
from cxr.maps.family_maps import Scored
from cxr.maps.localisation import Box, film_boxes


def film_detections(scored: Scored, finding: str, row: int) -> list[tuple[Box, float]]:
    """((x, y, width, height), score) of what the heatmap outlines, in film pixels, clipped to the film.

    The score ranks boxes of all films: the film's probability times the box's hottest point as a share of the film's.
    """
    return ranked_boxes(scored, finding, row, scored.heat(finding, row), scored.share(finding))


def ranked_boxes(scored: Scored, finding: str, row: int, heat: np.ndarray, share: float) -> list[tuple[Box, float]]:
    """The same of any heatmap (h, w) of a film, outlined at a share of the way from its mean to its peak."""
    probability = float(scored.probability(finding)[row])
    return [(box, probability * score) for box, score in film_boxes(heat, share, scored.geometry(row))]


def detect(scored: Scored) -> pd.DataFrame:
    """Boxes of every test film and finding that is called positive, in pixels of the original film."""
    test = (scored.table["split"] == "test").to_numpy()
    called = [
        (finding, row)
        for column, finding in enumerate(scored.findings)
        for row in np.flatnonzero(test & scored.decisions[:, column])
    ]
    image_ids = scored.table["image_id"].to_numpy()
    rows = [
        [image_ids[row], finding, *np.round(box, 1), round(score, 4), scored.probability(finding)[row]]
        for finding, row in progress(called, len(called), "detections")
        for box, score in film_detections(scored, finding, row)
    ]
    return pd.DataFrame(rows, columns=["image_id", "finding", "x", "y", "width", "height", "score", "probability"])
