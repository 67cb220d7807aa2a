"""What training minimises: masked, weighted cross-entropy on logits; soft Dice with cross-entropy for masks."""

from collections.abc import Callable

import numpy as np

from cxr.core.parameters import Params
from cxr.networks import backend
from cxr.networks.backend import keras

ops = keras.ops


def positive_weights(truth: np.ndarray, limit: float) -> np.ndarray:
    """Weight of a positive label per finding: negatives / positives, within 1/limit..limit.

    Parameters
    ----------
    truth : ndarray of shape (N, F), float
        1, 0, NaN = not known.
    limit : float

    Returns
    -------
    ndarray of shape (F,), float32
        1 where a finding has no positive or no negative.
    """
    positives, negatives = (truth == 1).sum(axis=0), (truth == 0).sum(axis=0)
    ratio = np.divide(negatives, positives, out=np.ones(truth.shape[1]), where=(positives > 0) & (negatives > 0))
    return np.clip(ratio, 1 / limit, limit).astype(np.float32)


def masked_cross_entropy(weights: np.ndarray) -> Callable:
    """Binary cross-entropy on logits, positives weighted, averaged over the known labels only.

    Parameters
    ----------
    weights : ndarray of shape (F,)
        Of a positive label, per finding (never ``fit(class_weight=…)``: Keras takes the argmax of a multi-hot row).

    Returns
    -------
    callable
        (truth (N, F) with NaN = not known, logits (N, F)) -> scalar; on each of several replicas its part of it.
    """

    def loss(truth, logits):
        known = ops.logical_not(ops.isnan(truth))
        # Replaced before the cross-entropy: masking its result alone would leave NaN in the gradient.
        label = ops.where(known, truth, 0.0)
        weight = ops.where(known, ops.where(label > 0.5, ops.convert_to_tensor(weights), 1.0), 0.0)
        cross_entropy = ops.softplus(ops.where(label > 0.5, -logits, logits))
        number = backend.sum_of_replicas(ops.sum(ops.cast(known, "float32")))
        return ops.sum(weight * cross_entropy) / ops.maximum(number, 1.0)

    return loss


def dice_and_cross_entropy(truth, probability):
    """Cross-entropy plus one minus the soft Dice of each mask (Milletari 2016): the outline and the area both count.

    truth, probability : (N, H, W, K); NaN all over a mask that is not known, which counts for nothing.
    """
    known = ops.logical_not(ops.isnan(truth))
    truth = ops.where(known, truth, 0.0)  # before the cross-entropy: see masked_cross_entropy
    overlap = ops.sum(truth * probability, axis=(1, 2))
    area = ops.sum(truth, axis=(1, 2)) + ops.sum(probability, axis=(1, 2))
    dice = (2 * overlap + 1) / (area + 1)
    cross_entropy = ops.mean(ops.binary_crossentropy(truth, probability), axis=(1, 2))
    of_masks = ops.where(known[:, 0, 0], cross_entropy + 1 - dice, 0.0)
    number = backend.sum_of_replicas(ops.sum(ops.cast(known[:, 0, 0], "float32")))
    return ops.sum(of_masks) / ops.maximum(number, 1.0)


def cross_entropy(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | float = 1.0) -> float:
    """Mean binary cross-entropy over what is known (not NaN) of arrays of one shape; positives weigh ``weights``."""
    truth = truth.astype(np.float64)
    p = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(np.nanmean(-(weights * truth * np.log(p) + (1 - truth) * np.log(1 - p))))


def class_weights(truth: np.ndarray, params: Params) -> np.ndarray:
    """Weight of a positive label per finding, as CLASS_WEIGHTS says: (F,), float32."""
    if params.training.class_weights == "none":
        return np.ones(truth.shape[1], np.float32)
    return positive_weights(truth, params.training.class_weight_limit)
