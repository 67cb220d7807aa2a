"""A family's maps against the known boxes of its test films: a row for each finding, network and method."""

import functools
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
import pandas as pd

from cxr.core.artifacts import digest, digest_of, need, origin
from cxr.core.parameters import MAP_METHODS, Params
from cxr.core.progress import progress
from cxr.core.settings import Settings
from cxr.core.steps import Step
from cxr.evaluation import bootstrap
from cxr.imaging.geometry import square_affine, warp_matrix
from cxr.maps import family_maps, heatmaps, localisation
from cxr.maps.family_maps import Scored
from cxr.preparation.packs import open_pack

RANDOM_DRAWS = 10  # random maps a film, whose scores are averaged
NAMES = ("finding", "network", "method", "film", "patient")
MEAN = "mean"  # over the findings, in the column `finding`
Heat = Callable[[str, int], np.ndarray]  # finding, row -> heatmap (h, w)


def step_of(settings: Settings, params: Params, family: str) -> Step:
    """The record of score_maps.py: whether map_scores.csv is of the maps, boxes and films that are there now.

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
    for member in members:  # the record of its maps: they themselves are gigabytes
        for method in MAP_METHODS:
            need(settings.cams(family, member, method), made_by)
        made_from[member] = origin(settings.member_dir(family, member) / "predictions.json", made_by)
    if settings.lung_masks.exists():
        made_from["lungs"] = origin(settings.lung_masks.with_suffix(".json"), "sh prepare_data.sh")
    parameters = {
        "MAP_THRESHOLD": params.evaluation.map_threshold,
        "BOOTSTRAP_REPLICATES": params.evaluation.bootstrap_replicates,
        "SEED": params.general.seed,
        "heat": heatmaps.READ_AGAINST,
    }
    outputs = [folder / "map_scores.csv", folder / "map_scores_films.csv"]
    return Step(folder / "map_scores.json", made_from, parameters, outputs)


def pairs(scored: Scored) -> list[tuple[str, int]]:
    """(finding, row) of the test films with a known box; only test films, so that nothing was chosen on them."""
    test = scored.table.loc[scored.table["split"] == "test", "image_id"]
    row_of = {image_id: row for row, image_id in test.items()}
    known = scored.boxes[scored.boxes["finding"].isin(scored.findings) & scored.boxes["image_id"].isin(row_of)]
    boxed = known[["finding", "image_id"]].drop_duplicates()
    return [(finding, row_of[image_id]) for finding, image_id in boxed.itertuples(index=False)]


def score_all(by_method: dict[str, Scored], members: Iterable[str], family: str, settings: Settings) -> pd.DataFrame:
    """Scores of every film with a box: one row for each finding, film, network and method.

    Parameters
    ----------
    by_method : dict
        Method -> `family_maps.load` with that method's maps.
    members : iterable of str
        Names of the networks, in the order of the maps; where there are several, the family, their mean, comes first.
    family : str
    settings : Settings
        Where the lung masks are.

    Returns
    -------
    DataFrame
        `NAMES`, then what `localisation.score` says, ``in_lungs`` and ``lungs_area`` (NaN where the lung mask was not
        accepted).
    """
    first = next(iter(by_method.values()))
    lungs = _lungs(first, settings)
    side = max(cam.shape[2] for cam in first.cams)
    networks = _networks(by_method, list(members), family)
    rows = []
    known_pairs = pairs(first)
    for finding, row in progress(known_pairs, len(known_pairs), "maps against boxes"):
        geometry, known = first.geometry(row), family_maps.known_boxes(first, finding, row)
        mask, (image_id, patient) = lungs(row), first.table[["image_id", "patient_id"]].iloc[row]
        heats = {name: [heat(finding, row)] for name, heat in networks.items()}
        beside = zip(localisation.ALWAYS_BESIDE, _beside(first, finding, row, side, known, geometry), strict=True)
        heats |= {("none", method): maps for method, maps in beside}
        for (network, method), maps in heats.items():
            names = dict(zip(NAMES, (finding, network, method, image_id, patient), strict=True))
            scores = [
                localisation.score(heat, known, first.params.evaluation.map_threshold, geometry) | _in_lungs(heat, mask)
                for heat in maps
            ]
            rows.append(names | pd.DataFrame(scores).mean().to_dict())
    return pd.DataFrame(rows)


def _in_lungs(heat: np.ndarray, mask: np.ndarray | None) -> dict[str, float]:
    share, area = (np.nan, np.nan) if mask is None else (localisation.share_in_lungs(heat, mask), float(mask.mean()))
    return {"in_lungs": share, "lungs_area": area}


def _networks(by_method: dict[str, Scored], members: list[str], family: str) -> dict[tuple[str, str], Heat]:
    """The heatmaps of the family and of each member, by method."""

    heat_of: dict[tuple[str, str], Heat] = {}
    for method, scored in by_method.items():
        if len(members) > 1:
            heat_of[family, method] = scored.heat
        heat_of |= {
            (member, method): functools.partial(scored.heat, members=[number]) for number, member in enumerate(members)
        }
    return heat_of


def _beside(scored: Scored, finding: str, row: int, side: int, known, geometry) -> tuple[list[np.ndarray], ...]:
    """Random maps, the centre prior, and the known boxes on the finest network's grid."""
    image_id = scored.table["image_id"].iloc[row]
    seed = int(digest_of([scored.params.general.seed, image_id, finding])[:16], 16)
    noise = np.random.default_rng(seed).random((RANDOM_DRAWS, side, side), dtype=np.float32)
    return list(noise), [localisation.centre_prior()], [localisation.known_on_grid(known, side, geometry)]


