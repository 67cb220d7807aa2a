"""CheXpert: what is peculiar to this release is undone here, and nowhere else."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.tables.column_roles import sexes, views
from cxr.tables.label_values import apply_policies, spelling, states
from cxr.tables.raw_files import leaves_raw_folder, list_files, present, stem
from cxr.tables.raw_tables import (
    Release,
    completed_years,
    how_to_mend,
    need_columns,
    none_found,
    read_raw_csv,
    whole_release,
)
from cxr.tables.schema import problems
from cxr.tables.sources.source import Source, TestRule, beside_published

CHEXPERT_LABELS = (
    "No Finding|Enlarged Cardiomediastinum|Cardiomegaly|Lung Opacity|Lung Lesion|Edema|Consolidation|Pneumonia|"
    "Atelectasis|Pneumothorax|Pleural Effusion|Pleural Other|Fracture|Support Devices"
).split("|")
CHEXPERT_ROWS = {"train": 223_414, "valid": 234, "test": 668}
CHEXPERT_POSITIVES = {  # 1 in train.csv
    "Consolidation": 14_783, "Pneumothorax": 19_448, "Edema": 52_246, "Effusion": 86_187, "Pneumonia": 6_039,
    "Cardiomegaly": 27_000,
}  # fmt: skip
# In three releases folders are named otherwise: ``CheXpert-v1.0 batch 2 (train 1)``, ``… batch 1 (validate & csv)``.
CHEXPERT_FILM = r"(?P<folder>train|valid|test)[^/]*/(?P<film>patient(?P<patient>\d+)/study\d+/view\d+[^/]*?)\.\w+$"
CHEXPERT_STUDY = r"(?P<folder>train|valid|test)[^/]*/(?P<study>patient\d+/study\d+)/?$"
CHEXPERT_NAME = r"(?P<folder>train|valid|test)[^/]*/(?P<film>patient(?P<patient>\d+)/study\d+(?:/view\d+[^/.]*)?)"
EXPERT_FOLDERS = ("valid", "test")  # labelled by radiologists who read the films
TEST_KEY = "DATASET_CHEXPERT_TEST_CSV_DIR"
OTHER_KEYS = ("DATASET_CHEXPERT_TRAIN_CSV_DIR", "DATASET_CHEXPERT_VAL_CSV_DIR")


def _tables(settings: Settings) -> dict[str, Path]:
    """CheXpert's tables that SETTINGS.json names, by their key."""
    csvs = {
        "DATASET_CHEXPERT_TRAIN_CSV_DIR": settings.dataset_chexpert_train_csv_dir,
        "DATASET_CHEXPERT_VAL_CSV_DIR": settings.dataset_chexpert_val_csv_dir,
        TEST_KEY: settings.dataset_chexpert_test_csv_dir,
    }
    return {key: csv for key, csv in csvs.items() if csv != Path()}


def films_on_disk(csvs: dict[str, Path], dataset_dir: Path) -> pd.Series:
    """Where CheXpert's films are: at the places that its tables name, or else all files of the raw folder.

    Its quarter of a million folders are only listed where a film is missing or somewhere else.
    """
    named, listed = [], []
    for key, csv in csvs.items():
        table = _posix(read_raw_csv(csv, (), how_to_mend(key)))
        paths = table.get("Path", table.get("Study", pd.Series(dtype=str))).dropna().str.rstrip("/")
        paths = paths.mask(leaves_raw_folder(paths), "nowhere")
        if "Path" in table or "Study" not in table:
            named.append(paths)
        else:  # labels of studies: their folders, which are few
            folders = [dataset_dir / study for study in paths]
            if not all(folder.is_dir() for folder in folders):
                return list_files(dataset_dir)
            listed += [f"{study}/{name}" for study in paths for name in sorted(os.listdir(dataset_dir / study))]
    named = pd.concat(named) if named else pd.Series(dtype=str)
    there = present(dataset_dir, named)
    whole = len(there) == len(named)
    return pd.concat([there, pd.Series(listed, dtype=str)]).drop_duplicates() if whole else list_files(dataset_dir)


