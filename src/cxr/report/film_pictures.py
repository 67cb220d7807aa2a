"""Pictures of films: previews, lung masks, overlays, overviews. Takes arrays, saves a PNG, returns nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cxr.anatomy.heart import Widths, measure
from cxr.maps.family_maps import OUTCOMES
from cxr.report.canvas import (
    BAR,
    CONTOUR,
    DETECTIONS,
    DIM,
    GAP,
    HEART,
    KNOWN_BOXES,
    MARGIN,
    MASK,
    PREDICTED_MASK,
    SEEN,
    TEXT,
    TRUTH_MASK,
    Box,
    Scored,
    blank_canvas,
    blend,
    draw_boxes,
    draw_colour_bar,
    draw_heat_key,
    draw_outline,
    draw_seen,
    film_tile,
    fit_panel,
    heat_tile,
    legend,
    resize_heat,
    rgb,
    save_canvas,
    tile_grid,
    wrap_text,
    write_text,
)

PANEL = 480  # longer side of a film in an overlay, pixels
OVERVIEW = 1440  # width of an overview's films, pixels


@dataclass(frozen=True)
class Tile:
    """A film (H, W) uint8 of an overview, its heatmap (h, w) float 0..1, and what lies on it, in the film's pixels.

    mean: of the heat, over the packed square. seen: where the network saw the film, bool (H, W); None: everywhere.
    """

    film: np.ndarray
    heat: np.ndarray
    mean: float
    caption: str
    boxes: Sequence[Box] = ()
    detections: Sequence[Scored] = ()
    seen: np.ndarray | None = None


def preview_grid(
    films: Sequence[np.ndarray],
    titles: Sequence[str],
    path: Path,
    columns: int = 4,
    contours: Sequence[np.ndarray | None] | None = None,
    hearts: Sequence[np.ndarray] = (),
    widths: Sequence[Widths] = (),
) -> None:
    """A grid of films for the eye.

    Parameters
    ----------
    films : N arrays of shape (H, W), uint8
        Shown whole and unsquashed, whatever their shape.
    titles : N str
        Shortened where they are too long.
    path : Path
    columns : int
    contours : N masks of shape (H, W) or None, optional
        Their outlines are drawn.
    hearts : N masks of shape (H, W), optional
        The same, in another colour.
    widths : N Widths, optional
        Of heart and thorax, as shares of the film, drawn as lines.
    """
    masks = contours if contours is not None else [None] * len(films)
    of_films = zip(films, masks, hearts or [None] * len(films), widths or [Widths()] * len(films), strict=True)
    tiles = [film_tile(film, 256, [(mask, MASK), (heart, HEART)], own) for film, mask, heart, own in of_films]
    save_canvas(tile_grid(tiles, titles, columns), path)


def lung_outline(
    film: np.ndarray, mask: np.ndarray, path: Path, note: str = "", heart: np.ndarray | None = None
) -> None:
    """A film with the outlines of lungs and heart, and the two widths of the cardiothoracic ratio.

    Parameters
    ----------
    film, mask : arrays of shape (H, W), uint8
    path : Path
    note : str
        What is said of the mask, written below; "": that it is accepted.
    heart : array of shape (H, W), uint8, optional
        None: it is not known, or not to be measured.
    """
    outlines = [(mask, MASK)] if heart is None else [(mask, MASK), (heart, HEART)]
    widths = Widths() if heart is None else measure(mask, heart)
    tile = film_tile(film, 2 * PANEL, outlines, widths)
    save_canvas(tile_grid([tile], [note or "mask accepted"], columns=1), path)


def worst_masks(
    films: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    captions: Sequence[str],
    path: Path,
) -> None:
    """Films with the outlines of the true and of the predicted lung mask, in the order given (worst first).

    Parameters
    ----------
    films, truths, masks : N arrays of shape (H, W), uint8
    captions : N str
    path : Path
    """
    tiles = [
        film_tile(film, 320, [(truth, TRUTH_MASK), (mask, PREDICTED_MASK)])
        for film, truth, mask in zip(films, truths, masks, strict=True)
    ]
    grid = tile_grid(tiles, captions, columns=min(5, max(len(tiles), 1)))
    key = legend(grid.shape[1], [("true mask", TRUTH_MASK, False), ("predicted mask", PREDICTED_MASK, False)])
    save_canvas(np.vstack([blank_canvas(GAP, grid.shape[1]), key, grid]), path)


def overlay(
    film: np.ndarray,
    heatmap: np.ndarray,
    path: Path,
    title: str,
    contour_level: float | None = None,
    boxes: Sequence[Box] = (),
    detections: Sequence[Scored] = (),
    seen: np.ndarray | None = None,
    mean: float = 0.0,
    heat_at_1: float = 1.0,
    unit: str = "",
) -> None:
    """A film as it is, and beside it the same film under its heatmap, with a colour bar.

    Parameters
    ----------
    film : array of shape (H, W), uint8
    heatmap : array of shape (h, w), float, 0 or more
        Covers the whole film; resized to it. What is above 1 is drawn like 1.
    path : Path
    title : str
        Finding, truth and probability.
    contour_level : float, optional
        Level of the heatmap that is outlined.
    boxes : sequence of (x, y, width, height)
        Known boxes (solid), in pixels of ``film``, as are the detected ones (dashed).
    detections : sequence of (box, score)
    seen : array of shape (H, W), bool, optional
        Where the network saw the film; the rest is dimmed.
    mean : float
        Of the heatmap, over the packed square: what lies all over the film is drawn pale.
    heat_at_1, unit : float, str
        The heat where the heatmap is 1, for the colour bar and the legend, and of what, such as " logits added".
    """
    plain, scale = fit_panel(film, PANEL)
    height, width = plain.shape[:2]
    heat = resize_heat(heatmap, height, width)
    mapped = blend(plain, heat, mean)
    draw_seen(mapped, seen)
    entries = []
    if contour_level is not None:
        draw_outline(mapped, heat >= contour_level, CONTOUR, thickness=2)
        level, all_over = contour_level * heat_at_1, mean * heat_at_1
        entries.append((f"outline: {level:.1f}{unit}, mean {all_over:.1f}", CONTOUR, False))
    draw_boxes(mapped, boxes, detections, scale)
    entries += [KNOWN_BOXES] * bool(boxes) + [DETECTIONS] * bool(detections) + [SEEN] * (seen is not None)
    whole_width = 3 * MARGIN + 2 * width + BAR + 60
    lines = wrap_text(title, whole_width - 2 * MARGIN, 18, weight=600)
    top = 20 + 24 * len(lines)
    canvas = blank_canvas(top + height + GAP, whole_width)
    canvas[top : top + height, MARGIN : MARGIN + width] = plain
    right = 2 * MARGIN + width
    canvas[top : top + height, right : right + width] = mapped
    draw_colour_bar(canvas, right + width + MARGIN // 2, top, height, contour_level, heat_at_1, unit)
    for number, line in enumerate(lines):
        write_text(canvas, line, (MARGIN, 28 + 24 * number), 18, TEXT, whole_width - 2 * MARGIN, weight=600)
    save_canvas(np.vstack([canvas, legend(whole_width, entries)]), path)


def overview(
    groups: Mapping[str, Sequence[Tile]],
    path: Path,
    finding: str,
    colour: str,
    note: str = "",
    heat_at_1: float = 1.0,
    unit: str = "",
) -> None:
    """A page of one finding: up to six films each of true and false positives and negatives, over its whole width.

    Where there are few of each, two outcomes, or all four, stand in a row.

    Parameters
    ----------
    groups : mapping of "TP", "FP", "FN", "TN" to sequences of Tile
        The caption holds the probability.
    path : Path
    finding, colour : str
        Its name, and the colour that stands for it, as "#rrggbb".
    note : str
        Beside the title, such as the method of the maps and the threshold.
    heat_at_1, unit : float, str
        As of an overlay.
    """
    most = min(6, max(1, *map(len, groups.values())))
    beside = {1: 4, 2: 2}.get(most, 1)
    columns = beside * most
    side = OVERVIEW // columns - GAP
    width = columns * (side + GAP) + GAP
    header = blank_canvas(46, width)
    cv2.rectangle(header, (MARGIN, 16), (MARGIN + 20, 36), rgb(colour), cv2.FILLED)
    x = write_text(header, finding, (MARGIN + 32, 35), 26, TEXT, width, weight=700)
    write_text(header, note, (x + 18, 35), 16, DIM, width - x - 18 - MARGIN)
    tiles = [tile for group in groups.values() for tile in group]
    entries = [KNOWN_BOXES] * any(tile.boxes for tile in tiles) + [DETECTIONS] * any(tile.detections for tile in tiles)
    entries += [SEEN] * any(tile.seen is not None for tile in tiles)
    colours = blank_canvas(36, width)
    end = draw_heat_key(colours, MARGIN, heat_at_1, unit)
    key = legend(width, entries, left=end + 22)
    colours[6:30, end:] = key[:24, end:]
    rows = [header, colours, key[24:]]
    for start in range(0, len(OUTCOMES), beside):
        outcomes = list(OUTCOMES)[start : start + beside]
        shown = {outcome: list(groups.get(outcome, ()))[:most] for outcome in outcomes}
        bar = blank_canvas(34, width)
        for place, outcome in enumerate(outcomes):
            meaning, left = OUTCOMES[outcome], place * most * (side + GAP)
            text = meaning + ("" if shown[outcome] else " (no such film)")
            write_text(bar, text, (left + MARGIN, 25), 17, TEXT, most * (side + GAP) - MARGIN, weight=600)
        rows.append(bar)
        if any(shown.values()):
            places = [tile for group in shown.values() for tile in [*group, *[None] * (most - len(group))]]
            drawn = [_placed(tile, side) for tile in places]
            rows.append(tile_grid(drawn, [tile.caption if tile else "" for tile in places], columns))
    save_canvas(np.vstack(rows), path)


def _placed(tile: Tile | None, side: int) -> np.ndarray:
    if tile is None:
        return blank_canvas(side, side)
    return heat_tile(tile.film, tile.heat, tile.mean, side, tile.boxes, tile.detections, tile.seen)
