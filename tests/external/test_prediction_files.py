"""Anybody's CSV becomes a predictions table of ours, or says what is wrong with it."""

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.parameters import Params
from cxr.evaluation import predictions
from cxr.external import label_tables, prediction_files
from cxr.tables.sources.catalogue import name_films

NIH = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"
    "00000001_000.png,Cardiomegaly|Effusion,0,1,58,M,PA\n00000001_001.png,No Finding,1,1,58,M,AP\n"
    "00000002_000.png,Edema,0,2,17,F,PA\n"
)
CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,Consolidation,Pneumothorax,Edema,Pleural Effusion,Pneumonia,Cardiomegaly\n"
    "CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,0,0,1,1,0,0\n"
    "CheXpert-v1.0-small/valid/patient64541/study1/view2_lateral.jpg,Male,73,Lateral,,0,0,1,1,0,0\n"
    "CheXpert-v1.0-small/train/patient00002/study2/view1_frontal.jpg,Female,87,Frontal,AP,,,-1,-1,,\n"
)


@pytest.fixture
def file(tmp_path):
    def write(text: str, name: str = "mine.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.fixture
def labels(file):
    return label_tables.read_labels([file(NIH, "nih.csv"), file(CHEXPERT, "chexpert.csv")], Params())


def test_films_are_named_by_nih_chexpert_or_as_the_users_own():
    names = ["images/00000013_026.png", "CheXpert-v1.0/valid/patient64541/study1/view1_frontal.jpg", "a/b.dcm", "b.1"]
    image_ids, patients = name_films(pd.Series([*names, "test/patient64741/study1"]))
    assert image_ids.tolist() == [
        *["nih/00000013_026", "chexpert/valid/patient64541/study1/view1_frontal", "own/a/b", "own/b.1"],
        "chexpert/test/patient64741/study1",
    ]
    assert patients.fillna("").tolist() == ["nih-13", "chexpert-64541", "", "", "chexpert-64741"]


def test_labels_patient_view_sex_and_age_come_from_nihs_table(file, labels):
    path = file("Image Index,prob_Effusion,prob_Hernia\n00000002_000.png,.25,.1\n00000001_000.png,0.75,.1\n")
    found = prediction_files.read(path, labels, FINDINGS)
    assert found.table["image_id"].tolist() == ["nih/00000002_000", "nih/00000001_000"]
    assert found.table["patient_id"].tolist() == ["nih-2", "nih-1"]
    assert found.table["Effusion_true"].tolist() == [0, 1]
    assert found.table["Effusion_prob"].tolist() == [0.25, 0.75]
    assert found.table["Edema_true"].isna().all()  # the file says nothing of it
    assert found.findings == ("Effusion",)
    assert found.films[["view", "sex", "age"]].to_numpy().tolist() == [["PA", "F", 17], ["PA", "M", 58]]


def test_chexperts_films_and_studies_get_their_labels_by_the_policies(file, labels):
    path = file("Study,Edema,Pleural Effusion\nvalid/patient64541/study1,.9,.8\ntrain/patient00002/study2,.5,.5\n")
    found = prediction_files.read(path, labels, FINDINGS)
    assert found.table["Edema_true"].tolist() == [1, 1]  # -1 of Edema is positive
    assert found.table["Effusion_true"].fillna(-9).tolist() == [1, -9]  # of the others not known
    assert predictions.label_source(found.table).tolist() == ["chexpert-valid", "chexpert-train"]
    assert found.films["view"].tolist() == ["AP", "AP"]


def test_a_file_may_hold_its_labels_and_facts_itself(file):
    path = file(
        "filename,patient,sex,age,view,Edema,Edema_true,p_Effusion,Effusion\n"
        "x/1.png,A,female,40,pa,.2,0,.3,1\nx/2.png,A,female,41,ap,.9,1,.4,\n"
    )
    found = prediction_files.read(path, label_tables.read_labels([], Params()), FINDINGS)
    assert found.table[["Edema_true", "Edema_prob"]].to_numpy().round(6).tolist() == [[0, 0.2], [1, 0.9]]
    assert found.table["Effusion_true"].fillna(-9).tolist() == [1, -9]
    assert found.table["patient_id"].tolist() == ["A", "A"]
    assert found.films.to_numpy().tolist() == [["own/x/1", "PA", "F", 40], ["own/x/2", "AP", "F", 41]]
    assert "labels of Edema: from the file's own column 'Edema_true'" in found.notes
    beside = "'p_Effusion' is the probability and nothing else gives labels"
    assert f"labels of Effusion: from the file's own column 'Effusion', for {beside}" in found.notes


def test_our_own_predictions_file_is_read_as_any_other(file, tmp_path):
    table = predictions.build(["nih/00000001_000", "nih/00000002_000"], ["nih-1", "nih-2"], ["val", "test"],
                              [[1, 0, 0, 1, 0, np.nan]] * 2, [[0.3] * 6, [0.4] * 6], FINDINGS)  # fmt: skip
    predictions.write(table, tmp_path / "ours.csv")
    found = prediction_files.read(tmp_path / "ours.csv", label_tables.read_labels([], Params()), FINDINGS)
    pd.testing.assert_frame_equal(found.table, table, check_dtype=False)
    val, test, told = prediction_files.with_val(found, None, 0.2)
    assert (val["patient_id"].tolist(), test["patient_id"].tolist()) == (["nih-1"], ["nih-2"])
    assert "marks as val" in told


def test_a_table_of_the_users_own_is_matched_by_the_last_part_of_the_name(file):
    labels = file("name,patient_id,Edema\nfilms/one.png,A,1\nfilms/two.png,B,0\n", "labels.csv")
    known = label_tables.read_labels([labels], Params())
    found = prediction_files.read(file("image,prob_Edema\ntwo.png,.1\none.png,.9\n"), known, FINDINGS)
    assert found.table["Edema_true"].tolist() == [0, 1]
    assert found.table["patient_id"].tolist() == ["B", "A"]
    assert "by the last part" in found.notes[0]


def test_films_without_labels_are_left_out_and_counted(file, labels):
    found = prediction_files.read(file("image,Edema\n00000002_000.png,.2\n00000099_000.png,.2\n"), labels, FINDINGS)
    assert len(found.table) == len(found.films) == 1
    assert found.notes[0] == "1 of 2 films without a known label are left out"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,Hernia\n1.png,.2\n", "no column is a probability of Consolidation.*prob_Edema.*found image, Hernia"),
        ("film no,Edema\n1.png,.2\n", "no column names the film; expected 'Image Index'"),
        ("image,Edema\n00000001_000.png,1.5\n", "line 2, column 'Edema': expected a probability in 0..1, found '1.5'"),
        ("image,Edema\n00000001_000.png,-3\n", "These look like logits: apply the sigmoid"),
        ("image,Edema\n00000001_000.png,55\n", "Percent. Divide by 100"),
        ("image,Edema\n00000001_000.png,\n", "found nothing"),
        ("image,prob_Edema,p_Edema\n1.png,.2,.2\n", "columns 'prob_Edema' and 'p_Edema' both mean Edema; keep one"),
        ("image,Edema\n00000001_000.png,.2\n00000001_000.png,.3\n", "line 3: film nih/00000001_000 stands more than"),
        ("image,Edema\nzebra.png,.2\n", "no film of the file has a known label.*own/zebra.*--labels FILE"),
        ("image,prob_Edema,Edema\nzebra.png,.2,7\n", "expected the label 1, 0, -1 or nothing, found '7'"),
        ("image;Edema\n1.png;.2\n", "separated by semicolons"),
        ("image,Edema\n", "a header and no rows"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_what_to_do(file, labels, text, message):
    with pytest.raises(InputError, match=message):
        prediction_files.read(file(text), labels, FINDINGS)


def test_a_split_column_that_puts_a_patient_into_val_and_test_is_refused(file, labels):
    text = "image,patient,split,Edema,Edema_true\n0.png,A,val,.5,1\n1.png,A,test,.6,0\n2.png,B,test,.7,0\n"
    found = prediction_files.read(file(text), labels, FINDINGS)
    with pytest.raises(InputError, match=r"its split column puts patient A into val and test \(1 such patients\)"):
        prediction_files.with_val(found, None, 0.25)


def test_val_is_a_share_of_the_patients_or_a_file_of_other_patients(file, labels):
    text = "image,patient,Edema,Edema_true\n" + "".join(f"{n}.png,P{n // 2},{n / 400},{n % 2}\n" for n in range(400))
    found = prediction_files.read(file(text), labels, FINDINGS)
    val, table, told = prediction_files.with_val(found, None, 0.25)
    assert 0.15 < len(val) / 400 < 0.35
    assert len(table) == 400
    test = table[table["split"] == "test"]
    assert not set(val["patient_id"]) & set(test["patient_id"])
    assert "a share of 0.25 drawn by a hash of the patient" in told
    again = prediction_files.with_val(found, None, 0.25)[0]
    assert again["image_id"].tolist() == val["image_id"].tolist()
    assert prediction_files.with_val(found, None, 0)[0].empty
    with pytest.raises(InputError, match=r"patient P0 is also among the films of mine \(200 such patients\)"):
        prediction_files.with_val(found, found, 0.25)
