"""A network whose activations are computed again in the backward pass: less memory, more time."""

import itertools

import numpy as np

from cxr.networks.backend import keras
from cxr.networks.output_stride import ends


def logits_of(classifier: keras.Model, recompute: bool = False) -> keras.Model:
    """The same network up to the logits, sharing its weights: what the loss is computed from.

    With ``recompute`` only what passes between its segments is kept for the backward pass, and each segment is computed
    once more there (Chen 2016): less memory, more time, the same weights. The classifier itself stays as it is.
    """
    x, logits = classifier.inputs[0], classifier.get_layer("logits").output  # not `input`, which may be a list of it
    if recompute:
        for number, segment in enumerate(segments(classifier)):
            x = _Recomputed(segment, name=f"segment_{number}")(x)
        logits = keras.Model(classifier.get_layer("features").output, logits, name="head")(x)
    return keras.Model(classifier.input, logits, name=f"{classifier.name}_logits")


def segments(classifier: keras.Model) -> list[keras.Model]:
    """The network up to ``features`` as a chain of networks of about equal activations, sharing its layers."""
    layers, cuts = operations_and_cuts(classifier)
    sizes = np.cumsum([np.prod(ends(layer)[1].shape[1:]) for layer in layers])
    aims = np.linspace(sizes[cuts[0]], sizes[-1], max(1, round(len(cuts) ** 0.5)) + 1)
    chosen = np.unique(cuts[[np.abs(sizes[cuts] - aim).argmin() for aim in aims]])
    return [keras.Model(ends(layers[begin])[1], ends(layers[end])[1]) for begin, end in itertools.pairwise(chosen)]


def operations_and_cuts(classifier: keras.Model) -> tuple[list[keras.Operation], np.ndarray]:
    """The operations up to ``features``, and the positions of those through whose output alone all goes on."""
    operations = classifier.operations[: classifier.operations.index(classifier.get_layer("features")) + 1]
    position = {id(ends(operation)[1]): number for number, operation in enumerate(operations)}
    last_use = list(range(len(operations)))
    for number, operation in enumerate(operations[1:], 1):
        for tensor in ends(operation)[0]:
            last_use[position[id(tensor)]] = number
    # A cut is where no tensor from before it is used behind it but the one that it hands on.
    reached = np.maximum.accumulate([0, *last_use[:-1]])
    return operations, np.flatnonzero(reached <= np.arange(len(operations)))


class _Recomputed(keras.layers.Layer):
    """A network whose activations are not kept for the backward pass; only ever in training, never in a saved model.

    Not `keras.RematScope`: it wraps layers one by one, which keeps every layer's input, and with batch normalisation it
    fails on TensorFlow. State (moving means, dropout's seeds) goes through the function as values, so that computing it
    twice moves the means once and draws the same dropout.
    """

    def __init__(self, segment: keras.Model, **options):
        super().__init__(**options)
        self.segment = segment
        self.built = True

    def compute_output_spec(self, x, training=None):
        # A tensor of its own: the segment's would lead the classifier's graph through this layer.
        return keras.KerasTensor(self.segment.output.shape, self.segment.output.dtype)

    def call(self, x, training=None):
        moved = self.segment.non_trainable_variables
        # Copies: on TensorFlow a variable would be read when it is used, after it was moved.
        state, weights = (
            [keras.ops.copy(value) for value in group] for group in (moved, self.segment.trainable_variables)
        )

        def compute(x, *weights):
            output, new_state = self.segment.stateless_call(list(weights), state, x, training=training)
            return (output, *new_state)

        output, *new_state = keras.remat(compute)(x, *weights)
        for variable, value in zip(moved, new_state, strict=True):
            variable.assign(value)
        return output
