"""A table of the user's own: which column is what, what its values mean, whose split holds."""

import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.core.command_line import PROJECT
from cxr.core.configuration import load_settings, params_from
from cxr.core.errors import InputError
from cxr.tables.sources import catalogue, own
from cxr.tables.sources.nih import NIH_LABELS, read_nih
from cxr.tables.sources.own import OWN
from cxr.tables.sources.source import read_given_split

SHARED = PROJECT.parent / "shared" / "data" / "nih"
USUAL = {"filename": "a.png", "patient_id": "P1", "view": "PA", "sex": "F", "age": "61", "Effusion": "1", "Edema": "0"}


def params_with(*findings: str, **keys):
    findings = findings or ("Effusion", "Edema")
    return params_from({"FINDINGS": list(findings), "CLASS_NUM": len(findings)} | keys, "PARAMS.json")


def release_of(folder: Path, rows: list[dict], columns=None, films=None, params=None):
    """What is read of a table with these rows (over `USUAL`) and empty files as films."""
    table = pd.DataFrame([USUAL | row for row in rows])
    table = table[[column for column in table if not (table[column] == "-").all()]]
    names = [row.get("filename", USUAL["filename"]) for row in rows] if films is None else films
    for name in filter(None, names):
        (folder / "films" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "films" / name).touch()
    table.to_csv(folder / "own.csv", index=False)
    settings = settings_of(folder, columns)
    return OWN.read(settings, params or params_with(), OWN.on_disk(settings))


def settings_of(folder: Path, columns=None):
    keys = pd.Series({"OWN_CSV": "own.csv", "OWN_DATASET_DIR": "films", "OWN_COLUMNS": columns or {}})
    keys.to_json(folder / "SETTINGS.json")
    return load_settings(folder / "SETTINGS.json")


def numbered(*rows: dict) -> list[dict]:
    return [{"filename": f"{number}.png", "patient_id": f"P{number}"} | row for number, row in enumerate(rows)]


def test_columns_are_guessed_by_their_usual_names_and_the_guess_is_told(tmp_path):
    release = release_of(tmp_path, [{}])
    film = release.table.iloc[0]
    assert film["image_id"] == "own/a"
    assert film[["path", "patient_id", "view", "sex"]].tolist() == ["a.png", "own-P1", "PA", "F"]
    assert film[["age", "source", "label_source", "Effusion", "Edema"]].tolist() == [61, "own", "own", 1, 0]
    assert "patient: column 'patient_id' (guessed)" in release.notes
    assert release.split is None


def test_columns_are_named_where_nobody_could_guess_them(tmp_path):
    rows = numbered({"Erguss": "ja", "who": "K7"}, {"Erguss": "nein", "who": "K8"})
    columns = {"path": "filename", "patient": "who", "Effusion": "Erguss"}
    with pytest.raises(InputError, match=r"own.csv: line 2, column 'Erguss': expected 1, 0, -1 .*found 'ja' \(2 such"):
        release_of(tmp_path, rows, columns)
    release = release_of(tmp_path, [row | {"Erguss": value} for row, value in zip(rows, "10", strict=True)], columns)
    assert release.table["patient_id"].tolist() == ["own-K7", "own-K8"]
    assert release.table["Effusion"].tolist() == [1, 0]
    assert "Effusion: column 'Erguss'" in release.notes


@pytest.mark.parametrize(
    ("value", "label"),
    [("1", 1), ("0", 0), ("1.0", 1), ("True", 1), ("false", 0), ("YES", 1), ("n", 0), ("", None), ("-1", None)],
)
def test_values_are_numbers_or_words_and_blank_is_not_known(tmp_path, value, label):
    found = release_of(tmp_path, numbered({"Effusion": value}, {})).table["Effusion"].iloc[0]
    assert pd.isna(found) if label is None else found == label


def test_policies_say_what_uncertain_and_blank_count_as(tmp_path):
    params = params_with(UNCERTAIN_LABELS={"Effusion": "positive"}, BLANK_LABELS={"Edema": "negative"})
    table = release_of(tmp_path, numbered({"Effusion": "-1", "Edema": ""}), params=params).table
    assert table[["Effusion", "Edema"]].iloc[0].tolist() == [1, 0]


