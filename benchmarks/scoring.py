"""Scoring and maps of all six findings: ours against gradient tapes, with the same weights on the same films.

Ours is `cxr.networks.inference.score`: one forward pass a film gives the probabilities and the maps of three methods of
the last layer. Beside it probabilities alone, and with HiResCAM of an inner layer, which takes backward passes. The
other sides, on TensorFlow, make Grad-CAM alone:

  tape      compiled (tf.function) and batched, forward and backward pass once for every finding
  one tape  the same, but the six gradients from one forward pass
  original  as the original wrote it: film by film, a gradient for every network and finding, not compiled (a few films,
            scaled; the original made one map a film, of one finding or of all six added up: here it makes all six)

Then drawing: film, heatmap and title to a PNG file, by `cxr.report.film_pictures.overlay` in threads as `visualize.py`
does.

    python benchmarks/scoring.py                            # three random members at 96 pixels
    python benchmarks/scoring.py --model models/classification/ensemble/densenet169/model.keras
"""

import argparse
import functools
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

MEMBERS = ("densenet169", "inceptionv3", "xception")
TAPE_SIDES = ("tape", "one tape", "original")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--member", action="append", help=f"networks of random weights; default {', '.join(MEMBERS)}")
    parser.add_argument("--model", type=Path, action="append", help="saved classifiers instead; repeatable")
    parser.add_argument("--size", type=int, default=96, help="side of the films of random networks, pixels")
    parser.add_argument("--films", type=int, default=256, help="films scored")
    parser.add_argument("--batch", type=int, default=32, help="films a batch")
    parser.add_argument("--few", type=int, default=2, help="films of the original's way")
    parser.add_argument("--rounds", type=int, default=2, help="how often each side is timed; the fastest counts")
    arguments = parser.parse_args(argv)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, network, pack in classifiers(arguments, Path(folder)):
            seconds[name] = compare(name, network, pack, arguments)
        draw(pack, Path(folder), arguments)
    if len(seconds) > 1 and len({len(found) for found in seconds.values()}) == 1:
        say("all together", {side: sum(found[side] for found in seconds.values()) for side in seconds[name]})


def classifiers(arguments, folder):
    """(name, classifier, pack of its size) of every network asked for."""
    import timing

    from cxr.networks import backend, classifiers
    from cxr.networks.backend import keras

    params = timing.params_at(arguments.size)
    print(backend.start(params))
    for source in arguments.model or arguments.member or MEMBERS:
        if arguments.model:
            network = keras.saving.load_model(source, compile=False, safe_mode=True)
        else:
            network = classifiers.build_classifier(source, params)
        yield str(source), network, timing.drawn_pack(folder, arguments.films, network.input_shape[1])


def compare(name, network, pack, arguments):
    """Seconds a film of every side; says them, and how far the maps are apart."""
    import timing

    from cxr.core.parameters import OF_LAST_LAYER
    from cxr.networks import inference, map_places
    from cxr.networks.backend import keras

    params = timing.params_at(arguments.size, SCORE_BATCH_SIZE=arguments.batch)
    rows = np.arange(len(pack))
    found = {}
    for side, methods in (("without maps", ()), ("HiResCAM", ("hirescam",)), ("ours", OF_LAST_LAYER)):
        scorer = inference.scorer(network, params, methods)
        asked = functools.partial(inference.score, scorer, pack, rows, params, bool(methods))
        (probabilities, maps), seconds = fastest(asked, arguments.rounds)
        found[side] = seconds / len(pack)
    differences = {}
    if keras.backend.backend() == "tensorflow":
        for side, one in zip(TAPE_SIDES, tapes(network, pack, arguments), strict=True):
            films = arguments.few if side == "original" else len(pack)
            # Eager code has nothing to compile: once is enough of what takes longest.
            (other, theirs), seconds = fastest(one, arguments.rounds) if side != "original" else timed(one)
            found[side] = seconds / films
            places = map_places.places_of(network)
            theirs = map_places.onto_film(theirs.transpose(0, 2, 3, 1), places, pack.shape[1]).transpose(0, 3, 1, 2)
            apart = np.abs(maps["gradcam"][:films].astype(np.float32) - theirs).max()
            differences[side] = apart / np.abs(theirs).max(), np.abs(probabilities[:films] - other).max()
    else:
        print("tapes: not measured (they need TensorFlow)")
    say(f"{name} at {pack.shape[1]} px, {len(pack)} films, maps of {maps['gradcam'].shape[2]}x"
        f"{maps['gradcam'].shape[3]} cells", found)  # fmt: skip
    for side, (map_difference, difference) in differences.items():
        print(
            f"  ours and {side}: maps differ by {map_difference:.1e} of the largest value at most (ours are stored in "
            f"16 bits), probabilities by {difference:.1e}",
            flush=True,
        )
    return found


