"""The table of films: reading and checking it, merging sources, splitting by patient, counting.

A table has one row a film: ``image_id``, ``path`` below the raw folder, ``patient_id``, ``view``, ``sex``, ``age``,
``source``, then one column a finding: 1, 0 or not known.
"""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.artifacts import read_csv
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.parameters import TableParams

VIEWS = ("PA", "AP", "LATERAL")
SPLITS = ("train", "val", "test")
UNUSED = "unused"  # the split of films that are neither tested on nor of a hospital in TRAIN_SOURCES
COLUMNS = ["image_id", "path", "patient_id", "view", "sex", "age", "source", *FINDINGS]
ETL = "python src/classification/etl"


def problems_csv(artifact: Path) -> Path:
    """Where the step that writes ``artifact`` lists what it could not use: ``path``, ``problem``."""
    return artifact.with_name(f"{artifact.stem}_problems.csv")


def problems(paths: Iterable[str] = (), problem: str | Iterable[str] = "") -> pd.DataFrame:
    """Rows for a list of problems: ``path``, ``problem``."""
    return pd.DataFrame({"path": pd.Series(list(paths), dtype=str), "problem": problem}).astype(str)


def list_files(folder: Path, skip: tuple[str, ...] = ()) -> pd.Series:
    """All files below a folder, links followed, as sorted posix paths relative to it.

    Parameters
    ----------
    folder : Path
        Where to look; hidden files and folders are left out.
    skip : tuple of str
        Folders whose name begins so (any case) are not entered: CheXpert has a folder for each of its studies.

    Raises
    ------
    InputError
        The folder is not there, or one below it cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. DATASET_DIR in SETTINGS.json must name the folder of the films.")
    files, waiting, seen_links = [], [""], {os.path.realpath(folder)}
    while waiting:
        inside = waiting.pop()
        try:
            entries = list(os.scandir(os.path.join(folder, inside)))
        except OSError as error:
            raise InputError(f"{folder / inside}: cannot be listed: {error.strerror}. Check its permissions.") from None
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                files.append(inside + entry.name)
            elif not entry.name.lower().startswith(skip or "\0"):
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if target in seen_links:
                        continue
                    seen_links.add(target)
                waiting.append(f"{inside}{entry.name}/")
    return pd.Series(sorted(files), dtype=str)


def present(folder: Path, paths: pd.Series) -> pd.Series:
    """Those of the paths, relative to a folder, at which there is a file: quicker than a list of CheXpert's folders."""
    base = f"{folder}/"
    return paths[[os.path.isfile(base + path) for path in paths.tolist()]]


def leaves_raw_folder(paths: pd.Series) -> pd.Series:
    """Whether a path is absolute, has a Windows drive, or climbs with ``..``: raw data is below DATASET_DIR only."""
    whole = "\n" + "\n".join(paths.dropna())
    if not any(mark in whole for mark in ("..", "\\", ":", "\n/")):  # a third of a million searches less
        return pd.Series(False, index=paths.index)
    return paths.str.contains(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)")