def test_a_finding_without_a_column_is_not_known_and_one_in_other_words_is_the_same(tmp_path):
    rows = numbered({"Effusion": "-", "Edema": "-", "pleural effusion": "1"})
    table = release_of(tmp_path, rows, params=params_with("Effusion", "Hernia")).table
    assert table["Effusion"].tolist() == [1]
    assert table["Hernia"].isna().all()


def test_a_column_may_list_the_findings_of_a_film(tmp_path):
    rows = numbered({"labels": "Effusion|Mass"}, {"labels": "No Finding"}, {"labels": ""}, {"labels": "mass; edema"})
    rows = [row | {"Effusion": "-", "Edema": "-"} for row in rows]
    params = params_with("Effusion", "Mass", "Edema", "Hernia")
    table = release_of(tmp_path, rows, {"labels": "labels"}, params=params).table
    assert table["Effusion"].tolist() == [1, 0, pd.NA, 0]
    assert table["Mass"].tolist() == [1, 0, pd.NA, 1]
    assert table["Edema"].tolist() == [0, 0, pd.NA, 1]
    assert table["Hernia"].isna().all()  # no list of this table ever holds it: that is no "no"


def test_films_are_found_below_other_folders_and_by_other_suffixes(tmp_path):
    films = ["2024/a.dcm", "deep/er/b.png", "c.tif"]
    rows = numbered({"filename": "a"}, {"filename": "b.png"}, {"filename": "c.jpg"})
    release = release_of(tmp_path, rows, films=films)
    assert release.table["path"].tolist() == ["2024/a.dcm", "deep/er/b.png", "c.tif"]


def test_films_that_are_not_there_are_listed_and_none_at_all_is_refused(tmp_path):
    release = release_of(tmp_path, numbered({}, {}), films=["0.png"])
    assert release.problems[["path", "problem"]].to_numpy().tolist() == [["1.png", "missing"]]
    (tmp_path / "films/0.png").rename(tmp_path / "films/x.png")
    with pytest.raises(InputError, match=r"OWN_CSV|own"):
        OWN.read(settings_of(tmp_path), params_with(), OWN.on_disk(settings_of(tmp_path)))


def test_a_film_without_a_patient_is_one_of_its_own_and_that_is_a_warning(tmp_path):
    release = release_of(tmp_path, numbered({"patient_id": "-"}, {"patient_id": "-"}))
    assert release.table["patient_id"].tolist() == ["own-0", "own-1"]
    assert any(note.startswith("WARNING: no patient is known of 2 films") for note in release.notes)


def test_a_view_that_nobody_says_is_none(tmp_path):
    table = release_of(tmp_path, numbered({"view": "-"}, {"view": "-"})).table
    assert table["view"].isna().all()
    table = release_of(tmp_path, numbered({"view": "lateral"}, {"view": "a.p."}, {"view": ""})).table
    assert table["view"].fillna("?").tolist() == ["LATERAL", "AP", "?"]


