import json

import numpy as np
import pandas as pd
import pytest

from cxr.core.artifacts import Step, write_csv
from cxr.core.errors import InputError
from cxr.preparation.films import load_films
from tests.conftest import prepare, settings_in, tiny_params


@pytest.fixture
def settings(tmp_path):
    """Four films, one patient each, packed at 32 px."""
    settings = settings_in(tmp_path)
    prepare(settings, tiny_params(), [1, 2, 3, 4], ["train", "train", "val", "test"])
    return settings


def test_films_come_with_split_affine_and_pixels_row_by_row(settings):
    films, pack = load_films(settings, tiny_params(), 32)
    assert films["image_id"].tolist() == [f"nih/0000000{n + 1}_00{n}" for n in range(4)]
    assert films["split"].tolist() == ["train", "train", "val", "test"]
    assert films[["scale_x", "offset_y", "width"]].iloc[0].tolist() == [0.5, 0, 64]
    assert pack.shape == (4, 32, 32)
    assert isinstance(pack, np.memmap)
    assert pack[:, 0, 0].tolist() == [1, 2, 3, 4]


def test_an_unreadable_film_leaves_every_split(settings):
    path = settings.pack(32).with_suffix(".csv")
    packed = pd.read_csv(path)
    packed["problem"] = ["", "", "film.png: is empty (0 bytes)", ""]
    write_csv(packed, path)
    films, _ = load_films(settings, tiny_params(), 32)
    assert films["split"].tolist() == ["train", "train", "unreadable", "test"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"LUNG_MASKING": "hard"},
            r"images_32.npy: made with LUNG_MASKING 'loose', PARAMS.json says 'hard'. Run: sh p",
        ),
        ({"FIT": "squash"}, r"made with FIT 'pad', PARAMS.json says 'squash'"),
        ({"LUNG_MARGIN": 0.1}, r"made with LUNG_MARGIN 0.04, PARAMS.json says 0.1"),
        ({"LUNG_THRESHOLD": 0.4}, r"made with LUNG_THRESHOLD 0.5"),
    ],
)
def test_a_pack_made_with_other_parameters_is_refused(settings, change, message):
    with pytest.raises(InputError, match=message):
        load_films(settings, tiny_params(**change), 32)


def test_parameters_that_do_not_touch_pixels_leave_the_pack_in_use(settings):
    assert len(load_films(settings, tiny_params(EPOCHS=9, SEED=7, FLIP=0.5), 32)[1]) == 4


def test_a_pack_made_from_another_table_is_refused(settings):
    table = settings.images_csv.read_text()
    settings.images_csv.write_text(table.replace(",50,", ",51,"))
    with pytest.raises(InputError, match=r"images_32.npy: made from another images.csv. Run: sh prepare_data.sh"):
        load_films(settings, tiny_params(), 32)


def test_a_pack_of_another_number_of_films_is_refused(settings):
    with open(settings.pack(32), "wb") as file:
        np.save(file, np.zeros((3, 32, 32), np.uint8))
    with pytest.raises(InputError, match=r"images_32.npy: holds \(3, 32, 32\), expected 4 films of 32 px"):
        load_films(settings, tiny_params(), 32)


def test_a_patient_in_two_splits_is_refused(tmp_path):
    settings = settings_in(tmp_path)
    prepare(settings, tiny_params(), [1, 1, 2], ["train", "test", "val"])
    with pytest.raises(InputError, match=r"split.csv: patient nih-1 is in test and train"):
        load_films(settings, tiny_params(), 32)
    assert len(load_films(settings, tiny_params(SPLIT="image"), 32)[0]) == 3


@pytest.mark.parametrize("name", ["images_32.npy", "images_32.json", "images_32.csv", "split.csv", "images.csv"])
def test_what_is_missing_is_named_with_the_command_that_makes_it(settings, name):
    (settings.classification / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: not there yet. Make it with: (sh prepare_data.sh|python src/)"):
        load_films(settings, tiny_params(), 32)


def test_loading_changes_nothing_on_disk(settings, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    load_films(settings, tiny_params(), 32)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert json.loads(settings.pack(32).with_suffix(".json").read_text())["parameters"]["FIT"] == "pad"


def test_a_split_of_another_seed_is_refused(tmp_path):
    settings, params = settings_in(tmp_path), tiny_params()
    prepare(settings, params, [1, 2, 3], ["train", "val", "test"])
    Step(settings.split_csv.with_suffix(".json"), {}, {"SEED": 7}, [settings.split_csv]).finish()
    with pytest.raises(InputError, match=r"split.csv: made with SEED 7, PARAMS.json says 1. Run: sh prepare_data.sh"):
        load_films(settings, params, 32)
