"""Flags of new films: on drawn grays, and on real films where they are there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import FilmError
from cxr.imaging import film_checks
from cxr.imaging.decoding import Film, open_film, read_film
from cxr.imaging.film_checks import (
    FENCE,
    FLAGS,
    LARGEST_ASPECT,
    MEANINGS,
    OF_ONE_FILM,
    FilmChecks,
    brightness_of_the_middle,
    distances,
    far_from_the_rest,
    fit_distance,
    standardised,
    thumbnails,
)
from cxr.synthetic.phantoms import draw_film, draw_patient
from tests.conftest import PROJECT

SHARED = PROJECT.parent / "shared" / "data"


def phantom(seed: int, size: int = 128, view: str = "PA") -> np.ndarray:
    random = np.random.default_rng(seed)
    return draw_film(random, draw_patient(random), {}, view, size=size).pixels


def check_film(pixels: np.ndarray, name: str = "film.png", **about) -> FilmChecks:
    return film_checks.check_film(Film(pixels, **about), Path(name))


@pytest.fixture(scope="module")
def films():
    return [phantom(seed) for seed in range(40)]


def test_a_film_as_it_should_be_has_no_flag_and_its_negative_has_one():
    for film in [phantom(seed, size=200) for seed in range(8)]:
        assert not any(vars(check_film(film)).values())
        assert check_film(255 - film) == replace(
            check_film(film), looks_inverted=check_film(255 - film).looks_inverted
        )  # and it is not called lateral
        assert "the middle is darker" in check_film(255 - film).looks_inverted
        assert brightness_of_the_middle(255 - film) == pytest.approx(-brightness_of_the_middle(film), abs=0.05)


FLAT = np.arange(5000).reshape(50, 100) % 29
FLAT[0, :40] = np.arange(40)  # 40 grays, but hardly a pixel above 28


@pytest.mark.parametrize(
    ("film", "reason"),
    [
        (np.arange(5000).reshape(50, 100) % 20, "20 different grays, expected 32 or more"),
        (FLAT, "grays span 28 of 255, expected 30 or more"),
        (np.pad(np.arange(256).reshape(16, 16), 24), "94% of the pixels have the gray 0, expected 70% or less"),
    ],
)
def test_a_blank_or_flat_film_is_nearly_empty(film, reason):
    assert check_film(film.astype(np.uint8)).nearly_empty == reason


def test_a_long_film_has_an_odd_aspect(films):
    tall = np.vstack([films[0], films[1]])
    assert f"2.00 to 1, expected {LARGEST_ASPECT} or less" in check_film(tall).odd_aspect
    assert check_film(tall[: int(1.45 * 128)]).odd_aspect == ""


def test_a_film_is_lateral_by_its_header_its_name_or_its_picture(films):
    assert check_film(films[0], view="LATERAL").lateral == "its header says so"
    assert check_film(films[0], "study/view2_lateral.jpg").lateral == "its name says so"
    assert "it looks like one (" in check_film(phantom(3, view="LATERAL"), view="PA").lateral
    assert check_film(films[0], "view1_frontal.jpg", view="AP").lateral == ""


def test_a_small_copy_has_a_low_resolution():
    assert check_film(phantom(1, 199)).low_resolution == "199 pixels, expected 200 or more"
    assert check_film(phantom(1, 200)).low_resolution == ""


def test_what_the_file_says_is_carried_and_is_no_flag(films):
    notes = ("3 pixels were clipped", "a window was ignored")
    assert check_film(films[0], notes=notes).file_notes == "3 pixels were clipped; a window was ignored"
    assert set(OF_ONE_FILM) == set(FilmChecks.__dataclass_fields__) - {"file_notes"}
    assert set(MEANINGS) == set(FLAGS)


def test_far_from_the_rest_is_beyond_tukey_s_outer_fence_by_the_other_half():
    small = thumbnails([phantom(seed, 64) for seed in range(60)])
    small[17] = 255 - small[17]
    found, limit = far_from_the_rest(small)
    low, high = np.percentile(found, [25, 75])
    assert limit == pytest.approx(high + FENCE * (high - low))
    assert found.argmax() == 17
    assert found[17] > limit
    odd = fit_distance(small[1::2], small[1::2])
    np.testing.assert_allclose(found[::2], distances(small[::2], odd))


def test_a_set_of_few_films_has_none_far_from_the_rest():
    found, limit = far_from_the_rest(np.zeros((5, 16, 16), np.uint8))
    assert (len(found), limit) == (5, np.inf)
    assert len(far_from_the_rest(np.zeros(0))[0]) == 0


def test_distance_knows_training_films_and_tells_others(films):
    small = thumbnails(films)
    assert small.shape == (40, 16, 16)
    reference = fit_distance(small[:30], small[30:])
    assert len(reference["components"]) == 7  # a quarter of the training films
    assert (reference["train_films"], reference["val_films"]) == (30, 10)
    near, far = distances(small[30:], reference), distances(255 - small[30:], reference)
    assert near.max() >= reference["cut"] >= np.median(near)
    assert far.min() > reference["cut"]


def test_one_training_film_still_gives_numbers():
    small = np.random.default_rng(0).integers(0, 256, (3, 16, 16)).astype(np.uint8)
    found = fit_distance(small[:1], small[1:])
    assert np.isfinite([*found["variances"], found["noise"], found["cut"]]).all()


def test_distance_is_mahalanobis_s_where_all_directions_are_kept_and_one_at_rest():
    random = np.random.default_rng(1)
    small = random.integers(0, 256, (60, 16, 16)).astype(np.uint8)
    reference = fit_distance(small, small)
    away = standardised(small) - standardised(small).mean(axis=0)
    components = np.array(reference["components"])
    along = away @ components.T
    rest = (away**2).sum(axis=1) - (along**2).sum(axis=1)
    expected = (along**2 / along.var(axis=0, ddof=1)).sum(axis=1) + rest / (rest.sum() / 59 / (256 - 15))
    np.testing.assert_allclose(distances(small, reference), np.sqrt(expected / 256), rtol=1e-3)


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data is not here")
def test_real_films_are_rarely_called_negatives_and_their_negatives_nearly_always():
    films = [read_film(path) for path in sorted((SHARED / "nih").glob("images_*/images/*.png"))[::6]]
    films += [read_film(path) for path in sorted((SHARED / "lungs/CXR_png").glob("*.png"))[::6]]
    assert sum(bool(check_film(film).looks_inverted) for film in films) <= 2
    assert sum(bool(check_film(255 - film).looks_inverted) for film in films) >= len(films) - 2
    assert not any(check.nearly_empty or check.odd_aspect or check.low_resolution for check in map(check_film, films))
    assert sum(bool(check_film(film).lateral) for film in films) <= 0.01 * len(films)


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data is not here")
def test_odd_real_files_are_flagged_or_refused():
    said = {}
    for path in sorted([*(SHARED / "dicom").glob("*"), *(SHARED / "odd_inputs").glob("*")]):
        try:
            checks = film_checks.check_film(open_film(path), path)
            said[path.stem.split(".")[0]] = {name for name in OF_ONE_FILM if getattr(checks, name)}
        except FilmError:
            said[path.stem.split(".")[0]] = "refused"
    assert said["cr_chest_jpeg_baseline"] == said["secondary_capture_pa"] == said["jsrt_palette2048_JPCLN001"] == set()
    assert said["monochrome1"] == {"looks_inverted"}
    assert said["jsrt_lowcontrast384_JPCLN031"] == {"nearly_empty"}
    assert "nearly_empty" in said["montgomery_native_leftmask_MCUCXR_0001_0"]
    assert "nearly_empty" in said["nlm512_mask_interpolated_CHNCXR_0001_0"]
    assert said["not_a_chest_abdominal_ct_big_endian"] == said["secondary_capture_wrong_modality"] == "refused"