def test_its_own_split_is_obeyed_in_any_words(tmp_path):
    rows = numbered({"split": "Training"}, {"split": "valid"}, {"split": "test"}, {"split": "", "patient_id": "P2"})
    release = release_of(tmp_path, rows)
    assert release.split.to_numpy().tolist() == [
        ["own/0", "train"], ["own/1", "val"], ["own/2", "test"], ["own/3", "test"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"split": "train", "patient_id": "P9"}, {"split": "test", "patient_id": "P9"}],
            "patient P9 is in test and train",
        ),
        (
            [{"split": "train"}, {"split": "holdout"}],
            r"line 3: split: expected train, val, test or nothing; found 'holdout'",
        ),
        ([{"filename": "0.png"}, {"filename": "0.png"}], r"0.png stands in several rows \(1 row too many\)"),
        ([{"Effusion": "2"}], r"line 2, column 'Effusion': expected 1, 0, -1 .*; found '2'"),
        ([{"filename": ""}], r"no row names a film"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        release_of(tmp_path, numbered(*rows), films=["0.png", "1.png"])


def test_several_rows_a_film_are_joined_by_majority_where_that_is_asked_for(tmp_path):
    readers = [("1", "0"), ("1", ""), ("0", "1")]
    rows = [{"filename": "0.png", "Effusion": effusion, "Edema": edema} for effusion, edema in readers]
    release = release_of(tmp_path, rows, {"rows": "majority"})
    table = release.table
    assert "1 label with as many yes as no: not known" in release.notes
    assert len(table) == 1
    assert table["Effusion"].tolist() == [1]
    assert table["Edema"].isna().tolist() == [True]  # one yes, one no
    with pytest.raises(InputError, match=r"OWN_COLUMNS: rows: expected \"majority\", found 'mean'"):
        release_of(tmp_path, rows, {"rows": "mean"})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": "Datei"}, r"own.csv: no column 'Datei'"),
        ("mimic-cxr", r"OWN_COLUMNS: mimic-cxr: expected mimic-cxr-jpg, .*Did you mean mimic-cxr-jpg\?"),
    ],
)
def test_columns_that_are_not_there_are_named(tmp_path, columns, message):
    with pytest.raises(InputError, match=message):
        release_of(tmp_path, [{}], columns)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ({}, {"pacient": "patient_id"}, r"OWN_COLUMNS: pacient: expected path, patient, .*Did you mean patient\?"),
        ({}, {"row": "majority"}, r"OWN_COLUMNS: row: .*Did you mean rows\?"),
        (
            {"edema": "1"},
            {},
            r"the columns 'Edema', 'edema' all mean Edema. Say which: \"Edema\": \"Edema\" in OWN_COL",
        ),
        (
            {"Edema.1": "1"},
            {},
            r"the columns 'Edema', 'Edema.1' all mean Edema. Say which",
        ),  # the header names it twice
        ({"Edema_right": "1"}, {}, r"the columns 'Edema', 'Edema_right' all mean Edema. Say which"),
        ({"Effusion": "", "Edema": ""}, {}, r"own.csv: it holds no known label of Effusion, Edema"),
    ],
)
def test_what_would_be_lost_without_a_word_is_refused(tmp_path, rows, columns, message):
    with pytest.raises(InputError, match=message):
        release_of(tmp_path, [rows], columns)


def test_columns_that_look_like_a_finding_and_are_not_used_are_named(tmp_path):
    release = release_of(tmp_path, [{"Edema_prob": "0.3", "Effusion_pred_label": "1", "Edema_report": "0"}])
    assert release.table[["Effusion", "Edema"]].to_numpy().tolist() == [[1, 0]]
    notes = "\n".join(release.notes)
    assert (
        "not used: 'Edema_prob': only a finding's bare name is its label, or a column that OWN_COLUMNS names" in notes
    )
    assert "not used: 'Effusion_pred_label': a decision of the model by its name" in notes
    assert "not used: 'Edema_report': 'report' in the name is not understood" in notes
    chosen = release_of(tmp_path, [{"Edema_report": "1"}], {"Edema": "Edema_report"})
    assert chosen.table["Edema"].tolist() == [1]
    assert not any("'Edema_report': '" in note for note in chosen.notes)


def test_words_that_are_not_understood_are_counted(tmp_path):
    notes = release_of(tmp_path, numbered({"sex": "weiblich"}, {"view": "seitlich"}, {})).notes
    assert "sex: not understood: 1 value, such as 'weiblich'" in notes
    assert "view: not understood: 1 value, such as 'seitlich'" in notes


def test_a_folder_that_is_not_there_is_named_with_its_key(tmp_path):
    release_of(tmp_path, [{}])
    (tmp_path / "films/a.png").unlink()
    (tmp_path / "films").rmdir()
    with pytest.raises(InputError, match=r"films: no such folder. OWN_DATASET_DIR in SETTINGS.json must name"):
        OWN.on_disk(settings_of(tmp_path))


def test_a_table_without_a_film_column_says_what_it_has(tmp_path):
    with pytest.raises(InputError, match=r"no column names the film; found patient_id, view.*\"OWN_COLUMNS\""):
        release_of(tmp_path, [{"filename": "-"}], films=["a.png"])


