"""Where in a film the evidence for a finding lies: class activation maps.

Of the last layer they have a closed form, for a GAP + Dense head: with
``logit_f = bias_f + sum_c W_cf * mean_hw(features_c)`` the gradient of a logit by its features is ``W_cf / (h * w)`` at
every place. What the published methods take from a backward pass a finding is then known beforehand: all maps of all
findings come from the forward pass that gives the probabilities. But there each place has seen most of the film. Of an
inner layer, whose places have not, HiResCAM takes a backward pass a finding down to it.
"""

from cxr.core.parameters import MAP_METHODS
from cxr.networks import backend
from cxr.networks.backend import keras
from cxr.networks.map_places import explained
from cxr.networks.output_stride import ends

ops = keras.ops


def explainer(classifier: keras.Model, methods: tuple[str, ...] = MAP_METHODS) -> keras.Model:
    """One network that gives the probabilities and the maps of all findings.

    Maps explain the logit, not the probability, which saturates. With g = W_cf / (h * w) and m_c the mean of a channel:

    * ``gradcam`` (Selvaraju 2017) weighs a channel by its mean gradient: the map is the sum of g * features_c.
    * ``gradcam++`` (Chattopadhyay 2018) weighs it by sum_hw(alpha * relu(g)), with
      alpha = g² / (2 g² + g³ sum_hw(features_c)) = 1 / (2 + W_cf * m_c): relu(W_cf) / (2 + W_cf * m_c). The factor
      exp(logit) that the paper's exponential brings is the same at every place of a film and is left out.
    * ``layercam`` (Jiang 2021) weighs every place by relu(gradient): the sum of relu(g) * features_c.
    * ``hirescam`` (Draelos 2020) weighs every place by its gradient, here of an inner layer
      (`map_places.inner_operation`): the sum of gradient * activation. What the gradients leave of the logit (minus its
      bias) is spread evenly. At the last layer it would be ``gradcam``.

    Parameters
    ----------
    classifier : keras.Model
    methods : tuple of str
        Of `MAP_METHODS`, in the order of the maps.

    Returns
    -------
    keras.Model
        (N, size, size, 1) 0..255 -> probabilities (N, F) float32, then maps (N, h, w, F) float32 of each method,
        *without* ReLU. The sum over h and w of ``hirescam``'s and ``gradcam``'s, plus bias, is the logit.
    """
    logits, maps = classifier.get_layer("logits"), []
    for index, method in enumerate(methods):
        features, name = ends(explained(classifier, method))[1], f"maps_{index}"
        if method == "hirescam":
            maps.append(_InnerMaps(keras.Model(features, logits.output), name=name)(features))
        else:
            maps.append(_Maps(logits.kernel, method, name=name)(features))
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


class _InnerMaps(keras.layers.Layer):
    """Activations (N, h, w, C) of an inner layer -> HiResCAM (N, h, w, F), by the network from there to the logits."""

    def __init__(self, to_logits: keras.Model, **options):
        super().__init__(dtype="float32", autocast=False, **options)
        self.to_logits = to_logits
        self.built = True

    def compute_output_spec(self, x):  # a tensor of its own: see recomputation._Recomputed
        return keras.KerasTensor((*x.shape[:3], self.to_logits.output.shape[-1]), "float32")

    def call(self, x):
        places = x.shape[1] * x.shape[2]
        # Times their number: the gradient by one place of many would be lost in float16.
        output, gradients = backend.output_and_gradients(lambda y: places * self.to_logits(y, training=False), x)
        activations = ops.cast(x, "float32")
        maps = [ops.sum(ops.cast(gradient, "float32") * activations, axis=-1) for gradient in gradients]
        maps = ops.stack(maps, axis=-1)
        left = output / places - self.to_logits.get_layer("logits").bias - ops.mean(maps, axis=(1, 2))
        return (maps + left[:, None, None]) / places
