"""Detection measured as detection: the boxes of all films, ranked by their scores, against the known ones.

Average precision, and the free-response curve (FROC, Bunch 1978) at seven rates of false boxes, whose mean is the FROC
score of LUNA16 (Setio 2017); with intervals by patient.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cxr.core.executors import in_order, process_count, threads
from cxr.core.parameters import Params
from cxr.core.progress import progress
from cxr.core.settings import Settings
from cxr.evaluation import bootstrap, predictions
from cxr.imaging.geometry import to_film, to_square
from cxr.maps import map_scores
from cxr.maps.detections import film_detections, ranked_boxes
from cxr.maps.family_maps import Scored, boxed_rows, fit_outlines, known_boxes
from cxr.maps.localisation import ALWAYS_BESIDE, Box, clip, overlaps
from cxr.tables.sources.catalogue import source_of

LIMITS = (("iou", 0.1), ("iou", 0.3), ("iou", 0.5), ("iobb", 0.5))  # above it a detected box finds a known one
FROC_LIMIT = LIMITS.index(("iou", 0.3))
FALSE_BOXES = (0.125, 0.25, 0.5, 1, 2, 4, 8)  # a film, mean over the films that count
SENSITIVITIES = tuple(f"sensitivity_at_{rate:g}" for rate in FALSE_BOXES)
WITH_INTERVAL = (*(f"ap_{kind}_{limit}" for kind, limit in LIMITS), "froc")
COUNTS = ("films", "positives", "boxes", "detected")  # positives: films with a known box; boxes: known ones
MEAN_BOX = "mean box of val"
KNOW_NOTHING = (*ALWAYS_BESIDE[:2], MEAN_BOX)  # of the film, but for its probability
BESIDE = (*KNOW_NOTHING, *ALWAYS_BESIDE[2:])
MOST_AT_ONCE = 2_000_000  # detected boxes times resamples, in memory

Boxes = Callable[[str, int], list[tuple[Box, float]]]  # finding, row -> detected boxes with their scores


@dataclass(frozen=True)
class Ranked:
    """The n boxes that one network detected of a finding, by falling score, on films of P patients.

    patients: (n,) index of each box's patient. found: bool (n, limits), from `match`. ends: (G,) place of the last box
    of each group of equal score. films, known: (P,) films that count, and known boxes, of each patient.
    """

    patients: np.ndarray
    found: np.ndarray
    ends: np.ndarray
    films: np.ndarray
    known: np.ndarray


def networks(settings: Settings, params: Params, family: str, scored: Scored) -> dict[str, Scored]:
    """The family and, where there are several, each of its members: with its own probabilities, maps and outlines."""
    members = params.members(family)
    if len(members) == 1:
        return {members[0]: scored}
    own = {family: scored}
    for number, member in enumerate(members):
        table = predictions.read(settings.member_dir(family, member) / "predictions.csv")
        alone = replace(scored, table=table, cams=[scored.cams[number]], means=[scored.means[number]])
        own[member] = replace(alone, outlines=fit_outlines(alone, alone.heat))
    return own


def counted_rows(scored: Scored, finding: str) -> np.ndarray:
    """Rows of the test films that count: of sources with boxes of the finding, with a box of it or labelled 0.

    Films that have the finding but no box are left out: nobody said where it is.
    """
    test, boxed = np.flatnonzero(scored.table["split"] == "test"), boxed_rows(scored, finding, "test")
    sources = source_of(scored.table["image_id"])
    counts = np.isin(test, boxed) | (scored.truth(finding)[test] == 0)
    return test[counts & np.isin(sources[test], np.unique(sources[boxed]))]


def match(detected: Sequence[Box], known: Sequence[Box]) -> np.ndarray:
    """Which detected boxes of a film, the highest score first, find a known one: bool (detected, limits).

    Each takes, of the known boxes that none before it found, the one that it overlaps most, where that is more than the
    limit of `LIMITS`.
    """
    found = np.zeros((len(detected), len(LIMITS)), bool)
    if len(known):
        by_kind = dict(zip(("iou", "iobb"), overlaps(detected, known), strict=True))
        for column, (kind, limit) in enumerate(LIMITS):
            left = by_kind[kind].copy()
            for index, overlap in enumerate(left):
                best = overlap.argmax()
                if overlap[best] > limit:
                    found[index, column] = True
                    left[:, best] = 0
    return found


def rank(scores: np.ndarray, patients: np.ndarray, found: np.ndarray, films: np.ndarray, known: np.ndarray) -> Ranked:
    """Sort detected boxes (n,), given in any order; the other parameters as in `Ranked`."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    return Ranked(patients[order], found[order], ends, films, known)


