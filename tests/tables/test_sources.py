import gzip
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.core.command_line import PROJECT
from cxr.core.configuration import InputError, Settings, params_from
from cxr.core.findings import FINDINGS
from cxr.core.parameters import Params
from cxr.tables import raw_files, raw_tables, schema
from cxr.tables.sources import catalogue, chexpert, nih

SHARED = PROJECT.parent / "shared" / "data" / "nih"

HEADER_2017 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
HEADER_2020 = HEADER_2017.rstrip(",")
SIZES = "2048,2500,0.168,0.168"

CHEXPERT_COLUMNS = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "Lung Opacity", "Pleural Effusion"]
CHEXPERT_COLUMNS += ["Cardiomegaly", "Edema", "Consolidation", "Pneumonia", "Pneumothorax", "Support Devices"]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def params_with(**keys) -> Params:
    return params_from(keys, "PARAMS.json")


def nih_csv(folder: Path, *rows: str, header: str = HEADER_2017, end: str = ",") -> Path:
    csv = folder / "Data_Entry_2017.csv"
    csv.write_text("\n".join([header, *[f"{row},{SIZES}{end}" for row in rows]]) + "\n")
    return csv


def read_nih(csv: Path) -> raw_tables.Release:
    return nih.read_nih(csv, csv.parent, raw_files.list_files(csv.parent), FINDINGS)


def chexpert_csv(csv: Path, rows: list[dict]) -> Path:
    csv.parent.mkdir(parents=True, exist_ok=True)
    usual = {"Sex": "Male", "Age": 60, "Frontal/Lateral": "Frontal", "AP/PA": "AP"}
    pd.DataFrame([usual | row for row in rows], columns=CHEXPERT_COLUMNS).to_csv(csv, index=False)
    return csv


def read_chexpert(folder: Path, *csvs: Path, **params) -> raw_tables.Release:
    keys = ("DATASET_CHEXPERT_TRAIN_CSV_DIR", "DATASET_CHEXPERT_VAL_CSV_DIR")
    named = dict(zip(keys, csvs, strict=False))
    return chexpert.read_chexpert(named, folder, raw_files.list_files(folder), params_with(**params))


def study(number: int, view: str = "view1_frontal") -> str:
    return f"patient{number:05d}/study1/{view}.jpg"


@pytest.mark.parametrize(
    ("header", "end"), [(HEADER_2017, ","), (HEADER_2017, ""), (HEADER_2020, ""), (HEADER_2020, ",")]
)
def test_nih_rows_are_read_with_and_without_a_comma_at_the_end(tmp_path, header, end):
    csv = nih_csv(tmp_path, "00000001_000.png,Cardiomegaly|Effusion,0,1,58,M,PA", header=header, end=end)
    touch(tmp_path, "images_001/images/00000001_000.png")
    (row,) = read_nih(csv).table.to_dict("records")
    assert {name: row[name] for name in schema.COLUMNS} == {
        "image_id": "nih/00000001_000",
        "path": "images_001/images/00000001_000.png",
        "patient_id": "nih-1",
        "view": "PA",
        "sex": "M",
        "age": 58,
        "source": "nih",
        "label_source": "nih",
    }
    assert [row[finding] for finding in FINDINGS] == [0, 0, 0, 1, 0, 1]


def test_nih_table_may_be_packed_and_call_the_gender_sex(tmp_path):
    csv = nih_csv(tmp_path, "00000001_000.png,No Finding,0,1,58,F,AP", header=HEADER_2020, end="")
    packed = tmp_path / "Data_Entry_2017_v2020.csv.gz"
    packed.write_bytes(gzip.compress(csv.read_bytes().replace(b"Patient Gender", b"Patient Sex")))
    touch(tmp_path, "00000001_000.png")
    assert read_nih(packed).table["sex"].tolist() == ["F"]


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("58", 58),
        ("058Y", 58),
        ("013M", 1),
        ("012D", 0),
        ("020W", 0),
        ("58.0", 58),
        ("411", None),
        ("", None),
        ("x", None),
    ],
)
def test_nih_ages_are_completed_years_or_not_known(tmp_path, text, years):
    csv = nih_csv(tmp_path, f"00000001_000.png,Edema,0,1,{text},M,PA")
    touch(tmp_path, "00000001_000.png")
    (age,) = read_nih(csv).table["age"]
    assert (None if pd.isna(age) else age) == years


