"""A family's stored maps beside its predictions -> overlays, groups of outcomes, and detections in film pixels."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.artifacts import need, read_csv, read_json
from cxr.core.errors import InputError, composed, counted
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.evaluation import predictions
from cxr.evaluation.assessment import check_evaluated
from cxr.evaluation.source_fits import fit_of
from cxr.evaluation.thresholds import beside_threshold, decide, threshold_of, threshold_text
from cxr.imaging.geometry import AFFINE
from cxr.imaging.listing import FILM_SUFFIXES
from cxr.maps import heatmaps, localisation, outlines
from cxr.maps.localisation import FilmGeometry
from cxr.maps.lung_regions import masks_of, on_square, seen
from cxr.preparation.films import load_films, spread
from cxr.preparation.packs import open_array
from cxr.tables.sources.catalogue import source_of

SCALE_PERCENTILE = 99.5
SCALED_ON = 200  # val films, spread evenly: colours need no more


@dataclass(frozen=True)
class Scored:
    """Everything that is known of scored films, row by row.

    params: in force. table: predictions. thresholds: thresholds.json. decisions: bool (N, F). cams: per member
    (N, F, h, w) float16 memory maps. means: per member, by source (F, h, w) (`heatmaps.mean_maps`). scale: the heat at
    which a picture's colours end, logits, the same for all findings. outlines: by finding, from `outlines.fit`. films:
    width, height, affine to the packed square of ``size``. boxes: known boxes in fractions of the film's sides. masks:
    row -> packed lung mask, or None without one that was accepted. weights: of members, `predictions.member_weights`.
    """

    params: Params
    table: pd.DataFrame
    thresholds: dict
    decisions: np.ndarray
    cams: list[np.ndarray]
    means: list[dict[str, np.ndarray]]
    scale: float
    outlines: dict[str, dict[str, Any]]
    films: pd.DataFrame
    boxes: pd.DataFrame
    size: int
    masks: Callable[[int], np.ndarray | None] = lambda row: None
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def findings(self) -> list[str]:
        return predictions.findings_of(self.table)

    @property
    def unit(self) -> str:
        """Of the heat, as pictures write it behind a number: only of some methods it adds up to the logit."""
        return " logits added" if self.params.evaluation.map_method in ("hirescam", "gradcam") else ""

    @property
    def grid(self) -> int:
        """Cells along a side of the finest member's maps: up to twice as many as its places."""
        return max(cam.shape[2] for cam in self.cams)

    def truth(self, finding: str) -> np.ndarray:
        return self.table[f"{finding}_true"].to_numpy()

    def probability(self, finding: str) -> np.ndarray:
        return self.table[f"{finding}_prob"].to_numpy()

    def called(self, finding: str, row: int) -> bool:
        """Whether a film is called positive."""
        return bool(self.decisions[row, self.findings.index(finding)])

    def outcomes(self, finding: str) -> np.ndarray:
        """TP, FP, FN or TN of every film, (N,) str; "" where the truth is not known."""
        truth, called = self.truth(finding), self.decisions[:, self.findings.index(finding)]
        named = np.where(called, np.where(truth == 1, "TP", "FP"), np.where(truth == 1, "FN", "TN"))
        return np.where(np.isnan(truth), "", named)

    def outcome(self, finding: str, row: int) -> str:
        """The outcome of one film; see `outcomes`."""
        return str(self.outcomes(finding)[row])

    def heat(self, finding: str, row: int, members: Sequence[int] | None = None) -> np.ndarray:
        """The heatmap (h, w), float32, 0 or more, on the packed square; of all members, or of some."""
        return heatmaps.heatmap(*self._maps_and_means(finding, row, members))

    def evidence(self, finding: str, row: int) -> np.ndarray:
        """What `heat` shows, and below 0 what speaks against the finding (`heatmaps.evidence`); of all members."""
        return heatmaps.evidence(*self._maps_and_means(finding, row))

    def _maps_and_means(self, finding: str, row: int, members: Sequence[int] | None = None):
        index, source = self.findings.index(finding), source_of([self.table["image_id"].iloc[row]])[0]
        chosen = range(len(self.cams)) if members is None else members
        return (
            [self.cams[number][row, index] for number in chosen],
            [fit_of(self.means[number], source)[index] for number in chosen],
            self.weights.get(finding) if members is None else None,
        )

    def share(self, finding: str) -> float:
        """At what share of the way from a map's mean to its peak the finding is outlined."""
        return self.outlines[finding]["share"]

    def affine(self, row: int) -> tuple[float, ...]:
        return tuple(self.films[list(AFFINE)].iloc[row])

    def geometry(self, row: int) -> FilmGeometry:
        """Of a film, with what margins and masking left of its square."""
        return self._geometries(row)

    @functools.cached_property
    def _geometries(self) -> Callable[[int], FilmGeometry]:
        @functools.lru_cache(maxsize=64)  # of one film, many findings and networks are looked at in turn
        def geometry(row: int) -> FilmGeometry:
            whole = self._whole(row)
            return replace(whole, seen=seen(self.masks(row), whole, self.params.pack))

        return geometry

    def _whole(self, row: int) -> FilmGeometry:
        sides = (int(side) for side in self.films[["width", "height"]].iloc[row])
        return FilmGeometry(self.size, self.affine(row), *sides)

    def mask_rejected(self, row: int) -> bool:
        """Whether a film was packed whole, for its lung mask failed its check."""
        return self.params.pack.lung_masking != "none" and self.masks(row) is None

    def lungs(self, row: int) -> np.ndarray | None:
        """The lungs on the packed square (size, size), bool; None without a mask that was accepted."""
        mask = self.masks(row)
        return None if mask is None else on_square(mask, self._whole(row), self.params.pack.fit)

    def threshold(self, finding: str, source: str) -> float:
        """From which probability on a film of a source is called positive."""
        return threshold_of(self.thresholds, finding, source)["threshold"]

    def shown(self, finding: str, row: int) -> tuple[str, str]:
        """A film's probability and its threshold as text, with as many digits as it takes to see the decision."""
        source = source_of([self.table["image_id"].iloc[row]])[0]
        return beside_threshold(self.probability(finding)[row], self.threshold(finding, source))

    def threshold_note(self, finding: str) -> str:
        """The thresholds in force, a source each."""
        sources, probabilities = predictions.source(self.table), self.probability(finding)
        texts = {
            name: threshold_text(self.threshold(finding, name), probabilities[sources == name])
            for name in sorted(set(sources))
        }
        return "positive from " + ", ".join(f"{text} ({name})" for name, text in texts.items())


