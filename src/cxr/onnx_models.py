"""Networks as ONNX: written by Keras' own exporter, run by ONNX Runtime, and compared with Keras on the same films."""

import importlib.util
from pathlib import Path

import numpy as np

from cxr.errors import InputError

PACKAGES = ("tf2onnx", "onnxruntime")
TOLERANCE = 1e-4  # largest difference of a probability


def missing_packages() -> list[str]:
    """Packages of the extra "onnx" that are not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def export(network, path: Path, films: np.ndarray) -> float:
    """Write a network as ONNX; returns the largest difference of its output on a few films from Keras'.

    Parameters
    ----------
    network : keras.Model
    path : Path
    films : ndarray of shape (N, size, size), uint8

    Raises
    ------
    InputError
        The outputs differ by more than `TOLERANCE`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    network.export(path, format="onnx", verbose=False)
    difference = float(np.abs(run(path, films) - network.predict(as_input(films), verbose=0)).max())
    if not difference <= TOLERANCE:
        raise InputError(
            f"{path.name}: differs by {difference:.2g} from the Keras model, expected {TOLERANCE} or less. Write the "
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
