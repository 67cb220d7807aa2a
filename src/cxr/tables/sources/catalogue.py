"""All sources, and what the rest of the project asks of them together: a further source is a line in `SOURCES`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core import artifacts
from cxr.core.artifacts import Step
from cxr.core.errors import InputError, hint
from cxr.core.findings import canonical
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.tables import pseudonyms
from cxr.tables.raw_files import list_files, present
from cxr.tables.schema import ETL, problems_csv, read_table
from cxr.tables.sources.chexpert import CHEXPERT
from cxr.tables.sources.nih import NIH, read_list
from cxr.tables.sources.own import OWN
from cxr.tables.sources.source import Source, TestRule, given_split_csv, read_given_split

SOURCES = (NIH, CHEXPERT, OWN)
BY_NAME = {source.name: source for source in SOURCES}


def in_use(settings: Settings) -> list[Source]:
    """The sources of which SETTINGS.json names a table, not what lies around.

    Raises
    ------
    InputError
        There is none.
    """
    used = [source for source in SOURCES if source.tables(settings)]
    if not used:
        raise InputError(
            "SETTINGS.json: no source of films: give DATASET_CSV_DIR (NIH), or DATASET_CHEXPERT_TRAIN_CSV_DIR and "
            "DATASET_CHEXPERT_VAL_CSV_DIR (CheXpert), or OWN_CSV (a table of your own), or all."
        )
    return used


def check_findings(settings: Settings, params: Params) -> None:
    """Raise an InputError where no source in use labels a finding, or TRAIN_SOURCES names one that is not in use."""
    labelled = {source.title: source.labelled(settings) for source in in_use(settings)}
    known = {canonical(name): name for names in labelled.values() for name in names}
    for finding in params.findings:
        if canonical(finding) not in known:
            offers = "; ".join(f"{title}: {', '.join(names[:30])}" for title, names in labelled.items())
            raise InputError(
                f"FINDINGS: no source in use labels {finding}.{hint(finding, known.values())} There are {offers}."
            )
    used = [source.name for source in in_use(settings)]
    for name in params.tables.train_sources:
        if name not in BY_NAME:
            raise InputError(f"TRAIN_SOURCES: {name}: expected some of {', '.join(BY_NAME)}.{hint(name, BY_NAME)}")
        if name not in used:
            raise InputError(
                f"TRAIN_SOURCES: {name}: SETTINGS.json names no table of it ({', '.join(BY_NAME[name].keys)}), only of "
                f"{', '.join(used)}. Name one, or change TRAIN_SOURCES."
            )


def made_by(source: Source) -> str:
    """The command that makes a source's table."""
    return f"{ETL}/{source.script}"


def make_table(source: Source, settings: Settings, params: Params, strict: bool) -> list[str]:
    """A source's table in our columns, its problems, and its boxes and given split where it has some; what to tell.

    Made again only where the raw tables, the films' names or the parameters that it depends on have changed.
    """
    if not source.tables(settings):
        are = "is" if len(source.keys) == 1 else "are"
        return [f'{source.title} is not used: {", ".join(source.keys)} {are} "" or, beside OWN_CSV, not named.']
    check_findings(settings, params)
    csv, key = settings.source_csv(source.name), pseudonyms.read_key(params.tables.hash_ids)
    boxes, on_disk, flat = source.boxes(settings), source.on_disk(settings), params.flat()
    step = Step(
        record=csv.with_suffix(".json"),
        inputs={
            "tables": artifacts.raw_state(source.tables(settings).values()),
            "boxes": artifacts.raw_state([boxes] if boxes else []),
            "columns": artifacts.digest_of(source.columns(settings)),
            "key": pseudonyms.fingerprint(key),
            "films": artifacts.digest_of(on_disk.tolist()),  # where they are is all that is used of them here
        },
        parameters={name: flat[name] for name in ("FINDINGS", *source.parameters)},
        outputs=[
            csv, problems_csv(csv), *([settings.boxes_csv] if source.has_boxes else []),
            *([given_split_csv(settings, source.name)] if source.has_split else []),
        ],
        refuse=problems_csv(csv) if strict else None,
    )  # fmt: skip
    return step.run(lambda: _write_table(source, settings, params, on_disk, key))


