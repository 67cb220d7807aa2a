"""What the report and the model card of a family are filled with: everything that the pipeline wrote about it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.core import artifacts
from cxr.core.artifacts import read_json, read_json_if_there
from cxr.core.errors import InputError, counted
from cxr.core.parameters import METHOD_NAMES, Params
from cxr.core.settings import Settings
from cxr.evaluation import predictions
from cxr.evaluation.assessment import check_evaluated
from cxr.maps import faithfulness, family_maps, map_scores
from cxr.preparation.films import load_films
from cxr.releases import writing
from cxr.report import doubt_tables, gallery, html_page, overlays, table_notes, trust_tables
from cxr.tables import lung_films
from cxr.tables.splitting import UNUSED

NO_MAPS = "No maps are stored beside these predictions: run evaluate_{}.sh, then visualization_{}.sh."


def model(settings: Settings, params: Params, family: str) -> html_page.Model:
    """Predictions, metrics and thresholds of a family as its evaluation wrote them.

    Raises
    ------
    InputError
        The family was not evaluated yet.
    """
    folder, made_by = settings.family_dir(family), f"sh evaluate_{family.capitalize()}.sh"
    check_evaluated(settings, params, family)
    table = predictions.read(artifacts.need(folder / "predictions.csv", made_by))
    block = read_json(folder / "metrics.json", made_by)
    thresholds = read_json(folder / "thresholds.json", made_by)
    val = table[table["split"] == "val"]
    notes = [f"Thresholds and calibration were fitted on the {counted(len(val), 'film')} of val, of other patients."]
    if params.tables.split == "image":
        notes = ['SPLIT is "image": test patients are in training too, and in val. These numbers are too good.']
    test = table[table["split"] == "test"].reset_index(drop=True)
    films = used_films(settings)
    seen = set(predictions.source(val)) if films is None else set(films["source"][films["split"] != "test"])
    unseen = sorted(set(predictions.source(test)) - seen)
    if unseen:
        notes.append(
            f"No film of {', '.join(unseen)} was in training or val: figures on them are those at a hospital never "
            "seen, at thresholds of another one."
        )
    return html_page.Model(family, block, thresholds, test, val, params.findings, notes)


def blocks(settings: Settings, params: Params, family: str, own: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """metrics.json of the family (``own``) and, where it has several, of each member that is evaluated."""
    members = params.members(family)
    paths = {member: settings.member_dir(family, member) / "metrics.json" for member in members if len(members) > 1}
    return {family: own} | {member: block for member, path in paths.items() if (block := read_json_if_there(path, ""))}


def extras(settings: Settings, params: Params, family: str, most: int | None = None) -> html_page.Extras:
    """Gallery (of ``most`` films), lung masks, training curves and facts; what is missing is left out or said to be."""
    members = params.members(family)
    logs = {member: settings.member_dir(family, member) / "log.csv" for member in members}
    worst, doubtful = settings.unet_dir / "evaluation/worst.png", settings.classification / "preview_doubtful_masks.png"
    preview = settings.classification / "preview_masks.png"
    masks = [
        ("Worst lung masks of the U-Net's test films, true and predicted", gallery.picture_uri(worst, 1300)),
        ("Lung masks of 16 films of classification", gallery.picture_uri(preview, 1300)),
        ("Masks to look at: doubtful shapes, and those most unlike the others", gallery.picture_uri(doubtful, 1300)),
    ]
    return html_page.Extras(
        **cards(settings, params, family, most),
        method=METHOD_NAMES[params.evaluation.map_method],
        no_maps=NO_MAPS.format(family.capitalize(), family.capitalize()),
        **trust(settings, params, family),
        masks=[(title, picture) for title, picture in masks if picture],
        mask_notes=mask_notes(settings),
        logs={member: pd.read_csv(path) for member, path in logs.items() if path.is_file()},
        facts=facts(settings, params, family),
    )


def map_scores_of(settings: Settings, params: Params, family: str) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """map_scores.csv and detection_scores.csv, or None where they are not there or of older maps."""
    paths = [settings.family_dir(family) / name for name in ("map_scores.csv", "detection_scores.csv")]
    try:
        there = all(path.is_file() for path in paths)
        current = there and map_scores.step_of(settings, params, family).is_current()
    except InputError:  # what it was made from is gone
        return None
    return tuple(pd.read_csv(path) for path in paths) if current else None


def faithfulness_of(settings: Settings, params: Params, family: str) -> pd.DataFrame | None:
    """faithfulness.csv, or None where it is not there or of older maps."""
    try:
        step = faithfulness.step_of(settings, params, family)
        return pd.read_csv(step.outputs[0]) if step.is_current() else None
    except InputError:  # what it was made from is gone
        return None


def trust(settings: Settings, params: Params, family: str) -> dict[str, Any]:
    """map_tables to heart of `html_page.Extras`; nothing in them where they were not measured."""
    folder, members, method = settings.family_dir(family), params.members(family), params.evaluation.map_method
    network = family if len(members) > 1 else members[0]
    scores, detection = map_scores_of(settings, params, family) or (None, None)
    blanked = faithfulness_of(settings, params, family)
    shuffled = {member: settings.member_dir(family, member) / "randomisation.csv" for member in members}
    shuffled = {member: pd.read_csv(path) for member, path in shuffled.items() if path.is_file()}
    depends = read_json_if_there(folder / "shortcuts.json", "") or {}
    return {
        "map_tables": trust_tables.map_tables(scores, network, method) if scores is not None else [],
        "detection_tables": trust_tables.detection_tables(detection, network) if detection is not None else [],
        "froc": (network, detection) if detection is not None else None,
        "randomisation": trust_tables.randomisation_table(shuffled, method),
        "faithfulness": trust_tables.faithfulness_table(blanked, method) if blanked is not None else None,
        "flips": doubt_tables.flip_tables(read_json_if_there(folder / "flips.json", "")),
        "shortcuts": doubt_tables.shortcut_tables(depends, params.findings),
        "heart": doubt_tables.heart_table(depends.get("heart_size")),
    }


def cards(settings: Settings, params: Params, family: str, most: int | None) -> dict[str, Any]:
    """The gallery's films, and what their colours mean; nothing where a member's maps are not there."""
    members = params.members(family)
    if not all(settings.cams(family, member, params.evaluation.map_method).is_file() for member in members):
        return {}
    scored = family_maps.load(settings, params, family)
    films, pack = load_films(settings, params, scored.size)
    rows = {image_id: row for row, image_id in enumerate(films["image_id"])}
    folder = settings.family_dir(family) if overlays.overlays_are_current(scored, settings.family_dir(family)) else None
    chosen = gallery.choose_rows(scored, gallery.most_films(len(scored.findings)) if most is None else most)
    return {"cards": gallery.film_cards(scored, pack, rows, chosen, folder), "heat_key": gallery.heat_key(scored)}


def mask_notes(settings: Settings) -> list[str]:
    """How good the U-Net is on its test films, and how many masks of classification were not accepted, and why."""
    notes = []
    metrics = read_json_if_there(settings.unet_dir / "evaluation" / "metrics.json", "") or {}
    sets = {name: values for name, values in metrics.items() if isinstance(values, dict) and "dice" in values}
    for name, values in sets.items():
        if name != "all" or len(sets) != 2:  # of one set alone both are the same
            limits = values.get("dice_interval")
            interval = f" ({limits[0]:.3f} to {limits[1]:.3f})" if limits else ""
            heart = f"; heart: Dice {values['heart_dice']:.3f}" if values.get("hearts") else ""
            films = counted(values["films"], "film")
            drawn = " Drawn films are no measure of real ones." if name == lung_films.DRAWN else ""
            notes.append(f"U-Net on {name} test films: Dice {values['dice']:.3f}{interval}{heart}, {films}.{drawn}")
    path = settings.lung_masks.with_suffix(".csv")
    if path.is_file():
        table = pd.read_csv(path)
        rejected = table[~table["accepted"].astype(bool)]
        notes.append(f"{len(rejected):,} of {len(table):,} lung masks were not accepted; those films are used whole.")
        reasons = rejected["reason"].astype(str).str.replace(r"[\d.]+ ?%", "… %", n=1, regex=True).value_counts()
        notes += [f"Not accepted, {films:,}: {reason}." for reason, films in reasons.items()]
        if "doubt" in table:  # not in a table of an older version
            doubtful = int(table["doubt"].notna().sum())
            notes.append(f"{doubtful:,} are of a doubtful shape, and used all the same where they are accepted.")
    return notes


def facts(settings: Settings, params: Params, family: str) -> dict[str, list[tuple[str, str]]]:
    """run.json of every member, and the protocol of the evaluation, as pairs of text."""
    block = read_json_if_there(settings.family_dir(family) / "metrics.json", "")
    protocol, fitted = block["protocol"], read_json_if_there(settings.family_dir(family) / "thresholds.json", "")
    sections = {
        "Evaluation": [
            ("test films, patients", f"{protocol['films']:,}, {protocol['patients']:,}"),
            ("threshold rule", protocol["threshold_rule"]),
            ("val films, digest of the list", f"{protocol['thresholds_from']['films']:,}, "
             f"{protocol['thresholds_from']['digest']}"),
            ("resamples, seed", f"{protocol['replicates']:,}, {protocol['seed']}"),
            ("split", f"by {params.tables.split}"),
            *(tuple(line.split(": ", 1)) for line in table_notes.of_weights(fitted or {})),
        ]
    }  # fmt: skip
    for member in params.members(family):
        if run := run_of(settings.member_dir(family, member)):
            sections[member] = run_facts(run)
    return sections


def run_of(folder: Path) -> dict[str, Any] | None:
    """run.json of a member's folder; ``best`` as training's last line says it, doubts and all."""
    run, log = read_json_if_there(folder / "run.json", ""), folder / "log.csv"
    if run and "best" in run:
        run["best"] = f"{run['best']:.4f}"
        epochs = pd.read_csv(log).set_index("epoch") if log.is_file() else pd.DataFrame()
        if table_notes.VAL_LOW in epochs:  # not in a log of an older version
            told = table_notes.of_val(epochs[table_notes.VAL_LOW].get(run["best_epoch"]))
            run["best"] += f". {told}" if told else ""
    return run


def run_facts(run: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts of one training, from `run_of`, as pairs of text; what run.json does not say is left out."""
    names = {
        "device": "device", "cpu_cores": "CPU cores", "seconds": "seconds of training",
        "films_per_second": "films a second", "epochs": "epochs", "best_epoch": "best epoch",
        "best": "best mean AUROC on val", "resumed_from": "resumed from epoch", "seed": "seed", "commit": "commit",
        "model": "digest of the model",
    }  # fmt: skip
    pairs = [(label, str(run[key])) for key, label in names.items() if run.get(key) is not None]
    for key, label in (("made_from", "made from"), ("versions", "versions")):
        flat = {name: value for name, value in run.get(key, {}).items() if not isinstance(value, dict)}
        if flat:
            pairs.append((label, ", ".join(f"{name} {value}" for name, value in flat.items())))
    return pairs


def synthetic(settings: Settings) -> list[str]:
    """What must be said before all else where the films are those of the demo; or nothing."""
    if not writing.is_drawn(settings.dataset_dir):
        return []
    return [
        "SYNTHETIC FILMS: this project drew them, they are of no patients. No figure here says anything about real "
        "films, and what is said of the labels of public releases holds for their real films alone."
    ]


def used_films(settings: Settings) -> pd.DataFrame | None:
    """images.csv with the split of each film, without those that are in none; None where there are no tables."""
    if not (settings.images_csv.is_file() and settings.split_csv.is_file()):
        return None
    images = pd.read_csv(settings.images_csv).merge(pd.read_csv(settings.split_csv), on="image_id")
    return images[images["split"] != UNUSED]


def counts(films: pd.DataFrame, findings: Sequence[str]) -> pd.DataFrame:
    """Films, patients and positives of each source and split, of `used_films`."""
    grouped = films.groupby(["source", "split"], sort=True)
    counted = grouped["patient_id"].agg(films="size", patients="nunique")
    for finding in findings:
        counted[finding] = grouped[finding].sum().astype(int)
    return counted.reset_index()
