"""Reading saved networks: nothing in them is executed."""

import json
import zipfile
from pathlib import Path

from cxr.core.artifacts import need
from cxr.core.errors import InputError
from cxr.imaging.file_kinds import HEAD, UNREAD, kind_of
from cxr.networks.backend import keras
from cxr.networks.output_stride import built_anew

LONGEST = 160  # letters of a reason: Keras shows the whole configuration of what it cannot read


def reason_of(error: Exception, path: Path) -> str:
    """Why a network's file is not read: what lies there instead, or the first line of what Keras, h5py or zipfile say.

    Parameters
    ----------
    error : Exception
        That reading it raised; some say nothing.
    path : Path
        Nothing is there where Keras was to download it.
    """
    if path.is_dir():
        return "it is a folder; a SavedModel of TensorFlow is not read"
    kind = kind_of(_head(path))
    if kind in ("a Git LFS pointer", "a web page"):
        return f"it is {kind}; {UNREAD[kind][2]}"
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        return "it is no zip file, or a part of it is missing"
    said = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if len(said) > LONGEST:
        said = said[:LONGEST].rsplit(" ", 1)[0] + " …"
    if "found 0 saved layers" in said:
        said += " If Keras 3 wrote it, its name must end in .weights.h5"
    written_by = _keras_of(path)
    same = written_by in ("", keras.__version__)
    return said if same else f"it is of Keras {written_by}, this is {keras.__version__}: {said}"


def _head(path: Path) -> bytes:
    """How a file begins; empty where there is none."""
    if not path.is_file():
        return b""
    with open(path, "rb") as file:
        return file.read(HEAD)


def _keras_of(path: Path) -> str:
    """The version of Keras that saved a ``.keras`` file, "" where that cannot be told."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json"))["keras_version"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return ""


def _in_float32(model: keras.Model) -> keras.Model:
    """The same network built anew: what networks within it, as ConvNeXt has, round their inputs to cannot be set."""
    again = built_anew(model, lambda layer: {"dtype": "float32"} if "dtype" in layer.get_config() else {})  # sums: none
    again.set_weights(model.get_weights())
    return again


def load_model(path: Path, size: int, made_by: str) -> keras.Model:
    """Read a saved network without running any code from it, to be run in the precision in force.

    One that was trained in half precision says so of its layers: in float32 it says on every machine the same.

    Raises
    ------
    InputError
        Not there, not readable, or made for films of another size.
    """
    try:
        model = keras.saving.load_model(need(path, made_by), compile=False, safe_mode=True)
        halved = any(layer.compute_dtype != "float32" for layer in model.layers)
        if halved and keras.config.dtype_policy().name == "float32":
            model = _in_float32(model)
    except InputError:
        raise
    except Exception as error:  # zip, JSON and HDF5 errors alike: the file is no whole Keras model
        raise InputError(
            f"{path}: not a whole Keras model ({reason_of(error, path)}). Make it again with: {made_by}"
        ) from None
    if model.input_shape[1:] != (size, size, 1):
        sides = "x".join(str(side) for side in model.input_shape[1:])
        raise InputError(
            f"{path}: takes films of {sides}, PARAMS.json says {size}x{size}x1. Change it, or make the model again "
            f"with: {made_by}"
        )
    return model
