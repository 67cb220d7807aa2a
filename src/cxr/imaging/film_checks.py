"""Is a new film like those the networks know? Plain rules on its grays and shape, and its distance from training films.

Nothing is refused here: a flag says that the probabilities of this film deserve less trust. The numbers of the rules
were measured on 948 real films: 534 of NIH, 414 of Montgomery and Shenzhen.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.decomposition import PCA

from cxr.imaging.decoding import Film
from cxr.imaging.geometry import fit_square
from cxr.imaging.views import LATERAL_CUT, lateral_score, named_lateral

SIDE = 16  # of a thumbnail
FEWEST_GRAYS = 32  # different grays; real films had 151 or more
SMALLEST_RANGE = 30  # grays between the 1st and the 99th percentile; real films had 99 or more
LARGEST_BLANK = 0.7  # share of the pixels that have one and the same gray; real films had at most .59
LARGEST_ASPECT = 1.5  # longer side / shorter side; a cassette of 35 x 43 cm has 1.23
LOWEST_SIDE = 200  # pixels; the smallest copies of releases that networks are trained on have 224
COMPONENTS = 32  # of the thumbnails, beyond which what is left counts as noise
CUT_PERCENTILE = 99  # of the distances of val films: what lies beyond is far
FENCE = 3  # quartile distances beyond the upper quartile: "far out", Tukey 1977, Exploratory Data Analysis
FEWEST_FILMS = 32  # that a set must have for its films to be measured against each other
MOST_FITTED = 4000  # films that this is fitted on
OF_ONE_FILM = ("lateral", "looks_inverted", "nearly_empty", "odd_aspect", "low_resolution")
OF_MASK = ("mask_rejected", "doubtful_mask")
FLAGS = (*OF_MASK, *OF_ONE_FILM, "far_from_training")
MEANINGS = {
    "mask_rejected": "The lung mask failed its check; the whole film was used.",
    "doubtful_mask": "The lung mask has an odd shape, as of one that takes the air beside an arm (its outer edge is "
    "dented), climbs the neck or leaves the heart no room; it was used all the same.",
    "lateral": "Header, file name or picture say that it is a lateral film; the networks know frontal ones.",
    "looks_inverted": "The film looks like a negative: what is dense should be bright.",
    "nearly_empty": "Few or flat grays: a mask, a blank or a nearly empty film.",
    "odd_aspect": f"One side is more than {LARGEST_ASPECT} times the other.",
    "low_resolution": f"The shorter side has fewer than {LOWEST_SIDE} pixels.",
    "far_from_training": "Unlike the films that the networks were trained on: further than 99 of 100 val films.",
}


@dataclass(frozen=True)
class FilmChecks:
    """What the rules say of a film: each of `OF_ONE_FILM` the reason, or "" where there is nothing to say.

    file_notes: what its file says of its grays and was not followed; no flag.
    """

    lateral: str
    looks_inverted: str
    nearly_empty: str
    odd_aspect: str
    low_resolution: str
    file_notes: str


def check_film(film: Film, path: Path) -> FilmChecks:
    """Apply the rules to a film as it was read from ``path``, which may name its view."""
    pixels, inverted, empty = film.pixels, _inverted(film.pixels), _empty(film.pixels)
    if film.view == "LATERAL":
        lateral = "its header says so"
    elif named_lateral(path):
        lateral = "its name says so"
    else:  # of a negative or a mask the picture says nothing
        lateral = "" if inverted or empty else _lateral(pixels)
    return FilmChecks(lateral, inverted, empty, _aspect(pixels), _resolution(pixels), "; ".join(film.notes))


def brightness_of_the_middle(film: np.ndarray) -> float:
    """How much brighter the spine is than the lungs, plus the middle than the border; below 0 in a negative.

    On a thumbnail with mean 0 and deviation 1. Turning bright to dark turns the sign. Of the 948 real films two are
    below 0: one is a negative in NIH itself, the other a child's chest on a white border.
    """
    thumbnail = standardised(fit_square(film, SIDE, "squash")[0][None])[0].reshape(SIDE, SIDE)
    spine = thumbnail[3:11, 7:9].mean()
    lungs = (thumbnail[3:11, 3:6].mean() + thumbnail[3:11, 10:13].mean()) / 2
    border = np.concatenate([thumbnail[0], thumbnail[:, 0], thumbnail[:, -1]]).mean()
    return float(spine - lungs + thumbnail[4:, 6:10].mean() - border)


def _inverted(film: np.ndarray) -> str:
    middle = brightness_of_the_middle(film)
    return "" if middle >= 0 else f"the middle is darker than lungs and border ({middle:.2f}, expected 0 or more)"


def _lateral(film: np.ndarray) -> str:
    score = lateral_score(film)
    return "" if score <= LATERAL_CUT else f"it looks like one ({score:.2f}, expected {LATERAL_CUT} or less)"


def _empty(film: np.ndarray) -> str:
    shares = np.bincount(film.ravel(), minlength=256) / film.size
    below = np.cumsum(shares)
    spread = int(np.searchsorted(below, 0.99) - np.searchsorted(below, 0.01))
    grays = int(np.count_nonzero(shares))
    if grays < FEWEST_GRAYS:
        return f"{grays} different grays, expected {FEWEST_GRAYS} or more"
    if spread < SMALLEST_RANGE:
        return f"grays span {spread} of 255, expected {SMALLEST_RANGE} or more"
    if shares.max() > LARGEST_BLANK:
        return f"{shares.max():.0%} of the pixels have the gray {shares.argmax()}, expected {LARGEST_BLANK:.0%} or less"
    return ""


def _aspect(film: np.ndarray) -> str:
    aspect = max(film.shape) / min(film.shape)
    return "" if aspect <= LARGEST_ASPECT else f"sides are as {aspect:.2f} to 1, expected {LARGEST_ASPECT} or less"


def _resolution(film: np.ndarray) -> str:
    side = min(film.shape)
    return "" if side >= LOWEST_SIDE else f"{side} pixels, expected {LOWEST_SIDE} or more"


def thumbnails(films: np.ndarray) -> np.ndarray:
    """Square films (N, size, size) uint8 as thumbnails (N, 16, 16) uint8; one film is read at a time."""
    return np.array([cv2.resize(film, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for film in films], np.uint8)


def standardised(small: np.ndarray) -> np.ndarray:
    """Thumbnails (N, 16, 16) as rows (N, 256) of mean 0 and deviation 1; a flat one stays near 0."""
    rows = small.reshape(len(small), -1).astype(float)
    return (rows - rows.mean(axis=1, keepdims=True)) / (rows.std(axis=1, keepdims=True) + 1)


def fit_distance(train: np.ndarray, val: np.ndarray) -> dict[str, Any]:
    """What distances from the training films are measured with.

    The Mahalanobis distance in the leading principal components of thumbnails of train films; all other directions
    share one variance (probabilistic PCA, Tipping and Bishop 1999).

    Parameters
    ----------
    train, val : arrays of shape (N, 16, 16), uint8
        Thumbnails of packed films. The cut is the 99th percentile of the val films' distances.

    Returns
    -------
    reference : dict that JSON can hold
    """
    rows = standardised(train)
    leading = PCA(min(COMPONENTS, max(1, len(rows) // 4)), svd_solver="full").fit(rows)
    # Of all other directions, also where there are fewer films than directions (PCA's own leaves those out).
    rest = rows.var(axis=0, ddof=1).sum() - leading.explained_variance_.sum() if len(rows) > 1 else 0
    noise = max(float(rest) / (rows.shape[1] - leading.n_components_), 1e-6)
    reference = {
        "mean": _short(leading.mean_),
        "components": [_short(component) for component in leading.components_],
        "variances": _short(np.maximum(np.nan_to_num(leading.explained_variance_), noise)),
        "noise": noise,
        "train_films": len(train),
        "val_films": len(val),
    }
    return {**reference, "cut": float(np.percentile(distances(val, reference), CUT_PERCENTILE))}


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def distances(small: np.ndarray, reference: dict[str, Any]) -> np.ndarray:
    """Distances (N,) of thumbnails (N, 16, 16) from the training films; about 1 for those themselves."""
    away = standardised(small) - np.array(reference["mean"])
    along = away @ np.array(reference["components"]).T
    rest = np.maximum((away**2).sum(axis=1) - (along**2).sum(axis=1), 0)
    squared = (along**2 / np.array(reference["variances"])).sum(axis=1) + rest / reference["noise"]
    return np.sqrt(squared / away.shape[1])


def far_from_the_rest(small: np.ndarray) -> tuple[np.ndarray, float]:
    """How far each film of a set is from the others, and from where on it is far.

    Each half of the set (every second film) is measured by what was fitted on the other, so that a film cannot make
    itself usual. A kind that many films of the set are of is not far.

    Parameters
    ----------
    small : array of shape (N, 16, 16), uint8

    Returns
    -------
    distances : array of shape (N,)
    limit : float
        The upper quartile and `FENCE` times the distance between the quartiles; infinite below `FEWEST_FILMS` films.
    """
    found = np.zeros(len(small))
    if len(small) < FEWEST_FILMS:
        return found, np.inf
    for start in (0, 1):
        others = small[1 - start :: 2]
        others = others[:: -(-len(others) // MOST_FITTED)]
        reference = fit_distance(others, others)
        half = small[start::2]
        parts = np.array_split(half, -(-len(half) // MOST_FITTED))  # in parts: rows are of 8 bytes a pixel
        found[start::2] = np.concatenate([distances(part, reference) for part in parts])
    low, high = np.percentile(found, [25, 75])
    return found, float(high + FENCE * (high - low))
