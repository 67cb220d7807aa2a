"""Public releases that the own table reads by name: small tables in each release's real format."""
# ruff: noqa: E501 - their rows are long

import gzip
from pathlib import Path

import pandas as pd
import pytest

from cxr.core.configuration import load_settings, params_from
from cxr.core.errors import InputError
from cxr.core.findings import canonical
from cxr.tables.sources.own import OWN

MIMIC_LABELS = (
    "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,"
    "No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
MIMIC = {
    "metadata": "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate\n"
    "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014,10000032,50414267,CHEST (PA AND LAT),PA,3056,2544,21800506\n"
    "174413ec-4ec4c1f7-34ea26b7-c5f994f8-79ef1962,10000032,50414267,CHEST (PA AND LAT),LATERAL,3056,2544,21800506\n"
    "2a2277a9-b0ded155-c0de8eb9-c124d10e-82c5caab,10000764,57375967,CHEST (PORTABLE AP),AP,3050,2539,21321015\n"
    "68b5c4b1-227d0485-9cc38c3f-7b84ab51-4b472714,10000898,50771383,,,3050,2539,21880603\n",
    "chexpert": f"subject_id,study_id,{MIMIC_LABELS}\n"
    "10000032,50414267,,,,,,,,,1.0,,,,,\n"
    "10000764,57375967,,,1.0,-1.0,,,,,,0.0,,-1.0,,\n",
    "split": "dicom_id,study_id,subject_id,split\n"
    "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014,50414267,10000032,train\n"
    "174413ec-4ec4c1f7-34ea26b7-c5f994f8-79ef1962,50414267,10000032,train\n"
    "2a2277a9-b0ded155-c0de8eb9-c124d10e-82c5caab,57375967,10000764,validate\n"
    "68b5c4b1-227d0485-9cc38c3f-7b84ab51-4b472714,50771383,10000898,test\n",
}
PADCHEST = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection,"
    "MethodProjection,Pediatric,ReportID,Report,MethodLabel,Labels,Localizations\n"
    "0,20536686640136348236148679891455886468_k6ga29.png,0,20140915,20536686640136348236148679891455886468,839860488694292331637988235681460987,1930.0,F,POSTEROANTERIOR,PA,Manual review of DICOM fields,No,4765777,texto,Physician,\"['pulmonary fibrosis', 'chronic changes', 'kyphosis']\",\"[]\"\n"
    "1,135803415504923515076821959678074435083_fzis7b.png,0,20150914,135803415504923515076821959678074435083,313572750430997347502932654319389875966,1929.0,M,LATERAL,L,Manual review of DICOM fields,No,4991845,texto,Physician,\"['pleural effusion', 'pulmonary edema', 'cardiomegaly']\",\"[]\"\n"
    '2,113855343774216031107737439268243531979_3k951l.png,0,20150914,113855343774216031107737439268243531979,313572750430997347502932654319389875966,1929.0,M,,AP_horizontal,Manual,No,4991846,texto,RNN_model,"[\'exclude\']","[]"\n'
    '3,3.png,54,20150101,3,4,,O,,COSTAL,Manual,No,1,texto,RNN_model,,"[]"\n'
)
VINDR_LABELS = (
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,Edema,Emphysema,"
    "Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,Mediastinal shift,Nodule/Mass,Pleural effusion,"
    "Pleural thickening,Pneumothorax,Pulmonary fibrosis,Rib fracture,Other lesion,COPD,Lung tumor,Pneumonia,"
    "Tuberculosis,Other disease{},No finding"
)


def vindr_row(name: str, reader: str | None, *there: str) -> str:
    marks = ["1" if label in there else "0" for label in VINDR_LABELS.split(",")]
    return ",".join([name, *([reader] if reader else []), *marks])


VINDR = {
    "image_labels_train.csv": [
        f"image_id,rad_id,{VINDR_LABELS.format('s')}",
        vindr_row("50a418190bc3fb1ef1633bf9678929b3", "R1", "Cardiomegaly", "Pulmonary fibrosis"),
        vindr_row("50a418190bc3fb1ef1633bf9678929b3", "R8", "Cardiomegaly"),
        vindr_row("50a418190bc3fb1ef1633bf9678929b3", "R9", "Pleural effusion"),
    ],
    "image_labels_test.csv": [
        f"image_id,{VINDR_LABELS.format('')}",
        vindr_row("002a34c58c5b758217ed1f584ccbcfe9", None, "Pulmonary fibrosis", "Pleural effusion"),
    ],
}


def release_of(folder: Path, csv: str, columns: str, findings: list[str], films: list[str]):
    for name in films:
        (folder / "films" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "films" / name).touch()
    pd.Series({"OWN_CSV": csv, "OWN_DATASET_DIR": "films", "OWN_COLUMNS": columns}).to_json(folder / "SETTINGS.json")
    settings = load_settings(folder / "SETTINGS.json")
    params = params_from({"FINDINGS": findings, "CLASS_NUM": len(findings)}, "PARAMS.json")
    assert set(map(canonical, findings)) <= set(map(canonical, OWN.labelled(settings)))
    return OWN.read(settings, params, OWN.on_disk(settings))


