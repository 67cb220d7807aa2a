"""Labels for anybody's predictions: NIH's table, CheXpert's tables, or the user's own, without any film on disk."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.external.column_names import film_column, is_study, labels_of, of_labels, other_column
from cxr.tables.column_roles import STUDY_COLUMNS, plain, sexes, views
from cxr.tables.finding_columns import unused_notes
from cxr.tables.raw_tables import completed_years, read_raw_csv
from cxr.tables.schema import label_array
from cxr.tables.sources.catalogue import SOURCES, name_films, name_studies

ABOUT = ["image_id", "patient_id", "view", "sex", "age"]  # then a column a finding
MEND = "Give the table of labels with --labels FILE."


@dataclass(frozen=True)
class Labels:
    """What tables of labels say, all of them together.

    table: `ABOUT`, findings as 1, 0, NaN, and ``of_study`` (these are labels of a study, and so of all of its films);
    each ``image_id`` once, a film's or a study's. given: by --labels, which wins over whatever else there is. notes:
    how they were read. rows, contradicted: all rows of what stands in several, with their ``file``; and which of their
    labels differ, a row an ``image_id``.
    """

    table: pd.DataFrame
    given: bool = False
    notes: list[str] = field(default_factory=list)
    rows: pd.DataFrame | None = None
    contradicted: pd.DataFrame | None = None

    def check(self, image_ids: pd.Series, findings: Sequence[str]) -> None:
        """Raise an InputError where labels of these films contradict each other."""
        if self.contradicted is None:
            return
        wrong = self.contradicted.loc[self.contradicted.index.isin(image_ids), list(findings)]
        if not wrong.any(axis=None):
            return
        film = wrong.index[wrong.any(axis=1)][0]
        finding = wrong.columns[wrong.loc[film]][0]
        said = self.rows[(self.rows["image_id"] == film) & self.rows[finding].notna()].drop_duplicates(finding)
        values, files = said[finding].head(2), said["file"].head(2)
        where = " and ".join(f"{value:g} in {file}" for value, file in zip(values, files, strict=True))
        raise InputError(
            f"{files.iloc[1]}: {finding} of {film} is {where}; expected one label ({int(wrong.sum().sum()):,} such "
            "labels). Mend the tables, leave one out, or let the majority of the rows count with --majority."
        )


def label_files(settings: Settings) -> list[Path]:
    """The tables that SETTINGS.json names and that are there, packed with gzip or not."""
    named = [csv for source in SOURCES for csv in source.tables(settings).values()]
    packed = [csv.with_name(f"{csv.name}.gz") for csv in named if csv.name]
    return [csv for csv in [*named, *packed] if csv.is_file()]


def read_labels(files: Sequence[Path], params: Params, given: bool = False, majority: bool = False) -> Labels:
    """Labels of all films of the tables, and of studies where tables name them.

    Parameters
    ----------
    files : sequence of Path
    params : Params
        FINDINGS; what CheXpert's -1 and blank mean.
    given : bool
        The user named them with --labels.
    majority : bool
        Where rows of a film differ, the majority of those that know counts; as many yes as no = not known.

    Raises
    ------
    InputError
        A file is not there, or no table of labels.
    """
    parts, notes = [], []
    for path in files:
        part, told = _read(path, params)
        parts.append(part.assign(file=str(path)))
        notes += [f"{path.name}: {note}" for note in told]
    findings = list(params.findings)
    if not parts:
        return Labels(pd.DataFrame(columns=[*ABOUT, *findings, "of_study"]), given)
    rows = pd.concat(parts, ignore_index=True)
    several = rows[rows["image_id"].duplicated(keep=False)]
    by_film = several.groupby("image_id", sort=False)
    joined = by_film.first()  # of each column the first that is known
    joined["of_study"] = by_film["of_study"].any()
    contradicted = by_film[findings].nunique() > 1
    agree = int((~contradicted.any(axis=1) & ~by_film["copied"].all()).sum())
    if agree:
        notes.append(f"films or studies in several rows of labels, which agree: {agree:,}")
    if majority:
        yes, no = ((several[findings] == value).groupby(several["image_id"], sort=False).sum() for value in (1, 0))
        voted = (yes > no).astype(float).mask(yes == no)
        joined[findings] = joined[findings].where(~contradicted, voted)
        told = contradicted[~by_film["copied"].all()]
        notes.append(
            f"{int(told.sum().sum()):,} labels differ between rows of a film: the majority counts; "
            f"{int((told & voted.isna()).sum().sum()):,} of them, with as many yes as no, are not known"
        )
        contradicted = None
    table = pd.concat([rows.drop(index=several.index), joined.reset_index()], ignore_index=True)
    table[findings] = table[findings].mask(table[findings] == -1)  # uncertain
    return Labels(table[[*ABOUT, *findings, "of_study"]], given, notes, several, contradicted)


def _read(path: Path, params: Params) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a table of labels, and how it was read."""
    raw = read_raw_csv(path, (), MEND)
    for source in SOURCES:
        if source.recognises(list(raw.columns)):
            table = _from_release(source.label_table(path, params), params.findings)
            if source.by_study:
                table = _with_studies(table, only=is_study(film_column(raw, path)))
            return table, []
    return _own(raw, path, params.findings)


