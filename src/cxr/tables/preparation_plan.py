"""What prepare_data.sh will do, before it does it: films, disk and time, from the tables and a few films read."""

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.artifacts import as_json, read_record
from cxr.core.errors import FilmError
from cxr.core.executors import process_count
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.imaging.decoding import read_film
from cxr.imaging.geometry import fit_square
from cxr.tables import lung_sets
from cxr.tables.merging import merge
from cxr.tables.sources.catalogue import check_findings, film_paths, in_use

SAMPLE = 16  # films read to estimate the time
# Seconds a film on two CPU cores, of 64 filters at 512 px: masking, and training (forward and back). Other sizes scale
# with filters² x size². Measured (benchmarks/masks.py): 0.020 and 0.075 s at 16 filters and 256 px.
MASK_SECONDS, TRAIN_SECONDS = 1.25, 6.0


@dataclass(frozen=True)
class Plan:
    """lines: what to tell. bytes_needed, bytes_free: of the disk of DATA_DIR."""

    lines: list[str]
    bytes_needed: int
    bytes_free: int


def make(settings: Settings, params: Params) -> Plan:
    """Count, read a few films, and reckon; nothing is written.

    Raises
    ------
    InputError
        As the steps themselves would: a table or folder that is not there, no film on disk.
    """
    images, lines = _films(settings, params)
    packs = {size: settings.pack(size) for size in params.pack_sizes()}
    packed = params.pack.model_dump(by_alias=True)
    needed = {
        f"films at {size} px": len(images) * size**2
        for size, path in packs.items()
        if not _is_made(path, len(images), {"size": size, **packed})
    }
    seconds, masked = _seconds_a_film(settings, images, params), params.pack.lung_masking != "none"
    readers = process_count(params.general.workers)
    hours = {f"reading films on {readers} processes": seconds * len(images) * (2 if masked else 1) / readers / 3600}
    if masked:
        unet = params.unet
        share = (unet.unet_filters / 64) ** 2 * (unet.unet_input_size / 512) ** 2
        made_with = {
            "UNET_INPUT_SIZE": unet.unet_input_size,
            "LUNG_THRESHOLD": params.pack.lung_threshold,
            "FIT": params.pack.fit,
        }
        if not _is_made(settings.lung_masks, len(images), made_with):
            needed["lung masks"] = len(images) * unet.unet_input_size**2
        hours["lung masks"] = MASK_SECONDS * share * len(images) / 3600
        reason = lung_sets.why_skip(settings, params)
        if reason:
            lines.append(f"U-Net: {reason}")
        else:
            pairs, _ = lung_sets.pair_masks(settings.dataset_dir_segmentation, settings.mask_dir)
            trained_on = len(pairs) * (1 - unet.unet_val_fraction - unet.unet_test_fraction)
            lines.append(f"U-Net: to be trained on {len(pairs):,} lung films with masks, {unet.unet_epochs} epochs")
            needed["lung films and masks"] = 2 * len(pairs) * unet.unet_input_size**2
            hours["training the U-Net"] = TRAIN_SECONDS * share * max(0, trained_on) * unet.unet_epochs / 3600
    free = shutil.disk_usage(_nearest(settings.data_dir)).free
    total = sum(needed.values())
    lines.append(f"disk: {_listed(needed, _size)}; together {_size(total)}, free in {settings.data_dir}: {_size(free)}")
    lines.append(f"time on two CPU cores: {_listed(hours, _duration)}; a GPU is many times faster (not measured)")
    return Plan(lines, total, free)


def _is_made(path: Path, films: int, parameters: dict[str, Any]) -> bool:
    """Whether a pack is there, of as many films and these parameters; else the new one needs room beside the old."""
    record = path.with_suffix(".json")
    if not (path.is_file() and record.is_file()):
        return False
    same = read_record(record).get("parameters") == as_json(parameters)
    return same and len(np.load(path, mmap_mode="r", allow_pickle=False)) == films


def _films(settings: Settings, params: Params) -> tuple[pd.DataFrame, list[str]]:
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
    return merged.images, lines


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


def _listed(parts: dict[str, float], spell) -> str:
    return ", ".join(f"{name} {spell(value)}" for name, value in parts.items()) or "nothing more"


def _size(count: float) -> str:
    return f"{count / 1e9:.2f} GB"


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"
