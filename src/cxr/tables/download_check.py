"""What was downloaded against what was published: every source, and the lung sets; what is wrong, in words."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cxr.core.errors import one_line
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.imaging.listing import has_film_name, reason_by_name, told
from cxr.tables import lung_sets
from cxr.tables.schema import problems
from cxr.tables.sources.catalogue import check_findings, film_paths, in_use
from cxr.tables.sources.source import Checked, Source, beside_published


def checks(settings: Settings, params: Params) -> list[Callable[[], Checked]]:
    """One check for each data set that SETTINGS.json names; each raises InputError where its set is not there."""
    check_findings(settings, params)
    wanted: list[Callable[[], Checked]] = [
        lambda source=source: check_source(source, settings, params) for source in in_use(settings)
    ]
    if params.pack.lung_masking != "none":
        wanted.append(lambda: check_lungs(settings))
    return wanted


def check_source(source: Source, settings: Settings, params: Params) -> Checked:
    """A source's tables, lists and films, as its own check tells them."""
    on_disk = source.on_disk(settings)
    release = source.read(settings, params, on_disk)
    present = release.table[release.table["path"].isin(on_disk)]
    films = {name: (path,) for name, path in zip(present["image_id"], film_paths(settings, present), strict=True)}
    listed = [release.problems[release.problems["problem"] != "missing"]]  # listed above, a folder a line
    if release.box_problems is not None:
        listed.append(release.box_problems)
    used = {f"{name}{packed}" for name in _below(settings) for packed in ("", ".gz")} | set(release.table["path"])
    lines = [*source.check(settings, params, release, on_disk), *_others(on_disk[~on_disk.isin(used)])]
    lateral = frozenset(present.loc[present["view"] == "LATERAL", "image_id"])
    return Checked(source.name, lines, pd.concat(listed, ignore_index=True), films, lateral)


def _below(settings: Settings) -> list[str]:
    """The tables and lists that are named in SETTINGS.json and lie with the films, relative to those."""
    named = [value for _, value in settings if isinstance(value, Path) and value.is_relative_to(settings.dataset_dir)]
    return [value.relative_to(settings.dataset_dir).as_posix() for value in named]


def _others(paths: pd.Series) -> list[str]:
    """What is on disk and in no table, in words, by its names: a folder of NIH is not opened file by file."""
    films = [path for path in paths if has_film_name(path)]
    lines = [f"on disk, but in no table: {len(films):,} films, such as {one_line(films[0])}"] if films else []
    return lines + told(Counter(reason_by_name(path) for path in paths if not has_film_name(path)))


def check_lungs(settings: Settings) -> Checked:
    """The lung sets, paired: what has no partner, and how many pairs each set has."""
    films_dir, masks_dir = settings.dataset_dir_segmentation, settings.mask_dir
    films, masks = sets = lung_sets.list_sets(films_dir, masks_dir)
    pairs, listed = lung_sets.pair_masks(films_dir, masks_dir, sets)
    lines = [
        f"{len(films.films):,} films, {len(pairs):,} of them with a mask; without a partner: {len(listed):,} files"
    ]
    lines += told(films.not_taken + masks.not_taken)
    for name, count in pairs["set"].value_counts().sort_index().items():
        published = lung_sets.PUBLISHED_PAIRS.get(name)
        lines.append(beside_published(name, count, published) if published else f"{name}: {count:,}")
    jobs = {pair.image_id: lung_sets.files_of(pair, films_dir, masks_dir) for pair in pairs.itertuples()}
    return Checked("lungs", lines, problems(listed["path"], listed["problem"]), jobs)
