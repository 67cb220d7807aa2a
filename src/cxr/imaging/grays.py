"""Values of any depth -> 8-bit grays: windows, look-up tables, padding, negatives, and a few pixels beyond the rest."""

from dataclasses import dataclass

import numpy as np

# Outermost values are no film where they stand apart from the others: dead and hot pixels and lines, dust, letters.
FEW = 0.001  # share of the pixels that may be outliers of any values, at either end; of one value, as many as hold it
GAP = 0.1  # between one value and the next, as a share of the others' range
FENCE = 0.25  # from the others, likewise: as far out, values need no gap
LEAST_RANGE = 85  # of 0..255, that a window of an 8-bit film must use
LEAST_SHOWN = 0.1  # share of a film that a window must show as more than black and white


@dataclass(frozen=True)
class Decoded:
    """What a file holds, before it becomes 8 bits.

    values: (H, W), numbers of any kind. deep: whether they are to fill 0..255, or are grays 0..255 as they stand.
    negative: whether low values are to be shown bright. padding: (H, W), True where there is no film, or None.
    notes: what the file says of its grays and was not followed. view: PA, AP, LATERAL, or "" where it says nothing.
    """

    values: np.ndarray
    deep: bool
    negative: bool = False
    padding: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    view: str = ""

    @property
    def film(self) -> np.ndarray:
        """The values that are film, (N,)."""
        return self.values.ravel() if self.padding is None else self.values[~self.padding]


def eight_bits(decoded: Decoded) -> tuple[np.ndarray, tuple[str, ...]]:
    """Grays (H, W), uint8, bright = dense, padding black; and notes.

    One rule for training, prediction and export: deep values are stretched from the smallest to the largest that is
    film and no outlier.
    """
    notes = ()
    if decoded.deep:
        grays, notes = _stretched(decoded)
    else:
        grays = np.rint(decoded.values).astype(np.uint8)
        grays = 255 - grays if decoded.negative else grays
    return grays if decoded.padding is None else np.where(decoded.padding, np.uint8(0), grays), notes


def _stretched(decoded: Decoded) -> tuple[np.ndarray, tuple[str, ...]]:
    film = decoded.film
    low, high = range_without_outliers(film)
    outliers = int(np.count_nonzero((film < low) | (film > high)))
    black, white = (high, low) if decoded.negative else (low, high)
    grays = (decoded.values.astype(np.float32) - black) * (255 / (white - black))
    notes = (f"pixels far beyond the others' values, which were clipped: {outliers:,}",) if outliers else ()
    return np.clip(grays, 0, 255).round().astype(np.uint8), notes


def range_without_outliers(film: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest value of (N,) that do not stand apart from the others."""
    lowest, highest = float(film.min()), float(film.max())
    others = film[(film > lowest) & (film < highest)]
    if others.size <= film.size / 2:  # a picture of few values: there are no others
        others = film
    few = int(FEW * others.size)
    ordered = np.partition(others, (few, others.size - 1 - few)).astype(float)
    low, high = ordered[few], ordered[-1 - few]
    if low == high:  # where all but a few have one value, the few are what there is to see
        return lowest, highest
    below, above = low - ordered[: few + 1], ordered[others.size - 1 - few :] - high
    down = _reach(below, low - lowest, np.count_nonzero(film == lowest) <= few, high - low)
    up = _reach(above, highest - high, np.count_nonzero(film == highest) <= few, high - low)
    return float(low - down), float(high + up)


def _reach(beyond: np.ndarray, last: float, is_rare: bool, span: float) -> float:
    """How far values lie beyond the others of a range ``span``, up to the first that stands apart.

    beyond: distances of the few. last: that of the outermost value, which is one of the few where ``is_rare``.
    """
    beyond = np.sort(np.append(beyond, last) if is_rare else beyond)
    apart = (np.diff(beyond, prepend=0) > GAP * span) | (beyond > FENCE * span)
    reach = float(beyond[~np.logical_or.accumulate(apart)].max(initial=0))
    return last if not is_rare and last - reach <= FENCE * span else reach


def windowed(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray | None:
    """Values as a window shows them, 0..1 (PS3.3, C.11.2.1.2); None where no such window can be."""
    if not (np.isfinite(center) and width > (1 if function == "LINEAR" else 0)):
        return None
    if function == "LINEAR":
        return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -80, 80)))
    return None


def shows_little(shown: np.ndarray) -> bool:
    """Whether what a window or a table shows of the film, (N,), is black and white and hardly anything between."""
    return bool(np.mean((shown > shown.min()) & (shown < shown.max())) < LEAST_SHOWN)


def looked_up(values: np.ndarray, table: np.ndarray, first: float) -> np.ndarray:
    """Values replaced by a table's entries, the first of which stands for the value ``first`` (PS3.3, C.11.1)."""
    if first > 32767 and values.min() < 0:  # a signed number in an unsigned attribute
        first -= 65536
    return table[np.clip(np.rint(values - first), 0, len(table) - 1).astype(np.intp)].astype(np.float32)


def roughness(values: np.ndarray) -> float:
    """Mean step from a pixel to those beside and below it, as a share of the range, of values (H, W)."""
    values = values.astype(np.float32)
    steps = sum(np.abs(np.diff(values, axis=axis)).mean() for axis in (0, 1))
    return float(steps / max(np.ptp(values), 1))
