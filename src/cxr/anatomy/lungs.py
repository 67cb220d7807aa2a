"""U-Net probability -> clean lung mask, its quality -> masked film; and how far two masks agree."""

from dataclasses import dataclass

import cv2
import numpy as np

# What two lungs of a whole frontal film look like, as shares of the square; wide enough for small and rotated films.
# Measured on the drawn masks of 414 films of Montgomery and Shenzhen: area .10 to .40; the smaller lung has .28 of the
# larger one's area at least, .53 in all but one of a hundred.
AREA_RANGE = (0.06, 0.55)
SMALLEST_LUNG = 0.15  # of the larger one
LARGEST_LEFTOVER = 0.35  # share of the thresholded pixels that the clean-up may drop
# Shape of both lungs, on the same 414 masks at 128 and 256 pixels; what is beyond is doubtful, and used all the same.
TOPS_APART = 0.09  # of the side, between the tops of both lungs (.086 at most)
NARROWED = 0.42  # of a lung's width above, by which it narrows again in its upper part (.41 at most)
UPPER_PART = 0.4  # of a lung's height
DENTED = 0.17  # of a lung's width, by which its outer edge lies within its hull (.148 at most)
THIN = 0.03  # of the side: half the width of what does not count there
# Of pairs of a pixel just outside and one inside, those where the outer one is brighter; .68 or more of the same masks.
OUTSIDE_BRIGHTER = 0.65
OUTSIDE = 0.047  # of the side: how far "just outside" reaches


@dataclass(frozen=True)
class MaskQuality:
    """What a lung mask is accepted by.

    area_fraction: of the square. components: lungs found, 0 to 2. accepted: use it; else the whole film is kept.
    reason: why it is not accepted, "" where it is. doubt: what is odd in its shape, "" where nothing; it is used.
    """

    area_fraction: float
    components: int
    accepted: bool
    reason: str
    doubt: str = ""


