"""Memory of a training step that grows with the batch: as training tells it before the first step, and as measured.

Each network trains one step of two batches, in processes of their own; the difference of their peaks of resident memory
is what so many films more take. On a CPU, where the framework takes memory as it needs it.

    python benchmarks/memory.py --member densenet121 --member xception --size 128
"""

import argparse
import json
import subprocess
import sys

import numpy as np


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--member", action="append", help="repeatable; default densenet121")
    parser.add_argument("--size", type=int, default=128, help="side of the films, pixels")
    parser.add_argument("--batches", type=int, nargs=2, default=(8, 32), help="films of the two steps")
    parser.add_argument("--recompute", action="store_true", help="with RECOMPUTE")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one:
        print(json.dumps(step(arguments.member[0], arguments.size, arguments.one, arguments.recompute)))
        return
    few, many = arguments.batches
    for member in arguments.member or ["densenet121"]:
        (_, peak), (told, other_peak) = (in_process(member, films, arguments) for films in (few, many))
        measured = (other_peak - peak) / (many - few)
        print(
            f"{member} at {arguments.size} px: {told / 2**20:.1f} MB a film told, {measured:.1f} measured",
            flush=True,
        )


def in_process(member, films, arguments):
    words = ["--member", member, "--size", arguments.size, "--one", films]
    words += ["--recompute"] if arguments.recompute else []
    answer = subprocess.run(
        [sys.executable, __file__, *map(str, words)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return json.loads(answer.splitlines()[-1])


def step(member, size, films, recompute):
    """Bytes a film as `training_bytes` counts them, and this process's peak in MB after two steps."""
    import timing

    from cxr.networks import backend, classifiers, recomputation, workload
    from cxr.training import loop, losses

    params = timing.params_at(size, PRECISION="float32", RECOMPUTE=recompute)
    backend.start(params)
    classifier = classifiers.build_classifier(member, params)
    model, truth = recomputation.logits_of(classifier, recompute), timing.labels(films)
    loss = losses.masked_cross_entropy(np.ones(truth.shape[1], np.float32))
    model.compile(optimizer=loop.make_optimizer(params, 100), loss=loss, jit_compile=backend.jit_compile(params))
    for _ in range(2):
        model.train_on_batch(np.zeros((films, size, size, 1), np.uint8), truth)
    told = workload.training_bytes(classifier, 1, params) - workload.training_bytes(classifier, 0, params)
    return told, timing.peak_megabytes()


if __name__ == "__main__":
    main()
