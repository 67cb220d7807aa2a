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
from cxr.external.column_names import film_column, find_columns, labels_of, other_column, probabilities_of
from cxr.external.label_tables import facts_of, own_patients
from cxr.tables import splitting
from cxr.tables.column_roles import splits
from cxr.tables.raw_tables import read_raw_csv
from cxr.tables.sources.catalogue import name_films

MEND = "Give a CSV with a film's name and a probability per finding."


@dataclass(frozen=True)
class Foreign:
    """One file, read.

    name: the file's, without suffixes. table: predictions, findings that the file has not with unknown truth. films:
    image_id, view, sex, age. findings: those that the file has. notes: what the reader did, for the report.
    """

    name: str
    table: pd.DataFrame
    films: pd.DataFrame
    findings: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


def read(path: Path, labels: pd.DataFrame, findings: Sequence[str]) -> Foreign:
    """Predictions of a file, joined with what is known of its films; all of split "test", or as its own column says.

    Parameters
    ----------
    path : Path
        CSV, packed with gzip or not.
    labels : DataFrame
        From `label_tables.read_labels`; may be empty where the file holds its labels itself.
    findings : sequence of str
        What is looked for in the file.

    Raises
    ------
    InputError
        No table, no column for the film or for any finding, a film twice, a value that is no probability, or no film
        with a known label.
    """
    raw = read_raw_csv(path, (), MEND)
    columns = find_columns(raw, path, findings)
    if not columns["probability"]:
        raise InputError(
            f"{path}: no column is a probability of {', '.join(findings)}; expected names such as prob_Edema, "
            f"Edema_prob, p_Edema or Edema; found {', '.join(raw.columns[:12])}. Rename the columns."
        )
    scores = probabilities_of(raw, columns["probability"], path, findings)
    image_ids, patients = name_films(raw[film_column(raw, path)])
    _refuse_twice(path, image_ids)
    known, notes = _known(image_ids, labels)
    truth = known[list(findings)].to_numpy(dtype=float)
    if columns["truth"]:
        own = labels_of(raw, columns["truth"], path, findings)
        has_own = np.array([finding in columns["truth"] for finding in findings])
        truth = np.where(has_own, own, truth)
        notes.append(f"labels of {', '.join(columns['truth'])}: from the file's own columns")
    truth = np.where(np.isnan(scores), np.nan, truth)
    owners = own_patients(raw, patients).reset_index(drop=True)
    owners = known["patient_id"].reset_index(drop=True).fillna(owners).astype(object)
    facts, own_facts = known[["view", "sex", "age"]].reset_index(drop=True).astype(object), facts_of(raw).astype(object)
    films = pd.concat([image_ids.rename("image_id").reset_index(drop=True), facts.fillna(own_facts)], axis=1)
    labelled = ~np.isnan(truth).all(axis=1)
    if not labelled.any():
        raise _no_label_known(path, image_ids, labels)
    if not labelled.all():
        notes.append(f"{int((~labelled).sum()):,} of {len(raw):,} films without a known label are left out")
    if owners[labelled].isna().any():
        notes.append(
            "no patient is known for some films: each of them counts as a patient of its own, and the intervals are "
            "too narrow where a patient has several. Add a column patient_id."
        )
        owners = owners.fillna(image_ids.reset_index(drop=True))
    table = predictions.build(image_ids, owners, _splits(raw), truth, np.nan_to_num(scores), findings)[labelled]
    present = tuple(finding for finding in findings if finding in columns["probability"])
    absent = [finding for finding in findings if finding not in present]
    if absent:
        notes.append(f"not in the file: {', '.join(absent)}")
    name = path.name.removesuffix(".gz").removesuffix(".csv")
    return Foreign(name, table.reset_index(drop=True), films[labelled].reset_index(drop=True), present, notes)


def _no_label_known(path: Path, image_ids: pd.Series, labels: pd.DataFrame) -> InputError:
    such = f"such as {labels['image_id'].iloc[0]}" if len(labels) else "none: no table of labels was given or found"
    return InputError(
        f"{path}: no film of the file has a known label: it names films such as {image_ids.iloc[0]}, the tables of "
        f"labels films {such}. Give the labels with --labels FILE, or as columns <Finding>_true of the file."
    )


def _refuse_twice(path: Path, image_ids: pd.Series) -> None:
    again = image_ids.duplicated()
    if again.any():
        row = int(np.argmax(again))
        raise InputError(
            f"{path}: line {row + 2}: film {image_ids.iloc[row]} stands more than once ({int(again.sum())} such "
            "lines); expected every film once. Average its lines, or keep one."
        )


def _known(image_ids: pd.Series, labels: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """What the labels say of each film, NaN where nothing; by the whole name, or else by its last part."""
    notes: list[str] = []
    if labels.empty:
        return labels.reindex(range(len(image_ids))), notes
    table = labels.set_index("image_id")
    if not image_ids.isin(table.index).any():
        last = labels["image_id"].str.rsplit("/", n=1).str[-1]
        by_name = labels.set_index(last)[~last.duplicated(keep=False).to_numpy()]
        short = image_ids.str.rsplit("/", n=1).str[-1]
        if short.isin(by_name.index).any() and not short.duplicated().any():
            notes.append("films are matched with the labels by the last part of their names")
            return by_name.reindex(short), notes
    return table.reindex(image_ids), notes


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
