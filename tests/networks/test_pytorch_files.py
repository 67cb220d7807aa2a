"""Tensors of PyTorch's files without PyTorch; what asks for more than tensors is refused and not run."""

import base64
import contextlib
import io
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from cxr.core.errors import InputError
from cxr.networks import pytorch_files

# {"epoch": 3, "state_dict": …} as PyTorch 2.13 wrote it, now and in its form before 1.6; packed by zlib.
ZIP = """
eNqlVttv21QYP7HbJHWhl8FI10G5DUihS2O7cdK1WzqDLCQj0ZiLor5EbuI2Fm6czznpBBJSJdQCb0NCPKK98DfskUn8BSCK0MTbHjae4JFHzvFJPR9Paa
A9iuPb+V2+4+/77E1THEMom0VPjBl0AdlBs+3uO8stG9uF7ieeoU+hLW4cCJ8DytfHCcDp+s02pEyxLpGzHrax02i5TQxCs+l7ntPErt/pSe8HLSdwWu+Q
OxKIixaMMXjXs90OjDexT0QLjT52vZ7UCJztvuu1Gtjp9Pygsa9IkM7n65lQwQ/sXQcyDCIZnm/jD9hFCbL1FJlThIm6SPbNbh8kM41hsmYiUzDFI3jKFM
3UETz9dZuamMIwbcFMPU0m437QcVow2yZK7Uw7255oh9gLFCuawhE8Y6YoxbMMexHDcxbkQqHAvwVzSeClGoGJhzBvpg7hMgM9j+EFCxbqZPVR2/Z24EWG
GgTzLrkUxfJSGIsMLxM6AcMrYQyH8Cqlu8LoXsPwugVvhP63d+hKQJ4j1MPlkbWIdDEkVeBNRvrWgHSJkl5lpAUMyxYU6xP08diBvedgJwB5yCOKZkignK
xAqKGCyjRWBholqqExjTKGigWrX4Un176ENQvWw3xo+v0OhutcEO/5nd0ogBsh+QpUCXkKwwYhX1xkpDcx6Ba83e8XNs1MtnPx0f07AkJ02xya7zl0Ocr3
wo4f7Nm4se8EPZK0hp5LpH00ZCpw968/vqBe6DZcYB6VHwsMkrdhe+5uZ8/pYENXh2mcNrQVaqB6C/4kwSHhVAOzqBoZ2P4UOz6tRENfO4vuyfBcjD2Hej
i8/uASzb70qR6m0A2uqywXDf3aOQww1oMq+dsgP7IdkO3OBnWUu/3wmzlyY26EoyXekWzo+f/siIRzj2ppx8ff0lIeG6G1wWsphr5+nuXfuldl+pna1oMz
6Kvn1Wdrf1ClHm7X0sdUNDvCwzrvYcXQK2f2kBmwUv3ubw/90frTaC3Sj+q7fFYDqkSVf/5+96PR9beAlMcNIAy95wQu6QCf2fTV2HBbhl74n0aKxVJJXi
3KlZKqFNXSarFcKcuaqimaXFLIiaKRQ62iUZdXvvvphzzxkQ9dpqjZyGe8R8484Tz5HZBExxtgjkP+LaBhXTVJEm9i8xxJTUSndM4kT7wRzXI8v8R4ogaY
hMe7xhQH/3gMJXpXEhvvAjz2URIrJ7HxCuaxH44nsEoSG688HvtrEqsmsfGq4bH0Y4Kv1CQ2nvfTHPb3GHbI846n4wIHtjJoRKFsmun00klZiVcj5GRi/6
PA9v9kTtpEOjy6K7Fz9sYeTzPMZDifzf0XV0eCxw==
"""
BEFORE_1_6 = """
eNp9k9lu00AUQL1koYaWslO2lj1hCYnjpA1LE0qpkIat5sUvyHLtaW1kPLnjcRFIlfLSUvgGHnjkM/o7fAISD8zYbiAiYHlsz/j6nLl3xgPlsxb+/LLyY+
7Nt5cztYHy7LvKr1sgVaxpSZL6lDDiktDexDQOSAQyD7Am+ZswYCzENo68wIlA2bU0Psje97EdBx9wDOoWFCpWkQ/GPqEMikixVN4LIgYlVLAKgkGiDSij
QpLsO0U87hPXBxmpKTJmDsO2F7gMFJfPJMQu4xOJtRfUwxR7y/yNBmrV3Nf1QyeIoOgyQl2/ZicsCGPNpngtCULPZjiKCbU3dQ1KlYpVTg2EOhsYytkn2k
pIHPYqG9TggDXFYzpGo6EbTb0zr9ebOkykqbj9BDRUes7g4CqSkILUHTiEVCTvwOQnX0xpisFhE6atkqhNQiPswRGfe/2yP5Z71M94xwRPRcoOHEeywJ7I
eCcZnDLhdGqn5B3M/A92JoedXeUodRvOIXkbzmegCwxmTZhLV8F3wnW4mJHyEjzhQ8MKXPoNbxptw2i0OfwyhyscfiXNfBuuCvi1DH6dQcWEapr12rqoJt
wYwS+lJW60h4qbI4pmq7Ng1OFWrridK2pCcSdT1Bk0TNCtCbHgDnXeYoYpNP+x6MMIDYy/KyaSqndadQNaubGdG+eFcSEzdhjcNeHebtq5/xEemLCY7jeX
JHxLd0cSfMo39jC53qhqoaU32vCQq2SuWuKqajVTPGKwbMLj9G94Lf6GMUWRx81bGbdC6jhtYdxGKeKaImXHXlfa23+WpEFXtGF/UdqT88dyfi9Jfx4iXu
rxk7cBb197vwBmXBnn
"""


