"""Every picture the pipeline draws: previews, curves, overlays. Takes arrays, saves a PNG, returns nothing.

Curves are drawn by Matplotlib on figures of their own (no global state), films by OpenCV, which is quick enough for
hundreds of overlays. Colours are RGB here and turned into OpenCV's BGR when saved.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from cxr import artifacts
from cxr.labels import COLOURS, FINDINGS

BACKGROUND = (16, 16, 18)
TEXT = (235, 235, 235)
DIM = (165, 165, 170)
CONTOUR = (255, 255, 255)
KNOWN_BOX = (80, 255, 120)
DETECTION = (255, 225, 60)
LUNGS = (90, 200, 255)
MASK = (255, 190, 40)
TRUTH_MASK, PREDICTED_MASK = (80, 255, 120), (255, 70, 200)
OUTCOMES = {
    "TP": "True positives: present, and called",
    "FP": "False positives: absent, but called",
    "FN": "False negatives: present, but missed",
    "TN": "True negatives: absent, and not called",
}
PANEL = 480  # longer side of a film in an overlay, pixels
BAR = 14  # width of its colour bar
MARGIN = 14


def preview_grid(
    films: Sequence[np.ndarray],
    titles: Sequence[str],
    path: Path,
    columns: int = 4,
    contours: Sequence[np.ndarray | None] | None = None,
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
    """
    masks = contours if contours is not None else [None] * len(films)
    tiles = [_tile(film, 256, [(mask, MASK)]) for film, mask in zip(films, masks, strict=True)]
    _save(_grid(tiles, titles, columns), path)


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
        _tile(film, 320, [(truth, TRUTH_MASK), (mask, PREDICTED_MASK)])
        for film, truth, mask in zip(films, truths, masks, strict=True)
    ]
    grid = _grid(tiles, captions, columns=min(5, max(len(tiles), 1)))
    header = _canvas(40, grid.shape[1])
    _legend(header, 27, [("true mask", TRUTH_MASK, False), ("predicted mask", PREDICTED_MASK, False)])
    _save(np.vstack([header, grid]), path)


def overlay(
    film: np.ndarray,
    heatmap: np.ndarray,
    path: Path,
    title: str,
    contour_level: float | None = None,
    boxes: Sequence[Sequence[float]] = (),
    detections: Sequence[Sequence[float]] = (),
    lung_mask: np.ndarray | None = None,
) -> None:
    """A film as it is, and beside it the same film under its heatmap, with a colour bar.

    Parameters
    ----------
    film : array of shape (H, W), uint8
    heatmap : array of shape (h, w), float 0..1
        Covers the whole film; resized to it.
    path : Path
    title : str
        Finding, truth and probability.
    contour_level : float, optional
        Level of the heatmap that is outlined.
    boxes, detections : sequences of (x, y, width, height)
        Known boxes (solid) and detected ones (dashed), in pixels of ``film``.
    lung_mask : array of shape (H, W), uint8, optional
        Outlined.
    """
    plain, scale = _shown(film, PANEL)
    height, width = plain.shape[:2]
    heat = _resized_heat(heatmap, height, width)
    mapped = _blended(plain, heat)
    entries = []
    if lung_mask is not None:
        _outline(mapped, lung_mask, LUNGS)
        entries.append(("lung mask", LUNGS, False))
    if contour_level is not None:
        _outline(mapped, heat >= contour_level, CONTOUR, thickness=2)
        entries.append((f"map = {contour_level:g}", CONTOUR, False))
    for rectangles, colour, dashed, name in (
        (boxes, KNOWN_BOX, False, "known box"),
        (detections, DETECTION, True, "detection"),
    ):
        for rectangle in rectangles:
            _rectangle(mapped, np.asarray(rectangle, dtype=float) * scale, colour, dashed)
        if len(rectangles):
            entries.append((name, colour, dashed))
    whole_width = 3 * MARGIN + 2 * width + BAR + 60
    lines = _wrapped(title, whole_width - 2 * MARGIN, 18, weight=600)
    top, foot = 20 + 24 * len(lines), 36
    canvas = _canvas(top + height + foot, whole_width)
    canvas[top : top + height, MARGIN : MARGIN + width] = plain
    right = 2 * MARGIN + width
    canvas[top : top + height, right : right + width] = mapped
    _colour_bar(canvas, right + width + MARGIN // 2, top, height, contour_level)
    for number, line in enumerate(lines):
        _write(canvas, line, (MARGIN, 28 + 24 * number), 18, TEXT, whole_width - 2 * MARGIN, weight=600)
    _legend(canvas, canvas.shape[0] - 13, entries, left=right)
    _save(canvas, path)


def overview(
    groups: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray | None, str]]],
    path: Path,
    finding: str,
    note: str = "",
) -> None:
    """A page of one finding: up to six films each of true and false positives and negatives.

    Parameters
    ----------
    groups : mapping of "TP", "FP", "FN", "TN" to sequences of (film, heatmap, caption)
        film (H, W) uint8; heatmap (h, w) float 0..1 or None; the caption holds the probability.
    path : Path
    finding : str
    note : str
        Beside the title, such as the threshold.
    """
    side, columns = 236, 6
    width = columns * side + (columns + 1) * GAP
    header = _canvas(52, width)
    cv2.rectangle(header, (MARGIN, 16), (MARGIN + 20, 36), _rgb(COLOURS[finding]), cv2.FILLED)
    x = _write(header, finding, (MARGIN + 32, 35), 26, TEXT, width, weight=700)
    _write(header, note, (x + 18, 35), 16, DIM, width - x - 18 - MARGIN)
    rows = [header]
    for outcome, meaning in OUTCOMES.items():
        shown = list(groups.get(outcome, ()))[:columns]
        bar = _canvas(34, width)
        _write(bar, meaning + ("" if shown else " (no such film)"), (MARGIN, 25), 17, TEXT, width, weight=600)
        tiles = [_heat_tile(film, heatmap, side) for film, heatmap, _ in shown]
        rows.append(bar)
        if tiles:
            rows.append(_grid(tiles, [caption for _, _, caption in shown], columns))
    _save(np.vstack(rows), path)


