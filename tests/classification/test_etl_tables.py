"""Steps 0, 1, 2, 3 and 6 on a raw folder with NIH's and CheXpert's files as they come."""

import json
from pathlib import Path

import pandas as pd
import pytest

from cxr.core import configuration
from cxr.core.command_line import PROJECT
from cxr.core.configuration import InputError
from cxr.core.findings import FINDINGS
from cxr.preparation.films import load_films
from tests.conftest import load_script

ETL = "src/classification/etl/"
NIH, CHEXPERT = "0_nih_table.py", "1_chexpert_table.py"
MERGE, HOLD_OUT, SPLIT = "2_merge_tables.py", "3_hold_out_test.py", "6_split_train_val.py"
STEPS = (NIH, CHEXPERT, MERGE, HOLD_OUT, SPLIT)
SHARED = PROJECT.parent / "shared" / "data" / "nih"
LABELS = ("No Finding", "Effusion|Infiltration", "Consolidation|Pneumonia", "Cardiomegaly|Edema", "Pneumothorax|Mass")


def write_nih(raw: Path, patients: int = 60) -> None:
    """Two films a patient; every tenth patient is on the official test list; the last film is not on disk."""
    (raw / "images_001/images").mkdir(parents=True)
    rows = [
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,Orig[W,H],O[x,y],"
    ]
    listed = {"test": [], "train_val": []}
    for patient in range(1, patients + 1):
        for film in range(2):
            name = f"{patient:08d}_{film:03d}.png"
            label = LABELS[(patient + film) % len(LABELS)]
            rows.append(f"{name},{label},{film},{patient},058Y,M,{'PA' if film else 'AP'},1,1,1,1,")
            (raw / "images_001/images" / name).touch()
            listed["train_val" if patient % 10 else "test"].append(name)
    (raw / "images_001/images" / name).unlink()
    (raw / "Data_Entry_2017.csv").write_text("\n".join(rows))
    for which, names in listed.items():
        (raw / f"{which}_list.txt").write_text("\n".join(names))
    (raw / "BBox_List_2017.csv").write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000001_000.png,Effusion,512,256,128,64\n"
    )


def write_chexpert(raw: Path, patients: int = 60) -> None:
    """A frontal and a lateral film a patient; the last ten patients are in valid.csv."""
    spelling = [name.replace("Effusion", "Pleural Effusion") for name in FINDINGS]
    rows = {"train": [], "valid": []}
    for patient in range(1, patients + 1):
        folder = "valid" if patient > patients - 10 else "train"
        values = [1.0, 0.0] if folder == "valid" else [1.0, 0.0, -1.0, None]
        for view in ("view1_frontal", "view2_lateral"):
            path = f"CheXpert-v1.0-small/{folder}/patient{patient:05d}/study1/{view}.jpg"
            (raw / path).parent.mkdir(parents=True, exist_ok=True)
            (raw / path).touch()
            labels = {name: values[(patient + n) % len(values)] for n, name in enumerate(spelling)}
            side = (
                {"Frontal/Lateral": "Frontal", "AP/PA": "AP"} if "frontal" in view else {"Frontal/Lateral": "Lateral"}
            )
            rows[folder].append({"Path": path, "Sex": "Female", "Age": 70} | side | labels)
    for folder, films in rows.items():
        pd.DataFrame(films).to_csv(raw / "CheXpert-v1.0-small" / f"{folder}.csv", index=False)


class Project:
    """A folder with raw data and both JSON files, on which steps can be run."""

    def __init__(self, folder: Path):
        self.folder, self.raw = folder, folder / "raw"
        self.made = folder / "data/classification"
        self.settings = {
            "DATASET_DIR": "raw",
            "DATASET_CSV_DIR": "raw/Data_Entry_2017.csv",
            "DATASET_CHEXPERT_TRAIN_CSV_DIR": "raw/CheXpert-v1.0-small/train.csv",
            "DATASET_CHEXPERT_VAL_CSV_DIR": "raw/CheXpert-v1.0-small/valid.csv",
        }
        write_nih(self.raw)
        write_chexpert(self.raw)

    def run(self, *steps: str, **params) -> None:
        for name, content in (("SETTINGS", self.settings), ("PARAMS", params)):
            (self.folder / f"{name}.json").write_text(json.dumps(content))
        for step in steps:
            arguments = [f"--{name.lower()}={self.folder / name}.json" for name in ("SETTINGS", "PARAMS")]
            load_script(ETL + step).main(arguments)

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.made / f"{name}.csv")

    def of_split(self, split: str) -> set[str]:
        table = self.table("split")
        return set(table.loc[table["split"] == split, "image_id"])


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