def read_chexpert(csvs: dict[str, Path], dataset_dir: Path, on_disk: pd.Series, params: Params) -> Release:
    """CheXpert (Irvin et al., AAAI 2019), the full or the small release, whatever folder it was unpacked to.

    Parameters
    ----------
    csvs : dict
        Key of SETTINGS.json to CSV file, for one or more of ``train.csv`` (labels from reports; train_cheXbert.csv and
        train_visualCheXbert.csv are of the same form), ``valid.csv`` and the official test set's labels (experts',
        which no policy changes; a row a film, or a row a study, as CheXlocalize ships them).
    dataset_dir : Path
        The raw folder, for messages.
    on_disk : Series of str
        Its files: from `films_on_disk`, or `cxr.tables.raw_files.list_files`.
    params : Params
        FINDINGS; what -1 and blank mean: UNCERTAIN_LABELS, BLANK_LABELS.

    Raises
    ------
    InputError
        A table is not there or not CheXpert's, or no film is on disk.
    """
    spelt = spelling(params.findings, CHEXPERT_LABELS)
    raw = pd.concat([_read_csv(key, csv, list(spelt.values()), on_disk) for key, csv in csvs.items()])
    raw = raw.reset_index(drop=True)
    film = raw["Path"].str.extract(CHEXPERT_FILM)
    readable = film["patient"].notna()
    listed = [problems(raw["Path"][~readable].astype(str), "expected …/train/patient00001/study1/view1_frontal.jpg")]
    raw, film = raw[readable].reset_index(drop=True), film[readable].reset_index(drop=True)
    if raw.empty:
        raise InputError(f"{', '.join(map(str, csvs.values()))}: {listed[0]['problem'].iloc[0]} in the column Path.")

    path = _chexpert_paths(raw["Path"], film, on_disk)
    if not path.isin(on_disk).any():
        raise none_found("CheXpert", dataset_dir, raw["Path"].iloc[0], on_disk, csvs)
    raw_labels = raw[[*spelt.values()]].apply(states).set_axis(list(spelt), axis=1)
    odd = (raw_labels == np.inf).any(axis=1)
    listed.append(problems(path[odd], "label other than 1, 0, -1 or blank: read as not known"))

    side = raw["Frontal/Lateral"]
    if side.isna().any():
        side = side.astype(object).fillna(film["film"].str.extract(r"_(\w+)$")[0])
    side = side.map({name: name.strip().lower() for name in side.dropna().unique()})
    view = views(raw["AP/PA"])  # LL and RL of a frontal film say nothing
    view = view.where(view.isin(["AP", "PA"])).mask(side == "lateral", "LATERAL")
    age = completed_years(raw["Age"])
    labels = apply_policies(raw_labels, film["folder"].isin(EXPERT_FOLDERS), params.tables, blank="negative")
    table = pd.DataFrame(
        {
            "image_id": "chexpert/" + film["folder"] + "/" + film["film"],
            "path": path,
            "patient_id": "chexpert-" + film["patient"].astype(int).astype(str),
            "view": view,
            "sex": sexes(raw["Sex"]),
            "age": age.mask(age == 0),  # a hospital for adults: 0 stands for not known
            "source": "chexpert",
            "label_source": "chexpert-" + film["folder"],
        }
    ).join(labels.reindex(columns=list(params.findings)))
    return whole_release(table, listed, on_disk, raw_counts=_raw_counts(raw_labels, raw["csv"]))


def _read_csv(key: str, csv: Path, labels: Sequence[str], on_disk: pd.Series) -> pd.DataFrame:
    """One of its tables, with a row a film; what a table of labels alone lacks is empty."""
    about = ("Sex", "Age", "Frontal/Lateral", "AP/PA")
    raw = _posix(read_raw_csv(csv, labels, how_to_mend(key)))
    names = raw.get("Path", raw.get("Study", pd.Series(dtype=str)))
    if key in OTHER_KEYS and set(names.str.extract(CHEXPERT_NAME)["folder"].dropna()) == {"test"}:
        raise InputError(
            f"{csv}: {key} names labels of the official test set ({names.iloc[0]} …); expected train.csv or valid.csv. "
            f"Give it as {TEST_KEY} in SETTINGS.json."
        )
    if "Path" not in raw and "Study" in raw:
        raw = _films_of_studies(raw, on_disk)
    # The test set's tables hold labels alone; train.csv and valid.csv have all of the others.
    need_columns(raw, csv, ("Path", *(about if set(about) & set(raw) else ())), how_to_mend(key))
    return raw.reindex(columns=["Path", *about, *labels]).assign(csv=csv.name)


def _posix(raw: pd.DataFrame) -> pd.DataFrame:
    """The table with its paths as Linux writes them."""
    paths = [name for name in ("Path", "Study") if name in raw]
    return raw.assign(**{name: raw[name].str.strip().str.replace("\\", "/", regex=False) for name in paths})


def _films_of_studies(raw: pd.DataFrame, on_disk: pd.Series) -> pd.DataFrame:
    """A row for every film on disk of each study: CheXpert's labels are of studies."""
    study = raw["Study"].str.extract(CHEXPERT_STUDY)
    film = on_disk.str.extract(r"(?P<folder>train|valid|test)[^/]*/(?P<study>patient\d+/study\d+)/view").assign(
        Path=on_disk.to_numpy()
    )
    return raw.join(study).merge(film.dropna(), on=["folder", "study"], how="inner").drop(columns=["folder", "study"])