def roc_curves(truth: np.ndarray, probabilities: np.ndarray, path: Path, title: str) -> None:
    """ROC curves of the findings, with AUROC; arrays of shape (N, F), NaN = not known."""
    figure, axes = _square_axes(title, "1 - specificity (false positive rate)", "Sensitivity (recall)")
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1.2, label="chance  0.500")
    for finding, known_truth, scores in _curves(truth, probabilities):
        if scores is None:
            axes.plot([], [], color=COLOURS[finding], label=f"{finding}  n/a ({known_truth})")
            continue
        false_rate, true_rate, _ = roc_curve(known_truth, scores)
        label = f"{finding}  {roc_auc_score(known_truth, scores):.3f}"
        axes.plot(false_rate, true_rate, color=COLOURS[finding], linewidth=1.8, label=label)
    axes.legend(loc="lower right", title="AUROC", alignment="left")
    _save_figure(figure, path)


def precision_recall_curves(truth: np.ndarray, probabilities: np.ndarray, path: Path, title: str) -> None:
    """Precision-recall curves with average precision; dotted: prevalence, a blind guess. Shapes as in `roc_curves`."""
    figure, axes = _square_axes(title, "Recall (sensitivity)", "Precision (positive predictive value)")
    for finding, known_truth, scores in _curves(truth, probabilities):
        if scores is None:
            axes.plot([], [], color=COLOURS[finding], label=f"{finding}  n/a ({known_truth})")
            continue
        precision, recall, _ = precision_recall_curve(known_truth, scores)
        prevalence = known_truth.mean()
        label = f"{finding}  {average_precision_score(known_truth, scores):.3f}  ({prevalence:.3f})"
        recall, precision = recall[:-1], precision[:-1]  # the last point, (0, 1), is a convention
        axes.plot(recall, precision, color=COLOURS[finding], linewidth=1.8, drawstyle="steps-post", label=label)
        axes.axhline(prevalence, color=COLOURS[finding], linestyle=":", linewidth=1.2)
    axes.legend(loc="upper right", title="Average precision (prevalence, dotted)", alignment="left")
    _save_figure(figure, path)


def _curves(truth: np.ndarray, probabilities: np.ndarray):
    """Finding, known labels and their probabilities; or finding, the reason and None where a curve is not defined."""
    for f, finding in enumerate(FINDINGS):
        known = ~np.isnan(truth[:, f])
        labels = truth[known, f]
        if not known.any() or labels.min() == labels.max():
            yield finding, "no known label" if not known.any() else f"all {len(labels)} are {labels[0]:.0f}", None
        else:
            yield finding, labels, probabilities[known, f]


