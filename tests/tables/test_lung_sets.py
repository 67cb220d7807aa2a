import hashlib
import os
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.core.artifacts import write_csv, write_json
from cxr.core.errors import InputError
from cxr.imaging.decoding import write_image
from cxr.tables.lung_films import drawn_pairs, places, split_pairs, why_skip
from cxr.tables.lung_sets import files_of, mask_names, pair_masks, read_heart, read_pair
from tests.conftest import PROJECT, settings_in, tiny_params

STEPS = ("etl/0_pair_masks", "etl/1_split_patients", "etl/2_pack_arrays", "train")
SHARED = PROJECT.parent / "shared" / "data"
FILM = np.arange(64 * 64, dtype=np.uint32).reshape(64, 64).astype(np.uint8)
LUNG = np.zeros((64, 64), np.uint8)
LUNG[10:50, 8:28] = 255
BOTH = LUNG | LUNG[:, ::-1]


@pytest.fixture
def folders(tmp_path):
    """folders(films, masks) writes files of these names and returns both folders."""

    def make(films, masks):
        for folder, names, pixels in (("films", films, FILM), ("masks", masks, LUNG)):
            (tmp_path / folder).mkdir(exist_ok=True)
            for name in names:
                (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / folder / name).touch()
                if name.endswith(".png"):
                    write_image(pixels, tmp_path / folder / name)
        return tmp_path / "films", tmp_path / "masks"

    return make


def state(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path), path.stat().st_mtime_ns, hashlib.md5(path.read_bytes()).hexdigest()) for path in files]


def pairs_of(table) -> dict:
    return {row.image_id: (row.film, row.masks) for row in table.itertuples()}


# --- pairing


def test_montgomery_with_merged_masks(folders):
    pairs, problems = pair_masks(
        *folders(["MCUCXR_0001_0.png", "MCUCXR_0002_1.png"], ["MCUCXR_0001_0.png", "MCUCXR_0002_1.png"])
    )
    assert list(pairs.columns) == ["image_id", "set", "patient_id", "film", "masks", "hearts"]
    assert pairs.iloc[0].tolist() == [
        "montgomery/MCUCXR_0001_0", "montgomery", "montgomery-0001", "MCUCXR_0001_0.png", "MCUCXR_0001_0.png", ""
    ]  # fmt: skip
    assert len(pairs) == 2
    assert problems.empty


def test_montgomery_with_left_and_right_masks_in_subfolders(folders):
    names = ["leftMask/MCUCXR_0001_0.png", "rightMask/MCUCXR_0001_0.png"]
    pairs, problems = pair_masks(*folders(["MCUCXR_0001_0.png"], names))
    assert pairs_of(pairs) == {"montgomery/MCUCXR_0001_0": ("MCUCXR_0001_0.png", "|".join(names))}
    assert problems.empty


def test_shenzhen_masks_end_in_mask(folders):
    pairs, problems = pair_masks(*folders(["CHNCXR_0327_1.png"], ["CHNCXR_0327_1_mask.png"]))
    assert pairs_of(pairs) == {"shenzhen/CHNCXR_0327_1": ("CHNCXR_0327_1.png", "CHNCXR_0327_1_mask.png")}
    assert pairs["patient_id"].tolist() == ["shenzhen-0327"]
    assert problems.empty


@pytest.mark.parametrize("mask", ["JPCLN001.gif", "JPCLN001.png", "JPCLN001.IMG.png"])
def test_jsrt_films_have_two_suffixes(folders, mask):
    pairs, _ = pair_masks(*folders(["JPCLN001.IMG.png"], [mask]))
    assert pairs_of(pairs) == {"jsrt/JPCLN001": ("JPCLN001.IMG.png", mask)}
    assert pairs["patient_id"].tolist() == ["jsrt-JPCLN001"]


