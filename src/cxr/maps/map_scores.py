"""A family's maps against the known boxes of its test films: a row for each finding, network and method."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.artifacts import Step, digest, digest_of, need, origin
from cxr.core.parameters import Params
from cxr.core.progress import progress
from cxr.core.settings import Settings
from cxr.evaluation import bootstrap
from cxr.maps import family_maps, heatmaps, localisation
from cxr.maps.family_maps import Scored, boxed_rows, fit_outlines

RANDOM_DRAWS = 10  # random maps a film, whose scores are averaged
NAMES = ("finding", "network", "method", "film", "patient")
WIDE = ("hit", "iou")  # figures with an interval
MEAN = "mean"  # over the findings, in the column `finding`
Heats = Callable[[str, int], list[np.ndarray]]  # finding, row -> heatmaps (h, w) of the film: several of chance alone


def step_of(settings: Settings, params: Params, family: str) -> Step:
    """The record of score_maps.py: whether what it wrote is of the maps, boxes and films that are there now.

    Raises
    ------
    InputError
        The family was not evaluated yet.
    """
    folder, made_by = settings.family_dir(family), f"sh evaluate_{family.capitalize()}.sh"
    members = params.members(family)
    size = max(params.input_size(member) for member in members)
    inputs = [folder / "predictions.csv", settings.boxes_csv, settings.pack(size).with_suffix(".csv")]
    made_from = {f"{path.parent.name}/{path.name}": digest(need(path, made_by)) for path in inputs}
    for member in members:
        for method in params.evaluation.map_methods:
            need(settings.cams(family, member, method), made_by)
    made_from |= maps_made_from(settings, members, family, made_by)
    parameters = {
        "MAP_METHOD": params.evaluation.map_method,
        "MAP_THRESHOLD": params.evaluation.map_threshold,
        "BOOTSTRAP_REPLICATES": params.evaluation.bootstrap_replicates,
        "SEED": params.general.seed,
        "heat": heatmaps.READ_AGAINST,
        "FEWEST": bootstrap.FEWEST,  # tables from before have no mark
        "LEAST": bootstrap.LEAST,
    }
    outputs = [folder / name for name in ("map_scores.csv", "map_scores_films.csv", "detection_scores.csv", "froc.png")]
    return Step(folder / "map_scores.json", made_from, parameters, outputs)


def maps_made_from(settings: Settings, members: Iterable[str], family: str, made_by: str) -> dict[str, str]:
    """By member the record of its network and maps, which are gigabytes; and that of the lung masks, where any are."""
    made_from = {
        member: origin(settings.member_dir(family, member) / "predictions.json", made_by) for member in members
    }
    if settings.lung_masks.exists():  # they say what was seen of a film
        made_from["lungs"] = origin(settings.lung_masks.with_suffix(".json"), "sh prepare_data.sh")
    return made_from


def pairs(scored: Scored) -> list[tuple[str, int]]:
    """(finding, row) of the test films with a known box; only test films, so that nothing was chosen on them."""
    return [(finding, row) for finding in scored.findings for row in boxed_rows(scored, finding, "test").tolist()]


def score_all(by_method: dict[str, Scored], members: Iterable[str], family: str) -> pd.DataFrame:
    """Scores of every film with a box: one row for each finding, film, network and method.

    Parameters
    ----------
    by_method : dict
        Method -> `family_maps.load` with that method's maps.
    members : iterable of str
        Names of the networks, in the order of the maps; where there are several, the family, their mean, comes first.
    family : str

    Returns
    -------
    DataFrame
        `NAMES`, ``share`` at which maps were outlined, fitted for each network and method alike
        (`family_maps.fit_outlines`), what `localisation.score` says, ``in_lungs`` and ``lungs_area`` (NaN where the
        lung mask was not accepted).
    """
    first = next(iter(by_method.values()))
    heats_of = _heats(by_method, list(members), family)
    fitted = {name: fit_first(first, heats) for name, heats in heats_of.items()}
    rows = []
    known_pairs = pairs(first)
    for finding, row in progress(known_pairs, len(known_pairs), "maps against boxes"):
        geometry, known = first.geometry(row), family_maps.known_boxes(first, finding, row)
        lungs, (image_id, patient) = first.lungs(row), first.table[["image_id", "patient_id"]].iloc[row]
        for (network, method), heats in heats_of.items():
            names = dict(zip(NAMES, (finding, network, method, image_id, patient), strict=True))
            share = fitted[network, method][finding]["share"]
            scores = [
                localisation.score(heat, known, share, geometry) | _in_lungs(heat, lungs, geometry)
                for heat in heats(finding, row)
            ]
            rows.append(names | {"share": share} | pd.DataFrame(scores).mean().to_dict())
    return pd.DataFrame(rows)


def fit_first(scored: Scored, heats: Heats) -> dict[str, dict[str, Any]]:
    """`fit_outlines` of the first of several heatmaps of a film: those of chance are alike."""
    return fit_outlines(scored, lambda finding, row: heats(finding, row)[0])


def _in_lungs(heat: np.ndarray, lungs: np.ndarray | None, geometry: localisation.FilmGeometry) -> dict[str, float]:
    share, area = (np.nan, np.nan) if lungs is None else localisation.share_in_lungs(heat, lungs, geometry)
    return {"in_lungs": share, "lungs_area": area}


def _heats(by_method: dict[str, Scored], members: list[str], family: str) -> dict[tuple[str, str], Heats]:
    """By network and method: the heatmaps of the family, of each member, and those that stand beside them."""

    def only(heat, **options) -> Heats:
        return lambda finding, row: [heat(finding, row, **options)]

    heats: dict[tuple[str, str], Heats] = {}
    for method, scored in by_method.items():
        if len(members) > 1:
            heats[family, method] = only(scored.heat)
        heats |= {(member, method): only(scored.heat, members=[number]) for number, member in enumerate(members)}
    first = next(iter(by_method.values()))
    return heats | {("none", method): functools.partial(beside, first) for method, beside in BESIDE.items()}


def _random(scored: Scored, finding: str, row: int) -> list[np.ndarray]:
    seed = int(digest_of([scored.params.general.seed, scored.table["image_id"].iloc[row], finding])[:16], 16)
    side = scored.grid
    return list(np.random.default_rng(seed).random((RANDOM_DRAWS, side, side), dtype=np.float32))


def _known_on_grid(scored: Scored, finding: str, row: int) -> list[np.ndarray]:
    known = family_maps.known_boxes(scored, finding, row)
    return [localisation.known_on_grid(known, scored.grid, scored.geometry(row))]


def _centre(scored: Scored, finding: str, row: int) -> list[np.ndarray]:
    return [localisation.centre_prior()]


BESIDE = dict(zip(localisation.ALWAYS_BESIDE, (_random, _centre, _known_on_grid), strict=True))


def summary(scores: pd.DataFrame, findings: Sequence[str], replicates: int, seed: int) -> pd.DataFrame:
    """Means over the films, a row for each network, method and finding, and the mean over the findings.

    Returns
    -------
    DataFrame
        ``network``, ``method``, ``finding``, ``films``, ``patients``, ``too_few`` (patients; of the mean: of a
        finding), the means of `score_all`'s figures, ``hit_low`` … ``iou_high``: 95 % intervals by patient,
        ``hit_exact`` (`bootstrap.share_interval`), and ``no_interval``: why a figure has none, where one has.
    """
    figures = [column for column in scores if column not in NAMES]
    rows = []
    for (network, method), group in scores.groupby(["network", "method"], sort=False):
        own = []
        for finding in (finding for finding in findings if (scores["finding"] == finding).any()):
            films = group[group["finding"] == finding]
            row = {"network": network, "method": method, "finding": finding}
            patients, hits = films["patient"].nunique(), films["hit"]
            row |= {"films": films["film"].nunique(), "patients": patients, "too_few": bootstrap.few(films["patient"])}
            row |= {**films[figures].mean(), "no_interval": bootstrap.why_none(patients, replicates)}
            limits = {name: bootstrap.mean_interval(films[name], films["patient"], replicates, seed) for name in WIDE}
            row["hit_exact"] = False
            if replicates and hits.isin((0, 1)).all():  # a mean over several random maps is no share of films
                shared = bootstrap.share_interval(limits["hit"], int(hits.sum()), len(hits), patients)
                limits["hit"], row["hit_exact"] = shared
            for name, ends in limits.items():
                row |= dict(zip((f"{name}_low", f"{name}_high"), ends or (np.nan, np.nan), strict=True))
            own.append(row)
        mean = pd.DataFrame(own)[figures].mean()
        counts = {"films": group["film"].nunique(), "patients": group["patient"].nunique()}
        counts["too_few"] = any(row["too_few"] for row in own)
        rows += [*own, {"network": network, "method": method, "finding": MEAN, **counts, **mean}]
    return pd.DataFrame(rows)
