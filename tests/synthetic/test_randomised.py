from dataclasses import replace

import cv2
import numpy as np
import pytest

from cxr.anatomy.drawn_masks import why_no_lungs
from cxr.anatomy.heart import measure
from cxr.synthetic import randomised
from cxr.synthetic.phantoms import Readers

SIZE = 128


def films(count=24, seed=1):
    return [randomised.draw_randomised_film(np.random.default_rng([seed, number]), SIZE) for number in range(count)]


DRAWN = films()


def test_the_same_number_and_seed_give_the_same_film_and_masks():
    for number in range(3):
        first, again = (randomised.film_and_masks(number, 7, SIZE) for _ in range(2))
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, other)
    assert (first[0] != randomised.film_and_masks(2, 8, SIZE)[0]).any()
    assert (first[0] != randomised.film_and_masks(3, 7, SIZE)[0]).any()


def test_a_film_comes_with_masks_of_lungs_and_heart():
    pixels, masks = randomised.film_and_masks(0, 1, SIZE)
    assert (pixels.shape, pixels.dtype) == ((SIZE, SIZE), np.uint8)
    assert (masks.shape, masks.dtype) == ((SIZE, SIZE, 2), np.uint8)
    assert set(np.unique(masks)) == {0, 255}


def test_masks_are_such_as_people_draw():
    assert [why for film in DRAWN if (why := why_no_lungs(film.lungs > 0))] == []
    assert all(0.01 < (film.heart > 0).mean() < 0.3 for film in DRAWN)


def test_no_two_films_have_the_same_grays():
    """Means, spreads and the film's own range differ as between hospitals: more than the drawn hospitals' films do."""
    means = [film.pixels.mean() for film in DRAWN]
    assert np.std(means) > 20
    assert len({film.pixels.tobytes() for film in DRAWN}) == len(DRAWN)


def test_the_ratio_of_the_masks_is_the_drawn_one():
    ratios = [(measure(film.lungs, film.heart).cardiothoracic_ratio, film.cardiothoracic_ratio) for film in DRAWN]
    errors = [measured - drawn for measured, drawn in ratios if not np.isnan(measured)]
    assert len(errors) > 0.8 * len(DRAWN)
    assert abs(np.median(errors)) < 0.03


def test_readers_habits_move_the_outline_where_they_say(monkeypatch):
    areas = {}
    for habit in ("none", "medial", "lateral", "base", "hilar", "blunt", "apex"):
        drawn_so = Readers(**({} if habit == "none" else {habit: 0.05}))
        monkeypatch.setattr(randomised, "_readers", lambda rng, drawn_so=drawn_so: drawn_so)
        areas[habit] = np.array([(film.lungs > 0).mean() for film in films(6)])
    for larger in ("medial", "apex"):
        assert (areas[larger] > areas["none"]).all(), larger
    for smaller in ("lateral", "base", "hilar", "blunt"):
        assert (areas[smaller] < areas["none"]).all(), smaller


def test_a_beam_may_be_cut_anywhere_but_across_the_lungs():
    film = DRAWN[0]
    for seed in range(20):
        cut = randomised.shuttered(np.random.default_rng(seed), np.full_like(film.pixels, 200), film.lungs)
        assert (cut[film.lungs > 0] == 200).mean() > 0.9
    assert (cut != 200).any()
    assert cut.min() < 25
    assert randomised.shuttered(np.random.default_rng(seed), np.full_like(cut, 200), film.lungs, 230).max() == 230


def test_gas_and_fat_lie_beside_the_lungs_alone_and_are_dark():
    changed = []
    for number, film in enumerate(DRAWN):
        pixels = randomised.with_gas_and_fat(np.random.default_rng(number), film)
        assert (pixels.shape, pixels.dtype) == (film.pixels.shape, np.uint8)
        assert (pixels <= film.pixels).all()
        inside = cv2.erode(film.lungs | film.heart, np.ones((5, 5), np.uint8)) > 0  # a soft edge may reach over
        assert (film.pixels[inside] - pixels[inside]).max() <= 3
        assert pixels.min() >= min(film.pixels.min(), np.median(film.pixels[film.lungs > 0]) - 1)
        changed.append((pixels != film.pixels).mean())
    assert 0.4 < np.mean(np.array(changed) > 0) < 0.95
    assert max(changed) > 0.01
    none = replace(film, lungs=np.zeros_like(film.lungs))
    assert randomised.with_gas_and_fat(np.random.default_rng(1), none) is film.pixels


def test_the_unet_alone_sees_what_lies_around_the_lungs():
    """A classifier's films are masked: `labelled_film` draws them without."""
    plain, around = (
        [randomised.draw_randomised_film(np.random.default_rng([1, n]), SIZE, with_surroundings=on) for n in range(12)]
        for on in (False, True)
    )
    assert sum(one.pixels.tobytes() != other.pixels.tobytes() for one, other in zip(plain, around, strict=True)) > 6
    for one, other in zip(plain, around, strict=True):
        np.testing.assert_array_equal(one.heart, other.heart)


def test_half_of_those_with_breasts_have_lower_ones():
    patients = [randomised.random_patient(np.random.default_rng(number)) for number in range(80)]
    rng = np.random.default_rng(0)
    low = [randomised.with_low_breasts(rng, patient) for patient in patients]
    assert 0.3 < np.mean([patient.anatomy.sag > 0 for patient in low]) < 0.7
    for before, after in zip(patients, low, strict=True):
        assert after.anatomy.breast >= before.anatomy.breast
        assert (after.anatomy.breast > 0) == (before.anatomy.breast > 0)


@pytest.mark.parametrize("size", [64, 192])
def test_films_come_in_any_size(size):
    assert randomised.film_and_masks(1, 1, size)[0].shape == (size, size)