def test_a_folder_of_one_s_own_pairs_by_equal_names(folders):
    pairs, _ = pair_masks(*folders(["anna.jpg", "sub/bert.dcm"], ["anna.png", "bert.png"]))
    assert pairs_of(pairs) == {"own/anna": ("anna.jpg", "anna.png"), "own/bert": ("sub/bert.dcm", "bert.png")}
    assert pairs["patient_id"].tolist() == ["own-anna", "own-bert"]


@pytest.mark.parametrize(
    "masks",
    [["JPCLN001_Mask.png"], ["JPCLN001msk.png"], ["jpcln001.PNG"], ["JPCLN001-seg.png"], ["JPCLN001 lungs.png"],
     ["JPCLN001_left.png", "JPCLN001_right.png"], ["left lung/JPCLN001.png", "right lung/JPCLN001.png"]],
)  # fmt: skip
def test_masks_may_say_that_they_are_masks_and_of_which_lung(folders, masks):
    pairs, problems = pair_masks(*folders(["JPCLN001.IMG.png"], masks))
    assert pairs["masks"].tolist() == ["|".join(masks)]
    assert problems.empty


def test_a_film_whose_own_name_ends_like_a_mask_s_is_its_own_mask_s(folders):
    pairs, _ = pair_masks(*folders(["a.png", "a_left.png"], ["a.png", "a_left.png"]))
    assert pairs["masks"].tolist() == ["a.png", "a_left.png"]


def test_a_heart_s_mask_is_the_film_s_and_masks_of_other_organs_are_left_out_by_name(folders):
    masks = ["heart/a.png", "left clavicle/a.png", "left lung/a.png", "right lung/a.png"]
    pairs, problems = pair_masks(*folders(["a.png"], masks))
    assert pairs["masks"].tolist() == ["left lung/a.png|right lung/a.png"]
    assert pairs["hearts"].tolist() == ["heart/a.png"]
    assert problems["problem"].tolist() == ["a mask of something else than lungs or heart, by its name"]
    pairs, problems = pair_masks(*folders(["b.png"], ["b_heart.png", "b_lungs.png"]))
    assert pairs.set_index("image_id").loc["own/b", ["masks", "hearts"]].tolist() == ["b_lungs.png", "b_heart.png"]


def test_a_film_whose_own_name_holds_the_word_heart_keeps_its_lungs(folders):
    pairs, problems = pair_masks(*folders(["heart_failure_01.png", "z.png"], ["heart_failure_01.png", "z_heart.png"]))
    assert pairs[["masks", "hearts"]].to_numpy().tolist() == [["heart_failure_01.png", ""]]
    assert problems["problem"].tolist() == ["no mask of this name but the heart's"]


@pytest.mark.parametrize("columns", [1, 59])
def test_a_heart_s_mask_that_covers_what_no_heart_does_is_refused(tmp_path, columns):
    mask = np.zeros((60, 60), np.uint8)
    mask[:30, :columns] = 255
    mask[30:, : columns - 1] = 255
    write_image(mask, tmp_path / "heart.png")
    with pytest.raises(InputError, match=r"heart.png: covers \d+% of the film; expected the heart, 1% to 35%"):
        read_heart(np.full((60, 60), 7, np.uint8), tmp_path / "film.png", [tmp_path / "heart.png"])


def test_names_with_dots_stay_apart(folders):
    names = ["1.2.840.1.png", "1.2.840.2.png"]
    pairs, problems = pair_masks(*folders(names, names))
    assert pairs_of(pairs) == {f"own/{name[:-4]}": (name, name) for name in names}
    assert problems.empty


def test_all_sets_may_lie_in_one_folder_and_come_out_sorted(folders):
    names = ["x.png", "MCUCXR_0001_0.png"]
    pairs, _ = pair_masks(*folders([*names, "CHNCXR_0001_0.png"], [*names, "CHNCXR_0001_0_mask.png"]))
    assert pairs["image_id"].tolist() == ["montgomery/MCUCXR_0001_0", "own/x", "shenzhen/CHNCXR_0001_0"]
    assert pairs["patient_id"].is_unique