def training_curves(log: pd.DataFrame, path: Path, title: str) -> None:
    """Loss, validation metric and learning rate by epoch; quick enough to be drawn again after every epoch.

    Parameters
    ----------
    log : DataFrame
        ``epoch``, ``loss``, ``val_loss``, ``learning_rate``, and ``val_auroc`` with, if there,
        ``val_auroc_<Finding>``; or ``val_dice`` (and ``dice``) of a U-Net. Missing columns are left out.
    path : Path
    title : str
    """
    metric, name = ("val_dice", "Dice") if "val_dice" in log else ("val_auroc", "AUROC")
    figure = Figure(figsize=(12, 3.9), dpi=110, layout="constrained")
    losses, scores, rates = figure.subplots(1, 3, width_ratios=[1, 1.25, 0.75])
    style = {"marker": "o" if len(log) <= 30 else None, "markersize": 3.5, "linewidth": 1.6}
    thin = {"marker": "o" if len(log) <= 3 else None, "markersize": 3, "linewidth": 1}
    for column, colour, label in (("loss", "0.55", "training"), ("val_loss", "0.1", "validation")):
        if column in log:
            losses.plot(log["epoch"], log[column], color=colour, label=label, **style)
    for finding in FINDINGS:
        if f"{metric}_{finding}" in log:
            column = log[f"{metric}_{finding}"]
            scores.plot(log["epoch"], column, color=COLOURS[finding], label=finding, **thin)
    if metric.removeprefix("val_") in log:
        scores.plot(log["epoch"], log[metric.removeprefix("val_")], color="0.55", label="training", **style)
    if metric in log:
        scores.plot(log["epoch"], log[metric], color="0.1", label="validation, mean", **style)
        if log[metric].notna().any():
            best = log.loc[log[metric].idxmax()]
            for axes in (losses, scores):
                axes.axvline(best["epoch"], color="0.75", linestyle="--", linewidth=1, zorder=0)
            scores.set_title(f"best {best[metric]:.4f} in epoch {best['epoch']:.0f}", fontsize=10)
    if "learning_rate" in log:
        rates.plot(log["epoch"], log["learning_rate"], color="0.1", **style)
        rates.set_ylim(0, 1.1 * log["learning_rate"].max())
        rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axes, label in ((losses, "Loss"), (scores, f"{name} on validation films"), (rates, "Learning rate")):
        axes.set(xlabel="Epoch", ylabel=label, xlim=(log["epoch"].min() - 0.5, max(log["epoch"].max(), 2) + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color="0.92")
        axes.set_axisbelow(True)
        if axes is not rates and axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, loc="best")
    figure.suptitle(title, fontsize=12, fontweight="bold")
    _save_figure(figure, path)


def _square_axes(title: str, x_label: str, y_label: str):
    figure = Figure(figsize=(6.6, 6.6), dpi=130, layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x_label, ylabel=y_label, aspect="equal")
    axes.set_title(title, fontsize=12, fontweight="bold", wrap=True)
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    return figure, axes


def _save_figure(figure: Figure, path: Path) -> None:
    with artifacts.written_whole(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})


# Films: everything below composes uint8 RGB canvases.

GAP = 6


def _canvas(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, dtype=np.uint8)


def _rgb(colour: str) -> tuple[int, int, int]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))


@cache
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")


def _text_width(text: str, size: int, weight: int) -> int:
    return cv2.getTextSize((0, 0), text, (0, 0), _font(), size, weight)[2]


def _write(canvas, text: str, corner: tuple[int, int], size: int, colour, width: int, weight: int = 400) -> int:
    """Write text from its lower left corner, shortened to ``width`` pixels; returns the x where it ends."""
    if not text:
        return corner[0]
    if _text_width(text, size, weight) > width:
        while text and _text_width(text + "…", size, weight) > width:
            text = text[:-1]
        text += "…"
    cv2.putText(canvas, text, corner, colour, _font(), size, weight)
    return corner[0] + _text_width(text, size, weight)


