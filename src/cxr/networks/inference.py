"""Batched U-Net masks and classifier scoring; other threads may read, clean and write while a batch is computed."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cxr.anatomy.heart import OUTLINES, Widths, clean_heart, measure, why_no_room
from cxr.anatomy.lungs import MaskQuality, clean_mask
from cxr.core import process_group
from cxr.core.parameters import Params
from cxr.networks import backend, map_places
from cxr.networks.backend import keras
from cxr.networks.class_activation import explainer
from cxr.networks.film_batches import FilmBatches

# Films a step of the U-Net at most: 8 are as fast as 32, which take 12 GB with 64 filters at 512 pixels.
MASK_BATCH = 8
INNER_PIXELS = 8 * 512**2  # a step of HiResCAM at most: what it keeps for DenseNet169's backward passes takes 2.6 GB
_one_at_a_time = threading.Lock()  # a network has the whole machine; other threads read and clean up meanwhile


def predictor(model: keras.Model, pack: np.ndarray, rows: np.ndarray, params: Params) -> Callable[[], np.ndarray]:
    """() -> what the model says of rows of a pack, from its weights of that moment; compiled once.

    Where several processes train the model, each scores its share of the rows, on its own devices and with a copy of
    the network, and all get the whole: they must call it together.
    """
    copied, devices = backend.copies_to_score(), backend.own_devices()
    with backend.own_scope():
        # A network of its own: the model in training keeps its compiled state.
        network = keras.models.clone_model(model) if copied else keras.Model(model.input, model.output)
        network.compile(jit_compile=backend.jit_compile(params))
    if copied:  # as many films for each process and each of its devices, the first ones twice where need be
        each = -(-len(rows) // (process_group.count() * devices)) * devices
        share = np.resize(rows, process_group.count() * each)[process_group.index() * each :][:each]
        batches = _in_order(pack, share, params, multiple=devices)
    else:
        batches = _in_order(pack, rows, params)

    def predict():
        with backend.own_scope():
            if copied:
                network.set_weights(model.get_weights())
            scored = network.predict(batches, verbose=0)
        return backend.gathered(scored).reshape(-1, *scored.shape[1:])[: len(rows)]

    return predict


def _in_order(pack: np.ndarray, rows: np.ndarray, params: Params, multiple: int = 1) -> FilmBatches:
    """Batches of films as they are, without targets, read ahead by a thread; of a ``multiple`` of films each."""
    size = -(-params.evaluation.score_batch_size // multiple) * multiple
    return FilmBatches(pack, rows, map(str, rows), None, size, workers=2)


@dataclass(frozen=True)
class Outlined:
    """What a U-Net found in a film: clean masks of shape (size, size), uint8, 0 or 255; the lungs' quality; widths.

    heart is None where the U-Net outlines lungs alone, as those of earlier versions; widths are NaN there, and where
    the lungs are not accepted.
    """

    lungs: np.ndarray
    heart: np.ndarray | None
    quality: MaskQuality
    widths: Widths

    @property
    def record(self) -> dict[str, Any]:
        """A row of a table of masks."""
        return {**vars(self.quality), **vars(self.widths)}


def _outlined(probabilities: np.ndarray, threshold: float) -> Outlined:
    """From the probabilities (size, size, K) of a film."""
    lungs, quality = clean_mask(probabilities[..., 0], threshold)
    if probabilities.shape[-1] < len(OUTLINES):
        return Outlined(lungs, None, quality, Widths())
    heart = clean_heart(probabilities[..., 1], threshold)
    quality = replace(quality, doubt=quality.doubt or why_no_room(lungs, heart))
    return Outlined(lungs, heart, quality, measure(lungs, heart) if quality.accepted else Widths())


def outlined_films(unet: keras.Model, films: Iterable[np.ndarray], params: Params) -> Iterator[Outlined]:
    """Lungs and heart of a stream of films.

    Parameters
    ----------
    unet : keras.Model
    films : iterable of ndarrays of shape (size, size), uint8
        Taken a batch at a time, so a stream of any length needs the memory of one batch.
    params : Params

    Yields
    ------
    Outlined
    """
    size, step = unet.input_shape[1], min(MASK_BATCH, params.evaluation.score_batch_size)
    batch: list[np.ndarray] = []

    def cleaned():
        # Always a whole batch: another shape would be compiled again.
        stacked = np.zeros((step, size, size, 1), np.uint8)
        stacked[: len(batch), ..., 0] = batch
        with _one_at_a_time:
            if not unet.compiled:
                unet.compile(jit_compile=backend.jit_compile(params))
            probabilities = np.asarray(unet.predict_on_batch(stacked))[: len(batch)]
        return [_outlined(of_film, params.pack.lung_threshold) for of_film in probabilities]

    for film in films:
        batch.append(film)
        if len(batch) == step:
            yield from cleaned()
            batch = []
    if batch:
        yield from cleaned()


@dataclass(frozen=True)
class Scorer:
    """What `score` and `randomisation` run: probabilities and maps; probabilities alone; by method, in the order of the
    maps, where their places lie. Networks compile once."""

    network: keras.Model
    plain: keras.Model
    places: dict[str, map_places.Places]


def scorer(classifier: keras.Model, params: Params, methods: Sequence[str] | None = None) -> Scorer:
    """Of the methods' maps; without these of all that the parameters ask for."""
    methods = params.evaluation.map_methods if methods is None else tuple(methods)
    network, plain = explainer(classifier, methods), keras.Model(classifier.input, classifier.output)
    for one in (network, plain):
        one.compile(jit_compile=backend.jit_compile(params))
    names = {method: map_places.explained(classifier, method).name for method in methods}
    return Scorer(network, plain, {method: map_places.places_of(classifier, name) for method, name in names.items()})


