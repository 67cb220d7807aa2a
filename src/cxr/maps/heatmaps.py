"""Stored maps -> heatmaps for the eye, and the boxes they outline: NumPy only, made from what evaluation stored."""

from collections.abc import Sequence

import cv2
import numpy as np

from cxr.evaluation.source_fits import POOLED

# What pictures and scores of another heat than today's have not in their records.
READ_AGAINST = "mean map of val, where half of a cell or more was seen, from its mean to its peak"
COMMON = 32  # cells a side where members with other grids meet
FEWEST = 30  # films of a source in val from which its own mean map is taken


def mean_maps(maps: np.ndarray, sources: np.ndarray) -> dict[str, np.ndarray]:
    """What a film of a source has at each place anyway: the reference that its maps are read against.

    Parameters
    ----------
    maps : ndarray of shape (N, F, h, w)
        Of val films, without ReLU.
    sources : ndarray of shape (N,), str

    Returns
    -------
    dict of ndarrays of shape (F, h, w), float32
        By source, for those with `FEWEST` films, and `POOLED`.
    """
    names, films = np.unique(sources, return_counts=True)
    own = {str(name): maps[sources == name] for name, count in zip(names, films, strict=True) if count >= FEWEST}
    return {name: of_source.mean(axis=0, dtype=np.float32) for name, of_source in {POOLED: maps, **own}.items()}


def evidence(maps: Sequence[np.ndarray], means: Sequence[np.ndarray], weights: np.ndarray | None = None) -> np.ndarray:
    """What each place of a film adds to the logit of one finding, beyond what it adds in the average film.

    Parameters
    ----------
    maps, means : sequences of ndarrays of shape (h, w)
        One a member, each on its own grid, without ReLU; the map, and the mean map (`mean_maps`).
    weights : array of shape (members,), optional
        Of the ensemble; all alike without.

    Returns
    -------
    ndarray of shape (H, W), float32
        In logits, as though the whole film were like this place. Of one member on its own grid: the mean over the
        places is the film's logit minus that of the average film. Of several their mean, on a grid so fine (`COMMON`
        or the finest member's) that none is blurred.
    """
    side = max(member_map.shape[0] for member_map in maps)
    side = max(side, COMMON) if len(maps) > 1 else side
    total = np.zeros((side, side), np.float32)
    weights = np.ones(len(maps)) if weights is None else weights
    for member_map, mean, weight in zip(maps, means, weights.tolist(), strict=True):
        added = (member_map.astype(np.float32) - mean) * member_map.size
        total += weight * cv2.resize(added, (side, side), interpolation=cv2.INTER_LINEAR)
    return total / float(weights.sum())


def heatmap(maps: Sequence[np.ndarray], means: Sequence[np.ndarray], weights: np.ndarray | None = None) -> np.ndarray:
    """The picture of one film and finding: `evidence` where it speaks for the finding, 0 elsewhere."""
    return np.maximum(evidence(maps, means, weights), 0)


def detections(heat: np.ndarray, level: float) -> list[tuple[tuple[float, float, float, float], float]]:
    """Boxes around what a heatmap outlines; those that overlap are one.

    Parameters
    ----------
    heat : ndarray of shape (size, size), float32, 0 or more
        On the packed square.
    level : float
        What reaches it is outlined.

    Returns
    -------
    list of ((x, y, width, height), score)
        In pixels of the packed film, the highest score first: the hottest point inside as a share of the heatmap's
        peak, so the first has 1. Empty for an empty map.
    """
    if heat.max() <= 0:
        return []
    outlined = (heat >= level).astype(np.uint8)
    relative = heat / heat.max()
    _, components, statistics, _ = cv2.connectedComponentsWithStats(outlined, connectivity=8)
    boxes = []
    for index, (x, y, width, height, _area) in enumerate(statistics[1:], start=1):
        score = float(relative[components == index].max())
        boxes.append(((float(x), float(y), float(width), float(height)), score))
    return sorted(_merged(boxes), key=lambda box: (-box[1], box[0]))


def _merged(boxes: list[tuple[tuple[float, float, float, float], float]]):
    """The boxes, those that overlap as the one around both, with the higher score."""
    apart: list[tuple[tuple[float, float, float, float], float]] = []
    for (x, y, width, height), score in boxes:
        for other in [other for other in apart if _overlap(other[0], (x, y, width, height))]:
            (left, top, across, down), other_score = other
            x, width = min(x, left), max(x + width, left + across) - min(x, left)
            y, height = min(y, top), max(y + height, top + down) - min(y, top)
            score = max(score, other_score)
            apart.remove(other)
        apart.append(((x, y, width, height), score))
    return apart if len(apart) == len(boxes) else _merged(apart)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return all(max(one[i], other[i]) < min(one[i] + one[i + 2], other[i] + other[i + 2]) for i in (0, 1))


def enlarged(heat: np.ndarray, size: int) -> np.ndarray:
    """A heatmap (h, w) on the packed square of ``size`` pixels; linear, so that a peak stays where it is."""
    return cv2.resize(heat, (size, size), interpolation=cv2.INTER_LINEAR)
