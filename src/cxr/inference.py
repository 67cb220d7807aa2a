"""Batched U-Net masks and classifier scoring, the next batch being read while one is computed."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from cxr import backend
from cxr.backend import keras
from cxr.datasets import FilmBatches
from cxr.gradcam import explainer
from cxr.lungs import MaskQuality, clean_mask
from cxr.parameters import Params


def predictor(model: keras.Model, pack: np.ndarray, rows: np.ndarray, params: Params) -> Callable[[], np.ndarray]:
    """() -> what the model says of rows of a pack, from its weights of that moment; compiled once."""
    network = keras.Model(model.input, model.output)  # of its own: the model in training keeps its compiled state
    network.compile(jit_compile=backend.jit_compile(params))
    batches = _in_order(pack, rows, params)
    return lambda: network.predict(batches, verbose=0)


def _in_order(pack: np.ndarray, rows: np.ndarray, params: Params) -> FilmBatches:
    """Batches of films as they are, without targets, read ahead by a thread."""
    return FilmBatches(pack, rows, map(str, rows), None, params.evaluation.score_batch_size, workers=2)


def lung_masks(
    unet: keras.Model, films: Iterable[np.ndarray], params: Params
) -> Iterator[tuple[np.ndarray, MaskQuality]]:
    """Clean lung masks of a stream of films.

    Parameters
    ----------
    unet : keras.Model
    films : iterable of ndarrays of shape (size, size), uint8
        Taken a batch at a time, so a stream of any length needs the memory of one batch.
    params : Params

    Yields
    ------
    mask : ndarray of shape (size, size), uint8
        0 or 255.
    quality : MaskQuality
    """
    size, step = unet.input_shape[1], params.evaluation.score_batch_size
    batch: list[np.ndarray] = []

    def cleaned():
        # Always a whole batch: another shape would be compiled anew.
        stacked = np.zeros((step, size, size, 1), np.uint8)
        stacked[: len(batch), ..., 0] = batch
        probabilities = np.asarray(unet.predict_on_batch(stacked))[: len(batch), ..., 0]
        return [clean_mask(probability, params.pack.lung_threshold) for probability in probabilities]

    for film in films:
        batch.append(film)
        if len(batch) == step:
            yield from cleaned()
            batch = []
    if batch:
        yield from cleaned()


def score(classifier: keras.Model, pack: np.ndarray, rows: np.ndarray, params: Params):
    """Probabilities and maps of rows of a pack, in one forward pass per film.

    Parameters
    ----------
    classifier : keras.Model
        From `models.build_classifier`, or loaded.
    pack : ndarray of shape (N, size, size), uint8
    rows : ndarray of n int
    params : Params
        SCORE_BATCH_SIZE; TEST_TIME_AUGMENTATION: probabilities are averaged with those of the flipped film.

    Returns
    -------
    probabilities : ndarray of shape (n, 6), float32
    maps : ndarray of shape (n, 6, h, w), float16
        Without ReLU, of the film as it is.
    """
    network = explainer(classifier)
    network.compile(jit_compile=backend.jit_compile(params))
    batches = _in_order(pack, rows, params)
    probabilities, maps = network.predict(batches, verbose=0)
    if params.evaluation.test_time_augmentation:
        mirrored = _in_order(pack[:, :, ::-1], rows, params)
        probabilities = (probabilities + network.predict(mirrored, verbose=0)[0]) / 2
    return probabilities, maps.transpose(0, 3, 1, 2).astype(np.float16)