def score(
    scorer: Scorer, pack: np.ndarray, rows: np.ndarray, params: Params, with_maps: bool = True
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Probabilities and maps of rows of a pack, all of a film at once.

    Parameters
    ----------
    scorer : Scorer
    pack : ndarray of shape (N, size, size), uint8
    rows : ndarray of n int
    params : Params
        SCORE_BATCH_SIZE; TEST_TIME_AUGMENTATION: probabilities are averaged with those of the flipped film.
    with_maps : bool
        Without them a film takes less time.

    Returns
    -------
    probabilities : ndarray of shape (n, F), float32
    maps : dict of ndarrays of shape (n, F, h, w), float16
        Of each of the scorer's methods: without ReLU, on a regular grid over the film (`map_places.onto_film`).
    """
    places = scorer.places if with_maps else {}
    size = min(params.evaluation.score_batch_size, len(rows))
    if "hirescam" in places:
        size = min(size, max(1, INNER_PIXELS // pack.shape[1] ** 2))
    batches = []
    for first in range(0, len(rows), size):
        chosen = rows[first : first + size]
        # Whole batches: another shape would be compiled again.
        films = pack[np.resize(chosen, size)][..., None]
        with _one_at_a_time:
            batch = scorer.network.predict_on_batch(films) if places else [scorer.plain.predict_on_batch(films)]
            if params.evaluation.test_time_augmentation:
                batch[0] = (batch[0] + scorer.plain.predict_on_batch(films[:, :, ::-1])) / 2
        # Laid a whole batch at a time: as many films are always summed in the same order, however they are cut.
        laid = zip(batch[1:], places.values(), strict=True)
        batch[1:] = [map_places.onto_film(maps, its_places, pack.shape[1]) for maps, its_places in laid]
        batches.append([output[: len(chosen)] for output in batch])
    probabilities, *maps = map(np.concatenate, zip(*batches, strict=True))
    by_method = zip(places, maps, strict=True)
    return probabilities, {name: output.transpose(0, 3, 1, 2).astype(np.float16) for name, output in by_method}
