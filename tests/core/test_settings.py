import json
import re
from pathlib import Path

import pytest

from cxr.core.command_line import PROJECT
from cxr.core.configuration import InputError, load_settings
from cxr.core.settings import REPLACED_SETTINGS, Settings
from tests.conftest import settings_in


def load(folder: Path, **content) -> Settings:
    (folder / "SETTINGS.json").write_text(json.dumps(content))
    return load_settings(folder / "SETTINGS.json")


def test_every_key_has_a_default_and_lies_beside_the_file(tmp_path):
    settings = load(tmp_path)
    assert settings.data_dir == tmp_path / "data"
    assert settings.models_dir == tmp_path / "models"
    assert settings.mask_dir == tmp_path / "data/segmentation/dataset/LungSegmentation/masks"
    assert settings.unet == tmp_path / "models/segmentation/Unet/weights/model.keras"


def test_the_project_s_settings_json_is_the_defaults():
    settings = load_settings(PROJECT / "SETTINGS.json")
    expected = {name: PROJECT / value if isinstance(value, Path) else value for name, value in Settings()}
    # "" is no table, not the folder of the file.
    expected |= dict.fromkeys(("dataset_chexpert_test_csv_dir", "own_csv", "chest_films"), Path())
    assert dict(settings) == expected


def test_paths_are_relative_to_the_file_not_to_the_caller(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    load(tmp_path / "here", DATA_DIR="results", MODELS_DIR="../m", DATASET_DIR="/films")
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load_settings(Path("../here/SETTINGS.json"))
    assert settings.data_dir == tmp_path / "here/results"
    assert settings.models_dir.resolve() == tmp_path / "m"
    assert settings.dataset_dir == Path("/films")


@pytest.mark.parametrize("here", [".", "", "./"])
def test_a_folder_of_a_dot_is_that_of_the_file(tmp_path, here):
    assert load(tmp_path, DATA_DIR=here).data_dir == tmp_path


def test_an_empty_table_means_that_there_is_none(tmp_path):
    settings = load(tmp_path, DATASET_CSV_DIR="", DATASET_CHEXPERT_TRAIN_CSV_DIR="")
    assert settings.dataset_csv_dir == Path()
    assert settings.dataset_chexpert_train_csv_dir == Path()
    assert settings.dataset_chexpert_val_csv_dir.is_absolute()


def test_beside_an_own_table_a_release_counts_only_where_the_file_names_it(tmp_path):
    settings = load(tmp_path, OWN_CSV="films.csv", DATASET_CHEXPERT_TRAIN_CSV_DIR="train.csv")
    assert settings.own_csv == tmp_path / "films.csv"
    assert settings.dataset_csv_dir == Path()
    assert settings.dataset_chexpert_train_csv_dir == tmp_path / "train.csv"
    assert load(tmp_path).own_csv == Path()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"OWN_COLUMNS": ["path"]}, r"OWN_COLUMNS: .*found \['path'\]"),
        ({"DATASET_DRI": "x"}, r"SETTINGS.json: unknown key DATASET_DRI. Did you mean DATASET_DIR\?"),
        ({"data_dir": "x"}, r"unknown key data_dir. Did you mean DATA_DIR\?"),
        ({"EPOCHS": 3}, r"unknown key EPOCHS"),
        ({"DATA_DIR": 3}, r"SETTINGS.json: DATA_DIR: must be a path in quotes; found 3"),
        ({"DATA_DIR": None}, r"DATA_DIR: must be a path in quotes; found None"),
        ({"MASK_DIR": ["a"]}, r"MASK_DIR: must be a path in quotes; found \['a'\]"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_what_came(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, **content)


PATH_KEYS = [name.upper() for name, field in Settings.model_fields.items() if field.annotation is Path]


@pytest.mark.parametrize("key", PATH_KEYS)
def test_every_path_may_begin_at_home_or_hold_variables(tmp_path, monkeypatch, key):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("PART", "two")
    written = {
        "~/films": tmp_path / "home/films",
        "~": tmp_path / "home",
        "$HOME/films": tmp_path / "home/films",
        "${SCRATCH}/films": tmp_path / "scratch/films",
        "part_${PART}s/$PART": tmp_path / "part_twos/two",
        "5$/a~b": tmp_path / "5$/a~b",
    }
    for text, path in written.items():
        assert getattr(load(tmp_path, **{key: text}), key.lower()) == path
    assert [path.name for path in tmp_path.iterdir()] == ["SETTINGS.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$NOWHERE/films", '"$NOWHERE/films": the variable NOWHERE is not set. Set it (export NOWHERE=…) or write the'),
        ("a/${NOWHERE}", "the variable NOWHERE is not set"),
        ("$EMPTY/films", "the variable EMPTY is not set"),
        ("~nobody-of-this-name/films", "no home folder of nobody-of-this-name is known. Write the whole path."),
        ("D:\\nih\\images", "a path of Windows. In WSL write /mnt/d/nih/images"),
        ("D:/nih", "a path of Windows. In WSL write /mnt/d/nih"),
        ("c:", "a path of Windows. In WSL write /mnt/c"),
        ("\\\\server\\films", "a share as Windows names it. In WSL mount it (sudo mkdir /mnt/films; sudo mount"),
        ("nih\\images", "holds a backslash. Write nih/images"),
        ("D:\nih", "holds a line end, a tab or the like"),
        ("films ", '"films ": begins or ends with a blank. Remove it.'),
    ],
)
def test_a_path_that_cannot_be_meant_is_refused_with_what_to_write(tmp_path, monkeypatch, text, message):
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load(tmp_path, DATASET_DIR=text)
    assert str(caught.value).startswith(f"{tmp_path / 'SETTINGS.json'}: DATASET_DIR: ")


