"""Networks as ONNX: written by Keras' own exporter, run by ONNX Runtime, and compared with Keras on the same films."""

import importlib.util
import os
import warnings
from pathlib import Path

import numpy as np

from cxr.core.errors import InputError

PACKAGES = ("tf2onnx", "onnxruntime")
TOLERANCE = 1e-4  # largest difference of a film's probability
PIXEL_TOLERANCE = 1e-3  # of a pixel's, in a lung mask: it counts only around the threshold


def why_not() -> str:
    """Why no ONNX file can be written here, and what to do; "" where it can."""
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        return "it is written with TensorFlow only. Unset KERAS_BACKEND: the same models load there"
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    return f'{", ".join(missing)} not installed. Run: pip install -e ".[onnx]"' if missing else ""


def export(network, path: Path, films: np.ndarray, tolerance: float = TOLERANCE) -> float:
    """Write a network as ONNX; returns the largest difference of its output on a few films from Keras'.

    Parameters
    ----------
    network : keras.Model
    path : Path
    films : ndarray of shape (N, size, size), uint8
    tolerance : float

    Raises
    ------
    InputError
        The outputs differ by more than ``tolerance``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    expected = np.asarray(network(as_input(films), training=False))  # first: Keras exports only what was called before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of Keras' own code, about NumPy
        network.export(path, format="onnx", verbose=False)
    difference = float(np.abs(run(path, films) - expected).max())
    if not difference <= tolerance:
        raise InputError(
            f"{path.name}: differs by {difference:.2g} from the Keras model, expected {tolerance} or less. Write the "
            "bundle without it: --no-onnx"
        )
    return difference


def as_input(films: np.ndarray) -> np.ndarray:
    """Packed films (N, size, size) as networks take them: (N, size, size, 1) float32, 0..255."""
    return films[..., None].astype(np.float32)


def run(path: Path, films: np.ndarray) -> np.ndarray:
    """The output of an ONNX file for packed films (N, size, size), uint8, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: as_input(films)})[0]
