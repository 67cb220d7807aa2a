"""CheXpert: what is peculiar to this release is undone here, and nowhere else."""

from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.parameters import TableParams
from cxr.core.settings import Settings
from cxr.tables.raw_files import leaves_raw_folder, list_files, present
from cxr.tables.raw_tables import Release, completed_years, how_to_mend, none_found, read_raw_csv, whole_release
from cxr.tables.schema import problems

CHEXPERT_SPELLING = {"Effusion": "Pleural Effusion"}
CHEXPERT_ROWS = {"train": 223_414, "valid": 234}
CHEXPERT_POSITIVES = dict(zip(FINDINGS, (14_783, 19_448, 52_246, 86_187, 6_039, 27_000), strict=True))  # 1 in train.csv
CHEXPERT_FILM = r"(?P<folder>train|valid)[^/]*/(?P<film>patient(?P<patient>\d+)/study\d+/view\d+[^/]*?)\.\w+$"


def chexpert_is_used(settings: Settings) -> bool:
    return bool(chexpert_csvs(settings))


def chexpert_csvs(settings: Settings) -> dict[str, Path]:
    """CheXpert's tables that SETTINGS.json names, by their key."""
    csvs = {
        "DATASET_CHEXPERT_TRAIN_CSV_DIR": settings.dataset_chexpert_train_csv_dir,
        "DATASET_CHEXPERT_VAL_CSV_DIR": settings.dataset_chexpert_val_csv_dir,
    }
    return {key: csv for key, csv in csvs.items() if csv != Path()}


def films_on_disk(csvs: dict[str, Path], dataset_dir: Path) -> pd.Series:
    """Where CheXpert's films are: at the places that its tables name, or else all files of the raw folder.

    Its quarter of a million folders are only listed where a film is missing or somewhere else.
    """
    named = pd.concat([read_raw_csv(csv, ("Path",), how_to_mend(key))["Path"] for key, csv in csvs.items()]).dropna()
    there = present(dataset_dir, named[~leaves_raw_folder(named)])
    return there if len(there) == len(named) else list_files(dataset_dir, skip=("images",))  # NIH's folders


def read_chexpert(csvs: dict[str, Path], dataset_dir: Path, on_disk: pd.Series, params: TableParams) -> Release:
    """CheXpert (Irvin et al., AAAI 2019), the full or the small release, whatever folder it was unpacked to.

    Parameters
    ----------
    csvs : dict
        Key of SETTINGS.json to CSV file, for one or both of ``train.csv`` (labels from reports) and ``valid.csv``
        (expert labels, which no policy changes).
    dataset_dir : Path
        The raw folder, for messages.
    on_disk : Series of str
        Its files: from `films_on_disk`, or `cxr.tables.raw_files.list_files`.
    params : TableParams
        What -1 and blank mean: UNCERTAIN_LABELS, BLANK_LABELS.

    Raises
    ------
    InputError
        A table is not there or not CheXpert's, or no film is on disk.
    """
    spelling = {finding: CHEXPERT_SPELLING.get(finding, finding) for finding in FINDINGS}
    columns = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *spelling.values())
    raw = pd.concat([read_raw_csv(csv, columns, how_to_mend(key)).assign(csv=csv.name) for key, csv in csvs.items()])
    raw = raw.reset_index(drop=True)
    film = raw["Path"].str.extract(CHEXPERT_FILM)
    readable = film["patient"].notna()
    listed = [problems(raw["Path"][~readable].astype(str), "expected …/train/patient00001/study1/view1_frontal.jpg")]
    raw, film = raw[readable].reset_index(drop=True), film[readable].reset_index(drop=True)
    if raw.empty:
        raise InputError(f"{', '.join(map(str, csvs.values()))}: {listed[0]['problem'].iloc[0]} in the column Path.")

    path = _chexpert_paths(raw["Path"], film, on_disk)
    if not path.isin(on_disk).any():
        raise none_found("CheXpert", dataset_dir, raw["Path"].iloc[0], on_disk)
    values = raw[[*spelling.values()]].set_axis(list(FINDINGS), axis=1)
    numbers = values.apply(pd.to_numeric, errors="coerce")
    odd = values.notna() & ~numbers.isin([1, 0, -1])
    states = numbers.mask(odd, np.inf)
    listed.append(problems(path[odd.any(axis=1)], "label other than 1, 0, -1 or blank: read as not known"))

    side = raw["Frontal/Lateral"]
    if side.isna().any():
        side = side.fillna(film["film"].str.extract(r"_(\w+)$")[0])
    side = side.map({name: name.lower() for name in side.dropna().unique()})
    view = raw["AP/PA"].where(raw["AP/PA"].isin(["AP", "PA"])).mask(side == "lateral", "LATERAL")
    age = completed_years(raw["Age"])
    table = pd.DataFrame(
        {
            "image_id": "chexpert/" + film["folder"] + "/" + film["film"],
            "path": path,
            "patient_id": "chexpert-" + film["patient"].astype(int).astype(str),
            "view": view,
            "sex": raw["Sex"].map({"Male": "M", "Female": "F"}),
            "age": age.mask(age == 0),  # a hospital for adults: 0 stands for not known
            "source": "chexpert",
        }
    ).join(apply_policies(states, film["folder"] == "valid", params))
    return whole_release(table, listed, on_disk, raw_counts=_raw_counts(states, raw["csv"]))


