"""Finer features from a published backbone: its last strides become 1, and what follows is dilated (DeepLab's way).

Weights stay as they are, and so does what a unit sees of the film; there are only more of them.
"""

from typing import Any

from cxr.networks.backend import keras

PUBLISHED = 32  # of every backbone here
layers = keras.layers
CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
POOLS = (layers.MaxPooling2D, layers.AveragePooling2D)


def with_output_stride(backbone: keras.Model, stride: int) -> keras.Model:
    """The same network, on an input of its own, whose features lie at most ``stride`` pixels apart (Chen 2017).

    A layer that would go beyond keeps its stride at 1; convolutions behind it look as far as before by dilation.
    Pooling over a window keeps its window. Where a layer loses its stride its padding becomes "same", and zeros that
    were put around its input for that stride are left out.

    Parameters
    ----------
    backbone : keras.Model
        Functional, of layers of Keras.
    stride : int
        A power of two.

    Returns
    -------
    keras.Model
        With layers of the same names, weights of the same shapes, in the same order; freshly initialised.
    """
    strides = _strides(backbone)

    def finer(layer: keras.layers.Layer) -> keras.layers.Layer:
        before = strides[layer.name]
        config = layer.get_config()
        if isinstance(layer, (*CONVOLUTIONS, *POOLS)):
            config |= _finer(layer, config, before, stride)
        elif isinstance(layer, layers.ZeroPadding2D) and before >= stride:
            config["padding"] = 0
        return type(layer).from_config(config)

    return keras.models.clone_model(backbone, clone_function=finer)


def _finer(layer: keras.layers.Layer, config: dict[str, Any], before: int, stride: int) -> dict[str, Any]:
    """What changes of a layer whose input lies ``before`` pixels apart in the published network."""
    changed: dict[str, Any] = {}
    if before * _stride(layer) > stride and _stride(layer) > 1:
        changed = {"strides": 1, "padding": "same"}
    if isinstance(layer, CONVOLUTIONS) and before > stride and max(config["kernel_size"]) > 1:
        changed |= {"dilation_rate": before // stride, "padding": "same"}
    return changed


def _strides(backbone: keras.Model) -> dict[str, int]:
    """By name of a layer: how many pixels of the film its input's neighbours lie apart, as published."""
    of_tensor: dict[int, int] = {}
    of_layer = {}
    for layer in backbone.layers:
        inputs = keras.tree.flatten(layer.input)
        of_layer[layer.name] = max((of_tensor.get(id(tensor), 1) for tensor in inputs), default=1)
        of_tensor[id(layer.output)] = of_layer[layer.name] * _stride(layer)
    return of_layer


def _stride(layer: keras.layers.Layer) -> int:
    strides = layer.strides if isinstance(layer, (*CONVOLUTIONS, *POOLS)) else 1
    return max(strides) if isinstance(strides, tuple) else strides
