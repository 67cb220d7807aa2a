"""What is drawn and written of new films: a picture each, and one HTML page of all of them."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from cxr.anatomy.heart import Widths
from cxr.core.errors import one_line
from cxr.core.executors import process_count
from cxr.core.findings import colours
from cxr.core.parameters import METHOD_NAMES
from cxr.evaluation import metrics
from cxr.evaluation.source_fits import POOLED
from cxr.imaging.decoding import read_film
from cxr.imaging.film_checks import FLAGS, MEANINGS
from cxr.imaging.geometry import AFFINE, square_affine, square_to_film, to_film
from cxr.maps.detections import ranked_boxes
from cxr.maps.localisation import mean_heat, on_square, outline_level, seen_on_film
from cxr.new_films.bundles import told_of_drawn
from cxr.new_films.film_files import overlay_path
from cxr.new_films.film_pages import FindingOnFilm, film_page
from cxr.new_films.predicting import Predicted
from cxr.new_films.run_record import threshold_shown, thresholds_used, told_of_guessing
from cxr.report import gallery, html_page
from cxr.report.doubt_tables import NO_MEASUREMENT
from cxr.report.page_tables import Cell, Table, count, number

PANEL = 600  # longer side of a film that maps are brought to before they are drawn
MOST_ROWS = 5000  # of the table of all films
CAVEATS = (
    "Research use only. Not a medical device: do not use this to decide about a patient.",
    "A probability is what the networks say of films like those they were trained on. Prevalence, scanners and "
    "patients of another hospital differ; thresholds and calibration do not carry over.",
    "A film without a flag is not thereby a good one: the rules are plain, and see only what they look for.",
    "A map shows where the evidence for the networks' answer lies, not where disease is.",
)


def overlay_names(predicted: Predicted, limit: int) -> list[str]:
    """By film the path that its picture will have, relative to --out: of at most ``limit`` films (0 = all), the surest
    first; "" for the others."""
    names = [""] * len(predicted.films)
    for row in by_sureness(predicted)[: limit or None]:
        names[row] = overlay_path(predicted.films["path"].iloc[row])
    return names


def draw_overlays(
    predicted: Predicted, names: Sequence[str], folder: Path, progress: Callable[[Iterable, str], Iterable]
) -> None:
    """Draw the films that have one of `overlay_names` into ``folder``."""
    rows = [row for row, name in enumerate(names) if name]
    with ThreadPoolExecutor(process_count(predicted.bundle.params.general.workers)) as threads:
        drawn = threads.map(lambda row: draw_overlay(predicted, row, folder / names[row]), rows)
        for _ in progress(drawn, "overlays"):
            pass


def draw_overlay(predicted: Predicted, row: int, path: Path, title: str = "") -> None:
    """Draw one film's picture; its title is the film's name unless another is given."""
    about, scored = predicted.films.iloc[row], predicted.scored
    film = read_film(about["path"])
    scale = min(1.0, PANEL / max(film.shape))
    shape = tuple(max(1, round(side * scale)) for side in film.shape)
    scale_x, scale_y, offset_x, offset_y = about[list(AFFINE)]
    affine = (scale_x / scale, scale_y / scale, offset_x, offset_y)
    used, sides, geometry = thresholds_used(predicted), about[["width", "height"]].tolist(), scored.geometry(row)
    maps = {finding: scored.heat(finding, row) for finding in scored.findings}
    heats = {finding: on_square(heat / scored.scale, geometry) for finding, heat in maps.items()}
    findings = [
        FindingOnFilm(
            finding, float(scored.probability(finding)[row]), used[finding]["threshold"],
            bool(scored.decisions[row, column]),
            square_to_film(heats[finding], shape, affine), mean_heat(heats[finding], geometry),
            outline_level(heats[finding], scored.share(finding), geometry),
            [
                (np.divide(box, sides * 2), score)
                for box, score in ranked_boxes(scored, finding, row, maps[finding], scored.share(finding))
            ],
        )
        for column, finding in enumerate(scored.findings)
    ]  # fmt: skip
    mask, widths = None, Widths()
    if predicted.masks is not None:
        square = predicted.masks[about["row"]]
        fit = predicted.bundle.params.pack.fit
        scale_x, scale_y, offset_x, offset_y = whole = square_affine(film.shape, square.shape[0], fit)
        widths = _on_film(Widths(*about[list(vars(widths))]), whole, film.shape, square.shape[0])
        mask = square_to_film(np.asarray(square), shape, (scale_x / scale, scale_y / scale, offset_x, offset_y))
    notes = about["notes"].split("; ") if about["notes"] else []
    seen = seen_on_film(replace(geometry, affine=affine, width=shape[1], height=shape[0]))
    film_page(
        film, findings, path, title or one_line(about["filename"]), notes, mask, about["mask_rejected"] != 1, widths,
        seen, scored.scale, scored.unit,
    )  # fmt: skip


def _on_film(widths: Widths, affine: Sequence[float], shape: tuple[int, int], size: int) -> Widths:
    """Widths as shares of a square of a size, as shares of the film of shape (H, W)."""

    def moved(left, right, y):
        x, top, width, _ = to_film((left * size, y * size, (right - left) * size, 0), affine)
        return x / shape[1], (x + width) / shape[1], top / shape[0]

    heart = moved(widths.heart_left, widths.heart_right, widths.heart_y)
    return Widths(widths.cardiothoracic_ratio, *heart, *moved(widths.thorax_left, widths.thorax_right, widths.thorax_y))


def by_sureness(predicted: Predicted) -> list[int]:
    """Rows in the order in which they are drawn and shown: the highest probability above a threshold first."""
    limits = np.array([fitted["threshold"] for fitted in thresholds_used(predicted).values()])
    probabilities = np.column_stack([predicted.scored.probability(finding) for finding in predicted.scored.findings])
    return np.argsort(-(probabilities - limits).max(axis=1), kind="stable").tolist()


def page(
    predicted: Predicted, overlays: Sequence[str], facts: dict[str, list[tuple[str, str]]],
    evaluated: html_page.Model | None = None,
) -> str:  # fmt: skip
    """The report of new films as HTML; ``overlays`` are relative links, "" where none was drawn.

    evaluated: what the model is worth on those whose label is known, from `known_labels.evaluate`.
    """
    films, used = predicted.films, thresholds_used(predicted)
    called = predicted.scored.decisions.sum(axis=0)
    tiles = [
        {"finding": finding, "called": int(called[column]), "threshold": threshold_shown(predicted, finding),
         "fitted_on": used[finding]["fitted_on"], "few": used[finding].get("few")}
        for column, finding in enumerate(predicted.scored.findings)
    ]  # fmt: skip
    flags = [(name.replace("_", " "), int(films[name].fillna(0).sum()), MEANINGS[name]) for name in FLAGS]
    content = {
        "guessing": told_of_guessing(predicted),
        "title": f"{len(films):,} new films" if len(films) != 1 else "One new film",
        "family": predicted.bundle.family,
        "hospital": predicted.hospital,
        "pooled": predicted.hospital == POOLED,
        "films": len(films),
        "broken": len(predicted.problems),
        "flagged": int(films[list(FLAGS)].fillna(0).any(axis=1).sum()),
        "tiles": tiles,
        "flags": flags,
        "table": _table(predicted),
        "problems": Table(
            "Files that were not predicted", ["File", "Problem"],
            [[Cell(one_line(name)), Cell(one_line(text))] for name, text in predicted.problems.to_numpy()],
        ),
        "findings": predicted.scored.findings,
        "colours": colours(predicted.scored.findings),
        "method": METHOD_NAMES[predicted.bundle.params.evaluation.map_method],
        "gallery": html_page.gallery_data(_cards(predicted, overlays), predicted.scored.findings),
        "heat_key": gallery.heat_key(predicted.scored),
        "shown": min(len(films), gallery.most_films(len(predicted.scored.findings))),
        "facts": facts,
        "caveats": [" ".join([*told_of_drawn(predicted.bundle), CAVEATS[0]]), *CAVEATS[1:]],
        "labels": None,
    }  # fmt: skip
    if evaluated:
        guessing = metrics.told_of_guessing(**metrics.guessing_of(evaluated.metrics))
        facts = {"Evaluation": html_page.protocol_facts(evaluated.metrics["protocol"]), **facts}
        content |= html_page.evaluation(evaluated, {}, (), html_page.Extras())
        content |= {"labels": {"notes": evaluated.notes, "guessing": guessing}, "facts": facts}
    return html_page.render("new_films.html.j2", content)


def _cards(predicted: Predicted, overlays: Sequence[str]) -> list[dict[str, Any]]:
    scored, rows = predicted.scored, by_sureness(predicted)[: gallery.most_films(len(predicted.scored.findings))]
    pack_rows = dict(zip(scored.table["image_id"], predicted.films["row"], strict=True))
    cards = gallery.film_cards(scored, predicted.pack, pack_rows, rows, Path("overlays"))
    for card, row in zip(cards, rows, strict=True):
        card["id"] = one_line(predicted.films["filename"].iloc[row])
        card["outcomes"] = ["yes" if called else "no" for called in card["called"]]
        card["overlays"] = [quote(overlays[row])] * len(scored.findings)
        notes = [", ".join(flags_of(predicted, row)), predicted.films["file_notes"].iloc[row]]
        card["notes"] = [note for note in notes if note]
    return cards


def flags_of(predicted: Predicted, row: int) -> list[str]:
    return [name.replace("_", " ") for name in FLAGS if predicted.films[name].fillna(0).iloc[row]]


def _table(predicted: Predicted) -> Table:
    """Every film with its probabilities, what is called, and its flags."""
    ratios = _ratios(predicted.films)
    heads = ["Film", *predicted.scored.findings, *(["Heart/thorax"] if ratios else []), "Distance", "Flags"]
    low, high = predicted.members.min(axis=0), predicted.members.max(axis=0)
    rows = []
    for row in range(min(len(predicted.films), MOST_ROWS)):
        about, cells = predicted.films.iloc[row], []
        for column, finding in enumerate(predicted.scored.findings):
            value = float(predicted.scored.probability(finding)[row])
            calibrated = predicted.calibrated[row, column]
            below = [] if np.isnan(calibrated) else [f"{calibrated:.2f}"]
            if len(predicted.members) > 1:
                below.append(f"{low[row, column]:.2f}–{high[row, column]:.2f}")
            if not predicted.no_flip_risk:
                below.append(f"flips\u00a0{predicted.flip_risk[row, column]:.0%}")
            mark = "● " if predicted.scored.decisions[row, column] else ""
            cells.append(Cell(f"{mark}{predicted.scored.shown(finding, row)[0]}", value, " · ".join(below)))
        cells += ratios[row : row + 1]
        flags = flags_of(predicted, row)
        first, distance = Cell(one_line(about["filename"])), number(float(about["distance"]), digits=2)
        rows.append([first, *cells, distance, Cell(", ".join(flags), len(flags), about["file_notes"])])
    several = ", and the lowest and highest member" if len(predicted.members) > 1 else ""
    notes = [f"● called. Below a probability: calibrated (where val had enough films for it){several}."]
    notes.append(
        f"Flip risk: not known, {predicted.no_flip_risk}."
        if predicted.no_flip_risk
        else "Flips: how often one further training, made as these members were, would call otherwise."
    )
    if ratios:
        notes.append(f"Heart/thorax: the cardiothoracic ratio, where lungs and heart were found. {NO_MEASUREMENT}")
    if len(predicted.films) > MOST_ROWS:
        notes.append(f"The first {count(MOST_ROWS).text} films; all are in predictions.csv.")
    return Table("Probabilities of all films", heads, rows, notes)


def _ratios(films: pd.DataFrame) -> list[Cell]:
    """The cardiothoracic ratio of every film, faint where the mask is doubtful; no cell at all where none has one."""
    if "cardiothoracic_ratio" not in films or films["cardiothoracic_ratio"].isna().all():
        return []
    doubtful = films["doubtful_mask"] == 1
    return [
        Cell("") if np.isnan(ratio) else Cell(f"{ratio:.2f}", ratio, "doubtful mask" if doubt else "", faint=doubt)
        for ratio, doubt in zip(films["cardiothoracic_ratio"], doubtful, strict=True)
    ]
