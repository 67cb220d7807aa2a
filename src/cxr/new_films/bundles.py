"""What predicting new films needs of a family, as one thing: from the models that were trained here, or from a bundle.

A bundle is a folder that stands alone: networks, parameters, thresholds, calibration and reference of a family, with a
digest of every file, which are checked before anything is read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core import configuration, own_files
from cxr.core.artifacts import as_json, digest, need, read_json
from cxr.core.errors import InputError
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.evaluation import metrics, predictions
from cxr.evaluation.assessment import check_evaluated
from cxr.imaging import film_checks
from cxr.maps import family_maps, heatmaps
from cxr.new_films import bundle_contents
from cxr.new_hospital import flip_risk
from cxr.preparation.films import load_films, spread
from cxr.releases import writing

MOST_FILMS = 4000  # of train, and of val, that the distance is fitted on: spread evenly over all
DIGESTS = "digests.json"
LEARNED_FROM_DRAWN = (
    "SYNTHETIC FILMS: these networks learned from films that this project drew. Use nothing that they say of a real "
    "film."
)
# What a film goes through on its way to probabilities and maps; the rest of PARAMS.json is about training.
EVALUATED_KEYS = ("TEST_TIME_AUGMENTATION", "MAP_METHOD", "MAP_THRESHOLD")
PIXEL_KEYS = ("FINDINGS", "UNET_INPUT_SIZE", "FIT", "LUNG_MASKING", "LUNG_MARGIN", "LUNG_THRESHOLD", *EVALUATED_KEYS)


@dataclass(frozen=True)
class Bundle:
    """A family ready for new films.

    name: what it is and where it came from, for the log. models: a file a member. unet: None with LUNG_MASKING none.
    thresholds, reference: thresholds.json and reference.json. made_by: the command that makes the files again.
    model, version, digest: what results that leave this machine say of it: no path. The digest is that of digests.json,
    or of reference.json, each of which holds those of all networks.
    """

    name: str
    family: str
    params: Params
    models: dict[str, Path]
    unet: Path | None
    thresholds: dict[str, Any]
    reference: dict[str, Any]
    made_by: str
    model: str
    version: str
    digest: str

    @property
    def size(self) -> int:
        """Side of the largest packed film: the one that maps lie on and distances are measured on."""
        return max(self.params.input_size(member) for member in self.models)


def told_of_drawn(bundle: Bundle) -> list[str]:
    """What must be said before all else of networks that learned from films of the demo; or nothing."""
    return [LEARNED_FROM_DRAWN] if bundle.reference.get("drawn") else []


def made_from(params: Params, models: dict[str, Path], unet: Path | None, boxes: Path) -> dict[str, Any]:
    """Digests and parameters that predictions of new films and their maps depend on."""
    flat = params.flat()
    return {
        "models": {member: digest(path) for member, path in models.items()},
        "unet": digest(unet) if unet and unet.is_file() else None,
        "boxes": digest(boxes) if boxes.exists() else None,  # of val: maps are outlined as they ask
        "parameters": as_json({key: flat[key] for key in PIXEL_KEYS} | {"heat": heatmaps.READ_AGAINST}),
    }


def reference(settings: Settings, params: Params, family: str) -> dict[str, Any]:
    """reference.json of an evaluated family: what new films are compared with, so that no training film is needed.

    Returns
    -------
    dict that JSON can hold
        ``mean_maps``: member -> source -> (F, h, w), ``scale``, ``outlines``, as `Scored` has them; ``distance``: from
        `film_checks.fit_distance` on the packed films of the largest size; ``guessing``: what test films have not told
        from guessing, for `metrics.told_of_guessing`; ``flips``: from `flip_risk.of_family`; ``drawn``:
        whether it learned from films of the demo; ``made_from``.
    """
    members = params.members(family)
    models = {member: settings.member_dir(family, member) / "model.keras" for member in members}
    films, pack = load_films(settings, params, max(params.input_size(member) for member in members))
    small = {}
    for split in ("train", "val"):
        rows = np.flatnonzero(films["split"] == split)
        small[split] = film_checks.thumbnails(pack[row] for row in spread(rows, MOST_FILMS))
    scored = family_maps.load(settings, params, family)
    return {
        "mean_maps": {
            # Through text: the fewest digits that are this float32 again.
            member: {source: mean.astype(str).astype(float).tolist() for source, mean in means.items()}
            for member, means in zip(members, scored.means, strict=True)
        },
        "scale": scored.scale,
        "outlines": scored.outlines,
        "distance": film_checks.fit_distance(small["train"], small["val"]),
        "guessing": metrics.guessing_of(read_json(settings.family_dir(family) / "metrics.json", "")),
        "flips": flip_risk.of_family(val_of_members(settings, params, family), params.evaluation.threshold_rule),
        "drawn": writing.is_drawn(settings.dataset_dir),
        "made_from": made_from(params, models, _unet(settings.unet, params), settings.boxes_csv),
    }


def val_of_members(settings: Settings, params: Params, family: str) -> dict[str, pd.DataFrame]:
    """Each member's predictions table of val."""
    tables = {
        member: predictions.read(settings.member_dir(family, member) / "predictions.csv")
        for member in params.members(family)
    }
    return {member: table[table["split"] == "val"] for member, table in tables.items()}


