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
        A group's own patients are drawn: it has the interval that the same films have as a table of their own. For a
        gap those of the whole table are, since patients may be in both groups.

    Returns
    -------
    subgroups : dict that JSON can hold
        grouping -> ``groups`` (group -> films, patients, findings -> figures, macro) and, for view and sex, ``gap``
        (first minus second group: finding -> difference of AUROC with its interval, or why it has none).
    """
    called = decide(table, thresholds)
    results: dict[str, Any] = {}
    for grouping, values in groups.items():
        names = sorted(set(values) - {""}, key=_order)
        blocks = {name: _group(table[values == name], called[values == name], replicates, seed) for name in names}
        results[grouping] = {"groups": blocks}
        pair = GAPS.get(grouping, ())
        if pair and set(pair) <= set(names):
            drawn = [_replicated(table, values == name, replicates, seed) for name in pair]
            results[grouping]["gap"] = _gap(*pair, blocks, drawn[0] - drawn[1])
    return results


def _order(name: str) -> tuple[int, str]:
    known = [*AGE_BANDS, UNKNOWN]
    return (known.index(name) if name in known else -1, name)


def _replicated(table: pd.DataFrame, here: np.ndarray, replicates: int, seed: int) -> np.ndarray:
    """AUROC of the films ``here`` in every resample of the patients of all films, shape (R, F)."""
    truth, probabilities = predictions.arrays(table)
    inside = np.where(here[:, None], truth, np.nan)  # the others' labels count as not known: draws stay the same
    return figures.replicate_scores(inside, probabilities, table["patient_id"], replicates, seed)["auroc"]


def _group(table: pd.DataFrame, called: np.ndarray, replicates: int, seed: int) -> dict[str, Any]:
    """Figures of one group, whose films (N) and decisions (N, F) these are."""
    truth, probabilities = predictions.arrays(table)
    names, patients = predictions.findings_of(table), table["patient_id"].to_numpy()
    count = len(set(patients))
    auroc = figures.replicate_scores(truth, probabilities, patients, replicates, seed)["auroc"]
    test = (table["split"] == "test").to_numpy()
    replicated = figures.replicate_rates(truth[test], called[test], patients[test], replicates, seed)
    outcomes, owners = figures.outcomes(truth[test], called[test]), pd.factorize(patients[test])[0]
    values, shown = figures.rates(outcomes.sum(axis=0)), ("recall", "specificity")
    findings, silent = {}, metrics.silences(truth, patients, names)
    for f, finding in enumerate(names):
        reason = why_undefined(truth[:, f])
        known = ~np.isnan(truth[:, f])
        drawn = {name: values[:, f] for name, values in replicated.items()}
        rates = metrics.rate_intervals(outcomes[:, f], owners, drawn)
        ranked = bootstrap.intervals({"auroc": auroc[:, f]}, silent[finding], count)
        why = {**rates["without_interval"], **ranked["without_interval"]}
        findings[finding] = {
            "auroc": None if reason else float(roc_auc_score(truth[known, f], probabilities[known, f])),
            "auroc_interval": ranked["auroc_interval"],
            **{name: none_if_nan(values[name][f]) for name in shown},
            **{f"{name}_interval": rates[f"{name}_interval"] for name in shown},
            "exact_intervals": [name for name in rates["exact_intervals"] if name in shown],
            "without_interval": {key: why[key] for key in ("auroc", *shown) if key in why},
            **label_counts(truth[:, f]),
            "too_few": bootstrap.too_few(truth[:, f], patients),
            **({"reason": reason} if reason else {}),
        }
    defined = [f for f, finding in enumerate(names) if findings[finding]["auroc"] is not None]
    over = [names[f] for f in defined]
    means = auroc[:, defined].mean(axis=1) if defined else np.zeros(0)
    silent_mean = bootstrap.silence_of_mean({name: silent[name] for name in over})
    macro = {
        "auroc": float(np.mean([findings[name]["auroc"] for name in over])) if defined else None,
        **bootstrap.intervals({"auroc": means}, silent_mean, count),
        "auroc_over": over,
        "too_few": [name for name in over if findings[name]["too_few"]],
    }
    return {"films": len(table), "patients": count, "findings": findings, "macro": macro}


def _gap(first: str, second: str, blocks: dict[str, Any], differences: np.ndarray) -> dict[str, Any]:
    """First group minus second; ``differences``: of every resample, shape (R, F)."""
    gaps = {}
    for f, finding in enumerate(blocks[first]["findings"]):
        pair = [blocks[name]["findings"][finding] for name in (first, second)]
        aurocs = [group["auroc"] for group in pair]
        defined = None not in aurocs
        limits = bootstrap.interval(differences[:, f]) if all(group["auroc_interval"] for group in pair) else None
        reasons = dict.fromkeys(filter(None, (group["without_interval"].get("auroc") for group in pair)))
        why = ", ".join(reasons) or bootstrap.why_none(bootstrap.LEAST, len(differences))
        gaps[finding] = {
            "difference": aurocs[0] - aurocs[1] if defined else None,
            "interval": limits,
            "no_interval": why if defined and not limits else None,
            "too_few": any(group["too_few"] for group in pair),
        }
    return {"first": first, "second": second, "findings": gaps}
