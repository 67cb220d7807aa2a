"""The lungs on a film's packed square, and what margins and masking left of it: where a network saw the film."""

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd

from cxr.core.parameters import PackParams
from cxr.core.settings import Settings
from cxr.imaging.geometry import square_affine, to_square, warp_matrix
from cxr.imaging.lungs import mask_film
from cxr.maps.localisation import FilmGeometry
from cxr.preparation.packs import open_pack


def masks_of(settings: Settings, image_ids: pd.Series) -> Callable[[int], np.ndarray | None]:
    """Row of ``image_ids`` -> packed lung mask (u, u), uint8; None where there is none that was accepted."""
    path = settings.lung_masks
    if not path.exists():
        return lambda row: None
    masks, table = open_pack(path, "sh prepare_data.sh"), pd.read_csv(path.with_suffix(".csv"))
    accepted = table["accepted"].to_numpy(dtype=bool)
    row_of = {image_id: row for row, image_id in enumerate(table["image_id"]) if accepted[row]}
    rows = [row_of.get(image_id) for image_id in image_ids]
    return lambda row: None if rows[row] is None else masks[rows[row]]


def on_square(mask: np.ndarray, geometry: FilmGeometry, fit: str) -> np.ndarray:
    """A packed lung mask (u, u) of a film as bool on its packed square (size, size)."""
    of_mask = square_affine((geometry.height, geometry.width), mask.shape[0], fit)
    # Mask square -> film -> packed square, as one affine.
    scales = [geometry.affine[axis] / of_mask[axis] for axis in (0, 1)]
    offsets = [geometry.affine[2 + axis] - scales[axis] * of_mask[2 + axis] for axis in (0, 1)]
    sides = (geometry.size, geometry.size)
    return cv2.warpAffine(mask, warp_matrix((*scales, *offsets)), sides, flags=cv2.INTER_LINEAR) >= 128


def seen(lungs: np.ndarray | None, geometry: FilmGeometry, pack: PackParams) -> np.ndarray | None:
    """Where a packed square shows the film and not the black of margins and masking, bool (size, size).

    ``lungs``: on the square, or None without a mask that was accepted: then nothing was masked. None for all of it.
    """
    left, top, right, bottom = _corners((0, 0, geometry.width, geometry.height), geometry)
    region = np.zeros((geometry.size, geometry.size), bool)
    if lungs is not None and lungs.any() and pack.lung_masking == "crop":
        x, y, width, height = cv2.boundingRect(lungs.astype(np.uint8))
        reach = [pack.lung_margin * max(geometry.width, geometry.height) * scale for scale in geometry.affine[:2]]
        left, top = max(left, x - reach[0]), max(top, y - reach[1])
        right, bottom = min(right, x + width + reach[0]), min(bottom, y + height + reach[1])
    # Outwards, so that no pixel of the film is lost by rounding.
    region[max(0, int(np.floor(top))) : int(np.ceil(bottom)), max(0, int(np.floor(left))) : int(np.ceil(right))] = True
    if lungs is not None and pack.lung_masking in ("loose", "hard"):
        whole = np.ones(lungs.shape, np.uint8)
        region &= mask_film(whole, lungs.astype(np.uint8) * 255, pack.lung_masking, pack.lung_margin)[0] > 0
    return None if region.all() else region


def _corners(box: tuple[float, float, float, float], geometry: FilmGeometry) -> tuple[float, float, float, float]:
    x, y, width, height = to_square(box, geometry.affine)
    return x, y, x + width, y + height
