"""Does the answer come from where the map is hot? Films are blanked place by place (deletion, insertion: Petsiuk 2018).

A blank place shows the mean film of val, as a map is what a place adds to the average film. Deletion blanks the hottest
places first: the sooner the probability of the finding falls, the smaller the area under its curve. Insertion puts
places onto the blank film, the hottest first: the sooner it rises, the larger the area. That is blanking the coldest
places first, read backwards; so three orders say all: hottest first, coldest first, and random, which both are compared
with.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxr.core import executors
from cxr.core.artifacts import Step, digest, need
from cxr.core.parameters import Params
from cxr.core.progress import progress
from cxr.core.settings import Settings
from cxr.evaluation import bootstrap, predictions, scoring
from cxr.evaluation.source_fits import POOLED, fit_of
from cxr.maps import heatmaps, map_scores
from cxr.maps.family_maps import Scored
from cxr.maps.localisation import ALWAYS_BESIDE, seen_at
from cxr.preparation.films import load_films, spread

SHARES = 10  # equal shares of the film's area, blanked one after the other
MEAN_OF = 500  # val films of a source, spread evenly, whose mean film is the blank
AREAS = ("deletion", "insertion", "random")
DIFFERENCES = {"deletion_difference": "deletion", "insertion_difference": "insertion"}  # minus random


@dataclass(frozen=True)
class Network:
    """A member, with the films as it reads them.

    probabilities: films (n, size, size), uint8 -> (n, F). film_and_blank: row of the family's table -> the film and
    what stands for nothing, both (size, size), uint8.
    """

    probabilities: Callable[[np.ndarray], np.ndarray]
    film_and_blank: Callable[[int], tuple[np.ndarray, np.ndarray]]


def step_of(settings: Settings, params: Params, family: str) -> Step:
    """The record of faithfulness.csv: whether it is of the networks, maps and films that are there now.

    Raises
    ------
    InputError
        The family was not evaluated yet, or one of its networks is not there.
    """
    folder, made_by = settings.family_dir(family), f"sh evaluate_{family.capitalize()}.sh"
    names = ("predictions.csv", "thresholds.json")
    made_from = {name: digest(need(folder / name, made_by)) for name in names}
    made_from |= map_scores.maps_made_from(settings, params.members(family), family, made_by)
    parameters = {
        "MAP_METHOD": params.evaluation.map_method,
        "FAITHFULNESS_FILMS": params.evaluation.faithfulness_films,
        "BOOTSTRAP_REPLICATES": params.evaluation.bootstrap_replicates,
        "SEED": params.general.seed,
        "heat": heatmaps.READ_AGAINST,
        "FEWEST": bootstrap.FEWEST,  # tables from before have no mark
        "LEAST": bootstrap.LEAST,
    }
    return Step(folder / "faithfulness.json", made_from, parameters, [folder / "faithfulness.csv"])


def pairs(scored: Scored, most: int) -> list[tuple[str, int]]:
    """(finding, row) of test films that have the finding and are called: about ``most``, as many of each finding.

    Only there is a probability that can fall, and a map that should say why.
    """
    test, each = (scored.table["split"] == "test").to_numpy(), -(-most // len(scored.findings))
    found = {finding: np.flatnonzero(test & (scored.outcomes(finding) == "TP")) for finding in scored.findings}
    return [(finding, row) for finding, rows in found.items() for row in spread(rows, each).tolist()]


def blanked(
    film: np.ndarray, blank: np.ndarray, heat: np.ndarray, chance: np.ndarray, seen: np.ndarray | None = None
) -> np.ndarray:
    """A film in which more and more is blank, in three orders.

    Parameters
    ----------
    film, blank : ndarrays of shape (size, size), uint8
    heat, chance : ndarrays of shape (h, w)
        What comes first, and what does in the random order; linear between places. Equal heat is in random order.
    seen : ndarray of shape (s, s), bool, optional
        What masking left of the film: the black beside it stays, and is no part of the area.

    Returns
    -------
    ndarray of shape (2 + 3 * (SHARES - 1), size, size), uint8
        The film, the blank, and between them one share of the area after the other, rounded to pixels: the hottest
        first, the coldest first, in random order.
    """
    size = len(film)
    places = np.arange(film.size) if seen is None else np.flatnonzero(seen_at(seen, size))
    heat, chance = (heatmaps.enlarged(values.astype(np.float32), size).ravel()[places] for values in (heat, chance))
    hottest_first = places[np.lexsort((-chance, -heat))]
    films = [film, film.copy()]
    films[1].flat[places] = blank.flat[places]
    for order in (hottest_first, hottest_first[::-1], places[np.argsort(-chance, kind="stable")]):
        for share in range(1, SHARES):
            gone = order[: round(order.size * share / SHARES)]
            films.append(film.copy())
            films[-1].flat[gone] = blank.flat[gone]
    return np.stack(films)


def areas(probabilities: np.ndarray) -> np.ndarray:
    """Areas (3,), `AREAS`, under probability against the share of a film, from what `blanked` makes of it (n,)."""
    whole, blank = probabilities[:2]
    between = probabilities[2:].reshape(len(AREAS), SHARES - 1)
    return ((whole + blank) / 2 + between.sum(axis=1)) / SHARES  # trapezoids


def score_all(scored: Scored, networks: Iterable[Network], most: int) -> pd.DataFrame:
    """`AREAS` of the family's probability, a row for each finding and film of `pairs`.

    Parameters
    ----------
    scored : Scored
    networks : iterable of Network
        The members, one after the other: each blanks films of its own size, the same share of them.
    most : int
        As FAITHFULNESS_FILMS.

    Returns
    -------
    DataFrame
        ``finding``, ``film``, ``patient``, `AREAS`.
    """
    chosen, by_member = pairs(scored, most), []
    for network in networks:
        own = np.zeros((len(chosen), 2 + len(AREAS) * (SHARES - 1)))  # of all that `blanked` makes of a film
        for number, (finding, row) in enumerate(progress(chosen, len(chosen), "blanking films")):
            chance = map_scores.BESIDE[ALWAYS_BESIDE[0]](scored, finding, row)[0]
            seen = scored.geometry(row).seen
            films = blanked(*network.film_and_blank(row), scored.evidence(finding, row), chance, seen)
            own[number] = network.probabilities(films)[:, scored.findings.index(finding)]
        by_member.append(own)
    said = [
        predictions.together(of_film, scored.weights.get(finding))
        for of_film, (finding, _) in zip(np.swapaxes(by_member, 0, 1), chosen, strict=True)
    ]
    table = pd.DataFrame([areas(of_film) for of_film in said], columns=list(AREAS))
    films = scored.table.iloc[[row for _, row in chosen]]
    names = {"finding": [finding for finding, _ in chosen], "film": films["image_id"], "patient": films["patient_id"]}
    return pd.concat([pd.DataFrame({name: list(values) for name, values in names.items()}), table], axis=1)


def networks(settings: Settings, params: Params, family: str, scored: Scored) -> Iterator[Network]:
    """The members' networks, loaded one after the other, with their films: `score_all` asks as evaluation did."""
    from cxr.networks import inference  # only here: other scores of maps need no Keras

    sources, val = predictions.source(scored.table), np.flatnonzero(scored.table["split"] == "val")
    for member in params.members(family):
        of_member = scoring.scoring_of(settings, params, family, member)
        films, pack = load_films(settings, params, of_member.size)
        row_of = pd.Index(films["image_id"]).get_indexer(scored.table["image_id"])
        blanks = {  # of the sources that maps are read against
            source: pack[row_of[spread(val[(sources[val] == source) | (source == POOLED)], MEAN_OF)]].mean(axis=0)
            for source in scored.means[0]
        }
        _, scorer, _ = scoring.networks(of_member)

        def probabilities(altered, scorer=scorer):
            return inference.score(scorer, altered, np.arange(len(altered)), params, with_maps=False)[0]

        def film_and_blank(row, pack=pack, row_of=row_of, blanks=blanks):
            return pack[row_of[row]], fit_of(blanks, sources[row]).round().astype(np.uint8)

        yield Network(probabilities, film_and_blank)
    executors.forget("classifier")