def test_nih_films_are_found_in_archive_folders_in_images_and_flat(tmp_path):
    names = [f"0000000{n}_000.png" for n in (1, 2, 3)]
    csv = nih_csv(tmp_path, *[f"{name},Edema,0,{n},50,M,PA" for n, name in enumerate(names, 1)])
    places = [f"images_002/images/{names[0]}", f"images/{names[1]}", names[2]]
    touch(tmp_path, *places)
    assert read_nih(csv).table["path"].tolist() == places


def test_nih_films_that_are_missing_are_listed_and_counted_but_stop_nothing(tmp_path):
    csv = nih_csv(tmp_path, "00000001_000.png,Edema,0,1,50,M,PA", "00000002_000.png,Edema,0,2,50,M,PA")
    touch(tmp_path, "images/00000002_000.png")
    release = read_nih(csv)
    assert len(release.table) == 2
    assert release.problems.to_dict("records") == [{"path": "00000001_000.png", "problem": "missing"}]
    assert release.missing.to_dict() == {"an unknown folder": 1}
    assert "2 films of 2 patients in the table, 1 on disk" in str(release)


def test_nih_film_that_is_missing_from_the_full_table_is_named_with_its_archive(tmp_path):
    rows = [f"{n:08d}_000.png,No Finding,0,{n},50,M,PA" for n in range(1, nih.NIH_TABLE_ROWS + 1)]
    csv = nih_csv(tmp_path, *rows)
    touch(tmp_path, "00000001_000.png")
    release = read_nih(csv)
    path = release.table["path"]
    assert path[[4_998, 4_999, 14_998, 14_999, 112_119]].tolist() == [
        "images_001/images/00004999_000.png",
        "images_002/images/00005000_000.png",
        "images_002/images/00014999_000.png",
        "images_003/images/00015000_000.png",
        "images_012/images/00112120_000.png",
    ]
    assert release.missing.to_dict() == {
        "images_001": 4_998,
        **{f"images_{n:03d}": 10_000 for n in range(2, 12)},
        "images_012": 7_121,
    }


def test_nih_without_any_film_on_disk_says_where_it_looked_and_for_what(tmp_path):
    csv = nih_csv(tmp_path, "00000001_000.png,Edema,0,1,50,M,PA")
    expected = r"no film of NIH's table .* for example .*/images_001/images/00000001_000.png; 1 other .*Data_Entry"
    with pytest.raises(InputError, match=expected):
        read_nih(csv)


def test_nih_oddities_become_problems_and_not_wrong_labels(tmp_path):
    csv = nih_csv(
        tmp_path,
        "00000001_000.png,Edema|Effsion,0,1,50,M,PA",
        "00000002_000.png,Teapot,0,2,50,M,XX",
        "00000003_000.png,,0,3,50,,PA",
        "00000002_000.png,Edema,0,2,50,M,PA",
        ",Edema,0,2,50,M,PA",
        "../00000004_000.png,Edema,0,4,50,M,PA",
    )
    touch(tmp_path, *[f"0000000{n}_000.png" for n in (1, 2, 3)])
    release = read_nih(csv)
    table = release.table.set_index("patient_id")
    assert dict(zip(release.problems["problem"], release.problems["path"], strict=True)) == {
        "unknown label 'Effsion', perhaps Effusion": "00000001_000.png",
        "unknown label 'Teapot'": "00000002_000.png",
        "no label": "00000003_000.png",
        "stands more than once in the table; the first row is used": "00000002_000.png",
        "row without Image Index or Patient ID": "",
    }
    assert table.loc["nih-1", "Edema"] == 1
    assert pd.isna(table.loc["nih-1", "Effusion"])
    assert table.loc["nih-2", list(FINDINGS)].tolist() == [0] * 6
    assert pd.isna(table.loc["nih-2", "view"])
    assert table.loc["nih-3", list(FINDINGS)].isna().all()
    assert pd.isna(table.loc["nih-3", "sex"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (HEADER_2017 + "\n", "the table has a header and no rows"),
        ("Image Index;Finding Labels\n1;2\n", "separated by semicolons; expected commas"),
        (
            "image_index,Finding Labels\n1,2\n",
            r"no column 'Image Index'. Did you mean image_index\? Found: image_ind",
        ),
        ("a,b\n1,2,3\n1,2,3,4,5\n", "line 2 has one value more than the header has columns"),
    ],
)
def test_a_table_that_is_not_nihs_says_what_is_wrong_and_what_to_do(tmp_path, text, message):
    csv = tmp_path / "Data_Entry_2017.csv"
    csv.write_text(text)
    with pytest.raises(InputError, match=f"Data_Entry_2017.csv: {message}"):
        read_nih(csv)


