"""The U-Net that outlines lungs and heart."""

from cxr.anatomy.heart import OUTLINES
from cxr.core.parameters import Params
from cxr.networks.backend import keras
from cxr.networks.classifiers import set_batch_norm_momentum


def build_unet(params: Params, outlines: int = len(OUTLINES)) -> keras.Model:
    """The original's U-Net: four levels of two convolutions, batch normalisation, dropout at the bottom.

    Ronneberger 2015. A film is standardised by its own mean and deviation inside the network, so that a darker or
    flatter hospital looks the same to it.

    Returns
    -------
    keras.Model
        (N, size, size, 1) 0..255 -> probabilities (N, size, size, outlines), float32, of the first so many `OUTLINES`:
        of lung, and of heart, which may lie before a lung or the diaphragm.
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
    logit = keras.layers.Conv2D(outlines, 1, dtype="float32", name="logit")(x)
    model = keras.Model(film, keras.layers.Activation("sigmoid", dtype="float32", name="outlines")(logit), name="unet")
    set_batch_norm_momentum(model, params.models.batch_norm_momentum)
    return model


def _two_convolutions(x, filters: int):
    for _ in range(2):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Activation("relu")(x)
    return x
