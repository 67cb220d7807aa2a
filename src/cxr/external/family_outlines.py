"""What the maps of an evaluated family outline on the films that radiologists outlined, beside what knows nothing."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxr.core.errors import InputError
from cxr.core.executors import in_order, process_count, threads
from cxr.core.progress import progress
from cxr.evaluation import predictions
from cxr.external import outline_scores
from cxr.external.outlines import Outline, Outlines, Points, encode
from cxr.imaging.geometry import square_to_film
from cxr.maps import localisation, map_scores
from cxr.maps.family_maps import Scored
from cxr.maps.localisation import FilmGeometry
from cxr.tables.sources.chexlocalize import TASKS, film_name, patient_of, tasks_of

KNOW_NOTHING = localisation.ALWAYS_BESIDE[:2]  # of the film
LARGEST_STRETCH = 0.02  # of one side beside the other: a film is the outlined one at another size, to a pixel

Heats = Callable[[str, int], list[np.ndarray]]  # finding, row -> heatmaps (h, w): several of chance alone


@dataclass(frozen=True)
class Drawn:
    """scores: as of `outline_scores.score`, of the family and of `KNOW_NOTHING`. outlines, points: the family's own.

    notes: what was left out.
    """

    scores: pd.DataFrame
    outlines: Outlines
    points: Points
    notes: list[str]


@dataclass(frozen=True)
class _Method:
    name: str
    heats: Heats
    shares: dict[str, float]  # by finding, as `Scored.share`


def draw(scored: Scored, family: str, truth: Outlines, everything: bool) -> Drawn:
    """Outline and score the family's test films of the set that is outlined.

    Parameters
    ----------
    scored : Scored
    family : str
        Its name.
    truth : Outlines
        Its films that are no test films of the family, such as lateral ones, are left out.
    everything : bool
        As of `outline_scores.score`. Only findings that are called positive are outlined then, by the controls too;
        else all, for films without the finding are left out anyway.

    Raises
    ------
    InputError
        No film or no finding in common, or a film of other proportions than its outlines.
    """
    rows, outlined = _rows(scored, truth), list(next(iter(truth.values())))
    tasks = {finding: task for finding, task in tasks_of(scored.findings).items() if task in outlined}
    if not tasks:
        found = ", ".join(scored.findings)
        raise InputError(f"FINDINGS: {found}: none of them is outlined; expected some of {', '.join(outlined)}.")
    methods = _methods(scored, family)
    look = functools.partial(_look, scored, methods, tasks, rows, truth, everything)
    with threads(process_count(scored.params.general.workers)) as pool:
        looked = list(progress(in_order(look, rows, pool), len(rows), "outlines"))
    scores = pd.DataFrame([score for of_film, _, _ in looked for score in of_film])
    order = scores["method"].map({method.name: number for number, method in enumerate(methods)})
    missing = len(truth) - sum(film in truth for film in rows)
    notes = [f"{missing} of {len(truth)} outlined films are no test films of {family}: left out"] if missing else []
    without = [task for task in outlined if task not in tasks.values()]
    notes += [f"FINDINGS has none of {', '.join(without)}: left out"] if without else []
    return Drawn(
        scores=scores.iloc[np.argsort(order, kind="stable")].reset_index(drop=True),
        outlines={film: outlines for film, (_, outlines, _) in zip(rows, looked, strict=True)},
        points={film: points for film, (_, _, points) in zip(rows, looked, strict=True)},
        notes=notes,
    )


def _rows(scored: Scored, truth: Outlines) -> dict[str, int]:
    """Film -> row, of the test films of the sets (valid, test) that the outlined ones are of."""
    ids, sets = scored.table["image_id"], predictions.label_source(scored.table)
    test = np.flatnonzero(scored.table["split"] == "test")
    named = {film_name(ids.iloc[row]): int(row) for row in test}
    named.pop(None, None)
    outlined = {sets[row] for film, row in named.items() if film in truth}
    if not outlined:
        raise InputError(
            f"none of the {len(truth)} outlined films, such as {next(iter(truth))}, is a test film of the family (such "
            f"as {', '.join(ids.iloc[test[:1]]) or 'none'}). Prepare and evaluate with the outlined films first."
        )
    return {film: row for film, row in named.items() if sets[row] in outlined}


def _methods(scored: Scored, family: str) -> list[_Method]:
    """The family and `KNOW_NOTHING`, each with shares fitted in the same way on val, never on the outlines."""
    shares = {finding: scored.share(finding) for finding in scored.findings}
    methods = [_Method(family, lambda finding, row: [scored.heat(finding, row)], shares)]
    for name in KNOW_NOTHING:
        heats: Heats = functools.partial(map_scores.BESIDE[name], scored)
        fitted = map_scores.fit_first(scored, heats)
        methods.append(_Method(name, heats, {finding: fit["share"] for finding, fit in fitted.items()}))
    return methods


def _look(
    scored: Scored, methods: list[_Method], tasks: dict[str, str], rows: dict[str, int], truth: Outlines,
    everything: bool, film: str,
) -> tuple[list[dict], dict[str, Outline], dict[str, list[list[float]]]]:  # fmt: skip
    """Of one film: a row of scores for each task and method, outlines of all tasks, and most salient points."""
    row, known = rows[film], truth.get(film, {})
    geometry = film_geometry(scored, row, next(iter(known.values()))["size"] if known else None)
    empty = encode(np.zeros((geometry.height, geometry.width), bool))
    outlines, points, scores = dict.fromkeys(TASKS, empty), {}, []
    for finding, task in tasks.items():
        called = not everything or scored.called(finding, row)
        for number, method in enumerate(methods):
            figures = []
            # Nothing is scored where nothing is outlined, unless everything counts: only the family's own is written.
            wanted = number == 0 or everything or not outline_scores.is_empty(known.get(task))
            for heat in method.heats(finding, row) if wanted else ():
                outline = outline_of(heat, method.shares[finding], geometry) if called else empty
                point = most_salient(heat, geometry)
                figures.append(
                    {
                        "iou": outline_scores.iou(outline, known.get(task), everything),
                        "hit": outline_scores.hit(point, known.get(task)),
                    }
                )
                if number == 0:
                    outlines[task], points[task] = outline, point
            means = pd.DataFrame(figures, columns=outline_scores.FIGURES, dtype=float).mean().to_dict()
            scores.append({"method": method.name, "task": task, "film": film, "patient": patient_of(film), **means})
    return scores, outlines, points


def film_geometry(scored: Scored, row: int, size: list[int] | None) -> FilmGeometry:
    """The geometry of a film at the size [H, W] of its outlines; at its own where that is None.

    Raises
    ------
    InputError
        Other proportions than the film's.
    """
    film = scored.geometry(row)
    height, width = size or (film.height, film.width)
    wider, higher = width / film.width, height / film.height
    if abs(wider / higher - 1) > LARGEST_STRETCH:
        raise InputError(
            f"{scored.table['image_id'].iloc[row]}: the film is of {film.width}x{film.height} pixels, its outlines of "
            f"{width}x{height}; expected the same proportions. Is it the same film, not cropped?"
        )
    scale_x, scale_y, *offsets = film.affine
    return FilmGeometry(film.size, (scale_x / wider, scale_y / higher, *offsets), width, height, film.seen)


def outline_of(heat: np.ndarray, share: float, geometry: FilmGeometry) -> Outline:
    """What of a film reaches the `localisation.outline_level` of a heatmap (h, w); no pixel for an empty map."""
    large = localisation.on_square(heat, geometry)
    level = localisation.outline_level(large, share, geometry) if large.max() > 0 else np.inf
    return encode(square_to_film(large, (geometry.height, geometry.width), geometry.affine) >= level)


def most_salient(heat: np.ndarray, geometry: FilmGeometry) -> list[list[float]]:
    """The hottest point [[x, y]] of a heatmap (h, w), pixels of the film; [] for an empty map, or beside the film."""
    point = localisation.peak(heat, geometry)
    inside = point is not None and 0 <= point[0] < geometry.width and 0 <= point[1] < geometry.height
    return [[round(point[0], 2), round(point[1], 2)]] if inside else []
