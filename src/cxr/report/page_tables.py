"""The tables of the HTML report, as rows of cells: what is shown, what it is sorted by, what stands small below."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from cxr.evaluation import predictions
from cxr.evaluation.comparison import SAME
from cxr.evaluation.figures import RANKINGS, SHARES
from cxr.evaluation.metrics import FIGURES
from cxr.evaluation.operating_points import POINTS, SHOWN
from cxr.evaluation.source_fits import POOLED
from cxr.evaluation.thresholds import threshold_text
from cxr.report import table_notes


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

    def text(figure: float) -> str:
        return f"{figure:{'+' if sign else ''}.{digits}f}".replace("-", "−")

    between = "\u00a0to " if sign else "–"  # behind which a narrow page breaks it
    below = f"{text(interval[0])}{between}{text(interval[1])}" if interval else ""
    return Cell(text(value), value, below, faint)


def with_interval(values: Mapping[str, Any], key: str, sign: bool = False) -> Cell:
    """A figure of metrics.json, its interval below; faint where it, or a part of a mean, is of too few patients."""
    cell = number(values.get(key), values.get(f"{key}_interval"), sign=sign, faint=bool(values.get("too_few")))
    return replace(cell, below=f"{cell.below} exact") if key in values.get("exact_intervals", ()) else cell


def difference(values: Mapping[str, Any], few: bool = False) -> Cell:
    """A difference between two models or groups, its interval below; faint where it is of too few patients."""
    cell = number(values["difference"], values["interval"], sign=True, faint=few)
    return replace(cell, below=SAME) if values.get("no_interval") == SAME else cell


def count(value: int | None) -> Cell:
    return Cell("") if value is None else Cell(f"{value:,}", value)


def findings_and_mean(block: Mapping[str, Any], findings: Sequence[str]) -> dict[str, Any]:
    """Name of a row -> its part of a block: the findings, then the mean over them."""
    return {**{finding: block["findings"][finding] for finding in findings}, "Mean (macro)": table_notes.mean_of(block)}


def original_form(block: dict[str, Any], caption: str, findings: Sequence[str]) -> Table:
    """The original's table (accuracy, precision, recall), with what it takes to judge it."""
    heads = "Finding|Accuracy|Precision|Recall|Prevalence|Always-no accuracy|AUROC|Average precision|Films|Positives"
    keys = ("accuracy", "precision", "recall", "prevalence", "always_no_accuracy")
    rows = []
    named = findings_and_mean(block, findings)
    mean = named.popitem()
    named = dict([*named.items(), ("Total (micro)", block["total"]), mean])
    for name, values in named.items():
        rows.append(
            [Cell(name), *(number(values[key], faint=bool(values.get("too_few"))) for key in keys)]
            + [with_interval(values, key) if key in values else Cell("") for key in ("auroc", "average_precision")]
            + [count(values.get(key)) for key in ("films", "positives")]
        )
    titles = dict(zip((*keys, "auroc", "average_precision"), heads.split("|")[1:8], strict=True))
    ranked = titles.keys() - set(keys)
    notes = [f"{note}." for note in table_notes.of_counts(block)] + table_notes.grouped(
        (name, note) for name, values in named.items() for note in table_notes.of_row(values, titles, ranked)
    )
    notes += table_notes.of_all_thresholds(block)
    return Table(caption, heads.split("|"), rows, notes, foot=2)


def all_figures(block: dict[str, Any], findings: Sequence[str]) -> Table:
    """Every figure with its interval."""
    keys = {figure.title: figure.key for figure in FIGURES if figure not in SHARES}
    named = findings_and_mean(block, findings)
    rows = [[Cell(name), *(with_interval(values, key) for key in keys.values())] for name, values in named.items()]
    notes = table_notes.of_rows(named, {key: title for title, key in keys.items()}) + [
        f"{finding}: {dropped:,} of the resamples had not both classes and were dropped."
        for finding in findings
        if (dropped := block["findings"][finding]["replicates_dropped"])
    ]
    return Table("Every figure, with its 95 % interval by patient", ["Finding", *keys], rows, notes, foot=1)


def models(blocks: Mapping[str, dict[str, Any]], findings: Sequence[str]) -> Table:
    """AUROC of every model, a column each finding."""
    rows = [
        [Cell(name), *(with_interval(values, "auroc") for values in findings_and_mean(block, findings).values())]
        for name, block in blocks.items()
    ]
    notes = model_notes(blocks, findings, {"auroc": "AUROC"})
    return Table("AUROC of each model", ["Model", *findings, "Mean"], rows, notes)


