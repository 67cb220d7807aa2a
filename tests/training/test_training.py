"""Losses by hand, what happens every epoch, and that an interrupted run ends where an undisturbed one does."""

import json
import math
import os
import re
import signal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cxr.core.artifacts import digest
from cxr.core.errors import Ended, InputError
from cxr.core.findings import FINDINGS
from cxr.networks import backend, classifiers, film_batches, recomputation, saved_models
from cxr.networks.backend import keras
from cxr.report import curves
from cxr.training import classifier_training, epoch_callback, loop, losses, run_records, time_limit
from tests.conftest import tiny_params

NAN = float("nan")
IDENTITY = {"run": "one"}


def test_loss_counts_known_labels_only_and_weighs_positives():
    loss = losses.masked_cross_entropy(np.array([3.0, 1.0], np.float32))
    truth = np.array([[1, NAN], [0, 1]], np.float32)
    logits = np.zeros((2, 2), np.float32)  # cross-entropy of a logit of 0 is log 2 for either label
    expected = np.log(2) * (3 + 1 + 1) / 3
    assert float(loss(keras.ops.convert_to_tensor(truth), keras.ops.convert_to_tensor(logits))) == pytest.approx(
        expected
    )


def test_loss_of_a_batch_without_a_known_label_is_zero_and_moves_no_weight():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer="sgd", loss=losses.masked_cross_entropy(np.ones(2, np.float32)))
    before = [weight.copy() for weight in model.get_weights()]
    assert model.train_on_batch(np.ones((4, 3), np.float32), np.full((4, 2), NAN, np.float32)) == 0
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


def test_an_unknown_label_never_reaches_the_gradient():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer="sgd", loss=losses.masked_cross_entropy(np.ones(2, np.float32)))
    column = model.get_weights()[0][:, 1].copy()
    model.train_on_batch(np.ones((4, 3), np.float32), np.array([[1, NAN]] * 4, np.float32))
    assert np.isfinite(model.get_weights()[0]).all()
    assert np.array_equal(model.get_weights()[0][:, 1], column)


def test_positives_weigh_as_much_as_negatives_within_a_limit():
    truth = np.array([[1, 0, 1, NAN], [0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 1, 0]])
    assert losses.positive_weights(truth, 2.5).tolist() == pytest.approx([2.5, 1, 1, 2])
    assert losses.class_weights(truth, tiny_params(CLASS_WEIGHTS="none")).tolist() == [1, 1, 1, 1]


def test_cross_entropy_of_val_leaves_unknown_labels_out():
    truth, probability = np.array([[1.0, NAN], [0.0, NAN]]), np.array([[0.5, 0.9], [0.5, 0.9]])
    assert losses.cross_entropy(truth, probability) == pytest.approx(np.log(2))
    assert losses.cross_entropy(truth, probability, 3.0) == pytest.approx(2 * np.log(2))


def test_soft_dice_of_a_perfect_mask_costs_nothing():
    mask = np.zeros((2, 8, 8, 1), np.float32)
    mask[:, 2:6, 2:6] = 1
    assert float(losses.dice_and_cross_entropy(mask, mask)) == pytest.approx(0, abs=1e-5)
    assert float(losses.dice_and_cross_entropy(mask, 1 - mask)) > 1


def test_what_is_watched_is_the_mean_auroc_of_the_defined_findings():
    truth, probabilities = np.zeros((12, 6)), np.full((12, 6), 0.5)
    truth[:, 0] = [1, 1, 0, 0] * 3  # one finding with both classes; its probabilities rank 3 of 4 pairs right
    probabilities[:, 0] = [0.9, 0.4, 0.6, 0.1] * 3

    def score(films):
        arrays = probabilities[:films], truth[:films]
        return classifier_training.classifier_score(
            lambda: arrays[0], arrays[1], np.ones(6), FINDINGS, np.arange(films), 1
        )()

    scores = score(12)
    assert scores["val_auroc"] == scores["val_auroc_Consolidation"] == 0.75
    assert np.isnan(scores["val_auroc_Edema"])
    assert 0 <= scores["val_low"] < 0.75
    assert np.isnan(score(8)["val_low"])  # four patients with the finding


def told(**best):
    return classifier_training.guessing({"best_epoch": 2, "log": [{"val_low": 0.9}, best]})


def test_the_last_line_of_a_training_says_where_val_does_not_tell_it_from_guessing():
    assert told(val_low=0.61) == ""
    assert told(val_low=0.472) == (
        ". NOT TOLD FROM GUESSING: on val the mean AUROC's interval begins at 0.472, at or below 0.5"
    )
    assert "NOT KNOWN: val has too few patients" in told(val_low=None)


def test_what_an_epoch_takes_is_told_once_after_five_seconds_of_steps_that_compile_nothing(monkeypatch):
    # A first step of 60 s, then 2 s each: known after the fourth, at 6 s for 3 steps.
    told, clock = [], iter([40.0, 100.0, 102.0, 104.0, 106.0])
    monkeypatch.setattr(epoch_callback.time, "perf_counter", lambda: next(clock))
    echo = epoch_callback.Echo(told.append, 300, time_limit.TimeLimit())
    echo.set_params({"epochs": 4})
    echo.on_train_begin()
    echo.on_epoch_begin(1)
    for batch in range(6):
        echo.on_train_batch_end(batch)
    (line,) = told
    assert line.startswith(
        "  a step takes 2 s, the 300 of an epoch about 10.0 min, those of 3 epochs 30.0 min; compiling took 1"
    )


def test_an_epoch_of_less_than_five_seconds_says_itself_what_it_took():
    told = []
    echo = epoch_callback.Echo(told.append, 2, time_limit.TimeLimit())
    echo.set_params({"epochs": 2})
    echo.on_train_begin()
    for epoch in range(2):
        echo.on_epoch_begin(epoch)
        echo.on_train_batch_end(0)
        echo.on_train_batch_end(1)
        echo.on_epoch_end(epoch, {"seconds": 0.5})
    assert told == ["  epoch 1: seconds 0.5", "  epoch 2: seconds 0.5"]


