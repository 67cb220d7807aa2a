"""What happens around an epoch: seeds, score, log, best model, schedule, stopping, backup."""

import json
import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from cxr.core import locks, process_group
from cxr.core.artifacts import write_csv, write_json, written_whole
from cxr.core.errors import InputError
from cxr.core.parameters import Params
from cxr.core.progress import duration, progress
from cxr.networks import backend
from cxr.networks.backend import keras
from cxr.report import curves
from cxr.training import run_records
from cxr.training.time_limit import TimeLimit

ops = keras.ops
ESTIMATE_AFTER = 5  # seconds of steps after which what an epoch takes is told


def set_dropout_seeds(model, seed: int, epoch: int) -> None:
    """Begin an epoch's dropout anew from (seed, epoch, layer): its state is not in a saved file, and need not be."""
    for index, layer in enumerate(model.layers):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            state = np.random.default_rng([seed, epoch, index]).integers(0, 2**31, 2)
            generator.state.assign(state.astype("uint32"))


class EveryEpoch(keras.callbacks.Callback):
    """What happens around an epoch: seeds before it; score, log, best model, schedule, stopping and backup after it.

    One class instead of Keras' five callbacks because theirs forget their counters when a run is resumed.
    Of several processes each has the same scores and decides alike; only the first writes.

    Parameters
    ----------
    folder : Path
        ``log.csv``, ``curves.png``, ``model.keras`` (the best epoch) and the folder `locks.BACKUP` go there.
    best_model : keras.Model
        What is saved; shares its weights with the model in training.
    score : callable
        () -> dict with ``val_loss`` and the watched score, from the current weights.
    watch : str
        Score to maximise, where it is defined in the first epoch, else -val_loss is.
    params : Params
    batches : FilmBatches
    identity : dict
        What the run depends on; a backup of another run is not continued.
    marks : mapping
        What the legend of ``curves.png`` says of findings.
    """

    def __init__(
        self, folder: Path, best_model, score, watch: str, params: Params, batches, identity: dict[str, Any],
        marks: Mapping[str, str] = MappingProxyType({}),
    ):  # fmt: skip
        super().__init__()
        self.marks = marks
        self.folder, self.best_model, self.score, self.watch = folder, best_model, score, watch
        self.parameters, self.batches, self.identity = params, batches, identity
        self.name = identity.get("member", best_model.name)
        self.state: dict[str, Any] = {"epoch": 0, "best": None, "best_epoch": 0}
        self.state |= {"waited": 0, "stopped": False, "log": []}

    @property
    def _backup(self) -> Path:
        return self.folder / locks.BACKUP

    def resume(self, model) -> int:
        """Put the model back to where an interrupted or shorter run was; returns the epoch to resume from.

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

    def saved_epoch(self) -> int:
        """The epoch after which such a run was backed up; 0 where there is none."""
        return self._saved().get("epoch", 0)

    def _saved(self) -> dict[str, Any]:
        """The state that an interrupted or shorter run left, as `run_records.goes_on` allows; empty where none did."""
        path = self._backup / "state.json"
        try:
            saved = json.loads(path.read_text())
            begun, epoch = saved.pop("identity"), saved["epoch"]
            if not isinstance(epoch, int) or not run_records.goes_on(self.folder, begun, self.identity, epoch):
                return {}
            patience = self.parameters.training.early_stopping_patience  # which may be more than it was
            return saved | {"stopped": saved["stopped"] and 0 < patience <= saved["waited"]}
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
        # Of a U-Net it says from here to `finish` that the model beside it is not the last word.
        if process_group.is_first():
            self._backup.mkdir(parents=True, exist_ok=True)

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()
        self.batches.set_epoch(epoch)
        # The best model's layers: the network in training may hold them in segments.
        set_dropout_seeds(self.best_model, self.parameters.general.seed, epoch)

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
        state["log"].append({key: value if np.isfinite(value or 0) else None for key, value in row.items()})
        state["epoch"] = epoch + 1
        if state["best"] is None or value > state["best"]:
            state.update(best=value, best_epoch=epoch + 1, waited=0)
            if process_group.is_first():
                # An older run's record must not vouch for this model. It goes no sooner: first weights that do not fit,
                # or an interruption, cost nothing that was finished.
                (self.folder / "run.json").unlink(missing_ok=True)
                if epoch == 0:  # nor must the state of another run, which could else go on beside this one's model
                    (self._backup / "state.json").unlink(missing_ok=True)
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
        curves.save_training(log, self.folder / "curves.png", self.name, self.marks)
        self._save(self.model.save_weights, self._backup / f"epoch_{row['epoch']:04d}.weights.h5")
        # Only now does the state point to it: an interruption before this line resumes from the epoch before.
        write_json({**self.state, "identity": self.identity}, self._backup / "state.json")
        for path in self._backup.glob("epoch_*.weights.h5"):
            if path.name != f"epoch_{row['epoch']:04d}.weights.h5":
                path.unlink()


class Echo(keras.callbacks.Callback):
    """One readable line an epoch, for a log that is read the next morning; steps done and time left within it.

    Early in the first epoch of a stage that takes longer, what an epoch takes, and what compiling took.

    Parameters
    ----------
    say : callable
        Takes the lines.
    steps : int
        Of an epoch.
    limit : TimeLimit
    """

    async_safe = True  # it never looks at a batch's loss: waiting for it would slow a GPU down

    def __init__(self, say, steps: int, limit: TimeLimit):
        super().__init__()
        self.say, self.steps, self.limit = say, steps, limit

    def on_train_begin(self, logs=None):  # of a stage, which is compiled anew
        self.end, self.begun = self.params["epochs"], time.perf_counter()
        self.since = None  # when the first step was done, which compiles; False once what an epoch takes is known

    def on_epoch_begin(self, epoch, logs=None):
        self.bar, self.left = progress(None, self.steps, f"  epoch {epoch + 1}", "step"), self.end - epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.since is None:
            self.since = time.perf_counter()
            self.compiling = self.since - self.begun
            self.bar.unpause()  # its clock begins here too: else "an hour left" after a first step of minutes
        elif self.since and (took := time.perf_counter() - self.since) >= ESTIMATE_AFTER:
            self.since, one = False, took / batch * self.steps  # batch counts from 0: so many steps since the first
            all_left = f", those of {self.left} epochs {duration(one * self.left)}" if self.left > 1 else ""
            step = one / self.steps
            short = ", longer than --hours leaves: NO EPOCH WILL BE WHOLE" if one > self.limit.left() else ""
            self.say(
                f"  a step takes {step:.2g} s, the {self.steps:,} of an epoch about {duration(one)}{all_left}{short}; "
                f"compiling took {duration(self.compiling)}; scores on val come on top"
            )
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.close()
        self.since = False
        values = "  ".join(
            f"{key} not known (too few val patients)" if math.isnan(value) else f"{key} {value:.4g}"
            for key, value in logs.items()
            if not key.startswith("val_auroc_")
        )
        self.say(f"  epoch {epoch + 1}: {values}")


class Within(keras.callbacks.Callback):
    """Ends training after the last epoch that fits its `TimeLimit`, of several processes all after the same; tells when
    all epochs will have ended.

    Parameters
    ----------
    say, limit, member
        As `Echo` takes them; the member's name.
    epochs : int
        Of all stages.
    """

    async_safe = True

    def __init__(self, say, limit: TimeLimit, member: str, epochs: int):
        super().__init__()
        self.say, self.limit, self.member, self.epochs = say, limit, member, epochs
        self.longest = 0.0  # seconds of an epoch with its scores, of this call

    def on_train_begin(self, logs=None):
        self._end_if_asked()

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0 and not self.longest:
            self.begun = time.monotonic()  # compiling is in no later epoch

    def on_epoch_end(self, epoch, logs=None):
        took, left = time.monotonic() - self.begun, self.epochs - epoch - 1
        if not self.longest and left and took >= ESTIMATE_AFTER:
            end = datetime.now() + timedelta(seconds=took * left)
            self.say(f"  with its scores it took {duration(took)}: all {self.epochs} end about {end:%a %d %b %H:%M}")
        self.longest = max(self.longest, took)
        self.limit.advance(f"epoch {epoch + 1} of {self.epochs} of {self.member} is whole and kept")
        if epoch + 1 < self.params["epochs"] and not self.model.stop_training:
            self._end_if_asked()

    def _end_if_asked(self) -> None:
        why = self.limit.why_end(self.longest)
        if backend.gathered(np.array(bool(why))).any():  # clocks differ, and a signal may reach one alone
            raise self.limit.ended(why or "another process was to end")
