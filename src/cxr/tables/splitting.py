"""Who is for training, validation and test: by patient, by a keyed hash."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.artifacts import read_csv
from cxr.core.errors import InputError
from cxr.core.parameters import TableParams
from cxr.tables.schema import ETL

SPLITS = ("train", "val", "test")
UNUSED = "unused"  # the split of films that are neither tested on nor of a hospital in TRAIN_SOURCES


def hash_fraction(draw: str, ids: Iterable[str]) -> np.ndarray:
    """A number in [0, 1) for each id, the same in every run, whatever other ids there are; independent between draws.

    A keyed hash (BLAKE2b) and not crc32, which is linear: two of its draws would depend on each other.
    """
    codes, unique = pd.factorize(pd.Series(ids, dtype=str))

    def fraction(name: str) -> float:
        hashed = hashlib.blake2b(f"{draw}:{name}".encode(), digest_size=8).digest()
        return (int.from_bytes(hashed, "big") >> 11) / 2**53  # 53 bits: never rounds up to 1

    return np.array([fraction(name) for name in unique], dtype=float)[codes]


def hold_out(images: pd.DataFrame, listed: set[str], hashed: set[str], params: TableParams) -> pd.DataFrame:
    """What is set aside for the test: a table of ``patient_id``, or of ``image_id`` where SPLIT is ``image``.

    Parameters
    ----------
    images : DataFrame
        The merged table.
    listed : set of str
        Patients of official test lists.
    hashed : set of str
        The label sources of which a share TEST_FRACTION of the patients is drawn.
    params : TableParams
        SPLIT and TEST_FRACTION. The draw does not depend on SEED: test patients are set aside once.
    """
    unit = "image_id" if params.split == "image" else "patient_id"
    drawn = images["label_source"].isin(hashed) & (hash_fraction("test", images[unit]) < params.test_fraction)
    given = images["patient_id"].isin(listed)
    return pd.DataFrame({unit: sorted(set(images.loc[drawn | given, unit]))}, dtype=str)


def read_held_out(path: Path, params: TableParams) -> pd.DataFrame:
    """test_patients.csv, checked to be of the kind that SPLIT asks for."""
    made_by = f"{ETL}/3_hold_out_test.py"
    unit = "image_id" if params.split == "image" else "patient_id"
    held_out = read_csv(path, made_by, dtype=str)
    if list(held_out.columns) != [unit]:
        columns = ", ".join(held_out.columns)
        raise InputError(
            f'{path}: SPLIT is "{params.split}": expected the column {unit}; found {columns}. Make it with: {made_by}'
        )
    return held_out


def split_images(
    images: pd.DataFrame, held_out: pd.DataFrame, seed: int, params: TableParams, given: pd.Series | None = None
) -> pd.DataFrame:
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
    given : Series of str, optional
        ``image_id`` -> train or val, where a source's own table says so; of its other films none is drawn for val as
        soon as it says val of one.

    Raises
    ------
    InputError
        There is no film of TRAIN_SOURCES.
    """
    (unit,) = held_out.columns
    sources = set(images["source"])
    wanted = images["source"].isin(params.train_sources or sources)
    if not wanted.any():
        names = ", ".join(sorted(sources))
        raise InputError(
            f"TRAIN_SOURCES: {', '.join(params.train_sources)}: no such film; the films are of {names}. Change it in "
            "PARAMS.json, or name that release in SETTINGS.json."
        )
    val = hash_fraction(f"val-{seed}", images[unit]) < params.val_fraction
    if given is not None and params.split == "patient":
        given_split = images["image_id"].map(given)
        giving = set(images["source"][given_split == "val"])
        val = np.where(images["source"].isin(giving), given_split == "val", val)
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
        names = " and ".join(shared.loc[shared["patient_id"] == patient, "split"])
        more = f" ({shared['patient_id'].nunique()} such patients)"
        raise InputError(f"split.csv: patient {patient} is in {names}{more}; results would look too good. {again}")
    return column


def read_split(path: Path, images: pd.DataFrame, by: str = "patient") -> pd.Series:
    """split.csv as the split of every row of ``images``; see `check_split`."""
    return check_split(images, read_csv(path, f"{ETL}/6_split_train_val.py", dtype=str), by)


def without_positives(images: pd.DataFrame, split: pd.Series, findings: Sequence[str]) -> list[tuple[str, str]]:
    """Split and finding, where a split has no positive film of a finding."""
    positives = images[list(findings)].groupby(split.to_numpy()).sum().reindex(list(SPLITS), fill_value=0)
    return [(name, finding) for name in SPLITS for finding in findings if positives.at[name, finding] == 0]


def why_untrainable(split: pd.Series) -> str:
    """Why a split leaves no film to train on or to validate with, and the key to blame; "" where it leaves some."""
    count = split.value_counts()
    train, val, test, unused = (int(count.get(name, 0)) for name in ("train", "val", "test", UNUSED))
    if train and val:
        return ""
    if train:
        mend = "Raise VAL_FRACTION"
    elif val:
        mend = "Lower VAL_FRACTION"
    elif unused:
        mend = "Name more in TRAIN_SOURCES"
    else:
        mend = (
            "All are held out: add films of patients that no test list names, or hold out less (without a list lower "
            "TEST_FRACTION, or say it in a table of your own)"
        )
    return (
        f"{train} films for training and {val} for validation ({test} for the test, {unused} of sources not "
        f"trained on); one or more of each are needed. {mend}"
    )


def refuse_untrainable(path: Path, split: pd.Series) -> None:
    """Raise an InputError where split.csv leaves no film to train on or to validate with."""
    if why := why_untrainable(split):
        raise InputError(f"{path}: {why}, and run: sh prepare_data.sh")


def shared_with_training(images: pd.DataFrame, split: pd.Series) -> int:
    """Test films of patients who also have films in train: none, unless SPLIT is ``image``."""
    training = images["patient_id"][split.to_numpy() == "train"]
    return int(images["patient_id"][split.to_numpy() == "test"].isin(training).sum())
