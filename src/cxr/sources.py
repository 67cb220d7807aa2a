"""The releases of NIH ChestX-ray14 and CheXpert: what is peculiar to each is undone here, and nowhere else.

A reader returns every row of its release in the columns of `cxr.tables`, whether the film is on disk or not.
"""

import difflib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.errors import InputError
from cxr.labels import FINDINGS
from cxr.parameters import TableParams
from cxr.settings import Settings
from cxr.tables import first_of_each, leaves_raw_folder, problems, test_source, typed

OLDEST = 120  # years; NIH's table of 2017 has ages such as 411

NIH_TABLE_ROWS = 112_120
NIH_ARCHIVES = (4_999, *[10_000] * 10, 7_121)  # films in images_001 … images_012, in the order of the full table
NIH_BOX_FRAME = 1024  # pixels: boxes were drawn on films of this side
NIH_OTHERS = "No Finding|Atelectasis|Infiltration|Mass|Nodule|Emphysema|Fibrosis|Pleural_Thickening|Hernia"
NIH_LABELS = (*FINDINGS, *NIH_OTHERS.split("|"))
NIH_BOX_SPELLING = {"Infiltrate": "Infiltration"}

CHEXPERT_SPELLING = {"Effusion": "Pleural Effusion"}
CHEXPERT_FILM = r"(?P<folder>train|valid)[^/]*/(?P<film>patient(?P<patient>\d+)/study\d+/view\d+[^/]*?)\.\w+$"

BOX_COLUMNS = ["image_id", "finding", "x", "y", "width", "height"]


@dataclass(frozen=True)
class Release:
    """What a reader makes of one source.

    Attributes
    ----------
    table : DataFrame
        The columns of `cxr.tables.COLUMNS`, in the order of the release.
    problems : DataFrame
        ``path``, ``problem``.
    missing : Series of int
        Films not on disk, by archive folder.
    raw_counts : DataFrame or None
        CheXpert: how often each finding is 1, 0, -1 or blank in each of its CSV files.
    """

    table: pd.DataFrame
    problems: pd.DataFrame
    missing: pd.Series
    raw_counts: pd.DataFrame | None = None

    def __str__(self) -> str:
        """The numbers that a user would check, a line each."""
        positive = (self.table[list(FINDINGS)] == 1).fillna(False)
        known = self.table[list(FINDINGS)].notna().sum()
        other = self.problems.loc[self.problems["problem"] != "missing", "problem"].value_counts()
        lines = [
            f"{len(self.table):,} films of {self.table['patient_id'].nunique():,} patients in the table, "
            f"{len(self.table) - self.missing.sum():,} on disk",
            *[f"not on disk: {films:,} of {folder}" for folder, films in self.missing.items()],
            *[f"{finding}: {positive[finding].sum():,} of {known[finding]:,} known" for finding in FINDINGS],
            f"at least one of the six findings: {positive.any(axis=1).sum():,} of {len(self.table):,} films",
            *[f"problem: {problem}: {rows:,}" for problem, rows in other.items()],
        ]
        return "\n".join(lines)


def _release(table: pd.DataFrame, listed: list[pd.DataFrame], on_disk: pd.Series, **more) -> Release:
    """A reader's last step: one row a film, and the films that are not on disk counted and listed."""
    table, twice = first_of_each(table)
    missing = table["path"][~table["path"].isin(on_disk) & ~leaves_raw_folder(table["path"])]
    folder = missing.str.extract(r"^(.*?)/?(?:images/|patient\d+/study\d+/)?[^/]+$")[0].replace("", "an unknown folder")
    listed = pd.concat([*listed, twice, problems(missing, "missing")], ignore_index=True)
    return Release(typed(table), listed, folder.value_counts(sort=False), **more)


def nih_is_used(settings: Settings) -> bool:
    return settings.dataset_csv_dir != Path()


def chexpert_is_used(settings: Settings) -> bool:
    return bool(chexpert_csvs(settings))