def test_a_table_that_is_not_there_names_one_that_may_be_meant(tmp_path):
    touch(tmp_path, "Data_Entry_2017.csv.gz")
    with pytest.raises(InputError, match=r"no such table. Did you mean Data_Entry_2017.csv.gz\? Mend DATASET_CSV_DIR"):
        read_nih(tmp_path / "Data_Entry_2017.csv")
    (tmp_path / "a folder").mkdir()
    with pytest.raises(InputError, match="expected a CSV file, found a folder"):
        read_nih(tmp_path / "a folder")


def test_boxes_are_fractions_of_the_film_and_only_of_the_findings_looked_for(tmp_path):
    csv = tmp_path / "BBox_List_2017.csv"
    csv.write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
        "00000001_000.png,Effusion,256,512,128,64\n"
        "00000001_000.png,Infiltrate,256,512,128,64\n"
        "00000001_000.png,Teapot,256,512,128,64\n"
        "00000009_000.png,Edema,256,512,128,64\n"
        "00000001_000.png,Edema,1000,512,128,64\n"
    )
    boxes, problems = nih.read_nih_boxes(csv, pd.Series(["nih/00000001_000"]), FINDINGS)
    assert boxes.to_dict("records") == [
        {"image_id": "nih/00000001_000", "finding": "Effusion", "x": 0.25, "y": 0.5, "width": 0.125, "height": 0.0625}
    ]
    assert problems["problem"].tolist() == [
        "box of an unknown label",
        "box of a film that is not in the table",
        "box without area or outside the film",
    ]


def test_boxes_are_optional():
    boxes, problems = nih.read_nih_boxes(None, pd.Series(["nih/00000001_000"]), FINDINGS)
    assert list(boxes.columns) == ["image_id", "finding", "x", "y", "width", "height"]
    assert len(boxes) == len(problems) == 0


@pytest.mark.parametrize(
    ("prefix", "on_disk", "found"),
    [
        ("CheXpert-v1.0-small/train", "CheXpert-v1.0-small/train", "CheXpert-v1.0-small/train"),
        ("CheXpert-v1.0/train", "CheXpert-v1.0/train", "CheXpert-v1.0/train"),
        ("CheXpert-v1.0-small/train", "train", "train"),
        ("CheXpert-v1.0/train", "archive/CheXpert-v1.0-small/train", "archive/CheXpert-v1.0-small/train"),
        ("CheXpert-v1.0/train", "CheXpert-v1.0 batch 2 (train 1)", "CheXpert-v1.0 batch 2 (train 1)"),
    ],
)
def test_chexpert_films_are_found_whatever_the_first_folder_is_called(tmp_path, prefix, on_disk, found):
    csv = chexpert_csv(tmp_path / "train.csv", [{"Path": f"{prefix}/{study(n)}"} for n in (1, 2)])
    touch(tmp_path, f"{on_disk}/{study(1)}", f"CheXpert-v1.0 batch 1 (validate & csv)/valid/{study(64541)}")
    release = read_chexpert(tmp_path, csv)
    assert release.table["path"].tolist() == [f"{found}/{study(1)}", f"{found}/{study(2)}"]
    assert release.table["image_id"].tolist()[0] == "chexpert/train/patient00001/study1/view1_frontal"
    assert release.missing.to_dict() == {found: 1}


def test_chexpert_batches_hold_different_patients_of_one_table(tmp_path):
    paths = [f"CheXpert-v1.0/train/{study(n)}" for n in (1, 30000, 3)]
    csv = chexpert_csv(tmp_path / "train.csv", [{"Path": path} for path in paths])
    places = [f"CheXpert-v1.0 batch 2 (train 1)/{study(1)}", f"CheXpert-v1.0 batch 3 (train 2)/{study(30000)}"]
    touch(tmp_path, *places)
    assert read_chexpert(tmp_path, csv).table["path"].tolist() == [*places, paths[2]]


def test_chexpert_path_that_leaves_the_raw_folder_is_kept_for_the_merge_to_refuse(tmp_path):
    outside = ["../CheXpert-v1.0-small/train/" + study(2), "/mnt/train/" + study(3)]
    rows = [{"Path": path} for path in ["CheXpert-v1.0-small/train/" + study(1), *outside]]
    csv = chexpert_csv(tmp_path / "train.csv", rows)
    touch(tmp_path, *[f"train/{study(n)}" for n in (1, 2, 3)])
    release = read_chexpert(tmp_path, csv)
    assert release.table["path"].tolist() == [f"train/{study(1)}", *outside]
    assert release.problems.empty


