from dataclasses import replace

import numpy as np
import pytest

from cxr.anatomy.lungs import mask_film
from cxr.imaging.geometry import fit_square, square_affine, square_to_film
from cxr.maps import localisation, lung_regions
from cxr.maps.localisation import FilmGeometry
from tests.conftest import tiny_params
from tests.maps.test_family_maps import F0, SIZE, scored_films

MASK = np.zeros((40, 40), np.uint8)
MASK[8:32, 6:14] = MASK[8:32, 26:34] = 255  # two lungs and nothing between


def geometry_of(width: int, height: int, size: int = 40) -> FilmGeometry:
    _, affine = fit_square(np.zeros((height, width), np.uint8), size)
    return FilmGeometry(size, affine, width, height)


@pytest.mark.parametrize("fit", ["pad", "squash"])
@pytest.mark.parametrize(("width", "height"), [(120, 120), (200, 100), (64, 128)])
@pytest.mark.parametrize("masking", ["loose", "hard", "crop"])
def test_what_is_seen_is_what_packing_leaves_of_the_film(width, height, masking, fit):
    pack, bright = tiny_params(LUNG_MASKING=masking, FIT=fit).pack, np.full((height, width), 200, np.uint8)
    on_film = square_to_film(MASK, bright.shape, square_affine(bright.shape, 40, fit))
    film, box = mask_film(bright, on_film, masking, pack.lung_margin)
    packed, affine = fit_square(film, 40, fit, box)
    seen = lung_regions.seen(MASK, FilmGeometry(40, affine, width, height), pack)
    seen = np.ones((40, 40), bool) if seen is None else seen
    assert np.mean(seen != (packed > 100)) < 0.06  # a pixel along the edges
    assert seen[20, 20] == (masking != "hard")  # the heart


@pytest.mark.parametrize("masking", ["none", "loose"])
def test_without_masking_or_mask_the_film_is_seen_and_its_margins_are_not(masking):
    pack, geometry = tiny_params(LUNG_MASKING=masking).pack, geometry_of(200, 100)
    seen = lung_regions.seen(None, geometry, pack)
    assert (seen[10:30].all(), seen[:9].any(), seen[31:].any()) == (True, False, False)
    assert lung_regions.seen(None, geometry_of(100, 100), pack) is None


def test_neither_heat_nor_peak_nor_box_lies_where_the_network_saw_nothing(tmp_path):
    heats = np.zeros((1, SIZE, SIZE), np.float16)
    heats[0, :6, :6], heats[0, 20:25, 8:12] = 9, 3  # the larger heat in a corner that was black
    whole = scored_films(tmp_path, [1], [0.9], heats=heats)
    assert localisation.peak(whole.heat(F0, 0), whole.geometry(0)) == pytest.approx((6, 6), abs=1)
    masked = replace(whole, masks=lambda row: MASK, params=tiny_params(LUNG_MASKING="hard"))
    geometry = masked.geometry(0)
    assert localisation.peak(masked.heat(F0, 0), geometry) == pytest.approx((20, 45), abs=1)
    ((box, score),) = localisation.film_boxes(masked.heat(F0, 0), 0.5, geometry)
    assert (box, score) == ((16, 40, 8, 10), 1)
    assert localisation.peak(np.zeros((6, 6), np.float32), geometry) is None
    only_outside = np.zeros((SIZE, SIZE), np.float32)
    only_outside[0, 0] = 1
    assert localisation.film_boxes(only_outside, 0.5, geometry) == []


def test_where_a_film_was_seen_is_told_of_its_pixels_or_nothing_where_that_is_all_of_it():
    assert localisation.seen_on_film(geometry_of(200, 100)) is None
    _, affine = fit_square(np.zeros((100, 100), np.uint8), 50, "pad", (50, 50, 50, 50))  # a crop
    seen = localisation.seen_on_film(FilmGeometry(50, affine, 100, 100))
    assert (seen.mean(), seen[75, 75], seen[25, 75]) == (pytest.approx(0.25, abs=0.02), True, False)
