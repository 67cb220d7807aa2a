"""The report's tables of what to trust: maps, on blanked films, without learned weights; detection."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.parameters import METHOD_NAMES
from cxr.evaluation.randomisation import FEWEST_PLACES
from cxr.maps.detection_scores import BESIDE, KNOW_NOTHING, MEAN_BOX, WITH_INTERVAL
from cxr.maps.faithfulness import AREAS, DIFFERENCES
from cxr.maps.localisation import ALWAYS_BESIDE, THRESHOLDS
from cxr.maps.map_scores import MEAN
from cxr.report import table_notes
from cxr.report.page_tables import Cell, Table, count, number, with_interval

JUDGED_BY = "ap_iou_0.3"
TITLES = "AP, IoU > 0.1|AP, IoU > 0.3|AP, IoU > 0.5|AP, IoBB > 0.5|FROC score|Sensitivity at 1 false box".split("|")
DETECTION = dict(zip((*WITH_INTERVAL, "sensitivity_at_1"), TITLES, strict=True))  # column of the CSV -> head
BOXED = f"{table_notes.MARK} with a known box"
DETECTED = f"{BOXED}, or without the finding"
BLANKED = f"{table_notes.MARK} with such a film"
NO_MASK = "no lung mask of these films was accepted"
NO_MEAN_BOX = "val has no known box of it, or of one of the findings"
NOT_CALLED = "no test film has it and is called"


def map_tables(scores: pd.DataFrame, family: str, method: str) -> list[Table]:
    """Maps against known boxes.

    Parameters
    ----------
    scores : DataFrame
        map_scores.csv.
    family, method : str
        Whose maps the tables by finding show (the only member, where a family has one), and MAP_METHOD.
    """
    return [
        _over_findings(scores),
        _by_finding(scores, family, "hit", "Hit rate: the hottest point lies in a known box"),
        _by_finding(scores, family, "iou", "IoU of the best detected box with a known one"),
        *(_wang(scores, family, method, name) for name in ("iobb", "iou")),
    ]


def _over_findings(scores: pd.DataFrame) -> Table:
    keys = ("hit", "iou", "iobb_0.1", "iobb_0.1_false", "iobb_0.5", "iou_0.1", "iou_0.5", "in_lungs", "lungs_area")
    rows, means = [], scores[scores["finding"] == MEAN]
    for row in means.to_dict("records"):
        beside = row["method"] in ALWAYS_BESIDE
        name = row["method"] if beside else f"{row['network']}, {METHOD_NAMES[row['method']]}"
        rows.append(
            [
                Cell(name, faint=beside),
                count(row["films"]),
                *(number(_known(row[key]), faint=_is_few(row)) for key in keys),
            ]
        )
    heads = (
        "Maps|Films|Hit rate|IoU|IoBB > 0.1|False boxes a film|IoBB > 0.5|IoU > 0.1|IoU > 0.5|In the lungs|Lungs' area"
    )
    caption = "Maps against known boxes, mean over the findings that have any"
    titles = dict(zip(keys, heads.split("|")[2:], strict=True))
    return Table(caption, heads.split("|"), rows, [*_few_in_mean(scores), *_notes(means, titles, undefined=NO_MASK)])


def detection_tables(scores: pd.DataFrame, network: str) -> list[Table]:
    """Detection: the mean over the findings, each finding of one network, and that beside what knows nothing.

    Parameters
    ----------
    scores : DataFrame
        detection_scores.csv.
    network : str
        Whose boxes the last two tables are of.
    """
    over, means, by_finding, beside, without = [], {}, [], [], []
    of_finding = scores.set_index(["finding", "method"])[JUDGED_BY]
    for row in scores.to_dict("records"):
        counts = [count(row[key]) for key in ("films", "boxes", "detected")]
        cells = [*counts, *(_interval(row, key) for key in DETECTION)]
        if row["finding"] == MEAN:
            knows = row["network"] == "none"
            name = row["method"] if knows else row["network"]
            over.append([Cell(name, faint=knows), *cells])
            means[name] = _values(row, DETECTION) | {"too_few": None}
        elif row["network"] == network:
            by_finding.append([Cell(row["finding"]), *cells])
        if row["network"] == network:
            others = {name: _known(of_finding.get((row["finding"], name), np.nan)) for name in BESIDE}
            figures = [number(other, faint=_is_few(row)) for other in others.values()]
            beside.append([Cell(_name(row["finding"])), _interval(row, JUDGED_BY), *figures])
            without += [(_name(row["finding"]), f"{MEAN_BOX} n/a: {NO_MEAN_BOX}")] if others[MEAN_BOX] is None else []
    own = scores[(scores["network"] == network) & (scores["finding"] != MEAN)]
    heads = ["Films", "Known boxes", "Detected boxes", *DETECTION.values()]
    names = [name.capitalize() for name in BESIDE]
    notes = [*_few_in_mean(own), *table_notes.of_rows(means, DETECTION)]
    caption = f"Average precision at IoU > 0.3 of {network}, and of what stands beside it"
    return [
        Table("Detection, mean over the findings that have boxes", ["Boxes", *heads], over, notes),
        Table(f"Detection by finding ({network})", ["Finding", *heads], by_finding, _notes(own, DETECTION, DETECTED)),
        Table(
            caption,
            ["Finding", network, *names],
            beside,
            [*no_better(scores, network), *table_notes.grouped(without)],
            foot=1,
        ),
    ]


def no_better(scores: pd.DataFrame, network: str) -> list[str]:
    """Where a network's boxes are no better than those that know nothing of the place, in sentences."""
    own, lines = scores[scores["network"] == network].set_index("finding"), []
    for name in KNOW_NOTHING:
        other = scores[scores["method"] == name].set_index("finding")[JUDGED_BY]
        judged = own.loc[own.index.isin(other.index)]
        other = other[judged.index]
        worse = judged.index[judged[JUDGED_BY] <= other]
        unsure = judged.index[(judged[JUDGED_BY] > other) & (judged[f"{JUDGED_BY}_low"] <= other)]
        if len(worse):
            lines.append(f"No better than the {name}: {', '.join(worse)}.")
        if len(unsure):
            lines.append(f"Above the {name}, but not with the whole interval: {', '.join(unsure)}.")
    return lines


