"""Reading saved networks: nothing in them is executed."""

from pathlib import Path

from cxr.core.artifacts import need
from cxr.core.errors import InputError
from cxr.networks.backend import keras


def reason_of(error: Exception) -> str:
    """The first line of what Keras, h5py or zipfile say; some say nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def load_model(path: Path, size: int, made_by: str) -> keras.Model:
    """Read a saved network without running any code from it.

    Raises
    ------
    InputError
        Not there, not readable, or made for films of another size.
    """
    try:
        model = keras.saving.load_model(need(path, made_by), compile=False, safe_mode=True)
    except InputError:
        raise
    except Exception as error:  # zip, JSON and HDF5 errors alike: the file is no whole Keras model
        raise InputError(
            f"{path}: not a whole Keras model ({reason_of(error)}). Make it again with: {made_by}"
        ) from None
    if model.input_shape[1:] != (size, size, 1):
        sides = "x".join(str(side) for side in model.input_shape[1:])
        raise InputError(
            f"{path}: takes films of {sides}, PARAMS.json says {size}x{size}x1. Change it, or make the model again "
            f"with: {made_by}"
        )
    return model
