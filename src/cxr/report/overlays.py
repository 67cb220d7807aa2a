"""Overlays of a family's test films: the film, its heat, known and detected boxes."""

import contextlib
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr.core import locks
from cxr.core.artifacts import digest, digest_of, read_record
from cxr.core.parameters import METHOD_NAMES
from cxr.core.settings import Settings
from cxr.imaging.decoding import read_film
from cxr.imaging.geometry import square_to_film
from cxr.maps import heatmaps, localisation
from cxr.maps.detections import ranked_boxes
from cxr.maps.family_maps import Scored, known_boxes
from cxr.report import film_pictures
from cxr.report.canvas import resize_heat
from cxr.tables.sources.catalogue import film_paths


def overlays_made_from(scored: Scored, family_dir: Path) -> dict[str, Any]:
    """What overlays depend on: drawn again where another is recorded in gradcam/made_from.json."""
    chosen = scored.params.evaluation
    files = {name: digest(family_dir / name) for name in ("predictions.csv", "thresholds.json")}
    return {
        **files, "boxes": digest_of(scored.boxes.to_csv(index=False)),
        "MAP_METHOD": chosen.map_method, "outlines": scored.outlines, "scale": scored.scale,
        "heat": heatmaps.READ_AGAINST,
    }  # fmt: skip


def overlays_are_current(scored: Scored, family_dir: Path) -> bool:
    """Whether the overlays in the family's folder are of these predictions and maps."""
    return read_record(family_dir / "gradcam" / "made_from.json") == overlays_made_from(scored, family_dir)


def remove_overlays(family_dir: Path) -> None:
    """Remove the pictures in the family's gradcam, and what says of what they are; files of other kinds stay."""
    folder = family_dir / "gradcam"
    locks.sweep(folder)
    (folder / "made_from.json").unlink(missing_ok=True)
    for inside, _, names in os.walk(folder, topdown=False):  # which enters no link
        for name in names:
            if name.endswith(".png"):
                os.unlink(os.path.join(inside, name))
        with contextlib.suppress(OSError):  # it holds something else
            os.rmdir(inside)


def draw_overlay(scored: Scored, finding: str, row: int, settings: Settings, folder: Path) -> film_pictures.Tile:
    """Draw one film's overlay to ``<folder>/<finding>/<image_id>.png``; returns what the overview shows of it."""
    film = read_film(film_paths(settings, scored.films.iloc[[row]])[0])
    geometry, called, heatmap = scored.geometry(row), scored.called(finding, row), scored.heat(finding, row)
    on_square = localisation.on_square(heatmap / scored.scale, geometry)
    mean = localisation.mean_heat(on_square, geometry)
    heat = square_to_film(on_square, film.shape, scored.affine(row))
    truth = {1.0: "present", 0.0: "absent"}.get(scored.truth(finding)[row], "not known")
    image_id = scored.films["image_id"].iloc[row]
    probability, threshold = scored.shown(finding, row)
    decision = f"{'' if called else 'not '}called from {threshold}"
    method = METHOD_NAMES[scored.params.evaluation.map_method]
    outcome = scored.outcome(finding, row) or "?"
    title = f"{image_id}   {finding}: {truth}, {probability}, {decision} ({outcome}), {method}"
    rejected = scored.mask_rejected(row)
    title += "; lung mask rejected, whole film used" * rejected
    known, share = known_boxes(scored, finding, row), scored.share(finding)
    # As everywhere: only what is called is outlined.
    level = localisation.outline_level(on_square, share, geometry) if called else None
    detected = ranked_boxes(scored, finding, row, heatmap, share) if called else []
    film_pictures.overlay(
        film, heat, folder / finding / f"{image_id}.png", title,
        contour_level=level or None,
        mean=mean, heat_at_1=scored.scale,
        unit=scored.unit,
        boxes=known, detections=detected, seen=(seen := localisation.seen_on_film(geometry)),
    )  # fmt: skip
    scale = min(1, film_pictures.PANEL / max(film.shape))
    small = cv2.resize(film, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    # The probability first: CheXpert's long names are cut.
    return film_pictures.Tile(
        small, resize_heat(heat, *small.shape), mean,
        f"{probability}  {image_id.split('/', 1)[-1]}" + ", lung mask rejected" * rejected,
        boxes=[np.multiply(box, scale) for box in known],
        detections=[(np.multiply(box, scale), score) for box, score in detected],
        seen=None if seen is None else cv2.resize(seen.astype(np.uint8), small.shape[::-1]) > 0,
    )  # fmt: skip
