import cv2
import numpy as np
import pytest

from cxr.anatomy.lungs import beside_lungs, clean_mask, dice, iou, mask_film, shape_of
from cxr.core.command_line import PROJECT
from cxr.imaging.geometry import fit_square
from cxr.tables import lung_sets

SIDE = 128


def probability(*boxes, value=1.0) -> np.ndarray:
    """A square of 128 x 128 with boxes (x, y, width, height) of lung."""
    square = np.zeros((SIDE, SIDE), np.float32)
    for x, y, width, height in boxes:
        square[y : y + height, x : x + width] = value
    return square


LEFT, RIGHT = (20, 30, 30, 60), (78, 30, 30, 60)  # .11 of the square each


def test_two_lungs_are_kept_and_accepted():
    mask, quality = clean_mask(probability(LEFT, RIGHT))
    assert mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert (quality.components, quality.accepted, quality.reason) == (2, True, "")
    assert quality.area_fraction == pytest.approx(2 * 30 * 60 / SIDE**2, abs=0.001)
    assert mask[60, 35] == mask[60, 93] == 255
    assert mask[60, 64] == 0


def test_the_threshold_decides_what_is_lung():
    square = probability(LEFT, RIGHT, value=0.4)
    assert clean_mask(square, 0.4)[1].accepted
    assert not clean_mask(square, 0.5)[0].any()


def test_only_the_two_largest_areas_are_kept():
    stomach = (60, 104, 20, 18)  # a fifth of a lung
    mask, quality = clean_mask(probability(LEFT, RIGHT, stomach))
    assert quality.components == 2
    assert mask[112, 70] == 0
    assert quality.accepted


def test_specks_are_dropped():
    mask, quality = clean_mask(probability(LEFT, RIGHT, (5, 5, 2, 2), (64, 120, 1, 6)))
    assert mask[:20].max() == 0
    assert mask[110:].max() == 0
    assert quality.accepted


def test_a_speck_beside_one_lung_is_not_the_other_lung():
    mask, quality = clean_mask(probability((20, 20, 36, 90), (90, 30, 10, 10)))  # 3 % of the lung
    assert quality.components == 1
    assert mask[35, 95] == 0


def test_holes_are_filled():
    square = probability(LEFT, RIGHT)
    square[50:60, 30:40] = 0
    mask, _ = clean_mask(square)
    assert mask[50:60, 30:40].min() == 255


def test_a_hair_between_the_lungs_does_not_join_them():
    mask, quality = clean_mask(probability(LEFT, RIGHT, (50, 60, 28, 1)))
    assert quality.components == 2
    assert mask[60, 64] == 0


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ([], "lungs cover 0.0% of the film, expected 6% or more"),
        ([(20, 30, 20, 20), (78, 30, 20, 20)], "lungs cover 4.8% of the film, expected 6% or more"),
        ([(4, 4, 58, 120), (66, 4, 58, 120)], "lungs cover 84.9% of the film, expected 55% or less"),
        ([(20, 20, 40, 60)], "one lung only"),
        ([LEFT, RIGHT, *((3 + 10 * n, y, 9, 9) for n in range(12) for y in (3, 13, 100, 110))],
         "of the lung pixels lie in scattered pieces"),
    ],
)  # fmt: skip
def test_a_mask_that_is_no_pair_of_lungs_is_not_accepted(boxes, reason):
    _, quality = clean_mask(probability(*boxes))
    assert not quality.accepted
    assert reason in quality.reason


def test_two_lungs_that_touch_are_accepted_for_their_width():
    _, quality = clean_mask(probability((20, 30, 88, 60)))
    assert (quality.components, quality.accepted) == (1, True)


# --- what classification sees of a film

FILM = np.full((100, 150), 90, np.uint8)  # H, W
MASK = np.zeros((100, 150), np.uint8)
MASK[20:80, 30:60] = 255
MASK[20:80, 90:120] = 255
HEART, CORNER, LUNG = (50, 75), (2, 2), (50, 45)


def test_loose_keeps_the_heart_between_the_lungs():
    film, box = mask_film(FILM, MASK, "loose", margin=0)
    assert box is None
    assert film[HEART] == film[LUNG] == 90
    assert film[CORNER] == 0
    ys, xs = np.nonzero(film)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (30, 119, 20, 79)
    assert np.count_nonzero(film) == 90 * 60


