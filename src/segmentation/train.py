"""Train the U-Net that finds the lungs; goes on where an interrupted run stopped.

Reads   DATA_DIR/segmentation/images_<size>.npy, masks_<size>.npy, packed_<size>.csv, split.csv
Writes  MODELS_DIR/segmentation/Unet/weights/: model.keras (best epoch by Dice on val), log.csv, curves.png, run.json
"""

from cxr.core import command_line, locks, process_group
from cxr.core.artifacts import digest, digest_of
from cxr.tables import lung_sets


def main(argv=None):
    arguments = command_line.unet_parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    reason = lung_sets.why_skip(settings, params) if arguments.if_missing else ""
    with process_group.first_speaks():
        if reason:
            print(reason)
        else:
            train_unet(settings, params)


def train_unet(settings, params):
    if process_group.is_first():
        locks.hold(settings.unet.parent)
    # Keras is imported only now: --help and wrong input answer at once.
    from cxr.evaluation import metrics
    from cxr.networks import augmentation, backend, film_batches, inference, u_net
    from cxr.preparation import packs
    from cxr.training import epoch_callback, loop, losses, run_records

    folder, size, unet_params = settings.segmentation, params.unet.unet_input_size, params.unet
    made_by = "src/segmentation/etl/2_pack_arrays.py"
    films = packs.open_pack(folder / f"images_{size}.npy", made_by)
    masks = packs.open_pack(folder / f"masks_{size}.npy", made_by)
    packed = lung_sets.read_packed(folder, size)
    train, val = (packed.index[packed["split"] == name].to_numpy() for name in ("train", "val"))

    device = backend.start(params, together=True)
    target = settings.unet.parent
    identity = {
        "pack": digest(folder / f"packed_{size}.json"),
        "split": digest(folder / "split.csv"),
        "parameters": digest_of(
            [
                unet_params.model_dump(),
                params.training.model_dump(),
                params.models.batch_norm_momentum,
                params.general.seed,
            ]
        ),
    }
    print(
        f"U-Net, {unet_params.unet_filters} filters at {size} px: {len(train)} films, {len(val)} for validation; "
        f"{device}"
    )
    backend.batch_must_divide(unet_params.unet_batch_size, "UNET_BATCH_SIZE")
    run_records.agree(identity)
    with backend.scope():
        unet = u_net.build_unet(params)
    batches = film_batches.FilmBatches(
        films, train, packed["image_id"][train], masks, unet_params.unet_batch_size, params.general.seed,
        augmentation.LUNG_AUGMENTATION.model_copy(update={"augmentation": unet_params.unet_augmentation}),
        loop.loader_threads(params), (process_group.index(), process_group.count()),
    )  # fmt: skip

    predict = inference.predictor(unet, films, val, params)

    def score():
        probabilities = predict()[..., 0]
        truth = masks[val]
        return {
            "val_loss": losses.cross_entropy(truth > 127, probabilities),
            "val_dice": float(metrics.dice(truth, probabilities >= params.pack.lung_threshold).mean()),
        }

    # The U-Net's own rate and epochs go through the same loop.
    run_params = params.model_copy(
        update={
            "training": params.training.model_copy(
                update={
                    "learning_rate": unet_params.unet_learning_rate,
                    "schedule": "cosine",
                    "early_stopping_patience": 0,
                }
            )
        }
    )
    every_epoch = epoch_callback.EveryEpoch(target, unet, score, "val_dice", run_params, batches, identity)
    outcome = loop.fit(unet, losses.dice_and_cross_entropy, batches, every_epoch, unet_params.unet_epochs, run_params)
    run_records.finish(target, run_records.run_record(params, device, identity, outcome))
    print(
        f"Dice on val {outcome['best']:.4f} in epoch {outcome['best_epoch']}, {outcome['seconds']} s -> {settings.unet}"
    )


if __name__ == "__main__":
    command_line.run(main)