def _write_table(
    source: Source, settings: Settings, params: Params, on_disk: pd.Series, key: bytes | None
) -> list[str]:
    release, csv = source.read(settings, params, on_disk), settings.source_csv(source.name)
    readable, listed, notes = id_prefix(), [release.problems], []
    artifacts.write_csv(pseudonyms.replace_ids(release.table, key, readable), csv)
    if release.raw_counts is not None:
        notes += [f"as {source.title} has it:", release.raw_counts.to_string(), "as we read it:"]
    notes += [*release.notes, str(release)]
    if release.boxes is not None:
        artifacts.write_csv(pseudonyms.replace_ids(release.boxes, key, readable), settings.boxes_csv)
        listed.append(release.box_problems)
        notes.append(f"boxes of our findings: {len(release.boxes):,} (unusable: {len(release.box_problems):,})")
    if source.has_split:
        split = pd.DataFrame(columns=["image_id", "split"]) if release.split is None else release.split
        artifacts.write_csv(pseudonyms.replace_ids(split, key, readable), given_split_csv(settings, source.name))
    if release.split is not None:
        counts = ", ".join(f"{name} {films:,}" for name, films in release.split["split"].value_counts().items())
        notes.append(f"its own split is obeyed: {counts} films")
    artifacts.write_problems(pd.concat(listed), problems_csv(csv))
    return [*notes, f"written: {csv}, {problems_csv(csv).name}"]


def read_tables(settings: Settings, params: Params) -> dict[str, pd.DataFrame]:
    """The tables of all sources in use, as their steps wrote them."""
    return {
        source.name: read_table(settings.source_csv(source.name), made_by(source), params.findings)
        for source in in_use(settings)
    }


def present_films(settings: Settings, tables: dict[str, pd.DataFrame]) -> dict[str, pd.Series]:
    """Of each source's table the paths at which there is a film."""
    return {name: present(BY_NAME[name].films_dir(settings), table["path"]) for name, table in tables.items()}


def film_paths(settings: Settings, images: pd.DataFrame) -> list[Path]:
    """The file of each film of a table, from its columns ``source`` and ``path``."""
    folders = {name: BY_NAME[name].films_dir(settings) for name in set(images["source"])}
    return [folders[source] / path for source, path in zip(images["source"], images["path"], strict=True)]


def others_on_disk(settings: Settings, tables: dict[str, pd.DataFrame]) -> list[str]:
    """Files that no table names, below the folders of the sources in use."""
    from_folders = {}
    for name, table in tables.items():
        from_folders.setdefault(BY_NAME[name].films_dir(settings), []).append(table["path"])
    others = []
    for folder, known in from_folders.items():
        files = list_files(folder, studies=False)
        others += files[~files.isin(pd.concat(known))].tolist()
    return others


def plan_test(images: pd.DataFrame, tables: dict[str, pd.DataFrame], settings: Settings, params: Params) -> TestRule:
    """Who is set aside, of all sources that have films among ``images``."""
    if params.tables.split == "image":
        return TestRule(
            hashed=set(images["label_source"]), notes=["SPLIT is image: a share TEST_FRACTION of all films"]
        )
    rules = []
    for name in (source.name for source in SOURCES if (images["source"] == source.name).any()):
        own = images[images["source"] == name]
        rules.append(BY_NAME[name].test_rule(settings, params, own, tables[name]))
    return TestRule(
        listed=set().union(*(rule.listed for rule in rules)),
        hashed=set().union(*(rule.hashed for rule in rules)),
        problems=pd.concat([rule.problems for rule in rules], ignore_index=True),
        notes=[note for rule in rules for note in rule.notes],
    )


def hold_out_inputs(settings: Settings) -> dict[str, str]:
    """What test patients depend on, by digest: the films, and the tables and lists of sources that have lists."""
    inputs = {settings.images_csv.name: artifacts.digest(settings.images_csv)}
    for source in in_use(settings):
        lists = source.lists(settings)
        if lists:
            csv = settings.source_csv(source.name)
            inputs |= {csv.name: artifacts.digest(csv), f"{source.name} lists": artifacts.raw_state(lists.values())}
    return inputs | given_split_inputs(settings)


def given_split_inputs(settings: Settings) -> dict[str, str]:
    """The digests of the splits that sources give."""
    given = [given_split_csv(settings, source.name) for source in in_use(settings)]
    return {path.name: artifacts.digest(path) for path in given if path.is_file()}


