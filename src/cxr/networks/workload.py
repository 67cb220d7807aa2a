"""What a network has to compute for a film, counted from its layers, and how fast this machine computes."""

import time
from statistics import median

import numpy as np

from cxr.core.parameters import Params
from cxr.networks import backend
from cxr.networks.backend import keras

TRAINING = 3  # forward, and back with twice the work
MEASURED_SECONDS = 1.0


def forward_flops(model: keras.Model) -> int:
    """Multiplications and additions of a forward pass of one film in convolutions and dense layers, two a pair."""
    total = 0
    for layer in model.layers:
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