def test_its_test_films_are_set_aside_and_without_any_a_share_is_drawn(tmp_path):
    rows = numbered({"split": "train"}, {"split": "test"}, {"split": "val"})
    release = release_of(tmp_path, rows)
    settings, images = settings_of(tmp_path), release.table
    rule = own.own_test_rule(settings, params_with(), images, images)
    assert rule.hashed == {"own"}  # the step that writes the split has not run
    path = catalogue.given_split_csv(settings, "own")
    path.parent.mkdir(parents=True)
    release.split.to_csv(path, index=False)
    assert own.own_test_rule(settings, params_with(), images, images).listed == {"own-P1"}
    given = catalogue.given_splits(settings, images)
    assert given.to_dict() == {"own/0": "train", "own/2": "val"}


def test_a_given_split_that_is_gone_is_written_again_and_a_broken_one_is_refused(tmp_path):
    release_of(tmp_path, numbered({"split": "train"}, {"split": "test"}))
    settings = settings_of(tmp_path)
    path = catalogue.given_split_csv(settings, "own")
    path.parent.mkdir(parents=True)
    assert "its own split is obeyed: train 1, test 1 films" in catalogue.make_table(OWN, settings, params_with(), False)
    assert catalogue.make_table(OWN, settings, params_with(), False) == [f"{settings.source_csv('own')}: up to date"]
    path.unlink()
    catalogue.make_table(OWN, settings, params_with(), False)
    assert read_given_split(settings, "own")["split"].tolist() == ["train", "test"]
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"own_split\.csv"):
        read_given_split(settings, "own")


def test_lines_are_those_of_the_file_also_behind_rows_without_a_film(tmp_path):
    rows = numbered({"split": "train"}, {"filename": ""}, {"split": "holdout"})
    with pytest.raises(InputError, match=r"line 4: split: expected train, val, test or nothing; found 'holdout'"):
        release_of(tmp_path, rows, films=["0.png", "2.png"])


def test_two_films_of_one_name_in_two_folders_keep_apart(tmp_path):
    table = release_of(tmp_path, numbered({"filename": "x/1.png"}, {"filename": "y/1.png"})).table
    assert table["image_id"].tolist() == ["own/x/1", "own/y/1"]
    assert table["image_id"].is_unique


def test_age_and_sex_are_what_people_write(tmp_path):
    rows = numbered({"age": "061Y", "sex": "male"}, {"age": "", "sex": "unknown"}, {"age": "411", "sex": "W"})
    table = release_of(tmp_path, rows).table
    assert table["age"].tolist() == [61, pd.NA, pd.NA]
    assert table["sex"].fillna("").tolist() == ["M", "", ""]
    assert not np.issubdtype(type(table["age"].iloc[0]), np.floating)


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there: NIH's full table is no part of the project")
def test_nihs_full_table_read_as_anybodys_gives_the_labels_of_its_own_reader(tmp_path):
    csv, films = SHARED / "Data_Entry_2017.csv.gz", pd.Series(["00000001_000.png"])
    params = params_with(*[label for label in NIH_LABELS if label != "No Finding"])
    theirs = read_nih(csv, tmp_path, films, params.findings).table
    ours = own.read_own(
        own.open_table(csv, {"labels": "Finding Labels"}, params.findings), csv, tmp_path, films, params
    )
    same = [*params.findings, "view", "sex", "age"]
    assert len(theirs) == 112_120
    pd.testing.assert_frame_equal(ours.table[same], theirs[same])
    assert (ours.table["patient_id"].str.removeprefix("own") == theirs["patient_id"].str.removeprefix("nih")).all()


