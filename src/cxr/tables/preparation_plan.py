"""What prepare_data.sh will do, before it does it: films, disk and time, from the tables and a few films read."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.artifacts import as_json, read_record
from cxr.core.configuration import existing
from cxr.core.errors import FilmError, InputError, MachineError, counted
from cxr.core.executors import process_count
from cxr.core.members import FAMILIES
from cxr.core.parameters import NAMED_WEIGHTS, Params
from cxr.core.settings import Settings
from cxr.imaging.decoding import read_film
from cxr.imaging.geometry import fit_square
from cxr.tables import lung_films, lung_sets, pseudonyms, splitting
from cxr.tables.merging import merge
from cxr.tables.sources.catalogue import check_findings, film_paths, in_use, plan_test

SAMPLE = 16  # films read to estimate the time


@dataclass(frozen=True)
class Plan:
    """lines: what to tell. bytes_needed, bytes_free: of the disk of DATA_DIR.

    films: how many networks will see, as `training.durations.work_of` takes them. reading_seconds: of reading all,
    on so many processes.
    """

    lines: list[str]
    films: dict[str, int]
    reading_seconds: float
    processes: int
    bytes_needed: int
    bytes_free: int


def make(settings: Settings, params: Params) -> Plan:
    """Count, read a few films, and reckon; nothing is written.

    Raises
    ------
    InputError
        As the steps themselves would: a table or folder that is not there, no film on disk.
    """
    _refuse_what_stops_later(settings, params)
    images, lines, films = _films(settings, params)
    packs = {size: settings.pack(size) for size in params.pack_sizes()}
    packed = params.pack.model_dump(by_alias=True)
    needed = {
        f"films at {size} px": len(images) * size**2
        for size, path in packs.items()
        if not _is_made(path, len(images), {"size": size, **packed})
    }
    masked, readers = params.pack.lung_masking != "none", process_count(params.general.workers)
    films |= {"masked": len(images) if masked else 0, "lung_train": 0, "lung_val": 0}
    if masked:
        unet = params.unet
        made_with = {
            "UNET_INPUT_SIZE": unet.unet_input_size,
            "LUNG_THRESHOLD": params.pack.lung_threshold,
            "FIT": params.pack.fit,
        }
        if not _is_made(settings.lung_masks, len(images), made_with):
            needed["lung masks"] = len(images) * unet.unet_input_size**2
        reason = lung_films.why_skip(settings, params)
        if reason:
            lines.append(f"U-Net: {reason}")
        else:
            alone, places = lung_films.why_drawn_alone(settings, params), lung_films.places(settings)
            pairs, without = ([], []) if alone else lung_sets.pair_masks(*places)
            real, drawn = len(pairs), lung_films.drawn_count(params)
            measured, epochs = real or drawn, unet.unet_drawn_epochs if drawn else unet.unet_epochs
            most = 1.0 if real else lung_films.SHARE_ALONE
            shares = [min(share, most) for share in (unet.unet_val_fraction, unet.unet_test_fraction)]
            films["lung_val"] = epochs * round(measured * shares[0])
            kept = max(0, round(measured * (1 - sum(shares))))
            passes = drawn + kept * lung_films.passes_of_real(kept, drawn) if real else kept
            films["lung_train"] = epochs * passes
            left = f" ({counted(len(without), 'file')} without a partner)" if len(without) else ""
            parts = [
                (real, f"{counted(real, 'lung film')} with masks{left}"),
                (drawn, counted(drawn, "drawn lung film")),
            ]
            said = [words for count, words in parts if count]
            reason = f" ({alone})" if alone else ""
            lines.append(f"U-Net: to be trained on {' and '.join(said)}, {counted(epochs, 'epoch')}{reason}")
            needed["lung films and masks"] = 3 * (real + drawn) * unet.unet_input_size**2
    reading_seconds = _seconds_a_film(settings, images, params) * len(images) * (2 if masked else 1) / readers
    free = shutil.disk_usage(_nearest(settings.data_dir)).free
    total = sum(needed.values())
    lines.append(f"disk: {listed(needed, _size)}; together {_size(total)}, free in {settings.data_dir}: {_size(free)}")
    return Plan(lines, films, reading_seconds, readers, total, free)


def _refuse_what_stops_later(settings: Settings, params: Params) -> None:
    """Raise an InputError for what the first step, or training after hours, would stop at: files and folders of both.

    Raises
    ------
    InputError
        A file that PARAMS.json names is not there; a file stands where a folder must be.
    MachineError
        Nothing can be written below DATA_DIR or MODELS_DIR.
    """
    pseudonyms.read_key(params.tables.hash_ids)
    for member in (member for family in FAMILIES for member in params.members(family)):
        if (weights := params.first_weights(member)) not in NAMED_WEIGHTS:
            existing(weights, f"WEIGHTS of {member}")
    families = [settings.family_dir(family) for family in FAMILIES]
    places = {
        "DATA_DIR": [settings.classification, settings.segmentation],
        "MODELS_DIR": [settings.unet_dir, *families],
    }
    for key, folders in places.items():
        for folder in map(_nearest, folders):
            if not folder.is_dir():
                raise InputError(f"{key}: {folder}: expected a folder to write into; there is a file. Name another.")
            if not os.access(folder, os.W_OK | os.X_OK):
                raise MachineError(f"{key}: {folder}: cannot be written. Make it writable, or change {key}.")


def _is_made(path: Path, films: int, parameters: dict[str, Any]) -> bool:
    """Whether a pack is there, of as many films and these parameters; else the new one needs room beside the old."""
    record = path.with_suffix(".json")
    if not (path.is_file() and record.is_file()):
        return False
    same = read_record(record).get("parameters") == as_json(parameters)
    return same and len(np.load(path, mmap_mode="r", allow_pickle=False)) == films


def _films(settings: Settings, params: Params) -> tuple[pd.DataFrame, list[str], dict[str, int]]:
    """The table of films to prepare, what to tell of it, and how many are for training, validation and the test.

    A split that an own table gives is counted as one by shares where no step has read it yet.
    """
    check_findings(settings, params)
    tables, on_disk, lines = {}, {}, []
    for source in in_use(settings):
        files = source.on_disk(settings)
        table = source.read(settings, params, files).table
        present = int(table["path"].isin(files).sum())
        lines.append(f"{source.title}: {present:,} of the {len(table):,} films of its table are on disk")
        tables[source.name], on_disk[source.name] = table, files
    merged = merge(tables, on_disk, params.tables)
    left_out = "; ".join(f"{reason}: {films:,}" for reason, films in merged.left_out.items()) or "none"
    lines.append(f"films to prepare: {len(merged.images):,} (left out: {left_out})")
    rule = plan_test(merged.images, tables, settings, params)
    held_out = splitting.hold_out(merged.images, rule.listed, rule.hashed, params.tables)
    split = splitting.split_images(merged.images, held_out, params.general.seed, params.tables)["split"]
    films = {name: int((split == name).sum()) for name in splitting.SPLITS}
    lines.append("of them for " + ", ".join(f"{name} {count:,}" for name, count in films.items()))
    if why := splitting.why_untrainable(split):
        lines.append(f"WARNING: nothing can be trained: {why}.")
    return merged.images, lines, films


def _seconds_a_film(settings: Settings, images: pd.DataFrame, params: Params) -> float:
    """Of reading one and fitting it to every size, the median of some of them."""
    rows, took = np.unique(np.linspace(0, len(images) - 1, SAMPLE).astype(int)), []
    for path in film_paths(settings, images.iloc[rows]):
        started = time.perf_counter()
        with contextlib.suppress(FilmError):  # check_data.sh lists those
            film = read_film(path)
            for size in params.pack_sizes():
                fit_square(film, size, params.pack.fit)
        took.append(time.perf_counter() - started)
    return float(np.median(took))


def _nearest(folder: Path) -> Path:
    """The folder, or the first above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def listed(parts: dict[str, float], spell: Callable[[float], str]) -> str:
    """Each part with its value, as ``spell`` writes it."""
    return ", ".join(f"{name} {spell(value)}" for name, value in parts.items()) or "nothing more"


def _size(count: float) -> str:
    return f"{count / 1e9:.2f} GB"
