"""Losses by hand, what happens every epoch, and that an interrupted run ends where an undisturbed one does."""

import json

import numpy as np
import pandas as pd
import pytest

from cxr import backend, datasets, models, training
from cxr.backend import keras
from cxr.errors import InputError
from tests.conftest import tiny_params

NAN = float("nan")
IDENTITY = {"run": "one"}


def test_loss_counts_known_labels_only_and_weighs_positives():
    loss = training.masked_cross_entropy(np.array([3.0, 1.0], np.float32))
    truth = np.array([[1, NAN], [0, 1]], np.float32)
    logits = np.zeros((2, 2), np.float32)  # cross-entropy of a logit of 0 is log 2 for either label
    expected = np.log(2) * (3 + 1 + 1) / 3
    assert float(loss(keras.ops.convert_to_tensor(truth), keras.ops.convert_to_tensor(logits))) == pytest.approx(
        expected
    )


def test_loss_of_a_batch_without_a_known_label_is_zero_and_moves_no_weight():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer="sgd", loss=training.masked_cross_entropy(np.ones(2, np.float32)))
    before = [weight.copy() for weight in model.get_weights()]
    assert model.train_on_batch(np.ones((4, 3), np.float32), np.full((4, 2), NAN, np.float32)) == 0
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


def test_an_unknown_label_never_reaches_the_gradient():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer="sgd", loss=training.masked_cross_entropy(np.ones(2, np.float32)))
    column = model.get_weights()[0][:, 1].copy()
    model.train_on_batch(np.ones((4, 3), np.float32), np.array([[1, NAN]] * 4, np.float32))
    assert np.isfinite(model.get_weights()[0]).all()
    assert np.array_equal(model.get_weights()[0][:, 1], column)


def test_positives_weigh_as_much_as_negatives_within_a_limit():
    truth = np.array([[1, 0, 1, NAN], [0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 1, 0]])
    assert training.positive_weights(truth, 2.5).tolist() == pytest.approx([2.5, 1, 1, 2])
    assert training.class_weights(truth, tiny_params(CLASS_WEIGHTS="none")).tolist() == [1, 1, 1, 1]


def test_cross_entropy_of_val_leaves_unknown_labels_out():
    truth, probability = np.array([[1.0, NAN], [0.0, NAN]]), np.array([[0.5, 0.9], [0.5, 0.9]])
    assert training.cross_entropy(truth, probability) == pytest.approx(np.log(2))
    assert training.cross_entropy(truth, probability, 3.0) == pytest.approx(2 * np.log(2))


def test_soft_dice_of_a_perfect_mask_costs_nothing():
    mask = np.zeros((2, 8, 8, 1), np.float32)
    mask[:, 2:6, 2:6] = 1
    assert float(training.dice_and_cross_entropy(mask, mask)) == pytest.approx(0, abs=1e-5)
    assert float(training.dice_and_cross_entropy(mask, 1 - mask)) > 1


def test_what_is_watched_is_the_mean_auroc_of_the_defined_findings():
    truth = np.full((4, 6), 0.0)
    truth[:2, 0] = 1  # one finding with both classes; its probabilities rank 3 of 4 pairs right
    probabilities = np.full((4, 6), 0.5)
    probabilities[:, 0] = [0.9, 0.4, 0.6, 0.1]
    scores = training.classifier_score(lambda: probabilities, truth, np.ones(6))()
    assert scores["val_auroc"] == scores["val_auroc_Consolidation"] == 0.75
    assert np.isnan(scores["val_auroc_Edema"])


def test_a_diverged_training_says_so():
    score = training.classifier_score(lambda: np.full((2, 6), NAN), np.zeros((2, 6)), np.ones(6))
    with pytest.raises(InputError, match=r"training diverged.*Lower LEARNING_RATE"):
        score()


class Run:
    """A tiny classifier on eight films, trained in a folder."""

    def __init__(self, folder, scores=None, stop_after=None, **changes):
        self.params = tiny_params(**({"EPOCHS": 4, "DROPOUT": 0.5, "AUGMENTATION": 1.0, "ELASTIC": 0.5} | changes))
        backend.start(self.params, deterministic=keras.backend.backend() == "tensorflow")
        random = np.random.default_rng(0)
        pack = random.integers(0, 256, (8, 32, 32), np.uint8)
        truth = (random.random((8, 6)) < 0.5).astype(np.float32)
        truth[0, 0] = NAN
        ids = [f"nih/{row}" for row in range(8)]
        self.model = models.build_classifier("tiny", self.params)
        batches = datasets.FilmBatches(pack, np.arange(8), ids, truth, 4, 1, self.params.augmentation)
        given = iter(scores or [])

        def score():
            self.scored += 1
            if stop_after is not None and self.scored > stop_after:
                raise KeyboardInterrupt
            value = next(given) if scores else float(self.scored)
            return {"val_loss": 1.0 / self.scored, "val_auroc": value}

        self.scored = 0
        self.every_epoch = training.EveryEpoch(folder, self.model, score, "val_auroc", self.params, batches, IDENTITY)
        self.loss = training.masked_cross_entropy(np.ones(6, np.float32))
        self.batches = batches

    def fit(self):
        logits = models.logits_of(self.model)
        epochs = self.params.training.epochs
        return training.fit(logits, self.loss, self.batches, self.every_epoch, epochs, self.params, lambda line: None)


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_an_interrupted_run_ends_where_an_undisturbed_one_does(tmp_path, schedule):
    changes = {"SCHEDULE": schedule, "PLATEAU_PATIENCE": 1, "EARLY_STOPPING_PATIENCE": 0}
    falling = [0.9, 0.8, 0.7, 0.6]  # so that the plateau's counter must survive
    whole = Run(tmp_path / "whole", falling, **changes)
    whole.fit()
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path / "cut", falling, stop_after=2, **changes).fit()
    resumed = Run(tmp_path / "cut", falling[2:], **changes)
    outcome = resumed.fit()
    assert outcome["resumed_from"] == 2
    assert outcome["best_epoch"] == 1
    exact = keras.backend.backend() == "tensorflow"
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)
    logs = [
        pd.read_csv(tmp_path / place / "log.csv").drop(columns=["seconds", "val_loss"]) for place in ("whole", "cut")
    ]
    pd.testing.assert_frame_equal(*logs)
    if schedule == "plateau":
        rates = logs[0]["learning_rate"]
        assert (rates / rates[0]).tolist() == pytest.approx([1, 1, 0.5, 0.25])


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
    kept = models.load_model(tmp_path / "model.keras", 32, "train.py").get_weights()
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
    assert not training.is_finished(tmp_path, IDENTITY)
    training.finish(tmp_path, training.run_record(run.params, "CPU", IDENTITY, outcome))
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["parameters"]["EPOCHS"] == 4
    assert {"keras", "numpy", "python"} <= set(record["versions"])
    assert training.is_finished(tmp_path, IDENTITY)
    assert not training.is_finished(tmp_path, {"run": "two"})
    assert not (tmp_path / "backup").exists()
    (tmp_path / "model.keras").write_bytes(b"other")
    assert not training.is_finished(tmp_path, IDENTITY)


def test_the_same_seed_trains_the_same_weights(tmp_path):
    one = Run(tmp_path / "one", EPOCHS=2)
    one.fit()
    other = Run(tmp_path / "other", EPOCHS=2)
    other.fit()
    for first, second in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)
