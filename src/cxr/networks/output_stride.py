"""Finer features from a published backbone: its last strides become 1, and what follows is dilated (DeepLab's way).

Weights stay as they are, and so does what a unit sees of the film; there are only more of them.
"""

from collections.abc import Callable
from typing import Any

from cxr.core.errors import InputError
from cxr.networks.backend import keras

PUBLISHED = 32  # of every backbone here
layers = keras.layers
CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
POOLS = (layers.MaxPooling2D, layers.AveragePooling2D)


def with_output_stride(backbone: keras.Model, stride: int) -> keras.Model:
    """The same network, on an input of its own, whose features lie at most ``stride`` pixels apart (Chen 2017).

    A layer that would go beyond keeps its stride at 1; convolutions behind it look as far as before by dilation.
    Pooling over a window keeps its window. Where a layer loses its stride, or is dilated, its padding becomes "same",
    and zeros that were put around its input are left out.

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

    Raises
    ------
    InputError
        It crops: its paths lie beside each other by a stride, and would no longer.
    """
    if any(isinstance(layer, layers.Cropping2D) for layer in backbone.layers):
        raise InputError(
            f"OUTPUT_STRIDE: {backbone.name} cannot be made finer than {PUBLISHED}: its paths are moved against each "
            f"other by its strides. Give it {PUBLISHED}; one for each member is a JSON object."
        )
    strides = _strides(backbone)
    made_by = {id(ends(operation)[1]): operation for operation in backbone.operations}
    bare = {  # zeros around the input of a layer whose padding becomes "same"
        made_by[id(ends(layer)[0][0])].name
        for layer in backbone.layers
        if isinstance(layer, (*CONVOLUTIONS, *POOLS)) and "padding" in _finer(layer, strides[layer.name], stride)
    }

    def finer(layer: keras.layers.Layer) -> dict[str, Any]:
        if isinstance(layer, (*CONVOLUTIONS, *POOLS)):
            return _finer(layer, strides[layer.name], stride)
        return {"padding": 0} if isinstance(layer, layers.ZeroPadding2D) and layer.name in bare else {}

    return built_anew(backbone, finer)


def built_anew(network: keras.Model, change: Callable[[keras.layers.Layer], dict[str, Any]]) -> keras.Model:
    """The same network, freshly initialised, with changes to its layers' configurations, also within networks in it."""

    def again(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.Sequential):
            return keras.Sequential([again(inner) for inner in layer.layers], name=layer.name)
        return type(layer).from_config(layer.get_config() | change(layer))

    return keras.models.clone_model(network, clone_function=again)


def _finer(layer: keras.layers.Layer, before: int, stride: int) -> dict[str, Any]:
    """What changes of a layer whose input lies ``before`` pixels apart in the published network."""
    changed: dict[str, Any] = {}
    if before * _stride(layer) > stride and _stride(layer) > 1:
        changed = {"strides": 1, "padding": "same"}
    if isinstance(layer, CONVOLUTIONS) and before > stride and max(layer.kernel_size) > 1:
        changed |= {"dilation_rate": before // stride, "padding": "same"}
    return changed


def _strides(backbone: keras.Model) -> dict[str, int]:
    """By name of a layer: how many pixels of the film its input's neighbours lie apart, as published."""
    of_tensor: dict[int, int] = {}
    of_layer = {}
    for layer in backbone.operations:
        inputs, output = ends(layer)
        apart = max((of_tensor.get(id(tensor), 1) for tensor in inputs), default=1)
        for part in layer.layers if isinstance(layer, keras.Sequential) else ():
            of_layer[part.name] = apart
            apart *= _stride(part)
        of_layer.setdefault(layer.name, apart)
        of_tensor[id(output)] = apart * _stride(layer)
    return of_layer


def ends(operation: keras.Operation) -> tuple[list, Any]:
    """The tensors that go into an operation where it stands in a network, and the one that comes out.

    Not ``input`` and ``output``: a network in a network has tensors of its own there. Not ``layers`` of the network: a
    sum that is written as + is none.
    """
    node = operation._inbound_nodes[0]
    return node.input_tensors, node.outputs[0]


def _stride(layer: keras.layers.Layer) -> int:
    strides = layer.strides if isinstance(layer, (*CONVOLUTIONS, *POOLS)) else 1
    return max(strides) if isinstance(strides, tuple) else strides