def first_of_each(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table with the first row of each ``image_id``, and the others as problems."""
    again = table["image_id"].duplicated()
    listed = problems(table.loc[again, "path"], "stands more than once in the table; the first row is used")
    return table[~again].reset_index(drop=True), listed


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """The table's columns in their order, with the types they have everywhere: text, and integers that can be NA."""
    types = {name: "Int8" for name in FINDINGS} | {"age": "Int16"}
    return table[COLUMNS].astype({name: types.get(name, "str") for name in COLUMNS})


def read_table(path: Path, made_by: str) -> pd.DataFrame:
    """A table that one of our steps wrote, checked.

    Raises
    ------
    InputError
        It is not there, or not as the step writes it; names the command that makes it.
    """
    again = f"Make it again with: {made_by}"
    numbers = ("age", *FINDINGS)
    text = {column: str for column in COLUMNS if column not in numbers}
    table = read_csv(path, made_by, dtype=text)
    if list(table.columns) != COLUMNS:
        raise InputError(f"{path}: expected the columns {', '.join(COLUMNS)}; found {', '.join(table)}. {again}")
    try:
        for column in numbers:
            table[column] = pd.to_numeric(table[column]).astype("Int16")
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: column {column}: expected whole numbers or nothing; {error}. {again}") from None
    for column in FINDINGS:
        wrong = table.index[~table[column].isin([0, 1]) & table[column].notna()]
        if len(wrong):
            came = table.at[wrong[0], column]
            raise InputError(f"{path}: row {wrong[0] + 2}, {column}: expected 1, 0 or nothing; found {came}. {again}")
    for column in ("image_id", "path", "patient_id", "source"):
        if table[column].isna().any():
            raise InputError(f"{path}: row {table[column].isna().argmax() + 2} has no {column}. {again}")
    if table["image_id"].duplicated().any():
        twice = table.loc[table["image_id"].duplicated(), "image_id"].iloc[0]
        raise InputError(f"{path}: {twice} stands more than once. {again}")
    unknown = set(table["view"].dropna()) - set(VIEWS)
    if unknown:
        raise InputError(f"{path}: view: expected {', '.join(VIEWS)} or nothing; found {min(unknown)}. {again}")
    return typed(table)


def read_images(path: Path) -> pd.DataFrame:
    """images.csv, checked: row i is row i of the packed array. See `read_table`."""
    images = read_table(path, "sh prepare_data.sh")
    if not images["image_id"].is_monotonic_increasing:
        raise InputError(
            f"{path}: not sorted by image_id, so its rows are not those of the packed array. "
            f"Make it again with: sh prepare_data.sh"
        )
    climbing = leaves_raw_folder(images["image_id"])  # pictures are named after it
    if climbing.any():
        odd = images.loc[climbing, "image_id"].iloc[0]
        raise InputError(f"{path}: image_id: {odd} climbs out of its folder. Make it again with: sh prepare_data.sh")
    return images


def label_array(images: pd.DataFrame) -> np.ndarray:
    """Labels as a float32 array of shape (N, F): 1, 0, NaN where not known."""
    return images[list(FINDINGS)].to_numpy(dtype="float32", na_value=np.nan)


@dataclass(frozen=True)
class Merged:
    """What `merge` makes: the films to work with, what is wrong with others, and how many were left out, by reason."""

    images: pd.DataFrame
    problems: pd.DataFrame
    left_out: dict[str, int]


def merge(releases: Iterable[pd.DataFrame], on_disk: pd.Series, params: TableParams) -> Merged:
    """One table of all films that are on disk and wanted, sorted by ``image_id``.

    Parameters
    ----------
    releases : iterable of DataFrame
        The tables of the sources.
    on_disk : Series of str
        The files below the raw folder, from `list_files`.
    params : TableParams
        VIEWS and ABNORMAL_ONLY.

    Raises
    ------
    InputError
        No film is left.
    """
    table, listed = first_of_each(pd.concat(releases, ignore_index=True))
    outside = leaves_raw_folder(table["path"])
    listed = pd.concat([listed, problems(table.loc[outside, "path"], "outside the raw folder")], ignore_index=True)
    abnormal = pd.Series((label_array(table) == 1).any(axis=1), index=table.index)
    left_out, total = {"twice in a table": len(listed) - int(outside.sum())}, len(table)
    for reason, drop in {
        "outside the raw folder": outside,
        "not on disk": ~table["path"].isin(on_disk),
        "view not known": table["view"].isna(),
        f"view not in VIEWS ({', '.join(params.views)})": ~table["view"].isin(params.views),
        "none of the six findings (ABNORMAL_ONLY)": ~abnormal & params.abnormal_only,
    }.items():
        drop = drop.reindex(table.index)
        left_out[reason] = int(drop.sum())
        table = table[~drop]
    left_out = {reason: count for reason, count in left_out.items() if count}
    if table.empty:
        why = "; ".join(f"{reason}: {count}" for reason, count in left_out.items())
        raise InputError(f"no film is left of {total} ({why}). Widen VIEWS or mend DATASET_DIR.")
    return Merged(table.sort_values("image_id", ignore_index=True), listed, left_out)


def hash_fraction(draw: str, ids: Iterable[str]) -> np.ndarray:
    """A number in [0, 1) for each id, the same in every run, whatever other ids there are; independent between draws.

    A keyed hash (BLAKE2b) and not crc32, which is linear: two of its draws would depend on each other.
    """
    codes, unique = pd.factorize(pd.Series(ids, dtype=str))

    def fraction(name: str) -> float:
        hashed = hashlib.blake2b(f"{draw}:{name}".encode(), digest_size=8).digest()
        return (int.from_bytes(hashed, "big") >> 11) / 2**53  # 53 bits: never rounds up to 1

    return np.array([fraction(name) for name in unique], dtype=float)[codes]


def test_source(image_ids: Iterable[str]) -> np.ndarray:
    """Whose labels a film has, never pooled in metrics: nih, chexpert-valid (experts) or chexpert-train (reports)."""
    parts = pd.Series(image_ids, dtype=str).str.split("/", n=2)
    source, folder = parts.str[0], parts.str[1]
    return source.where(source != "chexpert", source + "-" + folder).to_numpy(dtype=object)


test_source.__test__ = False  # not a test, whatever pytest thinks of its name


def hold_out(images: pd.DataFrame, listed: set[str], hashed: set[str], params: TableParams) -> pd.DataFrame:
    """What is set aside for the test: a table of ``patient_id``, or of ``image_id`` where SPLIT is ``image``.

    Parameters
    ----------
    images : DataFrame
        The merged table.
    listed : set of str
        Patients of official test lists.
    hashed : set of str
        The sources (as `test_source` names them) of which a share TEST_FRACTION of the patients is drawn.
    params : TableParams
        SPLIT and TEST_FRACTION. The draw does not hang on SEED: test patients are set aside once.
    """
    unit = "image_id" if params.split == "image" else "patient_id"
    drawn = np.isin(test_source(images["image_id"]), sorted(hashed))
    drawn &= hash_fraction("test", images[unit]) < params.test_fraction
    given = images["patient_id"].isin(listed)
    return pd.DataFrame({unit: sorted(set(images.loc[drawn | given, unit]))}, dtype=str)


def read_held_out(path: Path, params: TableParams) -> pd.DataFrame:
    """test_patients.csv, checked to be of the kind that SPLIT asks for."""
    made_by = f"{ETL}/3_hold_out_test.py"
    unit = "image_id" if params.split == "image" else "patient_id"
    held_out = read_csv(path, made_by, dtype=str)
    if list(held_out.columns) != [unit]:
        found = ", ".join(held_out.columns)
        raise InputError(
            f'{path}: SPLIT is "{params.split}": expected the column {unit}; found {found}. Make it with: {made_by}'
        )
    return held_out


def split_images(images: pd.DataFrame, held_out: pd.DataFrame, seed: int, params: TableParams) -> pd.DataFrame:
    """``image_id`` and ``split`` of every film, in the order of the images.

    Parameters
    ----------
    images, held_out : DataFrame
        The merged table, and what `hold_out` set aside.
    seed : int
        Another seed draws other validation patients, never other test patients.
    params : TableParams
        VAL_FRACTION: the share, of what is not held out, for validation. TRAIN_SOURCES: films of other hospitals that
        are not held out are `UNUSED`.

    Raises
    ------
    InputError
        There is no film of TRAIN_SOURCES.
    """
    (unit,) = held_out.columns
    wanted = images["source"].isin(params.train_sources)
    if not wanted.any():
        found = ", ".join(sorted(set(images["source"])))
        raise InputError(
            f"TRAIN_SOURCES: {', '.join(params.train_sources)}: no such film; the films are of {found}. Change it in "
            "PARAMS.json, or name that release in SETTINGS.json."
        )
    val = hash_fraction(f"val-{seed}", images[unit]) < params.val_fraction
    test = images[unit].isin(held_out[unit])
    split = np.select([test, ~wanted, val], ["test", UNUSED, "val"], "train")
    return pd.DataFrame({"image_id": images["image_id"], "split": split.astype(str)})


def check_split(images: pd.DataFrame, split: pd.DataFrame, by: str = "patient") -> pd.Series:
    """The split of every row of ``images``, after the check that no patient is in two.

    Parameters
    ----------
    images, split : DataFrame
        images.csv and split.csv.
    by : {"patient", "image"}
        SPLIT of PARAMS.json; ``image`` lets patients leak, knowingly.

    Raises
    ------
    InputError
        The two tables are not about the same films, a split is unknown, or a patient is in two.
    """
    again = f"Make split.csv again with: {ETL}/6_split_train_val.py"
    if list(split.columns) != ["image_id", "split"] or list(split["image_id"]) != list(images["image_id"]):
        raise InputError(f"split.csv does not list the films of images.csv ({len(split)}, {len(images)} rows). {again}")
    column = split["split"].set_axis(images.index)
    unknown = sorted(set(column.astype(str)) - {*SPLITS, UNUSED})
    if unknown:
        raise InputError(f"split.csv: expected {', '.join(SPLITS)}; found {unknown[0]}. {again}")
    patients = pd.DataFrame({"patient_id": images["patient_id"], "split": column}).drop_duplicates()
    shared = patients.loc[patients["patient_id"].duplicated(keep=False)].sort_values(["patient_id", "split"])
    if by == "patient" and len(shared):
        patient = shared["patient_id"].iloc[0]
        places = " and ".join(shared.loc[shared["patient_id"] == patient, "split"])
        more = f" ({shared['patient_id'].nunique()} such patients)"
        raise InputError(f"split.csv: patient {patient} is in {places}{more}; results would look too good. {again}")
    return column


def read_split(path: Path, images: pd.DataFrame, by: str = "patient") -> pd.Series:
    """split.csv as the split of every row of ``images``; see `check_split`."""
    return check_split(images, read_csv(path, f"{ETL}/6_split_train_val.py", dtype=str), by)


def count(images: pd.DataFrame, by: dict[str, Iterable]) -> pd.DataFrame:
    """Films, patients, and "positives/known" of each finding, a row for each group of films.

    Parameters
    ----------
    images : DataFrame
        Any table of films.
    by : dict
        Name of a grouping to its values, one a film.
    """
    groups = [pd.Series(np.asarray(values), index=images.index, name=name) for name, values in by.items()]
    grouped = images.groupby(groups, sort=True)
    counted = grouped["patient_id"].agg(films="size", patients="nunique")
    for finding in FINDINGS:
        positive, known = grouped[finding].sum(), grouped[finding].count()
        counted[finding] = positive.astype(str) + "/" + known.astype(str)
    return counted


def without_positives(images: pd.DataFrame, split: pd.Series) -> list[tuple[str, str]]:
    """Split and finding, where a split has no positive film of a finding."""
    positives = images[list(FINDINGS)].groupby(split.to_numpy()).sum().reindex(list(SPLITS), fill_value=0)
    return [(name, finding) for name in SPLITS for finding in FINDINGS if positives.at[name, finding] == 0]


def shared_with_training(images: pd.DataFrame, split: pd.Series) -> int:
    """Test films of patients who also have films in train: none, unless SPLIT is ``image``."""
    training = images["patient_id"][split.to_numpy() == "train"]
    return int(images["patient_id"][split.to_numpy() == "test"].isin(training).sum())
