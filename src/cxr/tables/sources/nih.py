"""NIH ChestX-ray14: what is peculiar to this release is undone here, and nowhere else."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError, closest
from cxr.core.findings import canonical
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.tables.column_roles import sexes, views
from cxr.tables.label_values import spelling
from cxr.tables.raw_files import leaves_raw_folder, list_files, same_name
from cxr.tables.raw_tables import Release, completed_years, how_to_mend, none_found, read_raw_csv, whole_release
from cxr.tables.schema import problems
from cxr.tables.sources import nih_archives
from cxr.tables.sources.nih_archives import NIH_ARCHIVES, NIH_TABLE_ROWS
from cxr.tables.sources.source import Source, TestRule, beside_published
from cxr.tables.table_text import text_of

NIH_POSITIVES = {  # of the full table
    "Consolidation": 4_667, "Pneumothorax": 5_302, "Edema": 2_303, "Effusion": 13_317, "Pneumonia": 1_431,
    "Cardiomegaly": 2_776, "Atelectasis": 11_559, "Infiltration": 19_894, "Mass": 5_782, "Nodule": 6_331,
    "Emphysema": 2_516, "Fibrosis": 1_686, "Pleural_Thickening": 3_385, "Hernia": 227,
}  # fmt: skip
NIH_LABELS = (*NIH_POSITIVES, "No Finding")
NIH_LISTS = {"test": 25_596, "train_val": 86_524}  # films
NIH_BOX_FRAME = 1024  # pixels: boxes were drawn on films of this side
NIH_BOXES = {
    "Atelectasis": 180, "Cardiomegaly": 146, "Effusion": 153, "Infiltration": 123, "Mass": 85, "Nodule": 79,
    "Pneumonia": 120, "Pneumothorax": 98,
}  # fmt: skip
SEPARATORS = r"\s*[|;,/]\s*"  # none of them is in a label
NIH_KNOWN = {canonical(label): label for label in NIH_LABELS}
BOX_COLUMNS = ["image_id", "finding", "x", "y", "width", "height"]


def _tables(settings: Settings) -> dict[str, Path]:
    return {"DATASET_CSV_DIR": settings.dataset_csv_dir} if settings.dataset_csv_dir != Path() else {}


def read_nih(csv: Path, dataset_dir: Path, on_disk: pd.Series, findings: Sequence[str]) -> Release:
    """NIH ChestX-ray14 (Wang et al., CVPR 2017), its table of 2017 or the revision of 2020.

    Parameters
    ----------
    csv : Path
        ``Data_Entry_2017.csv``, packed with gzip or not.
    dataset_dir : Path
        The raw folder, for messages.
    on_disk : Series of str
        Its files (`cxr.tables.raw_files.list_files`); films may lie in ``images_001/images``, ``images`` or anywhere
        else, and be PNG as NIH ships them or what mirrors made of them.
    findings : sequence of str

    Raises
    ------
    InputError
        The table is not there or not NIH's, or no film is on disk.
    """
    columns = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
    raw = read_raw_csv(csv, columns, how_to_mend("DATASET_CSV_DIR"), {"Patient Sex": "Patient Gender"})
    named = raw["Image Index"].notna() & raw["Patient ID"].notna()
    listed = [problems(raw["Image Index"][~named].fillna(""), "row without Image Index or Patient ID")]
    raw = raw[named].reset_index(drop=True)
    if raw.empty:
        raise InputError(f"{csv}: no row has both Image Index and Patient ID. {how_to_mend('DATASET_CSV_DIR')}")

    name = raw["Image Index"].str.strip()
    name = name.where(leaves_raw_folder(name), name.str.replace(r"^.*[/\\]", "", regex=True))
    on_disk_path, others = same_name(name, on_disk)
    listed.append(problems(others, "a second file of this name; the first is used"))
    archive = pd.Series("", index=raw.index)
    if len(raw) == NIH_TABLE_ROWS:
        archive = pd.Series(np.repeat([f"images_{n:03d}/images/" for n in range(1, 13)], NIH_ARCHIVES))
    path = on_disk_path.fillna(archive.mask(leaves_raw_folder(name), "") + name)
    if on_disk_path.isna().all():
        raise none_found("NIH", dataset_dir, f"images_001/images/{name.iloc[0]}", on_disk, ["DATASET_CSV_DIR"])

    labels, unknown = nih_labels(raw["Finding Labels"], findings)
    listed += [problems(path[rows], f"unknown label {label!r}{hint}") for label, (rows, hint) in unknown.items()]
    listed.append(problems(path[raw["Finding Labels"].isna()], "no label"))
    table = pd.DataFrame(
        {
            "image_id": "nih/" + name.str.replace(r"\.\w+$", "", regex=True),
            "path": path,
            "patient_id": "nih-" + raw["Patient ID"].str.strip().str.replace(r"^0*(?=\d)|\.0*$", "", regex=True),
            "view": views(raw["View Position"]),
            "sex": sexes(raw["Patient Gender"]),
            "age": completed_years(raw["Patient Age"]),
            "source": "nih",
            "label_source": "nih",
        }
    ).join(labels)
    return whole_release(table, listed, on_disk)


def nih_labels(text: pd.Series, findings: Sequence[str]) -> tuple[pd.DataFrame, dict[str, tuple[pd.Series, str]]]:
    """One column a finding from ``Effusion|Mass``, and each unknown label's rows with a hint at what it may mean.

    Copies of the release write ``Effusion;Mass``, ``['effusion', 'mass']`` and ``No_Finding``. A finding that NIH does
    not label is not known of any film.
    """
    codes, combinations = pd.factorize(text)
    combined = pd.Series(combinations, dtype=str).str.strip(" []").str.replace(SEPARATORS, "|", regex=True)
    marks = combined.str.get_dummies("|")
    marks.columns = [NIH_KNOWN.get(canonical(label), label) for label in marks.columns.str.strip(" '\"")]
    marks = marks.drop(columns="", errors="ignore")  # where pandas keeps text in Arrow, an empty list has one label
    marks = marks.T.groupby(level=0).max().T.reindex(codes).set_axis(text.index)  # rows without a label become NaN
    spelt = spelling(findings, NIH_LABELS)
    labels = marks.reindex(columns=list(spelt.values()), fill_value=0).where((marks == 1).any(axis=1))
    labels = labels.set_axis(list(spelt), axis=1).reindex(columns=list(findings))
    ours = {name: finding for finding, name in spelt.items()}
    unknown = {}
    for label in sorted(set(marks) - set(NIH_LABELS)):
        meant = closest(label, NIH_LABELS, cutoff=0.75)
        rows = marks[label] == 1
        unknown[label] = (rows, f", perhaps {meant}" if meant else "")
        if meant in ours:  # a misspelt finding must not pass for its absence
            labels[ours[meant]] = labels[ours[meant]].mask(rows & (labels[ours[meant]] == 0))
    return labels, unknown


def _beside(settings: Settings, name: str) -> Path | None:
    """A file that NIH ships with its table: beside the table or in the raw folder, or None."""
    candidates = [settings.dataset_csv_dir.parent / name, settings.dataset_dir / name]
    return next((path for path in candidates if path.is_file()), None)


def nih_boxes_csv(settings: Settings) -> Path | None:
    """NIH's 984 boxes, where they are on disk."""
    return _beside(settings, "BBox_List_2017.csv")


