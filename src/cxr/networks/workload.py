"""What a network has to compute and to keep for a film, counted from its layers, and how fast this machine computes."""

import math
import time
from statistics import median

import numpy as np

from cxr.core.parameters import Params
from cxr.networks import backend, recomputation
from cxr.networks.backend import keras

TRAINING = 3  # forward, and back with twice the work
MEASURED_SECONDS = 1.0
# A layer's output that nothing needs in the backward pass: what follows a normalisation keeps its own output.
NOT_KEPT = ("BatchNormalization", "InputLayer", "Rescaling", "ZeroPadding2D")
FREE = 0.85  # share of a GPU's memory that a step can have: the rest is the framework's and the convolutions' workspace


def forward_flops(model: keras.Model) -> int:
    """Multiplications and additions of a forward pass of one film in convolutions and dense layers, two a pair."""
    total = 0
    for layer in _parts(model):
        name = type(layer).__name__
        places = np.prod(layer.output.shape[1:-1], dtype=np.int64)
        if name == "DepthwiseConv2D":
            total += 2 * places * np.prod(layer.kernel.shape)
        elif name == "SeparableConv2D":
            total += 2 * places * (np.prod(layer.depthwise_kernel.shape) + np.prod(layer.pointwise_kernel.shape))
        elif name == "Conv2DTranspose":
            total += 2 * np.prod(layer.input.shape[1:-1], dtype=np.int64) * np.prod(layer.kernel.shape)
        elif name in ("Conv2D", "Dense"):
            total += 2 * places * np.prod(layer.kernel.shape)
    return int(total)


def _parts(model: keras.Model) -> list[keras.layers.Layer]:
    """Its layers, those of networks within it too."""
    nested = [_parts(layer) if isinstance(layer, keras.Model) else [layer] for layer in model.layers]
    return [part for parts in nested for part in parts]


def training_bytes(classifier: keras.Model, films: int, params: Params) -> int:
    """Memory of a training step of so many films, about: outputs kept for the backward pass, weights, optimizer.

    ``films`` may be 0: what remains whatever the batch. Without what convolutions set aside to compute in, which
    depends on the GPU. With RECOMPUTE what passes between segments is kept, and of one segment everything.
    """
    number = 4 if params.training.precision in ("auto", "float32") else 2
    kept = sum(map(_kept, _parts(classifier)))
    if params.training.recompute:
        segments = recomputation.segments(classifier)
        between = sum(np.prod(segment.output.shape[1:], dtype=np.int64) for segment in segments)
        kept = between + max(sum(map(_kept, _parts(segment))) for segment in segments)
    learned = sum(np.prod(weight.shape, dtype=np.int64) for weight in classifier.trainable_weights)
    moments = 1 if params.training.optimizer == "sgd" else 2
    return int(films * kept * number + 4 * learned * (2 + moments))


def _kept(layer) -> int:
    """Numbers of a film that a layer keeps for the backward pass."""
    if type(layer).__name__ in NOT_KEPT:
        return 0
    kept = sum(int(np.prod(output.shape[1:], dtype=np.int64)) for output in keras.tree.flatten(layer.output))
    if isinstance(layer, keras.layers.SeparableConv2D):  # what lies between its two convolutions too
        kept += kept // layer.output.shape[-1] * layer.input.shape[-1]
    return kept


def batch_advice(classifier: keras.Model, params: Params, has: int | None) -> str:
    """What to change where a GPU of ``has`` bytes is too small for BATCH_SIZE, or to spare; "" without a GPU."""
    if not has:
        return ""
    share = len(backend.devices())
    films = -(-params.training.batch_size // share)
    needs = training_bytes(classifier, films, params)
    told = f"a step of {films} films needs about {needs / 1e9:.2g} GB of the GPU's {has / 1e9:.0f}"
    weights = training_bytes(classifier, 0, params)
    most = (FREE * has - weights) / ((needs - weights) / films)
    fits = 2 ** int(math.log2(most)) if most >= 1 else 0
    if most >= films:
        return f"{told}; BATCH_SIZE up to about {fits * share} would fit" if fits >= 2 * films else told
    ways = []
    if fits:
        parts = -(-films // fits) * params.training.gradient_accumulation
        # Keras cannot accumulate where TensorFlow trains on several devices.
        as_before = f' with "GRADIENT_ACCUMULATION": {parts}' if share == 1 or keras.backend.backend() == "jax" else ""
        ways.append(f'"BATCH_SIZE": {fits * share}{as_before}')
    if not params.training.recompute:
        other = params.model_copy(update={"training": params.training.model_copy(update={"recompute": True})})
        again = training_bytes(classifier, films, other)
        if again <= FREE * has:
            ways.append(f'"RECOMPUTE": true (about {again / 1e9:.2g} GB, slower)')
    return f"WARNING: {told}: it will hardly fit. In PARAMS.json: {', or '.join(ways or ['a smaller input size'])}"


def measured_compiling(params: Params) -> float:
    """Seconds a layer that the first training step of a network takes longer than another; after `backend.start`.

    Of eight convolutions with batch normalisation here, too small to compute for long: Python's work on one core,
    about a second of it, and XLA's where it is on.
    """
    x = film = keras.Input((16, 16, 16))
    for _ in range(8):
        x = keras.layers.Conv2D(16, 3, padding="same", use_bias=False)(x)
        x = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(x))
    model = keras.Model(film, keras.layers.Dense(1, dtype="float32")(keras.layers.GlobalAveragePooling2D()(x)))
    model.compile(optimizer="adamw", loss="mse", jit_compile=backend.jit_compile(params))
    model.optimizer.build(model.trainable_variables)
    batch, truth = np.ones((4, 16, 16, 16), np.float32), np.zeros((4, 1), np.float32)
    started = time.perf_counter()
    model.train_on_batch(batch, truth)
    return (time.perf_counter() - started) / len(model.layers)


def measured_rate(params: Params) -> float:
    """FLOP a second of training four plain convolutions here, as `forward_flops` counts them; after `backend.start`.

    PRECISION and XLA are as in training. Measured for a second, once they are compiled.
    """
    films, size = 8, 64
    x = film = keras.Input((size, size, 64))
    for _ in range(4):
        x = keras.layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    model = keras.Model(film, keras.layers.Dense(1, dtype="float32")(keras.layers.GlobalAveragePooling2D()(x)))
    model.compile(optimizer="sgd", loss="mse", jit_compile=backend.jit_compile(params))
    batch, truth = np.ones((films, size, size, 64), np.float32), np.zeros((films, 1), np.float32)
    model.train_on_batch(batch, truth)
    seconds: list[float] = []
    while sum(seconds) < MEASURED_SECONDS:
        started = time.perf_counter()
        model.train_on_batch(batch, truth)  # gives the loss, so it is waited for
        seconds.append(time.perf_counter() - started)
    return TRAINING * films * forward_flops(model) / median(seconds)