def test_a_colon_or_a_dollar_alone_are_parts_of_a_name(tmp_path):
    assert load(tmp_path, DATA_DIR="run 12:30 5$").data_dir == tmp_path / "run 12:30 5$"
    assert load(tmp_path, DATA_DIR="c:films").data_dir == tmp_path / "c:films"


def test_backslashes_that_are_no_json_are_told_how_to_write_paths(tmp_path):
    (tmp_path / "SETTINGS.json").write_text(r'{"DATASET_DIR": "D:\nih\images"}')
    with pytest.raises(InputError, match=r"not valid JSON: .* Write paths with /; in WSL D:.films is /mnt/d/films"):
        load_settings(tmp_path / "SETTINGS.json")


def test_the_original_s_settings_load_unchanged_and_say_what_is_replaced(tmp_path, capsys):
    content = {key: f"./old/{key.lower()}" for key in sorted(REPLACED_SETTINGS)} | {"DATASET_DIR": "./films"}
    settings = load(tmp_path, **content)
    assert settings.dataset_dir == tmp_path / "films"
    assert settings.data_dir == tmp_path / "data"
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert f"{len(REPLACED_SETTINGS)} output paths of the original" in shown.err
    assert "DATA_DIR and MODELS_DIR" in " ".join(shown.err.split())
    assert not [value for _, value in settings if "old" in str(value)]


def test_settings_without_old_keys_say_nothing(tmp_path, capsys):
    load(tmp_path)
    assert capsys.readouterr().err == ""


def test_no_key_is_both_in_use_and_replaced():
    assert not {name.upper() for name in Settings.model_fields} & REPLACED_SETTINGS


def test_every_produced_path_lies_below_data_or_models(tmp_path):
    settings = settings_in(tmp_path)
    produced = [getattr(settings, name) for name, value in vars(Settings).items() if isinstance(value, property)] + [
        settings.pack(64),
        settings.family_dir("ensemble"),
        settings.member_dir("ensemble", "tiny"),
    ]
    assert len(produced) >= 12
    assert [path for path in produced if not path.is_relative_to(tmp_path)] == []
    assert settings.pack(64) == tmp_path / "data/classification/images_64.npy"
    assert settings.member_dir("ensemble", "tiny") == tmp_path / "models/classification/ensemble/tiny"
    assert list(tmp_path.iterdir()) == [tmp_path / "SETTINGS.json"]


def test_dots_are_taken_out_of_a_path_unless_a_link_makes_it_another_place(tmp_path):
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep/er")
    (tmp_path / "SETTINGS.json").write_text('{"DATA_DIR": "deep/../out", "MODELS_DIR": "link/../out"}')
    settings = load_settings(tmp_path / "SETTINGS.json")
    assert settings.data_dir == tmp_path / "out"
    assert settings.models_dir == tmp_path / "link/../out"  # which is deep/out
