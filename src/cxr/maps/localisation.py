"""How well maps find known boxes, beside a random map, a centre prior and the known box drawn on the same grid.

One map of one film and finding at a time, in pixels of the original film; NumPy only. Wang 2017 is the rule for boxes,
the pointing game (Zhang 2016; "hit rate" in Saporta 2022) the one for the map's peak.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cxr.imaging.geometry import square_to_film, to_film, to_square
from cxr.maps import heatmaps

THRESHOLDS = tuple(round(0.1 * step, 1) for step in range(1, 10))  # of IoBB and of IoU
PRIOR_WIDTH = 0.25  # standard deviation of the centre prior, share of the side
PRIOR_GRID = 32
ALL_SEEN = 0.99  # of a film: a row of pixels lost at its border is no masking
ALWAYS_BESIDE = ("random map", "centre prior", "known box on the grid")

Box = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True)
class FilmGeometry:
    """Of a map: its packed square of ``size`` pixels, and the affine to it from a film of ``width`` x ``height``.

    seen: bool (size, size), where the network saw the film and not the black that masking left; None: everywhere.
    """

    size: int
    affine: tuple[float, float, float, float]
    width: int
    height: int
    seen: np.ndarray | None = None


def on_square(heat: np.ndarray, geometry: FilmGeometry) -> np.ndarray:
    """A heatmap (h, w) on the packed square (size, size), 0 where the network saw nothing."""
    large = heatmaps.enlarged(heat, geometry.size)
    return large if geometry.seen is None else large * geometry.seen


def seen_heat(heat: np.ndarray, geometry: FilmGeometry) -> np.ndarray:
    """The cells of a heatmap (h, w) where the network saw the film, (n,)."""
    return heat.ravel() if geometry.seen is None else heat[seen_at(geometry.seen, heat.shape[0])]


def seen_at(seen: np.ndarray, side: int) -> np.ndarray:
    """What was seen of a packed square (size, size), bool, on a square of another side: half of a cell or more."""
    return cv2.resize(seen.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) >= 0.5


def mean_heat(large: np.ndarray, geometry: FilmGeometry) -> float:
    """Of a heatmap on the packed square (size, size): the mean over what the network saw."""
    seen = large if geometry.seen is None else large[geometry.seen]
    return float(seen.mean()) if seen.size else 0.0


def outline_level(large: np.ndarray, share: float, geometry: FilmGeometry) -> float:
    """The heat at a share of the way from the film's mean to its peak: evidence that lies all over outlines nothing."""
    mean = mean_heat(large, geometry)
    peak = float(large.max())
    return min(mean, peak) + share * max(peak - mean, 0.0)  # of an even map rounding may lift the mean above the peak


def seen_on_film(geometry: FilmGeometry) -> np.ndarray | None:
    """Where the network saw the film (height, width), bool: in the square, and what masking left; None: all of it."""
    square = np.ones((geometry.size, geometry.size), bool) if geometry.seen is None else geometry.seen
    film = square_to_film(square.astype(np.uint8) * 255, (geometry.height, geometry.width), geometry.affine) >= 128
    return None if film.mean() > ALL_SEEN else film


def film_boxes(heat: np.ndarray, share: float, geometry: FilmGeometry) -> list[tuple[Box, float]]:
    """What `heatmaps.detections` finds on a heatmap (h, w), in film pixels, clipped to the film."""
    large = on_square(heat, geometry)
    boxes = heatmaps.detections(large, outline_level(large, share, geometry))
    on_film = [(clip(to_film(box, geometry.affine), geometry), score) for box, score in boxes]
    return [(box, score) for box, score in on_film if box is not None]


def clip(box: Box, geometry: FilmGeometry) -> Box | None:
    """What of a box lies on the film; None where nothing does."""
    x, y, width, height = box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(geometry.width), x + width), min(float(geometry.height), y + height)
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def peak(heat: np.ndarray, geometry: FilmGeometry) -> tuple[float, float] | None:
    """The hottest point (x, y) of a heatmap (h, w), in film pixels; None for an empty map.

    Enlarging leaves a plateau where the hottest cell is at a border or alone: its centre of gravity is taken, not the
    corner that comes first.
    """
    large = on_square(heat, geometry)
    if large.max() <= 0:
        return None
    hottest = (large >= large.max() * (1 - 1e-6)).astype(np.uint8)
    _, components, _, centres = cv2.connectedComponentsWithStats(hottest, connectivity=8)
    x, y = centres[components[np.unravel_index(np.argmax(large), large.shape)]] + 0.5  # pixel i covers [i, i + 1)
    return to_film((x, y, 0, 0), geometry.affine)[:2]


