import errno
import itertools
import os
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from cxr.core.errors import InputError
from cxr.preparation.packs import open_pack, write_rows, written_pack

FILMS = np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4)


def write_in_order(path, order):
    with written_pack(path, 5, 4) as temporary:
        for row in order:
            write_rows(temporary, row, FILMS[row : row + 1])


def test_rows_may_be_written_in_any_order_and_twice(tmp_path):
    for n, order in enumerate(itertools.islice(itertools.permutations(range(5)), 0, None, 17)):
        write_in_order(tmp_path / f"{n}.npy", [*order, order[0]])
        np.testing.assert_array_equal(open_pack(tmp_path / f"{n}.npy", "x"), FILMS)
        assert (tmp_path / f"{n}.npy").read_bytes() == (tmp_path / "0.npy").read_bytes()


def test_several_rows_are_written_at_once_from_any_memory_layout(tmp_path):
    with written_pack(tmp_path / "a.npy", 5, 4) as temporary:
        write_rows(temporary, 1, FILMS[::-1][1:4])
    np.testing.assert_array_equal(open_pack(tmp_path / "a.npy", "x")[1:4], FILMS[3:0:-1])


def test_a_pack_is_preallocated_black_and_whole(tmp_path):
    with written_pack(tmp_path / "a.npy", 3, 8) as temporary:
        assert not (tmp_path / "a.npy").exists()
        header = temporary.stat().st_size - 3 * 8 * 8
        assert 0 < header <= 256
        assert temporary.stat().st_blocks * 512 >= 3 * 8 * 8
        write_rows(temporary, 2, np.ones((1, 8, 8), np.uint8))
    pack = open_pack(tmp_path / "a.npy", "x")
    assert pack[:2].max() == 0
    assert pack[2].min() == 1


def test_numpy_reads_the_header(tmp_path):
    write_in_order(tmp_path / "a.npy", range(5))
    pack = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert isinstance(pack, np.memmap)
    assert (pack.shape, pack.dtype, pack.flags.c_contiguous) == ((5, 4, 4), np.uint8, True)
    np.testing.assert_array_equal(pack, FILMS)


def test_a_pack_that_is_read_cannot_be_written(tmp_path):
    write_in_order(tmp_path / "a.npy", range(5))
    pack = open_pack(tmp_path / "a.npy", "x")
    with pytest.raises(ValueError, match="read-only"):
        pack[0] = 1


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        (0, np.zeros((1, 4, 5), np.uint8)),
        (0, np.zeros((1, 5, 5), np.uint8)),
        (0, np.zeros((4, 4), np.uint8)),
        (5, np.zeros((1, 4, 4), np.uint8)),
        (4, np.zeros((2, 4, 4), np.uint8)),
        (-1, np.zeros((1, 4, 4), np.uint8)),
        (0, np.zeros((1, 4, 4), np.float32)),  # four bytes a pixel would run over the next rows
        (0, np.zeros((1, 4, 4), bool)),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, first, rows):
    write_in_order(tmp_path / "a.npy", range(5))
    before = (tmp_path / "a.npy").read_bytes()
    with pytest.raises(ValueError, match=r"do not fit a uint8 pack of \(5, 4, 4\)"):
        write_rows(tmp_path / "a.npy", first, rows)
    assert (tmp_path / "a.npy").read_bytes() == before


def test_an_error_leaves_no_half_pack(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_in_order(tmp_path / "a.npy", (1 / (2 - row) and row for row in range(5)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_a_full_disk_is_an_error_before_any_work(tmp_path, monkeypatch, number):
    def full(descriptor, offset, length):
        assert (offset, length > 10 * 512 * 512) == (0, True)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", full)
    work = []
    with (
        pytest.raises(InputError, match=r"a.npy: needs 0.0 GB, the disk has no room for it. Free some or change DATA_"),
        written_pack(tmp_path / "a.npy", 10, 512),
    ):
        work.append("started")
    assert work == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("machine", ["macOS", errno.EOPNOTSUPP, errno.EINVAL])
def test_without_posix_fallocate_a_pack_is_the_same_and_a_full_disk_still_an_error_before_any_work(
    tmp_path, monkeypatch, machine
):
    write_in_order(tmp_path / "usual.npy", range(4))
    if machine == "macOS":
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", cannot(machine))
    write_in_order(tmp_path / "a.npy", range(4))
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "usual.npy").read_bytes()
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=10 * 512 * 512))
    work = []
    with (
        pytest.raises(InputError, match=r"b.npy: needs 0.0 GB, the disk has no room"),
        written_pack(tmp_path / "b.npy", 10, 512),
    ):
        work.append("started")
    assert work == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "usual.npy"]


def cannot(number):
    def allocate(*_):
        raise OSError(number, os.strerror(number))

    return allocate


def test_another_error_of_the_disk_is_not_called_full(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "posix_fallocate", cannot(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), written_pack(tmp_path / "a.npy", 1, 4):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_pack_is_refused_by_name(tmp_path):
    path = tmp_path / "a.npy"
    with pytest.raises(InputError, match=r"a.npy: not there yet. Make it with: sh prepare_data.sh"):
        open_pack(path, "sh prepare_data.sh")
    np.save(path, np.array([{"any": "object"}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a.npy: not a packed array \(.*Python objects.*sh prepare_data.sh"):
        open_pack(path, "sh prepare_data.sh")
    for content in (b"", b"<html>", b"\x93NUMPY\x01\x00", pickle.dumps([1])):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a.npy: not a packed array"):
            open_pack(path, "x")
    for array in (np.zeros((2, 4, 4), np.float32), np.zeros((4, 4), np.uint8)):
        np.save(path, array)
        with pytest.raises(InputError, match=r"a.npy: expected uint8 of shape \(N, size, size\), found"):
            open_pack(path, "x")


def test_a_pack_cut_short_is_refused(tmp_path):
    write_in_order(tmp_path / "a.npy", range(5))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:-1])
    with pytest.raises(InputError, match=r"a.npy: not a packed array"):
        open_pack(tmp_path / "a.npy", "x")


def test_a_pack_that_is_not_there_is_no_broken_one(tmp_path):
    with pytest.raises(InputError, match=r"images_32\.npy: not there yet\. Make it with: sh prepare_data\.sh$"):
        open_pack(tmp_path / "images_32.npy", "sh prepare_data.sh")
