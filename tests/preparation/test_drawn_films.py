"""Drawn films as a classifier's pack holds real ones."""

import numpy as np
import pytest

from cxr.core.findings import FINDINGS
from cxr.preparation.drawn_films import SIDES, drawn_square
from cxr.synthetic.labelled import labelled_film
from tests.conftest import tiny_params


@pytest.mark.parametrize("masking", ["none", "loose", "hard", "crop"])
def test_a_drawn_film_is_masked_as_real_ones_are(masking):
    pack = tiny_params(LUNG_MASKING=masking).pack
    square, labels = drawn_square(2, 1, 48, FINDINGS, pack)
    film, same_labels = labelled_film(2, 1, SIDES[0], FINDINGS)
    np.testing.assert_array_equal(labels, same_labels)
    assert (square.shape, square.dtype) == ((48, 48), np.uint8)
    lungs = (film.lungs > 0).mean()
    shown = (square > 0).mean()
    assert {"none": shown > 0.9, "hard": shown < 1.4 * lungs, "loose": lungs < shown < 0.9, "crop": shown > 0.5}[
        masking
    ]
