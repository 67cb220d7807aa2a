import functools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.errors import InputError
from cxr.images import write_image
from cxr.packs import open_pack, write_rows, written_pack
from cxr.preparation import READ_AHEAD, Packing, in_order, list_broken, pack_film, process_count, try_pair, try_square
from tests.conftest import PROJECT

FILM = np.add.outer(np.arange(40), 2 * np.arange(60)).astype(np.uint8)


def films_in(folder, count):
    for n in range(count):
        write_image(FILM // 2 + 3 * n, folder / f"{n:02d}.png")
    return [folder / f"{n:02d}.png" for n in range(count)]


def test_zero_workers_means_one_a_core_of_this_process():
    assert process_count(0) == len(os.sched_getaffinity(0)) >= 1
    assert process_count(3) == 3


def test_results_keep_the_order_of_the_jobs_with_few_in_flight_and_a_broken_film_is_a_problem(tmp_path):
    paths = films_in(tmp_path, 40)
    write_image(np.kron(FILM, np.ones((20, 20), np.uint8)), paths[0])  # slow: the others overtake it
    paths[7].write_text("<html>404</html>")
    given, done = [], []

    def jobs():
        for path in paths:
            given.append(path)
            assert len(given) - len(done) <= READ_AHEAD * 2 + 1
            yield path

    for square, problem in in_order(functools.partial(try_square, size=32, fit="pad"), jobs(), workers=2):
        done.append((square, problem))
    assert [problem != "" for _, problem in done] == [n == 7 for n in range(40)]
    assert "07.png: not readable as an image" in done[7][1]
    assert done[7][0].max() == 0
    for n in (0, 1, 20, 39):
        np.testing.assert_array_equal(done[n][0], try_square(paths[n], 32, "pad")[0])


def test_an_error_that_is_no_film_s_fault_stops_the_loop():
    results = in_order(len, ["ab", "abc", 5], workers=1)
    assert next(results) == 2
    assert next(results) == 3
    with pytest.raises(TypeError, match="has no len"):
        next(results)


def test_a_pair_comes_as_two_squares_or_a_problem(tmp_path):
    mask = np.zeros_like(FILM)
    mask[10:30, 10:50] = 255
    write_image(FILM, tmp_path / "film.png")
    write_image(mask, tmp_path / "mask.png")
    film, lungs, problem = try_pair((tmp_path / "film.png", [tmp_path / "mask.png"]), 60, "pad")
    assert problem == ""
    np.testing.assert_array_equal(film[10:50], FILM)
    np.testing.assert_array_equal(lungs[10:50], mask)
    film, lungs, problem = try_pair((tmp_path / "film.png", [tmp_path / "none.png"]), 60, "pad")
    assert film is None
    assert lungs is None
    assert "none.png: cannot be read" in problem


def packing_in(folder, name, count, masking="loose", sizes=(24, 32)) -> Packing:
    mask = np.zeros((count, 16, 16), np.uint8)
    mask[:, 4:12, 3:7] = mask[:, 4:12, 9:13] = 255
    with written_pack(folder / f"{name}_masks.npy", count, 16) as temporary:
        write_rows(temporary, 0, mask)
    for size in sizes:
        with written_pack(folder / f"{name}_{size}.npy", count, size):
            pass
    packs = tuple((size, str(folder / f"{name}_{size}.npy")) for size in sizes)
    return Packing(packs, str(folder / f"{name}_masks.npy"), "pad", masking, 0.04)


def test_packs_are_the_same_whatever_the_order_and_the_processes(tmp_path):
    paths = films_in(tmp_path, 6)
    jobs = [(row, path, row != 2) for row, path in enumerate(paths)]
    here, there = packing_in(tmp_path, "here", 6), packing_in(tmp_path, "there", 6)
    forwards = [pack_film(job, here) for job in jobs]
    backwards = list(in_order(functools.partial(pack_film, packing=there), jobs[::-1], workers=2))
    assert backwards[::-1] == forwards
    for size in (24, 32):
        first, second = (open_pack(tmp_path / f"{name}_{size}.npy", "x") for name in ("here", "there"))
        np.testing.assert_array_equal(first, second)
        assert len({film.tobytes() for film in first}) == 6


def test_a_film_whose_mask_is_not_accepted_is_kept_whole(tmp_path):
    (path,) = films_in(tmp_path, 1)
    masked, whole = packing_in(tmp_path, "masked", 1, "hard"), packing_in(tmp_path, "whole", 1, "hard")
    pack_film((0, path, True), masked)
    pack_film((0, path, False), whole)
    film = open_pack(tmp_path / "whole_32.npy", "x")[0]
    np.testing.assert_array_equal(film, try_square(path, 32, "pad")[0])
    assert np.count_nonzero(open_pack(tmp_path / "masked_32.npy", "x")[0]) < np.count_nonzero(film) / 2


def test_no_mask_is_read_where_none_is_wanted(tmp_path):
    (path,) = films_in(tmp_path, 1)
    packing = packing_in(tmp_path, "none", 1, "none")
    (tmp_path / "none_masks.npy").unlink()
    assert pack_film((0, path, True), packing)["problem"] == ""


def test_an_unreadable_film_stays_black_and_says_why(tmp_path):
    packing = packing_in(tmp_path, "a", 2)
    assert pack_film((1, tmp_path / "none.png", True), packing) == {
        "problem": f"unreadable: {tmp_path / 'none.png'}: cannot be read: No such file or directory"
    }
    assert open_pack(tmp_path / "a_32.npy", "x").max() == 0


def test_a_row_s_digest_tells_its_pixels(tmp_path):
    first, second = films_in(tmp_path, 2)
    packing = packing_in(tmp_path, "a", 3, "none")
    digests = [pack_film((row, path, False), packing)["digest_32"] for row, path in enumerate((first, second, first))]
    assert digests[0] == digests[2] != digests[1]


def alive(pid) -> bool:
    """A zombie, ended and waiting for its parent to ask, does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_end_with_the_run_that_started_them_even_a_killed_one(tmp_path):
    code = "import time; from cxr.preparation import in_order; print(*in_order(time.sleep, [0, 0, 60, 60], 2))"
    run = subprocess.Popen([sys.executable, "-c", code], env={"PYTHONPATH": str(PROJECT / "src")})
    try:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        wait_until(lambda: sum(b"spawn_main" in command_of(pid) for pid in children.read_text().split()) == 2)
        workers = children.read_text().split()
    finally:
        run.kill()
    run.wait()
    wait_until(lambda: not any(map(alive, workers)))


def command_of(pid) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes() if alive(pid) else b""


def wait_until(true, seconds=20):
    for _ in range(seconds * 20):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError(f"not so after {seconds} s")


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
