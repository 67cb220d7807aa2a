"""The films of classification as training and evaluation take them: their table, and their pixels at one size."""

from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.artifacts import as_json, digest, read_csv, read_json
from cxr.core.errors import InputError
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.imaging.geometry import AFFINE
from cxr.preparation.packs import open_pack
from cxr.tables import schema, splitting

PACK_COLUMNS = ("image_id", "width", "height", "mask_used", "problem", *AFFINE)


def load_films(settings: Settings, params: Params, size: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The films of classification: their table, and their pixels at one size.

    Parameters
    ----------
    settings : Settings
    params : Params
    size : int
        Side of the packed films, pixels.

    Returns
    -------
    films : DataFrame of N rows
        images.csv with ``split`` and the columns of the pack's table (width, height, affine, mask_used, problem); a
        film that could not be read has the split "unreadable".
    pack : ndarray of shape (N, size, size), uint8, memory map
        Row i belongs to row i of ``films``.

    Raises
    ------
    InputError
        Something is missing, stale (made from other tables or parameters), or a patient is in two splits.
    """
    made_by = "sh prepare_data.sh"
    path = settings.pack(size)
    _refuse_other_parameters(settings.images_csv, params, made_by)  # first: of other findings it has other columns
    images = schema.read_images(settings.images_csv, params.findings)
    split = splitting.read_split(settings.split_csv, images, params.tables.split)
    tables = [settings.source_csv(source) for source in sorted(set(images["source"]))]
    for artifact in (*tables, settings.test_patients_csv, settings.split_csv, path):
        _refuse_other_parameters(artifact, params, made_by)
    _refuse_other_hold_out(settings, made_by)
    record = read_json(path.with_suffix(".json"), made_by)
    if record.get("inputs", {}).get("images") != digest(settings.images_csv):
        raise InputError(f"{path}: made from another {settings.images_csv.name}. Run: {made_by}")
    pack = open_pack(path, made_by)
    packed = read_csv(path.with_suffix(".csv"), made_by, PACK_COLUMNS, dtype={"problem": "str"}).fillna({"problem": ""})
    if not len(pack) == len(packed) == len(images) or pack.shape[1] != size:
        raise InputError(f"{path}: holds {pack.shape}, expected {len(images)} films of {size} px. Run: {made_by}")
    films = pd.concat([images, packed.drop(columns="image_id")], axis=1)
    films["split"] = split.where((films["problem"] == "").to_numpy(), "unreadable").to_numpy()
    return films, pack


def spread(rows: np.ndarray, most: int) -> np.ndarray:
    """All of the rows, or ``most`` of them, evenly from the first to the last."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]


def _refuse_other_hold_out(settings: Settings, made_by: str) -> None:
    """Raise an InputError where the split was made from other test patients than those that are set aside now."""
    record, held_out = settings.split_csv.with_suffix(".json"), settings.test_patients_csv
    if not (record.exists() and held_out.exists()):
        return
    if read_json(record, made_by).get("inputs", {}).get(held_out.name) != digest(held_out):
        raise InputError(f"{settings.split_csv}: made from another {held_out.name}. Run: {made_by}")


def _refuse_other_parameters(artifact: Path, params: Params, made_by: str) -> None:
    """Raise an InputError where an artifact was made with other parameters than those in force."""
    record = artifact.with_suffix(".json")
    if not record.exists():
        return
    in_force = as_json(params.flat())
    for key, value in read_json(record, made_by).get("parameters", {}).items():
        if in_force.get(key, value) != value:
            raise InputError(
                f"{artifact}: made with {key} {value!r}, PARAMS.json says {in_force[key]!r}. Run: {made_by}"
            )
