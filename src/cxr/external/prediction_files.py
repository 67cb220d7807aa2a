"""Anybody's predictions as a predictions table of ours, so that all that follows is the same evaluation.

A CSV with a film's name or CheXpert path and a probability per finding; labels from NIH's or CheXpert's table, from a
table of the user's own, or from columns of the file itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError
from cxr.evaluation import predictions
from cxr.external import truth_of_files
from cxr.external.column_names import film_column, is_study, of_predictions, other_column, probabilities_of
from cxr.external.label_tables import Labels, facts_of, own_patients, studies_of
from cxr.tables import splitting
from cxr.tables.column_roles import splits
from cxr.tables.finding_columns import unused_notes
from cxr.tables.raw_tables import read_raw_csv
from cxr.tables.sources.catalogue import name_films, name_studies

MEND = "Give a CSV with a film's name and a probability per finding."


@dataclass(frozen=True)
class Foreign:
    """One file, read.

    name: the file's, without suffixes. table: predictions, findings that the file has not with unknown truth. films:
    image_id, view, sex, age. findings: those that the file has. notes: what the reader did, for the report. reasons:
    why a finding is not evaluated.
    """

    name: str
    table: pd.DataFrame
    films: pd.DataFrame
    findings: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)


def read(path: Path, labels: Labels, findings: Sequence[str]) -> Foreign:
    """Predictions of a file, joined with what is known of its films; all of split "test", or as its own column says.

    Parameters
    ----------
    path : Path
        CSV, packed with gzip or not.
    labels : Labels
        From `label_tables.read_labels`; may be empty where the file holds its labels itself.
    findings : sequence of str
        What is looked for in the file.

    Raises
    ------
    InputError
        No table, no column for the film or for any finding, a film twice, a value that is no probability, labels that
        contradict each other, or no film with a known label.
    """
    raw = read_raw_csv(path, (), MEND)
    columns = of_predictions(raw, path, findings)
    scores, notes = probabilities_of(raw, columns.probability, path, findings)
    name = film_column(raw, path)
    image_ids, patients = name_films(raw[name])
    image_ids = name_studies(raw[name]).fillna(image_ids) if is_study(name) else image_ids
    _refuse_twice(path, image_ids, name)
    known, joined = truth_of_files.join(image_ids, studies_of(raw, image_ids), labels, columns.probability)
    truth, told = truth_of_files.choose(raw, path, columns, known, labels, scores, findings)
    notes += [*joined, *told, *unused_notes(columns.unused)]
    reasons = truth_of_files.no_rankings(columns.probability, truth, scores, findings)
    reasons |= {finding: "the file has no column for it" for finding in findings if finding not in columns.probability}
    truth[:, [finding in reasons for finding in findings]] = np.nan
    notes = [*truth_of_files.decisions(columns.probability, truth, scores, findings), *notes]
    owners = own_patients(raw, patients).reset_index(drop=True)
    owners = known["patient_id"].fillna(owners).astype(object)
    facts, own_facts = known[["view", "sex", "age"]].astype(object), facts_of(raw).astype(object)
    films = pd.concat([image_ids.rename("image_id"), facts.fillna(own_facts)], axis=1)
    labelled = ~np.isnan(truth).all(axis=1)
    if not labelled.any():
        raise _nothing_to_evaluate(path, image_ids, labels, reasons, columns.probability)
    if not labelled.all():
        notes.append(f"{int((~labelled).sum()):,} of {len(raw):,} films without a known label are left out")
    if owners[labelled].isna().any():
        notes.append(
            "no patient is known for some films: each of them counts as a patient of its own, and the intervals are "
            "too narrow where a patient has several. Add a column patient_id."
        )
        owners = owners.fillna(image_ids)
    notes = [*truth_of_files.exchanged(columns.probability, truth, scores, owners.fillna(image_ids), findings), *notes]
    scores = np.nan_to_num(scores)
    table = predictions.build(image_ids, owners, _splits(raw), truth, scores, findings, np.float64)[labelled]
    present = tuple(finding for finding in findings if finding in columns.probability)
    absent = [finding for finding in findings if finding not in present]
    if absent:
        notes.append(f"not in the file: {', '.join(absent)}")
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    name = name if name.strip(".") else path.name  # "..": the results of several files go into folders of their names
    films = films[labelled].reset_index(drop=True)
    return Foreign(name, table.reset_index(drop=True), films, present, notes, reasons)


def _nothing_to_evaluate(
    path: Path, image_ids: pd.Series, labels: Labels, reasons: dict[str, str], columns: dict[str, str]
) -> InputError:
    constant = [f"{finding}: {reasons[finding]}" for finding in columns if finding in reasons]
    if constant:
        return InputError(f"{path}: nothing can be ranked: {'; '.join(constant)}. Give the probabilities themselves.")
    such = "none: no table of labels was given or found"
    if len(labels.table):
        such = f"such as {labels.table['image_id'].iloc[0]}"
    by_study = " These labels are of studies: add a column study_id." if labels.table["of_study"].any() else ""
    return InputError(
        f"{path}: no film of the file has a known label: it names films such as {image_ids.iloc[0]}, the tables of "
        f"labels films {such}.{by_study} Give the labels with --labels FILE, or as columns <Finding>_true of the file."
    )


def _refuse_twice(path: Path, image_ids: pd.Series, column: str) -> None:
    again = image_ids.duplicated()
    if again.any():
        row = int(np.argmax(again))
        film = "study" if is_study(column) else "film"
        more = " If lines are films, name them in a column image." if is_study(column) else ""
        raise InputError(
            f"{path}: line {row + 2}: {film} {image_ids.iloc[row]} stands more than once "
            f"({int(again.sum())} such lines, column {column!r}); expected every {film} once. Average its lines, or "
            f"keep one.{more}"
        )


def _splits(raw: pd.DataFrame) -> list[str]:
    """The file's own split where all of its values are ours; "test" otherwise."""
    given = other_column(raw, "split")
    if given is not None:
        given = splits(given)
        if given.isin(splitting.SPLITS).all() and (given == "test").any():
            return given.tolist()
    return ["test"] * len(raw)


