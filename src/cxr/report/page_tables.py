"""The tables of the HTML report, as rows of cells: what is shown, what it is sorted by, what stands small below."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cxr.evaluation.figures import RANKINGS, SHARES
from cxr.evaluation.metrics import FIGURES
from cxr.evaluation.operating_points import POINTS
from cxr.evaluation.source_fits import POOLED


@dataclass(frozen=True)
class Cell:
    """text: shown. value: what it is sorted by. below: small, such as an interval. faint: not defined, or too few."""

    text: str
    value: float | None = None
    below: str = ""
    faint: bool = False


@dataclass(frozen=True)
class Table:
    """A caption, heads, rows of cells whose first one names the row; the last ``foot`` rows stay where they are."""

    caption: str
    heads: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)
    foot: int = 0


def number(value: float | None, interval=None, digits: int = 3, sign: bool = False, faint: bool = False) -> Cell:
    """A figure with its interval below; n/a where it is None."""
    if value is None:
        return Cell("n/a", faint=True)

    def text(one: float) -> str:
        return f"{one:{'+' if sign else ''}.{digits}f}".replace("-", "−")

    below = f"{text(interval[0])} {'to' if sign else '–'} {text(interval[1])}" if interval else ""
    return Cell(text(value), value, below, faint)


def count(value: int | None) -> Cell:
    return Cell("") if value is None else Cell(f"{value:,}", value)


def original_form(block: dict[str, Any], caption: str, findings: Sequence[str], decided: int) -> Table:
    """The original's table (accuracy, precision, recall), with what it takes to judge it."""
    heads = "Finding|Accuracy|Precision|Recall|Prevalence|Always-no accuracy|AUROC|Average precision|Films|Positives"
    keys = ("accuracy", "precision", "recall", "prevalence", "always_no_accuracy")
    rows = []
    for finding in findings:
        values = block["findings"][finding]
        rows.append(
            [Cell(finding), *(number(values[key]) for key in keys)]
            + [number(values[key], values[f"{key}_interval"]) for key in ("auroc", "average_precision")]
            + [count(values["films"]), count(values["positives"])]
        )
    total, macro = block["total"], block["macro"]
    ends = [Cell(""), Cell("")]
    counts = [count(total["films"]), count(total["positives"])]
    means = [number(macro[key], macro[f"{key}_interval"]) for key in ("auroc", "average_precision")]
    rows.append([Cell("Total (micro)"), *(number(total[key]) for key in keys), *ends, *counts])
    rows.append([Cell("Mean (macro)"), *(number(macro[key]) for key in keys), *means, *ends])
    notes = [
        f"{finding}: AUROC and average precision n/a: {block['findings'][finding]['reason']}."
        for finding in findings
        if "reason" in block["findings"][finding]
    ]
    if any(block["findings"][finding]["films"] > decided for finding in findings):
        notes.append(f"Accuracy to always-no accuracy: on the {decided:,} films that nothing was fitted on.")
    return Table(caption, heads.split("|"), rows, notes, foot=2)


def all_figures(block: dict[str, Any], findings: Sequence[str]) -> Table:
    """Every figure with its interval."""
    keys = {figure.title: figure.key for figure in FIGURES if figure not in SHARES}
    rows = [
        [Cell(finding), *(number(values[key], values[f"{key}_interval"]) for key in keys.values())]
        for finding, values in ((finding, block["findings"][finding]) for finding in findings)
    ]
    macro = block["macro"]
    rows.append([Cell("Mean (macro)"), *(number(macro[key], macro.get(f"{key}_interval")) for key in keys.values())])
    dropped = {finding: block["findings"][finding]["replicates_dropped"] for finding in findings}
    notes = [
        f"{finding}: {n:,} of the resamples had not both classes and were dropped."
        for finding, n in dropped.items()
        if n
    ]
    return Table("Every figure, with its 95 % interval by patient", ["Finding", *keys], rows, notes, foot=1)


def models(blocks: Mapping[str, dict[str, Any]], findings: Sequence[str]) -> Table:
    """AUROC of every model, a column each finding."""
    rows = []
    for name, block in blocks.items():
        cells = [block["findings"][finding] for finding in findings] + [block["macro"]]
        rows.append([Cell(name), *(number(values["auroc"], values["auroc_interval"]) for values in cells)])
    return Table("AUROC of each model", ["Model", *findings, "Mean"], rows)


def differences(compared: Sequence[dict[str, Any]], findings: Sequence[str]) -> list[Table]:
    """Paired differences of AUROC and average precision, a table for each pair of models."""
    found = []
    for pair in compared:
        rows = []
        values = {**{finding: pair["findings"][finding] for finding in findings}, "Mean (macro)": pair["macro"]}
        for name, one in values.items():
            cells = [Cell(name)]
            for figure in RANKINGS:
                change = one[figure.key]
                cells += [number(change["first"]), number(change["second"])]
                cells.append(number(change["difference"], change["interval"], sign=True))
            rows.append(cells)
        caption = f"{pair['first']} minus {pair['second']}: {pair['films']:,} films, {pair['patients']:,} patients"
        heads = ["Finding"] + [
            f"{figure.column}{what}" for figure in RANKINGS for what in (", first", ", second", ", difference")
        ]
        found.append(Table(caption, heads, rows, pair.get("notes", []), foot=1))
    return found