def read_nih_boxes(
    csv: Path | None, image_ids: pd.Series, findings: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The boxes of our findings as fractions (0..1) of the film's sides, so that they fit films of any size; problems.

    Parameters
    ----------
    csv : Path or None
        ``BBox_List_2017.csv``, or None where there is none: no boxes then.
    image_ids : Series of str
        The films of NIH's table.
    findings : sequence of str
        Boxes of others are left out.
    """
    if csv is None:
        return pd.DataFrame(columns=BOX_COLUMNS), problems()
    # The header is "Image Index,Finding Label,Bbox [x,y,w,h],,,": nine names over six values.
    sides = {"Bbox [x": "x", "y": "y", "w": "width", "h]": "height"}
    raw = read_raw_csv(csv, ("Image Index", "Finding Label", *sides), "Download it again, or remove it.").rename(
        columns=sides
    )
    label = raw["Finding Label"].map(lambda text: NIH_KNOWN.get(canonical(text), text), na_action="ignore")
    numbers = raw[[*sides.values()]].apply(pd.to_numeric, errors="coerce") / NIH_BOX_FRAME
    boxes = pd.DataFrame({"image_id": "nih/" + raw["Image Index"].str.strip().str.replace(r"\.\w+$", "", regex=True)})
    boxes = boxes.assign(finding=label).join(numbers)
    ends = pd.DataFrame({"x": numbers["x"] + numbers["width"], "y": numbers["y"] + numbers["height"]})
    inside = (numbers[["x", "y"]] >= 0).all(axis=1) & (ends <= 1).all(axis=1)
    wrong = {
        "box of an unknown label": ~label.isin(NIH_LABELS),
        "box of a film that is not in the table": ~boxes["image_id"].isin(image_ids),
        "box without area or outside the film": ~inside | ~(numbers[["width", "height"]] > 0).all(axis=1),
    }
    listed = pd.concat([problems(raw.loc[rows, "Image Index"], why) for why, rows in wrong.items()], ignore_index=True)
    ours = {name: finding for finding, name in spelling(findings, NIH_LABELS).items()}
    boxes["finding"] = boxes["finding"].map(ours)
    good = boxes["finding"].notna() & ~np.logical_or.reduce(list(wrong.values()))
    return boxes.loc[good, BOX_COLUMNS].reset_index(drop=True), listed


def nih_lists(settings: Settings) -> dict[str, Path]:
    """NIH's official lists on disk: of ``test`` and ``train_val``, those that are there."""
    lists = {name: _beside(settings, f"{name}_list.txt") for name in ("test", "train_val")} if _tables(settings) else {}
    return {name: path for name, path in lists.items() if path}


def read_list(path: Path) -> list[str]:
    """The films of one of NIH's lists.

    Raises
    ------
    InputError
        It cannot be read as text.
    """
    try:
        return text_of(path, "Download it again, or remove it.").split()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}. Make it readable, or remove it.") from None


