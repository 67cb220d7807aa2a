"""Runs logged to a tracker as well: TRACKING. Where it fails it is left out, and the run goes on.

A run is what lies in one folder: a family with all its members, or the U-Net. Whatever is logged of it later, by
evaluation or the pictures, goes to the same run. Another tracker is one function more, in `TRACKERS`.
"""

import functools
import importlib.util
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

from PIL import Image

from cxr.core import process_group
from cxr.core.artifacts import digest_of
from cxr.core.errors import InputError, one_line
from cxr.core.parameters import Params

# Nothing is told to MLflow's makers, and a server that does not answer costs a minute, not ten.
ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "WARNING"}
ENVIRONMENT |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
EXPERIMENT = "chest X-rays"
_failed: set[str] = set()  # trackers that are left out until this process ends


@dataclass(frozen=True)
class Entry:
    """What a tracker gets: its function finds or begins the run of ``folder`` and adds this to it."""

    folder: Path  # of the run; MODELS_DIR is two above it, as in Settings
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    epoch: int | None  # from 1; None = the metrics are no epoch's
    first: str  # a metric that the run has where this epoch was logged before: then another run begins
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        return "/".join(self.folder.parts[-2:])


def require(params: Params) -> None:
    """Raise an InputError where the package that TRACKING needs is not installed; asked before anything is trained."""
    name = params.general.tracking
    if name and importlib.util.find_spec(name) is None:
        raise InputError(f'TRACKING is "{name}", but the package is not installed. Run: pip install {name}')


def log(
    params: Params, folder: Path, metrics: Mapping[str, float | None] | None = None, part: str = "",
    epoch: int | None = None, files: Iterable[Path] = (),
) -> None:  # fmt: skip
    """Log to the run of a folder, where TRACKING says so; whatever fails of it is a warning.

    Parameters
    ----------
    params : Params
    folder : Path
        ``Settings.family_dir`` or ``Settings.unet_dir``.
    metrics : mapping
        None and NaN are left out.
    part : str
        What they are of: a member or a split.
    epoch : int, optional
        From 1; 1 where the run has it already is another run.
    files : iterable of Path
        Pictures, tables, pages; those that are not there are left out.
    """
    name, begin = params.general.tracking, f"{part}/" if part else ""
    if not name or name in _failed or not process_group.is_first():
        return
    known = {begin + key: float(value) for key, value in (metrics or {}).items() if value is not None}
    known = {re.sub(r"[^\w\-. /]", "_", key): value for key, value in known.items() if value == value}
    again = next(iter(known), "") if epoch == 1 else ""
    there = tuple(path for path in files if path.is_file())
    try:
        TRACKERS[name](Entry(folder.absolute(), params.flat(), known, epoch, again, there))
    except Exception as error:  # whatever a tracker raises: nothing of ours may end of it
        _failed.add(name)
        said = one_line(f"{type(error).__name__}: {error}"[:500])
        print(f"WARNING: TRACKING {name} failed, and is left out from here on: {said}", file=sys.stderr)


def log_training(params: Params, folder: Path) -> None:
    """`log` what the training in a folder left, to the run of the folder above."""
    log(params, folder.parent, files=[folder / name for name in ("curves.png", "log.csv", "run.json")])


def _mlflow(entry: Entry) -> None:
    """To MLFLOW_TRACKING_URI, or else to a SQLite file (its own default) in the folder mlflow of MODELS_DIR."""
    client, experiment = _mlflow_store(entry.folder.parents[1])
    tag = digest_of(str(entry.folder))
    query = f"tags.cxr = '{tag}'"
    found = client.search_runs([experiment], query, order_by=["attributes.start_time DESC"], max_results=1)
    if found and entry.first not in found[0].data.metrics:
        run = found[0].info.run_id
    else:
        run = client.create_run(experiment, tags={"cxr": tag}, run_name=entry.name).info.run_id
        for key, value in entry.parameters.items():
            client.log_param(run, key, str(value)[:500])
    for key, value in entry.metrics.items():
        client.log_metric(run, key, value, step=entry.epoch or 0)
    for path in entry.files:
        client.log_artifact(run, str(path), "" if path.parent == entry.folder else path.parent.name)
    if entry.files:  # of a stage that has ended; it takes what comes later all the same
        client.set_terminated(run)


@functools.cache
def _mlflow_store(models_dir: Path) -> tuple[Any, str]:
    """MLflow's client, and the experiment that holds all our runs there."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient

    store, place, uri = models_dir / "mlflow", None, os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        store.mkdir(parents=True, exist_ok=True)
        place, uri = str(store / "files"), f"sqlite:///{store / 'mlflow.db'}"
    client = MlflowClient(uri)
    known = client.get_experiment_by_name(EXPERIMENT)
    return client, known.experiment_id if known else client.create_experiment(EXPERIMENT, artifact_location=place)


def _tensorboard(entry: Entry) -> None:
    """To the folder tensorboard beside the run's results; needs no TensorFlow, and loads none."""
    from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
    from tensorboard.summary.writer.record_writer import RecordWriter

    def text(tag: str, content: str):
        tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[content.encode()])
        about = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="text"))
        return summary_pb2.Summary.Value(tag=tag, metadata=about, tensor=tensor)

    values = [summary_pb2.Summary.Value(tag=key, simple_value=value) for key, value in entry.metrics.items()]
    for path in entry.files:
        if path.suffix == ".png":
            with Image.open(path) as opened:
                width, height = opened.size
            image = summary_pb2.Summary.Image(encoded_image_string=path.read_bytes(), width=width, height=height)
            values.append(summary_pb2.Summary.Value(tag=path.stem, image=image))
        elif path.suffix == ".csv":
            values.append(text(path.name, indent(path.read_text(), " " * 4)))  # Markdown for "as it is"
        else:
            values.append(text(path.name, path.read_text() if path.suffix == ".md" else str(path)))
    if entry.epoch in (None, 1):
        lines = [f"{key}: {value}" for key, value in entry.parameters.items()]
        values.append(text("parameters", indent("\n".join(lines), " " * 4)))
    path, now = _events_file(entry.folder / "tensorboard"), time.time()
    events = [event_pb2.Event(wall_time=now, step=entry.epoch or 0, summary=summary_pb2.Summary(value=values))]
    if not path.exists():
        events.insert(0, event_pb2.Event(wall_time=now, file_version="brain.Event:2"))
    with open(path, "ab") as file:
        for event in events:
            RecordWriter(file).write(event.SerializeToString())


@functools.cache
def _events_file(folder: Path) -> Path:
    """The file of this process in a run's folder; TensorBoard reads all of them, in the order of their names."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"events.out.tfevents.{time.time():.0f}.{os.getpid()}"


TRACKERS = {"tensorboard": _tensorboard, "mlflow": _mlflow}
