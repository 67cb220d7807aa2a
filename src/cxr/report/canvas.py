"""Pictures of films, composed with OpenCV on uint8 RGB canvases: tiles, grids, outlines, boxes, colour bars, text."""

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from cxr.anatomy.heart import Widths
from cxr.core import artifacts
from cxr.core.errors import composed, one_line

BACKGROUND = (16, 16, 18)
TEXT = (235, 235, 235)
DIM = (165, 165, 170)
CONTOUR = (255, 255, 255)
KNOWN_BOX = (80, 255, 120)
DETECTION = (255, 225, 60)
MASK = (255, 190, 40)
HEART = (255, 110, 110)
TRUTH_MASK, PREDICTED_MASK = (80, 255, 120), (255, 70, 200)
MARGIN = 14
BAR = 14  # width of a heatmap's colour bar, pixels
GAP = 6
UNSEEN = 0.45  # brightness of what the network did not see
Box = Sequence[float]  # x, y, width, height
Scored = tuple[Box, float]  # a detected box, and its score
KNOWN_BOXES = ("known box", KNOWN_BOX, False)  # in legends
DETECTIONS = ("detection: rectangle around heat, score", DETECTION, True)
SEEN = ("seen by the network, the rest dimmed", DIM, False)


def blank_canvas(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, dtype=np.uint8)


def rgb(colour: str) -> tuple[int, int, int]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))


@cache
def _font():  # no annotation: it would fail in OpenCV 4 before anything could say what is wrong
    return cv2.FontFace("sans")


def text_width(text: str, size: int, weight: int) -> int:
    text = one_line(composed(text))
    return cv2.getTextSize((0, 0), text, (0, 0), _font(), size, weight)[2]


def fitting_size(text: str, size: int, width: int, weight: int = 400) -> int:
    """The size, or the largest below it (9 at least), in which the text is no wider than ``width`` pixels."""
    while size > 9 and text_width(text, size, weight) > width:
        size -= 1
    return size


def write_text(canvas, text: str, corner: tuple[int, int], size: int, colour, width: int, weight: int = 400) -> int:
    """Write text from its lower left corner, shortened to ``width`` pixels; returns the x where it ends."""
    text = one_line(composed(text))  # OpenCV would be killed by a name's bytes that are no UTF-8
    if not text:
        return corner[0]
    if text_width(text, size, weight) > width:
        while text and text_width(text + "…", size, weight) > width:
            text = text[:-1]
        text += "…"
    cv2.putText(canvas, text, corner, colour, _font(), size, weight)
    return corner[0] + text_width(text, size, weight)


