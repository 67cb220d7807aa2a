"""The U-Net and the classifiers, and their contract: gray 0..255 in; layers features, logits, probabilities."""

import itertools
from pathlib import Path

import numpy as np

from cxr.core.artifacts import need
from cxr.networks.backend import keras
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.parameters import Params

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# (scale, offset) of 0..255 per colour, as the backbone's published weights expect it.
STANDARDISED = (
    [1 / (255 * std) for std in IMAGENET_STD],
    [-mean / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)],
)
SYMMETRIC = ([1 / 127.5] * 3, [-1.0] * 3)
# EfficientNet B0-B7 divides by 255 first thing (and is told below to do no more): the net effect is STANDARDISED.
BEFORE_EFFICIENTNET = ([255 * scale for scale in STANDARDISED[0]], [255 * offset for offset in STANDARDISED[1]])
AS_IS = ([1.0] * 3, [0.0] * 3)  # EfficientNetV2 scales by itself, with constants


def _tiny(input_tensor=None, input_shape=None, weights=None, include_top=False):
    """Three convolutions: for tests and for a first look in seconds, not for results."""
    x = inputs = keras.Input(input_shape) if input_tensor is None else input_tensor
    for level, filters in enumerate((8, 16, 32)):
        x = keras.layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name=f"conv{level}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{level}")(x)
        x = keras.layers.Activation("relu", name=f"relu{level}")(x)
    model = keras.Model(keras.utils.get_source_inputs(inputs), x, name="tiny")
    if weights:
        model.load_weights(weights)
    return model


# A backbone is a line here and its name and input size in config.BACKBONES.
APPLICATIONS = {
    "densenet121": (keras.applications.DenseNet121, STANDARDISED),
    "densenet169": (keras.applications.DenseNet169, STANDARDISED),
    "inceptionv3": (keras.applications.InceptionV3, SYMMETRIC),
    "xception": (keras.applications.Xception, SYMMETRIC),
    "tiny": (_tiny, SYMMETRIC),
    **{f"efficientnetb{n}": (getattr(keras.applications, f"EfficientNetB{n}"), BEFORE_EFFICIENTNET) for n in range(8)},
    **{
        f"efficientnetv2{variant.lower()}": (getattr(keras.applications, f"EfficientNetV2{variant}"), AS_IS)
        for variant in ("B0", "B1", "B2", "B3", "S", "M", "L")
    },
}


def build_classifier(member: str, params: Params) -> keras.Model:
    """A classifier of the six findings, its input scaling inside.

    Parameters
    ----------
    member : str
        A key of `APPLICATIONS`.
    params : Params
        Input size, first weights, dropout and batch-norm momentum.

    Returns
    -------
    keras.Model
        (N, size, size, 1) 0..255 -> probabilities (N, 6), float32. Its layers ``features`` (N, h, w, channels),
        ``logits`` and ``probabilities`` (N, 6) can be reached by name, also after saving and loading.

    Raises
    ------
    InputError
        The first weights cannot be downloaded or do not fit.
    """
    constructor, (scale, offset) = APPLICATIONS[member]
    size = params.input_size(member)
    film = keras.Input((size, size, 1), name="film")
    colours = keras.layers.Concatenate(name="colours")([film, film, film])
    scaled = keras.layers.Rescaling(scale, offset, name="scaled")(colours)
    backbone = constructor(include_top=False, weights=None, input_tensor=scaled)
    features = keras.layers.Activation("linear", name="features")(backbone.output)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(features)
    kept = keras.layers.Dropout(params.models.dropout, name="dropout", seed=params.general.seed)(pooled)
    logits = keras.layers.Dense(len(FINDINGS), dtype="float32", name="logits")(kept)
    probabilities = keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
    model = keras.Model(film, probabilities, name=member)
    set_batch_norm_momentum(model, params.models.batch_norm_momentum)
    weights = params.first_weights(member)
    if weights != "none":
        _load_first_weights(backbone, constructor, weights, size)
    return model


def _load_first_weights(backbone: keras.Model, constructor, weights: str, size: int) -> None:
    """Copy weights from the backbone as Keras builds it for this file into ours, layer by layer.

    Not ``load_weights`` on ours: the file of EfficientNet B0-B7 also holds a normalisation that Keras completes only
    when it is told "imagenet"; here input scaling is ours alone and the same wherever weights come from.
    """
    if weights != "imagenet":
        need(Path(weights), "another path in WEIGHTS of PARAMS.json, or imagenet, or none")
    try:
        donor = constructor(include_top=False, weights=weights, input_shape=(size, size, 3))
    except Exception as error:  # whatever h5py, the download or Keras' loader raise
        raise InputError(
            f"WEIGHTS: {weights!r} could not be loaded for {backbone.name} ({_reason(error)}). "
            'Set WEIGHTS in PARAMS.json to "none" or to a weights file of this backbone without its top.'
        ) from None

    def weighted(model):
        skipped = keras.layers.Normalization
        return [layer for layer in model.layers if layer.weights and not isinstance(layer, skipped)]

    for ours, theirs in zip(weighted(backbone), weighted(donor), strict=True):
        ours.set_weights(theirs.get_weights())


