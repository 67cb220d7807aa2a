"""Films <-> squares, with the affine from one to the other."""

from collections.abc import Sequence

import cv2
import numpy as np

AFFINE = ("scale_x", "scale_y", "offset_x", "offset_y")  # columns of tables, in the order of the tuples below
CORNER = 0.16  # of either side: markers lie within, costophrenic angles do not


def fit_square(
    film: np.ndarray, size: int, fit: str = "pad", box: tuple[int, int, int, int] | None = None, is_mask: bool = False
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Bring a film, or a box of it, to a square.

    Parameters
    ----------
    film : ndarray of shape (H, W), uint8
    size : int
        Side of the square, pixels.
    fit : {"pad", "squash"}
        Black margins around the centred film, or another scale for each axis.
    box : (x, y, width, height), pixels, optional
        What is kept of the film; the whole film where None.
    is_mask : bool
        The film holds 0 and 255, and so does the square: a smaller one 255 where at least half of a pixel is. (The
        nearest pixel would move a mask: by a quarter of a pixel where two become one.)

    Returns
    -------
    square : ndarray of shape (size, size), uint8
        Area averages (smaller) or linear interpolation (larger).
    affine : (scale_x, scale_y, offset_x, offset_y)
        ``x_square = scale_x * x_film + offset_x``, in coordinates where pixel i covers [i, i + 1).
    """
    left, top, width, height = box or (0, 0, film.shape[1], film.shape[0])
    part = film[top : top + height, left : left + width]
    affine = square_affine(film.shape, size, fit, box)
    if fit == "pad" and width != height:
        side = max(width, height)
        margin_x, margin_y = (side - width) // 2, (side - height) // 2
        part = cv2.copyMakeBorder(
            part, margin_y, side - height - margin_y, margin_x, side - width - margin_x, cv2.BORDER_CONSTANT, value=0
        )
    smaller = affine[0] < 1 or affine[1] < 1
    larger = cv2.INTER_NEAREST_EXACT if is_mask else cv2.INTER_LINEAR
    square = cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA if smaller else larger)
    if is_mask:
        square = np.where(square > 127, np.uint8(255), np.uint8(0))
    return square, affine


def square_affine(
    shape: tuple[int, int], size: int, fit: str = "pad", box: tuple[int, int, int, int] | None = None
) -> tuple[float, float, float, float]:
    """The affine of `fit_square` for a film of shape (H, W), without making the square."""
    left, top, width, height = box or (0, 0, shape[1], shape[0])
    side = max(width, height)
    margin_x, margin_y = ((side - width) // 2, (side - height) // 2) if fit == "pad" else (0, 0)
    scale_x, scale_y = (size / side, size / side) if fit == "pad" else (size / width, size / height)
    return scale_x, scale_y, (margin_x - left) * scale_x, (margin_y - top) * scale_y


def to_square(box: Sequence[float], affine: Sequence[float]) -> tuple[float, float, float, float]:
    """A box (x, y, width, height) of film pixels, in the square's pixels."""
    scale_x, scale_y, offset_x, offset_y = affine
    x, y, width, height = box
    return scale_x * x + offset_x, scale_y * y + offset_y, scale_x * width, scale_y * height


def to_film(box: Sequence[float], affine: Sequence[float]) -> tuple[float, float, float, float]:
    """A box (x, y, width, height) of the square's pixels, in film pixels."""
    scale_x, scale_y, offset_x, offset_y = affine
    x, y, width, height = box
    return (x - offset_x) / scale_x, (y - offset_y) / scale_y, width / scale_x, height / scale_y


def square_to_film(square: np.ndarray, shape: tuple[int, int], affine: Sequence[float]) -> np.ndarray:
    """Bring a mask or map on the square back onto the film.

    Parameters
    ----------
    square : ndarray of shape (size, size)
        Uint8 or float32.
    shape : (H, W)
        Of the film.
    affine : (scale_x, scale_y, offset_x, offset_y)
        From `fit_square`.

    Returns
    -------
    ndarray of shape (H, W), dtype of ``square``
        Linearly interpolated; 0 where the square does not reach.
    """
    return cv2.warpAffine(square, warp_matrix(affine), shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def warp_matrix(affine: Sequence[float]) -> np.ndarray:
    """The affine as OpenCV's warps take it, (2, 3): they count from pixel centres, the affine from pixel edges."""
    scale_x, scale_y, offset_x, offset_y = affine
    return np.array([[scale_x, 0, offset_x + 0.5 * scale_x - 0.5], [0, scale_y, offset_y + 0.5 * scale_y - 0.5]])


def blank_corners(square: np.ndarray, affine: Sequence[float], width: float, height: float) -> np.ndarray:
    """A film on its square without what stands in its four corners, where hospitals put their markers.

    Parameters
    ----------
    square : ndarray of shape (size, size), uint8
    affine : (scale_x, scale_y, offset_x, offset_y)
        From `fit_square`.
    width, height : float
        Of the film, pixels.

    Returns
    -------
    ndarray of shape (size, size), uint8
        A copy; each corner, `CORNER` of either side, has the median of its own pixels. Corners that the square does not
        show change nothing.
    """
    blanked, side = square.copy(), square.shape[0]
    for x in (0, width * (1 - CORNER)):
        for y in (0, height * (1 - CORNER)):
            left, top, wide, high = to_square((x, y, width * CORNER, height * CORNER), affine)
            ends = [round(min(max(value, 0), side)) for value in (left, left + wide, top, top + high)]
            corner = blanked[ends[2] : ends[3], ends[0] : ends[1]]
            if corner.size:
                corner[:] = np.median(corner)
    return blanked
