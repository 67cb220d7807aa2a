"""CheXlocalize's names of films and findings, beside ours."""

import pytest

from cxr.tables.sources import chexlocalize


@pytest.mark.parametrize(
    ("image_id", "name"),
    [
        ("chexpert/valid/patient64541/study1/view1_frontal", "patient64541_study1_view1_frontal"),
        ("chexpert/test/patient64741/study2/view2_lateral", "patient64741_study2_view2_lateral"),
        ("chexpert/train/patient00001/study1/view1_frontal", None),  # nobody outlined those
        ("nih/00000001_000", None),
        ("own/valid/patient64541/study1/view1_frontal", None),
    ],
)
def test_films_of_valid_and_test_have_names_there(image_id, name):
    assert chexlocalize.film_name(image_id) == name


def test_a_film_s_name_says_the_patient_and_other_names_none():
    assert chexlocalize.patient_of("patient64541_study1_view1_frontal") == "patient64541"
    assert chexlocalize.patient_of("patient64541") is chexlocalize.patient_of("film_study1_view1_frontal") is None


def test_findings_are_known_by_their_tasks_and_others_have_none():
    findings = ["Effusion", "Pneumonia", "Lung Opacity", "Consolidation", "Edema", "Mass"]
    assert chexlocalize.tasks_of(findings) == {
        "Effusion": "Pleural Effusion",
        "Lung Opacity": "Airspace Opacity",
        "Consolidation": "Consolidation",
        "Edema": "Edema",
    }
