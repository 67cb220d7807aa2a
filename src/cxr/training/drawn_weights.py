"""First weights from drawn films: a network of the same kind that learned the findings before it sees a real film.

It is trained once for a member and kept; what it was made with is in its run.json.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cxr.core import locks, process_group
from cxr.core.artifacts import as_json
from cxr.core.errors import InputError, counted
from cxr.core.parameters import AugmentParams, Params, TrainParams
from cxr.core.settings import Settings
from cxr.evaluation import metrics
from cxr.networks import backend, classifiers, film_batches, inference, recomputation, saved_models
from cxr.preparation.drawn_films import drawn_films
from cxr.synthetic import labelled, randomised
from cxr.training import epoch_callback, loop, losses, run_records, tracking
from cxr.training.time_limit import TimeLimit

FAMILY = "drawn"  # the folder of these networks, beside those of the families
VAL_SHARE = 0.05  # of the films, by which the best epoch is chosen
# Its own, whatever the real films need: from random weights, to the end of the falling rate.
TRAINING = {"optimizer": "adamw", "learning_rate": 1e-3, "schedule": "cosine", "early_stopping_patience": 0}
TRAINING |= {"freeze": "none", "class_weights": "balanced"}
# What then has no effect: as it is by default, so that a change of it trains no other network.
UNUSED = ("freeze_learning_rate", "plateau_patience", "plateau_factor")
TRAINING |= {key: TrainParams.model_fields[key].default for key in UNUSED}
# As usual, for the drawn films are randomised already; not mirrored, for hearts lie on the left.
AUGMENTATION = AugmentParams(FLIP=0.0)


def own_params(params: Params) -> Params:
    """The parameters by which a network learns from drawn films."""
    training = params.training.model_copy(update=TRAINING | {"epochs": params.models.drawn_epochs})
    return params.model_copy(update={"training": training, "augmentation": AUGMENTATION})


def not_drawable(findings: Sequence[str]) -> list[str]:
    """Those of the findings that cannot be drawn: of them nothing is learned.

    Raises
    ------
    InputError
        None can be drawn.
    """
    left_out = [finding for finding in findings if finding not in labelled.DRAWABLE]
    if len(left_out) == len(findings):
        raise InputError(
            f'WEIGHTS: "drawn": none of FINDINGS ({", ".join(findings)}) can be drawn; these can: '
            f"{', '.join(labelled.DRAWABLE)}. Name other first weights in PARAMS.json."
        )
    return left_out


def identity_of(params: Params, member: str) -> dict[str, Any]:
    """What the network depends on: of another identity it is trained anew."""
    own, shown = own_params(params), {"fit", "lung_masking", "lung_margin"}
    return {
        "member": member,
        "findings": list(params.findings),
        "size": params.input_size(member),
        "drawn_films": params.models.drawn_films,
        "drawing": [labelled.VERSION, randomised.VERSION],
        "seed": params.general.seed,
        "dropout": params.models.dropout,
        "batch_norm_momentum": params.models.batch_norm_momentum,
        "output_stride": params.output_stride(member),
        "masking": params.pack.model_dump(include=shown),
        "training": own.training.model_dump(exclude={"member_overrides"}),
        "augmentation": own.augmentation.model_dump(),
    }


def network(
    settings: Settings, params: Params, member: str, say: Callable[[str], None], limit: TimeLimit | None = None
) -> Path:
    """The network of a member that learned from drawn films: trained, or resumed, where it is not there.

    Raises
    ------
    InputError
        No finding can be drawn; another run is training it.
    """
    folder = settings.member_dir(FAMILY, member)
    params = run_records.settled(params, folder, lambda params: identity_of(params, member))
    identity = as_json(identity_of(params, member))
    path, left_out = folder / "model.keras", not_drawable(params.findings)
    if process_group.is_first():
        locks.hold(folder)
    if not run_records.is_due(folder, identity):
        say(f"{path}: learned from drawn films, up to date")
        return path
    own, size = own_params(params), params.input_size(member)
    device, count, epochs = backend.start(own, together=True), own.models.drawn_films, own.training.epochs
    what = f"{member} at {size} px learns from {counted(count, 'drawn film')} in {counted(epochs, 'epoch')}"
    say(f"first weights: {what}, no real one among them; once for all trainings -> {path}")
    if left_out:
        say(f"  cannot be drawn, learned from real films alone: {', '.join(left_out)}")
    films, truth = drawn_films(own, size)
    train, val = np.split(np.arange(count), [round(count * (1 - VAL_SHARE))])
    names = [f"{FAMILY}/{number}" for number in range(count)]
    with backend.scope():
        classifier = classifiers.build_classifier(member, classifiers.with_weights(own, "none"))
        logits = recomputation.logits_of(classifier, own.training.recompute)
    batches = film_batches.FilmBatches(
        films, train, names[: len(train)], truth[train], own.training.batch_size, seed=own.general.seed,
        augmentation=own.augmentation, workers=loop.loader_threads(own),
        share=(process_group.index(), process_group.count()),
    )  # fmt: skip
    positive = losses.class_weights(truth[train], own)
    predict = inference.predictor(classifier, films, val, own)

    def score() -> dict[str, float]:
        found = predict()
        if not np.isfinite(found).all():
            raise InputError(
                "training on drawn films diverged: probabilities are no numbers. In PARAMS.json set "
                '"PRECISION": "float32", or name other first weights in WEIGHTS.'
            )
        return {
            "val_loss": losses.cross_entropy(truth[val], found, positive),
            "val_auroc": metrics.mean_auroc(truth[val], found),
        }

    every_epoch = epoch_callback.EveryEpoch(folder, classifier, score, "val_auroc", own, batches, identity)
    every_epoch.name = f"{member} on drawn films"
    outcome = loop.fit(logits, losses.masked_cross_entropy(positive), batches, every_epoch, epochs, own, say, limit)
    run_records.finish(folder, run_records.run_record(own, device, identity, outcome))
    tracking.log_training(own, folder)
    say(f"first weights: val_auroc {outcome['best']:.4f} on drawn films, {outcome['seconds']} s -> {path}")
    return path


def load_into(classifier, path: Path) -> None:
    """Give a classifier all weights of the network at ``path``, its last layer's too.

    Raises
    ------
    InputError
        It is no whole network.
    """
    size = classifier.input_shape[1]
    classifier.set_weights(saved_models.load_model(path, size, "train.py, once the file is removed").get_weights())
