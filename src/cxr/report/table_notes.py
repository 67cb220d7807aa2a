"""What stands below a table of figures: why one is n/a or has no interval, which are of too few patients or exact."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxr.evaluation.bootstrap import FEWEST, too_few
from cxr.evaluation.figures import RANKINGS
from cxr.evaluation.metrics import CHANCE, FIGURES
from cxr.evaluation.source_fits import POOLED
from cxr.evaluation.thresholds import UNFITTED_THRESHOLD, why_undefined

UNDEFINED = {figure.key: figure.undefined for figure in FIGURES} | {"in_the_large": "no film with a known label"}
VAL_LOW = "val_low"  # column of log.csv: where the 95 % interval of the mean AUROC on val begins
RANKED = {figure.key for figure in RANKINGS}
FEW = "too few"
MARK = f"{FEW}: fewer than {FEWEST} patients"
TOO_FEW = f"{MARK} with, or without, the finding"
EXACT = (
    "exact: Clopper and Pearson's interval, by films, where resampling patients says nothing (all or none right) or "
    f"fewer than {FEWEST} patients are counted"
)


def grouped(notes: Iterable[tuple[str, str]]) -> list[str]:
    """Notes (name of a row, what is to be said of it) as sentences, rows of the same note together."""
    together: dict[str, list[str]] = {}
    for name, note in notes:
        together.setdefault(note, []).append(name)
    return [f"{', '.join(names)}: {note}." for note, names in together.items()]


def as_text(table: pd.DataFrame) -> str:
    """A table for a terminal, its figures rounded as the page's are: ``round`` would make other ones of some halves."""
    return table.to_string(float_format="{:.3f}".format, na_rep="n/a")


def of_row(values: Mapping[str, Any], titles: Mapping[str, str], intervals: Collection[str] | None = None) -> list[str]:
    """What is to be said of one finding of metrics.json, or of the mean, in a table of some figures.

    Parameters
    ----------
    values : mapping
        A finding's part of a block, a group's, the total or `mean_of`. ``few_of``, ``undefined``: what is said instead
        of `TOO_FEW`, and of why a figure is n/a, where it is none of metrics.json.
    titles : mapping
        Key of a figure that is shown -> its name there.
    intervals : collection of str, optional
        Keys of those that are shown with their interval; else all are.
    """
    few, notes = values.get("too_few"), []  # of the mean: the findings that are
    if few is True:
        notes.append(values.get("few_of", TOO_FEW))
    elif few:
        notes.append(f"mean over findings of too few patients too ({', '.join(few)})")
    reasons: dict[str, list[str]] = {}
    for key, title in titles.items():
        if key not in values:
            continue
        if values[key] is None:
            own = values.get("undefined") or (values.get("reason") if key in RANKED else None)
            why = "not defined for any finding" if "auroc_over" in values else own or UNDEFINED[key]
            reasons.setdefault(f"n/a: {why}", []).append(title)
        elif key in values.get("without_interval", ()) and key in (intervals or titles):
            reasons.setdefault(f"without an interval: {values['without_interval'][key]}", []).append(title)
        over = sum(_is_defined(part.get(key)) for part in values.get("parts", ()))
        if 0 < over < len(values.get("parts", ())):
            reasons.setdefault(f"over {over} of {len(values['parts'])} findings", []).append(title)
    notes += [f"{', '.join(names)} {reason}" for reason, names in reasons.items()]
    return notes


def mean_of(block: Mapping[str, Any]) -> dict[str, Any]:
    """The mean of a block of metrics.json, or of `comparison.paired`, with the ``parts`` it is of, for `of_row`."""
    return {**block["macro"], "parts": list(block["findings"].values())}


def _is_defined(value: Any) -> bool:
    return (value["difference"] if isinstance(value, Mapping) else value) is not None


def of_labels(truth: np.ndarray, patients: np.ndarray, findings: Sequence[str]) -> dict[str, str]:
    """What a legend says of each finding: why it has no curve, or `FEW` where that is of too few patients, or "".

    Parameters
    ----------
    truth : array of shape (N, F)
        1, 0 or NaN = not known.
    patients : array of shape (N,)
    findings : sequence of F str
    """
    return {
        finding: f"n/a ({reason})" if (reason := why_undefined(labels)) else FEW if too_few(labels, patients) else ""
        for finding, labels in zip(findings, truth.T, strict=True)
    }


def of_val(low: float | None) -> str:
    """What is to be said of the best epoch where `VAL_LOW` does not tell it from guessing; "" where it does."""
    if low is None or np.isnan(low):
        return "Whether it has learned is NOT KNOWN: val has too few patients for an interval of the AUROC"
    if low > CHANCE:
        return ""
    return f"NOT TOLD FROM GUESSING: on val the mean AUROC's interval begins at {low:.3f}, at or below 0.5"


def of_thresholds(values: Mapping[str, Any]) -> list[str]:
    """What is to be said of the thresholds of one finding of metrics.json: of which films, and of how few."""
    notes = []
    for name, origin in values["threshold_fitted_on"].items():
        few = values.get("threshold_few", {}).get(name)
        where = f"threshold on films of {name}"
        if origin == "nothing":
            notes.append(f"{where}: {UNFITTED_THRESHOLD}, for val does not hold both classes")
            continue
        if origin == POOLED:
            notes.append(f"{where}: the pooled one, for val does not hold both classes of them")
        if few:
            notes.append(f"{where}: {fitted_on_few(few)}")
    return notes


def of_all_thresholds(block: Mapping[str, Any]) -> list[str]:
    """`of_thresholds` of every finding of a block of metrics.json, as sentences."""
    return grouped((name, note) for name, values in block["findings"].items() for note in of_thresholds(values))


def of_weights(thresholds: Mapping[str, Any]) -> list[str]:
    """What thresholds.json says of members' weights, a line a finding; empty where all count alike."""
    notes = []
    for finding, fit in thresholds.get("ensemble", {}).get("findings", {}).items():
        told = f"all alike: {fit['reason']}" if fit["weights"] is None else ""
        told = told or ", ".join(f"{member} {weight:.2f}" for member, weight in fit["weights"].items())
        notes.append(f"members' weights, fitted on val, {finding}: {told}")
    return notes


def fitted_on_few(few: str) -> str:
    """What is said of a fit whose films are of too few patients; ``few``: from `cxr.evaluation.bootstrap.shortage`."""
    return f"fitted on {few}: too few"


def of_rows(rows: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]) -> list[str]:
    """`of_row` of every row, and what "exact" beside an interval means where one is."""
    notes = grouped((name, note) for name, values in rows.items() for note in of_row(values, titles))
    exact = any(set(values.get("exact_intervals", ())) & set(titles) for values in rows.values())
    return [*notes, *([f"{EXACT[0].upper()}{EXACT[1:]}."] if exact else [])]


def of_counts(block: Mapping[str, Any]) -> list[str]:
    """What films a table counts, where its findings and its total count different ones."""
    total, findings = block["total"], block["findings"].values()
    if sum(values["films"] for values in findings) > total["cells"]:
        return [
            f"Total, and all figures but AUROC and average precision: on the {total['films']:,} films that nothing was "
            "fitted on. AUROC, average precision and a finding's Films and Positives: on all films with a known label"
        ]
    if any(values["films"] != total["films"] for values in findings):
        return ["a finding's Films are those whose label is known, Total's are all"]
    return []
