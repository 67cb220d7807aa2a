"""Every picture the pipeline draws: previews, curves, overlays. Takes arrays, saves a PNG, returns nothing.

Curves are drawn by Matplotlib on figures of their own (no global state), films by OpenCV, which is quick enough for
hundreds of overlays. Colours are RGB here and turned into OpenCV's BGR when saved.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from cxr.core import artifacts
from cxr.report.canvas import BAR, CONTOUR, DETECTION, DIM, GAP, KNOWN_BOX, LUNGS, MARGIN, MASK, PREDICTED_MASK, TEXT, TRUTH_MASK, blank_canvas, blend, draw_colour_bar, draw_legend, draw_outline, draw_rectangle, film_tile, fit_panel, heat_tile, resize_heat, rgb, save_canvas, tile_grid, wrap_text, write_text
from cxr.core.findings import COLOURS, FINDINGS

OUTCOMES = {
    "TP": "True positives: present, and called",
    "FP": "False positives: absent, but called",
    "FN": "False negatives: present, but missed",
    "TN": "True negatives: absent, and not called",
}
PANEL = 480  # longer side of a film in an overlay, pixels


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
    tiles = [film_tile(film, 256, [(mask, MASK)]) for film, mask in zip(films, masks, strict=True)]
    save_canvas(tile_grid(tiles, titles, columns), path)


def lung_outline(film: np.ndarray, mask: np.ndarray, path: Path, note: str = "") -> None:
    """A film with the outline of its lung mask.

    Parameters
    ----------
    film, mask : arrays of shape (H, W), uint8
    path : Path
    note : str
        Why the mask is not accepted, written below; "" where it is.
    """
    save_canvas(tile_grid([film_tile(film, 2 * PANEL, [(mask, MASK)])], [note or "mask accepted"], columns=1), path)


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
    header = blank_canvas(40, grid.shape[1])
    draw_legend(header, 27, [("true mask", TRUTH_MASK, False), ("predicted mask", PREDICTED_MASK, False)])
    save_canvas(np.vstack([header, grid]), path)


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
    heatmap : array of shape (h, w), float, 0 or more
        Covers the whole film; resized to it. What is above 1 is drawn like 1.
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
    plain, scale = fit_panel(film, PANEL)
    height, width = plain.shape[:2]
    heat = resize_heat(heatmap, height, width)
    mapped = blend(plain, heat)
    entries = []
    if lung_mask is not None:
        draw_outline(mapped, lung_mask, LUNGS)
        entries.append(("lung mask", LUNGS, False))
    if contour_level is not None:
        draw_outline(mapped, heat >= contour_level, CONTOUR, thickness=2)
        entries.append((f"map = {contour_level:.2f}", CONTOUR, False))
    for rectangles, colour, dashed, name in (
        (boxes, KNOWN_BOX, False, "known box"),
        (detections, DETECTION, True, "detection"),
    ):
        for rectangle in rectangles:
            draw_rectangle(mapped, np.asarray(rectangle, dtype=float) * scale, colour, dashed)
        if len(rectangles):
            entries.append((name, colour, dashed))
    whole_width = 3 * MARGIN + 2 * width + BAR + 60
    lines = wrap_text(title, whole_width - 2 * MARGIN, 18, weight=600)
    top, foot = 20 + 24 * len(lines), 36
    canvas = blank_canvas(top + height + foot, whole_width)
    canvas[top : top + height, MARGIN : MARGIN + width] = plain
    right = 2 * MARGIN + width
    canvas[top : top + height, right : right + width] = mapped
    draw_colour_bar(canvas, right + width + MARGIN // 2, top, height, contour_level)
    for number, line in enumerate(lines):
        write_text(canvas, line, (MARGIN, 28 + 24 * number), 18, TEXT, whole_width - 2 * MARGIN, weight=600)
    draw_legend(canvas, canvas.shape[0] - 13, entries, left=right)
    save_canvas(canvas, path)


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
    header = blank_canvas(52, width)
    cv2.rectangle(header, (MARGIN, 16), (MARGIN + 20, 36), rgb(COLOURS[finding]), cv2.FILLED)
    x = write_text(header, finding, (MARGIN + 32, 35), 26, TEXT, width, weight=700)
    write_text(header, note, (x + 18, 35), 16, DIM, width - x - 18 - MARGIN)
    rows = [header]
    for outcome, meaning in OUTCOMES.items():
        shown = list(groups.get(outcome, ()))[:columns]
        bar = blank_canvas(34, width)
        write_text(bar, meaning + ("" if shown else " (no such film)"), (MARGIN, 25), 17, TEXT, width, weight=600)
        tiles = [heat_tile(film, heatmap, side) for film, heatmap, _ in shown]
        rows.append(bar)
        if tiles:
            rows.append(tile_grid(tiles, [caption for _, _, caption in shown], columns))
    save_canvas(np.vstack(rows), path)


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
