"""The charts of the HTML report, as SVG text that takes its colours from the page: light, dark and print."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from cxr.core.findings import COLOURS, FINDINGS
from cxr.evaluation.thresholds import why_undefined

INK, LINE = "#010203", "#040506"  # stand-ins that become the page's text colour and its colour of thin lines
POINTS = 300  # of a curve: more than a screen shows, and a page of kilobytes
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def svg(figure: Figure, key: str, label: str) -> str:
    """The figure as an SVG element: no width of its own, the page's colours, ``label`` for who can't see it."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # ids such as axes_1 would stand twice in a page
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \1inherit", text)
    quoted = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    text = text.replace("<svg", f'<svg role="img" aria-label="{quoted}"', 1)
    return text.replace(INK, "currentColor").replace(LINE, "var(--line)")


def _axes(width: float, height: float, x_label: str, y_label: str, square: bool = False):
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
    axes.set(xlabel=x_label, ylabel=y_label)
    if square:
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.grid(True)
    axes.set_axisbelow(True)
    return figure, axes


def _thinned(*arrays: np.ndarray) -> list[np.ndarray]:
    length = len(arrays[0])
    if length <= POINTS:
        return list(arrays)
    kept = np.unique(np.linspace(0, length - 1, POINTS).round().astype(int))
    return [array[kept] for array in arrays]


def _curves(truth: np.ndarray, probabilities: np.ndarray):
    """Finding, known labels and probabilities, of the findings whose curve is defined."""
    for f, finding in enumerate(FINDINGS):
        known = ~np.isnan(truth[:, f])
        if why_undefined(truth[:, f]) is None:
            yield finding, truth[known, f], probabilities[known, f]


def roc(truth: np.ndarray, probabilities: np.ndarray) -> str:
    """ROC curves of arrays of shape (N, F)."""
    figure, axes = _axes(4.6, 4.2, "1 − specificity", "Sensitivity", square=True)
    axes.plot([0, 1], [0, 1], color=LINE, linestyle=":")
    for finding, labels, scores in _curves(truth, probabilities):
        false_rate, true_rate, _ = roc_curve(labels, scores)
        axes.plot(*_thinned(false_rate, true_rate), color=COLOURS[finding], linewidth=1.6, label=finding)
    _legend(axes, "lower right")
    return svg(figure, "roc", "ROC curves: sensitivity against 1 - specificity of each finding")


def precision_recall(truth: np.ndarray, probabilities: np.ndarray) -> str:
    """Precision-recall curves of arrays of shape (N, F); dotted: prevalence."""
    figure, axes = _axes(4.6, 4.2, "Sensitivity (recall)", "PPV (precision)", square=True)
    for finding, labels, scores in _curves(truth, probabilities):
        precision, recall, _ = precision_recall_curve(labels, scores)
        # The first points, with a handful of films called, jump between 0 and 1 and tell nothing.
        shown = recall[:-1] * labels.sum() >= min(5, 0.02 * labels.sum())
        axes.plot(
            *_thinned(recall[:-1][shown], precision[:-1][shown]),
            color=COLOURS[finding], linewidth=1.6, label=finding,
        )  # fmt: skip
        axes.axhline(labels.mean(), color=COLOURS[finding], linestyle=":", linewidth=0.9)
    _legend(axes, "upper right")
    return svg(figure, "pr", "Precision against recall of each finding")


def _legend(axes, place: str) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc=place, fontsize=8, frameon=False, labelcolor=INK)