def test_loose_widens_by_the_margin():
    film, _ = mask_film(FILM, MASK, "loose", margin=0.04)  # 0.04 * 150 = 6 pixels
    ys, xs = np.nonzero(film)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (24, 125, 14, 85)


@pytest.mark.parametrize("seed", range(12))
def test_loose_is_all_within_the_margin_of_the_hull_of_all_lung_pixels_to_a_pixel(seed):
    random = np.random.default_rng(seed)
    height, width = random.integers(5, 160, 2)
    film = random.integers(1, 256, (height, width)).astype(np.uint8)
    mask = ((random.random((height, width)) < 0.01) * 255).astype(np.uint8)  # specks at the edges too
    mask[height // 2, width // 2] = 255
    for margin in (0, 0.02, 0.3, 0.5):
        hull = cv2.fillConvexPoly(np.zeros_like(mask), cv2.convexHull(cv2.findNonZero(mask)), 1)
        reach, kept = round(margin * max(height, width)), mask_film(film, mask, "loose", margin)[0] > 0
        away = cv2.distanceTransform(1 - hull, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        assert kept[away <= reach - 1].all()
        assert not kept[away > reach + 1].any()
        assert kept[hull > 0].all()


def test_loose_takes_the_convex_hull_of_both_lungs():
    mask = np.zeros((100, 100), np.uint8)
    cv2.fillPoly(mask, [np.array([[10, 80], [30, 20], [40, 80]]), np.array([[60, 80], [70, 20], [90, 80]])], 255)
    film, _ = mask_film(np.full((100, 100), 9, np.uint8), mask, "loose", margin=0)
    assert film[30, 50] == 9  # between the apices
    assert film[25, 12] == 0  # outside the slope of the chest wall


def test_hard_takes_the_heart_away():
    film, box = mask_film(FILM, MASK, "hard", margin=0.04)
    assert box is None
    assert film[HEART] == film[CORNER] == 0
    np.testing.assert_array_equal(film, np.where(MASK > 0, 90, 0))


def test_crop_says_where_and_leaves_the_pixels():
    film, box = mask_film(FILM, MASK, "crop", margin=0.04)
    assert box == (24, 14, 102, 72)
    np.testing.assert_array_equal(film, FILM)
    assert mask_film(FILM, MASK, "crop", margin=0)[1] == (30, 20, 90, 60)


def test_crop_does_not_leave_the_film():
    assert mask_film(FILM, MASK, "crop", margin=0.5)[1] == (0, 0, 150, 100)


@pytest.mark.parametrize("masking", ["loose", "hard", "crop", "none"])
def test_without_lungs_the_film_is_kept_whole(masking):
    film, box = mask_film(FILM, np.zeros_like(MASK), masking, margin=0.04)
    np.testing.assert_array_equal(film, FILM)
    assert box is None


def test_none_leaves_the_film_untouched():
    film, box = mask_film(FILM, MASK, "none", margin=0.04)
    assert film is FILM
    assert box is None


def test_lung_begins_at_128_where_a_mask_was_interpolated():
    mask = np.zeros_like(MASK)
    mask[20:80, 30:60], mask[20:80, 60:70] = 128, 127
    film, _ = mask_film(FILM, mask, "hard", margin=0)
    assert (film[50, 59], film[50, 60]) == (90, 0)


def test_the_film_itself_is_never_changed():
    before = FILM.copy()
    for masking in ("loose", "hard", "crop", "none"):
        mask_film(FILM, MASK, masking, margin=0.04)
    np.testing.assert_array_equal(FILM, before)


def test_an_unknown_masking_is_refused():
    with pytest.raises(ValueError, match="masking: expected loose, hard, crop or none, found 'soft'"):
        mask_film(FILM, MASK, "soft", margin=0.04)


# The shape of both lungs above

SHARED = PROJECT.parent / "shared" / "data" / "lungs"


def test_a_lung_that_ends_far_above_the_other_is_doubtful_and_used_all_the_same():
    higher = (78, 18, 30, 72)  # 12 rows of 128 above the other: .094
    quality = clean_mask(probability(LEFT, higher))[1]
    assert quality.accepted
    assert quality.doubt == "one lung ends 9.4% of the film above the other, expected 9% or less"
    assert clean_mask(probability(LEFT, (78, 19, 30, 71)))[1].doubt == ""  # 11 rows: .086


def test_a_lung_that_narrows_and_widens_again_near_its_top_climbs_the_neck():
    neck = [(20, 20, 30, 6), (35, 26, 10, 6), (20, 32, 30, 60)]  # 30 wide, then 10, then 30 again
    mask = (255 * probability(*neck, (78, 20, 30, 72))).astype(np.uint8)
    shape = shape_of(mask)
    assert (shape.tops_apart, shape.narrowed) == (0, pytest.approx(2 / 3))
    assert shape.doubt == "a lung narrows by 66.7% near its top, expected 42% or less"
    assert shape.oddness == pytest.approx(2 / 3 / 0.42)
    turned = shape_of(mask[::-1])  # a dent near the base, as a heart makes one
    assert turned.doubt == ""


def test_a_lung_with_the_air_below_an_arm_is_dented_and_one_with_a_sharp_angle_at_its_base_is_not():
    lung, arm = (40, 20, 30, 90), (10, 80, 30, 30)  # the arm beside the lower third: the mask is an L
    mask = (255 * probability(lung, arm, (78, 20, 30, 90))).astype(np.uint8)
    # The hull's edge goes from column 40 in row 20 to 10 in row 80: half a column a row, 25 where a tenth lies deeper.
    shape = shape_of(mask)
    assert shape.dented == pytest.approx(25 / 30, abs=0.05)
    assert shape.doubt == "a lung's outer edge is dented by 80.0% of its width, expected 17% or less"
    assert shape_of(mask[:, ::-1].copy()).dented == pytest.approx(shape.dented)
    inside = shape_of((255 * probability(lung, (78, 20, 30, 90), (70, 80, 6, 30))).astype(np.uint8))
    assert inside.dented == 0  # towards the heart
    angle = (30, 107, 10, 3)  # thinner than 6 % of the side
    sharp = shape_of((255 * probability(lung, angle, (78, 20, 30, 90))).astype(np.uint8))
    assert (sharp.dented, sharp.doubt) == (0, "")


def test_no_lungs_and_one_lung_have_no_tops_apart():
    assert shape_of(np.zeros((SIDE, SIDE), np.uint8)).oddness == 0
    assert shape_of((255 * probability(LEFT)).astype(np.uint8)).tops_apart == 0


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there: real lung masks are no part of the project")
def test_of_real_masks_as_they_were_drawn_none_is_doubtful():
    films, masks = SHARED / "CXR_png", SHARED / "masks"
    pairs = lung_sets.pair_masks(films, masks)[0].iloc[::6]
    read = [lung_sets.read_pair(*_files(pair, films, masks))[:2] for pair in pairs.itertuples()]
    drawn = [(fit_square(film, 256, "pad")[0], fit_square(mask, 256, "pad", is_mask=True)[0]) for film, mask in read]
    assert (len(drawn), [mask for _, mask in drawn if shape_of(mask).doubt]) == (69, [])
    assert not any(beside_lungs(film, mask) for film, mask in drawn)
    assert all(beside_lungs(film, np.roll(mask, 26, axis=1)) for film, mask in drawn)  # a tenth to the side


def _files(pair, films, masks):
    film, *of_film = lung_sets.files_of(pair, films, masks)
    return film, of_film


def test_dice_and_iou_of_half_overlapping_and_of_empty_masks():
    truth, mask = np.zeros((3, 4, 4), dtype=np.uint8), np.zeros((3, 4, 4), dtype=np.uint8)
    truth[0, :2], mask[0, 1:3] = 255, 255  # 8 and 8 pixels, 4 in common
    truth[1, 0] = 255
    assert dice(truth, mask).tolist() == [0.5, 0, 1]
    assert iou(truth, mask).tolist() == [4 / 12, 0, 1]
    assert float(dice(truth[0], mask[0])) == 0.5
    with pytest.raises(ValueError, match="one shape expected"):
        dice(truth, mask[0])


def test_a_mask_lies_on_what_is_darker_than_what_is_round_it_and_beside_it_where_it_does_not():
    mask = np.zeros((100, 100), np.uint8)
    mask[20:80, 10:40] = mask[20:80, 60:90] = 255
    film = np.full_like(mask, 200)
    film[mask > 0] = 50
    assert beside_lungs(film, mask) == ""
    assert "in 0.0% of pairs of pixels" in beside_lungs(255 - film, mask)
    # Moved by a whole lung's width and the gap, the left lung lies on the right one: half inside is dark, all else not.
    assert "of another film, or shifted?" in beside_lungs(film, np.roll(mask, 20, axis=1))
    assert beside_lungs(film, np.zeros_like(mask)) == ""  # no mask: that is told elsewhere