def test_an_epoch_s_line_says_why_a_score_is_no_number():
    told = []
    echo = epoch_callback.Echo(told.append, 2, time_limit.TimeLimit())
    echo.set_params({"epochs": 1})
    echo.on_train_begin()
    echo.on_epoch_begin(0)
    echo.on_epoch_end(0, {"val_auroc": 0.75, "val_low": NAN, "val_auroc_Edema": NAN})
    assert told == ["  epoch 1: val_auroc 0.75  val_low not known (too few val patients)"]


def test_a_diverged_training_says_so():
    score = classifier_training.classifier_score(
        lambda: np.full((2, 6), NAN), np.zeros((2, 6)), np.ones(6), FINDINGS, np.arange(2), 1
    )
    with pytest.raises(InputError, match=r"training diverged.*Lower LEARNING_RATE"):
        score()


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch):
    """Drawing curves is tested elsewhere and takes longer than everything here."""
    monkeypatch.setattr(curves, "save_training", lambda *_: None)


class Run:
    """A tiny classifier on eight films, trained in a folder."""

    def __init__(self, folder, scores=None, stop_after=None, like_training=False, **changes):
        self.params = tiny_params(**({"EPOCHS": 4, "DROPOUT": 0.5, "AUGMENTATION": 1.0, "ELASTIC": 0.5} | changes))
        backend.start(self.params, deterministic=keras.backend.backend() == "tensorflow")
        random = np.random.default_rng(0)
        pack = random.integers(0, 256, (8, 32, 32), np.uint8)
        truth = (random.random((8, 6)) < 0.5).astype(np.float32)
        truth[0, 0] = NAN
        ids = [f"nih/{row}" for row in range(8)]
        self.model = classifiers.build_classifier("tiny", self.params)
        batches = film_batches.FilmBatches(
            pack, np.arange(8), ids, truth, 4, seed=1, augmentation=self.params.augmentation
        )
        given = iter(scores or [])

        def score():
            self.scored += 1
            if stop_after is not None and self.scored > stop_after:
                raise KeyboardInterrupt
            value = next(given) if scores else float(self.scored)
            return {"val_loss": 1.0 / self.scored, "val_auroc": value}

        self.scored, self.said = 0, []
        training = self.params.training.model_dump()
        identity = {"member": "tiny", "training": training} if like_training else IDENTITY
        self.every_epoch = epoch_callback.EveryEpoch(
            folder, self.model, score, "val_auroc", self.params, batches, identity
        )
        self.loss = losses.masked_cross_entropy(np.ones(6, np.float32))
        self.batches = batches

    def fit(self, limit=None):
        logits = recomputation.logits_of(self.model, self.params.training.recompute)
        epochs = self.params.training.epochs
        return loop.fit(logits, self.loss, self.batches, self.every_epoch, epochs, self.params, self.said.append, limit)


# An epoch has two steps: with three batches accumulated, gradients wait over its end.
@pytest.mark.parametrize(
    "options",
    [
        {"SCHEDULE": "cosine"},
        {"SCHEDULE": "plateau"},
        {"SCHEDULE": "cosine", "GRADIENT_ACCUMULATION": 3},
        {"SCHEDULE": "plateau", "RECOMPUTE": True},
    ],
    ids=["cosine", "plateau", "accumulated", "recomputed"],
)
def test_an_interrupted_run_ends_where_an_undisturbed_one_does(tmp_path, options):
    changes = {"PLATEAU_PATIENCE": 1, "EARLY_STOPPING_PATIENCE": 0, **options}
    falling = [0.9, 0.8, 0.7, 0.6]  # so that the plateau's counter must survive
    whole = Run(tmp_path / "whole", falling, **changes)
    whole.fit()
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path / "cut", falling, stop_after=2, **changes).fit()
    resumed = Run(tmp_path / "cut", falling[2:], **changes)
    outcome = resumed.fit()
    assert outcome["resumed_from"] == 2
    assert outcome["best_epoch"] == 1
    assert outcome["seconds"] == pytest.approx(pd.read_csv(tmp_path / "cut/log.csv")["seconds"].sum())
    exact = keras.backend.backend() == "tensorflow"
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)
    logs = [
        pd.read_csv(tmp_path / place / "log.csv").drop(columns=["seconds", "val_loss"]) for place in ("whole", "cut")
    ]
    pd.testing.assert_frame_equal(*logs)
    if options["SCHEDULE"] == "plateau":
        rates = logs[0]["learning_rate"]
        assert (rates / rates[0]).tolist() == pytest.approx([1, 1, 0.5, 0.25])


def assert_same_weights(one, other):
    exact = keras.backend.backend() == "tensorflow"
    for first, second in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)


def finished(folder, *given, **changes):
    """A run to its end, recorded as train.py does."""
    run = Run(folder, *given, like_training=True, **changes)
    outcome = run.fit()
    record = run_records.run_record(run.params, "CPU", run.every_epoch.identity, outcome)
    run_records.finish(folder, record, keep=True)
    return run, outcome


# More epochs, and in the last two more patience, with which it would not have stopped.
@pytest.mark.parametrize(
    ("shorter", "longer"),
    [
        ({"SCHEDULE": "plateau", "EPOCHS": 2}, {"EPOCHS": 4}),
        ({"SCHEDULE": "constant", "EPOCHS": 3, "GRADIENT_ACCUMULATION": 3}, {"EPOCHS": 5}),
        ({"SCHEDULE": "plateau", "EPOCHS": 4, "EARLY_STOPPING_PATIENCE": 1}, {"EARLY_STOPPING_PATIENCE": 2}),
        ({"SCHEDULE": "cosine", "EPOCHS": 4, "EARLY_STOPPING_PATIENCE": 1}, {"EARLY_STOPPING_PATIENCE": 0}),
    ],
    ids=["plateau", "constant", "patience", "cosine, patience"],
)
def test_a_finished_run_made_longer_ends_where_one_long_run_does(tmp_path, shorter, longer):
    scores, usual = [0.9, 0.8, 0.7, 0.95, 0.6], {"PLATEAU_PATIENCE": 1, "EARLY_STOPPING_PATIENCE": 0}
    whole, at_once = finished(tmp_path / "whole", scores, **usual | shorter | longer)
    _, first = finished(tmp_path / "longer", scores, **usual | shorter)
    assert first["epochs"] < at_once["epochs"]
    second, then = finished(tmp_path / "longer", scores[first["epochs"] :], **usual | shorter | longer)
    assert (then["resumed_from"], then["epochs"], then["best_epoch"]) == (
        first["epochs"], at_once["epochs"], at_once["best_epoch"],
    )  # fmt: skip
    assert_same_weights(whole, second)
    logs = [pd.read_csv(tmp_path / place / "log.csv")["learning_rate"] for place in ("whole", "longer")]
    pd.testing.assert_series_equal(*logs)