def chexpert_csvs(settings: Settings) -> dict[str, Path]:
    """CheXpert's tables that SETTINGS.json names, by their key."""
    csvs = {
        "DATASET_CHEXPERT_TRAIN_CSV_DIR": settings.dataset_chexpert_train_csv_dir,
        "DATASET_CHEXPERT_VAL_CSV_DIR": settings.dataset_chexpert_val_csv_dir,
    }
    return {key: csv for key, csv in csvs.items() if csv != Path()}


def tables_in_use(settings: Settings) -> dict[Path, str]:
    """The tables to merge, each with the script that makes it: what SETTINGS.json names, not what lies around.

    Raises
    ------
    InputError
        SETTINGS.json names no source at all.
    """
    used = {}
    if nih_is_used(settings):
        used[settings.nih_csv] = "python src/classification/etl/0_nih_table.py"
    if chexpert_is_used(settings):
        used[settings.chexpert_csv] = "python src/classification/etl/1_chexpert_table.py"
    if not used:
        raise InputError(
            "SETTINGS.json: no source of films: give DATASET_CSV_DIR (NIH), or DATASET_CHEXPERT_TRAIN_CSV_DIR and "
            "DATASET_CHEXPERT_VAL_CSV_DIR (CheXpert), or all."
        )
    return used


def read_raw_csv(path: Path, columns: Iterable[str], mend: str, aliases: dict[str, str] | None = None) -> pd.DataFrame:
    """A release's own CSV file (``.gz`` too), every value as text, empty as NaN.

    Parameters
    ----------
    path : Path
        The file.
    columns : iterable of str
        Columns that must be there.
    mend : str
        What to do where the file is wrong, for messages.
    aliases : dict, optional
        Other spellings of a column, to ours.

    Raises
    ------
    InputError
        No such file, no CSV, no rows, or a column is missing.
    """
    if path.is_dir():
        raise InputError(f"{path}: expected a CSV file, found a folder. {mend}")
    if not path.exists():
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"{path}: no such table.{_did_you_mean(path.name, names)} {mend}")
    try:
        with warnings.catch_warnings():
            # NIH's rows may have one comma more or less than its header.
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            table = pd.read_csv(path, dtype=str, index_col=False, encoding="utf-8-sig", skipinitialspace=True)
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: the file is empty. {mend}") from None
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}. {mend}") from None
    table.columns = table.columns.str.strip()
    if len(table.columns) == 1 and ";" in table.columns[0]:
        raise InputError(f"{path}: separated by semicolons; expected commas. Save it again as comma-separated CSV.")
    table = table.rename(columns=aliases or {})
    for column in columns:
        if column not in table.columns:
            hint = _did_you_mean(column, table.columns)
            raise InputError(f"{path}: no column {column!r}.{hint} Found: {', '.join(table.columns[:20])}. {mend}")
    if table.empty:
        raise InputError(f"{path}: the table has a header and no rows. {mend}")
    return table


def _mend(key: str) -> str:
    return f'Mend {key} in SETTINGS.json ("" leaves this source out), or download the file again.'


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    by_lower_case = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), sorted(by_lower_case), n=1, cutoff=0.6)
    return f" Did you mean {by_lower_case[close[0]]!r}?" if close else ""


def _age(text: pd.Series) -> pd.Series:
    """Completed years from ``58``, ``058Y``, ``013M``, ``012W``, ``012D``; NA where not known or impossible."""
    parts = text.str.extract(r"^\s*(?P<number>\d+)(?:\.0*)?(?P<unit>[YMWD]?)\s*$")
    per_year = parts["unit"].map({"": 1, "Y": 1, "M": 12, "W": 52.18, "D": 365.25})
    years = np.floor(parts["number"].astype(float) / per_year)
    return years.where(years <= OLDEST).astype("Int16")