def test_chexpert_views_sexes_and_ages(tmp_path):
    rows = [
        {"Path": "train/" + study(1), "AP/PA": "PA", "Sex": "Female", "Age": 90},
        {"Path": "train/" + study(2), "AP/PA": "LL", "Sex": "Unknown", "Age": 0},
        {"Path": "train/" + study(3), "AP/PA": "RL"},
        {"Path": "train/" + study(4, "view2_lateral"), "AP/PA": None, "Frontal/Lateral": "Lateral"},
    ]
    csv = chexpert_csv(tmp_path / "train.csv", rows)
    touch(tmp_path, *[row["Path"] for row in rows])
    table = read_chexpert(tmp_path, csv).table
    assert table["view"].fillna("").tolist() == ["PA", "", "", "LATERAL"]
    assert table["sex"].fillna("").tolist() == ["F", "", "M", "M"]
    assert table["age"].fillna(-1).tolist() == [90, -1, 60, 60]
    assert table["patient_id"].tolist() == ["chexpert-1", "chexpert-2", "chexpert-3", "chexpert-4"]


def uncertain_films(tmp_path) -> list[Path]:
    """Two report-labelled and two expert-labelled films: positive effusion, then uncertain and blank ones."""
    csvs = []
    for number, folder in enumerate(("train", "valid")):
        rows = [
            {"Path": f"{folder}/{study(10 * number + 1)}", "Pleural Effusion": 1.0, "Edema": -1.0, "Pneumonia": -1.0},
            {"Path": f"{folder}/{study(10 * number + 2)}", "Pleural Effusion": 0.0, "Edema": None, "Pneumonia": None},
        ]
        touch(tmp_path, *[row["Path"] for row in rows])
        csvs.append(chexpert_csv(tmp_path / f"{folder}.csv", rows))
    return csvs


def test_chexpert_uncertain_is_positive_for_edema_and_unknown_otherwise_and_blank_is_negative(tmp_path):
    table = read_chexpert(tmp_path, *uncertain_films(tmp_path)).table.fillna({name: -9 for name in FINDINGS})
    train, valid = table[:2], table[2:]
    assert train["Effusion"].tolist() == [1, 0]
    assert train["Edema"].tolist() == [1, 0]
    assert train["Pneumonia"].tolist() == [-9, 0]
    assert train["Cardiomegaly"].tolist() == [0, 0]
    assert valid["Effusion"].tolist() == [1, 0]
    assert valid["Edema"].tolist() == [-9, -9], "no policy changes what experts left open"


def test_chexpert_policies_are_parameters(tmp_path):
    policies = {"UNCERTAIN_LABELS": {"Pneumonia": "negative"}, "BLANK_LABELS": {"Edema": "ignore"}}
    table = read_chexpert(tmp_path, *uncertain_films(tmp_path), **policies).table[:2]
    assert table["Pneumonia"].tolist() == [0, 0]
    assert table["Edema"].isna().all()


def test_chexpert_raw_values_are_counted_as_they_stand(tmp_path):
    counts = read_chexpert(tmp_path, *uncertain_films(tmp_path)).raw_counts
    assert counts.loc[("train.csv", "Pneumonia")].to_dict() == {"1": 0, "0": 0, "-1": 1, "blank": 1}
    assert counts.loc[("valid.csv", "Effusion")].to_dict() == {"1": 1, "0": 1, "-1": 0, "blank": 0}


def test_chexpert_oddities_become_problems(tmp_path):
    first = {"Path": "train/" + study(1)}
    rows = [first | {"Edema": "2.0"}, {"Path": "elsewhere/" + study(2)}, first]
    csv = chexpert_csv(tmp_path / "train.csv", rows)
    touch(tmp_path, rows[0]["Path"])
    release = read_chexpert(tmp_path, csv)
    assert release.problems["problem"].tolist() == [
        "expected …/train/patient00001/study1/view1_frontal.jpg",
        "label other than 1, 0, -1 or blank: read as not known",
        "stands more than once in the table; the first row is used",
    ]
    assert release.table["Edema"].isna().tolist() == [True]


def test_chexpert_without_its_effusion_column_or_films_is_refused(tmp_path):
    csv = chexpert_csv(tmp_path / "train.csv", [{"Path": "CheXpert-v1.0/train/" + study(1)}])
    with pytest.raises(InputError, match=r"no film of CheXpert's table .* example .*/CheXpert-v1.0/train/patient00001"):
        read_chexpert(tmp_path, csv)
    csv.write_text(csv.read_text().replace("Pleural Effusion", "Pleural_Effusion"))
    with pytest.raises(InputError, match=r"no column 'Pleural Effusion'. Did you mean Pleural_Effusion\?"):
        read_chexpert(tmp_path, csv)