def test_a_run_that_stopped_early_says_so_where_only_more_epochs_are_asked_for(tmp_path):
    scores, changes = [0.9, 0.8], {"SCHEDULE": "plateau", "EARLY_STOPPING_PATIENCE": 1}
    _, first = finished(tmp_path, scores, EPOCHS=3, **changes)
    again, then = finished(tmp_path, [], EPOCHS=6, **changes)
    assert first["epochs"] == then["epochs"] == 2
    assert again.said == ["  resumed after epoch 2, where it stopped early: EARLY_STOPPING_PATIENCE"]
    assert run_records.is_finished(tmp_path, again.every_epoch.identity)


@pytest.mark.parametrize(
    "changes",
    [{"EPOCHS": 1}, {"EARLY_STOPPING_PATIENCE": 2}, {"LEARNING_RATE": 0.5}, {"PLATEAU_PATIENCE": 7}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_run_that_would_have_been_another_begins_anew(tmp_path, changes):
    usual = {"SCHEDULE": "plateau", "EPOCHS": 2, "EARLY_STOPPING_PATIENCE": 3}
    finished(tmp_path, **usual)
    assert finished(tmp_path, **usual | changes)[1]["resumed_from"] == 0


def test_a_cosine_is_not_made_longer(tmp_path):
    finished(tmp_path, SCHEDULE="cosine", EPOCHS=2)
    kept = digest(tmp_path / "model.keras")
    with pytest.raises(InputError, match=r"EPOCHS is 3, and .* holds 2 epochs of a run of 2. Its rate falls along a"):
        finished(tmp_path, SCHEDULE="cosine", EPOCHS=3)
    assert digest(tmp_path / "model.keras") == kept
    assert finished(tmp_path, SCHEDULE="cosine", EPOCHS=1)[1]["resumed_from"] == 0


def test_another_run_s_model_is_not_made_longer_by_this_one_s_state(tmp_path, monkeypatch):
    finished(tmp_path, SCHEDULE="plateau", EPOCHS=2)
    other = Run(tmp_path, like_training=True, SCHEDULE="plateau", EPOCHS=2, LEARNING_RATE=0.5)
    monkeypatch.setattr(curves, "save_training", interrupt)  # its first model is there, its state is not yet
    with pytest.raises(KeyboardInterrupt):
        other.fit()
    monkeypatch.undo()
    assert finished(tmp_path, SCHEDULE="plateau", EPOCHS=3)[1]["resumed_from"] == 0


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_run_keeps_the_precision_in_which_it_began_wherever_auto_would_be_another(tmp_path, monkeypatch):
    params = tiny_params()

    def identity_of(params):
        return {"member": "tiny", "training": params.training.model_dump()}

    def settled(params) -> str:
        return run_records.settled(params, tmp_path, identity_of).training.precision

    monkeypatch.setattr(backend, "best_precision", lambda: "mixed_bfloat16")
    assert settled(params) == "mixed_bfloat16"
    (tmp_path / "run.json").write_text(json.dumps({"made_from": identity_of(params.with_precision("float32"))}))
    assert settled(params) == "float32"
    assert settled(tiny_params(EPOCHS=7)) == "float32"  # a longer one goes on
    assert settled(tiny_params(LEARNING_RATE=0.5)) == "mixed_bfloat16"  # another run
    assert settled(tiny_params(PRECISION="mixed_float16")) == "mixed_float16"


def test_a_run_in_float16_which_scales_its_loss_is_resumed_too(tmp_path):
    changes = {"PRECISION": "mixed_float16", "SCHEDULE": "plateau", "PLATEAU_PATIENCE": 1, "EPOCHS": 8}
    changes |= {"EARLY_STOPPING_PATIENCE": 0, "LEARNING_RATE": 0.01}
    scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6]
    try:
        whole = Run(tmp_path / "whole", scores, **changes)
        first = whole.model.get_weights()
        whole.fit()
        with pytest.raises(KeyboardInterrupt):
            Run(tmp_path / "cut", scores, stop_after=6, **changes).fit()
        resumed = Run(tmp_path / "cut", scores[6:], **changes)
        assert resumed.fit()["resumed_from"] == 6
    finally:
        keras.config.set_dtype_policy("float32")
    assert_same_weights(whole, resumed)
    rates = pd.read_csv(tmp_path / "cut/log.csv")["learning_rate"]
    assert (rates / rates[0]).tolist() == pytest.approx([1] * 7 + [0.5])
    assert np.abs(whole.model.get_layer("logits").get_weights()[0] - first[-2]).max() > 1e-3  # not all was too large


# Hours and signals, in training


@pytest.mark.parametrize("asked", ["SIGUSR1", "hours"])
def test_training_ends_after_the_epoch_that_still_fits_and_goes_on_to_the_same_weights(tmp_path, asked):
    whole = Run(tmp_path / "whole")
    whole.fit()
    limit = time_limit.TimeLimit(None if asked == "SIGUSR1" else 24, "the command")
    cut = Run(tmp_path / "cut")
    score = cut.every_epoch.score

    def second_epoch():
        if cut.scored == 1:
            limit.asked = asked if asked == "SIGUSR1" else ""
            limit.end = -math.inf if asked == "hours" else limit.end
        return score()

    cut.every_epoch.score = second_epoch
    with pytest.raises(Ended, match=r"; epoch 2 of 4 of tiny is whole and kept. Go on with: the command$"):
        cut.fit(limit)
    assert cut.said[-1].startswith("  epoch 2:")
    resumed = Run(tmp_path / "cut")
    assert resumed.fit()["resumed_from"] == 2
    assert_same_weights(whole, resumed)


def test_sigterm_ends_in_the_epoch_and_keeps_the_one_before(tmp_path):
    run = Run(tmp_path)
    score = run.every_epoch.score

    def second_epoch():
        if run.scored == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return score()

    run.every_epoch.score = second_epoch
    with pytest.raises(Ended, match="SIGTERM; epoch 1 of 4"), time_limit.within(None, "the command") as limit:
        run.fit(limit)
    assert len(pd.read_csv(tmp_path / "log.csv")) == 1
    assert Run(tmp_path).fit()["resumed_from"] == 1


def test_the_last_epoch_ends_a_training_whatever_the_hours_are(tmp_path):
    limit = time_limit.TimeLimit()
    limit.asked = "SIGUSR1"
    run = Run(tmp_path, EPOCHS=1)
    with pytest.raises(Ended, match="asked to by SIGUSR1; nothing was trained yet"):
        run.fit(limit)
    limit.asked = ""
    run.every_epoch.score = lambda: vars(limit).update(asked="SIGUSR1") or {"val_loss": 1.0, "val_auroc": 0.5}
    assert run.fit(limit)["epochs"] == 1


def test_after_an_epoch_it_is_told_when_all_will_have_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(epoch_callback, "ESTIMATE_AFTER", 0)
    run = Run(tmp_path, EPOCHS=3)
    run.fit()
    told = [line for line in run.said if "with its scores" in line]
    assert len(told) == 1
    assert re.fullmatch(r"  with its scores it took \d+ s: all 3 end about \w{3} \d\d \w{3} \d\d:\d\d", told[0])


def test_what_compiling_took_is_reckoned_with_in_no_later_epoch(monkeypatch):
    seconds = iter([0, 50, 60])  # the epoch begins, its first step is done, the epoch ends
    monkeypatch.setattr(epoch_callback, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    said: list[str] = []
    within = epoch_callback.Within(said.append, time_limit.TimeLimit(), "tiny", 4)
    within.set_params({"epochs": 4})
    within.set_model(SimpleNamespace(stop_training=False))
    within.on_epoch_begin(0)
    within.on_train_batch_end(0)
    within.on_train_batch_end(1)
    within.on_epoch_end(0)
    assert said[0].startswith("  with its scores it took 10 s: all 4 end about")
    assert within.longest == 10


@pytest.fixture
def first_weights(tmp_path):
    """A tiny network's, for runs that begin with them frozen."""
    path = tmp_path / "tiny.weights.h5"
    classifiers._tiny(input_shape=(32, 32, 3)).save_weights(path)
    return {"WEIGHTS": {"tiny": str(path)}, "DROPOUT": 0.5, "EARLY_STOPPING_PATIENCE": 1, "PLATEAU_PATIENCE": 1}


def without_last(model) -> list[np.ndarray]:
    return [values for layer in model.layers if layer.name != "logits" for values in layer.get_weights()]


@pytest.mark.parametrize("recompute", [False, True])
def test_a_frozen_backbone_keeps_weights_and_means_while_the_last_layer_learns(tmp_path, first_weights, recompute):
    run = Run(tmp_path / "run", FREEZE="backbone", FREEZE_LEARNING_RATE=0.5, RECOMPUTE=recompute, **first_weights)
    before, last = without_last(run.model), run.model.get_layer("logits").get_weights()[0]
    run.fit()
    for one, other in zip(before, without_last(run.model), strict=True):  # batch normalisation's means among them
        np.testing.assert_array_equal(one, other)
    assert np.abs(run.model.get_layer("logits").get_weights()[0] - last).max() > 0.1
    assert pd.read_csv(tmp_path / "run/log.csv")["learning_rate"].tolist() == [0.5] * 4


def test_a_frozen_backbone_drops_no_blocks_at_random(tmp_path, first_weights, monkeypatch):
    def dropping(**options):
        inner = classifiers._tiny(**options)
        return keras.Model(inner.inputs, keras.layers.Dropout(0.4, name="block_drop")(inner.output), name="tiny")

    monkeypatch.setitem(classifiers.APPLICATIONS, "tiny", (dropping, classifiers.SYMMETRIC))
    run, seen = Run(tmp_path / "run", FREEZE=2, **first_weights | {"EARLY_STOPPING_PATIENCE": 0}), []
    score = run.every_epoch.score
    dropouts = [run.model.get_layer(name) for name in ("block_drop", "dropout")]
    run.every_epoch.score = lambda: seen.append([layer.rate for layer in dropouts]) or score()
    run.fit()
    assert seen == [[0.0, 0.5]] * 2 + [[0.4, 0.5]] * 2


def test_fine_tuning_follows_so_many_frozen_epochs_with_a_rate_and_patience_of_its_own(tmp_path, first_weights):
    run = Run(tmp_path / "run", [0.9, 0.8, 0.7, 0.6], FREEZE=2, FREEZE_LEARNING_RATE=0.25, **first_weights)
    before = without_last(run.model)
    assert run.fit()["epochs"] == 3  # the second frozen epoch is no better and stops nothing, the third does
    assert pd.read_csv(tmp_path / "run/log.csv")["learning_rate"].tolist() == pytest.approx([0.25, 0.25, 1e-4])
    assert not all(map(np.array_equal, before, without_last(run.model)))
    kept = saved_models.load_model(tmp_path / "run/model.keras", 32, "train.py")
    assert all(map(np.array_equal, before, without_last(kept)))  # of epoch 1, the best


def test_a_run_that_began_frozen_is_resumed_in_either_stage_and_between_them(tmp_path, first_weights):
    changes = {"FREEZE": 2, "SCHEDULE": "cosine", **first_weights, "EARLY_STOPPING_PATIENCE": 0}
    whole = Run(tmp_path / "whole", **changes)
    whole.fit()
    for epoch in (1, 2, 3):  # interrupted after each of its four epochs
        with pytest.raises(KeyboardInterrupt):
            Run(tmp_path / "cut", stop_after=1, **changes).fit()
        assert json.loads((tmp_path / "cut/.cxr-backup/state.json").read_text())["epoch"] == epoch
    resumed = Run(tmp_path / "cut", **changes)
    assert resumed.fit()["resumed_from"] == 3
    exact = keras.backend.backend() == "tensorflow"
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)


def test_a_backup_of_another_run_is_not_continued(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, stop_after=1).fit()
    other = Run(tmp_path)
    other.every_epoch.identity = {"run": "two"}
    assert other.fit()["resumed_from"] == 0


def test_the_best_epoch_is_kept_and_not_the_last(tmp_path):
    run = Run(tmp_path, [0.5, 0.9, 0.6, 0.6])
    outcome = run.fit()
    assert (outcome["best"], outcome["best_epoch"], outcome["epochs"]) == (0.9, 2, 4)
    kept = saved_models.load_model(tmp_path / "model.keras", 32, "train.py").get_weights()
    assert not all(np.array_equal(one, other) for one, other in zip(kept, run.model.get_weights(), strict=True))


def test_training_stops_early_when_nothing_gets_better(tmp_path):
    outcome = Run(tmp_path, [0.9, 0.8, 0.7, 0.6], EARLY_STOPPING_PATIENCE=2).fit()
    assert outcome["epochs"] == 3


def test_where_no_auroc_is_defined_the_loss_is_watched(tmp_path):
    outcome = Run(tmp_path, [NAN] * 4).fit()
    assert outcome["best_epoch"] == 4  # val_loss falls
    assert pd.read_csv(tmp_path / "log.csv")["val_auroc"].isna().all()


def test_a_finished_run_is_known_by_its_record_and_its_model(tmp_path):
    run = Run(tmp_path)
    outcome = run.fit()
    assert not run_records.is_finished(tmp_path, IDENTITY)
    run_records.finish(tmp_path, run_records.run_record(run.params, "CPU", IDENTITY, outcome))
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["parameters"]["EPOCHS"] == 4
    assert {"keras", "numpy", "python"} <= set(record["versions"])
    assert run_records.is_finished(tmp_path, IDENTITY)
    assert not run_records.is_finished(tmp_path, {"run": "two"})
    assert not (tmp_path / ".cxr-backup").exists()
    (tmp_path / "model.keras").write_bytes(b"other")
    assert not run_records.is_finished(tmp_path, IDENTITY)


def test_a_finished_run_is_kept_until_the_first_epoch_of_another_is_whole(tmp_path):
    run = Run(tmp_path, EPOCHS=1)
    run_records.finish(tmp_path, run_records.run_record(run.params, "CPU", IDENTITY, run.fit()))
    assert run_records.is_due(tmp_path, {"run": "two"})
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, stop_after=0).fit()
    assert not run_records.is_due(tmp_path, IDENTITY)
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, stop_after=1).fit()
    assert not (tmp_path / "run.json").exists()