def _none_found(source: str, folder: Path, expected: str, on_disk: pd.Series) -> InputError:
    there = f"{len(on_disk)} other files are there, such as {on_disk.iloc[0]}" if len(on_disk) else "it holds no files"
    return InputError(
        f"{folder}: no film of {source}'s table was found below it; expected for example {folder / expected}; {there}. "
        "Mend DATASET_DIR in SETTINGS.json, or unpack the films there."
    )


def read_nih(csv: Path, dataset_dir: Path, on_disk: pd.Series) -> Release:
    """NIH ChestX-ray14 (Wang et al., CVPR 2017), its table of 2017 or the revision of 2020.

    Parameters
    ----------
    csv : Path
        ``Data_Entry_2017.csv``, packed with gzip or not.
    dataset_dir : Path
        The raw folder, for messages.
    on_disk : Series of str
        Its files (`cxr.tables.list_files`); films may lie in ``images_001/images``, ``images`` or anywhere else.

    Raises
    ------
    InputError
        The table is not there or not NIH's, or no film is on disk.
    """
    columns = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
    raw = read_raw_csv(csv, columns, _mend("DATASET_CSV_DIR"), {"Patient Sex": "Patient Gender"})
    named = raw["Image Index"].notna() & raw["Patient ID"].notna()
    listed = [problems(raw["Image Index"][~named].fillna(""), "row without Image Index or Patient ID")]
    raw = raw[named].reset_index(drop=True)

    name = raw["Image Index"].str.strip()
    first_place = pd.Series(on_disk.to_numpy(), index=on_disk.str.rsplit("/", n=1).str[-1])
    place = name.map(first_place[~first_place.index.duplicated()])
    archive = pd.Series("", index=raw.index)
    if len(raw) == NIH_TABLE_ROWS:
        archive = pd.Series(np.repeat([f"images_{n:03d}/images/" for n in range(1, 13)], NIH_ARCHIVES))
    path = place.fillna(archive.mask(leaves_raw_folder(name), "") + name)
    if place.isna().all():
        raise _none_found("NIH", dataset_dir, f"images_001/images/{name.iloc[0]}", on_disk)

    findings, unknown = _nih_findings(raw["Finding Labels"])
    listed += [problems(path[rows], f"unknown label {label!r}{hint}") for label, (rows, hint) in unknown.items()]
    listed.append(problems(path[raw["Finding Labels"].isna()], "no label"))
    table = pd.DataFrame(
        {
            "image_id": "nih/" + name.str.replace(r"\.\w+$", "", regex=True),
            "path": path,
            "patient_id": "nih-" + raw["Patient ID"].str.replace(r"^\s*0*(?=\d)|\.0*$", "", regex=True),
            "view": raw["View Position"].where(raw["View Position"].isin(["PA", "AP"])),
            "sex": raw["Patient Gender"].str[:1].where(raw["Patient Gender"].str[:1].isin(["M", "F"])),
            "age": _age(raw["Patient Age"]),
            "source": "nih",
        }
    ).join(findings)
    return _release(table, listed, on_disk)


def _nih_findings(text: pd.Series) -> tuple[pd.DataFrame, dict[str, tuple[pd.Series, str]]]:
    """One column a finding from ``Effusion|Mass``, and each unknown label's rows with a hint at what it may mean."""
    codes, combinations = pd.factorize(text)
    told_apart = pd.Series(combinations, dtype=str).str.replace(r"\s*\|\s*", "|", regex=True).str.strip()
    marks = told_apart.str.get_dummies("|").reindex(codes).set_axis(text.index)  # rows without a label become NaN
    findings = marks.reindex(columns=list(FINDINGS), fill_value=0).where(text.notna())
    unknown = {}
    for label in sorted(set(marks) - set(NIH_LABELS)):
        close = difflib.get_close_matches(label.lower(), [name.lower() for name in NIH_LABELS], n=1, cutoff=0.75)
        meant = next((name for name in NIH_LABELS if [name.lower()] == close), None)
        rows = marks[label] == 1
        unknown[label] = (rows, f", perhaps {meant}" if meant else "")
        if meant in FINDINGS:  # a misspelt finding must not pass for its absence
            findings[meant] = findings[meant].mask(rows & (findings[meant] == 0))
    return findings, unknown