def test_what_has_no_partner_is_listed_and_nothing_is_moved(folders, tmp_path):
    films, masks = folders(["a.png", "lonely.png"], ["a.png", "widow_mask.png", "readme.txt"])
    before = state(tmp_path)
    pairs, problems = pair_masks(films, masks)
    assert pairs["image_id"].tolist() == ["own/a"]
    assert problems.to_numpy().tolist() == [
        [str(films / "lonely.png"), "no mask of this name"],
        [str(masks / "widow_mask.png"), "no film of this name"],
    ]
    assert state(tmp_path) == before


def test_of_two_films_of_one_name_the_first_is_used_with_the_mask_in_its_own_subfolder(folders):
    films, masks = folders(["p1/film.png", "p2/film.png"], ["p1/film.png", "p2/film.png"])
    pairs, problems = pair_masks(films, masks)
    assert pairs_of(pairs) == {"own/film": ("p1/film.png", "p1/film.png")}  # never p1's film with the mask of p2
    assert problems.to_numpy().tolist() == [
        [str(films / "p2/film.png"), f"same name as {films / 'p1/film.png'}; the first is used"]
    ]


def test_masks_are_named_so_that_they_pair_whatever_their_film_is_called(folders, tmp_path):
    named = {
        "a.png": "a.png",
        "b.JPG": "b.png",
        "ward/a2.tif": "ward/a2.png",
        "JPCLN001.IMG.png": "JPCLN001.IMG.png",
        "1.2.840.113": "1.2.840.113.png",  # DICOM files as a PACS names them: the last number is no ending
        "1.2.840.114": "1.2.840.114.png",
    }
    assert list(map(str, mask_names([Path(name) for name in named]))) == list(named.values())
    films, masks = folders(named, named.values())
    for uid in ("1.2.840.113", "1.2.840.114"):  # known by their content
        (films / uid).write_bytes(bytes(128) + b"DICM")
    pairs, problems = pair_masks(films, masks)
    assert dict(zip(pairs["film"], pairs["masks"], strict=True)) == named
    assert problems.empty


def test_films_that_differ_by_their_ending_alone_have_a_mask_each():
    assert list(map(str, mask_names([Path("x.dcm"), Path("x.PNG"), Path("y/x.png")]))) == [
        "x.dcm.png",
        "x.PNG.png",
        "y/x.png",
    ]


def test_folders_that_do_not_fit_each_other_are_refused(folders, tmp_path):
    films, masks = folders(["a.png", "b.png"], ["c.png"])
    with pytest.raises(InputError, match=r"none of its 2 films \(such as a.png\) has .* \(1 files, such as c.png\)"):
        pair_masks(films, masks)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        pair_masks(films, tmp_path / "nowhere")


def test_one_folder_for_films_and_masks_or_one_in_the_other_is_refused(folders, tmp_path):
    films, masks = folders(["a.png"], ["a.png"])
    (tmp_path / "linked").symlink_to(films)
    for mask_dir in (films, tmp_path / "linked"):
        with pytest.raises(InputError, match=r"is also that of the films, .*films would be taken.*MASK_DIR"):
            pair_masks(films, mask_dir)
    for both in ((tmp_path, masks), (films, tmp_path)):
        with pytest.raises(InputError, match="masks lies in, or around, that of the films"):
            pair_masks(*both)


def test_a_file_that_is_film_and_mask_at_once_is_refused(folders):
    films, masks = folders(["a.png", "b.png"], ["a.png"])
    (masks / "b.png").symlink_to(films / "b.png")
    with pytest.raises(InputError, match=r"masks/b.png: is the same file as the film .*films/b.png"):
        pair_masks(films, masks)


