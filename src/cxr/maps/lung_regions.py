"""The lungs on a film's packed square, and what margins and masking left of it: where a network saw the film."""

from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd

from cxr.anatomy.lungs import mask_film
from cxr.core.parameters import PackParams
from cxr.core.settings import Settings
from cxr.imaging.geometry import square_affine, square_to_film, warp_matrix
from cxr.maps.localisation import FilmGeometry
from cxr.preparation.packs import open_pack

FINER = 4  # pixels of a film to a pixel of its square, that masking is done again on


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


def seen(mask: np.ndarray | None, geometry: FilmGeometry, pack: PackParams) -> np.ndarray | None:
    """Where a packed square shows the film and not the black of margins and masking, bool (size, size).

    ``mask``: the packed lung mask (u, u), uint8, or None without one that was accepted: then nothing was masked.
    Packing, done again with a white film, no larger than the margin's rounding asks. None for all of it.
    """
    sides, scale = (geometry.height, geometry.width), min(1.0, FINER * max(geometry.affine[:2]))
    shape = tuple(max(1, round(side * scale)) for side in sides)
    film = np.full(shape, 255, np.uint8)
    if mask is not None:
        on_film = square_to_film(mask, shape, square_affine(shape, mask.shape[0], pack.fit))
        film, box = mask_film(film, on_film, pack.lung_masking, pack.lung_margin)
        if box is not None:
            x, y, width, height = box  # of the smaller film: a pixel more, for none that was packed is to be lost
            film = np.zeros(shape, np.uint8)
            film[max(0, y - 1) : y + height + 1, max(0, x - 1) : x + width + 1] = 255
    scale_x, scale_y, offset_x, offset_y = geometry.affine
    affine = scale_x * sides[1] / shape[1], scale_y * sides[0] / shape[0], offset_x, offset_y
    square = cv2.warpAffine(film, warp_matrix(affine), (geometry.size, geometry.size), flags=cv2.INTER_LINEAR)
    shown = square >= 127  # half: no pixel at the film's border is lost
    return None if shown.all() else shown
