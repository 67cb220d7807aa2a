import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.core.artifacts import write_csv
from cxr.core.configuration import InputError, params_from
from cxr.core.findings import FINDINGS
from cxr.core.parameters import TableParams
from cxr.tables import merging, raw_files, schema, splitting
from cxr.tables.sources import catalogue


def table_params(**keys) -> TableParams:
    return params_from(keys, "PARAMS.json").tables


def films(*rows: dict) -> pd.DataFrame:
    """Films of one patient each, healthy men of 50, PA, but for what a row says."""
    usual = {"view": "PA", "sex": "M", "age": 50, "source": "nih", "label_source": "nih"} | dict.fromkeys(FINDINGS, 0)
    table = pd.DataFrame(
        [
            {"image_id": f"nih/{n}", "path": f"{n}.png", "patient_id": f"nih-{n}"} | usual | row
            for n, row in enumerate(rows)
        ]
    )
    return schema.typed(table, FINDINGS)


def write(table: pd.DataFrame, folder):
    write_csv(table, folder / "images.csv")
    return folder / "images.csv"


def test_a_table_comes_back_as_it_was_written(tmp_path):
    written = films({"age": None, "view": None, "sex": None, "Edema": None}, {"Edema": 1})
    path = write(written, tmp_path)
    assert path.read_text().splitlines()[1:] == [
        "nih/0,0.png,nih-0,,,,nih,nih,0,0,,0,0,0",
        "nih/1,1.png,nih-1,PA,M,50,nih,nih,0,0,1,0,0,0",
    ]
    pd.testing.assert_frame_equal(schema.read_images(path, FINDINGS), written)


def test_labels_are_float32_with_nan_where_not_known():
    labels = schema.label_array(films({"Consolidation": 1, "Edema": None}), FINDINGS)
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, [[1, 0, np.nan, 0, 0, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Edema": 2}, r"row 3, Edema: expected 1, 0 or nothing; found 2"),
        ({"age": "old"}, r"column age: expected whole numbers or nothing; Unable to parse string 'old'"),
        ({"Edema": 0.5}, r"column Edema: expected whole numbers or nothing; cannot safely cast"),
        ({"view": "OBLIQUE"}, r"view: expected PA, AP, LATERAL or nothing; found OBLIQUE"),
        ({"image_id": "nih/0"}, r"nih/0 stands more than once"),
        ({"patient_id": None}, r"row 3 has no patient_id"),
        ({"image_id": "a"}, r"not sorted by image_id"),
    ],
)
def test_a_table_that_is_not_as_the_step_wrote_it_is_refused_with_the_command_that_mends_it(tmp_path, change, message):
    table = films({}, {}).astype(object)
    for column, value in change.items():
        table.loc[1, column] = value
    path = write(table, tmp_path)
    with pytest.raises(InputError, match=rf"images.csv: {message}.* with: sh prepare_data.sh"):
        schema.read_images(path, FINDINGS)


def test_a_table_with_other_columns_or_none_at_all_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"not there yet. Make it with: sh prepare_data.sh"):
        schema.read_images(tmp_path / "images.csv", FINDINGS)
    path = write(films({}).drop(columns="Edema"), tmp_path)
    with pytest.raises(InputError, match=r"expected the columns image_id, path.*found image_id, path"):
        schema.read_images(path, FINDINGS)


