"""What several benchmarks share: packs of drawn films, seconds of training steps, peaks of memory."""

import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cxr.core.configuration import params_from
from cxr.core.findings import FINDINGS
from cxr.core.parameters import Params
from cxr.networks.backend import keras
from cxr.preparation import packs
from cxr.synthetic import phantoms

DISTINCT = 32  # films that are drawn; a larger pack repeats them
SMALLEST = {"densenet_input_size": 32, "inception_input_size": 75, "xception_input_size": 71}


def params_at(size: int, **keys) -> Params:
    """Our defaults for networks without first weights, every input ``size`` pixels wide (or what a network needs)."""
    sizes = {key.upper(): max(size, least) for key, least in SMALLEST.items()}
    return params_from(
        {"WEIGHTS": "none", "EFFICIENTNET_INPUT_SIZE": size, "EFFICIENTNET_VARIANT": "B0"} | sizes | keys, "-"
    )


def drawn_pack(folder: Path, films: int, size: int) -> np.ndarray:
    """A pack of synthetic films, (films, size, size) uint8, as a memory map of a file in ``folder``."""
    path = folder / f"images_{size}.npy"
    drawn = [draw(seed, size) for seed in range(min(films, DISTINCT))]
    with packs.written_pack(path, films, size) as temporary:
        for row in range(films):
            packs.write_rows(temporary, row, drawn[row % len(drawn)][None])
    return packs.open_pack(path, "")


def draw(seed: int, size: int) -> np.ndarray:
    """One synthetic film, (size, size) uint8, with a finding or none."""
    random = np.random.default_rng(seed)
    findings = {FINDINGS[seed % 6]: 0.7} if seed % 2 else {}
    return phantoms.draw_film(random, phantoms.draw_patient(random), findings, size=size).pixels


def labels(films: int) -> np.ndarray:
    """Random labels (films, 6), float32."""
    return (np.random.default_rng(1).random((films, len(FINDINGS))) < 0.3).astype(np.float32)


class ConstantBatch(keras.utils.PyDataset):
    """The same batch again and again: what a step costs when nothing has to be read or varied."""

    def __init__(self, films: np.ndarray, truth: np.ndarray, steps: int):
        super().__init__()
        self.batch, self.steps = (films, truth), steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int):
        return self.batch


class _Ends(keras.callbacks.Callback):
    """When each step was over (its loss having been waited for)."""

    def __init__(self, clock):
        super().__init__()
        self.ends, self.clock = [], clock

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(self.clock())


def step_seconds(
    model: keras.Model, batches: keras.utils.PyDataset, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, np.ndarray]:
    """Seconds to the end of the first step of one epoch, and of each step after it: what `training.fit` runs."""
    ends = _Ends(clock)
    started = clock()
    model.fit(batches, verbose=0, shuffle=False, callbacks=[ends])
    return ends.ends[0] - started, np.diff(ends.ends)


def peak_megabytes() -> float:
    """Peak memory so far: the accelerator's where there is one, else the process's resident memory."""
    if keras.backend.backend() == "jax":
        import jax

        used = jax.devices()[0].memory_stats()
        if used:
            return used["peak_bytes_in_use"] / 2**20
    elif keras.backend.backend() == "tensorflow":
        import tensorflow

        if tensorflow.config.list_physical_devices("GPU"):
            return tensorflow.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
