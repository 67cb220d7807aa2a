"""Where in a film a map's places lie: each member's own, from the strides and the padding of its layers.

Networks pad differently: at 80 pixels and an output stride of 16 the middle of Xception's first place lies 8 pixels in
the film, of DenseNet's 15, of InceptionV3's 22. So maps are laid onto one regular grid over the film, on which members
and known boxes agree.
"""

from dataclasses import dataclass

import numpy as np

from cxr.networks.backend import keras
from cxr.networks.output_stride import CONVOLUTIONS, POOLS, ends
from cxr.networks.recomputation import operations_and_cuts

INNER_STRIDE = 8  # pixels between the places of inner maps: at 16 and 32 each sees the whole film, by measure


@dataclass(frozen=True)
class Places:
    """Of a network with square films and maps: ``count`` a side, ``first`` the middle of the first in pixels of the
    film (0 is the film's border), ``step`` pixels apart."""

    count: int
    first: float
    step: int

    @property
    def grid(self) -> int:
        """Cells a side of the regular grid: twice as many as places, so that nothing is blurred, up to 32."""
        return min(2 * self.count, 32)


def places_of(network: keras.Model, name: str = "features") -> Places:
    """The places of an operation's output: the middle of what each sees of the film, borders left aside."""
    return _places(network)[name]


def _places(network: keras.Model) -> dict[str, Places]:
    """`places_of` every operation that gives maps, by its name.

    Where branches meet whose middles differ (a residual beside a pooling), their mean is taken.
    """
    seen: dict[int, tuple[float, int]] = {}  # of a tensor: middle of its first place, step
    found = {}
    for operation in network.operations:
        tensors, output = ends(operation)
        inputs = [tensor for tensor in tensors if len(tensor.shape) == 4]
        side = max((tensor.shape[1] for tensor in inputs), default=0)
        # The finest alone: a gate that was pooled over the whole film is everywhere.
        places = [seen.get(id(tensor), (0.5, 1)) for tensor in inputs if tensor.shape[1] == side] or [(0.5, 1)]
        first, step = float(np.mean([place[0] for place in places])), places[0][1]
        for layer in operation.layers if isinstance(operation, keras.Sequential) else [operation]:
            stride, ahead = _window(layer, side)
            first, step, side = first + ahead * step, step * stride, -(-side // stride)
        seen[id(output)] = first, step
        if len(output.shape) == 4:
            found[operation.name] = Places(output.shape[1], first, step)
    return found


def _window(layer: keras.layers.Layer, side: int) -> tuple[int, float]:
    """Stride of a layer, and by how many of its input's places the middle of its first window lies further in."""
    if isinstance(layer, keras.layers.ZeroPadding2D):
        return 1, -layer.padding[0][0]
    if not isinstance(layer, (*CONVOLUTIONS, *POOLS)):
        return 1, 0
    (stride, *_), (window, *_) = layer.strides, layer.pool_size if isinstance(layer, POOLS) else layer.kernel_size
    if not isinstance(layer, POOLS):
        window = (window - 1) * layer.dilation_rate[0] + 1
    padded = max(0, (-(-side // stride) - 1) * stride + window - side) // 2 if layer.padding == "same" else 0
    return stride, (window - 1) / 2 - padded


def explained(classifier: keras.Model, method: str) -> keras.Operation:
    """The operation whose output the maps of a method are made of."""
    return inner_operation(classifier) if method == "hirescam" else classifier.get_layer("features")


def inner_operation(classifier: keras.Model) -> keras.Operation:
    """The last operation whose places lie `INNER_STRIDE` pixels apart and through whose output all goes on.

    Before any dilation: behind it a network sees as far as it did at its published stride. ``features`` where there is
    none (NASNet's cells look past each other).
    """
    (operations, cuts), places = operations_and_cuts(classifier), _places(classifier)
    dilated = next((number for number, operation in enumerate(operations) if _is_dilated(operation)), len(operations))
    for number in reversed(cuts[cuts < dilated]):
        if isinstance(operations[number], keras.layers.ZeroPadding2D):
            continue  # places beside the film
        step = places[operations[number].name].step
        if step <= INNER_STRIDE:
            return operations[number] if step == INNER_STRIDE else operations[-1]
    return operations[-1]


def _is_dilated(operation: keras.Operation) -> bool:
    parts = operation.layers if isinstance(operation, keras.Sequential) else [operation]
    return any(max(np.atleast_1d(part.dilation_rate)) > 1 for part in parts if isinstance(part, CONVOLUTIONS))


def onto_film(maps: np.ndarray, places: Places, size: int) -> np.ndarray:
    """Maps laid onto a regular grid over the film.

    Parameters
    ----------
    maps : ndarray of shape (N, h, h, F)
    places : Places
    size : int
        Side of the films, pixels.

    Returns
    -------
    ndarray of shape (N, grid, grid, F), float32
        Linear between the middles of places, beyond them as the nearest; of more places than cells the mean around
        a cell, the nearer the heavier. What is lost or gained by that is spread
        evenly, so that the sum over a film stays.
    """
    cells = (np.arange(places.grid) + 0.5) * size / places.grid
    at = np.clip((cells - places.first) / places.step, 0, places.count - 1)
    reach = max(1, size / places.grid / places.step)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(places.count)) / reach).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)  # (cells, places)
    laid = np.einsum("gh,nhwf,kw->ngkf", weights, maps.astype(np.float32), weights, optimize=True)
    laid += (maps.mean(axis=(1, 2), dtype=np.float32) - laid.mean(axis=(1, 2)))[:, None, None]
    return laid * (places.count / places.grid) ** 2
