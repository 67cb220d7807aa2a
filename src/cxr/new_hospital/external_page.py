"""The report on a new hospital as one HTML page: what was carried there, what to set anew, what may be promised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from cxr.evaluation import bootstrap
from cxr.new_hospital import external_charts, promises
from cxr.new_hospital.carried import Carried, Here
from cxr.new_hospital.disclosure import FEWEST
from cxr.new_hospital.refitting import CALIBRATION, DRAWS, FOLDS, SURE, WORTH
from cxr.report import curves, html_page, page_tables, table_notes
from cxr.report.page_tables import Cell, Table
from cxr.report.styles import as_svg

CAVEATS = (
    "Research use only. Not a medical device: do not use this to decide about a patient.",
    "Labels that come from reports are wrong for a share of the films; a promise is about the label, not the patient.",
    "Intervals are by patient and of these films; they do not cover the variance of training.",
    f"Refitting pays where it is better in {SURE:.0%} of the draws, for a hospital draws its patients once, and by "
    f"{WORTH:.0%} of what came or more on average.",
    "Draws of the same local patients overlap: the spread over draws is less than that between hospitals.",
)


@dataclass(frozen=True)
class Whole:
    """What only a report with all numbers has, and one of aggregates has not: metrics.json and the films it is of."""

    block: dict[str, Any]
    here: Here


def page(
    title: str, carried: Carried, shown: Mapping[str, pd.DataFrame], said: Mapping[str, list[str]],
    facts: Mapping[str, list[tuple[str, str]]], whole: Whole | None,
) -> str:  # fmt: skip
    """The report as HTML.

    Parameters
    ----------
    title : str
    carried : Carried
    shown : mapping of str to DataFrame
        The tables of `external_report.tables`, after `disclosure.hidden` where only aggregates may be shown.
    said : mapping of str to list of str
        From `external_report.sentences`.
    facts : mapping
        Title -> pairs of text.
    whole : Whole or None
        None: aggregates only.
    """
    findings = list(shown["as_came"]["finding"])
    content = {
        "title": title,
        "carried": carried.name,
        "notes": list(carried.notes),
        "caveats": CAVEATS,
        "said": said,
        "aggregates": whole is None,
        "fewest": FEWEST,
        "draws": DRAWS,
        "facts": facts,
        "tables": {name: table(shown) for name, table in TABLES.items()},
        "charts": _charts(shown),
        "whole": _whole(whole, findings) if whole else None,
    }
    return html_page.render("external.html.j2", content)


def _whole(whole: Whole, findings: Sequence[str]) -> dict[str, Any]:
    numbers = curves.numbers(whole.here.table)
    return {
        "roc": _svg(curves.roc(*numbers, whole.here.findings), "roc", "ROC curves of each finding"),
        "tables": [
            page_tables.all_figures(whole.block, findings),
            page_tables.calibration(whole.block, findings, "Calibration as it came"),
            *page_tables.operating_points(whole.block, findings, whole.here.table),
        ],
    }


def _charts(shown: Mapping[str, pd.DataFrame]) -> dict[str, Markup | None]:
    made = {
        "predictive_curves": (external_charts.predictive_values, [shown["predictive_curves"], shown["as_came"]]),
        "decision_curves": (external_charts.net_benefit, [shown["decision_curves"]]),
        "refits": (external_charts.refits, [shown["refits"]]),
        "abstaining": (external_charts.abstaining, [shown["abstaining"]]),
        "risk_coverage": (external_charts.risk_coverage, [shown["risk_coverage"]]),
    }
    return {
        name: _svg(draw(*arguments), name, " ".join(draw.__doc__.split())) if len(arguments[0]) else None
        for name, (draw, arguments) in made.items()
    }


def _svg(figure, key: str, label: str) -> Markup:
    return Markup(as_svg(figure, key, label))


def _number(value: Any, digits: int = 3, sign: bool = False, interval: tuple[Any, Any] | None = None) -> Cell:
    limits = None if interval is None or pd.isna(interval[0]) else interval
    return page_tables.number(None if pd.isna(value) else float(value), limits, digits, sign)


def _ranged(row: Any, key: str, sign: bool = False) -> Cell:
    return _number(row[key], sign=sign, interval=(row[f"{key}_low"], row[f"{key}_high"]))


def _count(value: Any) -> Cell:
    return Cell("n/a") if pd.isna(value) else page_tables.count(round(float(value)))


def _share(value: Any) -> Cell:
    return Cell("n/a") if pd.isna(value) else Cell(f"{value:.1%}", float(value))


def _as_came(shown: Mapping[str, pd.DataFrame]) -> Table:
    heads = "Finding|AUROC|Threshold|Sensitivity|Specificity|PPV|NPV|Films|With the finding|Patients with it"
    notes = []
    for _, row in shown["as_came"].iterrows():
        counts = row[["patients_with", "patients_without"]]
        few, silent = (
            None if counts.isna().any() else bootstrap.shortage_of(*map(int, counts), needed)
            for needed in (bootstrap.FEWEST, bootstrap.LEAST)
        )
        notes += [(row["finding"], table_notes.TOO_FEW)] if few else []
        notes += [(row["finding"], f"AUROC, intercept, slope without an interval: {silent}")] if silent else []
    rows = [
        [Cell(row["finding"]), _ranged(row, "auroc"), _number(row["threshold"], 4)]
        + [_ranged(row, key) for key in ("recall", "specificity", "precision", "negative_predictive_value")]
        + [_count(row[key]) for key in ("films", "positives", "patients_with")]
        for _, row in shown["as_came"].iterrows()
    ]
    caption = "With thresholds as they came, and 95 % intervals by patient"
    return Table(caption, heads.split("|"), rows, table_notes.grouped(notes))


def _shift(shown: Mapping[str, pd.DataFrame]) -> Table:
    heads = "Finding|Prevalence at home|Prevalence here|Expected here|Observed here|Intercept|Slope"
    rows = [
        [
            Cell(row["finding"]),
            *(_share(row[key]) for key in ("prevalence_home", "prevalence_here")),
            *(_count(row[key]) for key in ("expected", "observed")),
            *(_ranged(row, "intercept", sign=True), _ranged(row, "slope")),
        ]
        for _, row in shown["as_came"].iterrows()
    ]
    notes = [
        "Expected: sum of the probabilities, calibrated as they came. Intercept: what must be added to every logit for "
        "both to be equal; above 0, probabilities are too low. Slope below 1: they are too extreme."
    ]
    return Table("Prevalence there and here, and calibration in the large", heads.split("|"), rows, notes)


def _refits(shown: Mapping[str, pd.DataFrame]) -> Table:
    heads = "Finding|What|Patients labelled|Films|Positives|As it came|Refitted|Gain|Spread|Better|Too few to fit"
    rows = []
    for _, row in shown["refits"].iterrows():
        digits = 4 if row["figure"] == CALIBRATION else 3
        cells = [_number(abs(row[key]), digits) for key in ("came", "refitted")]
        cells += [_number(row["gain"], 4, sign=True), _number(row["spread"], 4), _share(row["better"])]
        counts = [_count(row[key]) for key in ("patients", "films", "positives")]
        rows.append([Cell(row["finding"]), Cell(row["figure"]), *counts, *cells, _share(row["kept"])])
    notes = [
        f"Means of {DRAWS} draws of local patients, tested on the other local patients, of whom there "
        f"are as many at least; all of them in {FOLDS} folds. Spread: standard deviation of "
        "the gain over the draws. Better: share of the draws. Too few to fit: share in which what came was kept."
    ]
    return Table("Refitted on local patients", heads.split("|"), rows, notes)


def _promises(shown: Mapping[str, pd.DataFrame]) -> Table:
    heads = "Finding|Promised|From patients|Threshold|Missed, by patient|Of films|A film a patient|Fate|Luck at home"
    rows = []
    for _, row in shown["promises"].reindex(columns=PROMISED).iterrows():
        missed = "n/a" if pd.isna(row["drawn"]) else f"{row['drawn_missed']:.0f} of {row['drawn']:,.0f}"
        below = "" if pd.isna(row["low"]) else f"{row['low']:.1%}–{row['high']:.1%} exact"
        luck = "n/a" if pd.isna(row["luck_low"]) else f"{row['luck_low']:.1%}–{row['luck_high']:.1%}"
        cells = [Cell(row["finding"]), Cell(row["made"]), _count(row["patients"]), _number(row["threshold"], 4)]
        cells += [_share(row["missed"]), _share(row["missed_of_films"]), Cell(missed, below=below)]
        rows.append([*cells, Cell(row["fate"]), Cell(luck)])
    notes = [
        f"At least {promises.patients_needed(promises.RISK)} patients with the finding are needed to promise "
        f"{promises.RISK:.0%}. Promised here: on half of the local patients, checked on the other half. Luck: a "
        "promise is the mean over calibrations; 95 % of thresholds made of so many patients miss such a share of "
        "patients at home."
    ]
    return Table(f"Misses at most {promises.RISK:.0%}: what became of it", heads.split("|"), rows, notes)


PROMISED = [
    "finding", "made", "patients", "threshold", "missed", "missed_of_films", "drawn", "drawn_missed", "low", "high",
    "luck_low", "luck_high", "fate",
]  # fmt: skip


def _abstaining(shown: Mapping[str, pd.DataFrame]) -> Table:
    heads = "Finding|Promised|Each error at most|Coverage|Missed|False alarms|Wrong, of the answered|Left to a reader"
    rows = [
        [Cell(row["finding"]), Cell(row["made"]), _share(row["risk"])]
        + [_share(row[key]) for key in ("coverage", "missed", "alarmed", "wrong")]
        + [_count(row["left"])]
        for _, row in shown["abstaining"].iterrows()
    ]
    notes = [
        "Missed, false alarms: mean shares over patients. A row is missing where too few patients could promise it."
    ]
    return Table("Yes, no, or left to a reader", heads.split("|"), rows, notes)


TABLES = {
    "as_came": _as_came,
    "shift": _shift,
    "refits": _refits,
    "promises": _promises,
    "abstaining": _abstaining,
}


def as_records(shown: Mapping[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """The tables for external.json: not known is None."""
    return {
        name: table.astype(object).where(table.notna(), None).replace({np.nan: None}).to_dict("records")
        for name, table in shown.items()
    }
