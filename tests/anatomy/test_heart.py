import numpy as np
import pytest

from cxr.anatomy.heart import Widths, clean_heart, measure, share_between, why_no_room
from cxr.synthetic.patients import draw_patient
from cxr.synthetic.phantoms import draw_film


def mask_of(*boxes) -> np.ndarray:
    """(100, 100) with boxes (x, y, width, height)."""
    mask = np.zeros((100, 100), np.uint8)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = 255
    return mask


LUNGS = mask_of((10, 20, 30, 60), (60, 20, 30, 50), (5, 60, 35, 10))  # widest from 5 to 90, on rows 60 to 69


def test_the_ratio_is_the_widest_heart_over_the_widest_thorax():
    widths = measure(LUNGS, mask_of((35, 50, 30, 20), (45, 65, 30, 10)))  # from 35 to 75
    assert widths.cardiothoracic_ratio == pytest.approx(40 / 85)
    assert (widths.heart_left, widths.heart_right, widths.heart_y) == (0.35, 0.75, 0.655)  # rows 65-69 are widest
    assert (widths.thorax_left, widths.thorax_right, widths.thorax_y) == (0.05, 0.9, 0.605)


@pytest.mark.parametrize("heart", [mask_of(), mask_of((40, 50, 16, 30))])  # none; 16 of 85 is no heart
def test_without_a_heart_or_without_lungs_nothing_is_measured(heart):
    for widths in (measure(LUNGS, heart), measure(mask_of(), mask_of((35, 50, 40, 20)))):
        assert all(np.isnan(value) for value in vars(widths).values())
        assert vars(widths).keys() == vars(Widths()).keys()


def test_the_heart_is_the_largest_piece_without_its_holes():
    probability = mask_of((30, 40, 40, 40), (5, 5, 10, 10)) / np.float32(255)
    probability[50:55, 45:50] = 0
    np.testing.assert_array_equal(clean_heart(probability), mask_of((30, 40, 40, 40)))
    assert not clean_heart(np.full((9, 9), 0.4, np.float32)).any()
    assert clean_heart(np.full((9, 9), 0.4, np.float32), 0.3).all()


@pytest.mark.parametrize("seed", range(6))
def test_the_ratio_of_a_drawn_film_is_the_one_that_was_drawn(seed):
    """The drawn thorax is the inner chest wall, the measured one the lungs' widest row: within .02."""
    rng = np.random.default_rng(seed)
    film = draw_film(rng, draw_patient(rng), {"Cardiomegaly": 0.5} if seed % 2 else {}, size=512)
    assert measure(film.lungs, film.heart).cardiothoracic_ratio == pytest.approx(film.cardiothoracic_ratio, abs=0.02)


HEART = mask_of((42, 40, 16, 40))  # its upper half, rows 40 to 59, has both lungs of LUNGS beside it


def test_a_heart_between_the_lungs_has_room():
    assert share_between(LUNGS, HEART) == 1
    assert why_no_room(LUNGS, HEART) == ""
    below = mask_of((42, 40, 16, 20), (42, 60, 16, 20))  # where its lower half lies does not matter
    assert share_between(mask_of((10, 20, 30, 40), (60, 20, 30, 40)), below) == 1


@pytest.mark.parametrize(
    ("lungs", "share"),
    [
        (mask_of((10, 20, 80, 60)), 0),  # grown across the heart
        (mask_of((10, 20, 40, 60), (60, 20, 30, 60)), 0),  # over half of it
        (mask_of((10, 20, 39, 60), (60, 20, 30, 60)), 1),  # over less
        (mask_of((10, 20, 30, 60), (60, 20, 30, 30)), 0.5),  # rows 40 to 49 alone have the second lung beside them
        (mask_of((10, 20, 30, 60)), 0),  # one lung
    ],
)
def test_lungs_that_leave_the_heart_no_room_are_odd(lungs, share):
    assert share_between(lungs, HEART) == share
    assert share_between(lungs[:, ::-1], HEART[:, ::-1]) == share
    said = f"{share:.0%} of the heart's upper half lies between the lungs, expected 80% or more"
    assert why_no_room(lungs, HEART) == ("" if share == 1 else said)


def test_without_a_heart_nothing_is_said():
    assert np.isnan(share_between(LUNGS, mask_of()))
    assert why_no_room(LUNGS, mask_of()) == ""


@pytest.mark.parametrize(
    ("lungs", "higher_dome"),
    [
        (LUNGS, 70),  # the left lung ends at 70, the right one at 80
        (mask_of((10, 20, 30, 60), (60, 20, 30, 50), (85, 70, 5, 20)), 70),  # an angle that hangs down is no dome
        (mask_of((10, 20, 80, 60)), 80),  # lungs that touch
        (mask_of((10, 20, 30, 60)), 80),  # one lung
    ],
)
def test_what_hangs_below_the_domes_is_not_measured(lungs, higher_dome):
    heart = mask_of((42, 40, 16, higher_dome - 40))
    spilt = np.maximum(heart, mask_of((0, higher_dome, 100, 20)))
    assert measure(lungs, spilt) == measure(lungs, heart)
    wider = np.maximum(heart, mask_of((38, higher_dome - 1, 30, 1)))
    assert measure(lungs, wider).heart_left == 0.38


@pytest.mark.parametrize("left", [0, 60])
def test_a_spill_to_one_side_does_not_hide_a_narrow_lung(left):
    lungs = mask_of((10, 20, 40, 60), (62, 20, 8, 50))
    heart = mask_of((46, 45, 18, 25))
    spilt = np.maximum(heart, mask_of((left, 70, 40, 20)))
    assert measure(lungs, spilt) == measure(lungs, heart)


def test_a_heart_of_one_row_is_measured():
    assert measure(LUNGS, mask_of((35, 50, 30, 1))).cardiothoracic_ratio == pytest.approx(30 / 85)


def test_a_heart_below_the_domes_is_none():
    assert np.isnan(measure(LUNGS, mask_of((30, 80, 40, 15))).cardiothoracic_ratio)
