"""Several evaluated families, of one MODELS_DIR or more, side by side on the same test films."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.artifacts import digest, need, read_json, read_record
from cxr.core.errors import InputError
from cxr.evaluation import comparison, predictions
from cxr.evaluation.assessment import EVALUATED
from cxr.evaluation.comparison import SAME
from cxr.evaluation.figures import RANKINGS
from cxr.evaluation.metrics import guessing_of, told_of_guessing
from cxr.report.model_card import figure
from cxr.report.model_card import table as markdown
from cxr.report.page_tables import change_notes, findings_and_mean, model_notes

MADE_BY = "sh evaluate_Ensemble.sh (or evaluate_Efficientnet.sh), with the --settings and --params of this folder"
POOLED = "all test films"
AT_THRESHOLDS = {"Accuracy": "accuracy", "Precision": "precision", "Recall": "recall", "F1": "f1"}


@dataclass(frozen=True)
class Evaluated:
    """A family's test films as a predictions table, its metrics.json, and what run.json says that it was made with."""

    test: pd.DataFrame
    metrics: dict[str, Any]
    parameters: dict[str, Any]


def read(folders: Sequence[Path], family: str) -> dict[str, Evaluated]:
    """The families by name, in the order given.

    Parameters
    ----------
    folders : sequence of Path
        Each a MODELS_DIR, or the folder of one family in it.
    family : str
        Which family of a MODELS_DIR.

    Raises
    ------
    InputError
        Fewer than two, one of them twice or not evaluated, or they were not tested on the same films with the same
        labels, patients and findings.
    """
    places = []
    for folder in folders:
        below = folder / "classification" / family
        places.append((below if below.is_dir() or not (folder / EVALUATED[0]).exists() else folder).resolve())
    if len(set(places)) < max(2, len(places)):
        raise InputError(f"{folders[-1]}: expected two folders or more, each of other models.")
    parents = os.path.commonpath([folder.absolute().parent for folder in folders])
    names = [folder.absolute().relative_to(parents).as_posix() for folder in folders]
    models = {name: _read(place) for name, place in zip(names, places, strict=True)}
    (first, base), *others = models.items()
    for name, model in others:
        _refuse_other_films((first, base.test), (name, model.test))
    return models


def _read(folder: Path) -> Evaluated:
    recorded = read_json(need(folder / "evaluation.json", MADE_BY), MADE_BY)
    for name in EVALUATED:
        if digest(need(folder / name, MADE_BY)) != recorded.get("files", {}).get(name):
            raise InputError(f"{folder / name}: is of another evaluation than the rest. Run: {MADE_BY}")
    table = predictions.read(folder / "predictions.csv")
    test = table[table["split"] == "test"].reset_index(drop=True)
    runs = [read_record(folder / member / "run.json") for member in recorded.get("members", {})]
    run = next((run for run in runs if "parameters" in run), {"parameters": {}, "made_from": {}})
    made_from = {f"{what} (digest)": run["made_from"].get(what, "not recorded") for what in ("pack", "split")}
    parameters = {**run["parameters"], **made_from}
    return Evaluated(test, read_json(folder / "metrics.json", MADE_BY), parameters)


def _refuse_other_films(first: tuple[str, pd.DataFrame], second: tuple[str, pd.DataFrame]) -> None:
    (name, films), (other_name, others) = first, second
    mend = "Compare models that were tested on the same films: one DATA_DIR, or the same tables, lists and parameters."
    ids, other_ids = set(films["image_id"]), set(others["image_id"])
    if ids != other_ids:
        parts = [
            f"{len(only):,} only in {whose}, such as {min(only)}"
            for whose, only in ((name, ids - other_ids), (other_name, other_ids - ids))
            if only
        ]
        raise InputError(f"{other_name}: not the test films of {name}: {'; '.join(parts)}. {mend}")
    findings, other_findings = predictions.findings_of(films), predictions.findings_of(others)
    if findings != other_findings:
        raise InputError(
            f"{other_name}: is of {', '.join(other_findings)}, {name} of {', '.join(findings)}. Compare models of the "
            "same findings in the same order."
        )
    others = others.set_index("image_id").loc[films["image_id"]].reset_index()
    for column in ("patient_id", *predictions.true_columns(findings)):
        values, other_values = films[column].astype(object), others[column].astype(object)
        differs = (values != other_values) & ~(values.isna() & other_values.isna())
        if differs.any():
            row = int(np.argmax(differs))
            told = ["not known" if pd.isna(value[row]) else f"{value[row]}" for value in (values, other_values)]
            raise InputError(
                f"{other_name}: {column} of {films['image_id'][row]} is {told[1]}, in {name} {told[0]} "
                f"({int(differs.sum()):,} such films). {mend}"
            )


