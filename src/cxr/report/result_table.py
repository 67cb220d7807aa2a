"""metrics.json -> the result table in the original's form: as a DataFrame, and as text for the terminal."""

from typing import Any

import pandas as pd

from cxr.core.errors import counted
from cxr.evaluation.figures import RANKINGS, RATES
from cxr.report import table_notes

ORIGINAL = {"Accuracy": "accuracy", "Precision": "precision", "Recall": "recall"}
TO_JUDGE = {"Prevalence": "prevalence", "Always-no accuracy": "always_no_accuracy"}
RANKED = {figure.column: figure.key for figure in RANKINGS if figure.column}
RESULT_COLUMNS = {
    **ORIGINAL,
    **TO_JUDGE,
    "AUROC": RANKED.pop("AUROC"),
    "95 % interval": "auroc_interval",
    **RANKED,
    **{figure.column: figure.key for figure in RATES if figure.column},
    "Films": "films",
    "Positives": "positives",
}
RATE_HEADS = (*ORIGINAL, *TO_JUDGE, *(figure.column for figure in RATES if figure.column))


def result_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """The result table in the original's form, then what it takes to judge it.

    Parameters
    ----------
    metrics : dict
        From `evaluate`, or one source of its ``by_source``.

    Returns
    -------
    table : DataFrame
        A row a finding, then Total (micro) and Mean (macro); NaN where not defined, with the reason in ``Notes``.
    """
    rows = list(metrics["findings"].items())
    rows += [("Total (micro)", metrics["total"]), ("Mean (macro)", metrics["macro"])]
    table = pd.DataFrame(
        [{"finding": name, **{head: values.get(key) for head, key in RESULT_COLUMNS.items()}} for name, values in rows]
    )
    table["95 % interval"] = [
        f"{limits[0]:.3f}-{limits[1]:.3f}" if isinstance(limits, list) else None for limits in table["95 % interval"]
    ]
    numbers = [head for head in RESULT_COLUMNS if head != "95 % interval"]
    notes = _notes(metrics)
    table["Notes"] = ["; ".join(note for row, note in notes if row == name) for name in table["finding"]]
    return table.astype(dict.fromkeys(numbers, float)).astype({"Films": "Int64", "Positives": "Int64"})


def result_text(metrics: dict[str, Any]) -> str:
    """The result table for a terminal: of all films and, where there are several kinds of labels, of each kind."""
    sources = metrics["protocol"]["sources"]
    if len(sources) == 1:
        (only,) = sources.items()
        return _text(metrics, f"{only[0]}: {counted(only[1], 'film')}")
    counts = ", ".join(f"{name} {films:,}" for name, films in sources.items())
    texts = [_text(metrics, f"All {counted(metrics['protocol']['films'], 'film')} pooled ({counts})")]
    texts += [_text(metrics["by_source"][name], f"{name}: {counted(films, 'film')}") for name, films in sources.items()]
    return "\n\n".join(texts)


def _text(block: dict[str, Any], title: str) -> str:
    table = result_table(block).drop(columns="Notes")
    cells, findings = table.astype(object), block["findings"]
    for head in table.columns[1:]:
        whole = head in ("Films", "Positives")
        for row, name in enumerate(table["finding"]):
            value = table[head].iloc[row]
            if pd.isna(value):
                applies = name in findings or head in RATE_HEADS or (name, head) == ("Mean (macro)", "95 % interval")
                cells.loc[row, head] = "n/a" if applies else ""
            elif head != "95 % interval":
                cells.loc[row, head] = f"{value:,}" if whole else f"{value:.3f}"
    cells = cells.rename(columns={"Always-no accuracy": "Always-no"})
    widths = [max(len(head), *cells[head].map(len)) for head in cells]
    lines = [list(cells.columns), *cells.to_numpy().tolist()]
    aligned = [
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    ]
    rule = "-" * len(aligned[0])
    last = 1 + len(findings)
    body = [title, aligned[0], rule, *aligned[1:last], rule, *aligned[last:]]
    notes = [f"* {note}" for note in table_notes.grouped(_notes(block))]
    return "\n".join([line.rstrip() for line in body] + notes)


def _notes(block: dict[str, Any]) -> list[tuple[str, str]]:
    """(Row, what is to be said of it): why a figure is n/a, what is not told from guessing, which films are counted,
    and where a threshold was not fitted on val films of the same hospital, or on too few."""
    titles = {key: head for head, key in RESULT_COLUMNS.items() if head not in ("95 % interval", "Films", "Positives")}
    notes = [("Total (micro)", note) for note in table_notes.of_counts(block)]
    for finding, values in block["findings"].items():
        if values["guessing"]:
            notes.append((finding, f"not told from guessing: {values['guessing']}"))
        notes += [(finding, note) for note in table_notes.of_row(values, titles, ("auroc",))]
        notes += [(finding, note) for note in table_notes.of_thresholds(values)]
    notes += [("Total (micro)", note) for note in table_notes.of_row(block["total"], titles)]
    macro = table_notes.mean_of(block)
    if macro["guessing"]:
        notes.append(("Mean (macro)", f"NOT TOLD FROM GUESSING: {macro['guessing']}"))
    return notes + [("Mean (macro)", note) for note in table_notes.of_row(macro, titles, ("auroc",))]