def settings_with(**paths) -> Settings:
    none = dict.fromkeys(
        ("dataset_csv_dir", "dataset_chexpert_train_csv_dir", "dataset_chexpert_val_csv_dir", "own_csv"), Path()
    )
    return Settings().model_copy(update=none | paths)


def test_a_source_is_used_when_the_settings_name_its_table():
    both = settings_with(dataset_csv_dir=Path("a.csv"), dataset_chexpert_train_csv_dir=Path("b.csv"))
    assert [source.name for source in catalogue.in_use(both)] == ["nih", "chexpert"]
    assert list(chexpert.CHEXPERT.tables(both)) == ["DATASET_CHEXPERT_TRAIN_CSV_DIR"]
    assert [source.name for source in catalogue.in_use(settings_with(own_csv=Path("c.csv")))] == ["own"]
    with pytest.raises(InputError, match="no source of films: give DATASET_CSV_DIR"):
        catalogue.in_use(settings_with())


def films(*image_and_patient: tuple[str, str]) -> pd.DataFrame:
    table = pd.DataFrame(image_and_patient, columns=["image_id", "patient_id"])
    ids = table["image_id"]
    return table.assign(source=catalogue.source_of(ids), label_source=catalogue.label_source_of(ids), path=ids + ".png")


def planned(images, settings=None, whole=None, **keys):
    whole = images if whole is None else whole
    tables = {name: whole[whole["source"] == name] for name in set(whole["source"])}
    return catalogue.plan_test(images, tables, settings or settings_with(), params_with(**keys))


def test_a_film_on_nihs_test_list_makes_its_patient_a_test_patient_whatever_the_other_list_says(tmp_path):
    whole = films(("nih/1_000", "nih-1"), ("nih/1_001", "nih-1"), ("nih/2_000", "nih-2"))
    # Lists name files: with HASH_IDS an image_id says nothing of them.
    whole["path"] = "images/" + whole["image_id"].str.removeprefix("nih/") + ".png"
    (tmp_path / "test_list.txt").write_text("1_001.png\r\n")
    (tmp_path / "train_val_list.txt").write_text("1_000.png\n2_000.png")
    settings = settings_with(dataset_csv_dir=tmp_path / "Data_Entry_2017.csv")
    plan = planned(whole[whole["image_id"] != "nih/1_001"], settings, whole)
    assert plan.listed == {"nih-1"}
    assert plan.hashed == set()
    assert plan.problems["path"].tolist() == ["nih-1"]


def test_nih_without_a_test_list_is_drawn():
    plan = planned(films(("nih/1_000", "nih-1")))
    assert (plan.listed, plan.hashed) == (set(), {"nih"})


CHEXPERT_FILMS = (("chexpert/train/patient00001/s", "chexpert-1"), ("chexpert/valid/patient00002/s", "chexpert-2"))


@pytest.mark.parametrize(
    ("chosen", "listed", "hashed"),
    [
        ("valid", {"chexpert-2"}, set()),
        ("hash", set(), {"chexpert-train"}),
        ("both", {"chexpert-2"}, {"chexpert-train"}),
    ],
)
def test_chexperts_test_patients_are_its_experts_films_a_share_or_both(chosen, listed, hashed):
    plan = planned(films(*CHEXPERT_FILMS), CHEXPERT_TEST=chosen)
    assert (plan.listed, plan.hashed) == (listed, hashed)


def test_chexperts_official_test_set_is_always_held_out_and_alone_where_it_is_asked_for():
    images = films(*CHEXPERT_FILMS, ("chexpert/test/patient64741/s", "chexpert-64741"))
    plan = planned(images, CHEXPERT_TEST="official")
    assert (plan.listed, plan.hashed) == ({"chexpert-64741"}, set())
    assert planned(images).listed == {"chexpert-2", "chexpert-64741"}
    with pytest.raises(InputError, match=r'"official", and no film of the official .* DATASET_CHEXPERT_TEST_CSV_DIR'):
        planned(films(*CHEXPERT_FILMS), CHEXPERT_TEST="official")


def test_chexpert_without_valid_films_is_drawn():
    assert planned(films(("chexpert/train/p/s", "chexpert-1"))).hashed == {"chexpert-train"}


def test_split_by_image_ignores_all_lists():
    plan = planned(films(("nih/1_000", "nih-1"), ("chexpert/valid/p/s", "chexpert-2")), SPLIT="image")
    assert (plan.listed, plan.hashed) == (set(), {"nih", "chexpert-valid"})


