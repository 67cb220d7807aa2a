"""Every picture the pipeline draws: previews, curves, overlays. Takes arrays, saves a PNG, returns nothing.

Curves are drawn by Matplotlib on figures of their own (no global state), films by OpenCV, which is quick enough for
hundreds of overlays. Colours are RGB here and turned into OpenCV's BGR when saved.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from cxr.core import artifacts
from cxr.core.findings import COLOURS, FINDINGS


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