def _chexpert_paths(given: pd.Series, film: pd.DataFrame, on_disk: pd.Series) -> pd.Series:
    """Where each film is, or would be: decided for a whole folder (train, valid), by what is on disk.

    The CSV says ``CheXpert-v1.0-small/train/…``; on disk the first part may be missing or another one, and the newest
    release spreads train over ``CheXpert-v1.0 batch 2 (train 1)`` and two more. Mirrors made PNG of its JPEG.
    """
    if given.isin(on_disk).all():
        return given
    there = on_disk.str.extract(r"^(?P<base>.*?)/?(?P<patient>patient\d+)/study\d+/").dropna().drop_duplicates()
    parts = given.str.extract(r"^(?P<base>.*?)/?(?P<film>(?P<patient>patient\d+)/.*)$")
    path = given.copy()
    for folder in sorted(set(film["folder"])):
        rows = (film["folder"] == folder) & ~leaves_raw_folder(given)  # those are not repaired: step 2 lists them
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
    missing = ~path.isin(on_disk)
    if not missing.any():
        return path
    as_stored = pd.Series(on_disk.to_numpy(), index=stem(on_disk)).groupby(level=0).first()
    return path.mask(missing, stem(path[missing]).map(as_stored)).fillna(path)


def _raw_counts(raw: pd.DataFrame, csv: pd.Series) -> pd.DataFrame:
    marks = {"1": raw == 1, "0": raw == 0, "-1": raw == -1, "blank": raw.isna(), "other": raw == np.inf}
    counts = {
        value: mark.groupby(csv, sort=False).sum().stack() for value, mark in marks.items() if mark.any(axis=None)
    }
    return pd.DataFrame(counts).rename_axis(["csv", "finding"])


def chexpert_test_rule(settings: Settings, params: Params, images: pd.DataFrame, table: pd.DataFrame) -> TestRule:
    """CHEXPERT_TEST. The official test set, where its table is given, is always set aside."""
    wanted, labelled_by = params.tables.chexpert_test, images["label_source"]
    experts, official = (set(images["patient_id"][labelled_by == f"chexpert-{folder}"]) for folder in EXPERT_FOLDERS)
    if wanted == "official" and not official:
        raise InputError(
            f'CHEXPERT_TEST is "official", and no film of the official test set is on disk. Give its labels as '
            f"{TEST_KEY} in SETTINGS.json and its films below DATASET_DIR (…/test/patient64741/study1/…), or change "
            "CHEXPERT_TEST."
        )
    listed, hashed, notes = set(official), set(), []
    if official:
        notes.append("CheXpert: the official test set, labelled by experts")
    if experts and wanted in ("valid", "both"):
        listed |= experts
        notes.append("CheXpert: valid.csv, labelled by experts")
    if "chexpert-train" in set(labelled_by) and wanted != "official" and (not experts or wanted != "valid"):
        hashed.add("chexpert-train")
        why = "" if wanted != "valid" else ", for no film of valid.csv is on disk"
        notes.append(f"CheXpert: a share TEST_FRACTION of the train patients, labelled from reports{why}")
    return TestRule(listed, hashed, notes=notes)


def check_chexpert(settings: Settings, params: Params, release: Release, on_disk: pd.Series) -> list[str]:
    """CheXpert's tables against the release, as they have their labels."""
    folder, lines = release.table["image_id"].str.split("/").str[1], []
    for part, published in CHEXPERT_ROWS.items():
        if (folder == part).any():
            lines.append(beside_published(f"films in {part}.csv", int((folder == part).sum()), published))
            missing = int((~release.table["path"].isin(on_disk) & (folder == part)).sum())
            lines.append(f"  of them not on disk: {missing:,}")
    positives = release.raw_counts.reindex(columns=["1"], fill_value=0)["1"]
    for (name, finding), positive in positives.items():
        if name == "train.csv" and finding in CHEXPERT_POSITIVES:
            lines.append(beside_published(f"{finding} in {name}", int(positive), CHEXPERT_POSITIVES[finding]))
    return lines


def _label_table(path: Path, params: Params) -> pd.DataFrame:
    """Labels of films, and of studies where the table is of studies: their films are not known then."""
    raw = read_raw_csv(path, (), how_to_mend("--labels"))
    names = raw["Path"] if "Path" in raw else raw["Study"].str.rstrip("/") + "/view1_frontal.jpg"
    return read_chexpert({"--labels": path}, path.parent, names.dropna(), params).every_row


CHEXPERT = Source(
    name="chexpert",
    title="CheXpert",
    script="1_chexpert_table.py",
    keys=(*OTHER_KEYS, TEST_KEY),
    tables=_tables,
    films_dir=lambda settings: settings.dataset_dir,
    on_disk=lambda settings: films_on_disk(_tables(settings), settings.dataset_dir),
    read=lambda settings, params, on_disk: read_chexpert(_tables(settings), settings.dataset_dir, on_disk, params),
    labelled=lambda settings: list(CHEXPERT_LABELS),
    test_rule=chexpert_test_rule,
    check=check_chexpert,
    film_name=CHEXPERT_NAME,
    recognises=lambda columns: (
        {"Path", "Frontal/Lateral"} <= set(columns)
        or (bool({"Path", "Study"} & set(columns)) and len(set(CHEXPERT_LABELS) & set(columns)) > 7)
    ),
    label_table=_label_table,
    parameters=("UNCERTAIN_LABELS", "BLANK_LABELS"),
    by_study=True,
    folders_label=True,
    caveat="Labels of CheXpert's train set were read from reports by a program; they are wrong for a share of the "
    "films. Those of its valid and test sets are radiologists'.",
)
