"""Films whose label disagrees most with what is predicted without it: where to look for wrong labels first.

A film's probability must come from nothing that has seen its label. Networks have not seen val and test; on their
stored probabilities a logistic regression is fitted anew, folds by patient, so that no label speaks for itself.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr.core.artifacts import no_formula
from cxr.core.errors import InputError
from cxr.evaluation import predictions
from cxr.evaluation.calibration import logit
from cxr.evaluation.thresholds import why_undefined
from cxr.tables.splitting import hash_fraction

FOLDS = 5


def gathered(tables: Sequence[pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    """All films that a network of one of the files was not trained on, each once: the mean of its logits over files.

    Parameters
    ----------
    tables : predictions tables of the same findings
        Of members, seeds or folds; a film need not be in all of them. Films of split "train" are left out.
    names : sequence of str
        What an error calls them.

    Raises
    ------
    InputError
        Other findings, no film that is not of train, or a film whose patient or label differs between files.
    """
    findings = predictions.findings_of(tables[0])
    for table, name in zip(tables, names, strict=True):
        if predictions.findings_of(table) != findings:
            raise InputError(f"{name}: is of other findings than {names[0]}. Give predictions of the same findings.")
    rows = pd.concat([table[table["split"] != "train"] for table in tables], ignore_index=True)
    if rows.empty:
        raise InputError(f"{names[0]}: all films are of train, whose labels the network has seen. Give val and test.")
    for column in ("patient_id", *predictions.true_columns(findings)):
        differs = rows.groupby("image_id")[column].nunique() > 1
        if differs.any():
            raise InputError(f"{differs.idxmax()}: {column} differs between the files. Give files of the same labels.")
    rows[predictions.prob_columns(findings)] = logits(rows)
    films = rows.groupby("image_id", sort=True)
    mean = films[predictions.prob_columns(findings)].mean()
    probabilities = 1 / (1 + np.exp(-mean.to_numpy()))
    truth = films[predictions.true_columns(findings)].first()
    patients = films["patient_id"].first()
    return predictions.build(mean.index, patients, ["test"] * len(mean), truth, probabilities, findings, np.float64)


def logits(table: pd.DataFrame) -> np.ndarray:
    """(N, F)."""
    return logit(predictions.arrays(table)[1])


def cross_fitted(features: np.ndarray, truth: np.ndarray, patients: Sequence[str]) -> np.ndarray:
    """Probabilities by logistic regression, each film's from films of other patients.

    Parameters
    ----------
    features : array of shape (N, K)
        Of films, from something that has not seen their labels.
    truth : array of shape (N, F)
        1, 0 or NaN = not known.
    patients : sequence of N str
        A patient's films are all in one of `FOLDS` folds, drawn by a hash.

    Returns
    -------
    probabilities : array of shape (N, F)
        NaN where the other folds have no positive or no negative film.
    """
    fold = (hash_fraction("suspicious", patients) * FOLDS).astype(int)
    probabilities = np.full(truth.shape, np.nan)
    for f in range(truth.shape[1]):
        for number in range(FOLDS):
            here, others = fold == number, (fold != number) & ~np.isnan(truth[:, f])
            if not here.any() or why_undefined(truth[others, f]):
                continue
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            model.fit(features[others], truth[others, f])
            probabilities[here, f] = model.predict_proba(features[here])[:, 1]
    return probabilities


def ranked(table: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    """Every known label, the most suspicious first.

    Parameters
    ----------
    table : predictions table of N rows
    probabilities : array of shape (N, F)
        From `cross_fitted`.

    Returns
    -------
    labels : DataFrame
        ``image_id``, ``finding``, ``label``, ``probability``, ``disagreement`` (one minus the probability of the label
        as given: self-confidence, Northcutt 2021), ``confident`` (1: as probable with the other label as films that
        have it are on average, by which confident learning calls a label wrong).
    """
    truth, parts = predictions.arrays(table)[0], []
    for f, finding in enumerate(predictions.findings_of(table)):
        known = ~np.isnan(truth[:, f]) & ~np.isnan(probabilities[:, f])
        label, probability = truth[known, f], probabilities[known, f]
        if why_undefined(label):
            continue
        of_positive, of_negative = probability[label == 1].mean(), 1 - probability[label == 0].mean()
        confident = np.where(label == 1, 1 - probability >= of_negative, probability >= of_positive)
        parts.append(
            pd.DataFrame(
                {
                    "image_id": table["image_id"].to_numpy()[known],
                    "finding": finding,
                    "label": label.astype(int),
                    "probability": probability,
                    "disagreement": np.abs(label - probability),
                    "confident": confident.astype(int),
                }
            )
        )
    if not parts:
        raise InputError("no finding has films with and without it: no label can be doubted. Give more labelled films.")
    labels = pd.concat(parts).sort_values("disagreement", ascending=False, kind="stable", ignore_index=True)
    return labels.assign(image_id=labels["image_id"].map(no_formula))


def first_of_each(labels: pd.DataFrame, most: int) -> pd.DataFrame:
    """The first ``most`` of `ranked` labels of every finding, with their ``rank`` among its films."""
    first = labels.groupby("finding", sort=False).head(most)
    rank = first.groupby("finding", sort=False).cumcount() + 1
    return first.assign(rank=rank).sort_values(["finding", "rank"], kind="stable", ignore_index=True)