def _beside(settings: Settings, name: str) -> Path | None:
    """A file that NIH ships with its table: beside the table or in the raw folder, or None."""
    places = [settings.dataset_csv_dir.parent / name, settings.dataset_dir / name]
    return next((place for place in places if place.is_file()), None)


def nih_boxes_csv(settings: Settings) -> Path | None:
    """NIH's 984 boxes, where they are on disk."""
    return _beside(settings, "BBox_List_2017.csv")


def read_nih_boxes(csv: Path | None, image_ids: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The boxes of our findings as fractions (0..1) of the film's sides, so that they fit films of any size; problems.

    Parameters
    ----------
    csv : Path or None
        ``BBox_List_2017.csv``, or None where there is none: no boxes then.
    image_ids : Series of str
        The films of NIH's table.
    """
    if csv is None:
        return pd.DataFrame(columns=BOX_COLUMNS), problems()
    # The header is "Image Index,Finding Label,Bbox [x,y,w,h],,,": nine names over six values.
    sides = {"Bbox [x": "x", "y": "y", "w": "width", "h]": "height"}
    raw = read_raw_csv(csv, ("Image Index", "Finding Label", *sides), "Download it again, or remove it.").rename(
        columns=sides
    )
    label = raw["Finding Label"].replace(NIH_BOX_SPELLING)
    numbers = raw[[*sides.values()]].apply(pd.to_numeric, errors="coerce") / NIH_BOX_FRAME
    boxes = pd.DataFrame({"image_id": "nih/" + raw["Image Index"].str.replace(r"\.\w+$", "", regex=True)})
    boxes = boxes.assign(finding=label).join(numbers)
    ends = pd.DataFrame({"x": numbers["x"] + numbers["width"], "y": numbers["y"] + numbers["height"]})
    inside = (numbers[["x", "y"]] >= 0).all(axis=1) & (ends <= 1).all(axis=1)
    wrong = {
        "box of an unknown label": ~label.isin(NIH_LABELS),
        "box of a film that is not in the table": ~boxes["image_id"].isin(image_ids),
        "box without area or outside the film": ~inside | ~(numbers[["width", "height"]] > 0).all(axis=1),
    }
    listed = pd.concat([problems(raw.loc[rows, "Image Index"], why) for why, rows in wrong.items()], ignore_index=True)
    good = boxes["finding"].isin(FINDINGS) & ~np.logical_or.reduce(list(wrong.values()))
    return boxes.loc[good, BOX_COLUMNS].reset_index(drop=True), listed


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
        Its files (`cxr.tables.list_files`).
    params : TableParams
        What -1 and blank mean: UNCERTAIN_LABELS, BLANK_LABELS.

    Raises
    ------
    InputError
        A table is not there or not CheXpert's, or no film is on disk.
    """
    spelling = {finding: CHEXPERT_SPELLING.get(finding, finding) for finding in FINDINGS}
    columns = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *spelling.values())
    raw = pd.concat([read_raw_csv(csv, columns, _mend(key)).assign(csv=csv.name) for key, csv in csvs.items()])
    raw = raw.reset_index(drop=True)
    film = raw["Path"].str.extract(CHEXPERT_FILM)
    readable = film["patient"].notna()
    listed = [problems(raw["Path"][~readable].astype(str), "expected …/train/patient00001/study1/view1_frontal.jpg")]
    raw, film = raw[readable].reset_index(drop=True), film[readable].reset_index(drop=True)
    if raw.empty:
        raise InputError(f"{', '.join(map(str, csvs.values()))}: {listed[0]['problem'].iloc[0]} in the column Path.")

    path = _chexpert_paths(raw["Path"], film, on_disk)
    if not path.isin(on_disk).any():
        raise _none_found("CheXpert", dataset_dir, raw["Path"].iloc[0], on_disk)
    values = raw[[*spelling.values()]].set_axis(list(FINDINGS), axis=1)
    numbers = values.apply(pd.to_numeric, errors="coerce")
    odd = values.notna() & ~numbers.isin([1, 0, -1])
    states = numbers.mask(odd, np.inf)
    listed.append(problems(path[odd.any(axis=1)], "label other than 1, 0, -1 or blank: read as not known"))

    side = raw["Frontal/Lateral"].fillna(film["film"].str.extract(r"_(\w+)$")[0]).str.lower()
    view = raw["AP/PA"].where(raw["AP/PA"].isin(["AP", "PA"])).mask(side == "lateral", "LATERAL")
    age = _age(raw["Age"])
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
    ).join(_apply_policies(states, film["folder"] == "valid", params))
    return _release(table, listed, on_disk, raw_counts=_raw_counts(states, raw["csv"]))


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