def test_the_same_seed_trains_the_same_weights(tmp_path):
    one = Run(tmp_path / "one", EPOCHS=2)
    one.fit()
    other = Run(tmp_path / "other", EPOCHS=2)
    other.fit()
    for first, second in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)


# Gradients of the loss by automatic differentiation


def gradient(loss, truth, logits) -> np.ndarray:
    truth, logits = (keras.ops.convert_to_tensor(np.asarray(one, np.float32)) for one in (truth, logits))
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        with tensorflow.GradientTape() as tape:
            tape.watch(logits)
            value = loss(truth, logits)
        return tape.gradient(value, logits).numpy()
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(lambda given: loss(truth, given))(logits))
    return pytest.skip(f"gradients are tested on TensorFlow and JAX, not on {keras.backend.backend()}")


def loss_of(weights, truth, logits) -> float:
    loss = losses.masked_cross_entropy(np.asarray(weights, np.float32))
    return number(loss(*(keras.ops.convert_to_tensor(np.asarray(one, np.float32)) for one in (truth, logits))))


def number(value) -> float:
    return keras.ops.convert_to_numpy(value).item()


def test_the_gradient_of_the_loss_is_sigmoid_minus_label_also_at_a_logit_of_zero():
    """Of each known cell: weight (sigmoid - label) / number known; of the others exactly zero."""
    loss = losses.masked_cross_entropy(np.float32([2, 1, 1]))
    np.testing.assert_allclose(gradient(loss, [[1, 0, NAN]], [[0, 0, 7]]), [[2 * -0.5 / 2, 0.5 / 2, 0]], atol=1e-7)
    at_two = 1 / (1 + math.exp(-2))
    np.testing.assert_allclose(gradient(loss, [[1, NAN, 0]], [[2, 0, 2]]), [[at_two - 1, 0, at_two / 2]], atol=1e-6)


