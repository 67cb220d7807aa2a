"""What was downloaded against what was published: archives, tables, lists, lung sets; what is wrong, in words."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.imaging.listing import list_films
from cxr.tables import lung_sets
from cxr.tables.raw_files import list_files
from cxr.tables.schema import problems
from cxr.tables.sources import chexpert, nih


@dataclass(frozen=True)
class Checked:
    """One data set.

    lines: what to tell. problems: ``path``, ``problem``. films: name of each film to the files it is read from:
    one, or a lung film and its masks.
    """

    name: str
    lines: list[str]
    problems: pd.DataFrame
    films: dict[str, tuple[Path, ...]]


def checks(settings: Settings, params: Params) -> list[Callable[[], Checked]]:
    """One check for each data set that SETTINGS.json names; each raises InputError where its set is not there."""
    wanted: list[Callable[[], Checked]] = []
    if nih.nih_is_used(settings):
        wanted.append(lambda: check_nih(settings))
    if chexpert.chexpert_is_used(settings):
        wanted.append(lambda: check_chexpert(settings, params))
    if params.pack.lung_masking != "none":
        wanted.append(lambda: check_lungs(settings))
    return wanted


def beside_published(what: str, found: int, published: int) -> str:
    same = "as published" if found == published else f"DIFFERS from the {published:,} published"
    return f"{what}: {found:,}, {same}"


def check_nih(settings: Settings) -> Checked:
    """NIH's table, lists and boxes against the release, and its archives by name."""
    on_disk = list_files(settings.dataset_dir, skip=("chexpert", "patient"))
    release = nih.read_nih(settings.dataset_csv_dir, settings.dataset_dir, on_disk)
    table, whole = release.table, len(release.table) == nih.NIH_TABLE_ROWS
    lines = [beside_published("films in the table", len(table), nih.NIH_TABLE_ROWS)]
    lines.append(f"films on disk: {table['path'].isin(on_disk).sum():,}")
    if whole:
        for finding, published in nih.NIH_POSITIVES.items():
            lines.append(beside_published(finding, int((table[finding] == 1).sum()), published))
        lines += _archives(table, on_disk)
    lists = nih.nih_lists(settings)
    for name, published in nih.NIH_LISTS.items():
        if name in lists:
            lines.append(beside_published(f"{name}_list.txt", len(nih.read_list(lists[name])), published))
        else:
            lines.append(f"{name}_list.txt: not there; without the lists a share of the patients is drawn for the test")
    boxes_csv = nih.nih_boxes_csv(settings)
    boxes, wrong = nih.read_nih_boxes(boxes_csv, table["image_id"])
    usable = f"boxes of our findings: {len(boxes):,} of 517" if len(boxes) else "BBox_List_2017.csv: no box is usable"
    lines.append(usable if boxes_csv else "BBox_List_2017.csv: not there")
    listed = release.problems[release.problems["problem"] != "missing"]  # told above, an archive a line
    return Checked("nih", lines, pd.concat([listed, wrong], ignore_index=True), _on_disk(table, on_disk, settings))


def _archives(table: pd.DataFrame, on_disk: pd.Series) -> list[str]:
    """A line for each of NIH's twelve archives that is not whole on disk."""
    lines, first = [], 0
    there = table["path"].isin(on_disk)
    for number, films in enumerate(nih.NIH_ARCHIVES, start=1):
        found, first = int(there[first : first + films].sum()), first + films
        if not found:
            lines.append(f"images_{number:03d}.tar.gz: MISSING, none of its {films:,} films is on disk")
        elif found < films:
            lines.append(f"images_{number:03d}.tar.gz: {films - found:,} of its {films:,} films are missing")
    return lines or ["all twelve archives are whole"]


def _on_disk(table: pd.DataFrame, on_disk: pd.Series, settings: Settings) -> dict[str, tuple[Path, ...]]:
    found = table[table["path"].isin(on_disk)]
    return {name: (settings.dataset_dir / path,) for name, path in zip(found["image_id"], found["path"], strict=True)}


def check_chexpert(settings: Settings, params: Params) -> Checked:
    """CheXpert's tables against the release, as they have their labels."""
    on_disk = list_files(settings.dataset_dir, skip=("images",))
    csvs = chexpert.chexpert_csvs(settings)
    release = chexpert.read_chexpert(csvs, settings.dataset_dir, on_disk, params.tables)
    folder, lines = release.table["image_id"].str.split("/").str[1], []
    for part, published in chexpert.CHEXPERT_ROWS.items():
        if (folder == part).any():
            lines.append(beside_published(f"films in {part}.csv", int((folder == part).sum()), published))
            missing = int((~release.table["path"].isin(on_disk) & (folder == part)).sum())
            lines.append(f"  of them not on disk: {missing:,}")
    positives = release.raw_counts.reindex(columns=["1"], fill_value=0)["1"]
    for (name, finding), found in positives.items():
        if "train" in name:
            lines.append(beside_published(f"{finding} in {name}", int(found), chexpert.CHEXPERT_POSITIVES[finding]))
    listed = release.problems[release.problems["problem"] != "missing"]
    return Checked("chexpert", lines, listed, _on_disk(release.table, on_disk, settings))


def check_lungs(settings: Settings) -> Checked:
    """The lung sets, paired: what has no partner, and how many pairs each set has."""
    films_dir, masks_dir = settings.dataset_dir_segmentation, settings.mask_dir
    pairs, listed = lung_sets.pair_masks(films_dir, masks_dir)
    films = len(list_films(films_dir))
    lines = [f"{films:,} films, {len(pairs):,} of them with a mask; without a partner: {len(listed):,} files"]
    for name, count in pairs["set"].value_counts().sort_index().items():
        published = lung_sets.PUBLISHED_PAIRS.get(name)
        lines.append(beside_published(name, count, published) if published else f"{name}: {count:,}")
    jobs = {
        pair.image_id: (films_dir / pair.film, *(masks_dir / mask for mask in pair.masks.split("|")))
        for pair in pairs.itertuples()
    }
    return Checked("lungs", lines, problems(listed["path"], listed["problem"]), jobs)
