"""Where a finding is outlined between a map's mean and its peak: fitted on val's boxes if it has enough of them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cxr.maps.localisation import Box, FilmGeometry, film_boxes, overlaps
from cxr.preparation.films import spread

SHARES = tuple(round(0.1 * step, 1) for step in range(10))
FEWEST = 10  # val films with a box of the finding
MOST = 100  # such films that are looked at, spread evenly


def fit(
    boxed: dict[str, np.ndarray],
    heat: Callable[[str, int], np.ndarray],
    known: Callable[[str, int], list[Box]],
    geometry: Callable[[int], FilmGeometry],
    fixed: float,
) -> dict[str, dict[str, Any]]:
    """By finding, the share of the way from a heatmap's mean to its peak at which outlines fit known boxes best.

    Parameters
    ----------
    boxed : dict of int arrays
        Finding -> rows of val films with a known box of it; never of test films.
    heat, known, geometry : callables
        Of a finding and row, or of a row, as `Scored` has them.
    fixed : float
        MAP_THRESHOLD: the share where there are fewer than `FEWEST` films.

    Returns
    -------
    dict that JSON can hold
        Finding -> ``share``, ``fitted_on`` ("val", or "fixed"), ``films`` and, where fitted, ``iou``: the mean over
        them of the best outlined box's, the highest of `SHARES` (of equals the smallest share).
    """
    fitted: dict[str, dict[str, Any]] = {}
    for finding, rows in boxed.items():
        if len(rows) < FEWEST:
            fitted[finding] = {"share": fixed, "fitted_on": "fixed", "films": len(rows)}
            continue
        films = [
            (heat(finding, row), known(finding, row), geometry(row)) for row in spread(np.asarray(rows), MOST).tolist()
        ]
        ious = [float(np.mean([best_iou(*film, share) for film in films])) for share in SHARES]
        best = int(np.argmax(ious))
        fitted[finding] = {
            "share": SHARES[best], "fitted_on": "val", "films": len(films), "iou": round(ious[best], 4),
        }  # fmt: skip
    return fitted


def best_iou(heat: np.ndarray, known: list[Box], geometry: FilmGeometry, share: float) -> float:
    """The best IoU of any outlined box with any known one; 0 for an empty map."""
    detected = [box for box, _ in film_boxes(heat, share, geometry)]
    return float(overlaps(detected, known)[0].max(initial=0))
