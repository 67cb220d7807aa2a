"""NIH ChestX-ray14: what is peculiar to this release is undone here, and nowhere else."""

import difflib
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.settings import Settings
from cxr.tables.raw_files import leaves_raw_folder
from cxr.tables.raw_tables import Release, completed_years, how_to_mend, none_found, read_raw_csv, whole_release
from cxr.tables.schema import problems

NIH_TABLE_ROWS = 112_120
NIH_ARCHIVES = (4_999, *[10_000] * 10, 7_121)  # films in images_001 … images_012, in the order of the full table
NIH_POSITIVES = dict(zip(FINDINGS, (4_667, 5_302, 2_303, 13_317, 1_431, 2_776), strict=True))  # of the full table
NIH_LISTS = {"test": 25_596, "train_val": 86_524}  # films
NIH_BOX_FRAME = 1024  # pixels: boxes were drawn on films of this side
NIH_OTHERS = "No Finding|Atelectasis|Infiltration|Mass|Nodule|Emphysema|Fibrosis|Pleural_Thickening|Hernia"
NIH_LABELS = (*FINDINGS, *NIH_OTHERS.split("|"))
NIH_BOX_SPELLING = {"Infiltrate": "Infiltration"}
BOX_COLUMNS = ["image_id", "finding", "x", "y", "width", "height"]


def nih_is_used(settings: Settings) -> bool:
    return settings.dataset_csv_dir != Path()


def read_nih(csv: Path, dataset_dir: Path, on_disk: pd.Series) -> Release:
    """NIH ChestX-ray14 (Wang et al., CVPR 2017), its table of 2017 or the revision of 2020.

    Parameters
    ----------
    csv : Path
        ``Data_Entry_2017.csv``, packed with gzip or not.
    dataset_dir : Path
        The raw folder, for messages.
    on_disk : Series of str
        Its files (`cxr.tables.raw_files.list_files`); films may lie in ``images_001/images``, ``images`` or anywhere
        else.

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
    places = pd.Series(on_disk.to_numpy(), index=on_disk.str.rsplit("/", n=1).str[-1])
    again = places.index.duplicated()
    listed.append(problems(places[again & places.index.isin(name)], "a second file of this name; the first is used"))
    place = name.map(places[~again])
    archive = pd.Series("", index=raw.index)
    if len(raw) == NIH_TABLE_ROWS:
        archive = pd.Series(np.repeat([f"images_{n:03d}/images/" for n in range(1, 13)], NIH_ARCHIVES))
    path = place.fillna(archive.mask(leaves_raw_folder(name), "") + name)
    if place.isna().all():
        raise none_found("NIH", dataset_dir, f"images_001/images/{name.iloc[0]}", on_disk)

    findings, unknown = nih_labels(raw["Finding Labels"])
    listed += [problems(path[rows], f"unknown label {label!r}{hint}") for label, (rows, hint) in unknown.items()]
    listed.append(problems(path[raw["Finding Labels"].isna()], "no label"))
    table = pd.DataFrame(
        {
            "image_id": "nih/" + name.str.replace(r"\.\w+$", "", regex=True),
            "path": path,
            "patient_id": "nih-" + raw["Patient ID"].str.replace(r"^\s*0*(?=\d)|\.0*$", "", regex=True),
            "view": raw["View Position"].where(raw["View Position"].isin(["PA", "AP"])),
            "sex": raw["Patient Gender"].str[:1].where(raw["Patient Gender"].str[:1].isin(["M", "F"])),
            "age": completed_years(raw["Patient Age"]),
            "source": "nih",
        }
    ).join(findings)
    return whole_release(table, listed, on_disk)


def nih_labels(text: pd.Series) -> tuple[pd.DataFrame, dict[str, tuple[pd.Series, str]]]:
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


def nih_lists(settings: Settings) -> dict[str, Path]:
    """NIH's official lists on disk: of ``test`` and ``train_val``, those that are there."""
    lists = (
        {name: _beside(settings, f"{name}_list.txt") for name in ("test", "train_val")} if nih_is_used(settings) else {}
    )
    return {name: path for name, path in lists.items() if path}


def read_list(path: Path) -> list[str]:
    """The films of one of NIH's lists.

    Raises
    ------
    InputError
        It cannot be read as text.
    """
    try:
        return path.read_text(encoding="utf-8-sig").split()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as a list of films: {error}. Download it again, or remove it."
        ) from None


def listed_patients(path: Path, nih: pd.DataFrame) -> set[str]:
    """The patients of a list, by the names of their films: ids may be hashed."""
    names = {Path(name).stem for name in read_list(path)}
    return set(nih.loc[nih["path"].map(lambda film: Path(film).stem).isin(names), "patient_id"])
