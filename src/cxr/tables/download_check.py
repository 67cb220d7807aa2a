"""What was downloaded against what was published: every source, and the lung sets; what is wrong, in words."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cxr.core.errors import counted, one_line
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.imaging.listing import has_film_name, reason_by_name, told
from cxr.tables import lung_films, lung_sets
from cxr.tables.schema import findings_of, problems
from cxr.tables.sources.catalogue import check_findings, film_paths, in_use
from cxr.tables.sources.source import Checked, Source, beside_published


def checks(settings: Settings, params: Params) -> list[Callable[[], Checked]]:
    """One check for each data set that SETTINGS.json names; each raises InputError where its set is not there."""
    check_findings(settings, params)
    wanted: list[Callable[[], Checked]] = [
        lambda source=source: check_source(source, settings, params) for source in in_use(settings)
    ]
    if params.pack.lung_masking != "none" and not lung_films.why_drawn_alone(settings, params):
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
    lines += told_of_disk(present, release.table, release.boxes)
    lateral = frozenset(present.loc[present["view"] == "LATERAL", "image_id"])
    labels = dict(zip(present["image_id"], titles(present), strict=True))
    return Checked(source.name, lines, pd.concat(listed, ignore_index=True), films, lateral, labels)


def told_of_disk(present: pd.DataFrame, table: pd.DataFrame, boxes: pd.DataFrame | None) -> list[str]:
    """What is known of the films on disk, ``present``, beside the whole ``table``, both of `cxr.tables.schema`."""
    lines = [f"on disk, beside the whole table: {len(present):,} of {len(table):,} films"]
    for finding in findings_of(table):
        here, whole = ((films[finding] == 1).sum() for films in (present, table))
        lines.append(f"  {finding}: {here:,} of {whole:,} positive, {present[finding].isna().sum():,} here not known")
    if boxes is not None and len(boxes):
        here = boxes[boxes["image_id"].isin(present["image_id"])]
        lines.append(f"  boxes: {len(here):,} of {len(boxes):,}{_counts(here['finding'], ': ')}")
    for column, name in (("view", "views"), ("sex", "sexes")):
        values, whole = (films[column].fillna("not known") for films in (present, table))
        lines.append(f"  {name}: {_counts(values)}; in the table {_counts(whole)}")
    ages = [films["age"].dropna().astype(float) for films in (present, table)]
    said = [
        f"{known.min():.0f} to {known.max():.0f}, half of them up to {known.median():.0f}" if len(known) else "none"
        for known in ages
    ]
    return [*lines, f"  ages: {said[0]}, {len(present) - len(ages[0]):,} not known; in the table {said[1]}"]


def _counts(values: pd.Series, before: str = "") -> str:
    """Values with how often each is there, the most frequent first, such as ``PA 312, AP 222``."""
    counts = ", ".join(f"{value} {count:,}" for value, count in values.value_counts().items())
    return before + counts if counts else ""


def titles(films: pd.DataFrame) -> list[str]:
    """Positive findings, sex and view of films in words: ``Edema, Effusion F AP``.

    What is not known is left out; "none" means none of the findings in use.
    """
    findings = findings_of(films)
    positive = (films[findings] == 1).fillna(False).to_numpy(bool)
    said = [", ".join(name for name, yes in zip(findings, row, strict=True) if yes) or "none" for row in positive]
    known = films[["sex", "view"]].fillna("").agg(" ".join, axis=1).str.strip()
    return [f"{labels} {rest}".strip() for labels, rest in zip(said, known, strict=True)]


def _below(settings: Settings) -> list[str]:
    """The tables and lists that are named in SETTINGS.json and lie with the films, relative to those."""
    named = [value for _, value in settings if isinstance(value, Path) and value.is_relative_to(settings.dataset_dir)]
    return [value.relative_to(settings.dataset_dir).as_posix() for value in named]


def _others(paths: pd.Series) -> list[str]:
    """What is on disk and in no table, in words, by its names: a folder of NIH is not opened file by file."""
    films = [path for path in paths if has_film_name(path)]
    lines = [f"on disk, but in no table: {counted(len(films), 'film')}, such as {one_line(films[0])}"] if films else []
    return lines + told(Counter(reason_by_name(path) for path in paths if not has_film_name(path)))


def check_lungs(settings: Settings) -> Checked:
    """The lung sets, paired: what has no partner, and how many pairs each set has."""
    films_dir, masks_dir = lung_films.places(settings)
    films, masks = sets = lung_sets.list_sets(films_dir, masks_dir)
    pairs, listed = lung_sets.pair_masks(films_dir, masks_dir, sets)
    without = counted(len(listed), "file")
    lines = [f"{counted(len(films.films), 'film')}, {len(pairs):,} of them with a mask; without a partner: {without}"]
    lines += told(films.not_taken + masks.not_taken)
    for name, count in pairs["set"].value_counts().sort_index().items():
        published = lung_sets.PUBLISHED_PAIRS.get(name)
        lines.append(beside_published(name, count, published) if published else f"{name}: {count:,}")
    jobs = {pair.image_id: lung_sets.files_of(pair, films_dir, masks_dir) for pair in pairs.itertuples()}
    return Checked("lungs", lines, problems(listed["path"], listed["problem"]), jobs)
