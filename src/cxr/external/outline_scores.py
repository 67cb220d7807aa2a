"""Outlines against a radiologist's, by the rules of CheXlocalize's authors, but with intervals by patient.

Saporta et al., Nature Machine Intelligence 2022, and eval.py of github.com/rajpurkarlab/cheXlocalize.
"""

import math

import numpy as np
import pandas as pd

from cxr.core.errors import InputError
from cxr.evaluation import bootstrap
from cxr.external.outlines import Outline, Outlines, Points, coco, decode
from cxr.tables.sources.chexlocalize import TASKS, patient_of

MEAN = "mean"  # over the tasks, in the column `task`
FIGURES = ("iou", "hit")


def is_empty(outline: Outline | None) -> bool:
    """Whether it has no pixel; None is no outline."""
    return outline is None or int(coco().area(outline)) == 0


def iou(outline: Outline | None, truth: Outline | None, everything: bool) -> float:
    """Intersection over union of two outlines; where one is empty NaN, or, where ``everything`` counts, 0.

    NaN where both are empty.
    """
    empty = is_empty(outline), is_empty(truth)
    if not any(empty):
        return float(coco().iou([outline], [truth], [0])[0, 0])
    return 0.0 if everything and not all(empty) else math.nan


def hit(points: list[list[float]] | None, truth: Outline | None) -> float:
    """1 where any of the points (x, y) lies in the outline, else 0; NaN where that is empty, or they are not known."""
    if points is None or is_empty(truth):
        return math.nan
    mask = decode(truth)
    places = [(math.floor(y), math.floor(x)) for x, y in points]
    inside = [(y, x) for y, x in places if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1]]
    return float(any(mask[place] for place in inside))


def score(
    truth: Outlines, predicted: Outlines, everything: bool, method: str, points: Points | None = None
) -> pd.DataFrame:
    """Scores of a file of outlines, a row for each task that both have and each film.

    Parameters
    ----------
    truth, predicted : Outlines
        A film that is missing from ``predicted`` has empty ones; so have, where ``everything`` counts, those that are
        missing from ``truth``, which are left out else.
    everything : bool
        Count films that have an outline in one of both only, with an IoU of 0; else they are left out.
    method : str
        What to call it.
    points : Points, optional
        Where a film or task is missing there, nothing was pointed at: no hit.

    Returns
    -------
    DataFrame
        ``method``, ``task``, ``film``, ``patient``, ``iou``, ``hit``; NaN where left out or not known.

    Raises
    ------
    InputError
        No film or no task in common, or outlines of a film of two sizes.
    """
    tasks = [task for task in TASKS if all(task in next(iter(file.values())) for file in (truth, predicted))]
    if not tasks or not set(truth) & set(predicted):
        what = "film" if tasks else "task"
        examples = [next(iter(file if tasks else next(iter(file.values())))) for file in (truth, predicted)]
        raise InputError(f"{method}: no {what} in common with the outlines: {examples[1]} … beside {examples[0]} ….")
    more = [film for film in predicted if film not in truth] if everything else []
    rows = []
    for film in [*truth, *more]:
        for task in tasks:
            one, other = (file.get(film, {}).get(task) for file in (predicted, truth))
            if one and other and one["size"] != other["size"]:
                raise InputError(
                    f"{method}: {film}, {task}: its size is {one['size']}; expected the truth's, {other['size']} "
                    "(height, width). Bring masks to that before they are encoded."
                )
            pointed = None if points is None else points.get(film, {}).get(task, [])
            row = {"method": method, "task": task, "film": film, "patient": patient_of(film)}
            rows.append(row | {"iou": iou(one, other, everything), "hit": hit(pointed, other)})
    return pd.DataFrame(rows)


