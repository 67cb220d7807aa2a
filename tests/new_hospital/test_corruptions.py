import numpy as np
import pytest

from cxr.new_hospital import corruptions

FILM = np.random.default_rng(0).integers(60, 200, (448, 336)).astype(np.uint8)


@pytest.mark.parametrize("kind", list(corruptions.SETTINGS))
@pytest.mark.parametrize("strength", corruptions.STRENGTHS)
def test_a_film_stays_a_film_and_is_the_same_every_time(kind, strength):
    worse = corruptions.corrupt(FILM, kind, strength, 3)
    assert (worse.dtype, worse.ndim) == (np.uint8, 2)
    assert np.array_equal(worse, corruptions.corrupt(FILM, kind, strength, 3))
    assert worse.shape == FILM.shape or kind == "crop"


def test_a_crop_cuts_half_of_its_share_on_each_side():
    # 20 % of 448 and 336 pixels: 45 (44.8) and 34 (33.6) from each side.
    assert corruptions.corrupt(FILM, "crop", 3, 0).shape == (448 - 90, 336 - 68)
    assert np.array_equal(corruptions.corrupt(FILM, "crop", 3, 0), FILM[45:-45, 34:-34])


def test_contrast_keeps_a_share_of_the_distance_from_the_mean():
    film = np.array([[50, 150]], np.uint8)  # mean 100
    assert corruptions.corrupt(film, "contrast", 3, 0).tolist() == [[80, 120]]


def test_gamma_darkens_what_is_between_black_and_white():
    film = np.array([[0, 128, 255]], np.uint8)
    assert corruptions.corrupt(film, "gamma", 3, 0).tolist() == [[0, 85, 255]]  # 255 x (128 / 255) ** 1.6 = 84.6


def test_noise_has_the_deviation_of_its_strength_in_grains_of_a_film_of_224():
    gray = np.full((448, 448), 128, np.uint8)
    worse = corruptions.corrupt(gray, "noise", 1, 0).astype(float)
    assert worse.std() == pytest.approx(0.04 * 255, rel=0.03)
    assert np.array_equal(worse[::2, ::2], worse[1::2, 1::2])  # a grain is two pixels wide here
    assert not np.array_equal(worse, corruptions.corrupt(gray, "noise", 1, 1))


def test_a_low_resolution_leaves_no_more_than_its_pixels():
    # 0.1 of 224: 22 pixels on the longer side, of 448 rows one in 20.4.
    spikes = np.zeros((448, 448), np.uint8)
    spikes[224, 224] = 255
    assert corruptions.corrupt(spikes, "resolution", 3, 0).max() <= 1  # 255 over 20.4 x 20.4 pixels


def test_films_are_turned_to_either_side():
    film = np.zeros((101, 101), np.uint8)
    film[50, 90] = 255  # to the right of the middle
    rows = [int(np.argmax(corruptions.corrupt(film, "rotation", 3, number).max(axis=1))) for number in (0, 1)]
    assert rows == [64, 36]  # 40 x sin 20° = 13.7 below and above
