"""Every curve that is drawn: numbers go in, a Matplotlib figure of its own (no global state) comes out.

Each is drawn once for both `Style`s; `styles.save_png` writes it, `styles.as_svg` makes it text for a page.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from cxr.core.errors import one_line
from cxr.evaluation import predictions
from cxr.evaluation.thresholds import why_undefined
from cxr.maps.detection_scores import FALSE_BOXES, KNOW_NOTHING, SENSITIVITIES
from cxr.report import table_notes
from cxr.report.styles import (
    PAGE,
    PALE,
    PRINT,
    Style,
    dressed,
    label_of,
    looks,
    place_legend,
    save_png,
    square,
    thinned,
)

BESIDE_FROC = dict(zip(KNOW_NOTHING[1:], ("--", ":"), strict=True))  # random maps say no more than the centre prior


@dressed
def roc(
    truth: np.ndarray, probabilities: np.ndarray, patients: np.ndarray, findings: Sequence[str], title: str = "",
    *, style: Style = PAGE,
) -> Figure:  # fmt: skip
    """ROC curves of the findings, with AUROC; pale, and named too few, where `bootstrap.too_few`.

    Parameters
    ----------
    truth : array of shape (N, F)
        1, 0 or NaN = not known.
    probabilities : array of shape (N, F)
    patients : array of shape (N,)
    findings : sequence of F str
    title : str
        Of a figure that stands alone.
    """
    figure, axes = square(style, title, "1 − specificity (false positive rate)", "Sensitivity (recall)")
    chance = "chance  0.500" if style.alone else None
    axes.plot([0, 1], [0, 1], color=style.line, linestyle=":", linewidth=1.2, label=chance)
    for finding, look, labels, scores, few in _defined(axes, truth, probabilities, patients, findings, style):
        false_rate, true_rate, _ = roc_curve(labels, scores)
        label = label_of(style, finding, f"{roc_auc_score(labels, scores):.3f}{few}")
        axes.plot(*thinned(style, false_rate, true_rate), label=label, **look)
    place_legend(axes, style, "lower right", "AUROC")
    return figure


@dressed
def precision_recall(
    truth: np.ndarray, probabilities: np.ndarray, patients: np.ndarray, findings: Sequence[str], title: str = "",
    *, style: Style = PAGE,
) -> Figure:  # fmt: skip
    """Precision-recall curves with average precision; dotted: prevalence, a blind guess. Parameters as of `roc`."""
    figure, axes = square(style, title, "Recall (sensitivity)", "Precision (positive predictive value)")
    for finding, look, labels, scores, few in _defined(axes, truth, probabilities, patients, findings, style):
        precision, recall, _ = precision_recall_curve(labels, scores)
        # The last point, (0, 1), is a convention. Those before it, with a handful of films called, jump between 0 and 1
        # and tell nothing.
        shown = recall[:-1] * labels.sum() >= min(5, 0.02 * labels.sum())
        figures = f"{average_precision_score(labels, scores):.3f}  ({labels.mean():.3f}){few}"
        axes.plot(
            *thinned(style, recall[:-1][shown], precision[:-1][shown]),
            drawstyle="steps-post", label=label_of(style, finding, figures), **look,
        )  # fmt: skip
        axes.axhline(labels.mean(), color=look["color"], linestyle=":", linewidth=1)
    place_legend(axes, style, "best", "Average precision (prevalence, dotted)")
    return figure


def numbers(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `roc` and `precision_recall` take of a predictions table: labels, probabilities, patients."""
    return *predictions.arrays(table), table["patient_id"].to_numpy()


def save_curves(table: pd.DataFrame, folder: Path, title: str, suffix: str = "") -> None:
    """Both curves of a predictions table as pictures: ``roc<suffix>.png``, ``precision_recall<suffix>.png``."""
    for draw in (roc, precision_recall):
        save_png(
            draw(*numbers(table), predictions.findings_of(table), title, style=PRINT),
            folder / f"{draw.__name__}{suffix}.png",
        )


