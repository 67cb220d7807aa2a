"""Films made worse in ways that happen, each at three strengths, by public recipes where there are some.

Strengths 1, 3 and 5 of MedMNIST-C for chest films (Di Salvo 2024: noise, JPEG, contrast, gamma, resolution) and of
ImageNet-C (Hendrycks and Dietterich 2019: blur). Those recipes are for films of 224 pixels: what has a size in pixels
is scaled to the film's longer side. Rotation and crop have no recipe of chest films; theirs are ours.
"""

import cv2
import numpy as np

SIDE = 224  # pixels of the films that the recipes are for
SETTINGS = {  # what is changed -> its three strengths
    "noise": (0.04, 0.12, 0.26),  # standard deviation, share of the range of grays
    "blur": (1.0, 3.0, 6.0),  # standard deviation of a Gaussian, pixels of 224
    "jpeg": (50, 15, 7),  # quality
    "contrast": (0.9, 0.7, 0.4),  # share that is kept
    "gamma": (1.1, 1.3, 1.6),  # exponent: darker
    "rotation": (5.0, 10.0, 20.0),  # degrees, to the side that the film's number says
    "crop": (0.05, 0.10, 0.20),  # share of the film that is cut away, half of it on each side
    "resolution": (0.30, 0.20, 0.10),  # share of 224 pixels that is left
}
STRENGTHS = (1, 2, 3)


def corrupt(film: np.ndarray, kind: str, strength: int, number: int) -> np.ndarray:
    """A film made worse.

    Parameters
    ----------
    film : array of shape (H, W), uint8
    kind : str
        A key of `SETTINGS`.
    strength : int
        1, 2 or 3.
    number : int
        Of the film: seed of its noise, and the side it is turned to.

    Returns
    -------
    film : array of uint8
        (H, W), smaller after a crop.
    """
    return WAYS[kind](film, SETTINGS[kind][strength - 1], number)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _small(film: np.ndarray, side: float) -> tuple[int, int]:
    """(width, height) of the film with its longer side ``side`` pixels."""
    scale = side / max(film.shape)
    return max(1, round(film.shape[1] * scale)), max(1, round(film.shape[0] * scale))


def noise(film: np.ndarray, deviation: float, number: int) -> np.ndarray:
    width, height = _small(film, SIDE)  # grains as large as on a film of 224 pixels, else they average out
    grains = np.random.default_rng(number).normal(0, 255 * deviation, (height, width)).astype(np.float32)
    return _rounded(film + cv2.resize(grains, film.shape[::-1], interpolation=cv2.INTER_NEAREST))


def blur(film: np.ndarray, deviation: float, number: int) -> np.ndarray:
    return cv2.GaussianBlur(film, (0, 0), deviation * max(film.shape) / SIDE)


def jpeg(film: np.ndarray, quality: int, number: int) -> np.ndarray:
    _, content = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)


def contrast(film: np.ndarray, kept: float, number: int) -> np.ndarray:
    return _rounded(film.mean() + kept * (film - film.mean()))


def gamma(film: np.ndarray, exponent: float, number: int) -> np.ndarray:
    return _rounded(255 * (film / 255) ** exponent)


def rotation(film: np.ndarray, degrees: float, number: int) -> np.ndarray:
    height, width = film.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees if number % 2 else -degrees, 1)
    return cv2.warpAffine(film, turn, (width, height), flags=cv2.INTER_LINEAR)


def crop(film: np.ndarray, share: float, number: int) -> np.ndarray:
    top, left = (round(side * share / 2) for side in film.shape)
    return film[top : film.shape[0] - top, left : film.shape[1] - left]


def resolution(film: np.ndarray, share: float, number: int) -> np.ndarray:
    small = cv2.resize(film, _small(film, SIDE * share), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, film.shape[::-1], interpolation=cv2.INTER_LINEAR)


WAYS = {way.__name__: way for way in (noise, blur, jpeg, contrast, gamma, rotation, crop, resolution)}