def summary(scores: pd.DataFrame, findings: Sequence[str], replicates: int, seed: int) -> pd.DataFrame:
    """Means over the films of each finding, and the mean of those over the findings that have any.

    Returns
    -------
    DataFrame
        ``finding``, ``films``, ``patients``, ``too_few`` (patients; of the mean: of a finding), ``no_interval``: why a
        difference has none, where one has, `AREAS`, and `DIFFERENCES`, deletion and insertion minus random, with
        ``_low`` and ``_high``, 95 % intervals by patient. Below 0: the probability falls sooner than in random order;
        above 0: it rises sooner. NaN without a film; no interval for fewer than
        `bootstrap.LEAST` patients of a finding.
    """
    scores = scores.assign(**{name: scores[area] - scores["random"] for name, area in DIFFERENCES.items()})
    rows = []
    for name in (*findings, map_scores.MEAN):
        own = scores if name == map_scores.MEAN else scores[scores["finding"] == name]
        owners = own.groupby("finding")["patient"].nunique()
        patients = own["patient"].nunique()
        few = bool((owners < bootstrap.FEWEST).any()) if len(own) else True
        row = {"finding": name, "films": own["film"].nunique(), "patients": patients, "too_few": few}
        silent = bootstrap.silence_of_mean({finding: number < bootstrap.LEAST for finding, number in owners.items()})
        row["no_interval"] = silent if name == map_scores.MEAN and silent else bootstrap.why_none(patients, replicates)
        row |= own.groupby("finding")[[*AREAS, *DIFFERENCES]].mean().mean().to_dict()
        for difference in DIFFERENCES:
            limits = _interval(own, difference, replicates, seed) or (np.nan, np.nan)
            row |= dict(zip((f"{difference}_low", f"{difference}_high"), limits, strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def _interval(scores: pd.DataFrame, column: str, replicates: int, seed: int) -> list[float] | None:
    """Of the mean over the findings of the mean over films; a resample without a finding is the mean of the others."""
    if not len(scores) or scores.groupby("finding")["patient"].nunique().min() < bootstrap.LEAST:
        return None
    films = pd.get_dummies(scores["finding"]).to_numpy(float)
    values = np.concatenate([films * scores[[column]].to_numpy(), films], axis=1)
    sums, counts = np.split(bootstrap.replicate_sums(values, scores["patient"], replicates, seed), 2, axis=1)
    with np.errstate(invalid="ignore"):
        return bootstrap.interval(np.nanmean(sums / counts, axis=1))
