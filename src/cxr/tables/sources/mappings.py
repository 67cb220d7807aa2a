"""Public releases that the own table reads by name: OWN_CSV is the release's table, OWN_COLUMNS its name here.

Column names and vocabularies are facts of the releases' own documentation, cited with each.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError, counted
from cxr.tables.label_values import spelling, states
from cxr.tables.raw_tables import how_to_mend, need_columns, read_raw_csv
from cxr.tables.sources.own_table import OwnTable, listed_labels

MEND = how_to_mend("OWN_CSV")
# PadChest's words (Bustos 2020, tree of terms) for what others call otherwise.
PADCHEST_WORDS = {
    "pulmonary edema": "edema",
    "pulmonary fibrosis": "fibrosis",
    "pulmonary mass": "mass",
    "infiltrates": "infiltration",
    "hiatal hernia": "hernia",
    "normal": "no finding",
}
VINDR_WORDS = {"Pulmonary fibrosis": "Fibrosis", "Other diseases": "Other disease"}


def mimic_cxr_jpg(raw: pd.DataFrame, csv: Path, findings: Sequence[str]) -> OwnTable:
    """MIMIC-CXR-JPG 2.0.0 and 2.1.0 (Johnson 2019, PhysioNet): OWN_CSV is ``mimic-cxr-2.0.0-metadata.csv`` (.gz too).

    Labels are of studies, by CheXpert's labeller: 1, 0, -1, blank = not mentioned, which counts as absent there. They
    come from ``…-chexpert.csv`` beside it, the split from ``…-split.csv``; the films lie at
    ``files/p10/p10000032/s50414267/<dicom_id>.jpg``.
    """
    need_columns(raw, csv, ("dicom_id", "subject_id", "study_id", "ViewPosition"), MEND)
    labels_csv, split_csv = (_beside(csv, "-metadata", part) for part in ("-chexpert", "-split"))
    labels = _once(read_raw_csv(labels_csv, ("subject_id", "study_id"), MEND), labels_csv, "study_id")
    labelled = [column for column in labels if column not in ("subject_id", "study_id")]
    table = raw[["dicom_id", "subject_id", "study_id", "ViewPosition"]].merge(
        labels.drop(columns="subject_id"), on="study_id", how="left"
    )
    split = _once(read_raw_csv(split_csv, ("dicom_id", "split"), MEND)[["dicom_id", "split"]], split_csv, "dicom_id")
    patient = "p" + table["subject_id"]
    films = _films(
        "files/" + patient.str[:3] + "/" + patient + "/s" + table["study_id"] + "/" + table["dicom_id"] + ".jpg",
        patient=patient,
        view=table["ViewPosition"],
        split=table["dicom_id"].map(split.set_index("dicom_id")["split"]),
    )
    values = _columns(table, spelling(findings, labelled))
    # A study without a row was not labelled at all: that is not known, and no blank of the labeller's.
    values[~table["study_id"].isin(labels["study_id"])] = np.inf
    notes = [f"labels of {labels_csv.name}, by study; split of {split_csv.name}"]
    return OwnTable(films, values, labelled, blank="negative", notes=notes)


def padchest(raw: pd.DataFrame, csv: Path, findings: Sequence[str]) -> OwnTable:
    """PadChest (Bustos 2020): ``PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv``, films at <ImageDir>/<ImageID>.

    A film's Labels are a list of words; one that is not in it is absent. Films whose labels hold ``exclude`` or
    ``suboptimal study`` have none that is known. No age is given but a birth year.
    """
    need_columns(raw, csv, ("ImageID", "PatientID", "Projection", "Labels"), MEND)
    words = raw["Labels"].str.lower()
    for spoken, name in PADCHEST_WORDS.items():
        words = words.str.replace(rf"(?<=['\",\[]){spoken}(?=['\",\]])", name, regex=True)
    labels, labelled = listed_labels(words, findings)
    unfit = words.str.contains("exclude|suboptimal study", na=True, regex=True)
    labels = labels.mask(unfit)
    folder = raw["ImageDir"].str.removesuffix(".0") + "/" if "ImageDir" in raw else ""
    born = pd.to_numeric(raw.get("PatientBirth", pd.Series(np.nan, raw.index)), errors="coerce")
    taken = pd.to_numeric(raw["StudyDate_DICOM"].str[:4], errors="coerce") if "StudyDate_DICOM" in raw else np.nan
    films = _films(
        folder + raw["ImageID"],
        patient=raw["PatientID"],
        view=raw["Projection"].where(~raw["Projection"].isin(["COSTAL", "EXCLUDE", "UNK"])),
        sex=raw.get("PatientSex_DICOM", np.nan),
        age=(taken - born).astype("Int16").astype("string"),
    )
    return OwnTable(films, labels, labelled, notes=[f"{counted(int(unfit.sum()), 'film')} without usable labels"])


def vindr_cxr(raw: pd.DataFrame, csv: Path, findings: Sequence[str]) -> OwnTable:
    """VinDr-CXR 1.0.0 (Nguyen 2022, PhysioNet): ``annotations/image_labels_train.csv``; the test's beside it.

    Each training film was labelled by three radiologists, a row each: the majority counts. The test films' consensus is
    one row. Films are ``train/<image_id>.dicom`` and ``test/…``; all are PA; no patient is given.
    """
    need_columns(raw, csv, ("image_id",), MEND)
    parts = [raw.assign(split="train" if "train" in csv.name else "test")]
    test_csv = csv.with_name(csv.name.replace("_train", "_test"))
    if test_csv != csv and test_csv.is_file():
        parts.append(read_raw_csv(test_csv, ("image_id",), MEND).assign(split="test"))
    table = pd.concat(parts, ignore_index=True).rename(columns=VINDR_WORDS)
    labelled = [column for column in table if column not in ("image_id", "rad_id", "split")]
    films = _films(table["split"] + "/" + table["image_id"] + ".dicom", view="PA", split=table["split"])
    notes = [f"{counted(len(parts), 'table')} of labels; several readers a film: the majority counts"]
    values = _columns(table, spelling(findings, labelled))
    return OwnTable(films, values, labelled, majority=True, notes=notes)


MAPPINGS: dict[str, Callable[[pd.DataFrame, Path, Sequence[str]], OwnTable]] = {
    "mimic-cxr-jpg": mimic_cxr_jpg,
    "padchest": padchest,
    "vindr-cxr": vindr_cxr,
}


def _films(path: pd.Series, **about) -> pd.DataFrame:
    """The films of an `OwnTable`; what is not given is NaN."""
    empty = dict.fromkeys(("patient", "view", "sex", "age", "split"), np.nan)
    return pd.DataFrame({"path": path, **empty, **about}, index=path.index)


def _once(table: pd.DataFrame, csv: Path, key: str) -> pd.DataFrame:
    """The table with one row a study or film; rows that say the same are one, others are refused."""
    table = table.drop_duplicates()
    again = table[key].duplicated()
    if again.any():
        raise InputError(
            f"{csv}: {key} {table.loc[again, key].iloc[0]} stands in several rows that differ "
            f"({counted(int(again.sum()), 'row')} too many); expected one. Keep one, or download the file again."
        )
    return table


def _columns(table: pd.DataFrame, spelt: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame({finding: states(table[column]) for finding, column in spelt.items()}, index=table.index)


def _beside(csv: Path, part: str, other: str) -> Path:
    """The table that ships with another, its name but for one part, packed with gzip or not."""
    plain = csv.name.replace(part, other)
    names = [plain, plain.removesuffix(".gz"), plain.removesuffix(".gz") + ".gz"]
    for path in (csv.with_name(name) for name in names if name != csv.name):
        if path.is_file():
            return path
    raise InputError(f"{csv.with_name(plain)}: no such table; expected beside {csv.name}. {MEND}")