@pytest.mark.parametrize("column", ["Path", "Study"])
def test_chexperts_official_test_labels_are_read_by_film_and_by_study(tmp_path, column):
    """CheXlocalize ships test_labels.csv (by film) and groundtruth.csv (by study), without sex, age and view."""
    paths = [f"test/{study(64741)}", f"test/{study(64741, 'view2_frontal')}", f"test/{study(64742, 'view3_lateral')}"]
    touch(tmp_path, *(f"CheXpert-v1.0/{path}" for path in paths))
    names = {"Path": [paths[0], paths[1], paths[2]], "Study": ["CheXpert-v1.0/test/patient64741/study1",
             "CheXpert-v1.0/test/patient64742/study1"]}[column]  # fmt: skip
    labels = {name: [1.0] * (len(names) - 1) + [0.0] for name in chexpert.CHEXPERT_LABELS}
    csv = tmp_path / "groundtruth.csv"
    pd.DataFrame({column: names, **labels}).to_csv(csv, index=False)
    on_disk = raw_files.list_files(tmp_path)
    release = chexpert.read_chexpert({chexpert.TEST_KEY: csv}, tmp_path, on_disk, params_with())
    table = release.table.set_index("image_id").sort_index()
    assert table.index.tolist() == [
        "chexpert/test/patient64741/study1/view1_frontal",
        "chexpert/test/patient64741/study1/view2_frontal",
        "chexpert/test/patient64742/study1/view3_lateral",
    ]
    assert table["Edema"].tolist() == [1, 1, 0]
    assert set(table["label_source"]) == {"chexpert-test"}
    assert table["view"].fillna("").tolist() == ["", "", "LATERAL"]


@pytest.mark.parametrize("column", ["Path", "Study"])
@pytest.mark.parametrize("key", chexpert.OTHER_KEYS)
def test_labels_of_the_official_test_set_under_another_key_are_told(tmp_path, column, key):
    names = ["test/patient64741/study1" + "/view1_frontal.jpg" * (column == "Path")]
    labels = {name: [1.0] for name in chexpert.CHEXPERT_LABELS}
    csv = tmp_path / "labels.csv"
    pd.DataFrame({column: names, **labels}).to_csv(csv, index=False)
    with pytest.raises(
        InputError, match=rf"{key} names labels of the official test set.*Give it as {chexpert.TEST_KEY}"
    ):
        chexpert.read_chexpert({key: csv}, tmp_path, pd.Series(names), params_with())


def test_label_files_of_other_labellers_are_read_as_chexperts_train_table(tmp_path):
    """train_visualCheXbert.csv has the columns of train.csv, without -1 and blanks."""
    csv = chexpert_csv(tmp_path / "train_visualCheXbert.csv", [{"Path": "CheXpert-v1.0/train/" + study(1), "Edema": 1}])
    touch(tmp_path, "CheXpert-v1.0/train/" + study(1))
    release = read_chexpert(tmp_path, csv)
    assert release.table[["label_source", "Edema"]].to_numpy().tolist() == [["chexpert-train", 1]]


def test_nihs_sample_of_kaggle_is_read_as_its_table(tmp_path):
    header = (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImageWidth,OriginalImageHeight,OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y"
    )
    csv = tmp_path / "sample_labels.csv"
    csv.write_text(f"{header}\n00000013_005.png,Emphysema|Infiltration,5,13,060Y,M,AP,3056,2544,0.139,0.139\n")
    touch(tmp_path, "sample/images/00000013_005.png")
    table = nih.read_nih(csv, tmp_path, raw_files.list_files(tmp_path), ["Emphysema", "Edema"]).table
    assert table[["age", "view", "Emphysema", "Edema"]].to_numpy().tolist() == [[60, "AP", 1, 0]]


FOURTEEN = [name for name in nih.NIH_LABELS if name != "No Finding"]


def test_a_finding_that_a_source_does_not_label_is_not_known_there(tmp_path):
    csv = nih_csv(tmp_path, "00000001_000.png,Mass|Effusion,0,1,58,M,PA")
    touch(tmp_path, "00000001_000.png")
    asked = ["Mass", "Lung Opacity", "Pleural Effusion"]
    table = nih.read_nih(csv, tmp_path, raw_files.list_files(tmp_path), asked).table
    assert table[asked].fillna(-9).to_numpy().tolist() == [[1, -9, 1]]
    rows = [{"Path": "train/" + study(1), "Lung Opacity": 1.0, "Pleural Effusion": 0.0}]
    train = chexpert_csv(tmp_path / "train.csv", rows)
    touch(tmp_path, "train/" + study(1))
    table = read_chexpert(tmp_path, train, FINDINGS=asked).table
    assert table[asked].fillna(-9).to_numpy().tolist() == [[-9, 1, 0]]