def set_batch_norm_momentum(model: keras.Model, momentum: float) -> None:
    """Set the momentum of every batch normalisation; Keras' 0.99 is too slow for runs of a few hundred steps."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum


def logits_of(classifier: keras.Model, recompute: bool = False) -> keras.Model:
    """The same network up to the logits, sharing its weights: what the loss is computed from.

    With ``recompute`` only what passes between its segments is kept for the backward pass, and each segment is computed
    once more there (Chen 2016): less memory, more time, the same weights. The classifier itself stays as it is.
    """
    x, logits = classifier.input, classifier.get_layer("logits").output
    if recompute:
        for number, segment in enumerate(_segments(classifier)):
            x = _Recomputed(segment, name=f"segment_{number}")(x)
        logits = keras.Model(classifier.get_layer("features").output, logits, name="head")(x)
    return keras.Model(classifier.input, logits, name=f"{classifier.name}_logits")


def _segments(classifier: keras.Model) -> list[keras.Model]:
    """The network up to ``features`` as a chain of networks of about equal activations, sharing its layers."""
    layers = classifier.layers[: classifier.layers.index(classifier.get_layer("features")) + 1]
    place = {id(layer.output): number for number, layer in enumerate(layers)}
    last_use = list(range(len(layers)))
    for number, layer in enumerate(layers[1:], 1):
        for tensor in keras.tree.flatten(layer.input):
            last_use[place[id(tensor)]] = number
    # A cut is where no tensor from before it is used behind it but the one that it hands on.
    reached = np.maximum.accumulate([0, *last_use[:-1]])
    cuts = np.flatnonzero(reached <= np.arange(len(layers)))
    kept = np.cumsum([np.prod(layer.output.shape[1:]) for layer in layers])
    aims = np.linspace(kept[cuts[0]], kept[-1], max(1, round(len(cuts) ** 0.5)) + 1)
    chosen = np.unique(cuts[[np.abs(kept[cuts] - aim).argmin() for aim in aims]])
    return [keras.Model(layers[begin].output, layers[end].output) for begin, end in itertools.pairwise(chosen)]


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
        state, weights = ([keras.ops.copy(one) for one in group] for group in (moved, self.segment.trainable_variables))

        def compute(x, *weights):
            output, new_state = self.segment.stateless_call(list(weights), state, x, training=training)
            return (output, *new_state)

        output, *new_state = keras.remat(compute)(x, *weights)
        for variable, value in zip(moved, new_state, strict=True):
            variable.assign(value)
        return output


def build_unet(params: Params) -> keras.Model:
    """The original's U-Net: four levels of two convolutions, batch normalisation, dropout at the bottom.

    Ronneberger 2015. A film is standardised by its own mean and deviation inside the network, so that a darker or
    flatter hospital looks the same to it.

    Returns
    -------
    keras.Model
        (N, size, size, 1) 0..255 -> probability of lung (N, size, size, 1), float32.
    """
    size, filters = params.unet.unet_input_size, params.unet.unet_filters
    film = keras.Input((size, size, 1), name="film")
    scaled = keras.layers.Rescaling(1 / 255, name="scaled")(film)
    x = keras.layers.LayerNormalization(axis=(1, 2, 3), epsilon=1e-5, center=False, scale=False, name="standardised")(
        scaled
    )
    skipped = []
    for level in range(4):
        x = _two_convolutions(x, filters * 2**level)
        skipped.append(x)
        x = keras.layers.MaxPooling2D()(x)
    x = _two_convolutions(x, filters * 16)
    x = keras.layers.Dropout(params.unet.unet_dropout, seed=params.general.seed)(x)
    for level in reversed(range(4)):
        x = keras.layers.Conv2DTranspose(filters * 2**level, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Activation("relu")(x)
        x = _two_convolutions(keras.layers.Concatenate()([skipped[level], x]), filters * 2**level)
    logit = keras.layers.Conv2D(1, 1, dtype="float32", name="logit")(x)
    model = keras.Model(film, keras.layers.Activation("sigmoid", dtype="float32", name="lung")(logit), name="unet")
    set_batch_norm_momentum(model, params.models.batch_norm_momentum)
    return model


def _two_convolutions(x, filters: int):
    for _ in range(2):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Activation("relu")(x)
    return x


def _reason(error: Exception) -> str:
    """The first line of what Keras, h5py or zipfile say; some say nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def load_model(path: Path, size: int, made_by: str) -> keras.Model:
    """Read a saved network without running any code from it.

    Raises
    ------
    InputError
        Not there, not readable, or made for films of another size.
    """
    try:
        model = keras.saving.load_model(need(path, made_by), compile=False, safe_mode=True)
    except InputError:
        raise
    except Exception as error:  # zip, JSON and HDF5 errors alike: the file is no whole Keras model
        raise InputError(f"{path}: not a whole Keras model ({_reason(error)}). Make it again with: {made_by}") from None
    if model.input_shape[1:] != (size, size, 1):
        found = "x".join(str(side) for side in model.input_shape[1:])
        raise InputError(
            f"{path}: takes films of {found}, PARAMS.json says {size}x{size}x1. Change it, or make the model again "
            f"with: {made_by}"
        )
    return model
