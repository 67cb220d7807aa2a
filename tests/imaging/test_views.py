"""Lateral films: by words, headers, names of files, and pictures."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from cxr.imaging.decoding import open_film, read_film
from cxr.imaging.views import LATERAL_CUT, halves, lateral_score, named_lateral, says_lateral, stated_view, view_of
from cxr.synthetic.phantoms import HOSPITALS, draw_film, draw_patient
from tests.conftest import PROJECT
from tests.imaging.dicom_files import dicom

SHARED = PROJECT.parent / "shared" / "data"


@pytest.mark.parametrize(
    ("words", "view"),
    [
        ("PA", "PA"), ("Postero-anterior", "PA"), ("p.a.", "PA"), ("AP", "AP"), ("AP_horizontal", "AP"),
        ("AP LLD", "AP"),
        ("LL", "LATERAL"), ("RL", "LATERAL"), ("L", "LATERAL"), ("Lateral", "LATERAL"), ("LEFT LATERAL", "LATERAL"),
        ("XTABLE LATERAL", "LATERAL"), ("LLAT", "LATERAL"), ("측면", "LATERAL"),
        # frontal films of a patient who lies on the side, and oblique ones
        ("LLD", ""), ("RLD", ""), ("lateral decubitus", ""), ("LLO", ""), ("LATERAL OBLIQUE", ""),
        ("", ""), (None, ""), (float("nan"), ""), ("FLAT", ""), ("HFS", ""),
    ],
)  # fmt: skip
def test_a_view_is_known_by_its_usual_words(words, view):
    assert view_of(words) == view


def header(**tags):
    found = Dataset()
    for keyword, value in tags.items():
        setattr(found, keyword, value)
    return found


def coded(value):
    return [header(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning="what it means")]


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({"ViewPosition": "LL"}, "LATERAL"),
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewPosition": "", "ViewCodeSequence": coded("399067008")}, "LATERAL"),
        ({"ViewCodeSequence": coded("R-10236")}, "LATERAL"),
        ({"ViewCodeSequence": coded("399348003")}, "AP"),
        ({"ViewCodeSequence": coded("399182000")}, ""),  # oblique
        ({"PatientPosition": "PA"}, "PA"),
        ({"PatientPosition": "HFS", "PatientOrientation": ["A", "F"]}, "LATERAL"),
        ({"PatientOrientation": ["P", "F"]}, "LATERAL"),
        ({"PatientOrientation": ["L", "F"]}, ""),
        ({"SeriesDescription": "W Chest Lat."}, "LATERAL"),
        ({"SeriesDescription": "Chest PA/LAT"}, ""),  # of both films
        ({"ViewPosition": "PA", "SeriesDescription": "Chest lateral"}, "PA"),
        ({"ProtocolName": "Bilateral flat plate"}, ""),
        ({}, ""),
    ],
)
def test_a_header_states_the_view(tags, view):
    assert stated_view(header(**tags)) == view


def test_a_broken_view_code_hides_nothing_else():
    broken = Dataset()
    broken.add(DataElement(0x00540220, "LO", "no sequence"))  # ViewCodeSequence
    broken.ViewPosition = ["LL", ""]
    assert stated_view(broken) == "LATERAL"


def test_a_dicom_film_carries_its_view(tmp_path):
    grays = (np.arange(48 * 64).reshape(48, 64) % 251).astype(np.uint8)
    for name, view in (("a", "LL"), ("b", "AP"), ("c", "")):
        dicom(tmp_path, grays, f"{name}.dcm", ViewPosition=view)
    assert [open_film(tmp_path / f"{name}.dcm").view for name in "abc"] == ["LATERAL", "AP", ""]


@pytest.mark.parametrize(
    ("name", "lateral"),
    [
        ("CheXpert/valid/patient64541/study1/view2_lateral.jpg", True), ("study1/view1_frontal.jpg", False),
        ("0007-LL.dcm", True), ("p12 LAT 2.png", True), ("흉부_측면.png", True), ("lateral/0001.png", True),
        (unicodedata.normalize("NFD", "흉부 측면.png"), True), ("lateral/0001_pa.png", False), 
        ("pa_and_lat.png", False), ("latest.png", False), ("bilateral.png", False), ("decub_lateral.png", False),
        ("1_IM-0001-3001.dcm.png", False),
        ("translation.png", False), ("16_lateral_films/second.png", False), ("all/00000001_000.png", False),
    ],
)  # fmt: skip
def test_a_file_s_name_says_in_words_that_it_is_lateral(name, lateral):
    assert named_lateral(Path(name)) is lateral


def test_a_text_that_names_both_views_says_nothing():
    assert says_lateral("CHEST, LAT")
    assert not says_lateral("CHEST, FRONTAL AND LAT")


def test_the_picture_is_judged_alike_from_either_side_and_at_any_contrast():
    random = np.random.default_rng(0)
    film = draw_film(random, draw_patient(random), {}, size=128).pixels[:, 10:100]
    np.testing.assert_allclose(halves(film), halves(np.ascontiguousarray(film[:, ::-1])))
    assert lateral_score(film // 2 + 40) == pytest.approx(lateral_score(film), abs=0.1)
    assert abs(halves(film).mean()) < 1e-9  # less the mean


def test_drawn_laterals_look_lateral_and_frontal_films_do_not():
    for seed in range(12):
        for hospital in HOSPITALS:
            for view in ("LATERAL", "PA", "AP"):
                random = np.random.default_rng([5, seed])
                pixels = draw_film(random, draw_patient(random), {}, view, hospital, 128).pixels
                assert (lateral_score(pixels) > LATERAL_CUT) == (view == "LATERAL"), (seed, hospital, view)


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared/data is not here")
def test_real_frontal_films_are_rarely_taken_for_lateral_ones():
    paths = sorted([*(SHARED / "nih").glob("images_*/images/*.png"), *(SHARED / "lungs/CXR_png").glob("*.png")])[::4]
    assert sum(lateral_score(read_film(path)) > LATERAL_CUT for path in paths) <= 0.01 * len(paths)