@pytest.mark.parametrize("logit", [0.0, 30.0, -30.0, 1e4, -1e4])
def test_loss_and_gradient_are_always_finite(logit):
    loss = losses.masked_cross_entropy(np.full(6, 20, np.float32))
    for truth in ([1, 0, NAN, 1, NAN, 0], [NAN] * 6, [1] * 6, [0] * 6):
        assert np.isfinite(gradient(loss, [truth], [[logit] * 6])).all()
        assert math.isfinite(loss_of(np.full(6, 20), [truth], [[logit] * 6]))


def test_the_loss_on_val_is_the_loss_of_training():
    random = np.random.default_rng(0)
    truth = random.choice([0, 1, NAN], (20, 6))
    logits, weights = random.normal(0, 2, (20, 6)), random.uniform(0.5, 5, 6)
    on_val = losses.cross_entropy(truth, 1 / (1 + np.exp(-logits)), weights)
    assert on_val == pytest.approx(loss_of(weights, truth, logits), rel=1e-5)
    assert math.isfinite(losses.cross_entropy(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])))


def test_the_lung_loss_by_hand():
    truth = np.zeros((1, 2, 2, 1), np.float32)
    truth[0, 0] = 1
    half = np.full((1, 2, 2, 1), 0.5, np.float32)
    # Dice (2 * 1 + 1) / (2 + 2 + 1) = 0.6
    assert number(losses.dice_and_cross_entropy(truth, half)) == pytest.approx(math.log(2) + 0.4, rel=1e-5)