def model_notes(blocks: Mapping[str, dict[str, Any]], findings: Sequence[str], titles: Mapping[str, str]) -> list[str]:
    """`table_notes.of_row` of some figures of several models, which are named where it is not said of all."""
    of_models: dict[tuple[str, str], list[str]] = {}
    for model, block in blocks.items():
        for name, values in findings_and_mean(block, findings).items():
            for note in table_notes.of_row(values, titles):
                of_models.setdefault((name, note), []).append(model)
    return table_notes.grouped(
        (name if len(whose) == len(blocks) else f"{name} ({', '.join(whose)})", note)
        for (name, note), whose in of_models.items()
    )


def differences(compared: Sequence[dict[str, Any]], findings: Sequence[str]) -> list[Table]:
    """Paired differences of AUROC and average precision, a table for each pair of models."""
    tables = []
    for pair in compared:
        rows = []
        for name, values in findings_and_mean(pair, findings).items():
            few = bool(values.get("too_few"))
            cells = [Cell(name)]
            for change in (values[figure.key] for figure in RANKINGS):
                cells += [*(number(change[key], faint=few) for key in ("first", "second")), difference(change, few)]
            rows.append(cells)
        caption = f"{pair['first']} minus {pair['second']}: {pair['films']:,} films, {pair['patients']:,} patients"
        names = (pair["first"], pair["second"], "difference")
        heads = ["Finding"] + [f"{figure.column}, {name}" for figure in RANKINGS for name in names]
        notes = change_notes(pair, findings)
        tables.append(Table(caption, heads, rows, [*pair.get("notes", []), *notes], foot=1))
    return tables


def change_notes(pair: Mapping[str, Any], findings: Sequence[str]) -> list[str]:
    """Why a paired difference is n/a or has no interval, and which are of too few patients."""
    notes = []
    for name, values in findings_and_mean(pair, findings).items():
        titles = {figure.key: figure.column for figure in RANKINGS}
        notes += [(name, note) for note in table_notes.of_row(values, titles)]
        changes = [values[figure.key] for figure in RANKINGS if figure.key in values]
        if changes[0]["difference"] is None:
            notes.append((name, "n/a: not both classes among these films"))
        reasons = dict.fromkeys(change.get("no_interval") for change in changes)
        notes += [
            (name, f"difference without an interval: {reason}") for reason in reasons if reason not in (None, SAME)
        ]
    return table_notes.grouped(notes)


def calibration(block: dict[str, Any], findings: Sequence[str], caption: str) -> Table:
    """Calibration before and after what was fitted on val."""
    heads = ["Finding", "Prevalence"]
    for when in ("before", "after"):
        heads += [f"Mean probability, {when}", f"In the large, {when}", f"Error, {when}", f"Brier, {when}"]
    titles = {"in_the_large": "in the large", "expected_calibration_error": "error", "brier": "Brier"}
    rows, notes = [], []
    for finding in findings:
        values, few = block["findings"][finding]["calibration"], block["findings"][finding]["too_few"]
        if values.get("reason"):
            notes.append((finding, f"not calibrated: {values['reason']}"))
        notes += [
            (finding, f"calibration on films of {name}: {table_notes.fitted_on_few(told)}")
            for name, told in values.get("few", {}).items()
        ]
        notes += [(finding, note) for note in table_notes.of_row({**(values["before"] or {}), "too_few": few}, titles)]
        cells = [Cell(finding), number((values["before"] or {}).get("prevalence"), faint=few)]
        for when in ("before", "after"):
            measured = {**(values[when] or {}), "too_few": few}
            cells += [number(measured.get("mean_probability"), faint=few)]
            cells += [with_interval(measured, key, sign=key == "in_the_large") for key in titles]
        rows.append(cells)
    return Table(caption, heads, rows, table_notes.grouped(notes))


