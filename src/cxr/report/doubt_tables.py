"""The report's tables of doubt: would another training say the same, what else scores depend on, heart size alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cxr.core.errors import counted
from cxr.evaluation.comparison import SAME
from cxr.report import table_notes
from cxr.report.page_tables import Cell, Table, change_notes, count, difference, findings_and_mean, number

NO_MEASUREMENT = (
    "No measurement, and for research only: on AP films, and of patients who lie, the heart is drawn too large; "
    "where fluid or a high diaphragm hides its side it comes out too small, or is missing; the thorax is taken as wide "
    "as the lungs' outline."
)


def flip_tables(measured: Mapping[str, Any] | None) -> list[Table]:
    """How often trainings decide otherwise, by finding and by distance to the threshold, from flips.json."""
    if not measured or "findings" not in measured:
        return []
    spread, bands = [], []
    for finding, values in {**measured["findings"], "Mean": measured["all"]}.items():
        cells = [number(values[key]) for key in ("flips", "not_unanimous", "coefficient_of_variation", "log_ratio")]
        auroc = values.get("auroc") or (None, None)
        cells += [number(auroc[0]), number(auroc[1])] if finding != "Mean" else [Cell(""), Cell("")]
        if finding != "Mean":
            cells += [number(values["expected"][size]) for size in ("1", "10")]
            cells.append(count(values["needed"]) if values["needed"] else Cell("more than 200"))
            shares = [number(band["flips"], faint=band["flips"] is None) for band in values["bands"]]
            of_films = [f"{band['films']:,} films" if band["films"] else "" for band in values["bands"]]
            bands.append(
                [Cell(finding), *(replace(share, below=films) for share, films in zip(shares, of_films, strict=True))]
            )
        spread.append([Cell(finding), *cells, *[Cell("")] * (9 - len(cells))])
    heads = "Finding|Flips|Not unanimous|Coefficient of variation|ln(highest / lowest)|Lowest AUROC|Highest AUROC"
    more = "Expected of 1 member|Of 10|Members for under 5 %"
    caption = f"{measured['trainings']} trainings on the same {measured['films']:,} films: do they say the same?"
    begins = [band["from"] for band in next(iter(measured["findings"].values()))["bands"]]
    ends = [f"to {end:g}" for end in begins[1:]] + ["and more"]
    names = [f"{begin:g} {end}" for begin, end in zip(begins, ends, strict=True)]
    few = ["n/a: fewer than ten films."]
    return [
        Table(caption, f"{heads}|{more}".split("|"), spread, foot=1),
        Table("Flips by distance of the film from the threshold, in logits", ["Finding", *names], bands, few),
    ]


def shortcut_tables(measured: Mapping[str, Any] | None, findings: Sequence[str]) -> list[Table]:
    """What scores depend on beside the findings, from shortcuts.json."""
    if not measured:
        return []
    tables = []
    probe = measured.get("source_probe", {})
    if "all films" in probe:
        rows, notes = [], []
        for name in ("all films", "none of the findings"):
            group = probe[name]
            rows.append([Cell(name.capitalize()), count(group["films"]), number(group["auroc"], group["interval"])])
            silent = f"without an interval: {group['no_interval']}" if group.get("no_interval") else ""
            notes += [f"{name.capitalize()}: {told}." for told in (group.get("reason"), silent) if told]
        hospitals = " or ".join(probe["hospitals"])
        tables.append(
            Table(f"Do the scores tell the hospital ({hospitals})?", ["Test films", "Films", "AUROC"], rows, notes)
        )
    if "corners" in measured:
        corners = measured["corners"]
        rows = []
        for name, values in findings_and_mean(corners, findings).items():
            auroc, moved = values["auroc"], corners["mean_change"].get(name)
            few = values.get("too_few") is True
            figures = (number(auroc[which], faint=few) for which in ("second", "first"))
            cells = [Cell(name), *figures, difference(auroc, few)]
            rows.append([*cells, Cell("") if moved is None else number(moved)])
        heads = ["Finding", "AUROC", "AUROC, corners blanked", "Difference", "Mean change of a probability"]
        caption = f"Corners blanked: the scores of {corners['changed']:,} of {corners['films']:,} test films move"
        tables.append(Table(caption, heads, rows, change_notes(corners, findings), foot=1))
    return tables


def heart_table(measured: Mapping[str, Any] | None) -> Table | None:
    """The cardiothoracic ratio alone beside the model, by view; ``measured``: heart_size of shortcuts.json."""
    if not measured:
        return None
    rows, notes = [], []
    for name, group in measured["groups"].items():
        name, few, ratio, change = _view(name), group["too_few"], group["ratio"], group["auroc"]
        own = (number(ratio["auroc"], ratio["interval"], faint=few), number(change["first"], faint=few))
        others = (number(group[key], faint=few) for key in ("median_with", "median_without", "spearman"))
        counts = (count(group["films"]), count(group["positives"]))
        rows.append([Cell(name), *counts, *own, difference(change, few), *others])
        silent = {"ratio": ratio["no_interval"], "change": change["no_interval"]}
        about = {
            "too_few": few,
            "ratio": ratio["auroc"],
            "change": change["difference"],
            "undefined": "not both classes among these films",
            "without_interval": {key: why for key, why in silent.items() if why not in (None, SAME)},
        }
        notes += [(name, note) for note in table_notes.of_row(about, {"ratio": "ratio alone", "change": "difference"})]
        if group["spearman"] is None:
            notes.append((name, "rank correlation n/a: all ratios, or all probabilities, are the same"))
    heads = "Test films|Films|Positives|AUROC, ratio alone|AUROC, model|Model minus ratio|Median ratio, labelled 1"
    more = "Median ratio, labelled 0|Rank correlation of both"
    lines = [*table_notes.grouped(notes), *_heart_notes(measured), NO_MEASUREMENT]
    caption = f"{measured['finding']}: the cardiothoracic ratio alone, and the model"
    return Table(caption, f"{heads}|{more}".split("|"), rows, lines)


def heart_lines(measured: Mapping[str, Any] | None) -> list[str]:
    """The same for the terminal."""
    if not measured:
        return []
    alone, model, few = [], [], []
    for name, group in measured["groups"].items():
        view = "" if name == "all films" else f"{name} "
        figure = number(group["ratio"]["auroc"], group["ratio"]["interval"])
        alone.append(f"{view}{figure.text}" + (f" ({figure.below})" if figure.below else ""))
        model.append(view + number(group["auroc"]["first"]).text)
        few += [name] if group["too_few"] else []
    films = counted(measured["films"] - sum(measured["without_ratio"].values()), "film")
    line = f"{measured['finding']} by the cardiothoracic ratio alone, AUROC on {films}: {', '.join(alone)}"
    told = f" (too few patients: {', '.join(few)})" if few else ""
    return [f"{line}; the model: {', '.join(model)}{told}", *(f"  {note}" for note in _heart_notes(measured))]


def _view(name: str) -> str:
    return name if name.isupper() else name.capitalize()


def _heart_notes(measured: Mapping[str, Any]) -> list[str]:
    """Which films have no ratio, and on which one ratio and model differ most."""
    notes, without = [], measured["without_ratio"]
    if without:
        reasons = ", ".join(f"{films:,} {reason}" for reason, films in without.items())
        notes.append(f"Without a ratio: {sum(without.values()):,} of {counted(measured['films'], 'film')} ({reasons}).")
    odd = measured["disagreement"]
    if odd:
        notes.append(
            f"Ratio and model differ most on {odd['image_id']}, labelled {odd['label']}: ratio {odd['ratio']:.2f} "
            f"({100 * odd['ratio_rank']:.0f} % of the films are not above it), probability {odd['probability']:.3f} "
            f"({100 * odd['probability_rank']:.0f} %)." + (f" Its lung mask: {odd['doubt']}." if odd["doubt"] else "")
        )
    return notes
