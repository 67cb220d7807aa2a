"""One network, compiled once, that is trained many times: what first weights and fewer films are worth.

Each training has EPOCHS epochs at a rate that falls along a cosine, and its last is taken: no film is spent on choosing
one. On one device.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cxr.core.errors import InputError
from cxr.core.parameters import Params
from cxr.networks import backend, classifiers, recomputation
from cxr.networks.backend import keras
from cxr.networks.film_batches import FilmBatches
from cxr.training import drawn_weights, epoch_callback, loop, losses

ops = keras.ops


class Repeated:
    """A member of an ensemble that is trained again and again.

    Parameters
    ----------
    member : str
    params : Params
        Of its training keys all but SCHEDULE, EARLY_STOPPING_PATIENCE and FREEZE.
    """

    def __init__(self, member: str, params: Params):
        if params.training.precision == "auto" and (best := backend.best_precision()) != "float32":
            params = params.with_precision(best)
        self.device = backend.start(params)
        self.member, self.params = member, params
        self.classifier = classifiers.build_classifier(member, classifiers.with_weights(params, "none"))
        self.logits = recomputation.logits_of(self.classifier, params.training.recompute)
        training, jit = params.training.model_copy(update={"schedule": "constant"}), backend.jit_compile(params)
        optimizer = loop.make_optimizer(params.model_copy(update={"training": training}), 1)
        self.logits.compile(optimizer=optimizer, loss=_weighted_loss, jit_compile=jit)
        self.optimizer = self.logits.optimizer  # in float16 Keras' wrapper, whose scale of the loss is no zero
        self.optimizer.build(self.logits.trainable_variables)
        self.fresh = [ops.convert_to_numpy(variable) for variable in self.optimizer.variables]
        self.scored = keras.Model(self.classifier.input, self.classifier.output)
        self.scored.compile(jit_compile=jit)

    def available(self, firsts: Sequence[str], asked: bool) -> tuple[dict[str, Any], list[str]]:
        """First weights that can be had, with what they depend on, and a word on those that cannot.

        Raises
        ------
        InputError
            They were asked for (``asked``), or no finding can be drawn.
        """
        found, missing = {}, []
        for name in firsts:
            try:
                if name == "imagenet":
                    self.first_weights(name, 1)
                found[name] = drawn_weights.identity_of(self.params, self.member) if name == "drawn" else name
            except InputError as error:
                if asked:
                    raise
                missing.append(f"Without first weights of {name}, which cannot be had here: {error}")
        return found, missing

    def first_weights(self, name: str, seed: int, drawn: Path | None = None) -> list[np.ndarray]:
        """Weights to begin with: ``none``, random ones of a seed; ``imagenet``; or ``drawn``, of that network.

        Raises
        ------
        InputError
            They cannot be downloaded or read.
        """
        keras.utils.set_random_seed(seed)
        classifier = classifiers.build_classifier(self.member, classifiers.with_weights(self.params, name))
        if drawn and name == "drawn":
            drawn_weights.load_into(classifier, drawn)
        return classifier.get_weights()

    def train(
        self, first: list[np.ndarray], pack: np.ndarray, rows: np.ndarray, image_ids: Sequence[str],
        truth: np.ndarray, seed: int,
    ) -> None:  # fmt: skip
        """Train from first weights on rows (n,) of a pack, with labels ``truth`` (n, F); NaN = not known."""
        params = self.params
        self.classifier.set_weights(first)
        for variable, value in zip(self.optimizer.variables, self.fresh, strict=True):
            variable.assign(value)
        positive = np.broadcast_to(losses.class_weights(truth, params), truth.shape)
        batches = FilmBatches(
            pack, rows, image_ids, np.concatenate([truth, positive], axis=1).astype(np.float32),
            params.training.batch_size, seed=seed, augmentation=params.augmentation,
            workers=loop.loader_threads(params),
        )  # fmt: skip
        follow = _Follow(self.classifier, batches, params, seed)
        history = self.logits.fit(batches, epochs=params.training.epochs, callbacks=[follow], verbose=0, shuffle=False)
        if not np.isfinite(history.history["loss"][-1]):
            raise InputError("training diverged: the loss is no number. Lower LEARNING_RATE in PARAMS.json.")

    def probabilities(self, pack: np.ndarray, rows: np.ndarray, weights: list[np.ndarray] | None = None) -> np.ndarray:
        """Of rows (n,) of a pack, by the weights of this moment, or those given: (n, F), float32."""
        if weights:
            self.classifier.set_weights(weights)
        batches = FilmBatches(pack, rows, map(str, rows), None, self.params.evaluation.score_batch_size, workers=2)
        return self.scored.predict(batches, verbose=0)


def _weighted_loss(truth, logits):
    """`losses.masked_cross_entropy`; ``truth`` (n, 2 F) holds the weights of positives too, which each training has."""
    findings = logits.shape[-1]
    return losses.masked_cross_entropy(truth[:, findings:])(truth[:, :findings], logits)


class _Follow(keras.callbacks.Callback):
    """Order, augmentation and dropout from the seed and the epoch, as `epoch_callback`; and the falling rate."""

    def __init__(self, classifier, batches: FilmBatches, params: Params, seed: int):
        super().__init__()
        self.classifier, self.batches, self.seed, self.step = classifier, batches, seed, 0
        # As "SCHEDULE": "cosine", whose number of steps would be compiled into the network.
        steps = params.training.epochs * len(batches)
        warmup = loop.warmup_of(steps, params)
        rise, fall = np.linspace(0.1, 1, warmup, endpoint=False), np.linspace(0, np.pi, steps - warmup, endpoint=False)
        self.rates = params.training.learning_rate * np.concatenate([rise, 0.01 + 0.99 * (1 + np.cos(fall)) / 2])

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.set_epoch(epoch)
        epoch_callback.set_dropout_seeds(self.classifier, self.seed, epoch)

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate.assign(self.rates[self.step])
        self.step += 1