def _lungs(scored: Scored, settings: Settings) -> Callable[[int], np.ndarray | None]:
    """row -> the lungs on the packed square (size, size), bool; None where there is no mask that was accepted."""
    path = settings.lung_masks
    if not path.exists():
        return lambda row: None
    masks, table = open_pack(path, "sh prepare_data.sh"), pd.read_csv(path.with_suffix(".csv"))
    accepted = table["accepted"].to_numpy(dtype=bool)
    row_of = dict(zip(table["image_id"], range(len(table)), strict=True))

    def lungs(row):
        film, geometry = scored.films.iloc[row], scored.geometry(row)
        index = row_of.get(film["image_id"])
        if index is None or not accepted[index]:
            return None
        side = masks.shape[1]
        of_mask = square_affine((geometry.height, geometry.width), side, scored.params.pack.fit)
        # Mask square -> film -> packed square, as one affine.
        scales = [geometry.affine[axis] / of_mask[axis] for axis in (0, 1)]
        offsets = [geometry.affine[2 + axis] - scales[axis] * of_mask[2 + axis] for axis in (0, 1)]
        matrix = warp_matrix((*scales, *offsets))
        return cv2.warpAffine(masks[index], matrix, (geometry.size, geometry.size), flags=cv2.INTER_LINEAR) >= 128

    return lungs


def summary(scores: pd.DataFrame, findings: Sequence[str], replicates: int, seed: int) -> pd.DataFrame:
    """Means over the films, a row for each network, method and finding, and the mean over the findings.

    Returns
    -------
    DataFrame
        ``network``, ``method``, ``finding``, ``films``, ``patients``, the means of `score_all`'s figures, and
        ``hit_low`` … ``iou_high``: 95 % intervals by patient.
    """
    figures = [column for column in scores if column not in NAMES]
    rows = []
    for (network, method), group in scores.groupby(["network", "method"], sort=False):
        own = []
        for finding in (finding for finding in findings if (scores["finding"] == finding).any()):
            films = group[group["finding"] == finding]
            row = {"network": network, "method": method, "finding": finding}
            row |= {"films": films["film"].nunique(), "patients": films["patient"].nunique(), **films[figures].mean()}
            for figure in ("hit", "iou"):
                limits = bootstrap.mean_interval(films[figure], films["patient"], replicates, seed)
                row |= dict(zip((f"{figure}_low", f"{figure}_high"), limits or (np.nan, np.nan), strict=True))
            own.append(row)
        mean = pd.DataFrame(own)[figures].mean()
        counts = {"films": group["film"].nunique(), "patients": group["patient"].nunique()}
        rows += [*own, {"network": network, "method": method, "finding": MEAN, **counts, **mean}]
    return pd.DataFrame(rows)
