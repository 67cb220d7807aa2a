"""Which labels count for the films of a predictions file, and whether what it calls probabilities can be some."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from cxr.evaluation import bootstrap
from cxr.external.column_names import Columns, labels_of
from cxr.external.label_tables import Labels
from cxr.tables.sources.catalogue import name_studies

SUSPICIOUS = 5  # films with, and without, a finding from which on a file's own label that its score parts is told
EXCHANGED = 0.04  # of the AUROCs' sum, gained by other columns: see docs/alarms.md for how rarely right files reach it


def join(
    image_ids: pd.Series, studies: pd.Series, labels: Labels, findings: Iterable[str]
) -> tuple[pd.DataFrame, list[str]]:
    """What the tables of labels say of each film, NaN where nothing.

    By the film's whole name; or, where none is known so, by the last part of the names; films that are still not known
    have the labels of their study, where tables label studies.

    Parameters
    ----------
    image_ids, studies : Series of N
        Of each film; a study that the file does not name (NaN) is the folder that the film lies in.
    labels : Labels
    findings : iterable of str
        Those that the file has: only their labels must not contradict each other.

    Returns
    -------
    known : DataFrame of N rows
    notes : list of str

    Raises
    ------
    InputError
        Labels of a film contradict each other.
    """
    notes, table = list(labels.notes), labels.table
    rows = pd.Index(table["image_id"]).get_indexer(image_ids)
    if not (rows >= 0).any():
        rows = _by_last_part(image_ids, table["image_id"])
        if (rows >= 0).any():
            notes.append("films are matched with the labels by the last part of their names")
    of_study = np.flatnonzero(table["of_study"])
    studies = studies.fillna(name_studies(image_ids.str.rsplit("/", n=1).str[0]))
    found = pd.Index(table["image_id"].iloc[of_study]).get_indexer(studies)
    by_study = (rows < 0) & (found >= 0)
    if by_study.any():
        rows[by_study] = of_study[found[by_study]]
        notes.append(f"{int(by_study.sum()):,} of {len(rows):,} films have the labels of their study")
    labels.check(table["image_id"].iloc[rows[rows >= 0]], list(findings))
    return table.reset_index(drop=True).reindex(rows).reset_index(drop=True), notes


def _by_last_part(image_ids: pd.Series, known: pd.Series) -> np.ndarray:
    """Position in ``known`` of the only name with the same last part, for each film; -1 where there is none."""
    last, short = (names.str.rsplit("/", n=1).str[-1] for names in (known, image_ids))
    if known.empty or short.duplicated().any():
        return np.full(len(image_ids), -1)
    single = np.flatnonzero(~last.duplicated(keep=False))
    found = pd.Index(last.iloc[single]).get_indexer(short)
    return np.where(found >= 0, single[found] if len(single) else -1, -1)


def choose(
    raw: pd.DataFrame, path: Path, columns: Columns, known: pd.DataFrame, labels: Labels, scores: np.ndarray,
    findings: Sequence[str],
) -> tuple[np.ndarray, list[str]]:  # fmt: skip
    """Truth of shape (N, F), NaN where not known, and where it is from.

    --labels wins; then a column that is called the truth; then the tables that SETTINGS.json names; a bare name beside
    the probability is the truth only where nothing else says it. What is not taken goes to ``columns.unused``.

    Raises
    ------
    InputError
        A column of labels holds something else.
    """
    truth = known[list(findings)].to_numpy(dtype=float, copy=True)
    own = {}
    for finding, column in {**columns.bare, **columns.truth}.items():
        bare = finding in columns.bare
        if labels.given:
            columns.unused[column] = "labels come from --labels, which wins; leave it out to take the file's own"
        elif bare and not np.isnan(truth[:, findings.index(finding)]).all():
            columns.unused[column] = (
                "a label or a decision, the name does not say; the tables in use have labels of these films"
            )
        else:
            own[finding] = column
    said = labels_of(raw, own, path, findings)
    notes = []
    for finding, column in own.items():
        f = findings.index(finding)
        truth[:, f] = np.where(said[:, f] == -1, np.nan, said[:, f])
        told = f"labels of {finding}: from the file's own column {column!r}"
        if finding in columns.bare:
            told += f", for {columns.probability[finding]!r} is the probability and nothing else gives labels"
        notes.append(told)
        if finding in columns.probability and _parted(truth[:, f], scores[:, f]):
            notes.append(
                f"WARNING: {column!r} is 1 wherever {columns.probability[finding]!r} is above a certain value, and 0 "
                "elsewhere. If it is the model's own decision, no figure here means anything: give --labels FILE"
            )
    return np.where(np.isnan(scores), np.nan, truth), notes


def _parted(truth: np.ndarray, scores: np.ndarray) -> bool:
    positive, negative = scores[truth == 1], scores[truth == 0]
    return min(len(positive), len(negative)) >= SUSPICIOUS and positive.min() > negative.max()


def no_rankings(
    columns: dict[str, str], truth: np.ndarray, scores: np.ndarray, findings: Sequence[str]
) -> dict[str, str]:
    """Why findings are not evaluated: of all films with a known label the value is one and the same."""
    reasons = {}
    for finding, column in columns.items():
        values = _values(truth, scores, findings.index(finding))
        if len(values) > 1 and len(set(values)) == 1:
            reasons[finding] = f"column {column!r} is constant, {values[0]:.15g} for every film: no ranking"
    return reasons


def decisions(columns: dict[str, str], truth: np.ndarray, scores: np.ndarray, findings: Sequence[str]) -> list[str]:
    """A note of columns that hold two values only, for each pair of values, and of those that are the labels."""
    pairs: dict[tuple[float, ...], list[str]] = {}
    same = []
    for finding, column in columns.items():
        f = findings.index(finding)
        values = _values(truth, scores, f)
        if len(values) > 2 and len(set(values)) == 2:
            pairs.setdefault(tuple(sorted(set(values))), []).append(repr(column))
            same += [repr(column)] if (truth[~np.isnan(truth[:, f]), f] == values).all() else []
    notes = [
        f"WARNING: two values only ({low:.15g} and {high:.15g}) in column {', '.join(names)}: decisions, no "
        "probabilities. The AUROC is that of one operating point, and calibration means nothing"
        for (low, high), names in pairs.items()
    ]
    told = f"WARNING: equal to the labels in every film: {', '.join(same)}. Is it the column of the labels?"
    return [*notes, *([told] if same else [])]


def exchanged(
    columns: dict[str, str], truth: np.ndarray, scores: np.ndarray, patients: Sequence[str], findings: Sequence[str]
) -> list[str]:
    """A note where columns would rank the labels better if they were dealt out otherwise to the findings.

    Only of findings with and without which there are patients enough (`bootstrap.too_few`), on films with all scores.
    """
    known = [f for f, finding in enumerate(findings) if finding in columns]
    rows = ~np.isnan(scores[:, known]).any(axis=1)
    owners = np.asarray(patients)[rows]
    known = [f for f in known if not bootstrap.too_few(truth[rows, f], owners)]
    if len(known) < 2:
        return []
    labels, values = truth[np.ix_(rows, known)], scores[np.ix_(rows, known)]
    aurocs = np.stack([_aurocs(of_finding, values) for of_finding in labels.T])  # (findings, columns)
    own, (_, best) = np.arange(len(known)), linear_sum_assignment(aurocs, maximize=True)
    if aurocs[own, best].sum() - np.trace(aurocs) <= EXCHANGED:
        return []
    names = [findings[f] for f in known]
    said = [
        f"labels of {names[f]} by {columns[names[best[f]]]!r} (AUROC {aurocs[f, best[f]]:.3f}; by "
        f"{columns[names[f]]!r} {aurocs[f, f]:.3f})"
        for f in own[best != own]
    ]
    return [f"WARNING: are columns exchanged? They rank better when dealt out otherwise: {', '.join(said)}"]


def _aurocs(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of labels (N,) that hold both classes and may be NaN, with each of the columns (N, F): Mann and Whitney's."""
    known, positive = ~np.isnan(labels), labels[~np.isnan(labels)] == 1
    ranks, positives = rankdata(scores[known], axis=0), positive.sum()
    return (ranks[positive].mean(axis=0) - (positives + 1) / 2) / (~positive).sum()


def _values(truth: np.ndarray, scores: np.ndarray, f: int) -> np.ndarray:
    """Scores of one finding where the label is known."""
    return scores[~np.isnan(truth[:, f]), f]
