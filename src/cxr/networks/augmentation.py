"""Random variations of a film and its mask: one composed warp, one intensity table, then blur, noise, elastic."""

import cv2
import numpy as np

from cxr.core.parameters import AugmentParams

# Strong on purpose: the U-Net must hold on films of hospitals it never saw (brighter, darker, rotated, cropped).
LUNG_AUGMENTATION = AugmentParams(
    AUGMENTATION=0.9, FLIP=0.5, CROP=0.4, WARP=0.9, SHIFT=0.10, SCALE=0.25, ROTATE=20.0, ELASTIC=0.1, INTENSITY=0.9,
    CONTRAST=0.4, GAMMA=0.5, BRIGHTNESS=0.2, BLUR=0.2, NOISE=0.2,
)  # fmt: skip


def random_warp(random: np.random.Generator, size: int, params: AugmentParams) -> np.ndarray | None:
    """One affine matrix (2, 3) that flips, crops, shifts, scales and rotates at once; None where nothing is drawn."""
    matrix = np.eye(3)
    centre = (size - 1) / 2
    if random.random() < params.flip:
        matrix = np.array([[-1, 0, 2 * centre], [0, 1, 0], [0, 0, 1.0]]) @ matrix
    if random.random() < params.crop:
        zoom = 1 / random.uniform(0.75, 1)
        left, top = random.uniform(0, (size - 1) * (1 - 1 / zoom), 2)
        matrix = np.array([[zoom, 0, -left * zoom], [0, zoom, -top * zoom], [0, 0, 1]]) @ matrix
    if random.random() < params.warp:
        angle, scale = random.uniform(-params.rotate, params.rotate), 1 + random.uniform(-params.scale, params.scale)
        turn = np.vstack([cv2.getRotationMatrix2D((centre, centre), angle, scale), [0, 0, 1]])
        turn[:2, 2] += random.uniform(-params.shift, params.shift, 2) * size
        matrix = turn @ matrix
    return None if np.array_equal(matrix, np.eye(3)) else matrix[:2]


def random_intensity_table(random: np.random.Generator, params: AugmentParams) -> np.ndarray | None:
    """One look-up table of 256 uint8 that changes contrast, gamma and brightness at once."""
    if random.random() >= params.intensity:
        return None
    gray = np.linspace(0, 1, 256) ** np.exp(random.uniform(-params.gamma, params.gamma))
    contrast = 1 + random.uniform(-params.contrast, params.contrast)
    gray = (gray - 0.5) * contrast + 0.5 + random.uniform(-params.brightness, params.brightness)
    return np.round(np.clip(gray, 0, 1) * 255).astype(np.uint8)


def _elastic_maps(random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth random displacements of up to a few percent of the side, drawn coarse and interpolated."""
    coarse = random.normal(0, 0.02 * size, (2, 5, 5)).astype(np.float32)
    shift_x, shift_y = (cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC) for field in coarse)
    grid = np.arange(size, dtype=np.float32)
    return grid[None, :] + shift_x, grid[:, None] + shift_y


def augment(
    film: np.ndarray, random: np.random.Generator, params: AugmentParams, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """A random variation of a square film, and of its mask by the same warp.

    Parameters
    ----------
    film : ndarray of shape (size, size), uint8
    random : Generator
        Decides everything: the same state gives the same variation.
    params : AugmentParams
    mask : ndarray of shape (size, size), uint8, optional

    Returns
    -------
    film, mask : ndarrays of shape (size, size), uint8
        Black where the warp shows what lies outside the film.
    """
    if random.random() >= params.augmentation:
        return film, mask
    size = film.shape[0]
    matrix = random_warp(random, size, params)
    if matrix is not None:
        film = cv2.warpAffine(film, matrix, (size, size), flags=cv2.INTER_LINEAR)
        mask = None if mask is None else cv2.warpAffine(mask, matrix, (size, size), flags=cv2.INTER_NEAREST)
    if random.random() < params.elastic:
        maps = _elastic_maps(random, size)
        film = cv2.remap(film, *maps, interpolation=cv2.INTER_LINEAR)
        mask = None if mask is None else cv2.remap(mask, *maps, interpolation=cv2.INTER_NEAREST)
    table = random_intensity_table(random, params)
    if table is not None:
        film = cv2.LUT(film, table)
    if random.random() < params.blur:
        film = cv2.GaussianBlur(film, (0, 0), random.uniform(0.3, 1.0) * size / 256 + 0.3)
    if random.random() < params.noise:
        grain = random.normal(0, random.uniform(1, 6), film.shape).astype(np.float32)
        film = np.clip(np.rint(film + grain), 0, 255).astype(np.uint8)
    return film, mask
