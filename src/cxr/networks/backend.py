"""The only backend-specific code: which framework, devices, precision, XLA, seeds."""

import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

from cxr.core import machine, process_group
from cxr.core.errors import InputError
from cxr.core.parameters import Params

# Before Keras is imported: its own choice by keras.json is not ours, and other backends are refused.
if wrong := machine.complaint():
    raise InputError(wrong)
os.environ["KERAS_BACKEND"] = machine.backend()
for limit in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED"):
    os.environ.pop(limit, None)  # they would shorten training without a word, or change its variables
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


try:
    with _quiet():
        import keras
except ValueError as error:
    if "configuration" not in str(error):
        raise
    raise InputError(f"~/.keras/keras.json: {error} Remove that file: it is not needed.") from None

# What keras.json may say otherwise, and all numbers depend on.
keras.config.set_floatx("float32")
keras.config.set_epsilon(1e-7)
keras.config.set_image_data_format("channels_last")


def gpus() -> list[str]:
    """Names of the accelerators that the backend sees."""
    with _quiet():
        if keras.backend.backend() == "jax":
            import jax

            # Not keras.distribution.list_devices("gpu"): it raises where there is none.
            return [str(device) for device in jax.devices() if device.platform != "cpu"]
        import tensorflow

        return [device.name for device in tensorflow.config.list_physical_devices("GPU")]


def capability() -> int | None:
    """Main number of the compute capability of the oldest NVIDIA GPU that the backend sees; None without one."""
    if not gpus():
        return None
    with _quiet():
        if keras.backend.backend() == "jax":
            import jax

            found = [getattr(device, "compute_capability", "") for device in jax.local_devices()]
        else:
            import tensorflow

            details = tensorflow.config.experimental.get_device_details
            devices_of = tensorflow.config.list_physical_devices("GPU")
            found = [details(device).get("compute_capability", ("",))[0] for device in devices_of]
    numbers = [re.match(r"\d+", str(one)) for one in found]
    return min((int(number[0]) for number in numbers), default=None) if all(numbers) else None


def gpu_bytes() -> int | None:
    """Memory of this machine's smallest NVIDIA GPU, where the backend sees one and ``nvidia-smi`` answers."""
    ask = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    if not gpus() or not shutil.which(ask[0]):
        return None
    told = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.split()
    return min((int(mebibytes) * 2**20 for mebibytes in told if mebibytes.isdecimal()), default=None)


def best_precision() -> str:
    """PRECISION "auto" in training: what this machine's tensor cores multiply; float32 where there are none."""
    _join()  # nobody may ask JAX for its devices before
    number = capability() or 0
    return "mixed_bfloat16" if number >= 8 else "mixed_float16" if number == 7 else "float32"


def start(params: Params, deterministic: bool = False, together: bool = False) -> str:
    """Seed everything and set the precision; returns one line on backend and devices for the log.

    A driver without a GPU that the backend sees is a common broken installation: it is said on standard error.
    ``together``: to train, with every device of this machine and with the other processes of on_machines.sh.

    Raises
    ------
    InputError
        Several processes, and the backend is not JAX.
    """
    keras.utils.set_random_seed(params.general.seed)
    precision = params.scoring_precision()
    keras.config.set_dtype_policy(precision)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    if together:
        _join()
    names = gpus()
    if not names and shutil.which("nvidia-smi"):
        print(
            f"WARNING: an NVIDIA driver is installed, but {keras.backend.backend()} sees no GPU: this runs on the CPU. "
            'Install the GPU build: pip install -e ".[gpu]"',
            file=sys.stderr,
        )
    line = f"Keras {keras.__version__} on {keras.backend.backend()}, {', '.join(names) or 'CPU'}"
    if together and len(devices()) > 1:
        processes = f" of {process_group.count()} processes" if process_group.count() > 1 else ""
        line += f": {len(devices())} devices{processes} train together"
    if names:
        tf32 = " (TF32 in its multiplications)" if precision == "float32" and (capability() or 0) >= 8 else ""
        line += f"; {precision}{tf32}"
    return line


def jit_compile(params: Params) -> bool:
    """Whether to compile with XLA: not on a TensorFlow CPU (slower, FACTS), always on JAX (else op by op).

    Never where TensorFlow trains on several GPUs: MirroredStrategy and XLA exclude each other (keras-team/tf-keras
    issue 385).
    """
    if keras.backend.backend() == "jax":
        return True
    return len(gpus()) < 2 and {"on": True, "off": False, "auto": bool(gpus())}[params.training.xla]