def _chexpert_paths(given: pd.Series, film: pd.DataFrame, on_disk: pd.Series) -> pd.Series:
    """Where each film is, or would be: decided for a whole folder (train, valid), by what is on disk.

    The CSV says ``CheXpert-v1.0-small/train/…``; on disk the first part may be missing or another one, and the newest
    release spreads train over ``CheXpert-v1.0 batch 2 (train 1)`` and two more.
    """
    if given.isin(on_disk).all():
        return given
    there = on_disk.str.extract(r"^(?P<base>.*?)/?(?P<patient>patient\d+)/study\d+/").dropna().drop_duplicates()
    parts = given.str.extract(r"^(?P<base>.*?)/?(?P<film>(?P<patient>patient\d+)/.*)$")
    path = given.copy()
    for folder in sorted(set(film["folder"])):
        rows = (film["folder"] == folder) & ~leaves_raw_folder(given)  # those are not mended: step 2 lists them
        last = there["base"].str.rsplit("/", n=1).str[-1]
        here = there[last.str.contains(folder) | (last == "")]
        if here.empty or here["base"].isin(parts.loc[rows, "base"]).any():
            continue  # the folder is nowhere, or where the CSV says
        home = here.sort_values("base").drop_duplicates("patient").set_index("patient")["base"]
        base = parts.loc[rows, "patient"].map(home)
        if home.nunique() == 1:
            base = base.fillna(home.iloc[0])
        path = path.mask(
            rows & base.notna().reindex(path.index, fill_value=False), (base + "/").str.lstrip("/") + parts["film"]
        )
    return path


def apply_policies(states: pd.DataFrame, expert: pd.Series, params: TableParams) -> pd.DataFrame:
    """1, 0, NaN from CheXpert's 1, 0, -1, NaN (blank) and inf (something else); experts' blanks are just not known."""
    meaning = {"negative": 0.0, "positive": 1.0, "ignore": np.nan}
    labels = states.where(states.isin([0, 1]))
    for finding in FINDINGS:
        uncertain = meaning[params.uncertain_labels.get(finding, "ignore")]
        blank = meaning[params.blank_labels.get(finding, "negative")]
        labels[finding] = labels[finding].mask(~expert & (states[finding] == -1), uncertain)
        labels[finding] = labels[finding].mask(~expert & states[finding].isna(), blank)
    return labels


def _raw_counts(states: pd.DataFrame, csv: pd.Series) -> pd.DataFrame:
    marks = {"1": states == 1, "0": states == 0, "-1": states == -1, "blank": states.isna(), "other": states == np.inf}
    counts = {
        value: mark.groupby(csv, sort=False).sum().stack() for value, mark in marks.items() if mark.any(axis=None)
    }
    return pd.DataFrame(counts).rename_axis(["csv", "finding"])
