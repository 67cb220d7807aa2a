"""How well the U-Net finds lungs and hearts: Dice and IoU against the masks as drawn (not dilated).

Reads   DATA_DIR/segmentation/images_<size>.npy, masks_<size>.npy, packed_<size>.csv, split.csv: the held-out patients;
        or, of any other set, the films of FOLDER and --masks DIR, paired by name as for training; the U-Net
Writes  MODELS_DIR/segmentation/Unet/evaluation/, with FOLDER evaluation_outside/ or --out: dice.csv (a row a film),
        metrics.json (mean and 95 % interval by patient, per lung set), worst.png (the ten worst films); with FOLDER
        problems.csv (what has no partner or is no mask)
"""

import functools
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line  # first: from here on Ctrl-C is one line

# isort: split
import numpy as np
import pandas as pd

from cxr.anatomy.heart import NOT_KNOWN, OUTLINES, measure
from cxr.anatomy.lungs import dice, iou
from cxr.core import executors, locks
from cxr.core.artifacts import digest, need, read_csv, write_csv, write_json, write_problems
from cxr.core.errors import InputError, counted
from cxr.core.own_files import OwnFiles
from cxr.core.progress import progress
from cxr.evaluation import bootstrap
from cxr.preparation import packs, reading
from cxr.tables import lung_films, lung_sets

FILES = ("dice.csv", "metrics.json", "worst.png", "problems.csv")
TRAINED_BY = "src/segmentation/train.py"


def is_evaluated(settings):
    """Whether the metrics there are of the U-Net there, or there is nothing to evaluate it on."""
    metrics_json = settings.unet_dir / "evaluation" / "metrics.json"
    if not (settings.segmentation / "split.csv").exists():
        return True
    return metrics_json.exists() and digest(settings.unet) in metrics_json.read_text(errors="replace")


def main(argv=None):
    parser = command_line.unet_parser(__doc__)
    parser.add_argument("folder", nargs="?", type=command_line.path, help="films of another set than the held-out ones")
    parser.add_argument("--masks", type=command_line.path, metavar="DIR", help="their masks, of the same names")
    parser.add_argument("--out", type=command_line.path, help="where the results of FOLDER go")
    arguments = parser.parse_args(argv)
    settings, params = command_line.load(arguments)
    if arguments.if_missing and (params.pack.lung_masking == "none" or is_evaluated(settings)):
        return
    if arguments.folder is None:
        if arguments.masks or arguments.out:
            raise InputError("FOLDER: missing; expected the films that --masks and --out are about.")
        target = settings.unet_dir / "evaluation"
        locks.hold(target)
        films, truth, table = held_out(settings, params)
    else:
        if arguments.masks is None:
            raise InputError(f"--masks: missing; expected the folder of the masks of {arguments.folder}.")
        target = arguments.out or settings.unet_dir / "evaluation_outside"
        need(settings.unet, TRAINED_BY)
        pairs = lung_sets.pair_masks(arguments.folder, arguments.masks)
        OwnFiles(target, FILES)
        films, truth, table = outside(arguments, settings, params, *pairs, target)
    score(films, truth, table, settings, params, target)


def held_out(settings, params):
    """The packed films of the test split, their masks, and their rows of the table."""
    folder, size, made_by = settings.segmentation, params.unet.unet_input_size, "src/segmentation/etl/2_pack_arrays.py"
    packed = lung_films.read_packed(folder, size)
    films = packs.open_pack(folder / f"images_{size}.npy", made_by)
    masks = packs.open_pack(folder / f"masks_{size}.npy", made_by, len(OUTLINES))
    test = np.flatnonzero(packed["split"] == "test")
    if not len(test):
        raise InputError(f"{folder / 'split.csv'}: no test film; raise UNET_TEST_FRACTION or name UNET_TEST_SETS.")
    return films[test], masks[test], packed.loc[test]


def outside(arguments, settings, params, pairs, problems, target):
    """The same of the pairs of two folders; what has no partner or is no mask is listed."""
    jobs = lung_sets.jobs_of(pairs, arguments.folder, arguments.masks)
    read = functools.partial(reading.try_pair, size=params.unet.unet_input_size, fit=params.pack.fit)
    results = executors.by_processes(read, jobs, executors.process_count(params.general.workers))
    films, masks, wrong = zip(*progress(results, len(jobs), "lung films"), strict=True)
    whole = [row for row, problem in enumerate(wrong) if not problem]
    unusable = pd.DataFrame({"path": pairs["film"], "problem": wrong}).drop(index=whole)
    write_problems(pd.concat([problems, unusable]), target / "problems.csv")
    if not whole:
        raise InputError(f"{arguments.masks}: none of its {len(jobs)} pairs can be used; the first: {wrong[0]}")
    print(
        f"{counted(len(whole), 'pair')}; not used: {len(problems) + len(unusable)} files -> {target / 'problems.csv'}"
    )
    pairs = pairs.iloc[whole]
    split_csv = settings.segmentation / "split.csv"
    if split_csv.is_file():
        split = read_csv(split_csv, "src/segmentation/etl/1_split_patients.py", ["image_id", "split"], dtype=str)
        known = pairs["image_id"].isin(split.loc[split["split"] != "test", "image_id"]).sum()
        if known:
            print(f"WARNING: {known} of these films are among those that the U-Net was trained and chosen on, by name")
    return np.stack([films[row] for row in whole]), np.stack([masks[row] for row in whole]), pairs


