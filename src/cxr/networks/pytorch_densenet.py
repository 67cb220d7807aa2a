"""First weights from a DenseNet with torchvision's names: torchvision's own, torchxrayvision's, CheXNet's and so on.

Layers are the same as Keras' (Huang 2017); names, the order of a kernel's axes, batch normalisation's epsilon and what
the first layer expects of a film are not.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cxr.core.errors import InputError
from cxr.networks.backend import keras
from cxr.networks.pytorch_files import read_tensors

Layers = dict[str, dict[str, np.ndarray]]
FIRST = "conv0.weight"
EPSILON = 1e-5  # of PyTorch's batch normalisation; Keras' DenseNet has 1.001e-5
XRAYVISION = (-1024.0, 1024.0)  # what torchxrayvision makes of black and white, and feeds in one channel
# In the order in which Keras keeps them.
ARRAYS = ("weight", "bias", "running_mean", "running_var")
# What torchvision calls a layer, what Keras does; norm.1 is how torchvision's files of 2017 spell norm1.
NAMES = (
    (r"conv0", lambda: "conv1_conv"),
    (r"norm0", lambda: "conv1_bn"),
    (r"denseblock(\d+)\.denselayer(\d+)\.norm\.?([12])", lambda b, n, i: f"conv{int(b) + 1}_block{n}_{int(i) - 1}_bn"),
    (r"denseblock(\d+)\.denselayer(\d+)\.conv\.?([12])", lambda b, n, i: f"conv{int(b) + 1}_block{n}_{i}_conv"),
    (r"transition(\d+)\.(norm|conv)", lambda b, what: f"pool{int(b) + 1}_{'bn' if what == 'norm' else what}"),
    (r"norm5", lambda: "bn"),
)


def read_layers(path: Path) -> Layers:
    """The features of a DenseNet by Keras' names of layers: of each its arrays (`ARRAYS`), axes as PyTorch has them.

    Whatever stands before ``conv0`` in the names (``features.``, ``module.densenet121.features.``) is taken off, what
    does not begin with it (the classifier) is not used.

    Raises
    ------
    InputError
        No such file, or none whose tensors can be read, or they are not those of one DenseNet.
    """
    state, prefix = _state(read_tensors(path), path)
    layers: Layers = {}
    for key, values in dict.items(state):  # not its own method, for which a file may have put something else
        if not isinstance(key, str):
            continue
        layer, _, which = key.removeprefix(prefix).rpartition(".")
        if not key.startswith(prefix) or which == "num_batches_tracked":
            continue
        found = [rename(*match.groups()) for old, rename in NAMES if (match := re.fullmatch(old, layer))]
        if not found or which not in ARRAYS or not isinstance(values, np.ndarray):
            raise InputError(f"{path}: {key} is no tensor of torchvision's DenseNet. Give one of its variants.")
        if not np.isfinite(values).all():
            raise InputError(f"{path}: {key} holds numbers that are not finite. Give weights of before that.")
        layers.setdefault(found[0], {})[which] = values  # `load` copies: any number of names may be of the same numbers
    return layers


def _state(content: Any, path: Path) -> tuple[dict[str, Any], str]:
    """The one dict with a DenseNet's tensors, the file's or one within it, and what its names begin with."""
    dicts = [content, *dict.values(content)] if isinstance(content, dict) else []
    found = [
        (part, key.removesuffix(FIRST))
        for part in dicts
        if isinstance(part, dict)
        for key, values in dict.items(part)
        if isinstance(key, str) and f".{key}".endswith(f".{FIRST}") and getattr(values, "ndim", 0) == 4
    ]
    if len(found) != 1:
        names = ", ".join(str(key) for part in dicts[:1] for key in list(part)[:3])
        raise InputError(
            f"{path}: expected the state of one DenseNet with torchvision's names, one of them {FIRST}; found "
            f"{len(found)} of that name{f', and {names} …' if names else ''}. Save the one network's state_dict()."
        )
    return found[0]


def scaling(layers: Layers, given: Sequence[float]) -> tuple[list[float], list[float]] | None:
    """(scale, offset) of 0..255 per colour to ``given`` black and white; without them as the first layer's channels
    tell: one is torchxrayvision's, None for three, which are scaled as ImageNet's."""
    if not given and layers["conv1_conv"]["weight"].shape[1] == 3:
        return None
    black, white = given or XRAYVISION
    return [(white - black) / 255] * 3, [black] * 3


def load(backbone: keras.Model, layers: Layers, path: Path) -> None:
    """Set all weights of a DenseNet of Keras, whatever its output stride.

    A first layer of one channel is spread over three, a third each: they see the same gray.

    Raises
    ------
    InputError
        Layers or their shapes are not those of this network.
    """
    ours = {layer.name: layer for layer in backbone.layers if layer.weights}
    if ours.keys() != layers.keys():
        name = min(ours.keys() ^ layers.keys())
        which = "no layer" if name in ours else "a layer"
        raise InputError(f"{path}: has {which} {name}, unlike {backbone.name}. Name the network that it is of.")
    for name, layer in ours.items():
        arrays = [layers[name][which] for which in ARRAYS if which in layers[name]]
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = EPSILON
        else:
            arrays = [array.transpose(2, 3, 1, 0) for array in arrays if array.ndim == 4]  # (out, in, h, w) in PyTorch
        if name == "conv1_conv" and arrays and arrays[0].shape[2] == 1:
            arrays = [np.repeat(arrays[0] / 3, 3, axis=2)]
        expected = [tuple(weight.shape) for weight in layer.weights]
        if [array.shape for array in arrays] != expected:
            came = [array.shape for array in arrays]
            raise InputError(f"{path}: {name} is {came}, {backbone.name} has {expected}. Is it of another network?")
        layer.set_weights([array.astype(np.float32) for array in arrays])
