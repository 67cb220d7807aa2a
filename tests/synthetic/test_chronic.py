import numpy as np
import pytest

from cxr.synthetic import chronic
from cxr.synthetic.exposure import HOSPITALS
from cxr.synthetic.frame import Frame
from cxr.synthetic.outlines import Pose
from cxr.synthetic.patients import draw_patient
from cxr.synthetic.phantoms import draw_posed

SIZE = 384
FRAME = Frame(SIZE, np.array([[165.0, 0, 192], [0, 165.0, 192]]))
POSE = Pose("PA", supine=False, inspiration=1.0, turn=0.0, heart_ratio=0.45, arms=0.2, shrug=0.0)
SEEDS = range(6)


def pair(seed, finding, severity=0.8):
    """Film without and with a finding, of the same body: (pixels as float, lungs as bool) of each."""
    patient = draw_patient(np.random.default_rng(100 + seed))
    films = []
    for present in ({}, {finding: severity}):
        streams = np.random.default_rng(seed).spawn(4)
        film = draw_posed(streams, patient, present, FRAME, POSE, HOSPITALS["montgomery"])
        films.append((film.pixels.astype(float), film.lungs > 0))
    return films


def finely(pixels):
    """Mean change from a pixel to the next."""
    return np.abs(np.diff(pixels, axis=1, append=0))


@pytest.mark.parametrize("finding", chronic.CHRONIC)
def test_a_chronic_change_lies_in_the_lungs_and_grows_with_its_severity(finding):
    changed = []
    for severity in (0.2, 1.0):
        differences = []
        for seed in SEEDS:
            (before, lungs), (after, _) = pair(seed, finding, severity)
            change = np.abs(after - before)
            assert change[lungs].mean() > 5 * change[~lungs].mean()
            differences.append(change[lungs].mean())
        changed.append(np.mean(differences))
    assert 0.2 < changed[0] < 0.7 * changed[1]


def test_fibrosis_is_a_net_of_lines_at_both_bases_or_a_scar_at_an_apex():
    places = []
    for seed in SEEDS:
        (before, lungs), (after, masked) = pair(seed, "Fibrosis")
        np.testing.assert_array_equal(lungs, masked)
        assert after[lungs].mean() > before[lungs].mean() + 1
        rows = np.flatnonzero(lungs.any(axis=1))
        third = len(rows) // 3
        top, bottom = (np.isin(np.arange(SIZE), part)[:, None] & lungs for part in (rows[:third], rows[-third:]))
        change, finer = np.abs(after - before), finely(after) - finely(before)
        places.append("apex" if change[top].mean() > change[bottom].mean() else "bases")
        assert places[-1] == "apex" or finer[bottom].mean() > 0.2
    assert set(places) == {"apex", "bases"}


def test_emphysema_is_darker_in_a_larger_chest_with_flat_domes():
    for seed in SEEDS:
        (before, lungs), (after, _) = pair(seed, "Emphysema")
        assert after[lungs].mean() < before[lungs].mean() - 3
    patient = draw_patient(np.random.default_rng(1))
    before, after = patient.anatomy, chronic.changed_body(patient, {"Emphysema": 0.5}).anatomy
    assert after.lung_height == pytest.approx(1.1 * before.lung_height)
    assert after.dome_arch == pytest.approx(0.7 * before.dome_arch)
    assert after.heart < before.heart
    assert chronic.changed_body(patient, {"Fibrosis": 0.5}).anatomy.lung_height == pytest.approx(
        0.92 * before.lung_height
    )
    assert chronic.changed_body(patient, {"Edema": 1.0}) is patient


def test_thick_pleura_is_a_bright_band_at_the_wall_that_is_left_out_of_the_lungs():
    for seed in SEEDS:
        (before, lungs), (after, kept) = pair(seed, "Pleural_Thickening")
        band = lungs & ~kept
        assert 0.01 < band.sum() / lungs.sum() < 0.35
        assert not (kept & ~lungs).any()
        assert after[band].mean() > before[band].mean() + 10
        assert np.abs(after - before)[kept].mean() < 0.3 * np.abs(after - before)[band].mean()
        for row in np.flatnonzero(band.any(axis=1)):  # from the wall inwards
            columns = np.flatnonzero(lungs[row])
            assert band[row, columns[[0, -1]]].any()
