"""A Dask scheduler and four workers on this machine: three of the workers are killed while they hold films."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from cxr.core import artifacts, configuration
from cxr.core.errors import InputError, MachineError
from cxr.core.executors import cluster, in_order, process_count
from cxr.core.findings import FINDINGS
from cxr.evaluation import scoring
from cxr.imaging.decoding import write_image
from cxr.networks import classifiers
from cxr.networks.backend import keras
from cxr.preparation import masking
from cxr.tables import schema
from tests.conftest import PROJECT, TINY, load_script, settings_in, wait_until

distributed = pytest.importorskip("distributed", reason="Dask is not installed (the extra dask)")
FILMS = 44
STEPS_SECONDS = 900  # that a step may take to begin, those before it included
SCORES = "models/classification/ensemble/tiny"
PARTS = (  # what the steps write to
    *(f"data/classification/.cxr-part*.{name}.npy" for name in ("lung_masks", "images_32")),
    f"{SCORES}/.cxr-part*.cams.npy",
)
COMPARED = (
    *(f"data/classification/{name}" for name in ("lung_masks.npy", "lung_masks.csv", "images_32.npy", "images_32.csv")),
    *(f"{SCORES}/{name}" for name in ("predictions.csv", "predictions_blanked.csv", "randomisation.csv", "cams.npy")),
    *(f"{SCORES}/{name}" for name in ("cams_hirescam.npy", "cams_gradcam++.npy", "cams_layercam.npy")),
)


def write_data(folder) -> None:
    """Films, tables, a network that takes what is bright for lung, and a classifier."""
    random, settings = np.random.default_rng(0), settings_in(folder)
    rows = []
    for n in range(FILMS):
        film = random.integers(0, 60, (48, 48)).astype(np.uint8)
        film[6 + n % 7 : 40, 5 : 20 - n % 5] = film[8 : 42 - n % 3, 28:44] = 200
        write_image(film, folder / "raw" / f"{n:02d}.png")
        rows.append(
            {"image_id": f"nih/{n:02d}", "path": f"{n:02d}.png", "patient_id": f"nih-{n}", "view": "PA", "sex": "M",
             "age": 50, "source": "nih", "label_source": "nih",
             **dict(zip(FINDINGS, random.integers(0, 2, 6), strict=True))}
        )  # fmt: skip
    images = schema.typed(pd.DataFrame(rows), FINDINGS)
    artifacts.write_csv(images, settings.images_csv)
    artifacts.write_csv(
        images[["image_id"]].assign(split=["train", "val", "test", "test"] * (FILMS // 4)), settings.split_csv
    )
    (folder / "PARAMS.json").write_text(json.dumps(TINY | {"LUNG_MASKING": "hard"}))
    params = configuration.load_params(folder / "PARAMS.json")
    keras.utils.set_random_seed(3)
    for path in (settings.unet, folder / SCORES / "model.keras"):
        path.parent.mkdir(parents=True)
    film = keras.Input((32, 32, 1))
    lung = keras.layers.Activation("sigmoid")(keras.layers.Rescaling(0.1, -12.8)(film))
    keras.Model(film, lung).save(settings.unet)
    classifiers.build_classifier("tiny", params).save(folder / SCORES / "model.keras")


def steps(folder, *more) -> list:
    """Calls: steps 4 and 5, and evaluation, which writes the member's record first."""
    given = [f"--settings={folder}/SETTINGS.json", f"--params={folder}/PARAMS.json", *more]
    settings = configuration.load_settings(folder / "SETTINGS.json")

    def evaluate():
        made_from = {"pack": artifacts.origin(settings.pack(32).with_suffix(".json"), "-")}
        made_from["split"] = artifacts.digest(settings.split_csv)
        artifacts.write_json({"made_from": made_from}, folder / SCORES / "run.json")
        load_script("src/classification/eval/evaluate.py").main(["ensemble", *given])

    numbered = [load_script(f"src/classification/etl/{name}.py") for name in ("4_mask_lungs", "5_pack_arrays")]
    return [*(functools.partial(script.main, given) for script in numbered), evaluate]


def run(folder, *more) -> None:
    for step in steps(folder, *more):
        step()


