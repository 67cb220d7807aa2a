"""The charts of the report on a new hospital: a panel a finding, from the tables that are written beside it."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cxr.core.findings import colours
from cxr.new_hospital.carried import VERSIONS
from cxr.new_hospital.promises import RISK
from cxr.new_hospital.refitting import CALIBRATION, SURE
from cxr.report.styles import PAGE, Style, dressed

COLUMNS = 3
LINES = dict(zip(VERSIONS, ("-", "--", "-."), strict=True))


def _panels(findings: Sequence[str], draw: Callable[[Axes, str, str], None], style: Style, **labels: str) -> Figure:
    """A panel each finding, and one legend of all of them below."""
    rows = -(-len(findings) // COLUMNS)
    figure = Figure(figsize=(3.1 * COLUMNS, 2.5 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    colour = colours(findings)
    for axes, finding in zip(panels, findings, strict=False):
        draw(axes, finding, colour[finding])
        axes.set(title=finding, **labels)
        axes.grid(True)
    for axes in panels[len(findings) :]:
        axes.remove()
    named = {}
    for axes in panels[: len(findings)]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    key = figure.legend(named.values(), named, loc="outside lower center", ncols=len(named))
    for handle in key.legend_handles:
        if handle.get_color() == colour[findings[0]]:  # each finding's own: the key tells dashes and marks
            handle.set_color(style.ink)
    return figure


@dressed
def predictive_values(curves: pd.DataFrame, came: pd.DataFrame, *, style: Style = PAGE) -> Figure:
    """PPV and NPV over prevalence, with the prevalences there and here."""

    def draw(axes: Axes, finding: str, colour: str) -> None:
        own, row = curves[curves["finding"] == finding], came[came["finding"] == finding].iloc[0]
        axes.plot(own["prevalence"], own["ppv"], color=colour, label="PPV")
        axes.plot(own["prevalence"], own["npv"], color=colour, linestyle="--", label="NPV")
        for key, line in (("prevalence_home", ":"), ("prevalence_here", "-.")):
            if pd.notna(row[key]):
                name = f"prevalence {key.removeprefix('prevalence_')}"
                axes.axvline(row[key], color=style.ink, linestyle=line, linewidth=0.9, label=name)
        axes.set_xscale("log")
        axes.set_xticks([0.01, 0.1, 0.5], ["1 %", "10 %", "50 %"])
        axes.set_ylim(-0.03, 1.03)

    return _panels(list(dict.fromkeys(curves["finding"])), draw, style, xlabel="Prevalence")


@dressed
def net_benefit(curves: pd.DataFrame, *, style: Style = PAGE) -> Figure:
    """Net benefit of acting on the probabilities, against acting on all films and on none."""

    def draw(axes: Axes, finding: str, colour: str) -> None:
        own = curves[curves["finding"] == finding]
        for version, line in LINES.items():
            part = own[own["version"] == version]
            axes.plot(part["limit"], part["net_benefit"], color=colour, linestyle=line, linewidth=1.3, label=version)
        axes.plot(part["limit"], part["treat_all"], color=style.ink, linewidth=0.9, alpha=0.6, label="call every film")
        axes.axhline(0, color=style.ink, linestyle=":", linewidth=1, label="call none")
        highest = np.nanmax([own["net_benefit"].max(), 0.005])
        axes.set_ylim(-0.35 * highest, 1.1 * highest)

    return _panels(list(dict.fromkeys(curves["finding"])), draw, style, xlabel="Probability at which one acts")


@dressed
def refits(table: pd.DataFrame, *, style: Style = PAGE) -> Figure:
    """Share of the draws in which refitting was better, by local patients labelled: threshold and calibration."""

    def draw(axes: Axes, finding: str, colour: str) -> None:
        for figure, rows in table[table["finding"] == finding].groupby("figure", sort=False):
            calibration = figure == CALIBRATION
            label = "new calibration (Brier score)" if calibration else f"new threshold ({figure})"
            look = {"linestyle": "--", "marker": "s"} if calibration else {"linestyle": "-", "marker": "o"}
            axes.plot(rows["patients"], rows["better"], color=colour, markersize=3.5, label=label, **look)
        axes.axhline(SURE, color=style.ink, linestyle=":", linewidth=1, label=f"{SURE:.0%} of the draws")
        axes.set_xscale("log", base=2)
        ticks = sorted(set(table["patients"]))
        axes.set_xticks(ticks, [str(tick) for tick in ticks], rotation=45)
        axes.set_xticks([], minor=True)
        axes.set_ylim(-0.03, 1.03)

    findings = list(dict.fromkeys(table["finding"]))
    return _panels(findings, draw, style, xlabel="Local patients labelled", ylabel="Share of draws that are better")


@dressed
def risk_coverage(table: pd.DataFrame, *, style: Style = PAGE) -> Figure:
    """Share of wrong decisions among the surest films, here and at home."""

    def draw(axes: Axes, finding: str, colour: str) -> None:
        own = table[table["finding"] == finding]
        for hospital, line in (("here", "-"), ("home", ":")):
            part = own[own["hospital"] == hospital]
            if len(part):
                axes.plot(part["coverage"], part["wrong"], color=colour, linestyle=line, label=hospital)
        axes.set_ylim(0, None)

    findings = list(dict.fromkeys(table["finding"]))
    return _panels(findings, draw, style, xlabel="Share of films answered", ylabel="Share wrong")


@dressed
def abstaining(table: pd.DataFrame, *, style: Style = PAGE) -> Figure:
    """Coverage of the abstaining variant against both errors here, at each promised risk."""

    def draw(axes: Axes, finding: str, colour: str) -> None:
        own = table[table["finding"] == finding]
        for made, face in (("home", colour), ("here", "none")):
            part = own[own["made"] == made]
            for error, mark in (("missed", "o"), ("alarmed", "^")):
                label = f"{error}, promised {made}"
                axes.plot(
                    part["risk"], part[error], mark, color=colour, markerfacecolor=face, markersize=4.5, label=label
                )
        top = max(own["risk"].max(), own[["missed", "alarmed"]].max().max(), RISK)
        axes.plot([0, top], [0, top], color=style.ink, linestyle=":", linewidth=1, label="as promised")
        axes.set_xlim(0, None)
        axes.set_ylim(-0.005, None)

    findings = list(dict.fromkeys(table["finding"]))
    return _panels(findings, draw, style, xlabel="Promised, at most", ylabel="Found here")
