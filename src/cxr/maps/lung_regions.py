"""The lungs on a film's packed square, and what masking left of the film: where a network saw anything."""

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd

from cxr.core.parameters import PackParams
from cxr.core.settings import Settings
from cxr.imaging.geometry import square_affine, warp_matrix
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


def seen(lungs: np.ndarray, pack: PackParams) -> np.ndarray | None:
    """What LUNG_MASKING leaves of a packed square with these lungs (size, size), bool; None for all of it."""
    if pack.lung_masking in ("none", "crop"):  # what crop leaves is the square
        return None
    whole = np.ones(lungs.shape, np.uint8)
    return mask_film(whole, lungs.astype(np.uint8) * 255, pack.lung_masking, pack.lung_margin)[0] > 0
