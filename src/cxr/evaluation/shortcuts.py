"""What scores depend on beside the finding: do they tell the hospital, do they move when corner markers are blanked?"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr.evaluation import bootstrap, comparison, figures, predictions
from cxr.evaluation.calibration import logit

FEWEST = 10  # films of each hospital that a probe needs


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
    replicated = figures.replicate_scores(truth, probability, patients, replicates, seed)["auroc"]
    auroc = float(roc_auc_score(truth, probability))
    silent, owners = bootstrap.silence(truth[:, 0], patients), len(set(patients))
    limits = bootstrap.intervals({"auroc": replicated[:, 0]}, silent, owners)
    why = limits["without_interval"].get("auroc")
    return {"films": len(test), "auroc": auroc, "interval": limits["auroc_interval"], "no_interval": why}


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
