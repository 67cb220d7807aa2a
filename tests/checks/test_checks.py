"""check_data.sh and prepare_data.sh --dry-run on a few films: what they tell, and that the one writes nothing."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest

from cxr.core.configuration import load_params, load_settings
from cxr.core.errors import InputError, MachineError
from cxr.core.findings import FINDINGS
from cxr.imaging.decoding import write_image
from cxr.tables import preparation_plan, raw_files
from cxr.tables.download_check import beside_published, titles
from cxr.tables.schema import COLUMNS
from cxr.tables.sources import nih, nih_archives
from tests.conftest import PROJECT, TINY, load_script, settings_in

SHARED = PROJECT.parent / "shared/data/nih"
GRAYS = np.add.outer(np.arange(64), 2 * np.arange(64)).astype(np.uint8)
MASK = np.zeros((64, 64), np.uint8)
MASK[10:50, 8:28] = MASK[10:50, 36:56] = 255
HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"


@pytest.fixture
def folder(tmp_path):
    """Eight NIH films, of which one is broken and one is not on disk; four lung films, of which one has no mask."""
    settings = settings_in(tmp_path)
    (tmp_path / "PARAMS.json").write_text(json.dumps(TINY))
    rows = [f"{n:08d}_000.png,{'Effusion' if n % 2 else 'Covid'},0,{n},50,M,PA" for n in range(9)]
    for n in range(8):
        write_image(GRAYS // 2 + n, settings.dataset_dir / f"{n:08d}_000.png")
    (settings.dataset_dir / "00000003_000.png").write_text("<html>404</html>")
    settings.dataset_csv_dir.write_text("\n".join([HEADER, *rows]))
    (settings.dataset_dir / "test_list.txt").write_text("00000001_000.png\n")
    for n in range(4):
        write_image(GRAYS, settings.dataset_dir_segmentation / f"MCUCXR_000{n}_0.png")
    for n in range(3):
        write_image(MASK[: 64 - 20 * (n == 2)], settings.mask_dir / f"MCUCXR_000{n}_0.png")
    return tmp_path


def arguments(folder):
    return [f"--{name.lower()}={folder / name}.json" for name in ("SETTINGS", "PARAMS")]


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_download_is_told_beside_what_was_published_and_its_broken_files_are_listed(folder, capsys):
    for name in ("raw/images_001.tar.gz", "raw/new.png", "lungs/masks/old.zip"):
        (folder / name).write_bytes(b"PK")
    load_script("src/checks/check_data.py").main(arguments(folder))
    told = capsys.readouterr().out
    assert "on disk, but in no table: 1 film, such as new.png" in told
    assert "not taken: 1 .tar.gz (unpack it with gunzip), 1 .txt" in told
    assert "not taken: 1 .zip (unpack it)" in told
    assert "films in the table: 9, DIFFERS from the 112,120 published" in told
    assert "films on disk: 8" in told
    assert "test_list.txt: 1, DIFFERS from the 25,596 published" in told
    assert "train_val_list.txt: not there" in told
    assert "montgomery: 3, DIFFERS from the 138 published" in told
    problems = pd.read_csv(folder / "data/check/problems.csv").set_index("path")["problem"]
    assert "is a web page" in problems[str(folder / "raw/00000003_000.png")]
    assert problems["00000000_000.png"] == "unknown label 'Covid'"
    assert problems[str(folder / "lungs/CXR_png/MCUCXR_0003_0.png")] == "no mask of this name"
    assert "does not fit its film" in problems[str(folder / "lungs/CXR_png/MCUCXR_0002_0.png")]
    assert f"problems: {len(problems)} ->" in told
    assert (folder / "data/check/nih.png").stat().st_size > 1000
    assert (folder / "data/check/lungs.png").stat().st_size > 1000
    assert (folder / "data/check/lungs_doubtful.png").stat().st_size > 1000
    assert not (folder / "data/check/nih_doubtful.png").exists()  # no masks there


def test_what_is_known_of_the_films_on_disk_is_told_beside_the_whole_table(folder, capsys):
    """Films 1, 3, 5, 7 of 9 have Effusion; film 8 is not on disk."""
    rows = [
        "00000000_000.png,No Finding,0,0,20,F,AP",
        *(f"{n:08d}_000.png,{'Effusion' if n % 2 else 'No Finding'},0,{n},{50 + n},M,PA" for n in range(1, 8)),
        "00000008_000.png,Effusion|Edema,0,8,90,F,AP",
    ]
    (folder / "raw/Data_Entry_2017.csv").write_text("\n".join([HEADER, *rows]))
    boxes = ["00000001_000.png,Effusion,1,2,30,40,,,", "00000008_000.png,Effusion,1,2,30,40,,,"]
    (folder / "raw/BBox_List_2017.csv").write_text("\n".join(["Image Index,Finding Label,Bbox [x,y,w,h],,,", *boxes]))
    load_script("src/checks/check_data.py").main(arguments(folder))
    told = capsys.readouterr().out
    assert "on disk, beside the whole table: 8 of 9 films" in told
    assert "Effusion: 4 of 5 positive, 0 here not known" in told
    assert "Edema: 0 of 1 positive, 0 here not known" in told
    assert "boxes: 1 of 2: Effusion 1" in told
    assert "views: PA 7, AP 1; in the table PA 7, AP 2" in told
    assert "sexes: M 7, F 1; in the table M 7, F 2" in told
    assert "ages: 20 to 57, half of them up to 54, 0 not known; in the table 20 to 90" in told  # 53.5, to the even


def test_a_picture_s_title_says_what_is_known_of_its_film():
    films = pd.DataFrame({name: ["x"] * 3 for name in COLUMNS}).assign(
        sex=["F", None, "M"], view=["AP", "PA", None], Edema=[1, 0, None], Effusion=[1, 1, 0]
    )
    films = films.astype({"Edema": "Int8", "Effusion": "Int8"})
    assert titles(films) == ["Edema, Effusion F AP", "Effusion PA", "none M"]


def test_the_flags_of_new_films_are_told_of_a_download_and_exclude_nothing(folder, capsys):
    load_script("src/checks/check_data.py").main(arguments(folder))
    told = capsys.readouterr().out
    flags = pd.read_csv(folder / "data/check/flags.csv")
    nih = flags[flags["set"] == "nih"]
    assert "flag low resolution: 7 of 8 films read" in told  # 64 pixels; the eighth is broken
    small = nih[nih["flag"] == "low_resolution"]
    assert set(small["reason"]) == {"64 pixels, expected 200 or more"}
    assert small["film"].tolist()[:2] == ["nih/00000000_000", "nih/00000001_000"]
    assert small["path"].iloc[0] == str(folder / "raw/00000000_000.png")
    assert f"films with a flag: {flags['path'].nunique()} -> " in told
    assert (folder / "data/check/nih_flagged.png").stat().st_size > 1000
    assert not pd.read_csv(folder / "data/check/problems.csv")["problem"].str.contains("pixels, expected").any()


def test_a_list_of_boxes_of_which_none_can_be_used_is_not_called_missing(folder, capsys):
    script = load_script("src/checks/check_data.py")
    script.main(arguments(folder))
    assert "BBox_List_2017.csv: not there" in capsys.readouterr().out
    header = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    (folder / "raw/BBox_List_2017.csv").write_text(f"{header}\n00000099_000.png,Effusion,1,2,3,4,,,\n")
    script.main(arguments(folder))
    told = capsys.readouterr().out
    assert "BBox_List_2017.csv: no box is usable" in told
    assert "BBox_List_2017.csv: not there" not in told
    assert "box of a film that is not in the table" in set(pd.read_csv(folder / "data/check/problems.csv")["problem"])


def test_strict_makes_a_check_fail_and_a_sample_reads_fewer_films(folder, capsys):
    script = load_script("src/checks/check_data.py")
    with pytest.raises(InputError, match=r"--strict: \d+ problems, listed in .*problems.csv"):
        script.main([*arguments(folder), "--strict"])
    script.main([*arguments(folder), "--sample", "2"])  # the first and the last: both are whole
    assert "unreadable or unfit: 0" in capsys.readouterr().out.split("nih:")[-1].split("lungs:")[0]


def test_films_and_masks_that_are_swapped_are_one_problem_however_many_they_are(folder, capsys):
    keys = json.loads((folder / "SETTINGS.json").read_text())
    films, masks = keys["DATASET_DIR_SEGMENTATION"], keys["MASK_DIR"]
    for n in range(3):
        write_image(GRAYS // (n + 1), folder / films / f"MCUCXR_000{n}_0.png")
        write_image(MASK, folder / masks / f"MCUCXR_000{n}_0.png")
    (folder / "SETTINGS.json").write_text(json.dumps(keys | {"DATASET_DIR_SEGMENTATION": masks, "MASK_DIR": films}))
    load_script("src/checks/check_data.py").main(arguments(folder))
    said = "its grays are …; expected two, black and white lungs. Its film is a mask: swapped?"
    assert f"problem: {said}: 3\n" in capsys.readouterr().out


def test_a_set_that_is_not_there_does_not_hide_the_others(folder, capsys):
    (folder / "raw/Data_Entry_2017.csv").unlink()
    with pytest.raises(InputError, match="1 of the data sets could not be looked at: see PROBLEM above"):
        load_script("src/checks/check_data.py").main(arguments(folder))
    told = capsys.readouterr().out
    assert "PROBLEM: " in told
    assert "no such table" in told
    assert "montgomery: 3" in told


def test_a_set_that_is_not_there_is_told_with_the_settings_file_that_is_read(folder, capsys):
    own = folder / "s4.json"
    own.write_text(json.dumps(json.loads((folder / "SETTINGS.json").read_text()) | {"DATASET_DIR": "nowhere"}))
    with pytest.raises(InputError, match="1 of the data sets"):
        load_script("src/checks/check_data.py").main([f"--settings={own}", arguments(folder)[1]])
    told = capsys.readouterr().out
    assert f"DATASET_DIR in {own} must name" in told
    listed = pd.read_csv(folder / "data/check/problems.csv").iloc[0]
    assert listed["path"] == str(own)
    assert f"DATASET_DIR in {own} must name" in listed["problem"]
    assert "SETTINGS.json" not in told + listed["problem"]


@pytest.mark.parametrize(("label", "positives"), [("1.0", 2), ("0.0", 0)])
def test_chexperts_tables_are_told_beside_what_was_published(tmp_path, capsys, label, positives):
    findings = [name.replace("Effusion", "Pleural Effusion") for name in FINDINGS]
    rows = ["Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(findings)]
    for patient in (1, 2, 3):
        path = f"CheXpert-v1.0-small/train/patient{patient:05d}/study1/view1_frontal.jpg"
        rows.append(f"{path},Male,60,Frontal,AP," + ",".join([label if patient < 3 else "-1.0"] * len(findings)))
        if patient < 3:
            write_image(GRAYS, tmp_path / "raw" / path)
    (tmp_path / "raw/train.csv").write_text("\n".join(rows))
    keys = {"DATASET_DIR": "raw", "DATASET_CSV_DIR": "", "DATASET_CHEXPERT_VAL_CSV_DIR": ""}
    (tmp_path / "SETTINGS.json").write_text(json.dumps(keys | {"DATASET_CHEXPERT_TRAIN_CSV_DIR": "raw/train.csv"}))
    (tmp_path / "PARAMS.json").write_text(json.dumps(TINY | {"LUNG_MASKING": "none"}))
    load_script("src/checks/check_data.py").main(arguments(tmp_path))
    told = capsys.readouterr().out
    assert "films in train.csv: 3, DIFFERS from the 223,414 published\n    of them not on disk: 1" in told
    assert f"Edema in train.csv: {positives}, DIFFERS from the 52,246 published" in told
    assert "unreadable or unfit: 0" in told


def test_what_the_first_two_archives_hold_is_counted_from_the_table():
    """Two films a patient, every third patient with an effusion, every tenth film for the test."""
    numbers = pd.Series(range(nih_archives.NIH_TABLE_ROWS))
    columns = {name: "" for name in COLUMNS} | {"path": "images/" + numbers.astype(str) + ".png"}
    table = pd.DataFrame(columns | {"patient_id": numbers // 2, "Effusion": (numbers % 6 < 2).astype(int)})
    assert nih_archives.to_begin(table, {f"{number}.png" for number in range(0, 112_120, 10)}) == [
        "to begin, images_001 and images_002 will do: about 6 of 45 GB, 14,999 films of 7,500 patients, 1,500 of them "
        "test films",
        "  Effusion: 4,500 films of 2,500 patients to learn from, 500 films of 500 patients to test on",
    ]
    assert nih_archives.to_begin(table, set())[1] == "  Effusion: 5,000 films of 2,500 patients to learn from"


@pytest.mark.skipif(not SHARED.is_dir(), reason="NIH's table is not beside the project, in ../shared/data/nih")
def test_the_page_of_data_says_what_the_first_two_archives_of_the_real_table_hold():
    table = nih.read_nih(SHARED / "Data_Entry_2017.csv.gz", SHARED, raw_files.list_files(SHARED), FINDINGS).table
    told = nih_archives.to_begin(table, set(nih.read_list(SHARED / "test_list.txt")))
    page = (PROJECT / "docs/data.md").read_text()
    assert [line for line in told if line not in page] == []


def test_an_archive_that_is_missing_is_named(tmp_path):
    rows = nih_archives.NIH_TABLE_ROWS
    paths = pd.DataFrame({"path": [f"{n}.png" for n in range(rows)]})
    assert nih_archives.told(paths, paths["path"]) == ["all twelve archives are whole"]
    lines = nih_archives.told(paths, paths["path"][[*range(4_999), *range(15_000, rows)]])
    assert lines == [
        "images_002.tar.gz: MISSING, none of its 10,000 films is on disk",
        "images_003.tar.gz: 1 of its 10,000 films are missing",
    ]
    assert beside_published("Edema", 2_303, 2_303) == "Edema: 2,303, as published"


def test_a_dry_run_tells_films_disk_and_time_and_writes_nothing(folder):
    (folder / "PARAMS.json").write_text(json.dumps(TINY | {"VAL_FRACTION": 0.5}))
    before = snapshot(folder)
    command = ["sh", PROJECT / "prepare_data.sh", "--dry-run", "--settings", "SETTINGS.json", "--params", "PARAMS.json"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "NIH: 8 of the 9 films of its table are on disk"
    assert lines[1] == "films to prepare: 8 (left out: not on disk: 1)"
    assert lines[2].startswith("of them for train ")
    assert lines[3] == "U-Net: to be trained on 3 lung films with masks (1 file without a partner), 1 epoch"
    assert lines[4].startswith(
        "disk: films at 32 px 0.00 GB, lung masks 0.00 GB, lung films and masks 0.00 GB; together"
    )
    assert lines[5].startswith("time, an estimate for all from the beginning (Keras ")
    assert lines[6].startswith("  prepare_data.sh: reading films on 1 process 0 s, training the U-Net ")
    assert lines[7].startswith("  train_Ensemble.sh: up to tiny ")
    assert lines[8].startswith("  evaluate_ and visualization_Ensemble.sh: tiny ")
    assert lines[9].startswith("  train_Efficientnet.sh: up to efficientnetb0 ")
    assert lines[-1] == "nothing was written"
    assert snapshot(folder) == before


def test_the_disk_that_a_plan_needs_is_films_times_size_squared(folder, monkeypatch):
    sizes = {"DENSENET_INPUT_SIZE": 64, "EFFICIENTNET_INPUT_SIZE": 32, "UNET_INPUT_SIZE": 48}
    (folder / "PARAMS.json").write_text(json.dumps(TINY | sizes))
    settings, params = load_settings(folder / "SETTINGS.json"), load_params(folder / "PARAMS.json")
    assert preparation_plan.make(settings, params).bytes_needed == 8 * (64**2 + 32**2 + 48**2) + 3 * 3 * 48**2
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"free": 100})())
    with pytest.raises(MachineError, match=r"data: needs 0.0 GB, 0.0 are free. Free some, change DATA_DIR, or choose"):
        load_script("src/checks/plan_preparation.py").main(arguments(folder))


def test_a_dry_run_counts_the_films_of_each_split_without_writing_it(folder):
    """Film 1 is on the official test list; VAL_FRACTION 1 puts the others into val."""
    (folder / "PARAMS.json").write_text(json.dumps(TINY | {"VAL_FRACTION": 1.0}))
    planned = preparation_plan.make(load_settings(folder / "SETTINGS.json"), load_params(folder / "PARAMS.json"))
    expected = {"train": 0, "val": 7, "test": 1, "masked": 8, "lung_train": 2, "lung_val": 0}
    assert planned.films == expected
    assert "of them for train 0, val 7, test 1" in planned.lines
    assert any(line.startswith("WARNING: nothing can be trained: 0 films for training and 7") for line in planned.lines)


def test_a_dry_run_tells_of_weights_that_are_not_there(folder):
    (folder / "PARAMS.json").write_text(json.dumps(TINY | {"WEIGHTS": {"tiny": "none", "efficientnetb0": "my.h5"}}))
    settings, params = load_settings(folder / "SETTINGS.json"), load_params(folder / "PARAMS.json")
    with pytest.raises(InputError, match=r"WEIGHTS of efficientnetb0: .*my.h5: no such file"):
        preparation_plan.make(settings, params)
    (folder / "my.h5").touch()
    preparation_plan.make(settings, params)


@pytest.mark.parametrize("key", ["DATA_DIR", "MODELS_DIR"])
def test_a_dry_run_tells_of_a_folder_that_cannot_be_written(folder, monkeypatch, key):
    (folder / "results").mkdir()
    keys = json.loads((folder / "SETTINGS.json").read_text()) | {key: "results/mine"}
    (folder / "SETTINGS.json").write_text(json.dumps(keys))
    settings, params = load_settings(folder / "SETTINGS.json"), load_params(folder / "PARAMS.json")
    preparation_plan.make(settings, params)
    # Whoever runs the tests as root may write anywhere.
    monkeypatch.setattr("os.access", lambda place, mode: place != folder / "results")
    with pytest.raises(MachineError, match=f"{key}: {folder}/results: cannot be written. Make it writable, or change"):
        preparation_plan.make(settings, params)
    (folder / "results").rmdir()
    (folder / "results").touch()
    with pytest.raises(InputError, match=f"{key}: {folder}/results: expected a folder to write into; there is a file"):
        preparation_plan.make(settings, params)
