"""Metrics of groups of films: source, view, sex, age band; each with its n, a "too few" mark, and gaps between two."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from cxr.evaluation import bootstrap, figures, metrics, predictions
from cxr.evaluation.operating_points import none_if_nan
from cxr.evaluation.thresholds import decide, label_counts, why_undefined

AGE_BANDS = {"under 18": (0, 18), "18-39": (18, 40), "40-59": (40, 60), "60-79": (60, 80), "80 and over": (80, 999)}
UNKNOWN = "not known"
GAPS = {"view": ("PA", "AP"), "sex": ("M", "F")}


def groupings(table: pd.DataFrame, films: pd.DataFrame) -> dict[str, np.ndarray]:
    """The group of every film, by grouping.

    Parameters
    ----------
    table : predictions table of N rows
    films : DataFrame
        ``image_id``, ``view``, ``sex``, ``age`` of at least its films; a film that is not there is "not known".

    Returns
    -------
    groupings : dict of object arrays of shape (N,)
        ``source``, ``view``, ``sex``, ``age``.
    """
    about = films.drop_duplicates("image_id").set_index("image_id").reindex(table["image_id"])
    age = pd.to_numeric(about["age"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bands = np.full(len(table), UNKNOWN, dtype=object)
    for name, (lowest, below) in AGE_BANDS.items():
        bands[(age >= lowest) & (age < below)] = name
    named = {column: about[column].astype(object).where(about[column].notna(), UNKNOWN) for column in ("view", "sex")}
    return {
        "source": predictions.label_source(table),
        **{name: values.to_numpy(dtype=object) for name, values in named.items()},
        "age": bands,
    }


def evaluate(
    table: pd.DataFrame, groups: dict[str, np.ndarray], thresholds: dict[str, Any], replicates: int, seed: int
) -> dict[str, Any]:
    """AUROC, sensitivity and specificity of every group of films.

    Parameters
    ----------
    table : predictions table of N rows
        As in `metrics.evaluate`: sensitivity and specificity are of its films whose split is test.
    groups : dict of arrays of shape (N,)
        From `groupings`, or any other: name -> group of every film; a film of the group "" is in none.
    thresholds : dict
    replicates, seed : int
        Patients of the whole table are drawn, so that groups that share patients can be compared.

    Returns
    -------
    subgroups : dict that JSON can hold
        grouping -> ``groups`` (group -> films, patients, findings -> figures, macro) and, for view and sex, ``gap``
        (first minus second group: finding -> difference of AUROC with its interval).
    """
    decided = {"test": (table["split"] == "test").to_numpy(), "called": decide(table, thresholds)}
    results = {}
    for grouping, values in groups.items():
        names = sorted(set(values) - {""}, key=_order)
        blocks, replicated = {}, {}
        for name in names:
            blocks[name], replicated[name] = _group(table, values == name, decided, replicates, seed)
        results[grouping] = {"groups": blocks}
        pair = GAPS.get(grouping, ())
        if pair and set(pair) <= set(names):
            results[grouping]["gap"] = _gap(*pair, blocks, replicated)
    return results


def _order(name: str) -> tuple[int, str]:
    known = [*AGE_BANDS, UNKNOWN]
    return (known.index(name) if name in known else -1, name)


def _group(table: pd.DataFrame, here: np.ndarray, decided: dict[str, np.ndarray], replicates: int, seed: int):
    """Figures of one group, and its AUROC in every replicate (R, F)."""
    truth, probabilities = predictions.arrays(table)
    names = predictions.findings_of(table)
    patients = table["patient_id"].to_numpy()
    inside = np.where(here[:, None], truth, np.nan)  # the others' labels count as not known: draws stay the same
    auroc = figures.replicate_scores(inside, probabilities, patients, replicates, seed)["auroc"]
    test = here & decided["test"]
    replicated = figures.replicate_rates(
        np.where(test[:, None], truth, np.nan), decided["called"], patients, replicates, seed
    )
    outcomes, owners = figures.outcomes(truth[test], decided["called"][test]), pd.factorize(patients[test])[0]
    values, shown = figures.rates(outcomes.sum(axis=0)), ("recall", "specificity")
    findings = {}
    for f, finding in enumerate(names):
        reason = why_undefined(inside[:, f])
        known = ~np.isnan(inside[:, f])
        drawn = {name: values[:, f] for name, values in replicated.items()}
        intervals = metrics.rate_intervals(outcomes[:, f], owners, drawn)
        findings[finding] = {
            "auroc": None if reason else float(roc_auc_score(inside[known, f], probabilities[known, f])),
            "auroc_interval": None if reason else bootstrap.interval(auroc[:, f]),
            **{name: none_if_nan(values[name][f]) for name in shown},
            **{f"{name}_interval": intervals[f"{name}_interval"] for name in shown},
            "exact_intervals": [name for name in intervals["exact_intervals"] if name in shown],
            **label_counts(inside[:, f]),
            "too_few": bootstrap.too_few(inside[:, f], patients),
            **({"reason": reason} if reason else {}),
        }
    block = {"films": int(here.sum()), "patients": len(set(patients[here])), "findings": findings}
    defined = [f for f, finding in enumerate(names) if findings[finding]["auroc"] is not None]
    aurocs = [findings[names[f]]["auroc"] for f in defined]
    block["macro"] = {
        "auroc": float(np.mean(aurocs)) if defined else None,
        "auroc_interval": bootstrap.interval(auroc[:, defined].mean(axis=1)) if defined else None,
        "auroc_over": [names[f] for f in defined],
    }
    return block, auroc


def _gap(first: str, second: str, blocks: dict[str, Any], replicated: dict[str, np.ndarray]) -> dict[str, Any]:
    differences = replicated[first] - replicated[second]
    gaps = {}
    for f, finding in enumerate(blocks[first]["findings"]):
        pair = [blocks[name]["findings"][finding] for name in (first, second)]
        aurocs = [group["auroc"] for group in pair]
        defined = None not in aurocs
        gaps[finding] = {
            "difference": aurocs[0] - aurocs[1] if defined else None,
            "interval": bootstrap.interval(differences[:, f]) if defined else None,
            "too_few": any(group["too_few"] for group in pair),
        }
    return {"first": first, "second": second, "findings": gaps}