def test_a_mask_that_is_not_known_counts_for_nothing_in_the_lung_loss():
    random = np.random.default_rng(0)
    truth = (random.random((3, 4, 4, 2)) < 0.5).astype(np.float32)
    probability = random.uniform(0.1, 0.9, truth.shape).astype(np.float32)
    truth[1:, ..., 1] = NAN  # two of three hearts
    known = ((0, 0), (1, 0), (2, 0), (0, 1))  # film, outline
    alone = [[array[film, None, ..., outline, None] for array in (truth, probability)] for film, outline in known]
    of_masks = [number(losses.dice_and_cross_entropy(*one)) for one in alone]
    assert number(losses.dice_and_cross_entropy(truth, probability)) == pytest.approx(np.mean(of_masks), rel=1e-5)
    assert number(losses.dice_and_cross_entropy(np.full_like(truth, NAN), probability)) == 0


def test_an_unknown_mask_has_no_gradient_and_a_known_one_has(monkeypatch):
    """By training one step: the weight behind the unknown heart stays, the one behind the lungs moves."""
    film = keras.Input((4, 4, 1))
    outlines = keras.layers.Conv2D(2, 1, use_bias=False, kernel_initializer="ones", activation="sigmoid")(film)
    network = keras.Model(film, outlines)
    network.compile(keras.optimizers.SGD(1.0), losses.dice_and_cross_entropy)
    truth = np.zeros((2, 4, 4, 2), np.float32)
    truth[..., 1] = NAN
    network.train_on_batch(np.ones((2, 4, 4, 1), np.float32), truth)
    lungs, heart = np.asarray(network.get_weights()[0]).ravel()
    assert lungs < 1
    assert heart == 1


# What happens around an epoch, without training


class Batches:
    epoch = None

    def set_epoch(self, epoch):
        self.epoch = epoch


class Epochs:
    """A network that is trained by hand: after epoch n its only weight is n, and val scores are as given."""

    def __init__(self, folder, watched, losses=None, **changes):
        self.params = tiny_params(LEARNING_RATE=0.08, **changes)
        self.model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, name="only")])
        self.model.compile(optimizer=loop.make_optimizer(self.params, 100), loss="mse")
        self.watched, self.losses = watched, losses or [1.0] * len(watched)
        self.every_epoch = epoch_callback.EveryEpoch(
            folder, self.model, self.score, "val_auroc", self.params, Batches(), IDENTITY
        )
        self.every_epoch.set_model(self.model)
        self.model.stop_training = False
        self.folder, self.rates = folder, []

    def score(self):
        epoch = len(self.every_epoch.state["log"])
        return {"val_loss": self.losses[epoch], "val_auroc": self.watched[epoch]}

    def run(self, first=0):
        for epoch in range(first, len(self.watched)):
            self.every_epoch.on_epoch_begin(epoch)
            assert self.every_epoch.batches.epoch == epoch
            self.model.set_weights([np.full((1, 1), epoch + 1.0)])
            self.every_epoch.on_epoch_end(epoch, {"loss": 0.5})
            self.rates.append(number(self.model.optimizer.learning_rate))
            if self.model.stop_training:
                break
        return self

    @property
    def log(self):
        return pd.read_csv(self.folder / "log.csv")

    @property
    def kept(self) -> float:
        """The epoch whose weights model.keras holds."""
        return number(keras.saving.load_model(self.folder / "model.keras", compile=False).get_weights()[0])


