from dataclasses import replace

import numpy as np
import pytest

from cxr.maps import localisation
from cxr.maps.localisation import FilmGeometry

WHOLE = FilmGeometry(
    size=40, affine=(0.4, 0.4, 0.0, 0.0), width=100, height=100
)  # a film of 100 pixels on a square of 40


def heat(side: int, *cells: tuple[int, int]) -> np.ndarray:
    """A map that is 1 at (row, column) and 0 elsewhere."""
    one = np.zeros((side, side), np.float32)
    for row, column in cells:
        one[row, column] = 1
    return one


def test_overlaps_by_hand():
    iou, iobb = localisation.overlaps([(0, 0, 10, 10), (50, 50, 5, 5)], [(5, 0, 10, 10)])
    assert iou.tolist() == [[50 / 150], [0]]
    assert iobb.tolist() == [[0.5], [0]]


def test_iobb_divides_by_the_detected_box():
    iou, iobb = localisation.overlaps([(2, 2, 1, 1)], [(0, 0, 10, 10)])
    assert (iou[0, 0], iobb[0, 0]) == (0.01, 1)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 3), (3, 3), (1, 2)])
def test_the_peak_is_the_middle_of_the_hottest_cell_or_nearer_the_border(row, column):
    """Four cells of 25 film pixels; a border cell's plateau reaches to the border."""
    x, y = localisation.peak(heat(4, (row, column)), WHOLE)
    for value, place in ((x, column), (y, row)):
        assert 25 * place <= value <= 25 * (place + 1)
        if place in (1, 2):
            assert value == pytest.approx(25 * place + 12.5, abs=2.5)


def test_the_peak_of_a_single_cell_is_the_middle_of_the_square():
    assert localisation.peak(heat(1, (0, 0)), WHOLE) == pytest.approx((50, 50))


def test_an_empty_map_has_no_peak_and_hits_nothing():
    nothing = np.zeros((4, 4), np.float32)
    assert localisation.peak(nothing, WHOLE) is None
    scores = localisation.score(nothing, [(0, 0, 100, 100)], 0.5, WHOLE)
    assert (scores["hit"], scores["iou"], scores["boxes"]) == (0, 0, 0)
    assert scores["iobb_0.1"] == scores["iobb_0.1_false"] == 0


def test_a_film_that_was_cropped_is_scored_in_its_own_pixels():
    """The square shows the lower right quarter of the film: the hottest cell of the square is at three quarters."""
    corner = FilmGeometry(size=50, affine=(1.0, 1.0, -50.0, -50.0), width=100, height=100)
    assert localisation.peak(heat(1, (0, 0)), corner) == pytest.approx((75, 75))
    (box, score), *rest = localisation.film_boxes(heat(1, (0, 0)), 0.5, corner)
    assert (box, score, rest) == ((50, 50, 50, 50), 1, [])


def test_boxes_are_clipped_to_the_film():
    padded = FilmGeometry(
        size=40, affine=(0.4, 0.4, 0.0, 10.0), width=100, height=50
    )  # 10 pixels of margin above and below
    (box, _), *_ = localisation.film_boxes(heat(1, (0, 0)), 0.5, padded)
    assert box == (0, 0, 100, 50)


