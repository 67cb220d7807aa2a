"""Tensors from PyTorch's files and from safetensors, without PyTorch: nothing in a file is executed."""

import collections
import json
import math
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cxr.core.artifacts import ordinary
from cxr.core.errors import InputError
from cxr.networks.saved_models import reason_of

# NumPy has no bfloat16: the upper half of a float32.
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"}
TYPES |= {"U8": "u1", "BOOL": "?"}
STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}  # fmt: skip
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # how PyTorch's files before version 1.6 begin
TUPLES = (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)
LARGEST_TUPLE = 10_000  # parts, those of tuples within it among them; PyTorch's have ten
LONGEST_HEADER = 100_000_000  # bytes of JSON, as the safetensors package has it


def read_tensors(path: Path) -> Any:
    """What a file holds: dicts, lists, numbers and text, with an ndarray for each tensor.

    Raises
    ------
    InputError
        Not whole, or it asks for more than tensors: a whole pickled network does, which PyTorch would run code for.
    """
    try:
        with open(ordinary(path), "rb") as file:
            if path.suffix.lower() == ".safetensors":
                return _safetensors(file, path.stat().st_size)
            if zipfile.is_zipfile(file):
                return _zipped(file, path.stat().st_size)
            file.seek(0)
            return _before_1_6(file, path.stat().st_size)
    except InputError:
        raise
    except Exception as error:  # whatever zip, JSON, pickle and NumPy raise at what somebody else wrote
        raise InputError(
            f"{path}: its tensors cannot be read ({reason_of(error, path)}). Expected .safetensors, or a state that "
            "PyTorch saved: torch.save(model.state_dict(), FILE)."
        ) from None


def _array(content: bytes, kind: str, count: int) -> np.ndarray:
    values = np.frombuffer(content, TYPES[kind], count)
    return (values.astype("<u4") << 16).view("<f4") if kind == "BF16" else values


def _safetensors(file: BinaryIO, length: int) -> dict[str, np.ndarray]:
    """Its length in 8 bytes, JSON of that length with each tensor's type, shape and place, then the numbers."""
    (header,) = struct.unpack("<Q", file.read(8))
    if header > min(LONGEST_HEADER, length):
        raise ValueError("its header is longer than the file")
    entries = json.loads(file.read(header))
    content = file.read()
    tensors, taken = {}, 0
    for name, entry in entries.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            if not 0 <= begin <= end <= len(content):
                raise ValueError(f"{name} lies outside the file")
            taken += end - begin
            if taken > len(content):
                raise ValueError("its tensors lie on one another")
            tensors[name] = _array(content[begin:end], entry["dtype"], -1).reshape(entry["shape"])
    return tensors


def _small(load: Callable) -> Callable:
    """What makes a tuple, refusing one of tuples of tuples …: hashed as a key, it would end Python, or never end."""

    def checked(unpickler: "_Unpickler") -> None:
        load(unpickler)
        made, sizes = unpickler.stack[-1], unpickler.sizes
        size = 1 + sum(sizes[id(part)][0] if id(part) in sizes else 1 for part in made)
        if size > LARGEST_TUPLE:
            raise pickle.UnpicklingError("a tuple in it is too large")
        sizes[id(made)] = size, made  # which stays, and its id with it

    return checked


class _Unpickler(pickle._Unpickler):
    """Only tensors and what holds them. All that a file may call is made anew for it, in `find_class`.

    Python's own and not the one in C, whose memo is an array: a number in the file would make it as long as memory has.
    """

    dispatch = pickle._Unpickler.dispatch | {code[0]: _small(pickle._Unpickler.dispatch[code[0]]) for code in TUPLES}

    def __init__(self, file: BinaryIO, storage: Callable[[str, str, int], np.ndarray]):
        super().__init__(file, encoding="utf-8")  # names that Python 2 wrote are bytes
        self.storage = storage
        self.sizes: dict[int, tuple[int, tuple]] = {}

    def find_class(self, module: str, name: str) -> Any:
        def rebuild_tensor(values: np.ndarray, offset: int, shape: tuple, strides: tuple, *_) -> np.ndarray:
            if not isinstance(values, np.ndarray) or values.ndim != 1 or not values.flags.c_contiguous:
                raise pickle.UnpicklingError("a tensor is not of a storage")  # a view of a view could reach beyond it
            last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
            # No more numbers than there are: shapes of a file's choice would fill the memory.
            if min(offset, *shape, *strides, 0) < 0 or max(last + 1, math.prod(shape)) > values.size:
                raise pickle.UnpicklingError("a tensor lies outside its numbers")
            in_bytes = [stride * values.itemsize for stride in strides]
            return np.lib.stride_tricks.as_strided(values[offset:], shape, in_bytes, writeable=False)

        def rebuild_parameter(tensor: np.ndarray, *_) -> np.ndarray:
            return tensor

        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        known = {
            "collections.OrderedDict": collections.OrderedDict,
            "torch._utils._rebuild_tensor": rebuild_tensor,
            "torch._utils._rebuild_tensor_v2": rebuild_tensor,
            "torch._utils._rebuild_parameter": rebuild_parameter,
        }
        if f"{module}.{name}" not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}; only tensors are read, no code is run")
        return known[f"{module}.{name}"]

    def persistent_load(self, saved: tuple) -> np.ndarray:
        # The last one is of storages that share their numbers, as PyTorch saved them until 2017.
        what, kind, key, _, count, *view = saved
        if what != "storage" or any(view):
            raise pickle.UnpicklingError("it holds storages of another kind")
        return self.storage(kind, key, count)


def _zipped(file: BinaryIO, length: int) -> Any:
    """A zip file, nothing in it packed: data.pkl, and a file for the numbers of each storage."""
    with zipfile.ZipFile(file) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("it was zipped again; unpack that")
        if sum(entry.file_size for entry in archive.infolist()) > length:
            raise ValueError("what is in it is larger than itself")
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError("no data.pkl in it")
        folder = names[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        storages: dict[str, np.ndarray] = {}  # each once, however many tensors are of it, and of whatever kind they say

        def storage(kind: str, key: str, count: int) -> np.ndarray:
            name = f"{folder}data/{key}"
            if name not in storages:
                storages[name] = _array(archive.read(name), kind, count)
            return storages[name]

        with archive.open(names[0]) as pickled:
            return _Unpickler(pickled, storage).load()


def _before_1_6(file: BinaryIO, length: int) -> Any:
    """Pickles one after the other, the numbers last: where they belong is known before they are."""
    awaited: dict[str, tuple[np.ndarray, str]] = {}
    room = length

    def storage(kind: str, key: str, count: int) -> np.ndarray:
        nonlocal room
        if key not in awaited:
            room -= (size := count * np.dtype(TYPES[kind]).itemsize)
            if size < 0 or room < 0:
                raise pickle.UnpicklingError("its storages are larger than the file")
            awaited[key] = (np.zeros(count, "<f4" if kind == "BF16" else TYPES[kind]), kind)
        return awaited[key][0]

    magic, protocol, system, content = (_Unpickler(file, storage).load() for _ in range(4))
    if (magic, protocol) != (MAGIC, PROTOCOL) or not system["little_endian"]:
        raise ValueError("it does not begin as a file of PyTorch's, or is big-endian")
    keys = _Unpickler(file, storage).load()
    if set(keys) != awaited.keys():
        raise ValueError("it does not hold the numbers of all its tensors")
    for key in keys:
        values, kind = awaited[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != values.size:
            raise ValueError("a storage has another length than it was said to have")
        values[:] = _array(file.read(count * np.dtype(TYPES[kind]).itemsize), kind, count)
    return content
