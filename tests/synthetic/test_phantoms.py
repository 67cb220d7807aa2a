from dataclasses import replace

import cv2
import numpy as np
import pytest

from cxr.core.findings import FINDINGS
from cxr.synthetic.phantoms import HOSPITALS, draw_film, draw_patient, draw_severity

SIZE = 256


def film_of(seed, severities, view="PA", hospital="nih"):
    rng = np.random.default_rng(seed)
    return draw_film(rng, draw_patient(rng), severities, view, hospital, SIZE)


def inside(box, shape):
    """The part of a mask (H, W) that a box (x, y, w, h) names, as slices."""
    x, y, width, height = box
    assert 0 <= x < x + width <= shape[1]
    assert 0 <= y < y + height <= shape[0]
    return slice(int(y), int(np.ceil(y + height))), slice(int(x), int(np.ceil(x + width)))


@pytest.mark.parametrize("view", ["PA", "AP", "LATERAL"])
def test_the_same_seed_gives_the_same_film(view):
    first, second = (film_of(3, {"Edema": 0.5, "Effusion": 0.4}, view) for _ in range(2))
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.lungs.tobytes() == second.lungs.tobytes()
    assert first.boxes == second.boxes
    assert film_of(4, {}, view).pixels.tobytes() != first.pixels.tobytes()


@pytest.mark.parametrize("hospital", sorted(HOSPITALS))
def test_a_film_is_gray_with_dark_lungs_and_a_bright_mediastinum(hospital):
    film = film_of(5, {}, "PA", hospital)
    assert film.pixels.shape == film.lungs.shape == (SIZE, SIZE)
    assert film.pixels.dtype == film.lungs.dtype == np.uint8
    assert set(np.unique(film.lungs)) == {0, 255}
    assert 0.15 < (film.lungs > 0).mean() < 0.50
    hull = cv2.convexHull(cv2.findNonZero(film.lungs))
    between = cv2.fillConvexPoly(np.zeros_like(film.lungs), hull, 1) * (film.lungs == 0)
    assert film.pixels[between > 0].mean() > film.pixels[film.lungs > 0].mean() + 40


def test_the_lungs_of_a_healthy_film_are_two():
    for seed in range(8):
        count, _, stats, _ = cv2.connectedComponentsWithStats(film_of(seed, {}).lungs)
        large = [area for area in stats[1:count, cv2.CC_STAT_AREA] if area > 0.02 * SIZE**2]
        assert len(large) == 2


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize("view", ["PA", "AP"])
def test_every_finding_has_a_box_within_the_film_that_touches_the_lungs(finding, view):
    for seed in range(6):
        film = film_of(seed, {finding: 0.1 + 0.15 * seed}, view)
        assert list(film.boxes) == [finding]
        for box in film.boxes[finding]:
            assert film.lungs[inside(box, film.lungs.shape)].any()


def test_a_film_without_findings_has_no_boxes():
    assert film_of(1, {}).boxes == {}


@pytest.mark.parametrize("finding", [finding for finding in FINDINGS if finding != "Cardiomegaly"])
def test_a_finding_changes_the_film_in_its_boxes_and_little_elsewhere(finding):
    healthy, sick = film_of(2, {}), film_of(2, {finding: 0.9})
    change = np.abs(sick.pixels.astype(float) - healthy.pixels)
    within = np.zeros_like(change, bool)
    for box in sick.boxes[finding]:
        within[inside(box, within.shape)] = True
    assert change[within].mean() > 2.5 * change[~within].mean()


@pytest.mark.parametrize(("view", "limit"), [("PA", 0.50), ("AP", 0.55)])
def test_the_heart_is_large_with_cardiomegaly_only(view, limit):
    for seed in range(10):
        assert film_of(seed, {}, view).cardiothoracic_ratio < limit
        assert film_of(seed, {"Edema": 1.0}, view).cardiothoracic_ratio < limit
        film = film_of(seed, {"Cardiomegaly": 0.1 + 0.09 * seed}, view)
        assert film.cardiothoracic_ratio > limit


def test_the_drawn_heart_is_as_wide_as_the_ratio_says():
    film = film_of(1, {"Cardiomegaly": 0.8})
    columns = np.flatnonzero(film.lungs.any(axis=0))
    (_, _, width, _) = film.boxes["Cardiomegaly"][0]
    assert width / (columns[-1] - columns[0] + 1) == pytest.approx(film.cardiothoracic_ratio, abs=0.05)


def markings(seed, severities):
    """How much of a film (H, W) depends on the patient's vessels and lung texture."""
    patient = draw_patient(np.random.default_rng(seed))
    faint, plain = (replace(patient, anatomy=replace(patient.anatomy, lung_markings=value)) for value in (0.5, 1.5))
    films = [draw_film(np.random.default_rng(seed), each, severities, size=SIZE) for each in (faint, plain)]
    return np.abs(films[0].pixels.astype(float) - films[1].pixels)


def test_a_pneumothorax_is_darker_and_without_markings():
    for seed in range(4):
        healthy, sick = film_of(seed, {}), film_of(seed, {"Pneumothorax": 1.0})
        x, y, width, height = sick.boxes["Pneumothorax"][0]
        apex = inside((x, y, width, 0.12 * height), sick.lungs.shape)
        lung = sick.lungs[apex] > 0
        assert sick.pixels[apex][lung].mean() < healthy.pixels[apex][lung].mean()
        assert markings(seed, {"Pneumothorax": 1.0})[apex][lung].mean() < 0.5 * markings(seed, {})[apex][lung].mean()


def test_an_effusion_hides_the_costophrenic_angle():
    for seed in range(4):
        healthy, sick = film_of(seed, {}), film_of(seed, {"Effusion": 0.8})
        x, y, width, height = sick.boxes["Effusion"][0]
        low = inside((x, y + 0.6 * height, width, 0.4 * height), sick.lungs.shape)
        lung = healthy.lungs[low] > 0
        assert sick.pixels[low][lung].mean() > healthy.pixels[low][lung].mean() + 30


def test_a_plainer_finding_is_brighter():
    healthy, faint, plain = (film_of(7, {"Edema": s} if s else {}) for s in (0, 0.2, 1.0))
    lung = healthy.lungs > 0
    assert healthy.pixels[lung].mean() < faint.pixels[lung].mean() < plain.pixels[lung].mean()


def test_severities_follow_the_documented_distribution():
    rng = np.random.default_rng(0)
    values = np.array([draw_severity(rng) for _ in range(2000)])
    assert values.min() > 0.1
    assert values.max() <= 1
    assert values.mean() == pytest.approx(0.55, abs=0.02)  # 0.1 + 0.9 / 2
    assert max(draw_severity(rng, 0.5) for _ in range(200)) <= 0.5


def test_a_patient_keeps_the_anatomy_and_an_unknown_view_is_refused():
    assert draw_patient(np.random.default_rng(1)) == draw_patient(np.random.default_rng(1))
    with pytest.raises(ValueError, match="expected 'PA', 'AP' or 'LATERAL'"):
        film_of(1, {}, "oblique")
    with pytest.raises(ValueError, match="hospital is 'moon'"):
        film_of(1, {}, "PA", "moon")
