"""TRACKING: what is logged where, that later stages go on with the run, and that no tracker ends a training."""

import functools
import importlib.util

import numpy as np
import pytest
from PIL import Image

from cxr.core import configuration
from cxr.core.errors import Ended, InputError
from cxr.training import classifier_training, time_limit, tracking
from tests.conftest import load_script, prepare, settings_in, tiny_params

NAN = float("nan")


@pytest.fixture(autouse=True)
def begin_anew(monkeypatch):
    monkeypatch.setattr(tracking, "_failed", set())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, found=importlib.util.find_spec: found(name))
    for name in ("MLFLOW_TRACKING_URI", *tracking.ENVIRONMENT):
        monkeypatch.setenv(name, "")  # so that what a test sets is taken back
        monkeypatch.delenv(name)


@pytest.fixture
def entries(monkeypatch):
    """What a tracker in MLflow's place is given."""
    given = []
    monkeypatch.setitem(tracking.TRACKERS, "mlflow", given.append)
    return given


@pytest.fixture
def films(tmp_path):
    """Settings with films to train a tiny network on."""
    settings, params = settings_in(tmp_path), tiny_params()
    labels = np.arange(12)[:, None] % 2 * np.ones(6)
    prepare(settings, params, range(12), ["train", "train", "val"] * 4, labels=labels)
    return settings


def train(settings, **changes):
    classifier_training.train_member(
        settings, tiny_params(EPOCHS=2, **changes), "ensemble", "tiny", print, time_limit.TimeLimit()
    )
    return settings.member_dir("ensemble", "tiny")


def test_training_logs_parameters_and_metrics_by_epoch(films, entries):
    train(films, TRACKING="mlflow")
    assert [(entry.folder, entry.epoch) for entry in entries] == [(films.family_dir("ensemble"), n) for n in (1, 2)]
    assert {"tiny/loss", "tiny/val_loss", "tiny/val_auroc", "tiny/learning_rate"} <= set(entries[0].metrics)
    assert entries[0].parameters["EPOCHS"] == 2
    assert entries[0].name == "classification/ensemble"
    assert not [value for entry in entries for value in entry.metrics.values() if value != value]


def test_a_network_of_drawn_films_is_a_run_that_ends(films, entries):
    train(films, TRACKING="mlflow", WEIGHTS="drawn", DRAWN_FILMS=20, DRAWN_EPOCHS=1)
    drawn = [entry for entry in entries if entry.folder == films.family_dir("drawn")]
    assert [entry.epoch for entry in drawn] == [1, None]
    assert {path.name for path in drawn[1].files} == {"curves.png", "log.csv", "run.json"}  # with which a run ends


def test_nothing_is_logged_unless_asked_for_nor_by_other_processes(films, entries, monkeypatch):
    tracking.log(tiny_params(), films.family_dir("ensemble"), {"loss": 1.0})
    monkeypatch.setattr(tracking.process_group, "index", lambda: 1)
    tracking.log(tiny_params(TRACKING="mlflow"), films.family_dir("ensemble"), {"loss": 1.0})
    assert entries == []


def test_a_tracker_that_fails_is_told_once_and_changes_nothing_of_a_training(films, monkeypatch, capsys):
    folder = train(films)
    weights = (folder / "run.json").read_text()
    (folder / "run.json").rename(folder / "old.json")
    (folder / ".cxr-backup").rename(folder / "old")
    calls = []

    def breaks(entry):
        calls.append(entry)
        raise RuntimeError("no such\nserver")

    monkeypatch.setitem(tracking.TRACKERS, "mlflow", breaks)
    train(films, TRACKING="mlflow")
    assert len(calls) == 1
    warning = r"WARNING: TRACKING mlflow failed, and is left out from here on: RuntimeError: no such\nserver"
    assert capsys.readouterr().err.count(warning) == 1
    # Where runs are logged is no part of what they are.
    made = [(folder / name).read_text() for name in ("run.json", "old.json")]
    assert weights == made[1]
    same = [classifier_training.identity_of(films, tiny_params(TRACKING=name), "tiny") for name in ("", "mlflow")]
    assert same[0] == same[1]