class TestAroundAnEpoch:
    def test_of_equal_epochs_the_first_is_kept(self, tmp_path):
        run = Epochs(tmp_path, [0.5, 0.8, 0.7, 0.8]).run()
        assert run.kept == run.every_epoch.state["best_epoch"] == 2
        assert run.every_epoch.state["best"] == 0.8

    def test_the_rate_is_reduced_after_each_patience_and_not_before(self, tmp_path):
        changes = {"SCHEDULE": "plateau", "PLATEAU_PATIENCE": 2, "PLATEAU_FACTOR": 0.5}
        run = Epochs(tmp_path, [0.5, 0.4, 0.4, 0.4, 0.4, 0.6, 0.5, 0.5], **changes).run()
        np.testing.assert_allclose(run.rates, [0.08, 0.08, 0.04, 0.04, 0.02, 0.02, 0.02, 0.01], rtol=1e-6)
        # The log says what rate the epoch was trained with.
        np.testing.assert_allclose(run.log["learning_rate"], [0.08, *run.rates[:-1]], rtol=1e-6)

    def test_a_constant_rate_stays(self, tmp_path):
        run = Epochs(tmp_path, [0.5] * 4, SCHEDULE="constant", PLATEAU_PATIENCE=1).run()
        np.testing.assert_allclose(run.rates, 0.08, rtol=1e-6)

    def test_a_better_epoch_sets_the_patience_back(self, tmp_path):
        run = Epochs(tmp_path, [0.5, 0.4, 0.6, 0.5, 0.5, 0.7], EARLY_STOPPING_PATIENCE=2).run()
        assert len(run.log) == 5
        assert run.every_epoch.state["stopped"]
        assert run.kept == 3

    def test_a_patience_of_zero_never_stops(self, tmp_path):
        assert len(Epochs(tmp_path, [0.5] * 12, EARLY_STOPPING_PATIENCE=0).run().log) == 12

    def test_the_lowest_loss_is_kept_where_no_auroc_is_defined(self, tmp_path):
        run = Epochs(tmp_path, [NAN, NAN, NAN], losses=[0.7, 0.4, 0.6]).run()
        assert run.kept == 2
        assert run.every_epoch.state["best"] == -0.4

    def test_nothing_to_watch_at_all_is_said(self, tmp_path):
        with pytest.raises(InputError, match="epoch 1: neither val_auroc nor val_loss is a number"):
            Epochs(tmp_path, [NAN], losses=[NAN]).run()
        assert not (tmp_path / "model.keras").exists()

    @pytest.mark.parametrize("loss", [NAN, math.inf])
    def test_a_loss_that_was_no_number_in_one_batch_ends_nothing(self, tmp_path, loss):
        run = Epochs(tmp_path, [0.5])
        run.every_epoch.on_epoch_begin(0)
        run.every_epoch.on_epoch_end(0, {"loss": loss})  # in float16, whose optimizer leaves such a batch out
        assert np.isnan(run.log["loss"][0])
        again = Epochs(tmp_path, [0.5])
        assert again.every_epoch.resume(again.model) == 1

    def test_the_log_has_a_row_an_epoch(self, tmp_path):
        log = Epochs(tmp_path, [0.5, 0.8, NAN], losses=[3.0, 2.0, 1.0]).run().log
        assert list(log.columns) == ["epoch", "loss", "val_loss", "val_auroc", "learning_rate", "seconds"]
        assert log["epoch"].tolist() == [1, 2, 3]
        assert log["loss"].tolist() == [0.5] * 3
        assert log["val_loss"].tolist() == [3, 2, 1]
        assert log["val_auroc"].tolist()[:2] == [0.5, 0.8]
        assert np.isnan(log["val_auroc"][2])
        assert (log["seconds"] >= 0).all()

    def test_only_the_last_epoch_is_backed_up_and_nothing_is_left_half_written(self, tmp_path):
        Epochs(tmp_path, [0.5, 0.8, 0.7]).run()
        names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
        assert names == ["epoch_0003.weights.h5", "log.csv", "model.keras", "state.json"]

    def test_counters_and_rate_survive_an_interruption(self, tmp_path):
        changes = {"PLATEAU_PATIENCE": 2, "EARLY_STOPPING_PATIENCE": 3}
        first = Epochs(tmp_path, [0.5, 0.4, 0.4], **changes).run()
        again = Epochs(tmp_path, [0.5, 0.4, 0.4, 0.4, 0.9], **changes)
        assert again.every_epoch.resume(again.model) == 3
        assert again.every_epoch.state == first.every_epoch.state
        assert number(again.model.get_weights()[0]) == 3
        assert number(again.model.optimizer.learning_rate) == pytest.approx(0.04)
        again.run(first=3)
        assert again.every_epoch.state["stopped"]
        assert again.kept == 1

    @pytest.mark.parametrize("broken", ["state.json", "epoch_0002.weights.h5"])
    @pytest.mark.parametrize("content", [b"", b"{"])
    def test_a_backup_that_cannot_be_read_is_said_and_not_begun_anew(self, tmp_path, broken, content):
        Epochs(tmp_path, [0.5, 0.4]).run()
        (tmp_path / ".cxr-backup" / broken).write_bytes(content)
        again = Epochs(tmp_path, [0.5])
        with pytest.raises(InputError, match=rf"{broken}: this backup cannot be read \(.*\)\. Mend it, or remove"):
            again.every_epoch.resume(again.model)
        assert (tmp_path / ".cxr-backup" / "state.json").exists()

    @pytest.mark.parametrize("content", [None, b"{}", b"[]"])
    def test_a_backup_without_a_state_of_this_run_means_from_the_start(self, tmp_path, content):
        Epochs(tmp_path, [0.5, 0.4]).run()
        path = tmp_path / ".cxr-backup" / "state.json"
        path.unlink() if content is None else path.write_bytes(content)
        again = Epochs(tmp_path, [0.5])
        assert again.every_epoch.resume(again.model) == 0
        assert again.every_epoch.state["epoch"] == 0
        assert again.every_epoch.state["log"] == []


def test_dropout_is_seeded_by_seed_epoch_and_place(tmp_path):
    states = {}
    for seed in (1, 1, 2):
        film = keras.Input((4,))
        model = keras.Model(film, keras.layers.Dropout(0.5)(keras.layers.Dropout(0.5)(film)))
        every_epoch = epoch_callback.EveryEpoch(tmp_path, model, dict, "", tiny_params(SEED=seed), Batches(), IDENTITY)
        every_epoch.set_model(model)
        for epoch in (0, 1):
            every_epoch.on_epoch_begin(epoch)
            for place, layer in enumerate(model.layers[1:]):
                found = keras.ops.convert_to_numpy(layer.seed_generator.state.value).tolist()
                assert states.setdefault((seed, epoch, place), found) == found
    assert len({tuple(state) for state in states.values()}) == 8


def test_cosine_rises_shortly_and_falls_to_a_hundredth():
    optimizer = loop.make_optimizer(tiny_params(SCHEDULE="cosine", LEARNING_RATE=0.1), 100)
    rates = []
    for step in (0, 10, 55, 100):
        optimizer.iterations.assign(step)
        rates.append(number(optimizer.learning_rate))
    # A tenth, the top, half way down of 90 steps: 0.1 * (0.99 / 2 + 0.01), the end
    np.testing.assert_allclose(rates, [0.01, 0.1, 0.0505, 0.001], rtol=1e-4)


def test_optimizers_are_those_asked_for():
    sgd = loop.make_optimizer(tiny_params(OPTIMIZER="sgd", SCHEDULE="constant", LEARNING_RATE=0.25), 10)
    assert (type(sgd), sgd.momentum, number(sgd.learning_rate)) == (keras.optimizers.SGD, 0.9, 0.25)
    adamw = loop.make_optimizer(tiny_params(WEIGHT_DECAY=0.5), 10)
    assert (type(adamw), adamw.weight_decay) == (keras.optimizers.AdamW, 0.5)