def load(settings: Settings, params: Params, family: str, method: str | None = None) -> Scored:
    """Predictions, decisions and maps of a family; maps of MAP_METHOD, or of another method.

    Raises
    ------
    InputError
        The family was not evaluated yet, or its files do not belong together.
    """
    made_by = f"sh evaluate_{family.capitalize()}.sh"
    members = params.members(family)
    check_evaluated(settings, params, family)
    table = predictions.read(need(settings.family_dir(family) / "predictions.csv", made_by))
    findings = predictions.findings_of(table)
    thresholds = read_json(settings.family_dir(family) / "thresholds.json", made_by)
    paths = [settings.cams(family, member, method or params.evaluation.map_method) for member in members]
    cams = [open_array(path, made_by) for path in paths]
    for path, cam in zip(paths, cams, strict=True):
        if cam.ndim != 4 or cam.shape[1] != len(findings) or len(cam) != len(table):
            raise InputError(
                f"{path.parent.name}/{path.name}: maps of shape {cam.shape}, expected ({len(table)}, {len(findings)}, "
                f"h, w) as in predictions.csv. Run: {made_by}"
            )
    size = max(params.input_size(member) for member in members)
    films, _ = load_films(settings, params, size)
    missing = sorted(set(table["image_id"]) - set(films["image_id"]))
    if missing:
        raise InputError(
            f"predictions.csv: {missing[0]} ({len(missing)} such films) is not in images.csv. Run: {made_by}"
        )
    films = films.set_index("image_id").loc[table["image_id"]].reset_index()
    val = (table["split"] == "val").to_numpy()
    boxes = pd.DataFrame(columns=["image_id", "finding", "x", "y", "width", "height"])
    if settings.boxes_csv.exists():
        boxes = read_csv(settings.boxes_csv, "sh prepare_data.sh", boxes.columns)
    scored = Scored(
        params=params, table=table, thresholds=thresholds, decisions=decide(table, thresholds), cams=cams,
        means=[heatmaps.mean_maps(cam[val], predictions.source(table[val])) for cam in cams], scale=1.0,
        outlines={}, films=films, boxes=boxes, size=size, masks=masks_of(settings, films["image_id"]),
        weights=predictions.member_weights(thresholds, members),
    )  # fmt: skip
    return replace(scored, scale=_scale(scored, np.flatnonzero(val)), outlines=fit_outlines(scored, scored.heat))