def calibration(block: dict[str, Any], findings: Sequence[str], caption: str) -> Table:
    """Calibration before and after what was fitted on val."""
    heads = ["Finding", "Prevalence"]
    for when in ("before", "after"):
        heads += [f"Mean probability, {when}", f"In the large, {when}", f"Error, {when}", f"Brier, {when}"]
    rows = []
    for finding in findings:
        values = block["findings"][finding]["calibration"]
        cells = [Cell(finding), number((values["before"] or {}).get("prevalence"))]
        for when in ("before", "after"):
            one = values[when] or {}
            cells.append(number(one.get("mean_probability")))
            cells.append(number(one.get("in_the_large"), one.get("in_the_large_interval"), sign=True))
            for key in ("expected_calibration_error", "brier"):
                cells.append(number(one.get(key), one.get(f"{key}_interval")))
        rows.append(cells)
    return Table(caption, heads, rows)


def prevalences(thresholds: dict[str, Any], block: dict[str, Any], findings: Sequence[str]) -> Table:
    """Prevalence of val and of test side by side: a threshold carries the one it was fitted on."""
    hospitals = sorted({name for f in findings for name in thresholds["findings"][f] if name != POOLED})
    test = {source: one for source, one in block["by_source"].items()}
    heads = ["Finding", *(f"val, {name}" for name in hospitals), *(f"test, {name}" for name in test)]
    rows = []
    for finding in findings:
        fitted = thresholds["findings"][finding]
        cells = [_prevalence(fitted.get(name, {})) for name in hospitals]
        cells += [_prevalence(one["findings"][finding]) for one in test.values()]
        rows.append([Cell(finding), *cells])
    return Table("Prevalence of val and test", heads, rows)


def _prevalence(values: dict[str, Any]) -> Cell:
    """Of what was fitted on or, of test, of the films that were decided on."""
    films, positives = values.get("films", 0), values.get("positives", 0)
    if "true_positives" in values:
        positives = values["true_positives"] + values["false_negatives"]
        films = positives + values["false_positives"] + values["true_negatives"]
    if not films:
        return Cell("n/a", faint=True)
    return Cell(f"{positives / films:.3f}", positives / films, f"{positives:,} of {films:,}")


def operating_points(block: dict[str, Any], findings: Sequence[str]) -> list[Table]:
    """What the four operating points of val are worth on test."""
    found = []
    for point, meaning in POINTS.items():
        rows = []
        for finding in findings:
            values = block["findings"][finding]["operating_points"].get(point)
            if values is None:
                continue
            limits = [f"{name} {limit:.3f}" for name, limit in values["threshold"].items()]
            unfitted = any(origin in (POOLED, "nothing") for origin in values["fitted_on"].values())
            keys = ("recall", "specificity", "precision", "negative_predictive_value", "f1", "balanced_accuracy")
            note = "not fitted on val films of this source" if unfitted else ""
            rows.append([Cell(finding), Cell(", ".join(limits), None, note), *(number(values[key]) for key in keys)])
        heads = "Finding|Threshold|Sensitivity|Specificity|PPV|NPV|F1|Balanced accuracy".split("|")
        if rows:
            found.append(Table(f"{meaning[0].upper()}{meaning[1:]}, on val", heads, rows))
    return found


def subgroups(block: dict[str, Any], findings: Sequence[str]) -> list[Table]:
    """AUROC by group of films, a table a grouping; and the gaps of view and sex."""
    found = []
    for grouping, values in block.get("subgroups", {}).items():
        if len(values["groups"]) < 2:
            continue
        rows = []
        for name, group in values["groups"].items():
            cells = [Cell(name), count(group["films"]), count(group["patients"])]
            for finding in findings:
                one = group["findings"][finding]
                cells.append(number(one["auroc"], one["auroc_interval"], faint=one["too_few"]))
            cells.append(number(group["macro"]["auroc"], group["macro"]["auroc_interval"]))
            rows.append(cells)
        foot = 0
        if "gap" in values:
            gap, foot = values["gap"], 1
            cells = [Cell(f"{gap['first']} minus {gap['second']}"), Cell(""), Cell("")]
            for finding in findings:
                one = gap["findings"][finding]
                cells.append(number(one["difference"], one["interval"], sign=True, faint=one["too_few"]))
            rows.append([*cells, Cell("")])
        heads = ["Group", "Films", "Patients", *findings, "Mean"]
        found.append(Table(f"AUROC by {grouping}", heads, rows, foot=foot))
    return found
