"""Training one member of a family: what it is made from, its batches, its loss, and what is watched."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cxr.core import configuration, process_group
from cxr.core.artifacts import digest, digest_of, origin
from cxr.core.errors import InputError, counted
from cxr.core.members import backbone_of
from cxr.core.parameters import NAMED_WEIGHTS, Params
from cxr.core.settings import Settings
from cxr.evaluation import bootstrap, figures, metrics
from cxr.networks import backend, classifiers, film_batches, inference, recomputation, workload
from cxr.networks.output_stride import PUBLISHED
from cxr.preparation.films import load_films
from cxr.report import table_notes
from cxr.report.table_notes import VAL_LOW
from cxr.tables import schema, splitting
from cxr.training import drawn_weights, epoch_callback, loop, losses, run_records
from cxr.training.losses import cross_entropy
from cxr.training.time_limit import TimeLimit

REPLICATES = 200


def train_member(
    settings: Settings, params: Params, family: str, member: str, say: Callable[[str], None],
    limit: TimeLimit | None = None,
) -> None:  # fmt: skip
    """Train a member of a family, or resume an interrupted or shorter run of it; nothing where it is trained already.

    Raises
    ------
    InputError
        Films, split or parameters are not there or not of one run; there is nothing to train or validate on.
    """
    size, folder = params.input_size(member), settings.member_dir(family, member)
    films, pack = load_films(settings, params, size)
    drawn_like = params  # members of one backbone begin with the same network of drawn films
    params = params.with_seed_of(member)
    params = run_records.settled(params, folder, lambda params: identity_of(settings, params, member))
    identity = identity_of(settings, params, member)
    device = backend.start(params, together=True)
    if not run_records.is_due(folder, identity):
        say(f"{folder / 'model.keras'}: up to date")
        return
    splitting.refuse_untrainable(settings.split_csv, films["split"])
    backend.batch_must_divide(params.training.batch_size, "BATCH_SIZE")
    first = None
    if params.first_weights(member) == "drawn":
        first = drawn_weights.network(settings, drawn_like, backbone_of(member), say, limit)
        backend.start(params, together=True)  # that network may be of another precision
    truth = schema.label_array(films, params.findings)
    train, val = ((films["split"] == name).to_numpy().nonzero()[0] for name in ("train", "val"))
    say(f"{member} at {size} px: {counted(len(train), 'film')}, {len(val)} for validation; {device}")
    with backend.scope():
        classifier = classifiers.build_classifier(member, params)
        if first:
            drawn_weights.load_into(classifier, first)
        logits = recomputation.logits_of(classifier, params.training.recompute)
    if advice := workload.batch_advice(classifier, params, backend.gpu_bytes()):
        say(f"  {advice}")
    if params.weights_of_pytorch(member):
        say(f"  first weights of {params.first_weights(member)}; {classifiers.seen_grays(classifier)}")
    positive = losses.class_weights(truth[train], params)
    batches = film_batches.FilmBatches(
        pack, train, films["image_id"][train], truth[train], params.training.batch_size, seed=params.general.seed,
        augmentation=params.augmentation, workers=loop.loader_threads(params),
        share=(process_group.index(), process_group.count()),
    )  # fmt: skip
    predict = inference.predictor(classifier, pack, val, params)
    resampled = films["patient_id"].to_numpy()[val], params.general.seed
    score = classifier_score(predict, truth[val], positive, params.findings, *resampled)
    marks = table_notes.of_labels(truth[val], resampled[0], params.findings)
    every_epoch = epoch_callback.EveryEpoch(folder, classifier, score, "val_auroc", params, batches, identity, marks)
    loss = losses.masked_cross_entropy(positive)
    outcome = loop.fit(logits, loss, batches, every_epoch, params.training.epochs, params, say, limit)
    run_records.finish(folder, run_records.run_record(params, device, identity, outcome), keep=True)
    say(
        f"{member}: val_auroc {outcome['best']:.4f} in epoch {outcome['best_epoch']}, {outcome['seconds']} s "
        f"-> {folder / 'model.keras'}{guessing(every_epoch.state)}"
    )


def identity_of(settings: Settings, params: Params, member: str) -> dict[str, Any]:
    """What a member depends on: another identity is another run."""
    size, weights = params.input_size(member), params.first_weights(member)
    if weights == "drawn":
        of_weights = digest_of(drawn_weights.identity_of(params, member))
    else:
        of_weights = weights if weights in NAMED_WEIGHTS else digest(configuration.existing(weights, "WEIGHTS"))
    stride, limits = params.output_stride(member), list(params.models.weights_range)
    # Runs from before these were parameters go on.
    unused = {"freeze", "freeze_learning_rate"} if params.training.freeze == "none" else set()
    return {
        "member": member,
        "findings": list(params.findings),
        "size": size,
        "first_weights": of_weights,
        "pack": origin(settings.pack(size).with_suffix(".json"), "sh prepare_data.sh"),
        "split": digest(settings.split_csv),
        "seed": params.general.seed,
        "dropout": params.models.dropout,
        "batch_norm_momentum": params.models.batch_norm_momentum,
        **({} if stride == PUBLISHED else {"output_stride": stride}),
        **({"weights_range": limits} if limits and params.weights_of_pytorch(member) else {}),
        "training": params.training.model_dump(exclude={"member_overrides"} | unused),
        "augmentation": params.augmentation.model_dump(),
    }


def guessing(state: dict[str, Any]) -> str:
    """What the last line adds where val does not tell the best epoch from guessing; "" where it does."""
    told = table_notes.of_val(state["log"][state["best_epoch"] - 1].get(VAL_LOW))
    return f". {told}" if told else ""


def classifier_score(
    predict: Callable[[], np.ndarray], truth: np.ndarray, weights: np.ndarray, findings: Sequence[str],
    patients: np.ndarray, seed: int,
) -> Callable:  # fmt: skip
    """What is watched: scikit-learn's AUROC on val, the mean and each finding's, and the loss on val.

    ``predict`` gives the current probabilities (N, F) of the films that ``truth`` (N, F) and ``patients`` (N,) belong
    to. `VAL_LOW` is where the mean's 95 % interval begins: it tells what has learned from what guesses.
    """

    def score() -> dict[str, Any]:
        probabilities = predict()
        if not np.isfinite(probabilities).all():
            raise InputError(
                "training diverged: probabilities are no numbers. Lower LEARNING_RATE in PARAMS.json; in half "
                'precision try "PRECISION": "float32".'
            )
        each = {
            f"val_auroc_{finding}": metrics.mean_auroc(truth[:, [f]], probabilities[:, [f]])
            for f, finding in enumerate(findings)
        }
        aurocs = np.array(list(each.values()))
        defined = np.flatnonzero(np.isfinite(aurocs))
        limits = None
        if len(defined):
            drawn = figures.replicate_scores(truth[:, defined], probabilities[:, defined], patients, REPLICATES, seed)
            silent = metrics.silences(truth[:, defined], patients, [findings[f] for f in defined])
            limits = bootstrap.interval(
                drawn["auroc"].mean(axis=1), bootstrap.silence_of_mean(silent), equal_says_nothing=False
            )
        return {
            "val_loss": cross_entropy(truth, probabilities, weights),
            "val_auroc": float(aurocs[defined].mean()) if len(defined) else float("nan"),
            VAL_LOW: limits[0] if limits else float("nan"),
            **each,
        }

    return score