def test_files_are_listed_sorted_through_links_without_hidden_and_skipped_ones(tmp_path):
    for name in ("b/2.png", "a/1.png", ".hidden", "train/patient1/study1/x.jpg", "elsewhere/3.png"):
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / name).touch()
    os.rename(tmp_path / "raw/elsewhere", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", tmp_path / "raw/link")
    os.symlink(tmp_path / "raw", tmp_path / "raw/a/round")
    listed = raw_files.list_files(tmp_path / "raw", studies=False)
    assert listed.tolist() == ["a/1.png", "b/2.png", "link/3.png"]
    assert len(raw_files.list_files(tmp_path / "raw")) == 4
    with pytest.raises(InputError, match=r"nowhere: no such folder. DATASET_DIR in SETTINGS.json"):
        raw_files.list_files(tmp_path / "nowhere")


def test_films_below_folders_of_other_releases_names_are_listed_for_what_they_hold(tmp_path):
    names = ["chexpert_and_nih/patient files/1.png", "patients/2.png", "patient0001/3.png", "images_of_2019/4.jpg"]
    for name in (*names, "train/patient00001/study1/view1_frontal.jpg", "train/patient00002/study1/x.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert raw_files.list_files(tmp_path, studies=False).tolist() == sorted(names)
    assert len(raw_files.list_files(tmp_path)) == 6


def test_where_a_source_says_who_is_val_none_of_its_other_films_is_drawn():
    images = films(*({"patient_id": f"nih-{n}"} for n in range(200)))
    held_out = pd.DataFrame({"patient_id": []}, dtype=str)
    given = pd.Series({images["image_id"][0]: "val", images["image_id"][1]: "train"})
    drawn = splitting.split_images(images, held_out, 1, table_params(VAL_FRACTION=0.5))["split"]
    told = splitting.split_images(images, held_out, 1, table_params(VAL_FRACTION=0.5), given)["split"]
    assert (drawn == "val").sum() > 50
    assert told.tolist() == ["val"] + ["train"] * 199


def test_merging_sorts_and_keeps_what_is_on_disk_and_wanted_and_counts_the_rest():
    nih = films({"view": "AP"}, {"view": None}, {"view": "LATERAL"}, {}, {"path": "../4.png"}, {"path": "/5.png"})
    chexpert = films({"image_id": "chexpert/0", "path": "c.jpg"}, {"image_id": "nih/0", "path": "again.png"})
    on_disk = pd.Series(["0.png", "1.png", "2.png", "c.jpg", "again.png", "../4.png", "/5.png"])
    merged = merging.merge(
        {"nih": nih, "chexpert": chexpert}, dict.fromkeys(("nih", "chexpert"), on_disk), TableParams()
    )
    assert merged.images["image_id"].tolist() == ["chexpert/0", "nih/0"]
    assert merged.left_out == {
        "twice in a table": 1,
        "outside the raw folder": 2,
        "not on disk": 1,
        "view not known": 1,
        "view not in VIEWS (PA, AP)": 1,
    }
    assert merged.problems.values.tolist() == [
        ["again.png", "stands more than once in the table; the first row is used"],
        ["../4.png", "outside the raw folder"],
        ["/5.png", "outside the raw folder"],
    ]


def test_healthy_films_are_kept_unless_only_abnormal_ones_are_asked_for():
    table = films({}, {"Edema": 1}, {"Edema": None})
    on_disk = {"nih": table["path"]}
    assert len(merging.merge({"nih": table}, on_disk, TableParams()).images) == 3
    merged = merging.merge({"nih": table}, on_disk, table_params(ABNORMAL_ONLY=True))
    assert merged.images["image_id"].tolist() == ["nih/1"]


def test_films_of_unknown_view_are_frontal_where_their_source_tells_no_view_at_all():
    told = films({"view": "PA"}, {"view": None})
    untold = films({"image_id": "own/0", "view": None}, {"image_id": "own/1", "view": "LATERAL"})
    untold[["source", "label_source"]] = "own"
    tables = {"nih": told, "own": untold}
    merged = merging.merge(tables, {name: table["path"] for name, table in tables.items()}, TableParams())
    assert merged.images["image_id"].tolist() == ["nih/0", "own/0"]


def test_merging_to_nothing_says_why():
    with pytest.raises(InputError, match=r"no film is left of 1 \(view not in VIEWS \(AP\): 1\). Widen VIEWS"):
        merging.merge({"nih": films({})}, {"nih": pd.Series(["0.png"])}, table_params(VIEWS=["AP"]))


@pytest.mark.parametrize("path", ["/a.png", "../a.png", "a/../../b.png", "a/..", "C:/a.png", r"..\a.png", r"\\host\a"])
def test_paths_that_leave_the_raw_folder_are_known(path):
    assert raw_files.leaves_raw_folder(pd.Series([path, "a..b/c.png", "CheXpert-v1.0-small/a.jpg"])).tolist() == [
        True,
        False,
        False,
    ]


def test_the_hash_is_the_same_for_ever_even_and_independent_between_draws():
    ids = [f"nih-{n}" for n in range(10_000)]
    test, val = splitting.hash_fraction("test", ids), splitting.hash_fraction("val-1", ids)
    # The first 53 of the bits a50ea625ed258659, BLAKE2b of "test:nih-0": another number would move patients.
    assert test[0] == (0xA50EA625ED258659 >> 11) / 2**53
    assert test.min() >= 0
    assert test.max() < 1
    assert abs(test.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(test, val)[0, 1]) < 0.03
    np.testing.assert_array_equal(splitting.hash_fraction("test", ids[::-1])[::-1], test)
    np.testing.assert_array_equal(splitting.hash_fraction("test", ["nih-7", "nih-7"]), test[[7, 7]])


def test_whose_labels_a_film_has_is_read_from_its_id():
    ids = ["nih/00000001_000", "chexpert/valid/patient1/study1/view1_frontal", "chexpert/train/patient2/study1/view1"]
    assert catalogue.label_source_of(ids).tolist() == ["nih", "chexpert-valid", "chexpert-train"]


def many(patients: int, films_each: int = 2) -> pd.DataFrame:
    rows = [
        {"image_id": f"nih/{patient:04d}_{film}", "patient_id": f"nih-{patient}"}
        for patient in range(patients)
        for film in range(films_each)
    ]
    return films(*rows)


def test_a_share_of_the_patients_is_held_out_beside_those_of_the_lists():
    images = many(1000)
    held_out = splitting.hold_out(images, {"nih-3"}, {"nih"}, table_params(TEST_FRACTION=0.2))
    assert list(held_out.columns) == ["patient_id"]
    assert 160 <= len(held_out) <= 240
    assert "nih-3" in set(held_out["patient_id"])
    assert splitting.hold_out(images, {"nih-3"}, set(), TableParams())["patient_id"].tolist() == ["nih-3"]


def test_more_films_move_no_patient_and_another_seed_no_test_patient():
    params = TableParams()
    images = many(400)
    held_out = splitting.hold_out(images, set(), {"nih"}, params)
    split = splitting.split_images(images, held_out, 1, params).set_index("image_id")["split"]
    fewer = images.iloc[100:].reset_index(drop=True)
    fewer_split = splitting.split_images(fewer, splitting.hold_out(fewer, set(), {"nih"}, params), 1, params)
    assert fewer_split["split"].tolist() == split.iloc[100:].tolist()
    other = splitting.split_images(images, held_out, 2, params).set_index("image_id")["split"]
    assert ((other == "test") == (split == "test")).all()
    assert (other != split).any()


def test_a_split_by_patient_passes_its_own_check_and_has_the_shares_asked_for():
    params = table_params(TEST_FRACTION=0.25, VAL_FRACTION=0.2)
    images = many(1000)
    table = splitting.split_images(images, splitting.hold_out(images, set(), {"nih"}, params), 1, params)
    shares = splitting.check_split(images, table).value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.25, abs=0.04)
    assert shares["val"] == pytest.approx(0.75 * 0.2, abs=0.04)
    assert splitting.shared_with_training(images, table["split"]) == 0


def test_a_split_by_image_leaks_patients_and_says_how_many_films():
    params = table_params(SPLIT="image")
    images = many(300, films_each=4)
    held_out = splitting.hold_out(images, {"nih-3"}, {"nih"}, params)
    assert list(held_out.columns) == ["image_id"]
    table = splitting.split_images(images, held_out, 1, params)
    split = splitting.check_split(images, table, by="image")
    assert splitting.shared_with_training(images, split) > 0.9 * (split == "test").sum()
    with pytest.raises(InputError, match=r"patient nih-\d+ is in test and train.*results would look too good"):
        splitting.check_split(images, table)


def test_films_of_a_source_that_is_not_trained_on_are_tested_on_or_unused():
    images = many(200)
    images["source"] = np.where(np.arange(len(images)) < 200, "nih", "chexpert")
    params = table_params(TRAIN_SOURCES=["nih"], TEST_FRACTION=0.3, VAL_FRACTION=0.3)
    held_out = splitting.hold_out(images, set(), {"nih"}, params)
    split = splitting.check_split(images, splitting.split_images(images, held_out, 1, params))
    both = splitting.split_images(images, held_out, 1, table_params(TEST_FRACTION=0.3, VAL_FRACTION=0.3))["split"]
    assert set(split[:200]) == {"train", "val", "test"}
    assert set(split[200:]) == {"test", splitting.UNUSED}
    assert split[:200].tolist() == both[:200].tolist()
    assert (split == "test").tolist() == (both == "test").tolist()


def test_a_split_that_a_source_gives_is_obeyed_whatever_the_seed():
    images = many(100)
    held_out = splitting.hold_out(images, {"nih-3"}, set(), TableParams())
    given = pd.Series({"nih/0001_0": "val", "nih/0001_1": "val", "nih/0002_0": "train", "nih/0002_1": "train"})
    for seed in range(5):
        split = splitting.split_images(images, held_out, seed, TableParams(), given).set_index("image_id")["split"]
        assert split[given.index].tolist() == given.tolist()
        assert (split == "val").sum() == 2


def test_training_on_a_source_without_films_is_refused():
    params = table_params(TRAIN_SOURCES=["chexpert"])
    with pytest.raises(InputError, match=r"TRAIN_SOURCES: chexpert: no such film; the films are of nih\."):
        splitting.split_images(many(3), pd.DataFrame({"patient_id": []}, dtype=str), 1, params)


def test_a_split_of_other_films_or_with_an_unknown_name_is_refused():
    images = films({}, {})
    split = pd.DataFrame({"image_id": images["image_id"], "split": ["train", "dev"]})
    with pytest.raises(InputError, match=r"split.csv: expected train, val, test; found dev. Make split.csv again with"):
        splitting.check_split(images, split)
    with pytest.raises(InputError, match=r"does not list the films of images.csv \(2, 1 rows\)"):
        splitting.check_split(images[:1], split)


def test_what_was_held_out_for_the_other_kind_of_split_is_refused(tmp_path):
    path = tmp_path / "test_patients.csv"
    path.write_text("patient_id\nnih-1\n")
    assert splitting.read_held_out(path, TableParams())["patient_id"].tolist() == ["nih-1"]
    with pytest.raises(InputError, match='SPLIT is "image": expected the column image_id; found patient_id'):
        splitting.read_held_out(path, table_params(SPLIT="image"))


def test_counts_are_positives_of_known_ones_and_gaps_are_named():
    images = films({"Edema": 1}, {"Edema": None}, {"patient_id": "nih-0", "Edema": 1})
    split = pd.Series(["train", "train", "val"])
    counts = schema.count(images, {"split": split}, FINDINGS)
    assert counts.loc["train", ["films", "patients", "Edema", "Effusion"]].tolist() == [2, 2, "1/1", "0/2"]
    gaps = splitting.without_positives(images, split, FINDINGS)
    assert ("test", "Edema") in gaps
    assert ("train", "Edema") not in gaps
    assert ("train", "Effusion") in gaps


@pytest.mark.parametrize(
    ("counts", "mend"),
    [
        (
            {"test": 5},
            r"0 films for training and 0 for validation \(5 for the test.*add films of .* that no test list names",
        ),
        ({"test": 1, "unused": 4}, r".*4 of sources not trained on\).*Name more in TRAIN_SOURCES"),
        ({"train": 3, "test": 2}, "3 films for training and 0 for validation.*Raise VAL_FRACTION"),
        ({"val": 3, "test": 2}, "0 films for training and 3 for validation.*Lower VAL_FRACTION"),
    ],
)
def test_a_split_with_nothing_to_train_on_names_the_key_that_is_to_blame(counts, mend):
    split = pd.Series([name for name, count in counts.items() for _ in range(count)])
    with pytest.raises(InputError, match=rf"split\.csv: {mend}.* and run: sh prepare_data\.sh"):
        splitting.refuse_untrainable(Path("split.csv"), split)
    assert splitting.why_untrainable(pd.Series(["train", "val"])) == ""
