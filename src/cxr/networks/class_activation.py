"""Where in a film the evidence for a finding lies: class activation maps, in closed form for a GAP + Dense head.

With ``logit_f = bias_f + sum_c W_cf * mean_hw(features_c)`` the gradient of a logit by its features is
``W_cf / (h * w)`` at every place. What the published methods take from a backward pass a finding is then known
beforehand: all maps of all findings come from the forward pass that gives the probabilities.
"""

from cxr.core.parameters import MAP_METHODS
from cxr.networks.backend import keras

ops = keras.ops


def explainer(classifier: keras.Model, methods: tuple[str, ...] = MAP_METHODS) -> keras.Model:
    """One network that gives the probabilities and the maps of all findings in one forward pass.

    Maps explain the logit, not the probability, which saturates. With g = W_cf / (h * w) and m_c the mean of a channel:

    * ``gradcam`` (Selvaraju 2017) weighs a channel by its mean gradient: the map is the sum of g * features_c.
    * ``gradcam++`` (Chattopadhyay 2018) weighs it by sum_hw(alpha * relu(g)), with
      alpha = g² / (2 g² + g³ sum_hw(features_c)) = 1 / (2 + W_cf * m_c): relu(W_cf) / (2 + W_cf * m_c). The factor
      exp(logit) that the paper's exponential brings is the same at every place of a film and is left out.
    * ``layercam`` (Jiang 2021) weighs every place by relu(gradient): the sum of relu(g) * features_c.

    Parameters
    ----------
    classifier : keras.Model
    methods : tuple of str
        Of `MAP_METHODS`, in the order of the maps.

    Returns
    -------
    keras.Model
        (N, size, size, 1) 0..255 -> probabilities (N, F) float32, then maps (N, h, w, F) float32 of each method,
        *without* ReLU. The sum over h and w of ``gradcam``'s, plus bias, is the logit.
    """
    features = classifier.get_layer("features").output
    kernel = classifier.get_layer("logits").kernel
    maps = [_Maps(kernel, method, name=f"maps_{index}")(features) for index, method in enumerate(methods)]
    return keras.Model(classifier.input, [classifier.get_layer("probabilities").output, *maps], name="explainer")


class _Maps(keras.layers.Layer):
    """features (N, h, w, C) and the last layer's weights (C, F) -> maps (N, h, w, F) of one method."""

    def __init__(self, kernel, method: str, **options):
        super().__init__(dtype="float32", **options)
        self.last_kernel, self.method = kernel, method

    def call(self, features):
        features, kernel = ops.cast(features, "float32"), ops.cast(self.last_kernel, "float32")
        if self.method == "gradcam++":
            means = ops.mean(features, axis=(1, 2))  # (N, C)
            # Activations may be a little negative (swish): kept away from 0, so that no channel is blown up.
            damping = ops.maximum(2 + means[:, :, None] * kernel, 0.1)  # (N, C, F)
            return ops.einsum("nhwc,ncf->nhwf", features, ops.relu(kernel) / damping)
        if self.method == "layercam":
            kernel = ops.relu(kernel)
        return ops.matmul(features, kernel) / (features.shape[1] * features.shape[2])