def _from_release(table: pd.DataFrame, findings: Sequence[str]) -> pd.DataFrame:
    labels = pd.DataFrame(label_array(table, findings).astype(float), columns=list(findings))
    return pd.concat([table[ABOUT].reset_index(drop=True), labels], axis=1).assign(of_study=False, copied=False)


def _with_studies(table: pd.DataFrame, only: bool) -> pd.DataFrame:
    """Labels of studies too, where a release labels studies: the first frontal film speaks for its study.

    only: the table was of studies, its films' names were made up.
    """
    studies = table["image_id"].str.rsplit("/", n=1).str[0]
    frontal_first = table.assign(lateral=table["view"] == "LATERAL", study=studies).sort_values(["lateral", "image_id"])
    first = frontal_first.groupby("study")["image_id"].transform("first") == frontal_first["image_id"]
    of_studies = frontal_first[first].assign(image_id=frontal_first["study"], of_study=True, copied=not only)
    return of_studies[table.columns] if only else pd.concat([table, of_studies[table.columns]], ignore_index=True)


def _own(raw: pd.DataFrame, path: Path, findings: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    columns = of_labels(raw, path, findings)
    name = film_column(raw, path)
    image_ids, patients = name_films(raw[name])
    image_ids = name_studies(raw[name]) if is_study(name) else image_ids
    table = pd.DataFrame({"image_id": image_ids, "patient_id": own_patients(raw, patients)}).join(facts_of(raw))
    labels = pd.DataFrame(labels_of(raw, columns.truth, path, findings), columns=list(findings))
    notes, said = unused_notes(columns.unused), labels[list(columns.truth)]
    if said.isna().any(axis=None) or (said == -1).any(axis=None):
        notes.append(
            f"{int(said.isna().sum().sum()):,} blank and {int((said == -1).sum().sum()):,} uncertain labels (-1) of "
            f"{said.size:,} count as not known"
        )
    table = table.join(labels).assign(of_study=is_study(name), copied=False)
    if not is_study(name):  # a study then has the labels of its films, but no film those of another
        studies = studies_of(raw, image_ids)
        table = pd.concat([table, table.assign(image_id=studies, copied=True)[studies.notna()]], ignore_index=True)
    return table[table["image_id"].notna()], notes


def studies_of(raw: pd.DataFrame, image_ids: pd.Series) -> pd.Series:
    """The study of each film as an image_id, by the file's own column; NaN where it has none."""
    by_name = {plain(column): column for column in raw}
    column = next((by_name[name] for name in STUDY_COLUMNS if name in by_name), None)
    return pd.Series(np.nan, image_ids.index, dtype=object) if column is None else name_studies(raw[column])


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
