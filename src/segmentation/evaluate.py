"""How well the U-Net finds the lungs: Dice and IoU on the held-out patients, against the masks as drawn (not dilated).

Reads   DATA_DIR/segmentation/images_<size>.npy, masks_<size>.npy, packed_<size>.csv, split.csv; the U-Net
Writes  MODELS_DIR/segmentation/Unet/evaluation/: dice.csv (a row a film), metrics.json (mean and 95 % interval by
        patient, per lung set), worst.png (the ten worst films)
"""

import numpy as np

from cxr.core import command_line, locks
from cxr.core.artifacts import digest, need, write_csv, write_json
from cxr.core.errors import InputError
from cxr.tables import lung_sets


def is_evaluated(settings):
    """Whether the metrics there are of the U-Net there, or there is nothing to evaluate it on."""
    metrics_json = settings.unet_dir / "evaluation" / "metrics.json"
    if not (settings.segmentation / "split.csv").exists():
        return True
    return metrics_json.exists() and digest(settings.unet) in metrics_json.read_text(errors="replace")


def main(argv=None):
    arguments = command_line.unet_parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    target = settings.unet_dir / "evaluation"
    if arguments.if_missing and (params.pack.lung_masking == "none" or is_evaluated(settings)):
        return
    locks.hold(target)
    folder, size = settings.segmentation, params.unet.unet_input_size
    made_by, trained_by = "src/segmentation/etl/2_pack_arrays.py", "src/segmentation/train.py"
    packed = lung_sets.read_packed(folder, size)
    need(settings.unet, trained_by)
    # Keras is imported only now: --help and wrong input answer at once.
    from cxr.evaluation import metrics
    from cxr.networks import backend, inference, saved_models
    from cxr.preparation import packs
    from cxr.report import film_pictures

    films = packs.open_pack(folder / f"images_{size}.npy", made_by)
    masks = packs.open_pack(folder / f"masks_{size}.npy", made_by)
    test = np.flatnonzero(packed["split"] == "test")
    if not len(test):
        raise InputError(f"{folder / 'split.csv'}: no test film; raise UNET_TEST_FRACTION or name UNET_TEST_SETS.")
    print(f"lung masks of {len(test)} held-out films; {backend.start(params)}")
    unet = saved_models.load_model(settings.unet, size, trained_by)
    predicted, qualities = zip(*inference.lung_masks(unet, (films[row] for row in test), params), strict=True)
    truth, predicted = masks[test], np.stack(predicted)
    table = packed.loc[test, ["image_id", "set", "patient_id"]].reset_index(drop=True)
    table["dice"], table["iou"] = metrics.dice(truth, predicted), metrics.iou(truth, predicted)
    table["accepted"] = [quality.accepted for quality in qualities]
    write_csv(table.round({"dice": 5, "iou": 5}), target / "dice.csv")

    block = {
        "all": summary(table, metrics.mean_interval, params),
        **{name: summary(rows, metrics.mean_interval, params) for name, rows in table.groupby("set")},
        "unet": digest(settings.unet),
    }
    write_json(block, target / "metrics.json")
    worst = table["dice"].nsmallest(10).index
    captions = [f"{table['image_id'][row]}  Dice {table['dice'][row]:.3f}" for row in worst]
    film_pictures.worst_masks(
        [films[test[row]] for row in worst], truth[worst], predicted[worst], captions, target / "worst.png"
    )
    for name, values in block.items():
        if isinstance(values, dict):
            interval = (
                "[{:.4f}, {:.4f}]".format(*values["dice_interval"]) if values["dice_interval"] else "(no interval)"
            )
            print(
                f"  {name:<12} Dice {values['dice']:.4f} {interval}  IoU {values['iou']:.4f}  "
                f"{values['films']} films, {values['accepted']} accepted"
            )
    print(f"-> {target / 'metrics.json'}, dice.csv, worst.png")


def summary(rows, mean_interval, params):
    """Mean Dice and IoU of films with their intervals by patient."""
    interval = [
        mean_interval(rows[score], rows["patient_id"], params.evaluation.bootstrap_replicates, params.general.seed)
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
    }


if __name__ == "__main__":
    command_line.run(main)