def prevalences(thresholds: dict[str, Any], block: dict[str, Any], findings: Sequence[str]) -> Table:
    """Prevalence of val and of test side by side: a threshold carries the one it was fitted on."""
    hospitals = sorted({name for f in findings for name in thresholds["findings"][f] if name != POOLED})
    test = block["by_source"]
    heads = ["Finding", *(f"val, {name}" for name in hospitals), *(f"test, {name}" for name in test)]
    rows = []
    for finding in findings:
        fitted = thresholds["findings"][finding]
        cells = [_prevalence(fitted.get(name, {})) for name in hospitals]
        cells += [_prevalence(of_source["findings"][finding]) for of_source in test.values()]
        rows.append([Cell(finding), *cells])
    notes = ["n/a: no film with a known label."] if any(cell.text == "n/a" for row in rows for cell in row) else []
    notes += table_notes.grouped(
        (f, note) for f in findings for note in table_notes.of_thresholds(block["findings"][f])
    )
    return Table("Prevalence of val and test", heads, rows, notes)


def _prevalence(values: dict[str, Any]) -> Cell:
    """Of what was fitted on or, of test, of the films that were decided on."""
    films, positives = values.get("films", 0), values.get("positives", 0)
    if "true_positives" in values:
        positives = values["true_positives"] + values["false_negatives"]
        films = positives + values["false_positives"] + values["true_negatives"]
    if not films:
        return Cell("n/a", faint=True)
    return Cell(f"{positives / films:.3f}", positives / films, f"{positives:,} of {films:,}")


def operating_points(block: dict[str, Any], findings: Sequence[str], films: pd.DataFrame) -> list[Table]:
    """What the four operating points of val are worth on test, whose predictions table is ``films``."""
    sources = predictions.source(films)
    tables = []
    heads = "Finding|Threshold|Sensitivity|Specificity|PPV|NPV|F1|Balanced accuracy".split("|")
    for point, meaning in POINTS.items():
        rows, shown = [], {}
        for finding in findings:
            of_finding = block["findings"][finding]
            values = of_finding["operating_points"].get(point)
            if values is None:
                continue
            scores = films[f"{finding}_prob"]
            limits = [
                f"{name} {threshold_text(limit, scores[sources == name])}"
                for name, limit in values["threshold"].items()
            ]
            unfitted = any(origin in (POOLED, "nothing") for origin in values["fitted_on"].values())
            own = ["not fitted on val films of this source"] if unfitted else []
            own += [
                table_notes.fitted_on_few(told) for told in dict.fromkeys(of_finding.get("threshold_few", {}).values())
            ]
            shown[finding] = {**values, "too_few": of_finding["too_few"]}
            cells = [number(values[key], faint=of_finding["too_few"]) for key in SHOWN]
            rows.append([Cell(finding), Cell(", ".join(limits), None, "; ".join(own)), *cells])
        if rows:
            notes = table_notes.of_rows(shown, dict(zip(SHOWN, heads[2:], strict=True)))
            tables.append(Table(f"{meaning[0].upper()}{meaning[1:]}, on val", heads, rows, notes))
    return tables


def subgroups(block: dict[str, Any], findings: Sequence[str]) -> list[Table]:
    """AUROC by group of films, a table a grouping; and the gaps of view and sex."""
    tables = []
    for grouping, values in block.get("subgroups", {}).items():
        if len(values["groups"]) < 2:
            continue
        rows, notes = [], []
        for name, group in values["groups"].items():
            measured = findings_and_mean(group, findings)
            cells = [with_interval(auroc, "auroc") for auroc in measured.values()]
            notes += [
                (f"{finding} ({name})", note)
                for finding, values in measured.items()
                for note in table_notes.of_row({**values, "too_few": None}, {"auroc": "AUROC"})  # grey says so
            ]
            rows.append([Cell(name), count(group["films"]), count(group["patients"]), *cells])
        gap = values.get("gap")
        if gap:
            gaps = [gap["findings"][finding] for finding in findings]
            cells = [difference(change, change["too_few"]) for change in gaps]
            name = f"{gap['first']} minus {gap['second']}"
            notes += [
                (f"{finding} ({name})", f"difference without an interval: {why}")
                for finding, change in zip(findings, gaps, strict=True)
                if (why := change.get("no_interval"))
            ]
            rows.append([Cell(name), Cell(""), Cell(""), *cells, Cell("")])
        heads = ["Group", "Films", "Patients", *findings, "Mean"]
        few = any(cell.faint and cell.value is not None for row in rows for cell in row)
        told = table_notes.grouped(notes) + (
            [f"Grey: {table_notes.TOO_FEW}; a mean, of a finding in it."] if few else []
        )
        tables.append(Table(f"AUROC by {grouping}", heads, rows, told, foot=1 if gap else 0))
    return tables