def test_korean_names_composed_in_one_place_and_in_parts_in_the_other_pair(folders):
    whole, parts = "환자/흉부_01.png", unicodedata.normalize("NFD", "환자/흉부_01.png")
    assert whole != parts
    films, masks = folders([whole, "다른/흉부_02.png"], [parts, "흉부_02.png"])
    pairs, problems = pair_masks(films, masks)
    assert pairs["image_id"].tolist() == ["own/흉부_01", "own/흉부_02"]
    assert files_of(next(pairs.itertuples()), films, masks) == (films / whole, masks / parts)
    assert problems.empty


def test_in_parts_too_a_mask_in_the_folder_of_the_same_name_is_its_film_s(folders):
    folder = unicodedata.normalize("NFD", "환자")
    pairs, _ = pair_masks(*folders(["환자/film.png"], [f"{folder}/film.png", "다른/film.png"]))
    assert pairs["masks"].tolist() == [f"{folder}/film.png"]


def test_names_that_are_no_utf8_are_escaped_in_the_table_and_found_again(folders, tmp_path):
    name = os.fsdecode("폐_01.png".encode("cp949"))
    films, masks = folders([name], [name])
    pairs, _ = pair_masks(films, masks)
    assert pairs["image_id"].tolist() == [r"own/\udcc6\udcf3_01"]
    write_csv(pairs, tmp_path / "pairs.csv")
    again = pd.read_csv(tmp_path / "pairs.csv", dtype=str, keep_default_na=False)
    assert files_of(next(again.itertuples()), films, masks) == (films / name, masks / name)


def test_a_mask_whose_name_holds_the_sign_between_masks_is_told(folders):
    _, problems = pair_masks(*folders(["a.png", "b|c.png"], ["a.png", "b|c.png"]))
    assert sorted(problems["problem"]) == ["its name holds |; rename it", "no mask of this name"]


# --- reading


def saved(folder, **images):
    for name, pixels in images.items():
        write_image(pixels, folder / f"{name}.png")
    return [folder / f"{name}.png" for name in images]


def test_left_and_right_masks_are_united(tmp_path):
    film, left, right = saved(tmp_path, film=FILM, left=LUNG, right=LUNG[:, ::-1])
    pixels, mask = read_pair(film, [left, right])
    np.testing.assert_array_equal(pixels, FILM)
    np.testing.assert_array_equal(mask, LUNG | LUNG[:, ::-1])


def test_gray_edges_of_an_interpolated_mask_are_cut_at_half(tmp_path):
    gray = BOTH.copy()
    gray[10:50, 28], gray[10:50, 29] = 128, 127
    film, path = saved(tmp_path, film=FILM, mask=gray)
    _, mask = read_pair(film, [path])
    assert set(np.unique(mask)) == {0, 255}
    assert (mask[20, 28], mask[20, 29]) == (255, 0)


@pytest.mark.parametrize("numbers", [(1, 1), (1, 2)])
def test_masks_drawn_with_small_numbers_are_masks_too(tmp_path, numbers):
    drawn = np.where(LUNG > 0, numbers[0], np.where(LUNG[:, ::-1] > 0, numbers[1], 0)).astype(np.uint8)
    film, path = saved(tmp_path, film=FILM, mask=drawn)
    np.testing.assert_array_equal(read_pair(film, [path])[1], LUNG | LUNG[:, ::-1])


def test_a_mask_at_another_resolution_is_brought_to_the_film(tmp_path):
    film, path = saved(tmp_path, film=FILM, mask=np.kron(BOTH, np.ones((2, 2), np.uint8)))
    np.testing.assert_array_equal(read_pair(film, [path])[1], BOTH)


def test_a_mask_of_another_shape_is_refused(tmp_path):
    film, path = saved(tmp_path, film=FILM, mask=LUNG[:40])
    with pytest.raises(InputError, match=r"mask.png: 64x40 does not fit its film's 64x64"):
        read_pair(film, [path])


