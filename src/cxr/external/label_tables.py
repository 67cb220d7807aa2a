"""Labels for anybody's predictions: NIH's table, CheXpert's tables, or the user's own, without any film on disk."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.external.column_names import film_column, find_columns, labels_of, other_column
from cxr.tables.column_roles import sexes, views
from cxr.tables.raw_tables import completed_years, read_raw_csv
from cxr.tables.schema import label_array
from cxr.tables.sources.catalogue import SOURCES, name_films

ABOUT = ["image_id", "patient_id", "view", "sex", "age"]  # then a column a finding
MEND = "Give the table of labels with --labels FILE."


def label_files(settings: Settings) -> list[Path]:
    """The tables that SETTINGS.json names and that are there, packed with gzip or not."""
    named = [csv for source in SOURCES for csv in source.tables(settings).values()]
    packed = [csv.with_name(f"{csv.name}.gz") for csv in named if csv.name]
    return [csv for csv in [*named, *packed] if csv.is_file()]


def read_labels(files: list[Path], params: Params) -> pd.DataFrame:
    """Labels of all films of the tables: `ABOUT`, findings as 1, 0, NaN; a row a film, and a study where those count.

    Raises
    ------
    InputError
        A file is not there, or no table of labels.
    """
    parts = [_read(path, params) for path in files]
    if not parts:
        return pd.DataFrame(columns=[*ABOUT, *params.findings])
    return pd.concat(parts, ignore_index=True).drop_duplicates("image_id")


def _read(path: Path, params: Params) -> pd.DataFrame:
    raw = read_raw_csv(path, (), MEND)
    for source in SOURCES:
        if source.recognises(list(raw.columns)):
            table = _from_release(source.label_table(path, params), params.findings)
            return _with_studies(table) if source.by_study else table
    return _own(raw, path, params.findings)


def _from_release(table: pd.DataFrame, findings: Sequence[str]) -> pd.DataFrame:
    labels = pd.DataFrame(label_array(table, findings).astype(float), columns=list(findings))
    return pd.concat([table[ABOUT].reset_index(drop=True), labels], axis=1)


def _with_studies(table: pd.DataFrame) -> pd.DataFrame:
    """Labels of studies too, where a release labels studies: the first frontal film speaks for its study."""
    frontal_first = table.assign(lateral=table["view"] == "LATERAL").sort_values(["lateral", "image_id"])
    studies = frontal_first.assign(image_id=frontal_first["image_id"].str.rsplit("/", n=1).str[0])
    return pd.concat([table, studies[table.columns].drop_duplicates("image_id")], ignore_index=True)


def _own(raw: pd.DataFrame, path: Path, findings: Sequence[str]) -> pd.DataFrame:
    columns = find_columns(raw, path, findings)
    columns = {**columns["probability"], **columns["truth"]}  # in a table of labels a bare name is a label
    if not columns:
        raise InputError(
            f"{path}: no column is one of the findings {', '.join(findings)}; found {', '.join(raw.columns[:12])}. "
            "Give a table with a column for each finding (1, 0, or nothing = not known)."
        )
    image_ids, patients = name_films(raw[film_column(raw, path)])
    table = pd.DataFrame({"image_id": image_ids, "patient_id": own_patients(raw, patients)}).join(facts_of(raw))
    return table.join(pd.DataFrame(labels_of(raw, columns, path, findings), columns=list(findings)))


def own_patients(raw: pd.DataFrame, patients: pd.Series) -> pd.Series:
    """Patients by the file's own column where the film's name does not say them."""
    given = other_column(raw, "patient")
    return patients if given is None else patients.fillna(given)


def facts_of(raw: pd.DataFrame) -> pd.DataFrame:
    """``view``, ``sex`` and ``age`` of a file's own columns; NaN where it has none or they say something else."""
    facts = {}
    for name in ("view", "sex", "age"):
        column = other_column(raw, name)
        facts[name] = pd.Series(np.nan, index=raw.index, dtype=object) if column is None else column
    age = completed_years(facts["age"].astype("string")) if facts["age"].notna().any() else facts["age"]
    return pd.DataFrame({"view": views(facts["view"]), "sex": sexes(facts["sex"]), "age": age})