def reliability(finding: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    """Share of positives against mean probability in bins of equally many films, before and after calibration."""
    figure, axes = _axes(3.0, 2.7, "Mean probability", "Share of positives")
    highest = 0.02
    for values, colour, style, label in (
        (before, INK, "o--", "before"),
        (after, COLOURS[finding], "o-", "after"),
    ):
        if values:
            x, y = ([one[key] for one in values["reliability"]] for key in ("mean_probability", "share_positive"))
            highest = max(highest, *x, *y)
            axes.plot(x, y, style, color=colour, markersize=3.5, linewidth=1.3, label=label)
    axes.plot([0, 1], [0, 1], color=LINE, linestyle=":")
    axes.set(xlim=(0, min(1.02, highest * 1.06)), ylim=(0, min(1.02, highest * 1.06)))
    axes.set_title(finding, fontsize=10, color=INK, loc="left")
    _legend(axes, "upper left")
    return svg(figure, f"reliability-{finding}", f"Reliability of the probabilities of {finding}")


def forest(finding: str, overall: dict[str, Any], subgroups: Mapping[str, Any]) -> str:
    """AUROC with interval of every group of films; hollow and pale where films are too few; a line at the overall."""
    rows: list[tuple[str, dict[str, Any] | None]] = [("all films", overall)]
    for grouping, block in subgroups.items():
        if len(block["groups"]) > 1:
            rows.append((grouping, None))
            rows += [(f"{name}", group["findings"][finding]) for name, group in block["groups"].items()]
    figure, axes = _axes(4.6, 0.7 + 0.19 * len(rows), "AUROC", "")
    places = -np.arange(len(rows))
    for place, (_, values) in zip(places, rows, strict=True):
        if values and values["auroc"] is not None:
            few = values.get("too_few", False)
            if values["auroc_interval"]:
                axes.plot(
                    values["auroc_interval"], [place, place],
                    color=COLOURS[finding], linewidth=1.6, alpha=0.45 if few else 1,
                )  # fmt: skip
            face = "none" if few else COLOURS[finding]
            axes.plot([values["auroc"]], [place], "o", markersize=4.5, color=COLOURS[finding], markerfacecolor=face)
    if overall["auroc"] is not None:
        axes.axvline(overall["auroc"], color=INK, linestyle=":", linewidth=0.8)
    axes.set_yticks(places, [_row_name(name, values) for name, values in rows])
    for tick, (_, values) in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if values is None else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(places[-1] - 0.7, 0.7)
    low, high = axes.get_xlim()
    axes.set_xlim(max(0.0, low), min(1.0, max(high, low + 0.1)))
    axes.set_title(finding, fontsize=10, color=INK, loc="left")
    return svg(figure, f"forest-{finding}", f"AUROC of {finding} in groups of films")


def _row_name(name: str, values: dict[str, Any] | None) -> str:
    if values is None:
        return name
    return f"{name} ({values['positives']}/{values['films']})" + ("" if values["auroc"] is not None else " n/a")


def training(logs: Mapping[str, pd.DataFrame]) -> list[tuple[str, str]]:
    """Loss and val AUROC by epoch: (member, SVG) a member."""
    drawn = []
    for member, log in logs.items():
        with matplotlib.rc_context(STYLE):
            figure = Figure(figsize=(6.4, 2.5), layout="constrained")
            losses, scores = figure.subplots(1, 2)
        for column, alpha, label in (("loss", 0.45, "training"), ("val_loss", 1.0, "val")):
            if column in log:
                losses.plot(
                    log["epoch"], log[column], color=INK, alpha=alpha, marker=_marker(log), markersize=3, label=label
                )
        for finding in FINDINGS:
            if f"val_auroc_{finding}" in log:
                scores.plot(
                    log["epoch"], log[f"val_auroc_{finding}"],
                    color=COLOURS[finding], linewidth=1, marker=_marker(log), markersize=2.5,
                )  # fmt: skip
        if "val_auroc" in log:
            scores.plot(
                log["epoch"], log["val_auroc"], color=INK, linewidth=1.8, marker=_marker(log), markersize=3.5,
                label="mean",
            )  # fmt: skip
        for axes, name in ((losses, "Loss"), (scores, "AUROC on val")):
            axes.set(xlabel="Epoch", xlim=(log["epoch"].min() - 0.5, log["epoch"].max() + 0.5))
            axes.set_title(name, fontsize=10, loc="left")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(True)
            _legend(axes, "best")
        drawn.append((member, svg(figure, f"training-{member}", f"Loss and val AUROC of {member} by epoch")))
    return drawn


def _marker(log: Sequence) -> str | None:
    return "o" if len(log) <= 30 else None