def left_over(truth: Outlines, predicted: Outlines, everything: bool) -> list[str]:
    """What is to be said of films and tasks that one of two files has and the other has not."""
    missing, more = (len(set(one) - set(other)) for one, other in ((truth, predicted), (predicted, truth)))
    without = [task for task in next(iter(truth.values())) if task not in next(iter(predicted.values()))]
    said = [f"{missing} of {len(truth)} outlined films are missing there: as though nothing was outlined"] * bool(
        missing
    )
    counted = "as though nothing was seen there" if everything else "left out"
    said += [f"{more} of its {len(predicted)} films are not among the outlined ones: {counted}"] * bool(more)
    return said + [f"it has none of {', '.join(without)}: left out"] * bool(without)


def summary(scores: pd.DataFrame, replicates: int, seed: int) -> pd.DataFrame:
    """Means of `score`'s figures over the films where they are defined, a row for each method and task, and their mean.

    Returns
    -------
    DataFrame
        ``method``, ``task``; ``iou``, ``iou_low`` and ``iou_high`` (95 % interval by bootstrap of patients, NaN for
        fewer than `bootstrap.LEAST`), ``iou_films`` and ``iou_patients`` where it is defined; the same of ``hit``. The
        last row of each method, task `MEAN`, is over the tasks where the figure is defined; it has an interval if each
        of them has.
    """
    rows = []
    for method, group in scores.groupby("method", sort=False):
        tasks = [task for task in TASKS if (group["task"] == task).any()]
        own = [{"method": method, "task": task} for task in [*tasks, MEAN]]
        for figure in FIGURES:
            by_film = group.pivot(index=["film", "patient"], columns="task", values=figure)[tasks]
            patients = by_film.index.get_level_values("patient")
            means, drawn, known = _with_mean(by_film, patients, replicates, seed)
            count = [patients[films].nunique() for films in known.T]  # of few alone there is no interval
            few = [number < bootstrap.LEAST for number in count]
            few[-1] |= any(0 < number < bootstrap.LEAST for number in count[:-1])
            for column, row in enumerate(own):
                low_high = None if few[column] else bootstrap.interval(drawn[:, column])
                row[figure] = means[column]
                row |= dict(zip((f"{figure}_low", f"{figure}_high"), low_high or (math.nan, math.nan), strict=True))
                row |= {f"{figure}_films": int(known[:, column].sum()), f"{figure}_patients": count[column]}
        rows += own
    return pd.DataFrame(rows)


def _with_mean(
    by_film: pd.DataFrame, patients: pd.Index, replicates: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a figure (films, tasks): means (tasks + 1,), of resamples (replicates, tasks + 1), and where it is defined.

    The last column is the mean over the tasks that are defined anywhere; in a resample it is NaN where one of them is.
    """
    known = by_film.notna().to_numpy()
    values = np.hstack([by_film.fillna(0).to_numpy(float), known])
    sums = np.vstack([values.sum(axis=0), bootstrap.replicate_sums(values, patients, replicates, seed)])
    some = known.any(axis=0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        means = sums[:, : known.shape[1]] / sums[:, known.shape[1] :]
    over_tasks = means[:, some].mean(axis=1, keepdims=True) if some.any() else np.full((len(means), 1), math.nan)
    means = np.hstack([means, over_tasks])
    return means[0], means[1:], np.hstack([known, known.any(axis=1, keepdims=True)])


def text(table: pd.DataFrame) -> str:
    """A `summary` to read: each figure with its interval, and how many films and patients it is of."""

    def cell(row: pd.Series, figure: str) -> str:
        if math.isnan(row[figure]):
            return "n/a"
        low, high = row[f"{figure}_low"], row[f"{figure}_high"]
        return f"{row[figure]:.3f}" + ("" if math.isnan(low) else f" ({low:.3f} to {high:.3f})")

    shown = table[["method", "task"]].copy()
    for figure in FIGURES:
        shown[figure] = [cell(row, figure) for _, row in table.iterrows()]
        for count in ("films", "patients"):
            shown[f"{figure}_{count}"] = table[f"{figure}_{count}"]
    return shown.to_string(index=False)