def figures(ranked: Ranked, weights: np.ndarray) -> np.ndarray:
    """Average precision at each of `LIMITS`, the FROC score, the sensitivity at each of `FALSE_BOXES`.

    Parameters
    ----------
    ranked : Ranked
    weights : int array of shape (R, P)
        How often each patient counts, in R resamples.

    Returns
    -------
    array of shape (R, figures)
        Average precision is not interpolated: scikit-learn's, times the share of known boxes that are found at all. A
        sensitivity is the highest with no more than that many false boxes a film. NaN without a known box.
    """
    drawn = weights[:, ranked.patients]  # (R, n)
    boxes = np.cumsum(drawn, axis=1)[:, ranked.ends]  # (R, G), to the end of each group, as are the hits
    hits = [np.cumsum(drawn * found, axis=1)[:, ranked.ends] for found in ranked.found.T]
    films, known = weights @ ranked.films, weights @ ranked.known
    known = np.where(known > 0, known, np.nan)
    precisions = [(np.diff(hit, axis=1, prepend=0) * hit / np.maximum(boxes, 1)).sum(axis=1) / known for hit in hits]
    false, curve = boxes - hits[FROC_LIMIT], np.pad(hits[FROC_LIMIT], ((0, 0), (1, 0)))
    sensitivities = []
    for rate in FALSE_BOXES:
        groups = (false <= rate * films[:, None]).sum(axis=1, keepdims=True)
        sensitivities.append(np.take_along_axis(curve, groups, axis=1)[:, 0] / known)
    return np.stack([*precisions, np.mean(sensitivities, axis=0), *sensitivities], axis=1)


def score_all(by_network: dict[str, Scored], replicates: int, seed: int) -> pd.DataFrame:
    """The figures of every network, and of what stands beside it, a row for each finding and for their mean.

    Parameters
    ----------
    by_network : dict
        From `networks`, with a known box in test (`map_scores.pairs`). The first says which films and boxes there are,
        and how probable a finding is to what stands beside: that differs in the place alone.
    replicates, seed : int

    Returns
    -------
    DataFrame
        ``finding``, ``network``, ``method``, `COUNTS`, ``too_few`` (`bootstrap.too_few`, with a known box or without;
        of the mean: of a finding), ``no_interval``: why a figure has none, where one has, `WITH_INTERVAL`, each with
        ``_low`` and ``_high``, and `SENSITIVITIES`. `MEAN_BOX` only for findings with boxes in val, and their mean
        only where all have some.
    """
    first = next(iter(by_network.values()))
    rows_of = {finding: counted_rows(first, finding) for finding in first.findings}
    rows_of = {finding: rows for finding, rows in rows_of.items() if len(rows)}
    every = np.unique(np.concatenate(list(rows_of.values())))
    names, index = np.unique(first.table["patient_id"].astype(str).iloc[every], return_inverse=True)
    patients = np.zeros(len(first.table), int)
    patients[every] = index
    # The first resample is the films themselves.
    weights = np.stack([np.ones(len(names), int), *bootstrap.draws(len(names), replicates, seed)])
    boxes_of, rows, drawn, silent = _boxes_of(by_network), [], {}, {}
    for finding, films in rows_of.items():
        boxed = np.isin(films, boxed_rows(first, finding, "test"))
        few, positives = bootstrap.too_few(boxed, patients[films]), int(boxed.sum())
        silent[finding] = bootstrap.silence(boxed, patients[films])
        for name, ranked in _ranked(first, finding, films, boxes_of, patients):
            values = drawn[name, finding] = _in_parts(ranked, weights)
            counts = dict(zip(COUNTS, (len(films), positives, ranked.known.sum(), len(ranked.patients)), strict=True))
            marks = {"too_few": few, "no_interval": silent[finding] or bootstrap.why_none(len(names), replicates)}
            rows.append(_row(finding, name, counts | marks, values[:1] if silent[finding] else values))
    table = pd.DataFrame(rows)
    positives = len(np.unique(np.concatenate([boxed_rows(first, finding, "test") for finding in rows_of])))
    for name in boxes_of:
        own = table[(table["network"] == name[0]) & (table["method"] == name[1])]
        if len(own) == len(rows_of):
            counts = dict(zip(COUNTS, (len(every), positives, own["boxes"].sum(), own["detected"].sum()), strict=True))
            few, values = bootstrap.silence_of_mean(silent), np.mean([drawn[name, f] for f in rows_of], axis=0)
            why = few or bootstrap.why_none(len(names), replicates)
            marks = {"too_few": own["too_few"].any(), "no_interval": why}
            rows.append(_row(map_scores.MEAN, name, counts | marks, values[:1] if few else values))
    return pd.DataFrame(rows)