@pytest.mark.parametrize("content", [ZIP, BEFORE_1_6], ids=["zip", "before 1.6"])
def test_every_kind_of_tensor_is_read_as_pytorch_wrote_it(tmp_path, content):
    path = tmp_path / "a.pt"
    path.write_bytes(zlib.decompress(base64.b64decode(content)))
    found = pytorch_files.read_tensors(path)
    assert found["epoch"] == 3
    found = {name: values.tolist() for name, values in found["state_dict"].items()}
    assert found == {
        "plain": [[0, 1, 2], [3, 4, 5]], "turned": [[0, 3], [1, 4], [2, 5]], "row": [3, 4, 5],
        "half": [1.5, -2], "bfloat": [1.5, -2], "parameter": [1, 1], "count": 7,
    }  # fmt: skip


class Calls:
    """Pickled, a call of any function with any arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def zipped(pickled: bytes, **options) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", **options) as archive:
        archive.writestr("archive/data.pkl", pickled)
    return whole.getvalue()


def refused(path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        pytorch_files.read_tensors(path)
    return str(caught.value)


@pytest.mark.parametrize("form", [zipped, bytes], ids=["zip", "before 1.6"])
def test_no_code_in_a_file_is_run(tmp_path, form):
    mark = tmp_path / "mark"
    for call in (Calls(os.system, f"touch {mark}"), Calls(eval, f"open({str(mark)!r}, 'w')"), Calls(getattr, "", "x")):
        said = refused(tmp_path / "a.pt", form(pickle.dumps({"state_dict": call}, 2)))
        assert "only tensors are read, no code is run" in said
        assert "torch.save(model.state_dict(), FILE)" in said
    assert not mark.exists()


STORAGE = (
    b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x02tQ"  # of two numbers, in the archive
)


def tensor_of(offset: bytes, shape: bytes, strides: bytes, storage: bytes = STORAGE) -> bytes:
    """What a pickle says of one tensor."""
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + shape + strides + b"tR"


def archive_of(tensor: bytes) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + tensor + b".")
        archive.writestr("archive/data/0", np.float32([1, 2]).tobytes())
    return whole.getvalue()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(b"K\x01", b"K\x02\x85", b"K\x01\x85"), (b"J\xff\xff\xff\xff", b"K\x01\x85", b"K\x01\x85"),
     (b"K\0", b"J\xff\xff\xff\x7f\x85", b"K\0\x85")],
    ids=["beyond", "before", "one number, two billion times"],
)  # fmt: skip
def test_a_tensor_lies_within_its_numbers(tmp_path, offset, shape, strides):
    said = refused(tmp_path / "a.pt", archive_of(tensor_of(offset, shape, strides)))
    assert "a tensor lies outside its numbers" in said


def test_a_tensor_of_a_tensor_that_repeats_a_number_reads_nothing_beyond(tmp_path):
    repeats = tensor_of(b"K\x01", b"K\x02\x85", b"K\0\x85")  # the second number twice
    beyond = tensor_of(b"K\0", b"K\x02\x85", b"K\x01\x85", repeats)
    assert "a tensor is not of a storage" in refused(tmp_path / "a.pt", archive_of(beyond))


@pytest.mark.parametrize("again", [b"\x85" * 200_000, b"2\x86" * 40], ids=["one in one", "two in two"])
def test_tuples_of_tuples_without_end_are_refused_and_end_nothing(tmp_path, again):
    pickled = b"\x80\x02})" + again + b"K\x01s."  # {((((),),),): 1}, and what doubles with each
    assert "a tuple in it is too large" in refused(tmp_path / "a.pt", zipped(pickled))


def test_what_is_no_such_file_or_a_part_of_one_is_told(tmp_path):
    whole = zlib.decompress(base64.b64decode(BEFORE_1_6))
    for content in (b"", b"not a pickle", whole[: len(whole) // 2], whole[:-4], zipped(b"")):
        assert "its tensors cannot be read (" in refused(tmp_path / "a.pth", content)
    assert "zipped again" in refused(tmp_path / "a.pt", zipped(b"", compression=zipfile.ZIP_DEFLATED))
    assert "Git LFS pointer" in refused(tmp_path / "a.pt", b"version https://git-lfs.github.com/spec/v1\n")


def storage_of(key: str, count: int) -> bytes:
    return b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0%bX\3\0\0\0cpuJ%bNtQ" % (
        key.encode(),
        struct.pack("<i", count),
    )


FIRST = (b"K\0", b"K\x01\x85", b"K\x01\x85")  # the first number of a storage


def one_number_over_many_storages() -> bytes:
    """In the form before 1.6: ten storages of a megabyte, for each of which one number is there."""
    tensors = b"".join(tensor_of(*FIRST, storage_of(key, 250_000)) for key in "0123456789")
    begin = [pickle.dumps(part, 2) for part in (pytorch_files.MAGIC, pytorch_files.PROTOCOL, {"little_endian": True})]
    numbers = struct.pack("<qf", 1, 1) * 10
    parts = [*begin, b"\x80\x02](" + tensors + b"e.", pickle.dumps(list("0123456789"), 2), numbers, bytes(1_000_000)]
    return b"".join(parts)


def one_storage_many_times() -> bytes:
    """A megabyte of which every tensor wants another part."""
    whole = io.BytesIO(archive_of(b"](" + b"".join(tensor_of(*FIRST, storage_of("1", n)) for n in range(1, 99)) + b"e"))
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr("archive/data/1", bytes(1_000_000))
    return whole.getvalue()


@pytest.mark.parametrize(
    "content",
    [zipped(b"\x80\x02}r\0\0\x40\0."), one_storage_many_times(), one_number_over_many_storages()],
    ids=["a memo of four million places", "one storage many times", "one number over many storages"],
)
def test_a_file_takes_no_more_memory_than_some_times_its_size(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    tracemalloc.start()
    with contextlib.suppress(InputError):
        pytorch_files.read_tensors(tmp_path / "a.pt")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


@pytest.mark.parametrize(
    ("header", "said"),
    [(b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', "a lies outside the file"),
     (b'{"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}', "cannot be read"),
     (b'{"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 4]}}', "cannot be read"),
     (b'{"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}, '
      b'"b": {"dtype": "F16", "shape": [1], "data_offsets": [1, 3]}}', "its tensors lie on one another"),
     (b'{"a": {"dtype": "F8", "shape": [1], "data_offsets": [0, 4]}}', "cannot be read")],
)  # fmt: skip
def test_a_safetensors_header_that_lies_is_refused(tmp_path, header, said):
    content = len(header).to_bytes(8, "little") + header + bytes(4)
    assert said in refused(tmp_path / "a.safetensors", content)
    assert "longer than the file" in refused(tmp_path / "a.safetensors", b"\xff" * 8 + content)