@dressed
def training(
    log: pd.DataFrame, title: str = "", marks: Mapping[str, str] = MappingProxyType({}), *, style: Style = PAGE
) -> Figure:
    """Loss, score of val and, where it stands alone, learning rate by epoch; quick enough for after every epoch.

    Parameters
    ----------
    log : DataFrame
        ``epoch``, ``loss``, ``val_loss``, ``learning_rate``, and ``val_auroc`` with, if there,
        ``val_auroc_<finding>``; or ``val_dice`` (and ``dice``) of a U-Net. Missing columns are left out.
    title : str
        Of a figure that stands alone.
    marks : mapping
        From `table_notes.of_labels`, of val: what the legend says of a finding.
    """
    metric, name = ("val_dice", "Dice") if "val_dice" in log else ("val_auroc", "AUROC")
    findings = [column.removeprefix(f"{metric}_") for column in log if column.startswith(f"{metric}_")]
    figure = Figure(figsize=(11.5, 3.7) if style.alone else (6.4, 2.5), layout="constrained")
    # The scores last: a legend of many findings stands beside them.
    widths = [1, 0.75, 1.25] if style.alone else [1, 1]
    losses, *rates, scores = figure.subplots(1, len(widths), width_ratios=widths)
    ink, pale = {"color": style.ink}, {"color": style.ink, "alpha": 0.45, "label": "training"}
    _by_epoch(losses, log, "loss", **pale)
    _by_epoch(losses, log, "val_loss", **ink, label="val")
    thin = {"linewidth": 1, "markersize": 3, "marker": "o" if len(log) <= 3 else None}
    for finding, look in looks(findings).items():
        # On the page the colours have a key of their own.
        label, pale_or_not = (label_of(style, finding, marks[finding]), PALE) if marks.get(finding) else (finding, {})
        _by_epoch(scores, log, f"{metric}_{finding}", **look | thin | pale_or_not, label=label if style.alone else None)
    _by_epoch(scores, log, metric.removeprefix("val_"), **pale)
    few = ", of too few" if table_notes.FEW in marks.values() else ""
    _by_epoch(scores, log, metric, **ink, label=f"mean{few}" if findings else "val")
    if metric in log and log[metric].notna().any():
        best = log.loc[log[metric].idxmax()]
        for axes, label in ((losses, None), (scores, f"best {best[metric]:.4f}, epoch {best['epoch']:.0f}")):
            axes.axvline(best["epoch"], color=style.line, linestyle="--", linewidth=1, zorder=0, label=label)
    for axes in rates:
        _by_epoch(axes, log, "learning_rate", **ink)
        axes.set_ylim(0, 1.1 * log["learning_rate"].max() if "learning_rate" in log else None)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    for axes, what in zip((losses, scores, *rates), ("Loss", f"{name} on val", "Learning rate"), strict=False):
        axes.set(xlabel="Epoch", xlim=(log["epoch"].min() - 0.5, max(log["epoch"].max(), 2) + 0.5), title=what)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(True)
    place_legend(losses, style, "best")
    place_legend(scores, style, "best", most_inside=3)  # more would lie on the lines
    if style.alone:
        figure.suptitle(one_line(title))
    return figure


def save_training(log: pd.DataFrame, path: Path, title: str, marks: Mapping[str, str] = MappingProxyType({})) -> None:
    save_png(training(log, title, marks, style=PRINT), path)


def _by_epoch(axes: Axes, log: pd.DataFrame, column: str, **look: Any) -> None:
    if column in log:
        usual = {"marker": "o" if len(log) <= 30 else None, "markersize": 3.5, "linewidth": 1.6}
        axes.plot(log["epoch"], log[column], **usual | look)


@dressed
def reliability(
    finding: str, before: dict[str, Any] | None, after: dict[str, Any] | None, colour: str, *, style: Style = PAGE
) -> Figure:
    """Share of positives against mean probability in bins of equally many films, before and after calibration."""
    figure = Figure(figsize=(3.0, 2.7), layout="constrained")
    axes, highest = figure.subplots(), 0.02
    for values, ink, line, label in ((before, style.ink, "o--", "before"), (after, colour, "o-", "after")):
        if values:
            x, y = ([group[key] for group in values["reliability"]] for key in ("mean_probability", "share_positive"))
            highest = max(highest, *x, *y)
            axes.plot(x, y, line, color=ink, markersize=3.5, linewidth=1.3, label=label)
    axes.plot([0, 1], [0, 1], color=style.line, linestyle=":")
    limits = (0, min(1.02, highest * 1.06))
    axes.set(xlabel="Mean probability", ylabel="Share of positives", xlim=limits, ylim=limits, title=finding)
    axes.grid(True)
    place_legend(axes, style, "upper left")
    return figure


