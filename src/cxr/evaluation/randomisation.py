"""Do maps come from what was learned? Weights are shuffled, and maps compared with what they were (Adebayo 2018)."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from cxr.core.parameters import Params
from cxr.preparation.films import spread


def cascade(classifier, stages: int, seed: int) -> Iterator[str]:
    """Shuffle a classifier's weights, in place, from the last layer down to the first.

    The cascading randomisation of Adebayo 2018: maps that stay the same do not come from what was learned. Each weight
    tensor is shuffled within itself, not drawn again, so that activations keep their scale and none overflows.

    Yields
    ------
    str
        What has been shuffled so far: the last layer, then equal shares of the layers, then all.
    """
    random = np.random.default_rng(seed)
    layers = [layer for layer in classifier.layers if layer.weights][::-1]
    ends = [1, *(round(len(layers) * step / stages) for step in range(1, stages + 1))]
    for begin, end in zip([0, *ends], ends, strict=False):
        for layer in layers[begin:end]:
            layer.set_weights(
                [random.permuted(weights.ravel()).reshape(weights.shape) for weights in layer.get_weights()]
            )
        yield "last layer" if end == 1 else "all layers" if end == len(layers) else f"last {end} of {len(layers)}"


RANDOMISED_FILMS = 32  # enough for a mean correlation
FEWEST_PLACES = 4  # of a map whose ranks are compared


def randomisation(network, classifier, pack: np.ndarray, rows: np.ndarray, params: Params) -> pd.DataFrame:
    """How much maps still resemble themselves once learned weights are shuffled (Adebayo 2018). Spoils the classifier.

    Parameters
    ----------
    network : inference.Scorer
        Of ``classifier``, whose weights are shuffled from the last layer down.
    pack, rows, params
        As in `score`; `RANDOMISED_FILMS` spread over the rows are looked at.

    Returns
    -------
    DataFrame
        ``method``, ``shuffled``, ``places`` (cells of a map), ``films``, and ``correlation``: Spearman's of a film's
        map before and after, the mean over films and findings. Maps are compared as they are drawn, without what every
        film has at a place: each network's maps minus its own mean map of these films. Row "nothing, another film": of
        the maps of two films. NaN where a grid has fewer than four places, or there is one film.
    """
    from cxr.networks.inference import score  # only here: tables of results need no Keras

    few = min(len(rows), RANDOMISED_FILMS)
    rows = spread(np.asarray(rows), few)

    def drawn() -> dict[str, np.ndarray]:
        maps_of = score(network, pack, rows, params)[1]
        return {method: maps - maps.mean(axis=0, dtype=np.float32) for method, maps in maps_of.items()}

    learned = drawn()
    stages = [("nothing, another film", {method: np.roll(maps, 1, axis=0) for method, maps in learned.items()})]
    for shuffled in cascade(classifier, 4, params.general.seed):
        stages.append((shuffled, drawn()))
    return pd.DataFrame(
        {
            "method": method,
            "shuffled": shuffled,
            "places": maps[0, 0].size,
            "films": few,
            "correlation": mean_correlation(learned[method], maps),
        }
        for shuffled, by_method in stages
        for method, maps in by_method.items()
    )


def mean_correlation(maps: np.ndarray, others: np.ndarray) -> float:
    """Spearman's rank correlation of pairs of maps (N, F, h, w) over their places, the mean over films and findings.

    Pairs of which one is constant or not finite are left out. NaN where none is left, or with fewer than four places.
    """
    if maps[0, 0].size < FEWEST_PLACES:
        return float("nan")
    flat = [stack.reshape(-1, maps[0, 0].size).astype(np.float64) for stack in (maps, others)]
    finite = np.isfinite(flat[0]).all(axis=1) & np.isfinite(flat[1]).all(axis=1)
    ranks = (rankdata(rows, axis=1) for rows in flat)
    first, second = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    usable = finite & (lengths > 0)
    return float(((first * second).sum(axis=1)[usable] / lengths[usable]).mean()) if usable.any() else float("nan")