def _unet(path: Path, params: Params) -> Path | None:
    return None if params.pack.lung_masking == "none" else path


def of_models(settings: Settings, params: Params, family: str) -> Bundle:
    """The family that was trained and evaluated here.

    Raises
    ------
    InputError
        Something is missing, or is not what thresholds and reference were made from.
    """
    folder, made_by = settings.family_dir(family), f"sh evaluate_{family.capitalize()}.sh"
    check_evaluated(settings, params, family)
    thresholds, reference = (read_json(folder / name, made_by) for name in ("thresholds.json", "reference.json"))
    bundle_contents.check_fits(folder, params, family, thresholds, reference, made_by)
    models = {
        member: need(settings.member_dir(family, member) / "model.keras", f"sh train_{family.capitalize()}.sh")
        for member in params.members(family)
    }
    unet = _unet(settings.unet, params)
    if unet:
        need(unet, "src/segmentation/train.py")
    name, whole = f"{family} of {folder}", digest(folder / "reference.json")
    bundle = Bundle(
        name, family, params, models, unet, thresholds, reference, made_by, f"cxr_{family}", "not exported", whole
    )
    _refuse_others(bundle, folder / "reference.json", settings.boxes_csv)
    return bundle


def _refuse_others(bundle: Bundle, path: Path, boxes: Path) -> None:
    """Raise an InputError where networks, parameters or boxes are not those that ``path`` was made from."""
    recorded, current = bundle.reference["made_from"], made_from(bundle.params, bundle.models, bundle.unet, boxes)
    for key, value in current["parameters"].items():
        if recorded["parameters"].get(key) != value:
            again = "" if key in (*EVALUATED_KEYS, "heat") else "sh prepare_data.sh, training, "
            raise InputError(
                f"{path}: made with {key} {recorded['parameters'].get(key)!r}, now it is {value!r}. Use the "
                f"PARAMS file of that run, or run: {again}{bundle.made_by}"
            )
    if current["boxes"] != recorded["boxes"]:
        raise InputError(f"{boxes}: are not the boxes that {path} was made with. Run: {bundle.made_by}")
    files = {**bundle.models, "unet": bundle.unet}
    for name, value in {**current["models"], "unet": current["unet"]}.items():
        if value != {**recorded["models"], "unet": recorded["unet"]}.get(name):
            raise InputError(
                f"{files[name]}: is not the network that {path.name} and thresholds.json were made with. Run: "
                f"{'sh prepare_data.sh, training, ' if name == 'unet' else ''}{bundle.made_by}"
            )


def open_bundle(folder: Path) -> Bundle:
    """A bundle that `export.sh` wrote, every file of it checked.

    Raises
    ------
    InputError
        No bundle, or a file of it is missing, was changed or does not hold what it must: named.
    """
    made_by = "sh export.sh"
    if not own_files.is_plain_file(folder, DIGESTS):
        raise InputError(f"{folder}: no bundle ({DIGESTS} is not in it). Give the folder that {made_by} wrote.")
    digests = read_json(folder / DIGESTS, made_by)
    for name in digests:  # all names first: a device that one of them names could be read for ever
        if not own_files.is_inside(name):
            raise InputError(f"{folder / DIGESTS}: {name!r} is no file of the bundle; {made_by} did not write this.")
        if not own_files.is_plain_file(folder, name):
            raise InputError(f"{folder / name}: is missing from the bundle, or a link. Copy the bundle again, whole.")
    for name, value in digests.items():
        if digest(folder / name) != value:
            raise InputError(f"{folder / name}: was changed since the bundle was written. Copy the bundle again.")

    def listed(name: str) -> Path:
        if name not in digests:
            raise InputError(f"{folder / DIGESTS}: does not list {name}. Copy the bundle again, whole.")
        return folder / name

    params = configuration.load_params(listed("PARAMS.json"))
    about = bundle_contents.checked(
        bundle_contents.Metadata, read_json(listed("metadata.json"), made_by), folder / "metadata.json", made_by
    )
    models = {member: listed(f"models/{member}.keras") for member in params.members(about.family)}
    unet = None if params.pack.lung_masking == "none" else listed("models/unet.keras")
    thresholds, reference = (read_json(listed(name), made_by) for name in ("thresholds.json", "reference.json"))
    bundle_contents.check_fits(folder, params, about.family, thresholds, reference, made_by)
    whole = digest(folder / DIGESTS)
    name = f"bundle {about.name} {about.version} ({whole})"
    return Bundle(
        name, about.family, params, models, unet, thresholds, reference, made_by, about.name, about.version, whole
    )
