"""Training the U-Net that outlines lungs and heart, by the classifiers' loop with a rate and epochs of its own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from cxr.anatomy import lungs
from cxr.anatomy.heart import NOT_KNOWN, OUTLINES
from cxr.core import process_group
from cxr.core.artifacts import digest, origin
from cxr.core.errors import counted
from cxr.core.parameters import AugmentParams, Params, UnetParams
from cxr.core.settings import Settings
from cxr.networks import augmentation, backend, film_batches, inference, u_net
from cxr.preparation import packs
from cxr.tables import lung_films
from cxr.training import epoch_callback, loop, losses, run_records
from cxr.training.time_limit import TimeLimit

PACKED_BY = "src/segmentation/etl/2_pack_arrays.py"
# Of the classifiers' training keys those that the U-Net's loop uses too; the rest is its own.
SHARED_KEYS = ("optimizer", "weight_decay", "gradient_accumulation", "precision", "xla")


def train_unet(settings: Settings, params: Params, say: Callable[[str], None], limit: TimeLimit | None = None) -> None:
    """Train the U-Net, or resume an interrupted run of it.

    Raises
    ------
    InputError
        The packed lung films are not there or do not belong together.
    """
    folder, size, unet_params = settings.segmentation, params.unet.unet_input_size, params.unet
    films = packs.open_pack(folder / f"images_{size}.npy", PACKED_BY)
    masks = packs.open_pack(folder / f"masks_{size}.npy", PACKED_BY, len(OUTLINES))
    packed = lung_films.read_packed(folder, size)
    lung_films.check_packed(packed, params)
    val = packed.index[packed["split"] == "val"].to_numpy()
    train, names = rows_of_an_epoch(packed)
    is_drawn = (packed["set"] == lung_films.DRAWN).any()
    epochs = unet_params.unet_drawn_epochs if is_drawn else unet_params.unet_epochs
    knows_hearts = is_drawn or (packed.loc[train, "hearts"] != "").any()
    masks = masks[..., : 1 + knows_hearts]  # an outline that nobody teaches would be noise
    target = settings.unet.parent
    params = run_records.settled(params, target, lambda params: identity_of(settings, params))
    device, identity = backend.start(params, together=True), identity_of(settings, params)
    about = f"U-Net, {unet_params.unet_filters} filters at {size} px"
    films_of_sets = packed.loc[np.unique(train), "set"].value_counts().sort_index()
    sets = ", ".join(f"{name} {count}" for name, count in films_of_sets.items())
    learns = f"{counted(len(train), 'film')} an epoch ({sets}), {len(val)} for validation, {counted(epochs, 'epoch')}"
    learns += "" if knows_hearts else "; no film has a mask of the heart: lungs alone"
    say(f"{about}: {learns}; {device}")
    backend.batch_must_divide(unet_params.unet_batch_size, "UNET_BATCH_SIZE")
    run_records.agree(identity)
    with backend.scope():
        unet = u_net.build_unet(params, masks.shape[-1])
    batches = film_batches.FilmBatches(
        films, train, names, masks, unet_params.unet_batch_size, seed=params.general.seed,
        augmentation=augmentation_of(unet_params, knows_hearts),
        workers=loop.loader_threads(params), share=(process_group.index(), process_group.count()),
    )  # fmt: skip
    score = unet_score(inference.predictor(unet, films, val, params), masks[val], params.pack.lung_threshold)
    # The U-Net's own rate and epochs go through the same loop.
    own = {"learning_rate": unet_params.unet_learning_rate, "schedule": "cosine", "early_stopping_patience": 0}
    own["freeze"] = "none"  # all of it learns
    run_params = params.model_copy(update={"training": params.training.model_copy(update=own)})
    every_epoch = epoch_callback.EveryEpoch(target, unet, score, "val_dice", run_params, batches, identity)
    loss = losses.dice_and_cross_entropy
    outcome = loop.fit(unet, loss, batches, every_epoch, epochs, run_params, say, limit)
    run_records.finish(target, run_records.run_record(params, device, identity, outcome))
    best = f"Dice on val {outcome['best']:.4f} in epoch {outcome['best_epoch']}"
    say(f"{best}, {outcome['seconds']} s -> {settings.unet}")


def augmentation_of(unet_params: UnetParams, knows_hearts: bool) -> AugmentParams:
    """Strong variations of lung films; mirrored ones only where no heart is learned, for hearts lie on the left."""
    own = {"augmentation": unet_params.unet_augmentation} | ({"flip": 0.0} if knows_hearts else {})
    return augmentation.LUNG_AUGMENTATION.model_copy(update=own)


def rows_of_an_epoch(packed: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Rows of train that an epoch passes over, and a name of each pass that seeds its augmentation.

    Real films pass more often than drawn ones where they are fewer: `lung_films.passes_of_real`.
    """
    train = packed[packed["split"] == "train"]
    is_drawn = train["set"] == lung_films.DRAWN
    times = lung_films.passes_of_real(int((~is_drawn).sum()), int(is_drawn.sum()))
    repeats = [1 if drawn else times for drawn in is_drawn]
    names = [
        f"{image_id}#{again}" if again else image_id
        for image_id, count in zip(train["image_id"], repeats, strict=True)
        for again in range(count)
    ]
    return np.repeat(train.index.to_numpy(), repeats), names


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
    """What is watched: the mean Dice of val lungs at ``threshold``; beside it that of known hearts, and cross-entropy.

    Parameters
    ----------
    predict : callable
        () -> probabilities (N, size, size, K), from the current weights.
    truth : ndarray of shape (N, size, size, K), uint8
        0 or 255, or `NOT_KNOWN` all over a mask.
    threshold : float
    """

    def score() -> dict[str, float]:
        probabilities = predict()
        scores = {"val_loss": losses.cross_entropy(film_batches.known_masks(truth), probabilities), "val_dice": np.nan}
        for index, name in enumerate(("val_dice", "val_heart_dice")[: truth.shape[-1]]):
            of_outline = truth[..., index]
            known = (of_outline != NOT_KNOWN).all(axis=(1, 2))
            if known.any():
                found = probabilities[known, ..., index] >= threshold
                scores[name] = float(lungs.dice(of_outline[known], found).mean())
        return scores

    return score