@functools.cache  # JAX can be joined once; the members of a family follow each other in one process
def _join() -> None:
    """Meet the other processes that on_machines.sh started, before JAX computes anything."""
    if process_group.count() == 1:
        return
    if keras.backend.backend() != "jax":
        raise InputError(
            f"{process_group.count()} processes are to train together, and KERAS_BACKEND is {keras.backend.backend()}: "
            "only jax can. Start them with on_machines.sh."
        )
    import jax

    # Nobody waits for its signal, and with it a process that hangs would not end on SIGTERM.
    jax.config.update("jax_enable_preemption_service", False)
    with _quiet():
        keras.distribution.initialize()
    counts = gathered(np.array(jax.local_device_count())).tolist()
    if len(set(counts)) > 1:
        raise InputError(
            f"processes 0 to {len(counts) - 1} have {', '.join(map(str, counts))} devices; each must have as many as "
            "the others. Leave some out with CUDA_VISIBLE_DEVICES."
        )


def devices() -> list[str]:
    """Names of the devices that train together: the GPUs of all processes, or else the CPU of each."""
    if keras.backend.backend() == "jax":
        return keras.distribution.list_devices()
    with _quiet():
        import tensorflow

        listed = tensorflow.config.list_logical_devices
        return [device.name for device in listed("GPU") or listed("CPU")]


def own_devices() -> int:
    """How many of `devices` are this process's own."""
    return len(devices()) // process_group.count()


def batch_must_divide(films: int, key: str) -> None:
    """Refuse a batch that the devices cannot share.

    Raises
    ------
    InputError
        JAX: the number of devices does not divide it; TensorFlow: there are fewer films than devices.
    """
    count = len(devices())
    if films < count or (films % count and keras.backend.backend() == "jax"):
        raise InputError(
            f"{key} is {films}, and {count} devices share each batch: it must be a multiple of {count}. Change it in "
            "PARAMS.json, or train on fewer devices (CUDA_VISIBLE_DEVICES)."
        )


@functools.cache  # the variables of two strategies do not mix
def _spread():
    """What spreads training over several devices: TensorFlow's strategy or Keras' distribution; None on one device."""
    if len(devices()) == 1:
        return None
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        return tensorflow.distribute.MirroredStrategy(devices())
    return keras.distribution.DataParallel(auto_shard_dataset=False)


def scope():
    """Context in which models are built, compiled and trained: by all `devices` where there are several."""
    return _spread().scope() if _spread() else contextlib.nullcontext()


def copies_to_score() -> bool:
    """Whether a network in training must be copied to score with it: JAX's predict fails on devices of others."""
    return keras.backend.backend() == "jax" and _spread() is not None


@contextlib.contextmanager
def own_scope():
    """Context in which networks are built and run by this process's devices alone, none waiting for the others."""
    if not copies_to_score():
        with scope():
            yield
        return
    outer = keras.distribution.distribution()
    keras.distribution.set_distribution(_own_spread())
    try:
        yield
    finally:
        keras.distribution.set_distribution(outer)


@functools.cache
def _own_spread():
    import jax

    own = [f"{device.platform}:{device.id}" for device in jax.local_devices()]
    return keras.distribution.DataParallel(devices=own, auto_shard_dataset=False) if len(own) > 1 else None


def gathered(values: np.ndarray) -> np.ndarray:
    """Arrays of one shape and type of all processes: (processes, ...); returns when every process has come here."""
    if process_group.count() == 1:
        return values[None]
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(values))


def sum_of_replicas(value):
    """A tensor's sum over the replicas of TensorFlow's strategy, for what a loss divides by.

    Keras adds up what the replicas compute (of a loss that is one number; others it averages): with the whole batch's
    denominator on each, the sum is the whole batch's loss, however unknown labels are spread. JAX sees the whole batch
    at once: the tensor itself.
    """
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow

    context = tensorflow.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce("SUM", value)


def output_and_gradients(function, x) -> tuple:
    """function(x), (N, F), and the derivatives of its F columns by x, each of the shape of x (N, …)."""
    if keras.backend.backend() == "jax":
        import jax

        output, backward = jax.vjp(function, x)
        columns = keras.ops.eye(output.shape[1], dtype=output.dtype)
        return output, [backward(keras.ops.broadcast_to(column, output.shape))[0] for column in columns]
    import tensorflow

    with tensorflow.GradientTape(persistent=True) as tape:
        tape.watch(x)
        output = function(x)
        columns = tensorflow.unstack(output, axis=1)
    return output, [tape.gradient(column, x) for column in columns]