@contextmanager
def dask(folder, workers: int, package=PROJECT / "src"):
    """A scheduler's address, and the processes of scheduler and workers, from Dask's own commands."""
    place, environment = folder / "scheduler.json", os.environ | {"PYTHONPATH": str(package)}
    where = ["--scheduler-file", place, "--no-dashboard"]
    commands = [["scheduler", "--host", "127.0.0.1", "--port", "0", *where]]
    commands += [["worker", "--no-nanny", "--nthreads", "1", "--local-directory", folder, *where]] * workers
    started = []
    try:
        for command in commands:
            with open(folder / f"dask{len(started)}.log", "w") as log:
                command = [sys.executable, "-m", "dask", *map(str, command)]
                started.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder))
        wait_until(place.exists)
        address = json.loads(place.read_text())["address"]
        if workers:
            with distributed.Client(address, set_as_default=False) as client:
                client.wait_for_workers(workers, timeout=60)
        yield address, started
    finally:
        for process in started:
            process.kill()
            process.wait()


def kill_half_way(client, victim, address: str, folder, pattern: str, held: list) -> threading.Thread:
    """Stop a worker as soon as there is a file to write to, and kill it once others have written some rows.

    What it held goes into ``held``. The step may be minutes away where a machine is busy.
    """

    def watch():
        wait_until(lambda: any(folder.glob(pattern)), seconds=STEPS_SECONDS)
        victim.send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: any(written(path) for path in folder.glob(pattern)), seconds=STEPS_SECONDS)
            held.append(len(client.processing()[address]))
        finally:
            victim.kill()  # one that is stopped for ever holds its shards, and the step, for ever

    thread = threading.Thread(target=watch, daemon=True)  # no step that failed is waited for
    thread.start()
    return thread


def written(path) -> bool:
    try:
        return np.load(path, mmap_mode="r").any()
    except (OSError, ValueError, EOFError):  # its first bytes are not there yet
        return False


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same data twice: what one machine made of it, and what a cluster made whose workers were killed."""
    here, there = (tmp_path_factory.mktemp(name) for name in ("here", "there"))
    write_data(here)
    shutil.copytree(here, there, dirs_exist_ok=True)
    run(here)
    held = []
    with (
        pytest.MonkeyPatch.context() as patch,
        dask(there, 4) as (address, (_, *workers)),
        distributed.Client(address, set_as_default=False) as client,
    ):
        patch.setattr(masking, "SHARD", 4)
        patch.setattr(scoring, "SHARD", 1)  # batches
        addresses = {pid: address for address, pid in client.run(os.getpid).items()}
        watching = [
            kill_half_way(client, victim, addresses[victim.pid], there, part, held)
            for victim, part in zip(workers, PARTS, strict=False)
        ]
        run(there, f"--scheduler={address}")
        for thread in watching:
            thread.join()
        assert [worker.poll() for worker in workers] == [*[-signal.SIGKILL] * 3, None]
    assert len(held) == 3
    assert min(held) > 0  # each had shards in hand that others had to do again
    return here, there


@pytest.mark.parametrize("name", COMPARED)
def test_a_cluster_that_loses_workers_writes_the_same_bytes_as_one_machine(folders, name):
    here, there = (folder / name for folder in folders)
    assert there.read_bytes() == here.read_bytes()


def test_nothing_is_lost_and_films_can_be_told_apart(folders):
    _, there = folders
    for name, films in {"data/classification/images_32.npy": FILMS, f"{SCORES}/cams.npy": FILMS * 3 // 4}.items():
        rows = np.load(there / name)
        assert len(rows) == len({row.tobytes() for row in rows}) == films
    masks = pd.read_csv(there / "data/classification/lung_masks.csv")
    assert masks["accepted"].all()
    assert masks["area_fraction"].nunique() > 10
    assert not list(there.rglob(".cxr-part*"))


def test_a_scheduler_without_workers_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("cxr.core.executors.WORKERS_SECONDS", 1)
    with (
        dask(tmp_path, 0) as (address, _),
        pytest.raises(InputError, match="has no worker after 1 s"),
        cluster(address),
    ):
        pass


def test_a_scheduler_or_a_worker_without_this_package_is_said(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(name, *more):\n"
        "        if name == 'cxr':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hidden)\n"
    )
    with (
        dask(tmp_path, 1, package=tmp_path) as (address, _),
        pytest.raises(InputError, match=r"the scheduler or a worker lacks this project's package\. .*pip install"),
        cluster(address) as pool,
    ):
        list(in_order(process_count, [1], pool))


def test_films_that_end_workers_and_a_scheduler_that_ends_are_said(tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    with dask(tmp_path, 2) as (address, (scheduler, *_)):
        with (
            pytest.raises(MachineError, match=r"a shard of films ended 1 worker\(s\).*memory"),
            cluster(address) as pool,
        ):
            list(in_order(os._exit, [1], pool))
        ended = r"the scheduler ended\. .*begins this step again"
        with pytest.raises(MachineError, match=ended), cluster(address) as pool:  # noqa: PT012
            results = in_order(time.sleep, [0, 60], pool)
            next(results)
            scheduler.kill()
            next(results)