def test_a_mask_of_nothing_or_everything_is_refused(tmp_path):
    speck, all_but = np.zeros((64, 64), np.uint8), np.full((64, 64), 255, np.uint8)
    speck[0, :8], all_but[0, :8] = 255, 0
    film, speck, all_but, empty = saved(tmp_path, film=FILM, speck=speck, all_but=all_but, empty=np.zeros_like(LUNG))
    with pytest.raises(InputError, match=r"speck.png: covers 0% of the film; expected both lungs, 2% to 60% of it"):
        read_pair(film, [speck])
    with pytest.raises(InputError, match=r"all_but.png: covers 100% of the film and 96% of its border: inverted\?"):
        read_pair(film, [all_but])
    with pytest.raises(InputError, match=r"empty.png: every pixel is 0"):
        read_pair(film, [empty])


@pytest.mark.parametrize("numbers", [(127, 255), (255, 100), (2, 1), (20, 255)])
def test_two_grays_beside_each_other_are_left_and_right(tmp_path, numbers):
    left, right = LUNG[:, :32] > 0, LUNG[:, 31::-1] > 0
    gray = np.hstack([left * numbers[0], right * numbers[1]]).astype(np.uint8)
    film, path = saved(tmp_path, film=FILM, mask=gray)
    np.testing.assert_array_equal(read_pair(film, [path])[1] > 0, gray > 0)


