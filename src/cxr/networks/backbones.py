"""The backbones, all of keras.applications, and what grays each expects."""

import functools

from cxr.core.members import BACKBONES
from cxr.networks.backend import keras

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