def fit_panel(film: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """The film in RGB with its longer side ``side`` pixels, and by how much that scales it."""
    scale = side / max(film.shape)
    width, height = round(film.shape[1] * scale), round(film.shape[0] * scale)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.cvtColor(cv2.resize(film, (width, height), interpolation=interpolation), cv2.COLOR_GRAY2RGB), scale


def film_tile(film: np.ndarray, side: int, outlines=(), widths: Widths | None = None) -> np.ndarray:
    shown, _ = fit_panel(film, side)
    for mask, colour in outlines:
        if mask is not None:
            draw_outline(shown, mask, colour)
    if widths:
        draw_widths(shown, widths)
    return _squared(shown, side)


def heat_tile(
    film: np.ndarray, heatmap: np.ndarray, mean: float, side: int, boxes: Sequence[Box], detections: Sequence[Scored],
    seen: np.ndarray | None,
) -> np.ndarray:  # fmt: skip
    """A film under its heatmap, with known and detected boxes (in pixels of the film), on a square of ``side``."""
    shown, scale = fit_panel(film, side)
    shown = blend(shown, resize_heat(heatmap, *shown.shape[:2]), mean)
    draw_seen(shown, seen)
    draw_boxes(shown, boxes, detections, scale)
    return _squared(shown, side)


def draw_seen(canvas: np.ndarray, seen: np.ndarray | None) -> None:
    """Dim what the network did not see (H, W), bool, of a film under its heat; None: it saw all of it."""
    if seen is not None:
        shown = cv2.resize(seen.astype(np.uint8), canvas.shape[1::-1], interpolation=cv2.INTER_LINEAR) > 0
        canvas[~shown] = (canvas[~shown] * UNSEEN).astype(np.uint8)
        draw_outline(canvas, shown.astype(np.uint8) * 255, DIM)


def draw_widths(canvas: np.ndarray, widths: Widths) -> None:
    """The two widths of the cardiothoracic ratio, lines with ticks across a film (h, w, 3); nothing where unknown."""
    if np.isnan(widths.cardiothoracic_ratio):
        return
    height, width = canvas.shape[:2]
    for left, right, y, colour in (
        (widths.thorax_left, widths.thorax_right, widths.thorax_y, MASK),
        (widths.heart_left, widths.heart_right, widths.heart_y, HEART),
    ):
        begin, end = ((round(x * width), round(y * height)) for x in (left, right))
        cv2.line(canvas, begin, end, colour, 1, cv2.LINE_AA)
        for x, level in (begin, end):
            cv2.line(canvas, (x, level - 5), (x, level + 5), colour, 1, cv2.LINE_AA)


def draw_boxes(canvas: np.ndarray, boxes: Sequence[Box], detections: Sequence[Scored], scale: float) -> None:
    """Known boxes, solid, and detected ones, dashed, with their scores; ``scale``: canvas pixels a pixel of theirs."""
    for box in boxes:
        draw_rectangle(canvas, np.asarray(box, dtype=float) * scale, KNOWN_BOX, dashed=False)
    for box, score in detections:
        left, top, width, height = np.asarray(box, dtype=float) * scale
        draw_rectangle(canvas, np.array([left, top, width, height]), DETECTION, dashed=True)
        text, size = f"{score:.2f}".removeprefix("0"), 14
        wide = text_width(text, size, 600)
        x = int(min(max(left + 4, 2), canvas.shape[1] - wide - 2))
        y = int(min(max(top + 16, 14), canvas.shape[0] - 3))
        cv2.rectangle(canvas, (x - 2, y - 12), (x + wide + 1, y + 3), (20, 20, 20), cv2.FILLED)
        write_text(canvas, text, (x, y), size, DETECTION, wide + 2, weight=600)


def _squared(shown: np.ndarray, side: int) -> np.ndarray:
    square = np.zeros((side, side, 3), dtype=np.uint8)
    top, left = (side - shown.shape[0]) // 2, (side - shown.shape[1]) // 2
    square[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return square


def tile_grid(tiles: Sequence[np.ndarray], captions: Sequence[str], columns: int) -> np.ndarray:
    """Tiles in rows with a caption of one to four lines under each."""
    side = tiles[0].shape[0] if tiles else 256
    rows = -(-len(tiles) // columns)
    wrapped = [wrap_text(caption, side - 4, 14, most=4) for caption in captions]
    step, below = side + GAP, 6 + 18 * max((len(lines) for lines in wrapped), default=0)
    canvas = blank_canvas(GAP + rows * (step + below), GAP + columns * step)
    for number, (tile, lines) in enumerate(zip(tiles, wrapped, strict=True)):
        x, y = GAP + number % columns * step, GAP + number // columns * (step + below)
        canvas[y : y + side, x : x + side] = tile
        for row, line in enumerate(lines):
            write_text(canvas, line, (x + 2, y + side + 17 + 18 * row), 14, TEXT, side - 4)
    return canvas


def wrap_text(text: str, width: int, size: int, weight: int = 400, most: int = 2) -> list[str]:
    """The text in lines of ``width`` pixels, ``most`` of them, of which the last takes all that is left.

    It breaks at spaces; where a word is too long, within it behind ``/`` or ``_``, as ids have them.
    """
    lines = []
    while len(lines) < most - 1 and text_width(text, size, weight) > width:
        ends = [[found.end() for found in re.finditer(mark, text)] for mark in (" ", "[/_]")]
        fits = [[end for end in some if text_width(text[:end].rstrip(), size, weight) <= width] for some in ends]
        end = next((some[-1] for some in fits if some), None)
        if end is None:
            break
        lines.append(text[:end].rstrip())
        text = text[end:]
    return [*lines, text]


def draw_outline(canvas: np.ndarray, mask: np.ndarray, colour, thickness: int = 1) -> None:
    height, width = canvas.shape[:2]
    full = (np.asarray(mask) > 0).astype(np.uint8) * 255
    if full.shape != (height, width):
        full = cv2.resize(full, (width, height), interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours((full > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, thickness, cv2.LINE_AA)


def resize_heat(heatmap: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(np.asarray(heatmap, dtype=np.float32), (width, height), interpolation=cv2.INTER_LINEAR)


@cache
def _heat_colours() -> tuple[np.ndarray, np.ndarray]:
    """Colour (256, 1, 3) RGB and opacity (256,) of a heat of 0..255: no heat leaves the film as it is."""
    bright = (np.arange(256) * 0.92).astype(np.uint8)  # the end of this scale is a dark red that looks like less
    colours = cv2.applyColorMap(bright[:, None], cv2.COLORMAP_TURBO)[..., ::-1]
    opacity = 0.55 * np.clip(np.arange(256) / 110, 0, 1)
    return colours, opacity


def blend(shown: np.ndarray, heat: np.ndarray, mean: float = 0.0) -> np.ndarray:
    """A film (H, W, 3) under its heat (H, W), see `_coloured`."""
    colours, opacity = _coloured(heat, mean)
    share = opacity[..., None]
    return (shown * (1 - share) + colours * share).astype(np.uint8)


def heat_layer(heat: np.ndarray, mean: float = 0.0) -> np.ndarray:
    """A heatmap (h, w) as a layer to lay over a film: BGRA uint8 of shape (h, w, 4), what `blend` would add."""
    colours, opacity = _coloured(heat, mean)
    return np.dstack([colours[..., ::-1], opacity * 255]).astype(np.uint8)


def _coloured(heat: np.ndarray, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """RGB (h, w, 3) and opacity (h, w) of a heat of 0..1, float32.

    A colour is a heat, the same on every picture. Opaque is what stands out: from the film's mean heat to half way to
    its peak opacity grows, so that evidence that lies all over the film does not hide it.
    """
    colours, opacity = _heat_colours()
    level = (np.clip(heat, 0, 1) * 255).astype(np.uint8)
    stands_out = np.clip(2 * (heat - mean) / max(float(heat.max()) - mean, 1e-6), 0, 1) if mean else 1
    return colours[:, 0].astype(np.float32)[level], (opacity[level] * stands_out).astype(np.float32)


def draw_colour_bar(
    canvas: np.ndarray, x: int, top: int, height: int, contour_level: float | None, heat_at_1: float, unit: str
) -> None:
    heat = np.repeat(np.linspace(1, 0, height, dtype=np.float32)[:, None], BAR, axis=1)
    canvas[top : top + height, x : x + BAR] = blend(np.full((height, BAR, 3), 96, np.uint8), heat)
    for value in (0.0, 0.5, 1.0):
        y = top + round((1 - value) * (height - 1))
        text = f"{'≥' if value == 1 else ''}{value * heat_at_1:.1f}"  # hotter places have the same colour
        write_text(canvas, text, (x + BAR + 8, min(max(y + 5, top + 11), top + height)), 14, TEXT, 48)
        cv2.line(canvas, (x + BAR, y), (x + BAR + 4, y), TEXT, 1)
    for number, word in enumerate(unit.split()):
        write_text(canvas, word, (x + BAR + 8, top + 28 + 16 * number), 13, DIM, 48)
    if contour_level is not None:
        y = top + round((1 - min(contour_level, 1)) * (height - 1))
        cv2.line(canvas, (x, y), (x + BAR - 1, y), CONTOUR, 2)


def draw_heat_key(canvas: np.ndarray, x: int, heat_at_1: float, unit: str) -> int:
    """The colours of heat from left to right, with what they mean, on a strip of a page; returns where it ends."""
    wide = 130
    x = write_text(canvas, "0", (x, 24), 14, TEXT, 20) + 8
    heat = np.repeat(np.linspace(0, 1, wide, dtype=np.float32)[None], 14, axis=0)
    canvas[12:26, x : x + wide] = blend(np.full((14, wide, 3), 96, np.uint8), heat)
    return write_text(canvas, f"≥{heat_at_1:.1f}{unit}", (x + wide + 8, 24), 14, TEXT, 160)


def draw_rectangle(canvas: np.ndarray, rectangle: np.ndarray, colour, dashed: bool) -> None:
    left, top, width, height = rectangle
    right, bottom = min(left + width, canvas.shape[1] - 1), min(top + height, canvas.shape[0] - 1)
    left, top = max(left, 0), max(top, 0)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    for start, end in pairwise(corners):
        draw_line(canvas, start, end, colour, dashed)


def draw_line(canvas: np.ndarray, start, end, colour, dashed: bool) -> None:
    """A line of two pixels on a darker one, so that it shows on white and on black."""
    start, end = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    length = float(np.hypot(*(end - start)))
    pieces = [(0.0, 1.0)]
    if dashed and length > 0:
        pieces = [(at / length, min(at + 8, length) / length) for at in np.arange(0, length, 14)]
    for ink, thickness in (((20, 20, 20), 4), (colour, 2)):
        for begin, stop in pieces:
            ends = [tuple(round(v) for v in start + share * (end - start)) for share in (begin, stop)]
            cv2.line(canvas, *ends, ink, thickness)


def legend(width: int, entries, left: int = MARGIN) -> np.ndarray:
    """Lines (name, colour, dashed) from ``left`` on, on as many rows of 24 pixels as they need; of one at least."""
    canvas, x, row = blank_canvas(24 * (len(entries) + 1), width), left, 0
    for name, colour, dashed in entries:
        if x > left and x + 34 + text_width(name, 15, 400) > width:
            x, row = left, row + 1
        draw_line(canvas, (x, 24 * row + 12), (x + 26, 24 * row + 12), colour, dashed)
        x = write_text(canvas, name, (x + 34, 24 * row + 17), 15, TEXT, width - x - 34) + 22
    return canvas[: 24 * (row + 1)]


def save_canvas(canvas: np.ndarray, path: Path) -> None:
    # Level 2: a third larger than 9 and ten times as quick.
    _, encoded = cv2.imencode(path.suffix, canvas[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 2])
    with artifacts.written_whole(path) as temporary:
        temporary.write_bytes(encoded)  # not cv2.imwrite, which does not say why it fails
