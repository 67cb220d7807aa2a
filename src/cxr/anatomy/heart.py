"""The heart's outline, and the cardiothoracic ratio of a frontal film."""

from dataclasses import dataclass

import cv2
import numpy as np

OUTLINES = ("lungs", "heart")  # of a film, in the order of the masks' last axis
NOT_KNOWN = 128  # gray all over a mask that nobody drew
LEAST_HEART = 0.2  # of the thorax, below which what was found is no heart
DOME = 0.7  # of a lung's columns end above its dome: the least that measures the demo's hearts as they were drawn
LEAST_BETWEEN = 0.8  # of the heart's upper half, below which the lungs leave it no room
NAN = float("nan")


@dataclass(frozen=True)
class Widths:
    """Widest heart, above the domes, and widest thorax within the ribs (after Danzer 1919), as shares of the side.

    heart_left, heart_right, thorax_left, thorax_right: x of the left and right ends on the picture; heart_y, thorax_y:
    the height of the widest row of the thorax, and the middle of the heart's. cardiothoracic_ratio: of both widths. All
    NaN where one cannot be measured.
    """

    cardiothoracic_ratio: float = NAN
    heart_left: float = NAN
    heart_right: float = NAN
    heart_y: float = NAN
    thorax_left: float = NAN
    thorax_right: float = NAN
    thorax_y: float = NAN


def clean_heart(probability: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """The largest piece of what is heart from a threshold on, without holes: (H, W), uint8, 0 or 255."""
    raw = (probability >= threshold).astype(np.uint8)
    outlines, _ = cv2.findContours(raw, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    mask = np.zeros_like(raw)
    if outlines:
        cv2.drawContours(mask, [max(outlines, key=cv2.contourArea)], -1, 255, thickness=cv2.FILLED)
    return mask


def measure(lungs: np.ndarray, heart: np.ndarray) -> Widths:
    """Widths of heart and thorax in masks (H, W), uint8, set from 128 on, of two lungs and a heart.

    The thorax is as wide as the widest row from the outer border of one lung to that of the other: a stand-in for the
    inner borders of the ribs. The heart is measured above the higher dome of the diaphragm: below, nobody sees where it
    ends. On AP films, and of patients who lie, it is drawn too large.
    """
    rows, (left, right) = _spans(lungs)
    heart = _above_domes(lungs, heart)
    columns = np.flatnonzero((heart >= 128).any(axis=0))
    if not len(rows) or not len(columns):
        return Widths()
    widest = int(np.argmax(right - left))
    thorax, width = int(right[widest] - left[widest]), int(columns[-1] + 1 - columns[0])
    if width < LEAST_HEART * thorax:
        return Widths()
    height, side = lungs.shape
    heart_rows, (heart_left, heart_right) = _spans(heart)
    level = heart_rows[np.argmax(heart_right - heart_left)]
    return Widths(
        cardiothoracic_ratio=width / thorax,
        heart_left=columns[0] / side,
        heart_right=(columns[-1] + 1) / side,
        heart_y=(level + 0.5) / height,
        thorax_left=left[widest] / side,
        thorax_right=right[widest] / side,
        thorax_y=(rows[widest] + 0.5) / height,
    )


def _above_domes(lungs, heart):
    """The heart without its rows below the higher of both domes, which a lung's lower border says."""
    rows, (left, right) = _spans(heart)
    if not len(rows):
        return heart
    upper = slice((len(rows) + 1) // 2)  # the rest may have spilt to a side
    middle = (left[upper].min() + right[upper].max()) // 2
    is_lung = lungs >= 128
    columns = np.flatnonzero(is_lung.any(axis=0))
    ends = len(lungs) - is_lung[::-1, columns].argmax(axis=0)  # of each, beyond its last pixel of lung
    sides = ends[columns < middle], ends[columns >= middle]
    domes = [np.quantile(side, DOME) for side in sides if len(side)]
    kept = heart.copy()
    kept[round(min(domes, default=len(lungs))) :] = 0
    return kept


def share_between(lungs: np.ndarray, heart: np.ndarray) -> float:
    """Share of the rows of the heart's upper half with lung on both of its sides, and not over half of it or more.

    The lower half may lie below the diaphragm. lungs, heart: masks (H, W), uint8, set from 128 on. NaN without a heart.
    """
    rows, (left, right) = _spans(heart)
    if not len(rows):
        return NAN
    upper = slice((len(rows) + 1) // 2)
    lung, of_heart = lungs[rows[upper]] >= 128, heart[rows[upper]] >= 128
    column = np.arange(heart.shape[1])
    beside = [(lung & side).any(axis=1) for side in (column < left[upper, None], column >= right[upper, None])]
    return float(np.mean(beside[0] & beside[1] & (2 * (lung & of_heart).sum(axis=1) < of_heart.sum(axis=1))))


def why_no_room(lungs: np.ndarray, heart: np.ndarray) -> str:
    """What is odd about lungs that leave a heart no room, "" where nothing is; masks (H, W), uint8, set from 128 on."""
    share = share_between(lungs, heart)
    if not share < LEAST_BETWEEN:
        return ""
    return f"{share:.0%} of the heart's upper half lies between the lungs, expected {LEAST_BETWEEN:.0%} or more"


def _spans(mask):
    """Rows (n,) on which a mask is set, and where each begins and ends: ((n,), (n,)), the end beyond the last pixel."""
    is_set = mask >= 128
    rows = np.flatnonzero(is_set.any(axis=1))
    return rows, (is_set[rows].argmax(axis=1), mask.shape[1] - is_set[rows, ::-1].argmax(axis=1))