def test_a_table_of_few_labels_is_nobodys_and_a_list_that_is_no_text_is_refused(tmp_path):
    assert not chexpert.CHEXPERT.recognises(["Path", "Edema", "Pneumonia"])
    assert chexpert.CHEXPERT.recognises(["Path", "Frontal/Lateral", "Edema"])
    assert chexpert.CHEXPERT.recognises(["Study", *chexpert.CHEXPERT_LABELS])
    (tmp_path / "test_list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"test_list.txt: line 1 is no text. Download it again, or remove it"):
        catalogue.listed_films([tmp_path / "labels.csv"], pd.Series(["nih/00000001_000"]))


def test_a_finding_that_no_source_labels_is_refused_with_what_there_is():
    settings = settings_with(dataset_csv_dir=Path("a.csv"))
    with pytest.raises(
        InputError, match=r"FINDINGS: no source in use labels Noddule. Did you mean Nodule\? There are NIH"
    ):
        catalogue.check_findings(settings, params_with(FINDINGS=["Noddule"]))
    catalogue.check_findings(settings, params_with(FINDINGS=FOURTEEN))
    with pytest.raises(InputError, match=r"TRAIN_SOURCES: nhi: expected some of nih, chexpert, own. Did you mean nih"):
        catalogue.check_findings(settings, params_with(TRAIN_SOURCES=["nhi"]))
    with pytest.raises(
        InputError,
        match=r"TRAIN_SOURCES: own: SETTINGS.json names no table of it \(OWN_CSV\), only of nih. Name one",
    ):
        catalogue.check_findings(settings, params_with(TRAIN_SOURCES=["nih", "own"]))


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there: NIH's full table is no part of the project")
def test_the_full_nih_table_has_the_published_number_of_each_finding():
    release = nih.read_nih(SHARED / "Data_Entry_2017.csv.gz", SHARED, raw_files.list_files(SHARED), FINDINGS)
    positive = schema.label_array(release.table, FINDINGS) == 1
    assert positive.shape == (112_120, 6)
    assert positive.sum(axis=0).tolist() == [4_667, 5_302, 2_303, 13_317, 1_431, 2_776]
    assert np.count_nonzero(positive.any(axis=1)) == 24_747
    assert "one or more of the 6 findings: 24,747 of 112,120 films" in str(release)
    boxes, problems = nih.read_nih_boxes(SHARED / "BBox_List_2017.csv", release.table["image_id"], FINDINGS)
    assert len(boxes) == 517
    assert problems.empty


# --- mirrors and copies of the releases


NIH_ROWS = ["00000001_000.png,Effusion,0,1,058Y,M,PA", "00000002_000.png,Edema|Effusion,0,2,058Y,M,PA"]
NIH_FILMS = ["images/00000001_000.png", "images/00000002_000.png"]


def as_of_two_films(release: raw_tables.Release) -> None:
    """Whether the table says the same as one of `NIH_ROWS` as NIH ships them."""
    table = release.table
    assert table["image_id"].tolist() == ["nih/00000001_000", "nih/00000002_000"]
    assert table["patient_id"].tolist() == ["nih-1", "nih-2"]
    assert table[["view", "sex", "age"]].to_numpy().tolist() == [["PA", "M", 58]] * 2
    assert table[list(FINDINGS)].to_numpy().tolist() == [[0, 0, 0, 1, 0, 0], [0, 0, 1, 1, 0, 0]]
    assert release.missing.empty
    assert release.problems.empty


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (".png,", ".jpg,"),
        (".png,", ","),
        ("0000000", "images_001/images/0000000"),
        ("0000000", "images_001\\images\\0000000"),
        (",", " , "),
        (",M,PA", ",male,pa"),
        (",M,PA", ",Male,P.A."),
        ("Edema|Effusion", "Edema;Effusion"),
        ("Edema|Effusion", "Edema / Effusion"),
        ("Edema|Effusion", '"edema, EFFUSION"'),
        ("Edema|Effusion", "\"['Edema', 'Effusion']\""),
        ("Edema|Effusion", "Edema|Pleural_Effusion|effusion"),
    ],
)
def test_nihs_table_in_other_hands_is_read_as_nihs(tmp_path, old, new):
    csv = nih_csv(tmp_path, *[row.replace(old, new) for row in NIH_ROWS])
    touch(tmp_path, *NIH_FILMS)
    as_of_two_films(read_nih(csv))