def score(films, truth, table, settings, params, target):
    """Outlines of films (N, size, size) beside the true ones (N, size, size, 2): tables, pictures, a printout."""
    need(settings.unet, TRAINED_BY)
    # Keras is imported only now: --help and wrong input answer at once.
    from cxr.networks import backend, inference, saved_models
    from cxr.report import film_pictures

    print(f"lung masks of {len(films)} films; {backend.start(params)}")
    unet = saved_models.load_model(settings.unet, params.unet.unet_input_size, TRAINED_BY)
    outlined = list(inference.outlined_films(unet, films, params))
    table = table[["image_id", "set", "patient_id"]].reset_index(drop=True)
    predicted, drawn = np.stack([film.lungs for film in outlined]), truth[..., 0]
    table["dice"], table["iou"] = dice(drawn, predicted), iou(drawn, predicted)
    table["accepted"] = [film.quality.accepted for film in outlined]
    table = table.join(hearts(outlined, truth))
    write_csv(table.round(5), target / "dice.csv")

    block = {
        "all": summary(table, params),
        **{name: summary(rows, params) for name, rows in table.groupby("set")},
        "unet": digest(settings.unet),
    }
    write_json(block, target / "metrics.json")
    worst = table["dice"].nsmallest(10).index
    captions = [f"{table['image_id'][row]}  Dice {table['dice'][row]:.3f}" for row in worst]
    film_pictures.worst_masks(
        [films[row] for row in worst], drawn[worst], predicted[worst], captions, target / "worst.png"
    )
    for name, values in block.items():
        if isinstance(values, dict):
            print(line(name, values))
    if (table["set"] == lung_films.DRAWN).any():
        print("  drawn films are no measure of real ones: see docs/drawn_films.md for what was found on real hospitals")
    print(f"-> {target / 'metrics.json'}, dice.csv, worst.png")


def hearts(outlined, truth):
    """heart_dice of films whose heart is known, cardiothoracic_ratio of all, cardiothoracic_ratio_true of the known."""
    rows = []
    for film, heart, lungs in zip(outlined, truth[..., 1], truth[..., 0], strict=True):
        row = {"heart_dice": np.nan, "cardiothoracic_ratio": film.widths.cardiothoracic_ratio}
        if film.heart is not None and not (heart == NOT_KNOWN).any():
            row["heart_dice"] = float(dice(heart[None], film.heart[None])[0])
            row["cardiothoracic_ratio_true"] = measure(lungs, heart).cardiothoracic_ratio
        rows.append(row)
    return pd.DataFrame(rows, columns=["heart_dice", "cardiothoracic_ratio", "cardiothoracic_ratio_true"])


def line(name, values):
    """A set's summary in words."""
    limits = values["dice_interval"]
    interval = f"[{limits[0]:.4f}, {limits[1]:.4f}]" if limits else f"(no interval: {values['no_interval']})"
    scores = f"Dice {values['dice']:.4f} {interval}  IoU {values['iou']:.4f}"
    said = f"  {name:<12} {scores}  {counted(values['films'], 'film')}, {values['accepted']} accepted"
    if not values["hearts"]:
        said += "; heart: no mask to measure it by"
    else:
        said += f"; heart: Dice {values['heart_dice']:.4f}, {counted(values['hearts'], 'film')}"
    if values.get("ratios"):
        said += f", cardiothoracic ratio {values['ratio_error']:+.3f} (absolute {values['ratio_absolute_error']:.3f})"
    return said


def summary(rows, params):
    """Mean Dice and IoU of films with their intervals by patient."""
    replicates = params.evaluation.bootstrap_replicates
    interval = [
        bootstrap.mean_interval(rows[score], rows["patient_id"], replicates, params.general.seed)
        for score in ("dice", "iou")
    ]
    return {
        "films": len(rows),
        "dice": float(rows["dice"].mean()),
        "dice_interval": interval[0],
        "iou": float(rows["iou"].mean()),
        "iou_interval": interval[1],
        "lowest_dice": float(rows["dice"].min()),
        "accepted": int(rows["accepted"].sum()),
        "no_interval": bootstrap.why_none(rows["patient_id"].nunique(), replicates),
        **heart_summary(rows),
    }


def heart_summary(rows):
    """Of the films whose heart is known: how many, mean Dice, and the error of the cardiothoracic ratio."""
    known = rows[rows["heart_dice"].notna()]
    if known.empty:
        return {"hearts": 0}
    error = (known["cardiothoracic_ratio"] - known["cardiothoracic_ratio_true"]).dropna()
    return {
        "hearts": len(known),
        "heart_dice": float(known["heart_dice"].mean()),
        "ratios": len(error),
        "ratio_error": float(error.mean()) if len(error) else None,
        "ratio_absolute_error": float(error.abs().mean()) if len(error) else None,
    }


if __name__ == "__main__":
    command_line.run(main)
