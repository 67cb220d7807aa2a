"""What the columns of anybody's table are: the film, patient, view, sex, age, split; by their usual names."""

import re
from collections.abc import Iterable

import pandas as pd

from cxr.imaging.views import view_of

STUDY_COLUMNS = "study studyid studyname studyuid studyinstanceuid accession accessionnumber".split()
# In this order: a file may have both a path and a name; a study stands for its film only where none is named.
FILM_COLUMNS = (
    *"imageid imageindex image imagename imagefile filename file path imagepath filepath img imgname dicomid".split(),
    *"filmid film sopinstanceuid".split(),
    *STUDY_COLUMNS,
    "name",
)
ROLES = {
    # A path tells more than a name.
    "path": (
        "path filepath imagepath filename file imagefile imagename imageindex image imageid img imgname dicomid"
    ).split(),
    "patient": "patientid patient subjectid subject".split(),
    "view": "view viewposition appa projection".split(),
    "sex": "sex gender patientsex patientgender".split(),
    "age": "age patientage".split(),
    "split": ["split"],
}


def plain(name: str) -> str:
    """A column's name without case, spaces and marks."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def role_column(columns: Iterable[str], role: str) -> str | None:
    """The column that plays a role of `ROLES` under one of its usual names, or None."""
    by_name = {plain(column): column for column in columns}
    return next((by_name[name] for name in ROLES[role] if name in by_name), None)


def views(column: pd.Series) -> pd.Series:
    """PA, AP, LATERAL from what people write; NaN for anything else."""
    words = {value: view_of(value) or None for value in column.dropna().unique()}
    return column.astype(object).map(words).astype(object)


def sexes(column: pd.Series) -> pd.Series:
    """M, F from what people write; NaN for anything else."""
    first = column.astype("string").str.upper().str.strip().str[:1]
    return first.where(first.isin(["M", "F"])).astype(object)


def splits(column: pd.Series) -> pd.Series:
    """train, val, test from what people write; what is none of it stays as it is, blank is NaN."""
    words = {"training": "train", "testing": "test", **dict.fromkeys(("valid", "validate", "validation", "dev"), "val")}
    return column.astype("string").str.strip().str.lower().replace("", pd.NA).replace(words).astype(object)