def test_a_signal_that_comes_while_a_tracker_works_is_not_taken_for_its_error(monkeypatch, tmp_path):
    def asked(entry):
        raise time_limit.TimeLimit().ended("SIGTERM")

    monkeypatch.setitem(tracking.TRACKERS, "mlflow", asked)
    with pytest.raises(Ended, match="SIGTERM"):
        tracking.log(tiny_params(TRACKING="mlflow"), tmp_path, {"loss": 1.0})


@pytest.mark.parametrize("name", ["mlflow", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_told_before_training(films, tmp_path, monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "PARAMS.json").write_text(f'{{"TRACKING": "{name}"}}')
    given = [f"--settings={tmp_path / 'SETTINGS.json'}", f"--params={tmp_path / 'PARAMS.json'}"]
    for script in (
        functools.partial(load_script("src/classification/train/train.py").main, ["ensemble", *given]),
        functools.partial(load_script("src/segmentation/train.py").main, given),
    ):
        with pytest.raises(InputError, match=f'TRACKING is "{name}", but the package is not installed. Run: pip'):
            script()


def test_tensorboard_of_an_older_file_is_a_tracker():
    for old, now in ((True, "tensorboard"), (False, "")):
        assert configuration.params_from({"TENSORBOARD": old}, "-").general.tracking == now
    with pytest.raises(InputError, match="unknown key TENSORBOARD"):
        configuration.params_from({"TENSORBOARD": "yes"}, "-")


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (6, 4)).save(path)
    return path


def test_mlflow_keeps_one_run_of_a_family_and_begins_another_where_it_is_trained_anew(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    family, params = tmp_path / "models/classification/ensemble", tiny_params(TRACKING="mlflow")
    for member, epoch in (("tiny", 1), ("tiny", 2), ("xception", 1), ("tiny", 1)):
        tracking.log(params, family, {"loss": epoch, "val_auroc_A (b)": NAN}, member, epoch)
    overview = picture(family / "gradcam/overview_Effusion.png")
    tracking.log(params, family, {"auroc_A (b)": 0.5, "auroc": None}, "test", files=[overview, family / "none.csv"])
    assert not tracking._failed
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'models/mlflow/mlflow.db'}")
    known = client.get_experiment_by_name(tracking.EXPERIMENT).experiment_id
    last, first = client.search_runs([known], order_by=["attributes.start_time DESC"])
    assert [step.value for step in client.get_metric_history(first.info.run_id, "tiny/loss")] == [1, 2]
    assert first.data.metrics == {"tiny/loss": 2, "xception/loss": 1}
    assert last.data.metrics == {"tiny/loss": 1, "test/auroc_A _b_": 0.5}
    assert last.data.params["ENSEMBLE_MEMBERS"] == "('tiny',)"
    assert (last.info.status, last.info.run_name) == ("FINISHED", "classification/ensemble")
    assert [file.path for file in client.list_artifacts(last.info.run_id, "gradcam")] == [
        "gradcam/overview_Effusion.png"
    ]


def test_tensorboard_shows_metrics_pictures_and_texts(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    family, params = tmp_path / "models/classification/ensemble", tiny_params(TRACKING="tensorboard")
    for epoch in (1, 2):
        tracking.log(params, family, {"loss": 1 / epoch}, "tiny", epoch)
    (family / "result.csv").write_text("finding,AUROC\n")
    tracking.log(params, family, files=[picture(family / "roc.png"), family / "result.csv", family / "none.png"])
    assert not tracking._failed
    seen = accumulator.EventAccumulator(str(family / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in seen.Scalars("tiny/loss")] == [(1, 1), (2, 0.5)]
    assert seen.FirstEventTimestamp() > 1e9  # seconds since 1970
    assert {"parameters", "result.csv", "roc"} <= set(seen.Tags()["tensors"]) | set(seen.Tags()["images"])