@dressed
def forest(
    finding: str, overall: dict[str, Any], subgroups: Mapping[str, Any], colour: str, *, style: Style = PAGE
) -> Figure:
    """AUROC with interval of every group of films; hollow and pale where films are too few; a line at the overall."""
    rows: list[tuple[str, dict[str, Any] | None]] = [("all films", overall)]
    for grouping, block in subgroups.items():
        if len(block["groups"]) > 1:
            rows.append((grouping, None))
            rows += [(f"{name}", group["findings"][finding]) for name, group in block["groups"].items()]
    figure = Figure(figsize=(4.6, 0.7 + 0.19 * len(rows)), layout="constrained")
    axes, heights = figure.subplots(), -np.arange(len(rows))
    for height, (_, values) in zip(heights, rows, strict=True):
        if values and values["auroc"] is not None:
            few = values.get("too_few", False)
            if values["auroc_interval"]:
                pale = 0.45 if few else 1
                axes.plot(values["auroc_interval"], [height, height], color=colour, linewidth=1.6, alpha=pale)
            face = "none" if few else colour
            look = {"markersize": 4.5, "color": colour, "markerfacecolor": face}
            axes.plot([values["auroc"]], [height], "o", clip_on=False, **look)  # whole, at 1 too
    if overall["auroc"] is not None:
        axes.axvline(overall["auroc"], color=style.ink, linestyle=":", linewidth=0.8)
    axes.set_yticks(heights, [_row_name(name, values) for name, values in rows])
    for tick, (_, values) in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if values is None else "normal")
    axes.tick_params(axis="y", length=0)
    # From guessing or, where something is worse, from 0: no stretch of .03 looks large.
    axes.set(xlabel="AUROC", xlim=(0.5 if axes.dataLim.x0 >= 0.5 else 0.0, 1.0), title=finding)
    axes.set_ylim(heights[-1] - 0.7, 0.7)
    axes.grid(True)
    return figure


def _row_name(name: str, values: dict[str, Any] | None) -> str:
    if values is None:
        return name
    return f"{name} ({values['positives']}/{values['films']})" + ("" if values["auroc"] is not None else " n/a")


@dressed
def froc(
    scores: pd.DataFrame, network: str, findings: Sequence[str], title: str = "", *, style: Style = PAGE
) -> Figure:
    """Share of the known boxes found against false boxes a film, a panel for each finding that has boxes.

    Parameters
    ----------
    scores : DataFrame
        detection_scores.csv.
    network : str
        Whose curve is drawn; gray and thin what knows nothing of the place (`BESIDE_FROC`).
    findings : sequence of str
        All of the family's: their places say the colours.
    title : str
        Of a figure that stands alone.
    """
    shown = {finding: look for finding, look in looks(findings).items() if finding in set(scores["finding"])}
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(2.5 * columns + 0.6, 2.3 * rows + 0.7), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (finding, look) in zip(panels, shown.items(), strict=False):
        own = scores[scores["finding"] == finding].set_index(["network", "method"])
        few = f", {table_notes.FEW}" if own["too_few"].any() else ""  # of all networks alike
        own = own[["froc", *SENSITIVITIES]]
        pale = {"color": style.ink, "alpha": 0.5, "linewidth": 1}
        for name, line in BESIDE_FROC.items():
            if ("none", name) in own.index:
                axes.plot(FALSE_BOXES, own.loc[("none", name)].iloc[1:], linestyle=line, label=name, **pale)
        score, *sensitivities = own.loc[network].iloc[0]
        axes.plot(FALSE_BOXES, sensitivities, marker="o", markersize=3.5, **look | (PALE if few else {}))
        axes.set_xscale("log", base=2)
        axes.set_xticks(FALSE_BOXES, ["⅛", "¼", "½", "1", "2", "4", "8"])
        axes.set(
            ylim=(-0.03, 1.03), yticks=(0, 0.25, 0.5, 0.75, 1), title=label_of(style, finding, f"{score:.3f}{few}")
        )
        axes.grid(True)
    for axes in panels[: len(shown)][-columns:]:
        axes.set_xlabel("False boxes a film")
    for axes in panels[len(shown) :]:
        axes.remove()
    figure.supylabel("Sensitivity", fontsize="medium")
    handles = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    told = "behind a name: its FROC score" if style.alone else None
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns, title=told)
    if style.alone:
        figure.suptitle(one_line(title))
    return figure


def save_froc(scores: pd.DataFrame, network: str, findings: Sequence[str], path: Path) -> None:
    save_png(froc(scores, network, findings, f"{network}, FROC at IoU > 0.3", style=PRINT), path)


def _defined(
    axes: Axes, truth: np.ndarray, probabilities: np.ndarray, patients: np.ndarray, findings: Sequence[str],
    style: Style,
) -> Iterator[tuple[str, dict[str, Any], np.ndarray, np.ndarray, str]]:  # fmt: skip
    """Finding, look, known labels, probabilities and mark, where a curve is defined; the legend names the others."""
    marks = table_notes.of_labels(truth, patients, findings)
    for f, (finding, look) in enumerate(looks(findings).items()):
        known, mark = ~np.isnan(truth[:, f]), marks[finding]
        if why_undefined(truth[:, f]) is None:
            marked = (look | PALE, f", {mark}") if mark else (look, "")
            yield finding, marked[0], truth[known, f], probabilities[known, f], marked[1]
        elif style.alone:
            axes.plot([], [], label=label_of(style, finding, mark), **look)
