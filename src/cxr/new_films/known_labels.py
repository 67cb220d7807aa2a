"""New films whose labels are known after all: what a model is worth on them, at thresholds that came with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.artifacts import digest
from cxr.core.errors import InputError, counted
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.evaluation import assessment, predictions
from cxr.evaluation.source_fits import POOLED, fit_of
from cxr.external import label_tables, truth_of_files
from cxr.new_films.bundles import Bundle
from cxr.new_films.predicting import Predicted
from cxr.report.family_report import used_films
from cxr.report.html_page import Model
from cxr.tables.schema import label_array
from cxr.tables.sources.catalogue import name_films

MOST_NAMED = 20  # films in a warning


@dataclass(frozen=True)
class Known:
    """What tables of labels say of N files.

    films: ``image_id``, ``patient_id``, ``view``, ``sex``, ``age``, then the findings, NaN where not known. labelled:
    bool (N,), whether one is known. notes: how the tables were read, and whose labels are not known.
    """

    films: pd.DataFrame
    labelled: np.ndarray
    notes: list[str]


def read(tables: Sequence[Path], given: Sequence[Path], paths: Sequence[Path], params: Params, majority: bool) -> Known:
    """The labels of films, by their names: as `name_films` knows them, else below the folder that was given.

    Parameters
    ----------
    tables : sequence of Path
        Of labels, as `label_tables.read_labels` takes them.
    given, paths : sequences of Path
        What the user pointed at, and the N films found there.
    params : Params
    majority : bool
        As in `label_tables.read_labels`.

    Raises
    ------
    InputError
        No table of labels, no film with a known label, labels that contradict each other, or two files of one film.
    """
    labels = label_tables.read_labels(tables, params, given=True, majority=majority)
    return of_labels(labels, tables, given, paths, params)


def of_labels(
    labels: label_tables.Labels, tables: Sequence[Path], given: Sequence[Path], paths: Sequence[Path], params: Params
) -> Known:
    """`read` with labels that were read already: what further columns they have, ``films`` has too."""
    image_ids, patients = name_films(pd.Series([path.absolute().as_posix() for path in paths]))
    image_ids = image_ids.where(patients.notna(), name_films(pd.Series([_below(path, given) for path in paths]))[0])
    known, notes = truth_of_files.join(
        image_ids, pd.Series(np.nan, image_ids.index, dtype=object), labels, params.findings
    )
    labelled = known[list(params.findings)].notna().any(axis=1)
    names = ", ".join(map(str, tables))
    if not labelled.any():
        raise InputError(
            f"--labels {names}: no film here has a known label: the table names films such as "
            f"{next(iter(labels.table['image_id']), 'none')}, here lies {image_ids.iloc[0]}. Mend the names."
        )
    twice = labelled & image_ids.duplicated()
    if twice.any():
        first, second = (paths[row] for row in np.flatnonzero(image_ids == image_ids[twice].iloc[0])[:2])
        raise InputError(f"{second}: is the film {image_ids[twice].iloc[0]}, as is {first}. Give one of the two.")
    owners = known["patient_id"].astype(object).fillna(patients)
    if owners[labelled].isna().any():
        notes.append(
            "no patient is known for some films: each of them counts as a patient of its own, and the intervals are "
            "too narrow where a patient has several. Add a column patient_id to the labels."
        )
    films = known.assign(image_id=image_ids, patient_id=owners.fillna(image_ids))
    without = image_ids[~labelled]
    notes.append(f"{labelled.sum():,} of {len(films):,} films have a known label in {names}")
    if len(without):
        notes.append(f"without a label, so predicted and not evaluated: {len(without):,}, the first {without.iloc[0]}")
    return Known(films, labelled.to_numpy(), notes)


def learned_from(known: Known, settings: Settings) -> list[str]:
    """A warning where labelled films are among those that the models of these settings were made with, by name."""
    used = used_films(settings)
    if used is None:
        return []
    learned, notes = used[used["split"] != "test"], []
    for column, of_whom in (("image_id", "are among those"), ("patient_id", "are of patients with films among those")):
        films = known.films.loc[known.labelled & known.films[column].isin(learned[column]), "image_id"]
        if len(films):
            more = f", … (train and val of {settings.split_csv})" if len(films) > MOST_NAMED else ""
            names = ", ".join(films[:MOST_NAMED]) + more
            notes.append(
                f"WARNING: {len(films):,} of the films with a known label {of_whom} that the networks were trained or "
                f"chosen on, by name: figures on them are too good. Leave them out: {names}"
            )
    return notes


def bundle_learned_from(known: Known, bundle: Bundle, settings: Settings) -> list[str]:
    """`learned_from` of a bundle, where its networks are those of these settings; else nobody here knows its films."""
    for member, recorded in bundle.reference["made_from"]["models"].items():
        model = settings.member_dir(bundle.family, member) / "model.keras"
        if not model.is_file() or digest(model) != recorded:
            return []
    return learned_from(known, settings)


def _below(path: Path, given: Sequence[Path]) -> str:
    """A film's path below the folder that was given."""
    folder = next((folder for folder in given if folder in path.parents), path.parent)
    return path.relative_to(folder).as_posix()


def own_fits(thresholds: dict[str, Any], hospital: str) -> dict[str, Any]:
    """What a model brings with it as a thresholds.json that gives every film the fit of ``hospital``."""

    def of_hospital(fits: dict[str, dict[str, Any]]) -> dict[str, Any]:
        brought = {finding: dict(fit_of(of_finding, hospital)) for finding, of_finding in fits.items()}
        for fit in brought.values():
            if fit["fitted_on"] not in (None, "nothing"):
                fit["fitted_on"] = f"the model's own val, {fit['fitted_on']}"
        return {finding: {POOLED: fit} for finding, fit in brought.items()}

    return {
        "rule": thresholds["rule"],
        "val": thresholds["val"],
        "findings": of_hospital(thresholds["findings"]),
        "operating_points": {point: of_hospital(fits) for point, fits in thresholds["operating_points"].items()},
        "calibration": {"findings": of_hospital(thresholds["calibration"]["findings"])},
    }


def evaluate(predicted: Predicted, known: Known) -> Model | None:
    """The evaluation of the films whose label is known; None where no such film could be predicted."""
    params, findings = predicted.bundle.params, predicted.scored.findings
    labelled = known.labelled[predicted.films["row"]]
    if not labelled.any():
        return None
    films = known.films.iloc[predicted.films["row"][labelled]]
    truth, probabilities = label_array(films, findings), predictions.arrays(predicted.scored.table)[1][labelled]
    splits = ["test"] * len(films)
    table = predictions.build(films["image_id"], films["patient_id"], splits, truth, probabilities, findings)
    fits = own_fits(predicted.bundle.thresholds, predicted.hospital)
    replicates, seed = params.evaluation.bootstrap_replicates, params.general.seed
    block = assessment.judge(table, films, fits, replicates, seed)
    whose = "all its val films pooled" if predicted.hospital == POOLED else f"its val films of {predicted.hospital}"
    notes = [
        f"Thresholds and calibration came with the model ({predicted.bundle.name}): those of {whose}. Nothing was "
        "fitted on the films here.",
        *known.notes,
    ]
    if len(predicted.problems):
        notes.append(f"{counted(len(predicted.problems), 'file')} could not be predicted, nor be evaluated.")
    return Model(predicted.bundle.family, block, predicted.bundle.thresholds, table, table[:0], findings, notes)
