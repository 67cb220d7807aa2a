"""Any table of the user's own films and labels, or of a release that has no reader of its own here (see `mappings`)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxr.core.errors import InputError, counted, hint
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.tables.column_roles import sexes, splits, views
from cxr.tables.label_values import apply_policies
from cxr.tables.raw_files import FILM_SUFFIX, leaves_raw_folder, list_files, present, same_name
from cxr.tables.raw_tables import Release, completed_years, how_to_mend, none_found, read_raw_csv, whole_release
from cxr.tables.schema import problems
from cxr.tables.sources.mappings import MAPPINGS
from cxr.tables.sources.own_table import MEND, OwnTable, by_columns
from cxr.tables.sources.source import Source, TestRule, read_given_split
from cxr.tables.splitting import SPLITS

# What Excel makes of 123456789012 and of a formula that fails.
SPOILT = r"^\d(?:[.,]\d+)?E\+\d+$|^#(?:REF|VALUE|NAME|DIV/0|NUM|NULL|SPILL|CALC)[!?]?$"


def open_table(csv: Path, columns: str | dict[str, str], findings: Sequence[str]) -> OwnTable:
    """Read OWN_CSV as OWN_COLUMNS says.

    Raises
    ------
    InputError
        No such table, an unknown release, a column that is not there or cannot be guessed.
    """
    raw = read_raw_csv(csv, (), how_to_mend("OWN_CSV"))
    if isinstance(columns, str):
        if columns not in MAPPINGS:
            meant = hint(columns, MAPPINGS)
            raise InputError(f"OWN_COLUMNS: {columns}: expected {', '.join(MAPPINGS)}, or an object of columns.{meant}")
        return MAPPINGS[columns](raw, csv, findings)
    return by_columns(raw, csv, columns, findings)


def read_own(table: OwnTable, csv: Path, folder: Path, on_disk: pd.Series, params: Params) -> Release:
    """One row a film, in our columns.

    Raises
    ------
    InputError
        A film stands in several rows, a patient in two splits, a split is none, or no film is on disk.
    """
    named = table.films["path"].notna()
    listed = [problems(["" for _ in range(int((~named).sum()))], "row without a film")]
    films = table.films.assign(line=table.films.index + 2)
    films, raw = films[named].reset_index(drop=True), table.raw[named].reset_index(drop=True)
    if films.empty:
        raise InputError(f"{csv}: no row names a film. {MEND}")
    films["path"] = films["path"].str.strip().str.replace("\\", "/", regex=False)
    films["path"] = films["path"].str.removeprefix(f"{folder}/").str.removeprefix("./")
    whole = pd.Series(on_disk.to_numpy(), index=on_disk.str.normalize("NFC"))  # a Mac takes letters apart
    whole = whole[~whole.index.duplicated()]
    films["path"] = films["path"].str.normalize("NFC").map(whole).fillna(films["path"])
    elsewhere = films["path"][~films["path"].isin(on_disk) & ~leaves_raw_folder(films["path"])]
    files, others = same_name(elsewhere, on_disk)
    listed.append(problems(others, "another file of a film's name; the first is used"))
    path = files.reindex(films.index).fillna(films["path"])
    labels = apply_policies(raw, False, params.tables, table.blank).reindex(columns=list(params.findings))
    films, labels, path, ties = _one_row_a_film(films, labels, path, table.majority, csv)
    if not path.isin(on_disk).any():
        raise none_found("OWN_CSV", folder, path.iloc[0], on_disk, ["OWN_CSV"], "OWN_DATASET_DIR")
    stem = films["path"].str.replace(FILM_SUFFIX, "", regex=True)  # as the table names it, wherever the file lies
    image_id = "own/" + stem.where(~stem.duplicated(keep=False), films["path"])
    patient, notes = _patients(films, csv)
    alone = patient.isna() | (patient == "")
    split = _splits(films["split"], patient.mask(alone, image_id), films["line"], csv)
    notes = [*table.notes, *notes, *([f"{counted(ties, 'label')} with as many yes as no: not known"] if ties else [])]
    if alone.any():
        notes.append(
            f"WARNING: no patient is known of {int(alone.sum()):,} films: each counts as a patient of its own, and may "
            "be in training and test with other films of the same person. Name a column for patient in OWN_COLUMNS."
        )
    full = pd.DataFrame(
        {
            "image_id": image_id,
            "path": path,
            "patient_id": "own-" + patient.mask(alone, stem).astype(str),
            "view": views(films["view"]),
            "sex": sexes(films["sex"]),
            "age": completed_years(films["age"].astype("string").astype(object)),
            "source": "own",
            "label_source": "own",
        }
    ).join(labels)
    for name in ("view", "sex", "age"):
        lost = full[name].isna() & films[name].notna()
        if lost.any():
            notes.append(
                f"{name}: not understood: {counted(int(lost.sum()), 'value')}, such as {films[name][lost].iloc[0]!r}"
            )
    if labels.isna().all(axis=None):
        raise InputError(f"{csv}: it holds no known label of {', '.join(params.findings)}. {MEND}")
    given = pd.DataFrame({"image_id": image_id, "split": split}).dropna()
    return whole_release(full, listed, on_disk, split=given if len(given) else None, notes=notes)


def _one_row_a_film(films: pd.DataFrame, labels: pd.DataFrame, path: pd.Series, majority: bool, csv: Path):
    """The three with one row a film, labels by majority; and how many are not known, as many rows saying yes as no."""
    again = path.duplicated()
    if not again.any():
        return films, labels, path, 0
    if not majority:
        raise InputError(
            f"{csv}: {path[again].iloc[0]} stands in several rows ({counted(int(again.sum()), 'row')} too many). Keep "
            'one row a film, or add "rows": "majority" to OWN_COLUMNS to join them.'
        )
    by_film = labels.groupby(path.to_numpy(), sort=False)
    votes = 2 * by_film.sum() - by_film.count()  # yes minus no
    ties = int(((votes == 0) & (by_film.count() > 0)).sum().sum())
    joined = (votes > 0).astype(float).mask(votes == 0)
    first = ~again.to_numpy()
    return (
        films[first].reset_index(drop=True), joined.loc[path[first]].reset_index(drop=True),
        path[first].reset_index(drop=True), ties,
    )  # fmt: skip


def _patients(films: pd.DataFrame, csv: Path) -> tuple[pd.Series, list[str]]:
    """Patients as text, and what was done: numbers that differ in leading zeros alone are one patient's.

    Raises
    ------
    InputError
        A spreadsheet has put a rounded number, or an error, in the place of some.
    """
    patient = films["patient"].astype("string").str.normalize("NFC").str.strip().str.removesuffix(".0")
    spoilt = patient.str.contains(SPOILT, na=False)
    if spoilt.any():
        raise InputError(
            f"{csv}: line {films['line'][spoilt].iloc[0]}: patient: a spreadsheet has made {patient[spoilt].iloc[0]!r} "
            f"of an id ({int(spoilt.sum()):,} such lines): patients cannot be told apart. Export the table again, with "
            "its ids as text."
        )
    short = patient.str.replace(r"^0+(?=\d+$)", "", regex=True)
    same = patient.nunique() - short.nunique()
    if not same:
        return patient, []
    return short, [f"patient: {same:,} ids differ from others in leading zeros alone: taken for the same patients"]


def _splits(column: pd.Series, patients: pd.Series, lines: pd.Series, csv: Path) -> pd.Series:
    """The table's own split; films without one go with their patient's others."""
    split = splits(column)
    odd = split.notna() & ~split.isin(SPLITS)
    if odd.any():
        raise InputError(
            f"{csv}: line {lines[odd].iloc[0]}: split: expected {', '.join(SPLITS)} or nothing; found "
            f"{column[odd].iloc[0]!r}. Mend the table, or name another column for split in OWN_COLUMNS."
        )
    of_patient = split.groupby(patients.to_numpy()).nunique()
    if (of_patient > 1).any():
        who = of_patient.index[of_patient > 1][0]
        names = " and ".join(sorted(set(split[patients == who].dropna())))
        raise InputError(
            f"{csv}: patient {who} is in {names} ({int((of_patient > 1).sum())} such patients); results would look "
            "too good. Mend the split column, or leave it out: a hash of the patient then decides."
        )
    return split.fillna(split.groupby(patients.to_numpy()).transform("first"))


def _tables(settings: Settings) -> dict[str, Path]:
    return {"OWN_CSV": settings.own_csv} if settings.own_csv != Path() else {}


def _on_disk(settings: Settings) -> pd.Series:
    """The films that the table names where all are there, else all files of the folder."""
    paths = open_table(settings.own_csv, settings.own_columns, ()).films["path"].dropna()
    there = present(settings.own_dataset_dir, paths[~leaves_raw_folder(paths)])
    return (
        there.drop_duplicates()
        if len(there) == len(paths)
        else list_files(settings.own_dataset_dir, key="OWN_DATASET_DIR")
    )


def _read(settings: Settings, params: Params, on_disk: pd.Series) -> Release:
    table = open_table(settings.own_csv, settings.own_columns, params.findings)
    return read_own(table, settings.own_csv, settings.own_dataset_dir, on_disk, params)


def own_test_rule(settings: Settings, params: Params, images: pd.DataFrame, table: pd.DataFrame) -> TestRule:
    """The films that the table puts into the test, or else a share of the patients."""
    given = read_given_split(settings, "own")
    test = set() if given is None else set(given["image_id"][given["split"] == "test"])
    held = set(images["patient_id"][images["image_id"].isin(test)])
    if held:
        return TestRule(listed=held, notes=["own table: its own test films"])
    return TestRule(hashed={"own"}, notes=["own table: a share TEST_FRACTION of the patients"])


def _check(settings: Settings, params: Params, release: Release, on_disk: pd.Series) -> list[str]:
    table = release.table
    lines = [f"films in the table: {len(table):,}, on disk: {int(table['path'].isin(on_disk).sum()):,}"]
    for finding in params.findings:
        known = table[finding].notna().sum()
        lines.append(f"{finding}: {int((table[finding] == 1).sum()):,} of {known:,} known")
    return [*lines, *release.notes]


OWN = Source(
    name="own",
    title="own table",
    script="1_other_tables.py",
    keys=("OWN_CSV",),
    tables=_tables,
    films_dir=lambda settings: settings.own_dataset_dir,
    on_disk=_on_disk,
    read=_read,
    labelled=lambda settings: open_table(settings.own_csv, settings.own_columns, ()).labelled,
    columns=lambda settings: settings.own_columns,
    test_rule=own_test_rule,
    check=_check,
    has_split=True,
    parameters=("UNCERTAIN_LABELS", "BLANK_LABELS"),
    caveat="Labels of the own table are what its makers say they are.",
)