def clean_mask(probability: np.ndarray, threshold: float = 0.5) -> tuple[np.ndarray, MaskQuality]:
    """The two lungs of a U-Net's output: the two largest areas, smoothed and without holes.

    Parameters
    ----------
    probability : ndarray of shape (H, W), float32
        Of being lung, 0..1.
    threshold : float
        From which a pixel is lung.

    Returns
    -------
    mask : ndarray of shape (H, W), uint8
        0 or 255.
    quality : MaskQuality
    """
    raw = (probability >= threshold).astype(np.uint8)
    radius = max(1, round(min(raw.shape) / 128))
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    opened = cv2.morphologyEx(raw, cv2.MORPH_OPEN, ellipse)
    _, components, statistics, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    largest = np.argsort(-areas, kind="stable")[:2]
    # A speck beside one lung is not the other lung.
    lungs = [index for index in largest if areas[index] >= SMALLEST_LUNG * areas[largest[0]]]
    both = np.isin(components, [index + 1 for index in lungs]).astype(np.uint8)
    outlines, _ = cv2.findContours(both, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    mask = cv2.drawContours(np.zeros_like(both), outlines, -1, 255, thickness=cv2.FILLED)
    return mask, _quality(mask, len(lungs), int(raw.sum()), int(both.sum()))


def _quality(mask: np.ndarray, lungs: int, thresholded: int, cleaned: int) -> MaskQuality:
    area = float(np.count_nonzero(mask)) / mask.size
    low, high = AREA_RANGE
    columns = np.flatnonzero(mask.any(axis=0))
    width = (columns[-1] - columns[0] + 1) / mask.shape[1] if len(columns) else 0.0
    if area < low:
        reason = f"lungs cover {area:.1%} of the film, expected {low:.0%} or more"
    elif area > high:
        reason = f"lungs cover {area:.1%} of the film, expected {high:.0%} or less"
    elif lungs < 2 and width < 0.45:
        reason = "one lung only"
    elif thresholded and 1 - cleaned / thresholded > LARGEST_LEFTOVER:
        reason = f"{1 - cleaned / thresholded:.0%} of the lung pixels lie in scattered pieces"
    else:
        reason = ""
    return MaskQuality(area, lungs, not reason, reason, shape_of(mask).doubt)


@dataclass(frozen=True)
class Shape:
    """What is odd in the outline of the lungs of a mask.

    tops_apart: height between the tops of both lungs, of the side; 0 of one lung. What climbs the neck ends higher.
    narrowed: by how much of its width above a lung narrows within its upper part, the worse of both; so it does below
    what climbs a shoulder. dented: by how much of its width a lung's outer edge lies within the lung's hull in the
    worst tenth of its rows, the worse of both: the air beside a body, below an arm, is no part of the lung, and between
    both is the wall of the chest.
    """

    tops_apart: float
    narrowed: float
    dented: float

    @property
    def oddness(self) -> float:
        """Above 1 a shape is doubtful."""
        return max(self.tops_apart / TOPS_APART, self.narrowed / NARROWED, self.dented / DENTED)

    @property
    def measured(self) -> str:
        """Its three figures with their limits, for who looks at a mask that is not doubtful."""
        tops = f"tops {self.tops_apart:.1%} apart ({TOPS_APART:.0%} at most)"
        return f"{tops}, narrows {self.narrowed:.0%} ({NARROWED:.0%}), dented {self.dented:.0%} ({DENTED:.0%})"

    @property
    def doubt(self) -> str:
        if self.tops_apart > TOPS_APART:
            return f"one lung ends {self.tops_apart:.1%} of the film above the other, expected {TOPS_APART:.0%} or less"
        if self.narrowed > NARROWED:
            return f"a lung narrows by {self.narrowed:.1%} near its top, expected {NARROWED:.0%} or less"
        if self.dented > DENTED:
            return f"a lung's outer edge is dented by {self.dented:.1%} of its width, expected {DENTED:.0%} or less"
        return ""


def shape_of(mask: np.ndarray) -> Shape:
    """The shape of the two largest pieces of a mask (H, W), uint8, lungs from 128 on."""
    _, pieces, statistics, centres = cv2.connectedComponentsWithStats((mask >= 128).astype(np.uint8), connectivity=4)
    largest = 1 + np.argsort(-statistics[1:, cv2.CC_STAT_AREA], kind="stable")[:2]
    areas = statistics[:, cv2.CC_STAT_AREA]
    lungs = [piece for piece in largest if areas[piece] >= SMALLEST_LUNG * areas[largest[0]]]
    if not lungs:
        return Shape(0.0, 0.0, 0.0)
    tops, narrowed = [], [0.0]
    for lung in lungs:
        top, height = (int(statistics[lung, column]) for column in (cv2.CC_STAT_TOP, cv2.CC_STAT_HEIGHT))
        widths = (pieces[top : top + max(2, int(UPPER_PART * height))] == lung).sum(axis=1)
        above = np.maximum.accumulate(widths)
        narrowed.append(float(((above - widths) / above).max()))
        tops.append(top / mask.shape[0])
    left, *_, right = sorted([*lungs, *lungs], key=lambda lung: centres[lung][0])
    dented = max(_dent(pieces == left), _dent((pieces == right)[:, ::-1]))
    return Shape(max(tops) - min(tops), max(narrowed), dented)


def _dent(lung: np.ndarray) -> float:
    """How far the left edge of a lung (H, W), bool, lies within its hull: 90th percentile of its rows, of its width.

    Without its thin parts, such as a sharp angle at the base, which is of the lung and draws the hull out.
    """
    radius = max(1, round(THIN * lung.shape[0]))
    framed = cv2.copyMakeBorder(lung.astype(np.uint8), *[radius] * 4, cv2.BORDER_REPLICATE)  # a border thins nothing
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    thick = cv2.morphologyEx(framed, cv2.MORPH_OPEN, ellipse)[radius:-radius, radius:-radius]
    outlines, _ = cv2.findContours(thick, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return 0.0
    hull = cv2.fillConvexPoly(np.zeros_like(thick), cv2.convexHull(np.concatenate(outlines)), 1)
    rows = np.flatnonzero(thick.any(axis=1))
    depths = thick[rows].argmax(axis=1) - hull[rows].argmax(axis=1)
    return float(np.percentile(depths, 90) / np.median(thick[rows].sum(axis=1)))


def beside_lungs(film: np.ndarray, mask: np.ndarray) -> str:
    """Why a mask seems not to lie on the lungs of its film, which are darker than what is round them; "" where it does.

    ``film``, ``mask``: (H, W), uint8; lungs from 128 on. A mask of another film or a shifted one has a shape as any.
    """
    lungs = (mask >= 128).astype(np.uint8)
    reach = max(1, round(OUTSIDE * mask.shape[0]))
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    around = cv2.dilate(lungs, ellipse) > lungs
    inner, outer = (np.bincount(film[where], minlength=256) for where in (lungs > 0, around))
    if not (inner.any() and outer.any()):
        return ""
    darker = np.cumsum(inner) - inner / 2  # pixels inside that are darker than a gray; of the same gray half
    share = float(outer @ darker) / (inner.sum() * outer.sum())
    if share >= OUTSIDE_BRIGHTER:
        return ""
    least = f"expected {OUTSIDE_BRIGHTER:.0%} or more: of another film, or shifted?"
    return f"what is round the mask is brighter than what is in it in {share:.1%} of pairs of pixels, {least}"


def mask_film(
    film: np.ndarray, mask: np.ndarray, masking: str, margin: float
) -> tuple[np.ndarray, tuple[int, int, int, int] | None]:
    """What classification sees of a film.

    Parameters
    ----------
    film : ndarray of shape (H, W), uint8
    mask : ndarray of shape (H, W), uint8
        Lungs, from 128 on.
    masking : {"loose", "hard", "crop", "none"}
        Loose: the convex hull of both lungs, widened by the margin, so with the heart. Hard: the lungs alone, as the
        original did; it takes the heart away, and effusions and consolidations that are not aerated lung.
        Crop: the lungs' bounding box, widened by the margin. None: the film as it is.
    margin : float
        Share of the film's longer side.

    Returns
    -------
    film : ndarray of shape (H, W), uint8
        Zero outside what is kept.
    box : (x, y, width, height) or None
        What crop keeps, pixels; None for the whole film.
    """
    lungs = (mask >= 128).astype(np.uint8)
    if masking == "none" or not lungs.any():
        return film, None
    if masking == "hard":
        return film * lungs, None
    reach = round(margin * max(film.shape))
    if masking == "crop":
        x, y, width, height = cv2.boundingRect(lungs)
        left, top = max(0, x - reach), max(0, y - reach)
        right, bottom = min(film.shape[1], x + width + reach), min(film.shape[0], y + height + reach)
        return film, (left, top, right - left, bottom - top)
    if masking != "loose":
        raise ValueError(f"masking: expected loose, hard, crop or none, found {masking!r}")
    outlines, _ = cv2.findContours(lungs, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(outlines))
    region = cv2.fillConvexPoly(np.zeros_like(lungs), hull, 1)
    # A pen as wide as twice the margin, led round the hull: the same to a pixel as dilating it by a disk.
    return film * cv2.polylines(region, [hull], True, 1, thickness=max(1, 2 * reach)), None


def dice(truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Dice coefficient 2·|A∩B| / (|A| + |B|) of masks (pixels > 0), 1 where both are empty.

    Parameters
    ----------
    truth, mask : arrays of shape (H, W) or (N, H, W)

    Returns
    -------
    dice : float array of shape () or (N,)
    """
    both, either = _overlap(truth, mask)
    return np.where(either == 0, 1.0, 2 * both / np.maximum(both + either, 1))


def iou(truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Intersection over union (Jaccard) of masks (pixels > 0), 1 where both are empty; shapes as in `dice`."""
    both, either = _overlap(truth, mask)
    return np.where(either == 0, 1.0, both / np.maximum(either, 1))


def _overlap(truth: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the intersection and of the union, of shape () or (N,)."""
    truth, mask = np.asarray(truth) > 0, np.asarray(mask) > 0
    if truth.shape != mask.shape:
        raise ValueError(f"masks of one shape expected, found {truth.shape} and {mask.shape}")
    return (truth & mask).sum(axis=(-2, -1)), (truth | mask).sum(axis=(-2, -1))
