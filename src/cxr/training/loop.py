"""The one fit loop, with its optimizer and schedule; it resumes where an interrupted run stopped."""

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cxr.core.errors import InputError
from cxr.core.executors import process_count
from cxr.core.parameters import Params
from cxr.networks import backend
from cxr.networks.backend import keras
from cxr.training import tracking
from cxr.training.epoch_callback import Echo, EveryEpoch, Within
from cxr.training.time_limit import TimeLimit

ops = keras.ops
HEAD = ("dropout", "logits")  # what FREEZE does not hold


def warmup_of(steps: int, params: Params) -> int:
    """Of so many batches, those in which a cosine's rate rises first: Adam's first steps are its wildest."""
    return min(100 * params.training.gradient_accumulation, steps // 10)


def make_optimizer(params: Params, steps: int):
    """The optimizer with its learning rate; cosine falls to 1 % over all steps, plateau is moved by `EveryEpoch`.

    A step is a batch, also with GRADIENT_ACCUMULATION: Keras' schedules count batches, while weights, weight decay and
    Adam's bias correction move once in so many. Gradients left over at the end of an epoch are not lost: they are
    variables of the optimizer, saved with it, and go into the next epoch's first update.

    Raises
    ------
    InputError
        GRADIENT_ACCUMULATION where TensorFlow trains on several devices: Keras cannot (keras-team/keras issue 20582).
    """
    training = params.training
    rate = training.learning_rate
    accumulate = {"gradient_accumulation_steps": training.gradient_accumulation}
    if training.gradient_accumulation == 1:
        accumulate = {}
    elif keras.backend.backend() == "tensorflow" and len(backend.devices()) > 1:
        raise InputError(
            f"GRADIENT_ACCUMULATION is {training.gradient_accumulation}, and TensorFlow trains on "
            f"{len(backend.devices())} devices, where Keras cannot accumulate. Set it to 1, train on one device "
            "(CUDA_VISIBLE_DEVICES), or use KERAS_BACKEND=jax."
        )
    if training.schedule == "cosine":
        warmup = warmup_of(steps, params)
        rate = keras.optimizers.schedules.CosineDecay(
            rate * 0.1 if warmup else rate, max(1, steps - warmup), alpha=0.01,
            warmup_target=rate if warmup else None, warmup_steps=warmup,
        )  # fmt: skip
    if training.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, **accumulate)
    return keras.optimizers.AdamW(rate, weight_decay=training.weight_decay, **accumulate)


def stages_of(params: Params, epochs: int) -> list[tuple[int, int, Params]]:
    """(first epoch, end, parameters) of each stage: with FREEZE the last layer alone learns first, or all the time.

    Before fine-tuning its rate is constant and nothing stops early; fine-tuning begins anew, as a run of its own.
    """
    training = params.training
    if training.freeze == "none":
        return [(0, epochs, params)]

    def changed(**values) -> Params:
        return params.model_copy(update={"training": training.model_copy(update=values)})

    alone = {"learning_rate": training.freeze_learning_rate}
    if training.freeze == "backbone":
        return [(0, epochs, changed(**alone))]
    alone |= {"schedule": "constant", "early_stopping_patience": 0}
    return [(0, training.freeze, changed(**alone)), (training.freeze, epochs, changed(freeze="none"))]


def fit(
    model, loss, batches, every_epoch: EveryEpoch, epochs: int, params: Params, say: Callable[[str], None],
    limit: TimeLimit | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train, or resume an interrupted or shorter run, to the last epoch, the early stop or the end of the time.

    Parameters
    ----------
    model : keras.Model
        What the loss is computed from.
    loss : callable
    batches : FilmBatches
    every_epoch : EveryEpoch
    epochs : int
    params : Params
    say : callable
        Takes the line of each epoch.
    limit : TimeLimit, optional

    Returns
    -------
    dict
        ``seconds`` of all epochs, also of earlier calls, ``films_per_second`` of this one, ``epochs``, ``best_epoch``,
        ``best``, ``resumed_from``.
    """
    limit = limit or TimeLimit()
    within = Within(say, limit, every_epoch.name, epochs)
    callbacks = [every_epoch, Echo(say, len(batches), limit), within]
    if params.general.tracking:  # before the one that may end training
        track = functools.partial(_track, params, every_epoch.folder)
        callbacks.insert(1, keras.callbacks.LambdaCallback(on_epoch_end=track))
    stages = [stage for stage in stages_of(params, epochs) if every_epoch.saved_epoch() <= stage[1]]
    first, state, layers = None, every_epoch.state, every_epoch.best_model.layers
    rates = {layer.name: layer.rate for layer in layers if isinstance(layer, keras.layers.Dropout)}
    with backend.scope():
        for begin, end, own in stages:
            _freeze(layers, rates, own)
            every_epoch.parameters = own
            optimizer = make_optimizer(own, (end - begin) * len(batches))
            model.compile(optimizer=optimizer, loss=loss, jit_compile=backend.jit_compile(params))
            # Else fit traces the step twice. In float16 it is Keras' wrapper, whose scale of the loss is kept too.
            model.optimizer.build(model.trainable_variables)
            if first is None:
                first = every_epoch.resume(model)
                state = every_epoch.state
                if first:
                    limit.kept = f"epoch {first} of {epochs} of {every_epoch.name} is whole and kept"
                    stopped = ", where it stopped early: EARLY_STOPPING_PATIENCE" if state["stopped"] else ""
                    say(f"  resumed after epoch {first}{stopped}")
                started = time.perf_counter()
            else:
                state["waited"] = 0  # patience is of the stage
            if state["epoch"] < end and not state["stopped"]:
                if own.training.freeze != "none":
                    say(f"  to epoch {end} only the last layer learns, at {own.training.learning_rate:g}")
                model.fit(
                    batches, initial_epoch=state["epoch"], epochs=end, callbacks=callbacks, verbose=0, shuffle=False
                )
    return _outcome(state, first, time.perf_counter() - started, len(batches) * batches.batch_size)


def _freeze(layers, rates: dict[str, float], params: Params) -> None:
    """Let the layers learn that FREEZE lets; ``rates``: of those that drop at random, by name."""
    for layer in layers:
        # Of batch normalisation this is inference mode too, in Keras; of blocks that EfficientNet drops it is not.
        layer.trainable = params.training.freeze == "none" or layer.name in HEAD
        if layer.name in rates:
            layer.rate = rates[layer.name] if layer.trainable else 0.0


def _track(params: Params, folder: Path, epoch: int, logs: dict[str, float]) -> None:
    tracking.log(params, folder.parent, logs, part=folder.name, epoch=epoch + 1)


def _outcome(state: dict[str, Any], first: int, seconds: float, epoch_films: int) -> dict[str, Any]:
    """What `fit` returns; ``seconds`` of this call, ``epoch_films`` with those that fill up the last batch."""
    films = (state["epoch"] - first) * epoch_films
    return {
        "seconds": round(sum(row["seconds"] for row in state["log"]), 1),
        "films_per_second": round(films / seconds, 2) if films else None,
        "epochs": state["epoch"],
        "best_epoch": state["best_epoch"],
        "best": state["best"],
        "resumed_from": first,
    }


def loader_threads(params: Params) -> int:
    """Threads that read and augment batches; a few suffice, OpenCV does the work outside Python's lock."""
    return min(8, process_count(params.general.workers))
