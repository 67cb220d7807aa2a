"""Grad-CAM: where in a film the evidence for a finding lies, in closed form for a head of average pooling + Dense."""

from cxr.backend import keras

ops = keras.ops


def explainer(classifier: keras.Model) -> keras.Model:
    """One network that gives the probabilities and the Grad-CAM maps of all six findings in one forward pass.

    Grad-CAM (Selvaraju 2017) weighs each channel of the features by the mean gradient of the logit. With
    ``logit_f = bias_f + sum_c W_cf * mean_hw(features_c)`` that gradient is ``W_cf / (h * w)`` everywhere, so the map
    is the features times the last layer's weights: no backward pass, and all findings at once. It explains the logit,
    not the probability, which saturates.

    Returns
    -------
    keras.Model
        (N, size, size, 1) 0..255 -> probabilities (N, 6) float32, maps (N, h, w, 6) float32 *without* ReLU: a mean over
        h and w, plus bias / (h * w), is logit / (h * w).
    """
    features = classifier.get_layer("features").output
    kernel = classifier.get_layer("logits").kernel
    _, height, width, _ = features.shape
    maps = _Maps(kernel, height * width, name="maps")(features)
    return keras.Model(classifier.input, [classifier.get_layer("probabilities").output, maps], name="explainer")


class _Maps(keras.layers.Layer):
    """features (N, h, w, C) times the last layer's weights (C, F), divided by the number of places."""

    def __init__(self, kernel, places: int, **options):
        super().__init__(dtype="float32", **options)
        self.last_kernel, self.places = kernel, places

    def call(self, features):
        return ops.matmul(ops.cast(features, "float32"), ops.cast(self.last_kernel, "float32")) / self.places
