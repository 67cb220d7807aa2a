"""The record of a run: what it was made from, whether it is finished, what it took."""

import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cxr.core import locks, machine, process_group
from cxr.core.artifacts import as_json, digest, digest_of, read_record, write_json
from cxr.core.command_line import PROJECT
from cxr.core.errors import InputError, counted
from cxr.core.executors import usable_cores
from cxr.core.parameters import Params
from cxr.networks import backend

LENGTH = ("epochs", "early_stopping_patience")  # parameters by which a run is longer than another and else the same


def finish(folder: Path, record: dict[str, Any], keep: bool = False) -> None:
    """Write run.json, with the digest of the best model: the run is whole.

    keep: the backup too, from which a longer run goes on; else it is removed.
    """
    if not process_group.is_first():
        return
    write_json({**record, "model": digest(folder / "model.keras")}, folder / "run.json")
    if not keep:
        shutil.rmtree(folder / locks.BACKUP, ignore_errors=True)


def run_record(params: Params, device: str, identity: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    """What run.json says of a run: everything needed to repeat it."""
    return {
        **outcome,
        "device": device,
        "cpu_cores": usable_cores(),
        "seed": params.general.seed,
        "made_from": identity,
        "parameters": params.flat(),
        "versions": machine.versions(),
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


def agree(identity: dict[str, Any]) -> None:
    """Make sure that all processes are about to train the same.

    Raises
    ------
    InputError
        One sees other films or parameters than the first.
    """
    seen = backend.gathered(np.frombuffer(bytes.fromhex(digest_of(identity)), np.uint8))
    others = [str(index) for index, digits in enumerate(seen) if not np.array_equal(digits, seen[0])]
    if others:
        raise InputError(
            f"process {', '.join(others)} has other films, splits or parameters than process 0. All must read the same "
            "files: DATA_DIR, MODELS_DIR and both JSON files lie on a file system in common."
        )


def rest(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity without `LENGTH`."""
    training = identity.get("training", {})
    return {**identity, "training": {key: value for key, value in training.items() if key not in LENGTH}}


def goes_on(folder: Path, begun: dict[str, Any], asked: dict[str, Any], epoch: int) -> bool:
    """Whether the first epochs of one run, by its identity, are those of another: the other only lasts longer.

    Raises
    ------
    InputError
        They would be, but for a rate that falls along a cosine: towards another end it falls otherwise from the start.
    """
    begun, asked = as_json(begun), as_json(asked)
    if begun == asked:
        return True
    if rest(begun) != rest(asked):
        return False
    (epochs, patience), (longer, more_patience) = ([each["training"][key] for key in LENGTH] for each in (begun, asked))
    if asked["training"]["schedule"] == "cosine" and longer > epochs:
        key, other = ("EPOCHS", ' With "SCHEDULE" "plateau" or "constant" a run can be made longer.')
        if "drawn_films" in asked:
            key, other = ("DRAWN_EPOCHS", "")
        raise InputError(
            f"{key} is {longer}, and {folder} holds {counted(epoch, 'epoch')} of a run of {epochs}. Its rate falls "
            f"along a cosine towards the last, so those of a longer run would have been others. Set {key} back, or "
            f"move that folder away to train anew.{other}"
        )
    same_rates = asked["training"]["schedule"] != "cosine" or longer == epochs
    return same_rates and longer >= epoch and (more_patience or math.inf) >= (patience or math.inf)


def settled(params: Params, folder: Path, identity_of: Callable[[Params], dict[str, Any]]) -> Params:
    """The parameters with PRECISION "auto" as it is here; of a run that is begun or done, as it was where it began.

    So it goes on, and counts as done, on any machine.
    """
    if params.training.precision != "auto":
        return params
    for name, key in ((f"{locks.BACKUP}/state.json", "identity"), ("run.json", "made_from")):
        begun = read_record(folder / name).get(key)
        precision = isinstance(begun, dict) and begun.get("training", {}).get("precision")
        if precision and rest(as_json(identity_of(params.with_precision(precision)))) == rest(begun):
            return params.with_precision(precision)
    return params.with_precision(backend.best_precision())


def is_due(folder: Path, identity: dict[str, Any]) -> bool:
    """False where the folder holds the whole result of a run of this very identity; nothing in it is touched."""
    agree(identity)
    # What the first process says: a file system may show the others an older state.
    return not backend.gathered(np.array(is_finished(folder, identity)))[0]


def is_finished(folder: Path, identity: dict[str, Any]) -> bool:
    """True where the folder holds the whole result of a run of this very identity."""
    record = read_record(folder / "run.json")
    same = record.get("made_from") == as_json(identity)
    return same and (folder / "model.keras").exists() and digest(folder / "model.keras") == record.get("model")