def listed_patients(path: Path, nih: pd.DataFrame) -> set[str]:
    """The patients of a list, by the names of their films: ids may be hashed."""
    names = {Path(name).stem for name in read_list(path)}
    return set(nih.loc[nih["path"].map(lambda film: Path(film).stem).isin(names), "patient_id"])


def nih_test_rule(settings: Settings, params: Params, images: pd.DataFrame, table: pd.DataFrame) -> TestRule:
    """The patients of the official test list; without one that has films on disk, a share of all.

    A listed film need not be on disk to make its patient a test patient.
    """
    lists = nih_lists(settings)
    patients = {name: listed_patients(path, table) for name, path in lists.items()}
    official = patients.get("test", set())
    if not official & set(images["patient_id"]):
        note = "NIH: a share TEST_FRACTION of the patients, for there is no test_list.txt with films on disk"
        return TestRule(hashed={"nih"}, notes=[note])
    both = sorted(official & patients.get("train_val", set()))
    in_both = problems(both, "in NIH's test and train_val list: held out for the test")
    return TestRule(listed=official, problems=in_both, notes=[f"NIH: official {lists['test'].name}"])


def check_nih(settings: Settings, params: Params, release: Release, on_disk: pd.Series) -> list[str]:
    """NIH's table, lists and boxes against the release, and its archives by name."""
    table, whole = release.table, len(release.table) == NIH_TABLE_ROWS
    lines = [beside_published("films in the table", len(table), NIH_TABLE_ROWS)]
    lines.append(f"films on disk: {table['path'].isin(on_disk).sum():,}")
    if whole:
        for finding in (finding for finding in NIH_POSITIVES if finding in table):
            lines.append(beside_published(finding, int((table[finding] == 1).sum()), NIH_POSITIVES[finding]))
        lines += nih_archives.told(table, on_disk)
    lists = nih_lists(settings)
    if whole and not table["path"].isin(on_disk).all():
        lines += nih_archives.to_begin(table, set(read_list(lists["test"])) if "test" in lists else set())
    for name, published in NIH_LISTS.items():
        if name in lists:
            lines.append(beside_published(f"{name}_list.txt", len(read_list(lists[name])), published))
        else:
            lines.append(f"{name}_list.txt: not there; without the lists a share of the patients is drawn for the test")
    if nih_boxes_csv(settings) is None:
        return [*lines, "BBox_List_2017.csv: not there"]
    if release.boxes.empty:
        return [*lines, "BBox_List_2017.csv: no box is usable"]
    published = sum(NIH_BOXES.get(name, 0) for name in spelling(params.findings, NIH_LABELS).values())
    return [*lines, beside_published("usable boxes of our findings", len(release.boxes), published)]


def _read(settings: Settings, params: Params, on_disk: pd.Series) -> Release:
    release = read_nih(settings.dataset_csv_dir, settings.dataset_dir, on_disk, params.findings)
    boxes, wrong = read_nih_boxes(nih_boxes_csv(settings), release.table["image_id"], params.findings)
    return replace(release, boxes=boxes, box_problems=wrong)


def _label_table(path: Path, params: Params) -> pd.DataFrame:
    names = read_raw_csv(path, ("Image Index",), how_to_mend("--labels"))["Image Index"]
    return read_nih(path, path.parent, names.dropna().str.strip(), params.findings).every_row


NIH = Source(
    name="nih",
    title="NIH",
    script="0_nih_table.py",
    keys=("DATASET_CSV_DIR",),
    tables=_tables,
    films_dir=lambda settings: settings.dataset_dir,
    on_disk=lambda settings: list_files(settings.dataset_dir, studies=False),
    read=_read,
    labelled=lambda settings: list(NIH_LABELS),
    test_rule=nih_test_rule,
    check=check_nih,
    film_name=r"(?:^|/)(?P<film>(?P<patient>\d{8})_\d{3})(?:\.\w+)?$",
    recognises=lambda columns: {"Image Index", "Finding Labels"} <= set(columns),
    label_table=_label_table,
    lists=nih_lists,
    has_boxes=True,
    boxes=nih_boxes_csv,
    caveat="NIH's labels were read from reports by a program; they are wrong for a share of the films.",
)