def given_splits(settings: Settings, images: pd.DataFrame) -> pd.Series | None:
    """``image_id`` -> train or val, of sources whose own table puts films into val; None where there is none."""
    parts = []
    for name in sorted(set(images["source"])):  # only of sources that are used: another run's may lie there
        given = read_given_split(settings, name)
        if given is not None and (given["split"] == "val").any():
            parts.append(given[given["split"].isin(["train", "val"])])
    return pd.concat(parts).set_index("image_id")["split"] if parts else None


def source_of(image_ids: Iterable[str]) -> np.ndarray:
    """The source a film is of, for every image_id: its first part, or ``unknown`` where it has only one."""
    return np.array([name.split("/")[0] if "/" in name else "unknown" for name in image_ids], dtype=object)


def label_source_of(image_ids: Iterable[str]) -> np.ndarray:
    """Who labelled each film, never pooled in metrics: the source, or source-folder where its folders say who did."""
    folders = {source.name for source in SOURCES if source.folders_label}

    def of(name: str, source: str) -> str:
        return f"{source}-{name.split('/')[1]}" if source in folders else source

    ids = list(image_ids)
    return np.array([of(name, source) for name, source in zip(ids, source_of(ids), strict=True)], dtype=object)


def has_policy(name: str) -> bool:
    """Whether a source's labels may be uncertain, so that UNCERTAIN_LABELS means something to it."""
    return "UNCERTAIN_LABELS" in BY_NAME[name].parameters


def caveats(label_sources: Iterable[str]) -> list[str]:
    """What must be known of the labels of these (label) sources."""
    names = {name.split("-")[0] for name in label_sources}
    return [source.caveat for source in SOURCES if source.name in names and source.caveat]


def name_films(names: pd.Series) -> tuple[pd.Series, pd.Series]:
    """``image_id`` and ``patient_id`` of films or studies by their names; the patient is NaN where the name says none.

    A name that no source knows becomes ``own/…`` without its suffix.
    """
    names = names.astype(str).str.strip().str.replace("\\", "/", regex=False)
    own = names.str.replace(r"\.(?:png|jpe?g|dcm|dicom|tiff?|bmp|npy)$", "", regex=True, case=False)
    image_ids = f"{OWN.name}/" + own.str.removeprefix(f"{OWN.name}/").str.lstrip("./")
    patients = pd.Series(np.nan, index=names.index, dtype=object)
    for source in (source for source in SOURCES if source.film_name):
        parts = names.str.extract(source.film_name)
        folder = parts["folder"] + "/" if "folder" in parts else ""
        known = parts["film"].notna()
        image_ids = image_ids.mask(known, f"{source.name}/" + folder + parts["film"])
        patients = patients.mask(known, f"{source.name}-" + parts["patient"].str.lstrip("0"))
    return image_ids, patients


def name_studies(names: pd.Series) -> pd.Series:
    """``image_id`` of studies by their names or folders; NaN stays.

    A number of eight digits is a study of MIMIC-CXR, wherever it lies: ``50414267``, ``files/p10/p10000032/s50414267``.
    """
    text = names.astype(str).str.strip().str.replace(r"(?<=\d)\.0$|/$", "", regex=True)  # a whole number with blanks
    image_ids = name_films(text)[0]
    number = image_ids.str.extract(rf"^{OWN.name}/(?:.*/)?s?(\d{{8}})$")[0]
    return image_ids.mask(number.notna(), f"{OWN.name}/" + number).where(names.notna())


def id_prefix() -> str:
    """Regular expression of the part of an image_id that stays readable when ids are hashed: source and folder."""
    folders = "|".join(source.name for source in SOURCES if source.folders_label)
    return rf"^((?:{folders})/[^/]+/|[^/]+/)"


def listed_films(label_files: Sequence[Path], image_ids: pd.Series) -> dict[str, np.ndarray]:
    """A grouping of films, where the official test list lies beside a table of labels: those on it, and those not."""
    lists = [csv.with_name("test_list.txt") for csv in label_files if csv.with_name("test_list.txt").is_file()]
    if not lists:
        return {}
    names = {Path(name).stem for name in read_list(lists[0])}
    of_source = image_ids.str.startswith(f"{NIH.name}/")
    listed = image_ids.str.removeprefix(f"{NIH.name}/").isin(names)
    groups = np.where(of_source, np.where(listed, "official test_list.txt", "not on it"), "")
    return {f"{NIH.title} list": groups.astype(object)}