def tapes(network, pack, arguments):
    """The three other sides, each () -> probabilities (n, 6) and Grad-CAM maps (n, 6, h, w) without ReLU."""
    import tensorflow as tf

    from cxr.networks.backend import keras

    outputs = [network.get_layer(layer).output for layer in ("features", "logits", "probabilities")]
    inside = keras.Model(network.input, outputs)
    findings = network.output_shape[1]

    def weighed(features, gradient):
        weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        return tf.reduce_sum(weights * tf.cast(features, tf.float32), axis=-1)

    def one_finding(films, finding):
        with tf.GradientTape() as tape:
            features, logits, probabilities = inside(films, training=False)
            wanted = tf.gather(logits, finding, axis=1)
        return probabilities, weighed(features, tf.cast(tape.gradient(wanted, features), tf.float32))

    @tf.function
    def all_findings(films):
        with tf.GradientTape(persistent=True) as tape:
            features, logits, probabilities = inside(films, training=False)
            each = tf.unstack(logits, num=findings, axis=1)
        return probabilities, [weighed(features, tf.cast(tape.gradient(one, features), tf.float32)) for one in each]

    compiled = tf.function(one_finding)

    def one_by_one(films, function):
        made = [function(films, tf.constant(finding)) for finding in range(findings)]
        return made[0][0], [one for _, one in made]

    def run(function, count, batch):
        made = []
        for first in range(0, count, batch):
            probabilities, maps = function(tf.constant(pack[first : min(first + batch, count), ..., None], tf.float32))
            made.append((np.asarray(probabilities), np.stack([np.asarray(one) for one in maps], axis=1)))
        return tuple(np.concatenate(parts) for parts in zip(*made, strict=True))

    yield lambda: run(lambda films: one_by_one(films, compiled), len(pack), arguments.batch)
    yield lambda: run(all_findings, len(pack), arguments.batch)
    yield lambda: run(lambda films: one_by_one(films, one_finding), min(arguments.few, len(pack)), 1)


def fastest(function, rounds):
    """What it returns, and the fewest seconds of some calls after a first one, which compiles."""
    function()
    return min((timed(function) for _ in range(rounds)), key=lambda found: found[1])


def timed(function):
    """What it returns, and its seconds."""
    started = time.perf_counter()
    return function(), time.perf_counter() - started


def say(what, seconds):
    """A line a side: milliseconds a film, and how many times ours that is."""
    print(what)
    for side, value in seconds.items():
        print(f"  {side:12} {1000 * value:9.1f} ms a film, {value / seconds['ours']:6.1f} times ours", flush=True)


def draw(pack, folder, arguments):
    """Milliseconds an overlay of 512 pixels, on one thread and on all cores."""
    import timing

    from cxr.core.executors import usable_cores
    from cxr.maps import heatmaps
    from cxr.report import film_pictures

    films = [timing.draw(seed, 512) for seed in range(4)]
    heat = heatmaps.enlarged(np.random.default_rng(1).random((16, 16)).astype(np.float32), 512)

    def one(number):
        film_pictures.overlay(films[number % 4], heat, folder / f"{number}.png", "a film", contour_level=0.5)

    for threads in (1, usable_cores()):
        with ThreadPoolExecutor(threads) as pool:
            started = time.perf_counter()
            list(pool.map(one, range(arguments.films)))
        print(f"drawing on {threads} threads: {1000 * (time.perf_counter() - started) / arguments.films:.1f} ms an "
              "overlay of 512 px", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
