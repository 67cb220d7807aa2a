"""Train tiny networks on one and on two virtual devices of this CPU: for tests, in a process of its own.

    python -m tests.train_on_devices FOLDER NETWORK [NETWORK …]

NETWORK is "norm", or "plain" for one without batch normalisation. Ten films with unknown labels, most of them in a
few films; three epochs; batches of four, the last one filled up. FOLDER gets <network>_<devices>.npz, the last epoch's
weights.
"""

import os
import sys
from pathlib import Path

import numpy as np

from cxr.core.findings import FINDINGS


def main():
    folder, *networks = sys.argv[1:]
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    from cxr.networks import backend
    from cxr.networks.backend import keras
    from cxr.training import losses
    from tests.conftest import tiny_params

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    both = backend.devices()
    assert len(both) == 2
    usual = keras.layers.BatchNormalization
    for devices in (1, 2):
        backend.devices = lambda used=both[:devices]: used
        backend._spread.cache_clear()
        print(backend.start(tiny_params(), together=True))
        assert bool(backend._spread()) == (devices == 2)
        for network in networks:
            nothing = type("Nothing", (keras.layers.Layer,), {"call": lambda self, x: x})
            keras.layers.BatchNormalization = nothing if network == "plain" else usual
            name = f"{network}_{devices}"
            np.savez(f"{folder}/{name}.npz", *trained(Path(folder, name)))
    if keras.backend.backend() == "tensorflow":
        losses_add_up(losses.masked_cross_entropy(np.ones(6, np.float32)), losses.dice_and_cross_entropy)


def trained(folder):
    from cxr.networks import backend, classifiers, film_batches, inference, recomputation
    from cxr.training import classifier_training, epoch_callback, loop, losses
    from tests.conftest import tiny_params

    # SGD: Adam takes a step of full length on a gradient that is nothing but rounding.
    keys = {"OPTIMIZER": "sgd", "LEARNING_RATE": 0.05, "EARLY_STOPPING_PATIENCE": 0, "PLATEAU_PATIENCE": 1}
    params = tiny_params(AUGMENTATION=1.0, DROPOUT=0.0, **keys)
    random = np.random.default_rng(0)
    pack = random.integers(0, 256, (14, 32, 32), np.uint8)
    truth = (random.random((14, 6)) < 0.5).astype(np.float32)
    truth[3:8, 1:] = np.nan
    with backend.scope():
        network = classifiers.build_classifier("tiny", params)
        network.set_weights([random.normal(0, 0.2, weight.shape) ** 2 for weight in network.get_weights()])
        logits = recomputation.logits_of(network)
    train, val = np.arange(10), np.arange(10, 14)
    ids = [f"nih/{row}" for row in range(10)]
    batches = film_batches.FilmBatches(pack, train, ids, truth[:10], 4, seed=1, augmentation=params.augmentation)
    score = classifier_training.classifier_score(
        inference.predictor(network, pack, val, params), truth[val], np.ones(6), FINDINGS, val, 1
    )
    every_epoch = epoch_callback.EveryEpoch(folder, network, score, "val_auroc", params, batches, {})
    loss = losses.masked_cross_entropy(np.float32([3, 1, 1, 1, 1, 1]))
    loop.fit(logits, loss, batches, every_epoch, 3, params, print)
    return network.get_weights()


def losses_add_up(of_findings, of_masks):
    """Parts of the loss of batches of two films and of one, on two replicas, are the loss of all three films."""
    from cxr.networks import backend

    random = np.random.default_rng(0)
    truth = np.float32([[1, 0, np.nan, 0, 1, 0], [np.nan] * 6, [np.nan, np.nan, 1, np.nan, np.nan, np.nan]])
    logits = random.normal(0, 2, (3, 6)).astype(np.float32)
    masks, areas = (random.random((3, 8, 8, 1)).astype(np.float32) for _ in range(2))
    strategy = backend._spread()
    for loss, *whole in ((of_findings, truth, logits), (of_masks, masks.round(), areas)):

        def parts(context, whole=whole):
            return [one[2 * context.replica_id_in_sync_group :][:2] for one in whole]

        split = strategy.experimental_distribute_values_from_function(parts)
        added = sum(float(part) for part in strategy.experimental_local_results(strategy.run(loss, args=split)))
        np.testing.assert_allclose(added, float(loss(*whole)), rtol=1e-6)


if __name__ == "__main__":
    main()
