"""Losses, the one fit loop with its schedule, best model and resume, and the record of a run."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.networks import backend
from cxr.evaluation import metrics
from cxr.report import pictures
from cxr.core import process_group
from cxr.core.artifacts import digest, digest_of, read_json, write_csv, write_json, written_whole
from cxr.networks.backend import keras
from cxr.core.config import PROJECT
from cxr.core.errors import InputError
from cxr.core.executors import process_count
from cxr.core.findings import FINDINGS
from cxr.core.parameters import Params
from cxr.core.progress import progress

ops = keras.ops


def positive_weights(truth: np.ndarray, limit: float) -> np.ndarray:
    """Weight of a positive label per finding: negatives / positives, within 1/limit..limit.

    Parameters
    ----------
    truth : ndarray of shape (N, F), float
        1, 0, NaN = not known.
    limit : float

    Returns
    -------
    ndarray of shape (F,), float32
        1 where a finding has no positive or no negative.
    """
    positives, negatives = (truth == 1).sum(axis=0), (truth == 0).sum(axis=0)
    ratio = np.divide(negatives, positives, out=np.ones(truth.shape[1]), where=(positives > 0) & (negatives > 0))
    return np.clip(ratio, 1 / limit, limit).astype(np.float32)


def masked_cross_entropy(weights: np.ndarray) -> Callable:
    """Binary cross-entropy on logits, positives weighted, averaged over the known labels only.

    Parameters
    ----------
    weights : ndarray of shape (F,)
        Of a positive label, per finding (never ``fit(class_weight=…)``: Keras takes the argmax of a multi-hot row).

    Returns
    -------
    callable
        (truth (N, F) with NaN = not known, logits (N, F)) -> scalar; on each of several replicas its part of it.
    """

    def loss(truth, logits):
        known = ops.logical_not(ops.isnan(truth))
        # Replaced before the cross-entropy: masking its result alone would leave NaN in the gradient.
        label = ops.where(known, truth, 0.0)
        weight = ops.where(known, ops.where(label > 0.5, ops.convert_to_tensor(weights), 1.0), 0.0)
        cross_entropy = ops.softplus(ops.where(label > 0.5, -logits, logits))
        number = backend.sum_of_replicas(ops.sum(ops.cast(known, "float32")))
        return ops.sum(weight * cross_entropy) / ops.maximum(number, 1.0)

    return loss


def dice_and_cross_entropy(truth, probability):
    """Cross-entropy plus one minus the soft Dice of each film (Milletari 2016): the outline and the area both count."""
    truth = ops.cast(truth, "float32")
    overlap = ops.sum(truth * probability, axis=(1, 2, 3))
    area = ops.sum(truth, axis=(1, 2, 3)) + ops.sum(probability, axis=(1, 2, 3))
    dice = (2 * overlap + 1) / (area + 1)
    of_films = ops.mean(keras.losses.binary_crossentropy(truth, probability), axis=(1, 2)) + 1 - dice
    return ops.sum(of_films) / backend.sum_of_replicas(ops.sum(ops.ones_like(dice)))


def cross_entropy(truth: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | float = 1.0) -> float:
    """Mean binary cross-entropy over what is known (not NaN) of arrays of one shape; positives weigh ``weights``."""
    truth = truth.astype(np.float64)
    p = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(np.nanmean(-(weights * truth * np.log(p) + (1 - truth) * np.log(1 - p))))


class EveryEpoch(keras.callbacks.Callback):
    """What happens around an epoch: seeds before it; score, log, best model, schedule, stopping and backup after it.

    One class instead of Keras' five callbacks because theirs forget their counters when a run is resumed.
    Of several processes each has the same scores and decides alike; only the first writes.

    Parameters
    ----------
    folder : Path
        ``log.csv``, ``curves.png``, ``model.keras`` (the best epoch) and ``backup/`` go there.
    best_model : keras.Model
        What is saved; shares its weights with the model in training.
    score : callable
        () -> dict with ``val_loss`` and the watched score, from the current weights.
    watch : str
        Score to maximise, where it is defined in the first epoch, else -val_loss is.
    params : Params
    batches : FilmBatches
    identity : dict
        What the run hangs on; a backup of another run is not continued.
    """

    def __init__(self, folder: Path, best_model, score, watch: str, params: Params, batches, identity: dict[str, Any]):
        super().__init__()
        self.folder, self.best_model, self.score, self.watch = folder, best_model, score, watch
        self.parameters, self.batches, self.identity = params, batches, identity
        self.state: dict[str, Any] = {
            "epoch": 0,
            "best": None,
            "best_epoch": 0,
            "waited": 0,
            "stopped": False,
            "log": [],
        }

    @property
    def _backup(self) -> Path:
        return self.folder / "backup"

    def resume(self, model) -> int:
        """Put the model back to where an interrupted run of the same identity was; returns the epoch to go on with.

        Raises
        ------
        InputError
            Of several processes one sees another backup than the first; or the backup cannot be read.
        """
        saved = self._saved()
        epochs = backend.gathered(np.array(saved.get("epoch", 0), np.int32)).tolist()
        if len(set(epochs)) > 1:
            raise InputError(
                f"{self._backup}: {process_group.count()} processes see the backups of epochs {epochs}. They need one "
                "file system in common; on a slow one, wait a minute and start them again."
            )
        if not saved:
            return 0
        path = self._backup / f"epoch_{saved['epoch']:04d}.weights.h5"
        try:
            model.load_weights(path)
        except Exception as error:  # Keras and h5py raise whatever the broken file provokes
            raise self._spoilt(path, error) from None
        self.state = saved
        return saved["epoch"]

    def _saved(self) -> dict[str, Any]:
        """The state that an interrupted run of the same identity left; empty where there is none."""
        path = self._backup / "state.json"
        try:
            saved = json.loads(path.read_text())
            same = saved.pop("identity") == json.loads(json.dumps(self.identity, default=str))
            return saved if same and isinstance(saved["epoch"], int) else {}
        except (FileNotFoundError, KeyError, TypeError, AttributeError):
            return {}
        except (OSError, ValueError) as error:
            raise self._spoilt(path, error) from None

    def _spoilt(self, path: Path, error: Exception) -> InputError:
        # Not from the beginning: the disk may only be away, and the epochs are worth a question.
        return InputError(
            f"{path}: this backup cannot be read ({type(error).__name__}: {error}). Mend it, or remove {self._backup} "
            "to begin anew."
        )

    def on_train_begin(self, logs=None):
        # From here to `finish` its presence says that the model beside it is not the last word.
        if process_group.is_first():
            self._backup.mkdir(parents=True, exist_ok=True)

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()
        self.batches.set_epoch(epoch)
        # A Dropout's seed state is not in a saved file; set anew from (SEED, epoch, place) it need not be.
        # The best model's layers: the network in training may hold them in segments.
        for place, layer in enumerate(self.best_model.layers):
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                state = np.random.default_rng([self.parameters.general.seed, epoch, place]).integers(0, 2**31, 2)
                generator.state.assign(state.astype("uint32"))

    def on_epoch_end(self, epoch, logs=None):
        state = self.state
        scores = self.score()
        value = scores[self.watch]
        if value is None or not np.isfinite(value):
            value = -scores["val_loss"]
        if not np.isfinite(value):
            raise InputError(
                f"epoch {epoch + 1}: neither {self.watch} nor val_loss is a number. Either no label of val is known "
                "(VAL_FRACTION), or training diverged (lower LEARNING_RATE)."
            )
        optimizer = self.model.optimizer
        row = {
            "epoch": epoch + 1,
            "loss": float(logs["loss"]),
            **scores,
            "learning_rate": float(ops.convert_to_numpy(optimizer.learning_rate)),
        }
        row["seconds"] = round(time.perf_counter() - self.started, 1)
        state["log"].append({key: None if value is None or value != value else value for key, value in row.items()})
        state["epoch"] = epoch + 1
        if state["best"] is None or value > state["best"]:
            state.update(best=value, best_epoch=epoch + 1, waited=0)
            self._save(self.best_model.save, self.folder / "model.keras")
        else:
            state["waited"] += 1
            self._reduce_or_stop(optimizer)
        logs.update({key: value for key, value in row.items() if isinstance(value, float)})
        self._write(row)

    def _save(self, save: Callable, path: Path) -> None:
        if process_group.is_first():
            # Keras' saver makes variables of its own; shared ones would wait for the other processes.
            with backend.own_scope(), written_whole(path) as temporary:
                save(temporary)

    def _reduce_or_stop(self, optimizer) -> None:
        training, waited = self.parameters.training, self.state["waited"]
        if training.schedule == "plateau" and waited % training.plateau_patience == 0:
            optimizer.learning_rate.assign(optimizer.learning_rate * training.plateau_factor)
        if training.early_stopping_patience and waited >= training.early_stopping_patience:
            self.state["stopped"] = self.model.stop_training = True

    def _write(self, row: dict[str, Any]) -> None:
        if not process_group.is_first():
            return
        log = pd.DataFrame(self.state["log"])
        write_csv(log, self.folder / "log.csv")
        pictures.training_curves(log, self.folder / "curves.png", self.best_model.name)
        self._save(self.model.save_weights, self._backup / f"epoch_{row['epoch']:04d}.weights.h5")
        # Only now does the state point to it: an interruption before this line goes on from the epoch before.
        write_json({**self.state, "identity": self.identity}, self._backup / "state.json")
        for path in self._backup.glob("epoch_*.weights.h5"):
            if path.name != f"epoch_{row['epoch']:04d}.weights.h5":
                path.unlink()


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
        # A short rise first: Adam's first steps are its wildest.
        warmup = min(100 * training.gradient_accumulation, steps // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            rate * 0.1 if warmup else rate, max(1, steps - warmup), alpha=0.01,
            warmup_target=rate if warmup else None, warmup_steps=warmup,
        )  # fmt: skip
    if training.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, **accumulate)
    return keras.optimizers.AdamW(rate, weight_decay=training.weight_decay, **accumulate)


def fit(
    model, loss, batches, every_epoch: EveryEpoch, epochs: int, params: Params, echo: Callable = print
) -> dict[str, Any]:
    """Train, or go on with an interrupted run, to the last epoch or the early stop.

    Parameters
    ----------
    model : keras.Model
        What the loss is computed from.
    loss : callable
    batches : FilmBatches
    every_epoch : EveryEpoch
    epochs : int
    params : Params
    echo : callable
        Takes the line of each epoch.

    Returns
    -------
    dict
        ``seconds`` of this call, ``films_per_second``, ``epochs``, ``best_epoch``, ``best``, ``resumed_from``.
    """
    callbacks = [every_epoch, _Echo(echo, len(batches))]
    if params.training.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(every_epoch.folder / "tensorboard", write_graph=False))
    with backend.scope():
        optimizer = make_optimizer(params, epochs * len(batches))
        model.compile(optimizer=optimizer, loss=loss, jit_compile=backend.jit_compile(params))
        optimizer.build(model.trainable_variables)  # else fit traces the step twice
        first = every_epoch.resume(model)
        if first:
            echo(f"  resumed after epoch {first}")
        started = time.perf_counter()
        if first < epochs and not every_epoch.state["stopped"]:
            model.fit(batches, initial_epoch=first, epochs=epochs, callbacks=callbacks, verbose=0, shuffle=False)
    seconds = time.perf_counter() - started
    state = every_epoch.state
    films = (state["epoch"] - first) * len(batches) * batches.batch_size  # the last batch is filled up
    return {
        "seconds": round(seconds, 1),
        "films_per_second": round(films / seconds, 2) if films else None,
        "epochs": state["epoch"],
        "best_epoch": state["best_epoch"],
        "best": state["best"],
        "resumed_from": first,
    }


class _Echo(keras.callbacks.Callback):
    """One readable line an epoch, for a log that is read the next morning; steps done and time left within it."""

    async_safe = True  # it never looks at a batch's loss: waiting for it would slow a GPU down

    def __init__(self, echo, steps: int):
        super().__init__()
        self.echo, self.steps = echo, steps

    def on_epoch_begin(self, epoch, logs=None):
        self.bar = progress(None, self.steps, f"  epoch {epoch + 1}", "step")

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.close()
        values = "  ".join(f"{key} {logs[key]:.4g}" for key in logs if not key.startswith("val_auroc_"))
        self.echo(f"  epoch {epoch + 1}: {values}")


def finish(folder: Path, record: dict[str, Any]) -> None:
    """Write run.json, with the digest of the best model, and remove the backup: the run is whole."""
    if not process_group.is_first():
        return
    write_json({**record, "model": digest(folder / "model.keras")}, folder / "run.json")
    shutil.rmtree(folder / "backup", ignore_errors=True)


def run_record(params: Params, device: str, identity: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    """What run.json says of a run: everything needed to repeat it."""
    return {
        **outcome,
        "device": device,
        "cpu_cores": len(os.sched_getaffinity(0)),
        "seed": params.general.seed,
        "made_from": identity,
        "parameters": params.flat(),
        "versions": backend.versions(),
        "commit": commit(),
    }


def commit() -> str | None:
    """The project's commit, with + where files were changed since; None outside a git checkout."""
    try:
        answer = subprocess.run(
            ["git", "-C", PROJECT, "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def loader_threads(params: Params) -> int:
    """Threads that read and augment batches; a few suffice, OpenCV does the work outside Python's lock."""
    return min(8, process_count(params.general.workers))


def class_weights(truth: np.ndarray, params: Params) -> np.ndarray:
    """Weight of a positive label per finding, as CLASS_WEIGHTS says: (F,), float32."""
    if params.training.class_weights == "none":
        return np.ones(truth.shape[1], np.float32)
    return positive_weights(truth, params.training.class_weight_limit)


def classifier_score(predict: Callable[[], np.ndarray], truth: np.ndarray, weights: np.ndarray) -> Callable:
    """What is watched: scikit-learn's AUROC on val, the mean and each finding's, and the loss on val.

    ``predict`` gives the current probabilities (N, F) of the films that ``truth`` (N, F) belongs to.
    """

    def score() -> dict[str, Any]:
        probabilities = predict()
        if not np.isfinite(probabilities).all():
            raise InputError("training diverged: probabilities are no numbers. Lower LEARNING_RATE in PARAMS.json.")
        each = {
            f"val_auroc_{finding}": metrics.mean_auroc(truth[:, [place]], probabilities[:, [place]])
            for place, finding in enumerate(FINDINGS)
        }
        defined = [value for value in each.values() if np.isfinite(value)]
        return {
            "val_loss": cross_entropy(truth, probabilities, weights),
            "val_auroc": float(np.mean(defined)) if defined else float("nan"),
            **each,
        }

    return score


def agree(identity: dict[str, Any]) -> None:
    """Make sure that all processes are about to train the same.

    Raises
    ------
    InputError
        One sees other films or parameters than the first.
    """
    seen = backend.gathered(np.frombuffer(bytes.fromhex(digest_of(identity)), np.uint8))
    others = [str(place) for place, digits in enumerate(seen) if not np.array_equal(digits, seen[0])]
    if others:
        raise InputError(
            f"process {', '.join(others)} has other films, splits or parameters than process 0. All must read the same "
            "files: DATA_DIR, MODELS_DIR and both JSON files lie on a file system in common."
        )


def begin(folder: Path, identity: dict[str, Any]) -> bool:
    """False where the folder holds the whole result of a run of this very identity; else it is made ready for one."""
    agree(identity)
    # What the first process says: a file system may show the others an older state.
    if backend.gathered(np.array(is_finished(folder, identity)))[0]:
        return False
    if process_group.is_first():
        # The record of an older run must not vouch for a model that is being replaced.
        (folder / "run.json").unlink(missing_ok=True)
    return True


def is_finished(folder: Path, identity: dict[str, Any]) -> bool:
    """True where the folder holds the whole result of a run of this very identity."""
    try:
        record = read_json(folder / "run.json", "")
    except InputError:
        return False
    same = record.get("made_from") == json.loads(json.dumps(identity, default=str))
    return same and (folder / "model.keras").exists() and digest(folder / "model.keras") == record.get("model")