def moved(batch_size: int, truth: np.ndarray, **changes) -> list[np.ndarray]:
    """Weights of a linear classifier after two passes over eight films."""
    params = tiny_params(SCHEDULE="constant", LEARNING_RATE=0.1, **changes)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(6, kernel_initializer="ones")])
    model.compile(loop.make_optimizer(params, 4), losses.masked_cross_entropy(np.full(6, 2, np.float32)))
    films = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    for first in [*range(0, 8, batch_size)] * 2:
        model.train_on_batch(films[first : first + batch_size], truth[first : first + batch_size])
    return model.get_weights()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_two_batches_of_four_accumulated_are_one_batch_of_eight(optimizer):
    truth = (np.random.default_rng(1).random((8, 6)) < 0.5).astype(np.float32)
    options = {"OPTIMIZER": optimizer, "WEIGHT_DECAY": 0.1}
    whole, halves = moved(8, truth, **options), moved(4, truth, GRADIENT_ACCUMULATION=2, **options)
    for one, other in zip(whole, halves, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert np.abs(whole[0] - moved(4, truth, **options)[0]).max() > 1e-3


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="on JAX several devices accumulate")
def test_accumulation_on_several_devices_of_tensorflow_is_refused(monkeypatch):
    monkeypatch.setattr(backend, "devices", lambda: ["GPU:0", "GPU:1"])
    loop.make_optimizer(tiny_params(), 10)
    with pytest.raises(
        InputError, match=r"GRADIENT_ACCUMULATION is 2, and TensorFlow trains on 2 devices.*Set it to 1"
    ):
        loop.make_optimizer(tiny_params(GRADIENT_ACCUMULATION=2), 10)


def test_unknown_labels_weigh_a_small_batch_as_much_as_a_full_one():
    """The one difference besides batch normalisation: the mean is over each small batch's own known labels."""
    truth = np.ones((8, 6), np.float32)
    truth[1:4] = NAN
    whole, halves = moved(8, truth, OPTIMIZER="sgd"), moved(4, truth, OPTIMIZER="sgd", GRADIENT_ACCUMULATION=2)
    assert np.abs(whole[0] - halves[0]).max() > 1e-3


def test_weights_move_with_the_last_of_the_accumulated_batches():
    params = tiny_params(OPTIMIZER="sgd", SCHEDULE="constant", LEARNING_RATE=0.5, GRADIENT_ACCUMULATION=3)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(loop.make_optimizer(params, 6), loss=lambda truth, logits: keras.ops.mean(truth * logits))
    found = []
    for slope in (1, 2, 6, 1, 1, 1):  # gradients of the only weight: moved by minus half their mean of 3, then of 1 ...
        model.train_on_batch(np.ones((1, 1), np.float32), np.full((1, 1), slope, np.float32))
        found.append(number(model.get_weights()[0]))
    # ... with Nesterov's momentum of 0.9: v = -1.5, step 0.9 v - 1.5; v = 0.9 * -1.5 - 0.5, step 0.9 v - 0.5
    np.testing.assert_allclose(found, [0, 0, -2.85, -2.85, -2.85, -2.85 - 0.9 * 1.85 - 0.5], rtol=1e-6)


def test_an_accumulated_run_warms_up_and_falls_over_the_same_films():
    rates = {}
    for accumulation, steps in ((1, 2000), (2, 4000)):
        params = tiny_params(SCHEDULE="cosine", LEARNING_RATE=0.1, GRADIENT_ACCUMULATION=accumulation)
        optimizer = loop.make_optimizer(params, steps)
        rates[accumulation] = []
        for share in (0, 0.025, 0.05, 0.5, 1):
            optimizer.variables[0].assign(round(share * steps))  # batches; `iterations` tells updates
            rates[accumulation].append(number(optimizer.learning_rate))
    np.testing.assert_allclose(rates[1], rates[2], rtol=1e-5)
    np.testing.assert_allclose(rates[2][:3], [0.01, 0.055, 0.1], rtol=1e-5)


def test_the_record_says_what_it_takes_to_repeat_a_run(tmp_path):
    params = tiny_params(SEED=7)
    (tmp_path / "model.keras").write_bytes(b"model")
    outcome = {"seconds": 1.5, "films_per_second": 16.0, "epochs": 2, "best_epoch": 1, "best": 0.75, "resumed_from": 0}
    run_records.finish(tmp_path, run_records.run_record(params, "Keras on CPU", {"member": "tiny"}, outcome))
    record = json.loads((tmp_path / "run.json").read_text())
    assert record.items() >= outcome.items()
    assert record["parameters"] == json.loads(json.dumps(params.flat()))
    assert (record["seed"], record["device"], record["made_from"]) == (7, "Keras on CPU", {"member": "tiny"})
    assert record["model"] == digest(tmp_path / "model.keras")
    assert "commit" in record
    assert record["cpu_cores"] >= 1


# Interrupted at other places than before the scores, with several loader threads


class Interrupted(BaseException):
    """As a kill would: nothing catches it."""


def test_where_in_an_epoch_a_run_is_interrupted_makes_no_difference(tmp_path, monkeypatch):
    falling = [0.7, 0.8, 0.6]
    changes = {"SCHEDULE": "cosine", "EPOCHS": 3}

    def run(folder, scores):
        made = Run(folder, scores, **changes)
        made.batches.workers = 2
        return made

    whole = run(tmp_path / "whole", falling)
    whole.fit()

    in_an_epoch = run(tmp_path / "cut", falling)

    def second_batch(batch, logs=None):
        if in_an_epoch.batches.epoch == 1 and batch == 1:
            raise Interrupted

    in_an_epoch.every_epoch.on_train_batch_end = second_batch
    with pytest.raises(Interrupted):
        in_an_epoch.fit()

    after_the_model = run(tmp_path / "cut", falling[1:])

    def slow_curves(log, *_):
        if len(log) == 2:
            raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(curves, "save_training", slow_curves)
        with pytest.raises(Interrupted):
            after_the_model.fit()

    resumed = run(tmp_path / "cut", falling[1:])
    assert resumed.fit()["resumed_from"] == 1
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=0 if keras.backend.backend() == "tensorflow" else 1e-6)
    kept = [
        saved_models.load_model(tmp_path / place / "model.keras", 32, "-").get_weights() for place in ("whole", "cut")
    ]
    for one, other in zip(*kept, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=0 if keras.backend.backend() == "tensorflow" else 1e-6)


def test_a_run_that_stopped_early_is_not_trained_further(tmp_path):
    first = Run(tmp_path, [0.9, 0.8], EARLY_STOPPING_PATIENCE=1)
    assert first.fit()["epochs"] == 2
    again = Run(tmp_path, [0.9], EARLY_STOPPING_PATIENCE=1)
    outcome = again.fit()
    assert outcome["resumed_from"] == outcome["epochs"] == 2
    assert outcome["films_per_second"] is None
    for one, other in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