def with_val(foreign: Foreign, val: Foreign | None, val_fraction: float) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """What to fit on and what to evaluate.

    Parameters
    ----------
    foreign : Foreign
    val : Foreign or None
        Predictions of the same model on val films.
    val_fraction : float
        Without them, and without val films in the file: the share of patients that is set aside by a hash for the
        fit; 0 = none.

    Returns
    -------
    val, table : predictions tables
        ``table`` as `metrics.evaluate` takes it: films set aside by the hash are in it, marked val, for they count in
        AUROC and average precision, which depend on no fit.
    note : str
        Where val is from.

    Raises
    ------
    InputError
        A patient is in both files.
    """
    table = foreign.table
    if val is not None:
        shared = sorted(set(table["patient_id"]) & set(val.table["patient_id"]))
        if shared:
            raise InputError(
                f"--val {val.name}: patient {shared[0]} is also among the films of {foreign.name} ({len(shared)} such "
                "patients); thresholds would be chosen on test patients. Give val films of other patients."
            )
        note = f"Thresholds and calibration were fitted on {val.name}: {len(val.table):,} films of other patients."
        return val.table.assign(split="val"), table.assign(split="test"), note
    in_file = table["split"] == "val"
    if in_file.any():
        shared = sorted(set(table["patient_id"][in_file]) & set(table["patient_id"][table["split"] == "test"]))
        if shared:
            raise InputError(
                f"{foreign.name}: its split column puts patient {shared[0]} into val and test ({len(shared)} such "
                "patients); thresholds would be chosen on test patients. Mend the column, or leave it out."
            )
        note = f"Thresholds and calibration were fitted on the {int(in_file.sum()):,} films that the file marks as val."
        return table[in_file], table[table["split"] == "test"], note
    table = table[table["split"] == "test"]
    drawn = splitting.hash_fraction("score-val", table["patient_id"]) < val_fraction
    if not drawn.any():
        return table[drawn], table, "No films were set aside for a fit: thresholds are 0.5, nothing is calibrated."
    note = (
        f"Thresholds and calibration were fitted on {int(drawn.sum()):,} films of "
        f"{table['patient_id'][drawn].nunique():,} patients, a share of {val_fraction:g} drawn by a hash of the "
        f"patient. What depends on them is measured on the other {int((~drawn).sum()):,} films; AUROC and average "
        f"precision, which depend on no fit, on all {len(table):,}."
    )
    return table[drawn], table.assign(split=np.where(drawn, "val", "test")), note