def overlaps(detected: Sequence[Box], known: Sequence[Box]) -> tuple[np.ndarray, np.ndarray]:
    """Intersection over union, and over the detected box (IoBB), of every pair: arrays of shape (detected, known)."""
    detected = np.asarray(detected, float).reshape(-1, 1, 4)
    known = np.asarray(known, float).reshape(1, -1, 4)
    low = np.maximum(detected[..., :2], known[..., :2])
    high = np.minimum(detected[..., :2] + detected[..., 2:], known[..., :2] + known[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    area, known_area = detected[..., 2:].prod(axis=-1), known[..., 2:].prod(axis=-1)
    return shared / (area + known_area - shared), shared / area


def score(heat: np.ndarray, known: Sequence[Box], share: float, geometry: FilmGeometry) -> dict[str, float]:
    """What one map is worth on one film.

    Parameters
    ----------
    heat : ndarray of shape (h, w), float32, 0 or more
    known : sequence of (x, y, width, height)
        The boxes of one finding on the film, in its pixels; at least one.
    share : float
        Of the way from the map's mean to its peak, where it is outlined (`outlines`).
    geometry : FilmGeometry

    Returns
    -------
    dict of float
        ``hit``: 1 where the hottest point lies in a known box. ``iou``: the best of any detected with any known box; 0
        without a detected one. ``boxes``: those detected. For T in `THRESHOLDS`, ``iobb_T`` and ``iou_T``: 1 where any
        detected box reaches more than T with any known one (Wang 2017), and ``iobb_T_false``, ``iou_T_false``: the
        detected boxes that do not.
    """
    point = peak(heat, geometry)
    detected = [box for box, _ in film_boxes(heat, share, geometry)]
    iou, iobb = (values.max(axis=1) if len(values) else np.zeros(0) for values in overlaps(detected, known))
    scores = {
        "hit": float(point is not None and any(_inside(point, box) for box in known)),
        "iou": float(iou.max(initial=0)),
        "boxes": float(len(detected)),
    }
    for name, values in (("iobb", iobb), ("iou", iou)):
        for limit in THRESHOLDS:
            scores[f"{name}_{limit}"] = float((values > limit).any())
            scores[f"{name}_{limit}_false"] = float((values <= limit).sum())
    return scores


def _inside(point: tuple[float, float], box: Box) -> bool:
    x, y, width, height = box
    return x <= point[0] < x + width and y <= point[1] < y + height


def share_in_lungs(heat: np.ndarray, lungs: np.ndarray, geometry: FilmGeometry) -> tuple[float, float]:
    """Share of a map that lies in the lungs, and the lungs' share of what was seen: that of a map without structure.

    Parameters
    ----------
    heat : ndarray of shape (h, w), float32, 0 or more
    lungs : ndarray of shape (size, size), bool
        The lungs on the packed square; heart and mediastinum are no lung.

    Returns
    -------
    share, area : float
        Share: NaN for an empty map.
    """
    large = on_square(heat, geometry)
    total = float(large.sum())
    area = float(lungs.mean() if geometry.seen is None else lungs[geometry.seen].mean())
    return float(large[lungs].sum()) / total if total > 0 else float("nan"), area


def centre_prior() -> np.ndarray:
    """A map that knows nothing of the film: hottest in the middle of the square, (32, 32) float32, 0..1."""
    away = (np.arange(PRIOR_GRID) + 0.5) / PRIOR_GRID - 0.5
    bell = np.exp(-0.5 * (away / PRIOR_WIDTH) ** 2)
    return np.outer(bell, bell).astype(np.float32)


def known_on_grid(known: Sequence[Box], side: int, geometry: FilmGeometry) -> np.ndarray:
    """The known boxes as a map of the network's grid, (side, side) float32: about the best that a network can draw."""
    square = np.zeros((geometry.size, geometry.size), np.float32)
    for box in known:
        x, y, width, height = to_square(box, geometry.affine)
        left, top, right, bottom = (round(value) for value in (x, y, x + width, y + height))
        square[max(0, top) : max(top + 1, bottom), max(0, left) : max(left + 1, right)] = 1
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
