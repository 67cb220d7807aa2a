import json

import pandas as pd
import pytest

from cxr.core.configuration import load_settings
from cxr.core.errors import InputError
from cxr.tables.lung_films import SHARE_ALONE, check_packed, drawn_pairs, passes_of_real, split_pairs, why_drawn_alone
from tests.conftest import settings_in, tiny_params


def pairs_of(own: int, drawn: int) -> pd.DataFrame:
    rows = [[f"own/{n}", "own", f"own-{n}", f"{n}.png", f"{n}.png", ""] for n in range(own)]
    return pd.concat([pd.DataFrame(rows, columns=drawn_pairs(0).columns), drawn_pairs(drawn)], ignore_index=True)


def lungs_in(folder, films: str, masks: str):
    """Settings of ``folder`` that name these as the folders of lung films and of their masks."""
    path = folder / "SETTINGS.json"
    path.write_text(json.dumps({"DATASET_DIR_SEGMENTATION": films, "MASK_DIR": masks}))
    return load_settings(path)


def splits(pairs, **keys) -> pd.Series:
    return pd.Series(split_pairs(pairs, tiny_params(**keys).unet, 1), pairs["set"])


def test_beside_real_films_drawn_ones_are_for_training_alone():
    split = splits(pairs_of(60, 200))
    assert set(split["drawn"]) == {"train"}
    assert set(split["own"]) == {"train", "val", "test"}


def test_where_all_real_films_are_the_test_drawn_ones_train_and_choose():
    split = splits(pairs_of(20, 600), UNET_TEST_SETS=["own"])
    assert set(split["own"]) == {"test"}
    assert split["drawn"].value_counts(normalize=True)["val"] == pytest.approx(SHARE_ALONE, abs=0.03)
    assert set(split["drawn"]) == {"train", "val"}


def test_drawn_films_alone_spare_few_for_val_and_test():
    split = splits(pairs_of(0, 2000), UNET_VAL_FRACTION=0.3, UNET_TEST_FRACTION=0.3)
    shares = split.value_counts(normalize=True)
    assert shares[["val", "test"]].tolist() == pytest.approx([SHARE_ALONE] * 2, abs=0.02)


def test_a_set_that_is_not_there_is_named_with_where_sets_come_from():
    with pytest.raises(InputError, match="no film of montgomery; LUNG_FILMS and the lung folders give drawn"):
        splits(pairs_of(0, 200), UNET_TEST_SETS=["montgomery"])


@pytest.mark.parametrize(
    ("real", "drawn", "passes"), [(300, 1500, 5), (10, 1500, 8), (5000, 1500, 1), (300, 0, 1), (0, 1500, 1)]
)
def test_real_films_pass_as_often_as_makes_them_as_many_as_drawn_ones_but_not_for_ever(real, drawn, passes):
    assert passes_of_real(real, drawn) == passes


def test_packs_of_other_films_than_those_asked_for_are_refused():
    both = pairs_of(5, 100)
    check_packed(both, tiny_params(LUNG_FILMS="both", DRAWN_LUNG_FILMS=100))
    for keys in ({"LUNG_FILMS": "real"}, {"LUNG_FILMS": "both", "DRAWN_LUNG_FILMS": 200}, {"LUNG_FILMS": "drawn"}):
        with pytest.raises(InputError, match=r"are 100 drawn and 5 real ones.*0_pair_masks\.py, then "):
            check_packed(both, tiny_params(**{"DRAWN_LUNG_FILMS": 100} | keys))


def test_a_link_to_nowhere_is_no_sign_of_no_lung_films(tmp_path):
    settings = settings_in(tmp_path)
    params = tiny_params(LUNG_FILMS="both")
    said = why_drawn_alone(settings, params)
    assert "DATASET_DIR_SEGMENTATION" in said
    assert "MASK_DIR" in said
    (tmp_path / "lungs").mkdir()
    (tmp_path / "lungs/masks").symlink_to(tmp_path / "unmounted")
    assert why_drawn_alone(settings, params) == ""  # what reads it says that it is not there


@pytest.mark.parametrize(
    ("films", "masks", "asked", "said"),
    [
        ("", "masks", "both", "^DATASET_DIR_SEGMENTATION in SETTINGS.json: expected a folder.*leave both empty"),
        ("films", "", "both", '^MASK_DIR in SETTINGS.json: expected a folder, for "LUNG_FILMS" is "both"'),
        ("", "", "real", '^DATASET_DIR_SEGMENTATION and MASK_DIR in SETTINGS.json: expected.*or set "LUNG_FILMS"'),
    ],
)
def test_an_empty_folder_of_lung_films_where_one_is_to_be_read_is_refused_by_its_key(
    tmp_path, films, masks, asked, said
):
    with pytest.raises(InputError, match=said):
        why_drawn_alone(lungs_in(tmp_path, films, masks), tiny_params(LUNG_FILMS=asked))


def test_both_folders_of_lung_films_empty_mean_that_there_are_none(tmp_path):
    settings = lungs_in(tmp_path, "", "")
    assert why_drawn_alone(settings, tiny_params(LUNG_FILMS="both")) == (
        "no real lung films: DATASET_DIR_SEGMENTATION and MASK_DIR are empty"
    )
    own = lungs_in(tmp_path, ".", "masks")  # "." is the folder of SETTINGS.json
    assert why_drawn_alone(own, tiny_params(LUNG_FILMS="both")) == ""
