"""Stored maps -> heatmaps for the eye, and the boxes they outline: NumPy only, made from what evaluation stored."""

from collections.abc import Sequence

import cv2
import numpy as np

PEAK_PERCENTILE = 99.5  # of a finding's positive map values over val: what counts as 1 in a heatmap


def peaks(maps: np.ndarray) -> np.ndarray:
    """What each finding's map is divided by before maps are compared or averaged.

    Parameters
    ----------
    maps : ndarray of shape (N, F, h, w)
        Of val films, without ReLU.

    Returns
    -------
    ndarray of shape (F,), float32
        The 99.5th percentile of the ReLU maps; 1 where that is 0.
    """
    positive = np.maximum(maps.astype(np.float32), 0).transpose(1, 0, 2, 3).reshape(maps.shape[1], -1)
    values = np.percentile(positive, PEAK_PERCENTILE, axis=1).astype(np.float32)
    return np.where(values > 0, values, 1).astype(np.float32)


def heatmap(maps: Sequence[np.ndarray], peak: Sequence[float]) -> np.ndarray:
    """The picture of one film and finding from each member's map.

    Parameters
    ----------
    maps : sequence of ndarrays of shape (h, w)
        One a member, each on its own grid, without ReLU.
    peak : sequence of float
        Each member's peak for this finding (`peaks`): without it the mean would be the loudest member's map.

    Returns
    -------
    ndarray of shape (H, W), float32, 0 or more
        On the finest member's grid; 1 is the members' peak. Not cut there: a plateau would have no hottest point.
    """
    side = max(member_map.shape[0] for member_map in maps)
    total = np.zeros((side, side), np.float32)
    for member_map, value in zip(maps, peak, strict=True):
        positive = np.maximum(member_map.astype(np.float32), 0) / value
        total += cv2.resize(positive, (side, side), interpolation=cv2.INTER_LINEAR)
    return total / len(maps)


def detections(heat: np.ndarray, threshold: float, size: int) -> list[tuple[tuple[float, float, float, float], float]]:
    """Boxes around what a heatmap outlines.

    Parameters
    ----------
    heat : ndarray of shape (h, w), float32, 0 or more
    threshold : float
        Share of the heatmap's own maximum; fixed beforehand, never chosen on test boxes.
    size : int
        Side of the packed film, pixels.

    Returns
    -------
    list of ((x, y, width, height), score)
        In pixels of the packed film, the highest score (largest value inside) first; empty for an empty map.
    """
    if heat.max() <= 0:
        return []
    large = enlarged(heat, size)
    outlined = (large >= threshold * large.max()).astype(np.uint8)
    _, components, statistics, _ = cv2.connectedComponentsWithStats(outlined, connectivity=8)
    boxes = []
    for index, (x, y, width, height, _area) in enumerate(statistics[1:], start=1):
        score = float(large[components == index].max())
        boxes.append(((float(x), float(y), float(width), float(height)), score))
    return sorted(boxes, key=lambda box: (-box[1], box[0]))


def enlarged(heat: np.ndarray, size: int) -> np.ndarray:
    """A heatmap (h, w) on the packed square of ``size`` pixels; linear, so that a peak stays where it is."""
    return cv2.resize(heat, (size, size), interpolation=cv2.INTER_LINEAR)