@pytest.mark.parametrize("packed", [False, True])
def test_mimic_cxr_jpg_labels_studies_and_brings_its_split(tmp_path, packed):
    for part, text in MIMIC.items():
        name = f"mimic-cxr-2.0.0-{part}.csv"
        if packed:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (tmp_path / name).write_text(text)
    film = "files/p10/p10000032/s50414267/02aa804e-bde0afdd-112c0b34-7bc16630-4e384014.jpg"
    csv = "mimic-cxr-2.0.0-metadata.csv" + ".gz" * packed
    findings = ["Effusion", "Consolidation", "Edema", "Pneumonia"]
    release = release_of(tmp_path, csv, "mimic-cxr-jpg", findings, [film])
    table = release.table
    assert table["path"].iloc[0] == film
    assert table["patient_id"].tolist() == ["own-p10000032", "own-p10000032", "own-p10000764", "own-p10000898"]
    assert table["view"].fillna("").tolist() == ["PA", "LATERAL", "AP", ""]
    assert table[findings].iloc[0].tolist() == [0, 0, 0, 0]  # blank: not mentioned
    assert table[findings].iloc[2].fillna(-9).tolist() == [0, 1, 1, -9]  # uncertain: Edema counts as positive
    assert table[findings].iloc[3].isna().all()  # a study that the labeller did not read
    assert release.split["split"].tolist() == ["train", "train", "val", "test"]


@pytest.mark.parametrize("part", ["chexpert", "split"])
def test_mimic_cxr_jpg_refuses_rows_that_differ_and_takes_those_that_do_not_once(tmp_path, part):
    for name, text in MIMIC.items():
        (tmp_path / f"mimic-cxr-2.0.0-{name}.csv").write_text(text)
    csv, film = tmp_path / f"mimic-cxr-2.0.0-{part}.csv", "files/p10/p10000032/s50414267/02aa804e.jpg"
    first = MIMIC[part].splitlines()[1]
    csv.write_text(f"{MIMIC[part].rstrip()}\n{first}\n")
    film = "files/p10/p10000032/s50414267/02aa804e-bde0afdd-112c0b34-7bc16630-4e384014.jpg"
    given = (tmp_path, "mimic-cxr-2.0.0-metadata.csv", "mimic-cxr-jpg", ["Effusion"], [film])
    assert len(release_of(*given).table) == 4
    other = first.replace("train", "test") if part == "split" else first + "1"  # the last label, blank or 1, is another
    csv.write_text(f"{MIMIC[part].rstrip()}\n{other}\n")
    with pytest.raises(
        InputError, match=rf"{csv.name}: \w+_id \S+ stands in several rows that differ \(1 row too many"
    ):
        release_of(*given)


def test_mimic_cxr_jpg_takes_labels_from_its_label_table_alone(tmp_path):
    """A metadata table that was joined with labels would give both sides of a merge the suffixes _x and _y."""
    for name, text in MIMIC.items():
        (tmp_path / f"mimic-cxr-2.0.0-{name}.csv").write_text(text)
    csv = tmp_path / "mimic-cxr-2.0.0-metadata.csv"
    pd.read_csv(csv, dtype=str).assign(Edema="0", **{"Pleural Effusion": "1"}).to_csv(csv, index=False)
    film = "files/p10/p10000032/s50414267/02aa804e-bde0afdd-112c0b34-7bc16630-4e384014.jpg"
    table = release_of(tmp_path, csv.name, "mimic-cxr-jpg", ["Effusion", "Edema"], [film]).table
    assert table["Edema"].iloc[2] == 1
    assert table["Effusion"].iloc[0] == 0


def test_mimic_cxr_jpg_without_its_labels_names_the_file(tmp_path):
    (tmp_path / "mimic-cxr-2.0.0-metadata.csv").write_text(MIMIC["metadata"])
    with pytest.raises(InputError, match=r"mimic-cxr-2.0.0-chexpert.csv: no such table; expected beside mimic-cxr"):
        release_of(tmp_path, "mimic-cxr-2.0.0-metadata.csv", "mimic-cxr-jpg", ["Effusion"], ["x.jpg"])


def test_padchest_lists_words_and_says_when_a_film_is_not_to_be_used(tmp_path):
    (tmp_path / "padchest.csv").write_text(PADCHEST)
    findings = ["Effusion", "Edema", "Cardiomegaly", "Fibrosis"]
    films = [
        "0/20536686640136348236148679891455886468_k6ga29.png",
        "135803415504923515076821959678074435083_fzis7b.png",
    ]
    release = release_of(tmp_path, "padchest.csv", "padchest", findings, films)
    table = release.table
    assert table["path"].tolist()[:2] == films  # in the folder that the table says, or all in one
    assert table[findings].iloc[0].tolist() == [0, 0, 0, 1]
    assert table[findings].iloc[1].tolist() == [1, 1, 1, 0]
    assert table[findings].iloc[2:].isna().all(axis=None)  # excluded; no list of labels
    assert table["view"].fillna("").tolist() == ["PA", "LATERAL", "AP", ""]
    assert table["age"].fillna(-1).tolist() == [84, 86, 86, -1]
    assert table["sex"].fillna("").tolist() == ["F", "M", "M", ""]
    assert table["patient_id"].iloc[1] == table["patient_id"].iloc[2]


def test_vindr_cxr_counts_three_readers_and_keeps_its_test(tmp_path):
    for name, lines in VINDR.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    findings = ["Cardiomegaly", "Effusion", "Fibrosis"]
    films = ["train/50a418190bc3fb1ef1633bf9678929b3.dicom", "test/002a34c58c5b758217ed1f584ccbcfe9.dicom"]
    release = release_of(tmp_path, "image_labels_train.csv", "vindr-cxr", findings, films)
    assert release.table["path"].tolist() == films
    assert release.table[findings].to_numpy().tolist() == [[1, 0, 0], [0, 1, 1]]
    assert release.table["view"].tolist() == ["PA", "PA"]
    assert release.split["split"].tolist() == ["train", "test"]
    assert any("no patient is known of 2 films" in note for note in release.notes)