def compare(models: Mapping[str, Evaluated], replicates: int, seed: int) -> list[dict[str, Any]]:
    """Every other model minus the first, as `comparison.paired`: of all films and, where there are several, by source.

    Returns
    -------
    differences : list of dicts that JSON can hold
        ``model``, ``minus``, ``films_of`` (`POOLED` or a source of labels), and what `comparison.paired` says.
    """
    (first, base), *others = models.items()
    sources = predictions.label_source(base.test)
    differences = []
    for films_of in _groups(base):
        here = base.test if films_of == POOLED else base.test[sources == films_of]
        for name, model in others:
            paired = comparison.paired(
                model.test[model.test["image_id"].isin(here["image_id"])], here, replicates, seed, (name, first)
            )
            differences.append({"model": name, "minus": first, "films_of": films_of, **paired})
    return differences


def _groups(model: Evaluated) -> list[str]:
    sources = list(model.metrics["by_source"])
    return [POOLED, *sources] if len(sources) > 1 else [POOLED]


def as_markdown(models: Mapping[str, Evaluated], differences: Sequence[Mapping[str, Any]]) -> str:
    """The tables: figures of each model, then its paired differences from the first; and what is not alike."""
    first, base = next(iter(models.items()))
    protocol = base.metrics["protocol"]
    parts = [
        f"# {len(models)} models on the same {protocol['films']:,} test films of {protocol['patients']:,} patients",
        f"Differences are paired, each model minus {first}: patients are drawn for both at once, so what makes a film "
        "hard for both drops out. An interval (95 %, by patient) without 0 is a difference that the draw of test "
        "patients does not explain; that of training it may be: another seed gives another model. The best of several "
        "by its test films looks better than it is: choose on val.",
    ]
    for films_of in _groups(base):
        blocks = {
            name: model.metrics if films_of == POOLED else model.metrics["by_source"][films_of]
            for name, model in models.items()
        }
        pairs = [pair for pair in differences if pair["films_of"] == films_of]
        findings = list(base.metrics["findings"])
        for ranking in RANKINGS:
            parts += [f"## {ranking.title}, {films_of}", _rankings(blocks, pairs, ranking.key)]
        rankings = {ranking.key: ranking.title for ranking in RANKINGS}
        notes = [
            f"† {name}: {told}" for name, block in blocks.items() for told in told_of_guessing(**guessing_of(block))
        ]
        notes += model_notes(blocks, findings, rankings)
        notes += [note for pair in pairs for note in change_notes(pair, findings)]
        parts += ["\n".join(f"* {note}" for note in dict.fromkeys(notes))] if notes else []
        rows = [
            [name, *(figure(block["macro"], key) for key in AT_THRESHOLDS.values())] for name, block in blocks.items()
        ]
        titles = {key: head for head, key in AT_THRESHOLDS.items()}
        parts += [f"## At each model's own thresholds, mean over the findings, {films_of}"]
        parts += [markdown(["model", *AT_THRESHOLDS], rows)]
        notes = [f"* {note}" for note in model_notes(blocks, [], titles)]
        parts += ["\n".join(notes)] if notes else []
    return "\n\n".join([*parts, *_unlike(models)]) + "\n"


def _rankings(blocks: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]], key: str) -> str:
    """A row a model, then a row a difference; a column a finding, and the mean."""
    findings = list(next(iter(blocks.values()))["findings"])
    rows = [
        [name, *(_ranked(values, key) for values in findings_and_mean(block, findings).values())]
        for name, block in blocks.items()
    ]
    for pair in pairs:
        changes = [
            _change(values[key], bool(values["too_few"])) for values in findings_and_mean(pair, findings).values()
        ]
        rows.append([f"{pair['model']} − {pair['minus']}", *changes])
    return markdown(["model", *findings, "mean"], rows)


def _ranked(values: Mapping[str, Any], key: str) -> str:
    return figure(values, key) + (" †" if values.get("guessing") and key == "auroc" else "")


def _change(values: Mapping[str, Any], few: bool) -> str:
    if values["difference"] is None:
        return "n/a"
    if values["no_interval"] == SAME:
        return SAME
    limits = f" ({values['interval'][0]:+.3f} to {values['interval'][1]:+.3f})" if values["interval"] else ""
    return f"{values['difference']:+.3f}{limits}{' (too few)' if few else ''}"


def _unlike(models: Mapping[str, Evaluated]) -> list[str]:
    """The parameters and data by which the models were not trained alike."""
    keys = dict.fromkeys(key for model in models.values() for key in model.parameters)
    rows = [[key, *(str(model.parameters.get(key, "not recorded")) for model in models.values())] for key in keys]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    table = (
        markdown(["parameter", *models], rows) if rows else "Nothing: parameters, packed films and split are the same."
    )
    return ["## What differs in training, by run.json", table]
