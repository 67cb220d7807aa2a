"""What scores depend on: do they tell the hospital, do they move with blanked corners; heart size alone."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr.core.findings import LARGE_HEART
from cxr.evaluation import bootstrap, comparison, figures, predictions, subgroups
from cxr.evaluation.calibration import logit
from cxr.evaluation.operating_points import none_if_nan

FEWEST = 10  # films of each hospital that a probe needs
# By whether the lungs' mask was accepted.
WITHOUT_RATIO = {True: "no heart found above the diaphragm", False: "lung mask not accepted"}
NOT_OUTLINED = "not in the table of lung masks"


def source_probe(val: pd.DataFrame, test: pd.DataFrame, replicates: int, seed: int) -> dict[str, Any]:
    """How well a film's scores tell which of two hospitals it is of.

    A logistic regression on the logits of all findings is fitted on val and measured on test. Hospitals differ in how
    many are ill, so scores may tell them apart for a good reason; among films with none of the findings they should
    not.

    Parameters
    ----------
    val, test : predictions tables
    replicates, seed : int

    Returns
    -------
    probe : dict that JSON can hold
        ``hospitals``; ``all films`` and ``none of the findings``: ``films``, ``auroc`` (0.5: the scores do not tell),
        ``interval`` by patient, and a ``reason`` where not defined.
    """
    hospitals = sorted(set(predictions.source(val)) | set(predictions.source(test)))
    if len(hospitals) != 2:
        return {"hospitals": hospitals, "reason": f"needs films of two hospitals, there are {len(hospitals)}"}
    probe: dict[str, Any] = {"hospitals": hospitals}
    probe["all films"] = _probe(val, test, hospitals[0], replicates, seed)
    shared = _labelled_by_all(val) & _labelled_by_all(test)
    healthy = [table[(predictions.arrays(table)[0][:, shared] == 0).all(axis=1)] for table in (val, test)]
    probe["none of the findings"] = _probe(*healthy, hospitals[0], replicates, seed)
    return probe


def _labelled_by_all(table: pd.DataFrame) -> np.ndarray:
    """Which findings (F,) every hospital labels: of others it is not known that a film has none."""
    known = pd.DataFrame(~np.isnan(predictions.arrays(table)[0]))
    return known.groupby(predictions.source(table)).any().all().to_numpy()


def _probe(val: pd.DataFrame, test: pd.DataFrame, first: str, replicates: int, seed: int) -> dict[str, Any]:
    of_first = [(predictions.source(table) == first).astype(float) for table in (val, test)]
    counts = [min(labels.sum(), len(labels) - labels.sum()) for labels in of_first]
    if min(counts) < FEWEST:
        reason = f"fewer than {FEWEST} such films of a hospital in val or test"
        return {"films": len(test), "auroc": None, "interval": None, "reason": reason}
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    scores = [logit(predictions.arrays(table)[1]) for table in (val, test)]
    probability = regression.fit(scores[0], of_first[0]).predict_proba(scores[1])[:, [1]]
    truth, patients = of_first[1][:, None], test["patient_id"].to_numpy(dtype=str)
    auroc = float(roc_auc_score(truth, probability))
    return {"films": len(test), "auroc": auroc, **_interval(truth, probability, patients, replicates, seed)}


def _interval(
    truth: np.ndarray, scores: np.ndarray, patients: np.ndarray, replicates: int, seed: int
) -> dict[str, Any]:
    """Of the AUROC of scores (N, 1), by patient: ``interval``, and ``no_interval``, why there is none."""
    replicated = figures.replicate_scores(truth, scores, patients, replicates, seed)["auroc"]
    silent, owners = bootstrap.silence(truth[:, 0], patients), len(set(patients))
    limits = bootstrap.intervals({"auroc": replicated[:, 0]}, silent, owners)
    return {"interval": limits["auroc_interval"], "no_interval": limits["without_interval"].get("auroc")}


def blanked(test: pd.DataFrame, without_corners: pd.DataFrame, replicates: int, seed: int) -> dict[str, Any]:
    """What blanking the corners of the test films changes.

    Parameters
    ----------
    test, without_corners : predictions tables
        Of the films as they are, and with their corners blanked.
    replicates, seed : int

    Returns
    -------
    change : dict that JSON can hold
        As `comparison.paired` (blanked minus whole), with ``changed``: films whose scores moved at all, and
        ``mean_change``: of the probability, finding by finding, without its sign.
    """
    paired = comparison.paired(without_corners, test, replicates, seed)
    after = without_corners.set_index("image_id").loc[test["image_id"]].reset_index()
    moved = np.abs(predictions.arrays(after)[1] - predictions.arrays(test)[1])
    means = dict(zip(paired["findings"], moved.mean(axis=0).tolist(), strict=True))
    return {"changed": int((moved > 0).any(axis=1).sum()), "mean_change": means, **paired}


def heart_size(
    test: pd.DataFrame, films: pd.DataFrame, masks: pd.DataFrame, replicates: int, seed: int
) -> dict[str, Any] | None:
    """The cardiothoracic ratio alone as a score for `LARGE_HEART`, beside what the model says.

    Parameters
    ----------
    test : predictions table
    films : DataFrame
        images.csv.
    masks : DataFrame
        lung_masks.csv.
    replicates, seed : int

    Returns
    -------
    compared : dict that JSON can hold, or None
        None where the model does not look for it, or no test film with a known label has a ratio. Else ``finding``;
        ``films`` (with a known label); ``without_ratio``: why -> how many of them; ``groups``: all films with a ratio,
        then PA and AP -> `_beside_model`; ``disagreement``: the film whose ranks by ratio and by probability (shares
        of the films with a ratio) differ most, None where all ranks are the same.
    """
    if "cardiothoracic_ratio" not in masks or LARGE_HEART not in predictions.findings_of(test):
        return None
    known = predictions.of_findings(test[test[f"{LARGE_HEART}_true"].notna()], [LARGE_HEART])
    outlined = masks.set_index("image_id").reindex(known["image_id"])
    has_ratio = outlined["cardiothoracic_ratio"].notna().to_numpy()
    if not has_ratio.any():
        return None
    why = outlined.loc[~has_ratio, "accepted"].map(WITHOUT_RATIO).fillna(NOT_OUTLINED)
    model = known[has_ratio].reset_index(drop=True)
    ratio = model.assign(**{f"{LARGE_HEART}_prob": outlined["cardiothoracic_ratio"].to_numpy(float)[has_ratio]})
    views = subgroups.groupings(model, films)["view"]
    groups = {"all films": np.ones(len(model), bool), **{view: views == view for view in subgroups.GAPS["view"]}}
    return {
        "finding": LARGE_HEART,
        "films": len(known),
        "without_ratio": why.value_counts().to_dict(),
        "groups": {
            name: _beside_model(model[here], ratio[here], replicates, seed)
            for name, here in groups.items()
            if here.any()
        },
        "disagreement": _disagreement(model, ratio, outlined),
    }


def _beside_model(model: pd.DataFrame, ratio: pd.DataFrame, replicates: int, seed: int) -> dict[str, Any]:
    """Two predictions tables of `LARGE_HEART` on the same films, the second with ratios for probabilities.

    ``films``, ``patients``, ``positives``, ``too_few``; ``ratio``: ``auroc`` and its interval; ``auroc``: of the model
    minus the ratio's, see `comparison.paired`; ``median_with``, ``median_without``: of the ratio, by label;
    ``spearman``: of ratio and probability.
    """
    paired = comparison.paired(model, ratio, replicates, seed)
    (truth, values), probabilities = predictions.arrays(ratio), predictions.arrays(model)[1]
    interval = _interval(truth, values, ratio["patient_id"].to_numpy(), replicates, seed)
    medians = pd.Series(values[:, 0]).groupby(truth[:, 0]).median()
    varied = min(len(np.unique(values)), len(np.unique(probabilities))) > 1
    correlation = pd.Series(values[:, 0]).corr(pd.Series(probabilities[:, 0]), "spearman") if varied else np.nan
    auroc = paired["findings"][LARGE_HEART]["auroc"]
    return {
        "films": paired["films"],
        "patients": paired["patients"],
        "positives": int(truth.sum()),
        "too_few": paired["findings"][LARGE_HEART]["too_few"],
        "ratio": {"auroc": auroc["second"], **interval},
        "auroc": auroc,
        "median_with": none_if_nan(medians.get(1.0, np.nan)),
        "median_without": none_if_nan(medians.get(0.0, np.nan)),
        "spearman": none_if_nan(correlation),
    }


def _disagreement(model: pd.DataFrame, ratio: pd.DataFrame, outlined: pd.DataFrame) -> dict[str, Any] | None:
    """``outlined``: lung_masks.csv by ``image_id``; what is odd in the film's mask may be why they disagree."""
    column = f"{LARGE_HEART}_prob"
    ranks = pd.DataFrame({"probability": model[column].rank(pct=True), "ratio": ratio[column].rank(pct=True)})
    apart = (ranks["probability"] - ranks["ratio"]).abs()
    row = apart.idxmax()
    if not apart[row]:
        return None
    image_id = model["image_id"][row]
    return {
        "image_id": image_id,
        "doubt": "" if pd.isna(outlined["doubt"][image_id]) else outlined["doubt"][image_id],
        "label": int(model[f"{LARGE_HEART}_true"][row]),
        "ratio": float(ratio[column][row]),
        "probability": float(model[column][row]),
        "ratio_rank": float(ranks["ratio"][row]),
        "probability_rank": float(ranks["probability"][row]),
    }
