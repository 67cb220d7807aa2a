"""What tests share."""

import contextlib
import importlib.util
import io
import json
import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cxr.core import configuration, executors
from cxr.core.artifacts import Step, digest, write_csv
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.preparation import packs
from cxr.tables import schema

PROJECT = Path(__file__).resolve().parents[1]
TINY = {
    "WORKERS": 1,
    "LUNG_FILMS": "real",
    "UNET_INPUT_SIZE": 32,
    "UNET_FILTERS": 4,
    "UNET_EPOCHS": 1,
    "ENSEMBLE_MEMBERS": ["tiny"],
    "EFFICIENTNET_VARIANT": "B0",
    "DENSENET_INPUT_SIZE": 32,
    "EFFICIENTNET_INPUT_SIZE": 32,
    "WEIGHTS": "none",
    "EPOCHS": 1,
    "BATCH_SIZE": 4,
    "SCORE_BATCH_SIZE": 4,
    "BOOTSTRAP_REPLICATES": 0,
}


def load_script(relative_path: str) -> ModuleType:
    """A script below the project as a module: numbered names can't be imported."""
    path = PROJECT / relative_path
    spec = importlib.util.spec_from_file_location(path.stem.lstrip("0123456789_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Begun first, so that at the end no process waits for another's long file (pytest --no-loadscope-reorder).
LONG = (
    "test_pipeline", "test_attacks", "test_training", "test_several_devices", "test_segmentation_scripts",
    "test_classifiers", "test_any_findings", "test_robustness", "test_cluster", "test_benchmarks", "test_security",
    "test_predict", "test_architecture",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


SPAWNED = executors.processes
WORKER = """
import os
from cxr.core import executors
os.environ.clear()
os.environ.update(given)
executors._start_worker()
"""


@contextlib.contextmanager
def forked(count: int):
    """`executors.processes`, of one that has imported pandas and OpenCV: afresh each takes a second of CPU for that."""
    context = multiprocessing.get_context("forkserver")
    given = {"given": dict(os.environ)}
    with ProcessPoolExecutor(count, mp_context=context, initializer=exec, initargs=(WORKER, given)) as executor:
        yield executors.Pool(executor, executors.READ_AHEAD * count)


@pytest.fixture(scope="session", autouse=True)
def _forked_processes():
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["cxr.new_films.predicting", "cxr.releases.writing"]
    )
    executors.processes = forked
    yield
    executors.processes = SPAWNED


STAND_IN = """#!/bin/sh
[ "$1" = -c ] || printf '%s\\n' "$@" "" >> {calls}
"""


def in_process(folder: Path, script: str, *words: str) -> str:
    """What a script says with the JSON files of a folder, in this process, which has started its framework already.

    A shell script calls a stand-in for Python, which notes the calls; then they are made. One of the project's whole
    shell scripts in processes of their own is in tests/test_pipeline.py.
    """
    words = [*words, "--settings", "SETTINGS.json", "--params", "PARAMS.json"]
    calls = [[script, *words]]
    if script.endswith(".sh"):
        with tempfile.TemporaryDirectory() as place:
            python, noted = Path(place, "python"), Path(place, "calls")
            python.write_text(STAND_IN.format(calls=noted))
            python.chmod(0o755)
            subprocess.run(
                ["sh", PROJECT / script, *words], cwd=folder, env=os.environ | {"PYTHON": str(python)}, check=True
            )
            calls = [call.split("\n") for call in noted.read_text().removesuffix("\n\n").split("\n\n")]
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as said:
        for name, *arguments in calls:
            assert not load_script(name).main(arguments), said.getvalue()
    return said.getvalue()


def tiny_params(**changes) -> Params:
    """Parameters that compute in a moment, with keys of PARAMS.json changed."""
    return configuration.params_from(TINY | changes, "PARAMS.json")


def wait_until(true: Callable[[], Any], seconds: float = 60, what: str = "") -> float:
    """Seconds until it is true."""
    begin = time.monotonic()
    while not true():
        assert time.monotonic() < begin + seconds, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - begin


def settings_in(folder: Path) -> Settings:
    """Settings with everything below ``folder``, whose SETTINGS.json it writes."""
    keys = {
        "DATASET_DIR": "raw",
        "DATASET_CSV_DIR": "raw/Data_Entry_2017.csv",
        "DATASET_CHEXPERT_TRAIN_CSV_DIR": "",
        "DATASET_CHEXPERT_VAL_CSV_DIR": "",
        "DATASET_DIR_SEGMENTATION": "lungs/CXR_png",
        "MASK_DIR": "lungs/masks",
    }
    (folder / "SETTINGS.json").write_text(json.dumps(keys))
    return configuration.load_settings(folder / "SETTINGS.json")


def prepare(
    settings: Settings, params: Params, patients: Sequence[int], splits: Sequence[str], size: int = 32, labels=0
):
    """What prepare_data.sh leaves of NIH films of these patients, one of each, square and 2 * size pixels wide.

    Packed film i is gray i + 1; ``labels`` is 0, or an array (N, 6) with NaN for not known. Returns images.csv as a
    table.
    """
    ids = [f"{patient:08d}_{number:03d}" for number, patient in enumerate(patients)]
    usual = {"view": "PA", "sex": "M", "age": 50, "source": "nih", "label_source": "nih"}
    labels = np.broadcast_to(labels, (len(ids), len(params.findings)))
    rows = [
        {"image_id": f"nih/{name}", "path": f"{name}.png", "patient_id": f"nih-{patient}"} | usual
        for name, patient in zip(ids, patients, strict=True)
    ]
    images = schema.typed(
        pd.DataFrame(rows).assign(**dict(zip(params.findings, labels.T, strict=True))), params.findings
    )
    write_csv(images, settings.images_csv)
    write_csv(pd.DataFrame({"image_id": images["image_id"], "split": list(splits)}), settings.split_csv)
    path = settings.pack(size)
    with packs.written_pack(path, len(images), size) as temporary:
        for row in range(len(images)):
            packs.write_rows(temporary, row, np.full((1, size, size), row + 1, np.uint8))
    affine = {"scale_x": 0.5, "scale_y": 0.5, "offset_x": 0.0, "offset_y": 0.0}
    packed = images[["image_id"]].assign(width=2 * size, height=2 * size, mask_used=True, problem="", **affine)
    write_csv(packed, path.with_suffix(".csv"))
    made_from = {"images": digest(settings.images_csv)}
    parameters = {"size": size, **params.pack.model_dump(by_alias=True)}
    Step(path.with_suffix(".json"), made_from, parameters, [path, path.with_suffix(".csv")]).finish()
    return images