@pytest.mark.parametrize("suffix", [".jpg", ".PNG", ".jpeg", ".dcm"])
def test_mirrors_may_keep_nihs_films_in_another_format(tmp_path, suffix):
    csv = nih_csv(tmp_path, *NIH_ROWS)
    films = [f"224/{Path(film).stem}{suffix}" for film in NIH_FILMS]
    touch(tmp_path, *films, "224/00000001_000.txt")
    release = read_nih(csv)
    as_of_two_films(release)
    assert release.table["path"].tolist() == films


def test_nihs_own_film_comes_before_a_copy_of_it_in_another_format(tmp_path):
    csv = nih_csv(tmp_path, *NIH_ROWS)
    copies = ["224/00000001_000.jpg", "224/00000002_000.JPG", "small/00000002_000.jpeg"]
    touch(tmp_path, "images/00000001_000.png", *copies)
    release = read_nih(csv)
    assert release.table["path"].tolist() == ["images/00000001_000.png", "224/00000002_000.JPG"]
    assert release.problems.to_dict("records") == [
        {"path": "small/00000002_000.jpeg", "problem": "a second file of this name; the first is used"}
    ]


def test_a_list_of_labels_that_is_empty_is_not_known_and_an_unknown_one_among_known_ones_is_told(tmp_path):
    rows = ["00000001_000.png,[],0,1,58,M,PA", "00000002_000.png,Edema;Teapot,0,2,58,M,PA"]
    csv = nih_csv(tmp_path, *rows)
    touch(tmp_path, *NIH_FILMS)
    release = read_nih(csv)
    assert release.table["Edema"].isna().tolist() == [True, False]
    assert release.table["Edema"].tolist()[1] == 1
    assert release.problems["problem"].tolist() == ["unknown label 'Teapot'"]


def test_spaces_do_no_harm_to_boxes(tmp_path):
    csv = tmp_path / "BBox_List_2017.csv"
    csv.write_text("Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000001_000.png , effusion , 256,512 ,128, 64,,,\n")
    boxes, problems = nih.read_nih_boxes(csv, pd.Series(["nih/00000001_000"]), FINDINGS)
    assert boxes.to_numpy().tolist() == [["nih/00000001_000", "Effusion", 0.25, 0.5, 0.125, 0.0625]]
    assert problems.empty


@pytest.mark.parametrize(
    ("on_disk", "old", "new"),
    [
        ("CheXpert-v1.0-512/train/{}.png", "", ""),
        ("CheXpert-v1.0-small/train/{}.JPG", "", ""),
        ("CheXpert-v1.0 batch 2 (train 1)/{}.png", "", ""),
        ("CheXpert-v1.0-small/train/{}.jpg", "/", "\\"),
        ("CheXpert-v1.0-small/train/{}.jpg", "view1_frontal.jpg", "view1_frontal.jpg "),
    ],
)
def test_chexpert_in_other_hands_is_read_as_chexpert(tmp_path, on_disk, old, new):
    names = [study(1).removesuffix(".jpg"), study(2, "view2_lateral").removesuffix(".jpg")]
    rows = [{"Path": f"CheXpert-v1.0-small/train/{name}.jpg".replace(old, new)} for name in names]
    csv = chexpert_csv(tmp_path / "train.csv", rows)
    films = [on_disk.format(name) for name in names]
    touch(tmp_path, *films)
    named = {"DATASET_CHEXPERT_TRAIN_CSV_DIR": csv}
    release = chexpert.read_chexpert(named, tmp_path, chexpert.films_on_disk(named, tmp_path), params_with())
    assert release.table["path"].tolist() == films
    assert release.missing.empty
    assert release.problems.empty


def test_chexperts_codes_may_be_short_in_small_letters_and_true_or_false(tmp_path):
    rows = [
        {"Path": "train/" + study(1), "Sex": "F ", "AP/PA": "ap ", "Frontal/Lateral": "frontal ", "Edema": "True"},
        {"Path": "train/" + study(2), "Sex": "male", "AP/PA": "PA", "Frontal/Lateral": "LATERAL", "Edema": "False"},
    ]
    csv = chexpert_csv(tmp_path / "train.csv", rows)
    touch(tmp_path, *[row["Path"] for row in rows])
    release = read_chexpert(tmp_path, csv)
    assert release.table[["sex", "view", "Edema"]].to_numpy().tolist() == [["F", "AP", 1], ["M", "LATERAL", 0]]
    assert release.problems.empty


def test_nih_films_whose_names_are_in_parts_on_disk_are_found(tmp_path):
    parts = unicodedata.normalize("NFD", "환자1_000.png")
    (tmp_path / parts).touch()
    table = read_nih(nih_csv(tmp_path, "환자1_000.png,Effusion,0,1,50,M,PA")).table
    assert table[["image_id", "path"]].to_numpy().tolist() == [["nih/환자1_000", parts]]