def _scale(scored: Scored, rows: np.ndarray) -> float:
    """The 99.5th percentile of the positive heat seen on films, all findings together; 1 where there is none."""
    few = spread(rows, SCALED_ON)
    heat = np.concatenate(
        [
            localisation.seen_heat(scored.heat(finding, row), scored.geometry(row))
            for finding in scored.findings
            for row in few
        ]
    )
    return float(np.percentile(heat[heat > 0], SCALE_PERCENTILE)) if (heat > 0).any() else 1.0


def fit_outlines(scored: Scored, heat: Callable[[str, int], np.ndarray]) -> dict[str, dict[str, Any]]:
    """`outlines.fit` of heatmaps of the family's films, such as `Scored.heat`, on the known boxes of val.

    With SPLIT "image" nothing is fitted: val's patients are in test too.
    """
    rows = {finding: boxed_rows(scored, finding, "val") for finding in scored.findings}
    if scored.params.tables.split == "image":
        rows = {finding: none[:0] for finding, none in rows.items()}
    known = functools.partial(known_boxes, scored)
    return outlines.fit(rows, heat, known, scored.geometry, scored.params.evaluation.map_threshold)


def boxed_rows(scored: Scored, finding: str, split: str) -> np.ndarray:
    """Rows of the films of a split that have a known box of a finding, in the boxes' order."""
    row_of = {image_id: row for row, image_id in scored.table.loc[scored.table["split"] == split, "image_id"].items()}
    known = scored.boxes.loc[scored.boxes["finding"] == finding, "image_id"].drop_duplicates()
    return known[known.isin(row_of)].map(row_of).to_numpy(int)


def choose_films(scored: Scored, finding: str, wanted: list[str] | None, limit: int) -> list[int]:
    """Rows to draw, once each: the films asked for, or test films of each outcome in turn, surest first; 0 = no limit.

    Raises
    ------
    InputError
        A film that was asked for was not scored.
    """
    ids = scored.table["image_id"]
    if wanted:
        rows = []
        for name in wanted:
            # Its whole name first: the last part of CheXpert's, view1_frontal, is that of nearly all its films.
            name = composed(name)
            bare = str(Path(name).with_suffix("")) if Path(name).suffix.lower() in FILM_SUFFIXES else name
            for matches in (ids == bare, ids.str.endswith(f"/{bare}"), ids.str.endswith(f"/{Path(bare).name}")):
                matched = np.flatnonzero(matches)
                if len(matched):
                    break
            else:
                raise InputError(
                    f"--film {name}: not among the {counted(len(ids), 'film')} of val and test, such as {ids.iloc[0]}"
                )
            rows.extend(matched.tolist())
        return list(dict.fromkeys(rows))  # two threads would write one picture
    test = np.flatnonzero(scored.table["split"] == "test")
    surest_first = test[np.argsort(-scored.probability(finding)[test], kind="stable")]
    outcomes = scored.outcomes(finding)[surest_first]
    queues = {outcome: surest_first[outcomes == outcome].tolist() for outcome in OUTCOMES}
    for outcome in ("FN", "TN"):  # sure of a negative: the lowest probability
        queues[outcome].reverse()
    most = max(map(len, queues.values()))
    in_turn = [queue[position] for position in range(most) for queue in queues.values() if position < len(queue)]
    return in_turn[: limit or None]


def known_boxes(scored: Scored, finding: str, row: int) -> list[tuple[float, float, float, float]]:
    """Known boxes (x, y, width, height) of a film, in its pixels."""
    film = scored.films.iloc[row]
    mine = scored.boxes[(scored.boxes["image_id"] == film["image_id"]) & (scored.boxes["finding"] == finding)]
    scale = np.array([film["width"], film["height"]] * 2, float)
    return [tuple(box) for box in mine[["x", "y", "width", "height"]].to_numpy(float) * scale]


OUTCOMES = {
    "TP": "True positives: present, and called",
    "FP": "False positives: absent, but called",
    "FN": "False negatives: present, but missed",
    "TN": "True negatives: absent, and not called",
}
