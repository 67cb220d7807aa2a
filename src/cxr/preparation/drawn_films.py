"""Drawn films with labels, as a classifier's pack holds real ones: the same masking, the same square."""

import functools
from collections.abc import Sequence

import numpy as np

from cxr.anatomy.lungs import mask_film
from cxr.core import executors
from cxr.core.parameters import PackParams, Params
from cxr.core.progress import progress
from cxr.imaging.geometry import fit_square
from cxr.synthetic.labelled import labelled_film

SIDES = (192, 512)  # a film is drawn twice as large as it is used, within these


def drawn_films(params: Params, size: int) -> tuple[np.ndarray, np.ndarray]:
    """DRAWN_FILMS films, drawn anew from SEED: (N, size, size), uint8, and their labels (N, F), float32."""
    general, count = params.general, params.models.drawn_films
    films, labels = np.empty((count, size, size), np.uint8), np.empty((count, len(params.findings)), np.float32)
    draw = functools.partial(drawn_square, seed=general.seed, size=size, findings=params.findings, pack=params.pack)
    made = executors.by_processes(draw, range(count), executors.process_count(general.workers))
    for number, (film, of_film) in enumerate(progress(made, count, "drawing films")):
        films[number], labels[number] = film, of_film
    return films, labels


def drawn_square(
    number: int, seed: int, size: int, findings: Sequence[str], pack: PackParams
) -> tuple[np.ndarray, np.ndarray]:
    """The film of a number as it is packed, (size, size), uint8, by the outline that was drawn; its labels (F,)."""
    film, labels = labelled_film(number, seed, int(np.clip(2 * size, *SIDES)), findings)
    kept, box = mask_film(film.pixels, film.lungs, pack.lung_masking, pack.lung_margin)
    return fit_square(kept, size, pack.fit, box)[0], labels
