from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxr.anatomy.heart import NOT_KNOWN
from cxr.core.errors import InputError
from cxr.imaging.decoding import write_image
from cxr.preparation.packing import SHARD, Packing, pack_shard, shard_size
from cxr.preparation.packs import open_pack, write_rows, written_pack
from cxr.preparation.reading import list_broken, try_checked, try_new_film, try_pair, try_square
from tests.imaging.dicom_files import dicom

FILM = np.add.outer(np.arange(40), 2 * np.arange(60)).astype(np.uint8)


def films_in(folder, count):
    for n in range(count):
        write_image(FILM // 2 + 3 * n, folder / f"{n:02d}.png")
    return [folder / f"{n:02d}.png" for n in range(count)]


def test_a_pair_comes_as_two_squares_or_a_problem(tmp_path):
    mask = np.zeros_like(FILM)
    mask[10:30, 10:50] = 255
    write_image(FILM, tmp_path / "film.png")
    write_image(mask, tmp_path / "mask.png")
    film, masks, problem = try_pair((tmp_path / "film.png", [tmp_path / "mask.png"], []), 60, "pad")
    assert problem == ""
    np.testing.assert_array_equal(film[10:50], FILM)
    np.testing.assert_array_equal(masks[10:50, :, 0], mask)
    assert (masks[..., 1] == NOT_KNOWN).all()
    write_image(mask[::-1], tmp_path / "heart.png")
    masks = try_pair((tmp_path / "film.png", [tmp_path / "mask.png"], [tmp_path / "heart.png"]), 60, "pad")[1]
    np.testing.assert_array_equal(masks[10:50, :, 1], mask[::-1])
    assert not masks[:10].any()  # beside the film is no heart
    film, masks, problem = try_pair((tmp_path / "film.png", [tmp_path / "none.png"], []), 60, "pad")
    assert film is None
    assert masks is None
    assert "none.png: cannot be read" in problem


def test_a_new_film_comes_with_what_its_file_says_and_what_the_rules_say(tmp_path):
    deep = FILM.astype(np.uint16) * 16
    path = dicom(tmp_path, deep, ViewPosition="LL", WindowCenter=60_000, WindowWidth=2)
    square, checks, problem = try_new_film(path, 60, "pad")
    assert (square.shape, problem) == ((60, 60), "")
    assert checks.lateral == "its header says so"
    assert checks.file_notes == "a window in its header shows nothing of the film and was ignored"
    assert "this.png: cannot be read" in try_new_film(tmp_path / "this.png", 60, "pad")[2]


def test_a_film_is_checked_alone_or_with_its_mask(tmp_path):
    mask = np.zeros_like(FILM)
    mask[10:30, 10:50] = 255
    for name, pixels in {"view2_lateral": FILM, "mask": mask, "small": mask[:, :20]}.items():
        write_image(pixels, tmp_path / f"{name}.png")
    files = [tmp_path / f"{name}.png" for name in ("view2_lateral", "mask", "small")]
    film, none, checks, problem = try_checked(tuple(files[:1]), 60, "pad")
    assert (none, problem, checks.lateral) == (None, "", "its name says so")
    np.testing.assert_array_equal(film[10:50], FILM)
    np.testing.assert_array_equal(try_checked(tuple(files[:2]), 60, "pad")[1][10:50], mask)
    assert "does not fit its film" in try_checked((files[0], files[2]), 60, "pad")[3]
    assert try_checked((tmp_path / "none.png",), 60, "pad")[3].startswith("unreadable: ")


def packing_in(folder, name, count, masking="loose", sizes=(24, 32)) -> Packing:
    mask = np.zeros((count, 16, 16), np.uint8)
    mask[:, 4:12, 3:7] = mask[:, 4:12, 9:13] = 255
    with written_pack(folder / f"{name}_masks.npy", count, 16) as temporary:
        write_rows(temporary, 0, mask)
    for size in sizes:
        with written_pack(folder / f"{name}_{size}.npy", count, size):
            pass
    packs = tuple((size, str(folder / f"{name}_{size}.npy")) for size in sizes)
    return Packing(packs, str(folder / f"{name}_masks.npy"), "", "pad", masking, 0.04)


def test_packs_are_the_same_whatever_the_shards_and_their_order_and_written_twice(tmp_path):
    jobs = [(row, path, row != 2) for row, path in enumerate(films_in(tmp_path, 6))]
    here, there = packing_in(tmp_path, "here", 6), packing_in(tmp_path, "there", 6)
    whole = pack_shard(jobs, here)
    last, first = pack_shard(jobs[2:], there), pack_shard(jobs[:2], there)
    pack_shard(jobs[1:3], there)
    assert first + last == whole
    for size in (24, 32):
        one, other = (open_pack(tmp_path / f"{name}_{size}.npy", "x") for name in ("here", "there"))
        np.testing.assert_array_equal(one, other)
        assert len({film.tobytes() for film in one}) == 6


def test_shards_are_small_where_there_are_few_films_so_that_no_process_is_idle():
    assert shard_size(100_000, 16) == SHARD
    assert shard_size(80, 2) == 10
    assert shard_size(3, 8) == 1


def test_a_row_that_a_shard_leaves_out_is_black(tmp_path):
    first, _, third = films_in(tmp_path, 3)
    packing = packing_in(tmp_path, "a", 3, "none")
    assert len(pack_shard([(0, first, False), (2, third, False)], packing)) == 2
    assert [film.any() for film in open_pack(tmp_path / "a_32.npy", "x")] == [True, False, True]


def test_masks_that_were_made_anew_are_read_anew_also_by_a_worker_that_knows_the_old_ones(tmp_path):
    (path,) = films_in(tmp_path, 1)
    packing = packing_in(tmp_path, "a", 1, "hard")
    pack_shard([(0, path, True)], packing)
    masked = open_pack(tmp_path / "a_32.npy", "x")[0].copy()
    with written_pack(tmp_path / "a_masks.npy", 1, 16) as temporary:
        write_rows(temporary, 0, np.full((1, 16, 16), 255, np.uint8))
    pack_shard([(0, path, True)], replace(packing, masks_digest="another"))
    whole = open_pack(tmp_path / "a_32.npy", "x")[0]
    np.testing.assert_array_equal(whole, try_square(path, 32, "pad")[0])
    assert np.count_nonzero(masked) < np.count_nonzero(whole) / 2


def test_a_film_whose_mask_is_not_accepted_is_kept_whole(tmp_path):
    (path,) = films_in(tmp_path, 1)
    masked, whole = packing_in(tmp_path, "masked", 1, "hard"), packing_in(tmp_path, "whole", 1, "hard")
    pack_shard([(0, path, True)], masked)
    pack_shard([(0, path, False)], whole)
    film = open_pack(tmp_path / "whole_32.npy", "x")[0]
    np.testing.assert_array_equal(film, try_square(path, 32, "pad")[0])
    assert np.count_nonzero(open_pack(tmp_path / "masked_32.npy", "x")[0]) < np.count_nonzero(film) / 2


def test_no_mask_is_read_where_none_is_wanted(tmp_path):
    (path,) = films_in(tmp_path, 1)
    packing = packing_in(tmp_path, "none", 1, "none")
    (tmp_path / "none_masks.npy").unlink()
    assert pack_shard([(0, path, True)], packing)[0]["problem"] == ""


def test_an_unreadable_film_stays_black_and_says_why(tmp_path):
    packing = packing_in(tmp_path, "a", 2)
    assert pack_shard([(1, tmp_path / "none.png", True)], packing) == [
        {"problem": f"unreadable: {tmp_path / 'none.png'}: cannot be read: No such file or directory"}
    ]
    assert open_pack(tmp_path / "a_32.npy", "x").max() == 0


def test_unreadable_films_are_listed_and_more_than_a_tenth_of_those_on_disk_stops(tmp_path):
    paths = films_in(tmp_path, 20)
    names = [path.name for path in paths]
    bad = f"unreadable: {paths[3]}: is empty"
    problems = ["", "", "", bad, "mask of another shape", bad] + [""] * 14
    assert list_broken(names, paths, problems, tmp_path / "p.csv") == 3
    assert pd.read_csv(tmp_path / "p.csv").to_numpy().tolist() == [
        ["03.png", bad], ["04.png", "mask of another shape"], ["05.png", bad]
    ]  # fmt: skip
    problems[6] = bad
    with pytest.raises(
        InputError, match=r"3 of 20 films on disk cannot be read, more than a tenth: .*03.png: is empty"
    ):
        list_broken(names, paths, problems, tmp_path / "p.csv")
    assert len(pd.read_csv(tmp_path / "p.csv")) == 4  # listed all the same


def test_films_that_are_not_there_never_count_as_unreadable(tmp_path):
    paths = [*films_in(tmp_path, 2), *(tmp_path / f"gone{n}.png" for n in range(5))]
    problems = ["", "", *["unreadable: no such file"] * 5]
    assert list_broken(map(str, paths), paths, problems, tmp_path / "p.csv") == 5
    with pytest.raises(InputError, match=r"none of the 5 films is on disk any more; the first: .*gone0.png"):
        list_broken(map(str, paths[2:]), paths[2:], problems[2:], tmp_path / "p.csv")