def _shown(film: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """The film in RGB with its longer side ``side`` pixels, and by how much that scales it."""
    scale = side / max(film.shape)
    width, height = round(film.shape[1] * scale), round(film.shape[0] * scale)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.cvtColor(cv2.resize(film, (width, height), interpolation=interpolation), cv2.COLOR_GRAY2RGB), scale


def _tile(film: np.ndarray, side: int, outlines=()) -> np.ndarray:
    shown, _ = _shown(film, side)
    for mask, colour in outlines:
        if mask is not None:
            _outline(shown, mask, colour)
    return _squared(shown, side)


def _heat_tile(film: np.ndarray, heatmap: np.ndarray | None, side: int) -> np.ndarray:
    shown, _ = _shown(film, side)
    if heatmap is not None:
        shown = _blended(shown, _resized_heat(heatmap, *shown.shape[:2]))
    return _squared(shown, side)


def _squared(shown: np.ndarray, side: int) -> np.ndarray:
    square = np.zeros((side, side, 3), dtype=np.uint8)
    top, left = (side - shown.shape[0]) // 2, (side - shown.shape[1]) // 2
    square[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return square


def _grid(tiles: Sequence[np.ndarray], captions: Sequence[str], columns: int) -> np.ndarray:
    """Tiles in rows with a caption of one or two lines under each."""
    side = tiles[0].shape[0] if tiles else 256
    rows = -(-len(tiles) // columns)
    wrapped = [_wrapped(caption, side - 4, 14) for caption in captions]
    step, below = side + GAP, 6 + 18 * max((len(lines) for lines in wrapped), default=0)
    canvas = _canvas(GAP + rows * (step + below), GAP + columns * step)
    for number, (tile, lines) in enumerate(zip(tiles, wrapped, strict=True)):
        x, y = GAP + number % columns * step, GAP + number // columns * (step + below)
        canvas[y : y + side, x : x + side] = tile
        for row, line in enumerate(lines):
            _write(canvas, line, (x + 2, y + side + 17 + 18 * row), 14, TEXT, side - 4)
    return canvas


def _wrapped(text: str, width: int, size: int, weight: int = 400) -> list[str]:
    """The text in one line or, where that is wider than ``width`` pixels, in two; the second takes all that is left."""
    if _text_width(text, size, weight) <= width:
        return [text]
    words = text.split(" ")
    fits = [n for n in range(1, len(words)) if _text_width(" ".join(words[:n]), size, weight) <= width]
    return [" ".join(words[: fits[-1]]), " ".join(words[fits[-1] :])] if fits else [text]


def _outline(canvas: np.ndarray, mask: np.ndarray, colour, thickness: int = 1) -> None:
    height, width = canvas.shape[:2]
    full = (np.asarray(mask) > 0).astype(np.uint8) * 255
    if full.shape != (height, width):
        full = cv2.resize(full, (width, height), interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours((full > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, colour, thickness, cv2.LINE_AA)


def _resized_heat(heatmap: np.ndarray, height: int, width: int) -> np.ndarray:
    heat = cv2.resize(np.asarray(heatmap, dtype=np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(heat, 0, 1)


@cache
def _heat_colours() -> tuple[np.ndarray, np.ndarray]:
    """Colour (256, 1, 3) RGB and opacity (256,) of a heat of 0..255: no heat leaves the film as it is."""
    bright = (np.arange(256) * 0.92).astype(np.uint8)  # the end of this scale is a dark red that looks like less
    colours = cv2.applyColorMap(bright[:, None], cv2.COLORMAP_TURBO)[..., ::-1]
    opacity = 0.55 * np.clip(np.arange(256) / 110, 0, 1)
    return colours, opacity


def _blended(shown: np.ndarray, heat: np.ndarray) -> np.ndarray:
    colours, opacity = _heat_colours()
    level = (heat * 255).astype(np.uint8)
    share = opacity.astype(np.float32)[level][..., None]
    return (shown * (1 - share) + colours[:, 0].astype(np.float32)[level] * share).astype(np.uint8)


def _colour_bar(canvas: np.ndarray, x: int, top: int, height: int, contour_level: float | None) -> None:
    heat = np.repeat(np.linspace(1, 0, height, dtype=np.float32)[:, None], BAR, axis=1)
    canvas[top : top + height, x : x + BAR] = _blended(np.full((height, BAR, 3), 96, np.uint8), heat)
    for value in (0.0, 0.5, 1.0):
        y = top + round((1 - value) * (height - 1))
        _write(canvas, f"{value:.1f}", (x + BAR + 8, min(max(y + 5, top + 11), top + height)), 14, TEXT, 40)
        cv2.line(canvas, (x + BAR, y), (x + BAR + 4, y), TEXT, 1)
    if contour_level is not None:
        y = top + round((1 - contour_level) * (height - 1))
        cv2.line(canvas, (x, y), (x + BAR - 1, y), CONTOUR, 2)


def _rectangle(canvas: np.ndarray, rectangle: np.ndarray, colour, dashed: bool) -> None:
    left, top, width, height = rectangle
    right, bottom = min(left + width, canvas.shape[1] - 1), min(top + height, canvas.shape[0] - 1)
    left, top = max(left, 0), max(top, 0)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    for start, end in pairwise(corners):
        _line(canvas, start, end, colour, dashed)


def _line(canvas: np.ndarray, start, end, colour, dashed: bool) -> None:
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


def _legend(canvas: np.ndarray, baseline: int, entries, left: int = MARGIN) -> None:
    x = left
    for name, colour, dashed in entries:
        _line(canvas, (x, baseline - 5), (x + 26, baseline - 5), colour, dashed)
        x = _write(canvas, name, (x + 34, baseline), 15, TEXT, canvas.shape[1] - x - 34) + 22


def _save(canvas: np.ndarray, path: Path) -> None:
    with artifacts.written_whole(path) as temporary:
        # Level 2: a third larger than 9 and ten times as quick.
        if not cv2.imwrite(str(temporary), canvas[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 2]):
            raise OSError(f"{path}: the picture could not be written")