def test_all_steps_make_tables_of_both_sources_that_agree(project, capsys):
    project.run(*STEPS)
    images = project.table("images")
    assert images["source"].value_counts().to_dict() == {"nih": 119, "chexpert": 60}
    assert images["image_id"].is_monotonic_increasing
    assert project.table("split")["image_id"].tolist() == images["image_id"].tolist()
    official = {f"nih-{n}" for n in range(10, 61, 10)} | {f"chexpert-{n}" for n in range(51, 61)}
    assert set(project.table("test_patients")["patient_id"]) == official
    assert project.of_split("test") == set(images.loc[images["patient_id"].isin(official), "image_id"])
    assert project.table("nih_problems").values.tolist() == [["00000060_001.png", "missing"]]
    assert project.table("boxes").values.tolist() == [["nih/00000001_000", "Effusion", 0.5, 0.25, 0.125, 0.0625]]
    printed = capsys.readouterr().out
    assert "120 films of 60 patients in the table, 119 on disk" in printed
    assert "left out, view not in VIEWS (PA, AP): 60 films" in printed
    assert "NIH: official test_list.txt\nCheXpert: valid.csv, labelled by experts" in printed


def test_running_again_does_nothing_and_running_anew_gives_the_same_bytes(project, capsys):
    project.run(*STEPS)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in project.made.iterdir()}
    capsys.readouterr()
    project.run(*STEPS)
    assert capsys.readouterr().out.count("up to date") == 5
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in project.made.iterdir()} == before
    for path in project.made.iterdir():
        path.unlink()
    project.run(*STEPS)
    csvs = {name: content for name, (content, _) in before.items() if name.endswith(".csv")}
    assert {name: (project.made / name).read_bytes() for name in csvs} == csvs


def test_a_film_that_comes_later_is_taken_up_by_every_step(project):
    project.run(*STEPS)
    (project.raw / "images_001/images/00000060_001.png").touch()
    project.run(*STEPS)
    assert "nih/00000060_001" in project.of_split("test")
    assert project.table("nih_problems").empty


def test_a_new_seed_runs_only_the_last_step(project, capsys):
    project.run(*STEPS)
    before = project.of_split("val"), project.of_split("test")
    capsys.readouterr()
    project.run(*STEPS, SEED=2)
    assert capsys.readouterr().out.count("up to date") == 4
    assert project.of_split("val") != before[0]
    assert project.of_split("test") == before[1]


def test_a_source_that_is_switched_off_is_not_merged_though_its_table_lies_there(project, capsys):
    project.run(*STEPS)
    project.settings["DATASET_CSV_DIR"] = ""
    project.run(*STEPS)
    assert 'NIH is not used: DATASET_CSV_DIR is ""' in capsys.readouterr().out
    assert (project.made / "nih.csv").exists()
    assert set(project.table("images")["source"]) == {"chexpert"}
    project.settings.update(
        DATASET_CSV_DIR="raw/Data_Entry_2017.csv", DATASET_CHEXPERT_TRAIN_CSV_DIR="", DATASET_CHEXPERT_VAL_CSV_DIR=""
    )
    project.run(*STEPS)
    assert "CheXpert is not used" in capsys.readouterr().out
    assert set(project.table("images")["source"]) == {"nih"}


def test_chexpert_is_drawn_where_it_has_no_valid_csv(project, capsys):
    project.settings["DATASET_CHEXPERT_VAL_CSV_DIR"] = ""
    project.run(*STEPS, TEST_FRACTION=0.5)
    assert "labelled from reports, for no film of valid.csv is on disk" in capsys.readouterr().out
    drawn = [name for name in project.of_split("test") if name.startswith("chexpert/train/")]
    assert 10 < len(drawn) < 40


def test_nih_without_lists_is_drawn(project, capsys):
    (project.raw / "test_list.txt").unlink()
    project.run(*STEPS, TEST_FRACTION=0.5)
    assert "NIH: a share TEST_FRACTION of the patients" in capsys.readouterr().out
    assert 30 < len([name for name in project.of_split("test") if name.startswith("nih/")]) < 90


def test_a_patient_on_both_official_lists_is_tested_and_reported(project, capsys):
    with open(project.raw / "test_list.txt", "a") as file:
        file.write("\n00000001_000.png")
    project.run(*STEPS)
    assert "WARNING: in both lists: 1 patient" in capsys.readouterr().out
    assert project.table("test_patients_problems")["path"].tolist() == ["nih-1"]
    assert {"nih/00000001_000", "nih/00000001_001"} <= project.of_split("test")