def _interval(row: Mapping[str, Any], key: str, sign: bool = False) -> Cell:
    return with_interval(_values(row, [key]), key, sign=sign)


def _values(row: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Figures of a row of a CSV table in the form of metrics.json, for cells and notes alike."""
    values = {"too_few": _is_few(row), "exact_intervals": [], "without_interval": {}}
    for key in keys:
        values[key] = _known(row[key])
        if f"{key}_low" in row:
            limits = [_known(row[f"{key}_{end}"]) for end in ("low", "high")]
            values[f"{key}_interval"] = None if None in limits else limits
            # The mean over findings of map_scores.csv has no interval at all.
            if None in limits and isinstance(row["no_interval"], str):
                values["without_interval"][key] = row["no_interval"]
        if row.get(f"{key}_exact") is True:
            values["exact_intervals"].append(key)
    return values


def _name(finding: str) -> str:
    return "Mean" if finding == MEAN else finding


def _is_few(row: Mapping[str, Any]) -> bool:
    """Of a mean: whether a finding is; `_few_in_mean` says which."""
    return bool(row["too_few"])


def _notes(table: pd.DataFrame, titles: Mapping[str, str], few: str = BOXED, undefined: str = "") -> list[str]:
    """What is to be said of the rows of a CSV table, by finding."""
    said = {"few_of": few, "undefined": undefined}
    rows = {_name(row["finding"]): _values(row, titles) | said for row in table.to_dict("records")}
    rows |= {"Mean": rows["Mean"] | {"too_few": None}} if "Mean" in rows else {}
    return table_notes.of_rows(rows, titles)


def _few_in_mean(table: pd.DataFrame) -> list[str]:
    few = table.loc[table["too_few"] & (table["finding"] != MEAN), "finding"].unique().tolist()
    return table_notes.grouped(("Mean", note) for note in table_notes.of_row({"too_few": few}, {}))


def _by_finding(scores: pd.DataFrame, family: str, figure: str, caption: str) -> Table:
    own = scores[scores["network"].isin([family, "none"]) & (scores["finding"] != MEAN)]
    methods = [method for method in METHOD_NAMES if (own["method"] == method).any()]
    by_finding, rows = {}, []
    for finding, of_finding in own.groupby("finding", sort=False):
        of_method = {row["method"]: row for row in of_finding.to_dict("records")}
        first = of_method[methods[0]]
        values = _values(first, []) | {"few_of": BOXED}
        for method in methods:
            of_map = _values(of_method[method], [figure])
            values |= {method: of_map[figure], f"{method}_interval": of_map[f"{figure}_interval"]}
            values["exact_intervals"] += [method] if of_map["exact_intervals"] else []
        none = [method for method in methods if values[f"{method}_interval"] is None]
        values["without_interval"] = dict.fromkeys(none, first["no_interval"])
        beside = [number(_known(of_method[name][figure]), faint=True) for name in ALWAYS_BESIDE]
        maps = [with_interval(values, method) for method in methods]
        rows.append([Cell(finding), count(int(first["films"])), *maps, *beside])
        by_finding[finding] = values
    names = {method: METHOD_NAMES[method] for method in methods}
    heads = ["Finding", "Films", *names.values(), *(name.capitalize() for name in ALWAYS_BESIDE)]
    return Table(f"{caption} ({family})", heads, rows, table_notes.of_rows(by_finding, names))


def _wang(scores: pd.DataFrame, family: str, method: str, overlap: str) -> Table:
    """Accuracy at every threshold of an overlap, false boxes a film small below (Wang 2017)."""
    own = scores[(scores["method"] == method) & (scores["finding"] != MEAN) & (scores["network"] == family)]
    rows = []
    for row in own.to_dict("records"):
        pairs = [(row[f"{overlap}_{limit}"], row[f"{overlap}_{limit}_false"]) for limit in THRESHOLDS]
        cells = [Cell(f"{value:.3f}", value, f"{false:.2f} false", _is_few(row)) for value, false in pairs]
        rows.append([Cell(row["finding"]), *cells])
    name = {"iobb": "IoBB", "iou": "IoU"}[overlap]
    heads = ["Finding", *(f"T({name}) {limit}" for limit in THRESHOLDS)]
    caption = f"Accuracy at T({name}), false boxes a film below: {METHOD_NAMES[method]}, {family}"
    return Table(caption, heads, rows, _notes(own, {}))


def randomisation_table(by_member: Mapping[str, pd.DataFrame], method: str) -> Table | None:
    """Correlation of maps with themselves once weights are shuffled, from each member's randomisation.csv."""
    own = {name: rows for name, table in by_member.items() if len(rows := table[table["method"] == method])}
    if not own:
        return None
    stages = [stage.replace("nothing, another", "Another") for stage in next(iter(own.values()))["shuffled"]]
    names = [stages[0], *(_stage(stage_number, len(stages) - 1) for stage_number in range(1, len(stages)))]
    rows = [
        [
            Cell(member),
            *(count(int(table[key].iloc[0])) for key in ("films", "places")),
            *(number(_known(value)) for value in table["correlation"]),
        ]
        for member, table in own.items()
    ]
    notes = table_notes.grouped(
        (member, f"n/a: {_why_uncorrelated(row)}")
        for member, table in own.items()
        for row in table[table["correlation"].isna()].to_dict("records")[:1]
    )
    heads = ["Member", "Films", "Cells of a map", *names]
    return Table("Weights shuffled: rank correlation of a map with itself before", heads, rows, notes)


def _why_uncorrelated(row: Mapping[str, Any]) -> str:
    """Why `cxr.evaluation.randomisation.mean_correlation` is not defined."""
    if row["places"] < FEWEST_PLACES:
        return f"a map has {row['places']} cells; ranks are compared of {FEWEST_PLACES} or more"
    if row["films"] < 2:
        return "of one film nothing is left once the mean map of the films is taken off"
    return "the maps compared are the same at every cell, or not finite"


def _stage(stage: int, last: int) -> str:
    if stage == 1:
        return "Last layer"
    return "All layers" if stage == last else f"Last {100 * (stage - 1) // (last - 1)} %"


def faithfulness_table(table: pd.DataFrame, method: str) -> Table:
    """Areas under the probability of a finding while its films are blanked, from faithfulness.csv."""
    rows = [
        [
            Cell(_name(row["finding"])),
            *(count(int(row[key])) for key in ("films", "patients")),
            *(number(_known(row[area]), faint=_is_few(row)) for area in AREAS),
            *(_interval(row, name, sign=True) for name in DIFFERENCES),
        ]
        for row in table.to_dict("records")
    ]
    heads = ["Finding", "Films", "Patients", "Deletion", "Insertion", "Random order"]
    heads += ["Deletion minus random", "Insertion minus random"]
    titles = dict(zip((*AREAS, *DIFFERENCES), heads[3:], strict=True))
    notes = [*_notes(table, titles, BLANKED, NOT_CALLED), *_few_in_mean(table)]
    return Table(f"Films blanked, the hottest places of {METHOD_NAMES[method]} first", heads, rows, notes, foot=1)


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
