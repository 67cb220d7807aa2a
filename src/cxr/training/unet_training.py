"""Training the U-Net that finds the lungs, by the loop of the classifiers with a rate and epochs of its own."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cxr.core import process_group
from cxr.core.artifacts import digest, origin
from cxr.core.errors import counted
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.imaging import lungs
from cxr.networks import augmentation, backend, film_batches, inference, u_net
from cxr.preparation import packs
from cxr.tables import lung_sets
from cxr.training import epoch_callback, loop, losses, run_records

PACKED_BY = "src/segmentation/etl/2_pack_arrays.py"
# Of the classifiers' training keys those that the U-Net's loop uses too; the rest is its own.
SHARED_KEYS = ("optimizer", "weight_decay", "gradient_accumulation", "precision", "xla")


def train_unet(settings: Settings, params: Params, say: Callable[[str], None]) -> None:
    """Train the U-Net, or resume an interrupted run of it.

    Raises
    ------
    InputError
        The packed lung films are not there or do not belong together.
    """
    folder, size, unet_params = settings.segmentation, params.unet.unet_input_size, params.unet
    films, masks = (packs.open_pack(folder / f"{name}_{size}.npy", PACKED_BY) for name in ("images", "masks"))
    packed = lung_sets.read_packed(folder, size)
    train, val = (packed.index[packed["split"] == name].to_numpy() for name in ("train", "val"))
    device = backend.start(params, together=True)
    target, identity = settings.unet.parent, identity_of(settings, params)
    about = f"U-Net, {unet_params.unet_filters} filters at {size} px"
    say(f"{about}: {counted(len(train), 'film')}, {len(val)} for validation; {device}")
    backend.batch_must_divide(unet_params.unet_batch_size, "UNET_BATCH_SIZE")
    run_records.agree(identity)
    with backend.scope():
        unet = u_net.build_unet(params)
    batches = film_batches.FilmBatches(
        films, train, packed["image_id"][train], masks, unet_params.unet_batch_size, seed=params.general.seed,
        augmentation=augmentation.LUNG_AUGMENTATION.model_copy(update={"augmentation": unet_params.unet_augmentation}),
        workers=loop.loader_threads(params), share=(process_group.index(), process_group.count()),
    )  # fmt: skip
    score = unet_score(inference.predictor(unet, films, val, params), masks[val], params.pack.lung_threshold)
    # The U-Net's own rate and epochs go through the same loop.
    own = {"learning_rate": unet_params.unet_learning_rate, "schedule": "cosine", "early_stopping_patience": 0}
    own["freeze"] = "none"  # all of it learns
    run_params = params.model_copy(update={"training": params.training.model_copy(update=own)})
    every_epoch = epoch_callback.EveryEpoch(target, unet, score, "val_dice", run_params, batches, identity)
    loss = losses.dice_and_cross_entropy
    outcome = loop.fit(unet, loss, batches, every_epoch, unet_params.unet_epochs, run_params, say)
    run_records.finish(target, run_records.run_record(params, device, identity, outcome))
    best = f"Dice on val {outcome['best']:.4f} in epoch {outcome['best_epoch']}"
    say(f"{best}, {outcome['seconds']} s -> {settings.unet}")


def identity_of(settings: Settings, params: Params) -> dict[str, Any]:
    """What the U-Net depends on; a change of the classifiers' EPOCHS is none of its concern."""
    folder, size = settings.segmentation, params.unet.unet_input_size
    return {
        "pack": origin(folder / f"packed_{size}.json", PACKED_BY),
        "split": digest(folder / "split.csv"),
        "unet": params.unet.model_dump(),
        "training": params.training.model_dump(include=set(SHARED_KEYS)),
        "batch_norm_momentum": params.models.batch_norm_momentum,
        "seed": params.general.seed,
    }


def unet_score(
    predict: Callable[[], np.ndarray], truth: np.ndarray, threshold: float
) -> Callable[[], dict[str, float]]:
    """What is watched: the mean Dice of val masks at ``threshold``, and their cross-entropy.

    Parameters
    ----------
    predict : callable
        () -> probabilities of lung (N, size, size, 1), from the current weights.
    truth : ndarray of shape (N, size, size), uint8
        0 or 255.
    threshold : float
    """

    def score() -> dict[str, float]:
        probabilities = predict()[..., 0]
        return {
            "val_loss": losses.cross_entropy(truth > 127, probabilities),
            "val_dice": float(lungs.dice(truth, probabilities >= threshold).mean()),
        }

    return score