def test_scores_of_one_film_by_hand():
    """The whole square is detected: IoBB is the known box's share of it, and so is IoU."""
    scores = localisation.score(heat(1, (0, 0)), [(40, 40, 50, 50)], 0.5, WHOLE)
    assert scores["hit"] == 1
    assert scores["iou"] == pytest.approx(0.25)
    assert [scores[f"iobb_{limit}"] for limit in localisation.THRESHOLDS] == [1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert [scores[f"iobb_{limit}_false"] for limit in localisation.THRESHOLDS] == [0, 0, 1, 1, 1, 1, 1, 1, 1]
    assert scores["iou_0.2"] == 1


def test_any_of_the_detected_boxes_counts_and_the_others_are_false():
    """Two spots far apart; only one lies on the known box (Wang 2017)."""
    scores = localisation.score(heat(8, (1, 1), (6, 6)), [(0, 0, 40, 40)], 0.5, WHOLE)
    assert scores["boxes"] == 2
    assert (scores["iobb_0.9"], scores["iobb_0.9_false"]) == (1, 1)


def test_a_miss_is_a_miss():
    scores = localisation.score(heat(8, (6, 6)), [(0, 0, 30, 30)], 0.5, WHOLE)
    assert (scores["hit"], scores["iou"], scores["iou_0.1"], scores["iou_0.1_false"]) == (0, 0, 0, 1)


def test_share_in_lungs_beside_what_a_flat_map_would_have():
    lungs, whole = np.zeros((40, 40), bool), FilmGeometry(40, (1, 1, 0, 0), 40, 40)
    lungs[:, :20] = True
    assert localisation.share_in_lungs(heat(2, (0, 0), (1, 0)), lungs, whole)[0] > 0.8  # enlarging smears it
    assert localisation.share_in_lungs(np.ones((2, 2), np.float32), lungs, whole) == pytest.approx((0.5, 0.5))
    empty = localisation.share_in_lungs(np.zeros((2, 2), np.float32), lungs, whole)
    assert (np.isnan(empty[0]), empty[1]) == (True, 0.5)
    seen = np.zeros((40, 40), bool)
    seen[:, :25] = True  # what was black counts neither as map nor as film
    masked = replace(whole, seen=seen)
    assert localisation.share_in_lungs(np.ones((2, 2), np.float32), lungs, masked) == pytest.approx((0.8, 0.8))


def test_the_centre_prior_points_to_the_middle_whatever_the_film():
    assert localisation.peak(localisation.centre_prior(), WHOLE) == pytest.approx((50, 50), abs=2)


def test_the_known_box_on_the_grid_finds_the_box_as_well_as_its_grid_allows():
    box = (25.0, 25.0, 25.0, 25.0)  # one cell of a grid of four
    best = localisation.known_on_grid([box], 4, WHOLE)
    np.testing.assert_array_equal(best, heat(4, (1, 1)))
    fine = localisation.score(localisation.known_on_grid([box], 40, WHOLE), [box], 0.5, WHOLE)
    coarse = localisation.score(localisation.known_on_grid([box], 2, WHOLE), [box], 0.5, WHOLE)
    assert fine["iou"] == pytest.approx(1)
    assert coarse["iou"] < 0.5 < fine["iou"]


def test_a_box_smaller_than_a_pixel_of_the_square_still_counts():
    best = localisation.known_on_grid([(50.0, 50.0, 0.5, 0.5)], 4, WHOLE)
    assert best.sum() > 0


def test_outlines_lie_between_the_film_s_mean_and_its_peak():
    one = np.zeros((4, 4), np.float32)
    one[0, 0], one[1, 0] = 8, 4
    large = localisation.on_square(one, FilmGeometry(4, (1.0, 1.0, 0.0, 0.0), 4, 4))
    whole = FilmGeometry(4, (1.0, 1.0, 0.0, 0.0), 4, 4)
    assert localisation.outline_level(large, 0.5, whole) == 0.75 + 0.5 * 7.25
    seen = np.zeros((4, 4), bool)
    seen[:2, :2] = True  # the mean is of what the network saw
    masked = FilmGeometry(4, (1.0, 1.0, 0.0, 0.0), 4, 4, seen)
    assert localisation.outline_level(large, 0.5, masked) == 3 + 0.5 * 5
    everywhere = one + 5  # what lies all over the film changes no outline
    assert localisation.film_boxes(everywhere, 0.4, whole)[0][0] == localisation.film_boxes(one, 0.4, whole)[0][0]


@pytest.mark.parametrize("heat", [0.1, 1 / 3, 0.7, 2.9])
def test_a_map_of_one_place_outlines_the_whole_film(heat):
    one = np.full((2, 2), heat, np.float32)
    assert localisation.film_boxes(one, 0.5, WHOLE) == [((0, 0, 100, 100), 1)]