def test_korean_names_in_parts_on_disk_or_in_the_table_are_the_same_films(tmp_path):
    names = ["가/흉부.png", "나/흉부.png", "흉수.png"]  # two of one name: the folder tells
    parts = [unicodedata.normalize("NFD", name) for name in names]
    rows = [{"filename": name, "patient_id": name, "Effusion": str(n % 2)} for n, name in enumerate(names)]
    for folder, table, disk in (("mac", names, parts), ("linux", parts, names)):
        (tmp_path / folder).mkdir()
        written = [row | {"filename": name} for row, name in zip(rows, table, strict=True)]
        release = release_of(tmp_path / folder, written, films=disk)
        assert release.table.set_index("path")["Effusion"].to_dict() == dict(zip(disk, (0, 1, 0), strict=True))


def test_a_patient_written_in_parts_is_the_same_patient(tmp_path):
    rows = numbered({"patient_id": "김"}, {"patient_id": unicodedata.normalize("NFD", "김")})
    assert release_of(tmp_path, rows).table["patient_id"].nunique() == 1


# --- what spreadsheets and other machines do to a table


def test_patients_that_differ_in_leading_zeros_alone_are_one_person(tmp_path):
    patients = ["007", "7", "08", "A01", "A1"]
    release = release_of(tmp_path, numbered(*[{"patient_id": patient} for patient in patients]))
    assert release.table["patient_id"].tolist() == ["own-7", "own-7", "own-8", "own-A01", "own-A1"]
    assert "patient: 1 ids differ from others in leading zeros alone: taken for the same patients" in release.notes


def test_patients_keep_their_zeros_where_nothing_speaks_against_them(tmp_path):
    release = release_of(tmp_path, numbered({"patient_id": "007"}, {"patient_id": "070"}))
    assert release.table["patient_id"].tolist() == ["own-007", "own-070"]


@pytest.mark.parametrize("spoilt", ["1.23457E+11", "1E+12", "9,1E+12", "#REF!", "#NAME?", "#DIV/0!"])
def test_a_patient_that_a_spreadsheet_has_spoilt_is_refused(tmp_path, spoilt):
    rows = numbered({}, {"patient_id": spoilt}, {"patient_id": spoilt})
    with pytest.raises(InputError, match=r"own.csv: line 3: patient: a spreadsheet .* \(2 such lines\).*as text"):
        release_of(tmp_path, rows)


@pytest.mark.parametrize("whole", ["219E01BE", "12E5", "#1", "E+12"])
def test_an_id_that_only_looks_like_a_spoilt_one_is_kept(tmp_path, whole):
    assert release_of(tmp_path, numbered({"patient_id": whole})).table["patient_id"].tolist() == [f"own-{whole}"]


@pytest.mark.parametrize(
    ("named", "on_disk"),
    [
        ("IMG_1.png", "x/img_1.PNG"),
        ("1.png", "00001.png"),
        ("1", "00001.png"),
        ("x\\y\\1.png", "y/1.jpg"),
        ("흉부.png", unicodedata.normalize("NFD", "흉부.png")),  # a Mac takes letters apart
    ],
)
def test_films_are_found_whatever_case_zeros_folders_and_letters_were_made_of_their_names(tmp_path, named, on_disk):
    release = release_of(tmp_path, [{"filename": named}], films=[on_disk])
    assert release.table["path"].tolist() == [on_disk]
    assert release.missing.empty


def test_of_two_files_that_a_name_may_mean_the_other_is_told_and_names_that_are_there_ask_nothing(tmp_path):
    rows = numbered({"filename": "a/1.png"}, {"filename": "b/1.png"}, {"filename": "2.png"})
    release = release_of(tmp_path, rows, films=["a/1.png", "b/1.png", "c/2.jpg", "d/2.jpeg"])
    assert release.table["path"].tolist() == ["a/1.png", "b/1.png", "c/2.jpg"]
    assert release.problems.to_dict("records") == [
        {"path": "d/2.jpeg", "problem": "another file of a film's name; the first is used"}
    ]


def test_films_that_have_no_finding_and_one_are_told(tmp_path):
    rows = numbered({"no_finding": "1"}, {"no_finding": "1", "Effusion": "0"}, {"no_finding": "0"})
    release = release_of(tmp_path, rows)
    assert "WARNING: 'no_finding' and a finding too: 1 film; the finding counts" in release.notes
    assert release.table["Effusion"].tolist() == [1, 0, 1]