def _ranked(
    scored: Scored, finding: str, films: np.ndarray, boxes_of: dict[tuple[str, str], Boxes], patients: np.ndarray
) -> Iterator[tuple[tuple[str, str], Ranked]]:
    """The boxes of each network and method on the films that count; ``patients``: index of each row's patient.

    `MEAN_BOX` is left out where val has none.
    """
    boxed = set(boxed_rows(scored, finding, "test").tolist())

    def look(row: int):
        known = known_boxes(scored, finding, row) if row in boxed else []
        detected = {name: boxes(finding, row) for name, boxes in boxes_of.items()}
        return len(known), {
            name: ([score for _, score in boxes], match([box for box, _ in boxes], known))
            for name, boxes in detected.items()
        }

    with threads(process_count(scored.params.general.workers)) as pool:
        looked = list(progress(in_order(look, films.tolist(), pool), len(films), f"boxes of {finding}"))
    known = [count for count, _ in looked]
    totals = [np.bincount(patients[films], times, patients.max() + 1).astype(int) for times in (None, known)]
    for name in boxes_of:
        scores, found = zip(*(by_name[name] for _, by_name in looked), strict=True)
        on = np.repeat(patients[films], [len(of_film) for of_film in scores])
        if name[1] != MEAN_BOX or len(on):
            yield name, rank(np.concatenate(scores), on, np.concatenate(found), *totals)


def _boxes_of(by_network: dict[str, Scored]) -> dict[tuple[str, str], Boxes]:
    """By network and method: the boxes of the networks, and of what stands beside them."""
    first = next(iter(by_network.values()))
    method = first.params.evaluation.map_method
    boxes: dict[tuple[str, str], Boxes] = {
        (name, method): functools.partial(film_detections, scored) for name, scored in by_network.items()
    }
    outlined = {name: _outlined(first, functools.partial(of, first)) for name, of in map_scores.BESIDE.items()}
    beside = {**outlined, MEAN_BOX: _mean_box(first)}
    return boxes | {("none", name): beside[name] for name in BESIDE}


def _outlined(scored: Scored, heats: map_scores.Heats) -> Boxes:
    """What the first heatmaps of films outline, fitted on val as the networks' are."""
    fitted = map_scores.fit_first(scored, heats)

    def boxes(finding: str, row: int) -> list[tuple[Box, float]]:
        return ranked_boxes(scored, finding, row, heats(finding, row)[0], fitted[finding]["share"])

    return boxes


def _mean_box(scored: Scored) -> Boxes:
    """The mean of the known boxes of val on the packed square, as a box of each film; none where val has none."""
    means = {}
    for finding in scored.findings:
        on_square = [
            to_square(box, scored.affine(row))
            for row in boxed_rows(scored, finding, "val").tolist()
            for box in known_boxes(scored, finding, row)
        ]
        if on_square:
            means[finding] = np.mean(on_square, axis=0)

    def boxes(finding: str, row: int) -> list[tuple[Box, float]]:
        if finding not in means:
            return []
        box = clip(to_film(means[finding], scored.affine(row)), scored.geometry(row))
        return [] if box is None else [(box, scored.probability(finding)[row])]

    return boxes


def _in_parts(ranked: Ranked, weights: np.ndarray) -> np.ndarray:
    parts = min(len(weights), math.ceil(len(weights) * (1 + len(ranked.patients)) / MOST_AT_ONCE))
    return np.concatenate([figures(ranked, part) for part in np.array_split(weights, parts)])


def _row(finding: str, name: tuple[str, str], counts: dict[str, int], drawn: np.ndarray) -> dict:
    """A row of the table; ``drawn`` (1 + replicates, figures): of the films themselves first."""
    row = {"finding": finding, "network": name[0], "method": name[1], **counts}
    for column, (figure, values) in enumerate(zip((*WITH_INTERVAL, *SENSITIVITIES), drawn.T, strict=True)):
        row[figure] = values[0]
        if column < len(WITH_INTERVAL):
            limits = bootstrap.interval(values[1:]) or (np.nan, np.nan)
            row |= dict(zip((f"{figure}_low", f"{figure}_high"), limits, strict=True))
    return row