@pytest.mark.parametrize("ground", [0, 127])
def test_of_two_grays_the_brighter_is_lung_whatever_they_are(tmp_path, ground):
    film, path = saved(tmp_path, film=FILM, mask=np.where(BOTH > 0, 255 - ground // 2, ground).astype(np.uint8))
    np.testing.assert_array_equal(read_pair(film, [path])[1], BOTH)


def test_one_lung_alone_is_refused_and_two_files_are_both(tmp_path):
    film, left, right = saved(tmp_path, film=FILM, left=LUNG, right=LUNG[:, ::-1])
    with pytest.raises(InputError, match=r"left.png: shows one lung only; expected both"):
        read_pair(film, [left])
    np.testing.assert_array_equal(read_pair(film, [left, right])[1], BOTH)


def test_a_jpeg_of_a_mask_is_a_mask(tmp_path):
    both = np.kron(LUNG | LUNG[:, ::-1], np.ones((4, 4), np.uint8))
    film, _ = saved(tmp_path, film=np.kron(FILM, np.ones((4, 4), np.uint8)), mask=both)
    write_image(both, tmp_path / "mask.jpg")
    np.testing.assert_array_equal(read_pair(film, [tmp_path / "mask.jpg"])[1], both)


def bad_masks():
    both = LUNG | LUNG[:, ::-1]
    heart = both.copy()
    heart[30:50, 28:36] = 127
    labels = np.where(both > 0, 1, 0).astype(np.uint8)
    labels[30:50, 28:36] = 2
    soft = cv2.GaussianBlur(both, (0, 0), 8)
    belt = np.zeros_like(LUNG)
    belt[:, 10:54] = 255
    border = np.zeros_like(LUNG)
    border[4:-4, 4:-4] = 255
    border[both > 0] = 0
    outlines = both.copy()
    outlines[13:47, 11:25], outlines[13:47, 39:53] = 0, 0
    return {
        "the film": (FILM, r"its grays are all shades from 0 to 255; expected two, black and white lungs; a film, or"),
        "another film": (FILM.T, "its grays are all shades"),
        "with the heart": (heart, r"its grays are 0 \(\d+%\), 127 \(4%\), 255 \(\d+%\); expected two"),
        "of labels": (labels, r"its grays are 0 \(\d+%\), 1 \(\d+%\), 2 \(4%\); expected two"),
        "soft": (soft, "its grays are all shades"),
        "inverted": (255 - both, r"covers 61% of the film and 100% of its border: inverted\? Lungs must be white"),
        "inverted within a border": (
            np.pad(255 - both[4:-4, 4:-4], 4),
            "has holes of .* of the film: outlines only, or inv",
        ),
        "outlines": (outlines, "has holes of .* of the film: outlines only, or inverted within a border"),
        "too wide": (belt, r"covers 69% of the film; expected both lungs, 2% to 60% of it"),
    }


@pytest.mark.parametrize("kind", bad_masks())
def test_what_is_no_mask_of_both_lungs_is_refused(tmp_path, kind):
    pixels, message = bad_masks()[kind]
    film, path = saved(tmp_path, film=FILM, mask=pixels)
    with pytest.raises(InputError, match=rf"mask.png: {message}"):
        read_pair(film, [path])


def test_films_and_masks_that_are_swapped_are_recognised(tmp_path):
    film, mask = saved(tmp_path, film=FILM, mask=LUNG)
    with pytest.raises(
        InputError, match=r"film.png: its grays are all shades .* Its film .*mask.png is a mask: swapped\?"
    ):
        read_pair(mask, [film])
    with pytest.raises(
        InputError, match=r"mask.png: its grays are 0 \(80%\), 255 \(20%\); expected a film, this is a mask"
    ):
        read_pair(mask, [mask])


def test_all_public_pairs_are_read_and_none_of_their_films_is_a_mask():
    folder = SHARED / "lungs"
    if not folder.exists():
        pytest.skip(f"{folder} is not on this machine")
    pairs, _ = pair_masks(folder / "CXR_png", folder / "masks")
    assert len(pairs) == 414
    for pair in list(pairs.itertuples())[::6]:
        film, mask = files_of(pair, folder / "CXR_png", folder / "masks")
        read_pair(film, [mask])
        with pytest.raises(InputError, match=r"swapped\?"):
            read_pair(mask, [film])


def test_public_odd_masks_are_read(tmp_path):
    folder = SHARED / "odd_inputs"
    if not folder.exists():
        pytest.skip(f"{folder} is not on this machine")
    left, right = (folder / f"montgomery_native_{side}mask_MCUCXR_0001_0.png" for side in ("left", "right"))
    wide, square = saved(tmp_path, wide=np.tile(FILM, (1, 2))[:, :78], square=np.tile(FILM, (8, 8)))
    assert 0.2 < (read_pair(wide, [left, right])[1] > 0).mean() < 0.4
    with pytest.raises(InputError, match="shows one lung only"):
        read_pair(wide, [left])
    gray = folder / "nlm512_mask_interpolated_CHNCXR_0001_0.png"
    assert set(np.unique(read_pair(square, [gray])[1])) == {0, 255}


# --- splitting


def table(folders, numbers):
    names = [f"CHNCXR_{n:04d}_{n % 2}.png" for n in numbers]
    return pair_masks(*folders(names, names))[0]


def test_a_patient_s_split_stays_when_films_are_added(folders):
    params = tiny_params(UNET_TEST_FRACTION=0.2, UNET_VAL_FRACTION=0.2).unet
    few = table(folders, range(0, 60, 2))
    first = dict(zip(few["patient_id"], split_pairs(few, params, 1), strict=True))
    many = table(folders, range(60))
    second = dict(zip(many["patient_id"], split_pairs(many, params, 1), strict=True))
    assert set(first.values()) == {"train", "val", "test"}
    assert {patient: second[patient] for patient in first} == first


def test_films_of_one_patient_stay_together(folders):
    names = [f"MCUCXR_{n:04d}_{film}.png" for n in range(40) for film in range(2)]
    pairs = pair_masks(*folders(names, names))[0]
    pairs["split"] = split_pairs(pairs, tiny_params(UNET_VAL_FRACTION=0.3).unet, 1)
    assert pairs.groupby("patient_id")["split"].nunique().max() == 1


def test_another_seed_draws_other_validation_patients_but_the_same_test(folders):
    pairs = table(folders, range(60))
    params = tiny_params(UNET_TEST_FRACTION=0.2, UNET_VAL_FRACTION=0.3).unet
    one, other = np.array(split_pairs(pairs, params, 1)), np.array(split_pairs(pairs, params, 2))
    np.testing.assert_array_equal(one == "test", other == "test")
    assert (one == "val").sum() > 0
    assert not np.array_equal(one == "val", other == "val")


def test_whole_sets_can_be_held_out(folders):
    names = [f"{kind}_{n:04d}_0.png" for kind in ("CHNCXR", "MCUCXR") for n in range(20)]
    pairs = pair_masks(*folders(names, names))[0]
    pairs["split"] = split_pairs(pairs, tiny_params(UNET_TEST_SETS=["montgomery"], UNET_VAL_FRACTION=0.3).unet, 1)
    assert set(pairs.loc[pairs["set"] == "montgomery", "split"]) == {"test"}
    assert set(pairs.loc[pairs["set"] == "shenzhen", "split"]) == {"train", "val"}


def test_a_set_that_is_not_there_or_nothing_to_train_on_is_refused(folders):
    pairs = table(folders, range(20))
    with pytest.raises(InputError, match="no film of jsrt; LUNG_FILMS and the lung folders give shenzhen"):
        split_pairs(pairs, tiny_params(UNET_TEST_SETS=["jsrt"]).unet, 1)
    with pytest.raises(InputError, match="lung films: none left for train of 20"):
        split_pairs(pairs, tiny_params(UNET_TEST_SETS=["shenzhen"]).unet, 1)
    with pytest.raises(InputError, match=r"none left for val of 20; .*UNET_VAL_FRACTION"):
        split_pairs(pairs, tiny_params(UNET_VAL_FRACTION=0).unet, 1)


def test_a_u_net_that_learned_from_other_films_stays_and_that_is_said(tmp_path):
    settings = settings_in(tmp_path)
    settings.unet.parent.mkdir(parents=True)
    settings.unet.touch()
    write_json({"parameters": {"LUNG_FILMS": "both", "DRAWN_LUNG_FILMS": 100}}, settings.unet.parent / "run.json")
    both = {"LUNG_FILMS": "both", "DRAWN_LUNG_FILMS": 100}
    steps = ", then ".join(f"src/segmentation/{name}.py" for name in STEPS)
    for changed, told in (
        ({}, "is there (python src/segmentation/train.py trains it anew)"),
        ({"LUNG_FILMS": "real"}, f"is there, and learned with LUNG_FILMS both (python {steps} trains it anew)"),
        ({"DRAWN_LUNG_FILMS": 200}, f"is there, and learned with DRAWN_LUNG_FILMS 100 (python {steps} trains it anew)"),
    ):
        assert why_skip(settings, tiny_params(**both | changed)) == f"{settings.unet} {told}"
    settings.segmentation.mkdir(parents=True)
    write_csv(drawn_pairs(3), settings.segmentation / "pairs.csv")
    assert "and learned" not in why_skip(settings, tiny_params(**both))  # no real ones are there
    for folder in places(settings):
        folder.mkdir(parents=True)
    told = f"is there, and learned from drawn films alone: real ones are there now (python {steps} trains it anew)"
    assert why_skip(settings, tiny_params(**both)) == f"{settings.unet} {told}"
    nowhere = settings.model_copy(update={"mask_dir": Path()})
    assert "and learned" not in why_skip(nowhere, tiny_params(**both))  # which step 0 refuses


def test_a_u_net_is_trained_only_where_it_is_missing_and_needed(tmp_path):
    settings = settings_in(tmp_path)
    assert why_skip(settings, tiny_params()) == ""
    assert why_skip(settings, tiny_params(LUNG_MASKING="none")) == '"LUNG_MASKING": "none" needs no U-Net'
    settings.unet.parent.mkdir(parents=True)
    settings.unet.touch()
    assert why_skip(settings, tiny_params()).endswith(
        "model.keras is there (python src/segmentation/train.py trains it anew)"
    )
    (settings.unet.parent / ".cxr-backup").mkdir()  # an interrupted training goes on
    assert why_skip(settings, tiny_params()) == ""
