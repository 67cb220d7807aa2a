"""The only backend-specific code: which framework, devices, precision, XLA, seeds."""

import contextlib
import importlib.util
import os
import shutil
import sys
import tempfile

from cxr.errors import InputError
from cxr.parameters import Params

# Chosen before Keras is imported.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextlib.contextmanager
def _quiet():
    """Hold back what native code writes on standard error; shown after all where the block fails.

    TensorFlow's start-up notes obey no log level ("failed call to cuInit" on every machine without a GPU) and frighten
    newcomers; `start` says in words what matters.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notes:
        saved = os.dup(2)
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(saved, notes.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


with _quiet():
    import keras


def gpus() -> list[str]:
    """Names of the accelerators that the backend sees."""
    if keras.backend.backend() == "jax":  # asked for "gpu", JAX raises where there is none
        return [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]
    return _tensorflow_gpus()


def _tensorflow_gpus() -> list[str]:
    if keras.backend.backend() != "tensorflow":
        return []
    with _quiet():
        import tensorflow

        return [device.name for device in tensorflow.config.list_physical_devices("GPU")]


def start(params: Params, deterministic: bool = False) -> str:
    """Seed everything and set the precision; returns one line on backend and devices for the log.

    A driver without a GPU that the backend sees is a common broken installation: it is said on standard error.

    Raises
    ------
    InputError
        TENSORBOARD is asked for and not installed.
    """
    if params.training.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise InputError("TENSORBOARD is true, but the package is not installed. Run: pip install tensorboard")
    keras.utils.set_random_seed(params.general.seed)
    keras.config.set_dtype_policy(params.training.precision)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    found = gpus()
    if not found and shutil.which("nvidia-smi"):
        print(
            f"WARNING: an NVIDIA driver is installed, but {keras.backend.backend()} sees no GPU: this runs on the CPU. "
            'Install the GPU build: pip install -e ".[gpu]"',
            file=sys.stderr,
        )
    return f"Keras {keras.__version__} on {keras.backend.backend()}, {', '.join(found) or 'CPU'}"


def jit_compile(params: Params) -> bool:
    """Whether to compile with XLA: not on a TensorFlow CPU (slower, FACTS), always on JAX (else op by op)."""
    if keras.backend.backend() == "jax":
        return True
    return {"on": True, "off": False, "auto": bool(gpus())}[params.training.xla]


def scope():
    """Context in which models are built and trained: mirrored over all GPUs of this machine where there are several."""
    if keras.backend.backend() == "tensorflow" and len(gpus()) > 1:
        import tensorflow

        return tensorflow.distribute.MirroredStrategy().scope()
    return contextlib.nullcontext()


def versions() -> dict[str, str]:
    """Versions of what computes the numbers, for run.json."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("keras", "tensorflow", "jax", "numpy", "opencv-python-headless", "pandas", "scikit-learn"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
