"""The classifiers and their contract: gray 0..255 in; layers features, logits, probabilities."""

import functools
import warnings
from pathlib import Path

from cxr.core.artifacts import need
from cxr.core.errors import InputError
from cxr.core.members import BACKBONES, backbone_of
from cxr.core.parameters import Params
from cxr.networks import pytorch_densenet
from cxr.networks.backend import keras
from cxr.networks.output_stride import PUBLISHED, with_output_stride
from cxr.networks.saved_models import reason_of

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# (scale, offset) of 0..255 per colour, as the backbone's published weights expect it.
STANDARDISED = (
    [1 / (255 * std) for std in IMAGENET_STD],
    [-mean / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)],
)
SYMMETRIC = ([1 / 127.5] * 3, [-1.0] * 3)
CENTRED = ([1.0] * 3, [-103.939, -116.779, -123.68])  # Caffe's: blue first, its mean taken off
# EfficientNet B0-B7 divides by 255 first thing (and is told below to do no more): the net effect is STANDARDISED.
BEFORE_EFFICIENTNET = ([255 * scale for scale in STANDARDISED[0]], [255 * offset for offset in STANDARDISED[1]])
AS_IS = ([1.0] * 3, [0.0] * 3)  # EfficientNetV2 scales by itself, with constants
# By the beginning of the name, the longer one first; others scale symmetrically.
SCALINGS = {
    "efficientnetv2": AS_IS,
    "efficientnet": BEFORE_EFFICIENTNET,
    "densenet": STANDARDISED,
    "convnext": STANDARDISED,
    "vgg": CENTRED,
    **dict.fromkeys(("resnet50v2", "resnet101v2", "resnet152v2"), SYMMETRIC),
    "resnet": CENTRED,
}
SCALE_THEMSELVES = ("convnext", "mobilenetv3")  # unless told not to: scaling is ours, whatever the weights
ANOTHER = "another path in WEIGHTS of PARAMS.json, or imagenet, or none"


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


def _backbone(name: str):
    """What builds it, and (scale, offset) of 0..255 per colour before it."""
    if name == "tiny":
        return _tiny, SYMMETRIC
    published = {found.lower(): found for found in dir(keras.applications) if found[0].isupper()}
    constructor = getattr(keras.applications, published[name])
    if name.startswith(SCALE_THEMSELVES):
        constructor = functools.partial(constructor, include_preprocessing=False)
    return constructor, next((SCALINGS[start] for start in SCALINGS if name.startswith(start)), SYMMETRIC)


APPLICATIONS = {name: _backbone(name) for name in BACKBONES}


def with_weights(params: Params, weights: str) -> Params:
    """The parameters with other first weights, the same for all members."""
    return params.model_copy(update={"models": params.models.model_copy(update={"weights": weights})})


def build_classifier(member: str, params: Params) -> keras.Model:
    """A classifier of the findings of a run, its input scaling inside.

    Parameters
    ----------
    member : str
        Of ENSEMBLE_MEMBERS or EFFICIENTNET_VARIANT; its backbone is a key of `APPLICATIONS`.
    params : Params
        FINDINGS, input size, output stride, first weights, dropout and batch-norm momentum.

    Returns
    -------
    keras.Model
        (N, size, size, 1) 0..255 -> probabilities (N, F), float32. Its layers ``features`` (N, h, w, channels),
        ``logits`` and ``probabilities`` (N, F) can be reached by name, also after saving and loading.

    Raises
    ------
    InputError
        The first weights cannot be downloaded or read, or do not fit; the backbone has no such output stride.
    """
    constructor, scaling = APPLICATIONS[backbone_of(member)]
    size, weights, layers = params.input_size(member), params.first_weights(member), None
    if params.weights_of_pytorch(member):
        layers = pytorch_densenet.read_layers(_for_densenet(member, weights))
        scaling = pytorch_densenet.scaling(layers, params.models.weights_range) or scaling
    film = keras.Input((size, size, 1), name="film")
    colours = keras.layers.Concatenate(name="colours")([film, film, film])
    scaled = keras.layers.Rescaling(*scaling, name="scaled")(colours)
    backbone = constructor(include_top=False, weights=None, input_tensor=scaled)
    if params.output_stride(member) < PUBLISHED:
        backbone = with_output_stride(backbone, params.output_stride(member))
    features = keras.layers.Activation("linear", name="features")(backbone.output)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(features)
    dropped_out = keras.layers.Dropout(params.models.dropout, name="dropout", seed=params.general.seed)(pooled)
    logits = keras.layers.Dense(len(params.findings), dtype="float32", name="logits")(dropped_out)
    probabilities = keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
    # TensorFlow makes scopes of names, in which no @ may be.
    model = keras.Model(backbone.input, probabilities, name=member.replace("@", "_"))
    set_batch_norm_momentum(model, params.models.batch_norm_momentum)
    if layers:
        pytorch_densenet.load(backbone, layers, Path(weights))
    elif weights not in ("none", "drawn"):  # the latter are copied by who trained them: training.drawn_weights
        _load_first_weights(backbone, constructor, weights, size)
    return model


def seen_grays(classifier: keras.Model) -> str:
    """What its backbone sees of black and white, in words; of ImageNet's three colours the first."""
    scaled = classifier.get_layer("scaled")
    black = scaled.offset[0]
    return f"black is {black:.4g} to them, white {black + 255 * scaled.scale[0]:.4g}"


def _for_densenet(member: str, weights: str) -> Path:
    """The path of a PyTorch file, where it is there and the member a DenseNet."""
    if not member.startswith("densenet"):
        raise InputError(
            f"WEIGHTS: {weights!r} is a PyTorch file, which only DenseNets read, not {member}. Name it for one: "
            '"WEIGHTS": {"densenet121": FILE}.'
        )
    return need(Path(weights), ANOTHER)


def _load_first_weights(backbone: keras.Model, constructor, weights: str, size: int) -> None:
    """Copy weights from the backbone as Keras builds it for this file into ours, layer by layer.

    Not ``load_weights`` on ours: the file of EfficientNet B0-B7 also holds a normalisation that Keras completes only
    when it is told "imagenet"; here input scaling is ours alone and the same wherever weights come from.
    """
    if weights != "imagenet":
        need(Path(weights), ANOTHER)
    try:
        with warnings.catch_warnings(record=True) as said:  # a line for every layer of another network's file
            donor = constructor(include_top=False, weights=weights, input_shape=(size, size, 3))
    except Exception as error:  # whatever h5py, the download or Keras' loader raise
        raise InputError(
            f"WEIGHTS: {weights!r} could not be loaded for {backbone.name} ({reason_of(error, Path(weights))}). "
            'Set WEIGHTS in PARAMS.json to "none" or to a weights file of this backbone without its top.'
        ) from None
    for warning in said:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)

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