def _apply_policies(states: pd.DataFrame, expert: pd.Series, params: TableParams) -> pd.DataFrame:
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


@dataclass(frozen=True)
class TestPlan:
    """Who is set aside: patients of official lists, sources of which a share is drawn; and what is to be said of it."""

    __test__ = False  # not a test, whatever pytest thinks of its name
    listed: set[str]
    hashed: set[str]
    problems: pd.DataFrame
    notes: list[str]


def nih_lists(settings: Settings) -> dict[str, Path]:
    """NIH's official lists on disk: of ``test`` and ``train_val``, those that are there."""
    lists = (
        {name: _beside(settings, f"{name}_list.txt") for name in ("test", "train_val")} if nih_is_used(settings) else {}
    )
    return {name: path for name, path in lists.items() if path}


def plan_test(images: pd.DataFrame, nih: pd.DataFrame | None, lists: dict[str, Path], params: TableParams) -> TestPlan:
    """How the test patients of each source are found.

    Parameters
    ----------
    images : DataFrame
        The merged table.
    nih : DataFrame or None
        NIH's whole table: a listed film need not be on disk to make its patient a test patient.
    lists : dict
        From `nih_lists`. A list without any patient on disk counts as no list.
    params : TableParams
        CHEXPERT_TEST, SPLIT.
    """
    origins = test_source(images["image_id"])
    if params.split == "image":
        return TestPlan(set(), set(origins), problems(), ["SPLIT is image: a share TEST_FRACTION of all films"])
    listed, hashed, notes, in_both = set(), set(), [], problems()
    if "nih" in origins:
        patients = {name: _listed_patients(path, nih) for name, path in lists.items()}
        official = patients.get("test", set())
        if official & set(images["patient_id"]):
            listed |= official
            both = sorted(official & patients.get("train_val", set()))
            in_both = problems(both, "in NIH's test and train_val list: held out for the test")
            notes.append(f"NIH: official {lists['test'].name}")
        else:
            hashed.add("nih")
            notes.append("NIH: a share TEST_FRACTION of the patients, for there is no test_list.txt with films on disk")
    experts = set(images["patient_id"][origins == "chexpert-valid"])
    if experts and params.chexpert_test != "hash":
        listed |= experts
        notes.append("CheXpert: valid.csv, labelled by experts")
    if "chexpert-train" in origins and (not experts or params.chexpert_test != "valid"):
        hashed.add("chexpert-train")
        why = "" if params.chexpert_test != "valid" else ", for no film of valid.csv is on disk"
        notes.append(f"CheXpert: a share TEST_FRACTION of the train patients, labelled from reports{why}")
    return TestPlan(listed, hashed, in_both, notes)


def _listed_patients(path: Path, nih: pd.DataFrame) -> set[str]:
    names = pd.Series(path.read_text(encoding="utf-8-sig").split(), dtype=str)
    image_ids = "nih/" + names.str.replace(r"\.\w+$", "", regex=True)
    return set(nih.loc[nih["image_id"].isin(image_ids), "patient_id"])
