"""What becomes of AUROC and decisions as films get worse, and in slices of the user's own: tables and one figure."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cxr.core.errors import InputError, hint
from cxr.evaluation import predictions
from cxr.evaluation.bootstrap import FEWEST
from cxr.evaluation.figures import RANKINGS
from cxr.evaluation.metrics import ranking
from cxr.evaluation.subgroups import UNKNOWN
from cxr.external.column_names import film_column
from cxr.external.label_tables import MEND, Labels
from cxr.new_hospital import disclosure
from cxr.new_hospital.corruptions import SETTINGS, STRENGTHS
from cxr.report.styles import PAGE, Style, dressed
from cxr.tables.raw_tables import read_raw_csv
from cxr.tables.sources.catalogue import name_films

MEAN = "mean"
KEPT = ("corruption", "strength", "setting", "finding", "films")
SLICE = (
    "by", "slice", "finding", "films", "patients", "positives", "auroc", "auroc_low", "auroc_high", "sensitivity",
    "specificity", "too_few", "reason",
)  # fmt: skip


def with_columns(labels: Labels, path: Path, columns: list[str]) -> Labels:
    """Labels with further columns of their file, by which films are sliced.

    Raises
    ------
    InputError
        The file has no such column.
    """
    raw = read_raw_csv(path, (), MEND)
    for column in columns:
        if column not in raw:
            columns = ", ".join(map(str, raw))
            raise InputError(f"{path}: --by {column}: no such column; it has {columns}.{hint(column, list(raw))}")
    own = [
        column for column in dict.fromkeys(columns) if column not in labels.table
    ]  # the rest was read with the labels
    extra = raw[own].assign(image_id=name_films(raw[film_column(raw, path)])[0]).drop_duplicates("image_id")
    return replace(labels, table=labels.table.merge(extra, on="image_id", how="left"))


def slices(known: pd.DataFrame, columns: list[str]) -> dict[str, np.ndarray]:
    """The group of every film by each column, as text, for `subgroups.evaluate`."""
    named = {column: known[column].astype("string").str.strip().fillna(UNKNOWN) for column in columns}
    return {column: values.mask(values == "", UNKNOWN).to_numpy(dtype=object) for column, values in named.items()}


def slice_table(evaluated: Mapping[str, Any], aggregates: bool = False) -> pd.DataFrame:
    """A row a slice and finding, from `subgroups.evaluate`; positives under ten are empty, ``too_few`` says why.

    aggregates: slices with a cell under ten have no row, nor has the next smallest where the whole would tell them.
    """
    rows = []
    for column, groups in evaluated.items():
        told = _told(groups["groups"]) if aggregates else None
        for name, block in groups["groups"].items():
            for finding, values in block["findings"].items():
                if told is not None and not told.at[name, finding]:
                    continue
                low, high = values["auroc_interval"] or (None, None)
                rows.append(
                    {
                        "by": column, "slice": name, "finding": finding, "films": values["films"],
                        "patients": block["patients"],
                        "positives": values["positives"] if values["positives"] >= FEWEST else None,
                        "auroc": values["auroc"], "auroc_low": low, "auroc_high": high,
                        "sensitivity": values["recall"], "specificity": values["specificity"],
                        "too_few": int(values["too_few"]), "reason": values.get("reason", ""),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows, columns=SLICE).astype({"positives": "Int64"})


def _told(groups: Mapping[str, Any]) -> pd.DataFrame:
    """Whether a slice may be told of a finding: `disclosure.shown`, a row a slice and a column a finding."""
    kept = {}
    for finding in next(iter(groups.values()))["findings"]:
        cells = []
        for block in groups.values():
            values = block["findings"][finding]
            positives, negatives = values["positives"], values["films"] - values["positives"]
            hits, rejections = (
                round((values[rate] or 0) * films)
                for rate, films in (("recall", positives), ("specificity", negatives))
            )
            of_patients = 0 if values["too_few"] else block["patients"]
            cells.append([of_patients, hits, positives - hits, rejections, negatives - rejections])
        kept[finding] = disclosure.shown(cells)
    return pd.DataFrame(kept, index=list(groups))


def aggregates(results: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """stress.csv without cells of fewer than ten films or patients, means over what is left.

    Parameters
    ----------
    results : DataFrame
        The rows of `compare`, with ``corruption`` and ``strength``.
    table : DataFrame
        Predictions of the films as they are, with the truth.
    """
    truth, findings = predictions.arrays(table)[0], predictions.findings_of(table)
    few = disclosure.small(disclosure.of_labels(truth, table["patient_id"], findings))
    whole = results["finding"] == MEAN
    hidden = disclosure.masked(results, results["finding"].map(few).fillna(False).astype(bool), KEPT)
    flipped = results["flips"] * results["films"]
    same = results["films"] - flipped
    hidden["flips"] = hidden["flips"].mask(np.minimum(flipped, same).round() < disclosure.FEWEST)
    # Films that became so poor that they are refused: the whole less those that are left.
    hidden["films"] = hidden["films"].mask(results["films"].between(len(table) - disclosure.FEWEST + 1, len(table) - 1))
    shown = hidden[~whole & ~hidden["finding"].map(few).eq(True)].groupby(["corruption", "strength"])
    means = shown[["auroc", "change"]].mean()
    means["flips"] = shown["flips"].agg(lambda shares: shares.mean(skipna=False))
    index = pd.MultiIndex.from_frame(hidden.loc[whole, ["corruption", "strength"]])
    hidden.loc[whole, means.columns] = means.reindex(index).to_numpy()
    return hidden


def compare(
    truth: np.ndarray, clean: tuple[np.ndarray, np.ndarray], worse: tuple[np.ndarray, np.ndarray], findings: list[str]
) -> list[dict[str, Any]]:
    """AUROC and flips of one corruption at one strength: a row a finding, then their mean.

    Parameters
    ----------
    truth : array of shape (N, F)
    clean, worse : pairs of arrays (N, F)
        Probabilities and decisions (bool) of the films as they are, and made worse.
    findings : sequence of F str

    Returns
    -------
    rows : list of dict
        ``finding``, ``films``, ``auroc``, ``change`` (of AUROC, from the films as they are), ``flips`` (share of films
        whose decision differs).
    """
    before, after = (ranking(RANKINGS[0], truth, probabilities) for probabilities, _ in (clean, worse))
    flipped = (clean[1] != worse[1]).mean(axis=0) if len(truth) else np.full(len(findings), np.nan)
    rows = [
        {
            "finding": finding,
            "films": len(truth),
            "auroc": after[f],
            "change": after[f] - before[f],
            "flips": flipped[f],
        }
        for f, finding in enumerate(findings)
    ]
    means = pd.DataFrame(rows)[["auroc", "change", "flips"]].mean()  # over the findings that have one
    return [*rows, {"finding": MEAN, "films": len(truth), **means}]


@dressed
def figure(table: pd.DataFrame, title: str, *, style: Style = PAGE) -> Figure:
    """Mean AUROC and mean share of flips by strength, a line a corruption; strength 0 is the films as they are.

    Parameters
    ----------
    table : DataFrame
        stress.csv.
    title : str
    """
    means = table[table["finding"] == MEAN]
    drawn = Figure(figsize=(10, 4.6), layout="constrained")
    panels = drawn.subplots(1, 2)
    clean = float(means.loc[means["corruption"] == "none", "auroc"].iloc[0])
    for number, kind in enumerate(SETTINGS):
        own = means[means["corruption"] == kind].sort_values("strength")
        look = {"color": f"C{number}", "marker": "osD^vPX*"[number], "markersize": 5, "label": kind}
        for axes, key, first in zip(panels, ("auroc", "flips"), (clean, 0.0), strict=True):
            axes.plot([0, *own["strength"]], [first, *own[key]], **look)
    for axes, name in zip(panels, ("Mean AUROC", "Share of decisions that flip"), strict=True):
        axes.set(xlabel="Strength", ylabel=name, xticks=[0, *STRENGTHS])
        axes.grid(True)
    drawn.legend(*panels[1].get_legend_handles_labels(), loc="outside right center")
    drawn.suptitle(title)
    return drawn
