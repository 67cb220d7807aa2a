"""Flags of new films: on drawn grays, and on real films where they are there."""

import numpy as np
import pytest

from cxr.core.errors import FilmError
from cxr.imaging.decoding import read_film
from cxr.imaging.film_checks import (
    LARGEST_ASPECT,
    brightness_of_the_middle,
    check_film,
    distances,
    fit_distance,
    standardised,
    thumbnails,
)
from cxr.synthetic.phantoms import draw_film, draw_patient
from tests.conftest import PROJECT

SHARED = PROJECT.parent / "shared" / "data"


def phantom(seed: int, size: int = 128) -> np.ndarray:
    random = np.random.default_rng(seed)
    return draw_film(random, draw_patient(random), {}, size=size).pixels


@pytest.fixture(scope="module")
def films():
    return [phantom(seed) for seed in range(40)]


def test_a_film_as_it_should_be_has_no_flag_and_its_negative_has_one(films):
    for film in films[:8]:
        assert not any(vars(check_film(film)).values())
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
    assert not any(check_film(film).nearly_empty or check_film(film).odd_aspect for film in films)


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data is not here")
def test_odd_real_files_are_flagged_or_refused():
    said = {}
    for path in sorted([*(SHARED / "dicom").glob("*"), *(SHARED / "odd_inputs").glob("*")]):
        try:
            said[path.stem.split(".")[0]] = {
                name for name, reason in vars(check_film(read_film(path))).items() if reason
            }
        except FilmError:
            said[path.stem.split(".")[0]] = "refused"
    assert said["cr_chest_jpeg_baseline"] == said["secondary_capture_pa"] == said["jsrt_palette2048_JPCLN001"] == set()
    assert said["monochrome1"] == {"looks_inverted"}
    assert said["jsrt_lowcontrast384_JPCLN031"] == {"nearly_empty"}
    assert "nearly_empty" in said["montgomery_native_leftmask_MCUCXR_0001_0"]
    assert "nearly_empty" in said["nlm512_mask_interpolated_CHNCXR_0001_0"]
    assert said["not_a_chest_abdominal_ct_big_endian"] == said["secondary_capture_wrong_modality"] == "refused"