def test_splitting_by_image_warns_loudly_that_patients_leak(project, capsys):
    project.run(*STEPS, SPLIT="image", TEST_FRACTION=0.3)
    printed = capsys.readouterr().out
    assert 'WARNING: SPLIT is "image": patients leak.' in printed
    assert "test films are of patients who are also in training" in printed
    assert list(project.table("test_patients")) == ["image_id"]
    with pytest.raises(InputError, match='SPLIT is "patient": expected the column patient_id; found image_id'):
        project.run(SPLIT)


def test_training_on_one_hospital_leaves_the_other_for_the_test(project, capsys):
    project.run(*STEPS)
    tested = project.of_split("test")
    project.run(*STEPS, TRAIN_SOURCES=["nih"])
    assert "TRAIN_SOURCES: nih: 50 films of chexpert are not used" in capsys.readouterr().out
    assert project.of_split("test") == tested
    assert {name.split("/")[0] for name in project.of_split("train") | project.of_split("val")} == {"nih"}
    assert {name.split("/")[1] for name in project.of_split("unused")} == {"train"}
    capsys.readouterr()
    project.run(SPLIT, TRAIN_SOURCES=["nih"])
    assert "up to date" in capsys.readouterr().out
    project.run(SPLIT)
    assert project.of_split("unused") == set()


@pytest.mark.parametrize(("key", "value"), [("TEST_FRACTION", 0.4), ("CHEXPERT_TEST", "hash")])
def test_another_rule_of_the_test_is_refused_until_the_patients_are_set_aside_anew(project, key, value):
    project.run(*STEPS)
    settings = configuration.load_settings(project.folder / "SETTINGS.json")
    with pytest.raises(InputError, match=rf"test_patients.csv: made with {key} .*, PARAMS.json says .*Run: sh prepare"):
        load_films(settings, configuration.params_from({key: value}, "PARAMS.json"), 32)
    project.run(HOLD_OUT, **{key: value})
    if key == "CHEXPERT_TEST":  # other patients now, and a split of those before
        with pytest.raises(InputError, match=r"split.csv: made from another test_patients.csv. Run: sh prepare_data"):
            load_films(settings, configuration.params_from({key: value}, "PARAMS.json"), 32)


def test_a_finding_without_a_positive_film_is_warned_of(project, capsys):
    project.settings.update(DATASET_CHEXPERT_TRAIN_CSV_DIR="", DATASET_CHEXPERT_VAL_CSV_DIR="")
    table = project.raw / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("Cardiomegaly|Edema", "Cardiomegaly"))
    project.run(*STEPS)
    assert "WARNING: no film with Edema in val" in capsys.readouterr().out


def test_where_only_test_films_are_on_disk_one_line_says_that_nothing_can_be_trained(project, capsys):
    project.settings |= {"DATASET_CHEXPERT_TRAIN_CSV_DIR": "", "DATASET_CHEXPERT_VAL_CSV_DIR": ""}
    listed = (project.raw / "test_list.txt").read_text().split()
    for film in (project.raw / "images_001/images").iterdir():
        if film.name not in listed:
            film.unlink()
    project.run(NIH, MERGE, HOLD_OUT, SPLIT)
    warned = [line for line in capsys.readouterr().out.splitlines() if "WARNING" in line]
    assert warned[0].startswith(
        "WARNING: nothing can be trained: 0 films for training and 0 for validation (11 for the "
    )
    assert warned[1:3] == ["WARNING: no film in train", "WARNING: no film in val"]
    assert not [line for line in warned if line.endswith((" in train", " in val")) and "film with" in line]


def test_a_step_that_is_run_too_early_names_what_comes_before_it(project):
    whole = "sh prepare_data.sh"
    for step, before in ((MERGE, f"python {ETL}{NIH}"), (HOLD_OUT, whole), (SPLIT, whole)):
        with pytest.raises(InputError, match=f"not there yet. Make it with: {before}"):
            project.run(step)


@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there: real films are no part of the project")
def test_the_real_films_fall_to_the_official_lists(tmp_path):
    project = Project(tmp_path)
    project.settings = {
        "DATASET_DIR": str(SHARED),
        "DATASET_CSV_DIR": str(SHARED / "Data_Entry_2017.csv.gz"),
        "DATASET_CHEXPERT_TRAIN_CSV_DIR": "",
        "DATASET_CHEXPERT_VAL_CSV_DIR": "",
    }
    project.run(*STEPS)
    official = set((SHARED / "train_val_list.txt").read_text().split())
    assert len(project.table("images")) == 534
    assert len(project.of_split("test")) == 70
    rest = project.of_split("train") | project.of_split("val")
    assert len(rest) == 464
    assert {f"{name.removeprefix('nih/')}.png" for name in rest} <= official
