"""Beside the peers, in one run: what others would use for the same work, on the same films, by turns.

Parts (--only; all by default). Each side runs in a process of its own, by turns, and medians of the rounds are shown.

  feeding     films of a folder into a network's first layer: FilmBatches on a pack (epoch 1 with the packing, epoch 2
              from the pack), against NIH_Dataset of torchxrayvision with its transforms and a DataLoader; by its
              default way to resize (scikit-image) and by its fast one (OpenCV)
  step        a training step of DenseNet169, float32, SGD, against torchvision's in channels-last
  maps        probabilities and Grad-CAM of six findings from the same weights: one forward pass for all, against
              pytorch-grad-cam, which runs forward and backward once a finding
  intervals   AUROC with 95 % intervals of public predictions: bootstrap by patient, against scikit-learn in a loop, and
              against the package confidenceinterval, which takes films for independent
  evaluation  every figure of metrics.json of the same predictions, against scikit-learn in a loop (plain_evaluation.py)

A part whose packages or files are missing says so. Times at the first batch hold what TensorFlow compiles. All weights
are random: nothing is downloaded. On a machine with other work take --clock processor, and one core (taskset -c 0):
threads that wait for each other may count their waiting.

    pip install -e ".[peers]"      # pulls PyTorch: for a small install take its CPU build first
    python benchmarks/peers.py --nih FOLDER --predictions CSV --labels Data_Entry_2017.csv
    python benchmarks/peers.py --only step maps --nih FOLDER --size 96 --batch 16
"""

import argparse
import functools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import peer_sides
from clocks import CLOCKS
from peer_sides import CAM, LOOP, OURS, PACKAGE, TORCHVISION, XRV, XRV_FAST

# part -> the files it needs; what it is; side -> function; what is compared beside time. The maps' peer saves weights.
PARTS = {
    "feeding": (
        ("nih",), "films from disk into a network, {films} films to {size} px, batches of {batch}",
        {OURS: peer_sides.feeding_ours, XRV: peer_sides.feeding_xrv,
         XRV_FAST: functools.partial(peer_sides.feeding_xrv, engine="cv2")}, peer_sides.check_feeding,
    ),
    "step": (
        (), "a training step of DenseNet169, {batch} films of {size} px, float32, SGD",
        {OURS: functools.partial(peer_sides.step, one="sgd, one batch"),
         TORCHVISION: functools.partial(peer_sides.step, one="torchvision, float32")}, None,
    ),
    "maps": (
        ("nih",), "probabilities and Grad-CAM of six findings, DenseNet169, {size} px, batches of {batch}",
        {CAM: peer_sides.maps_cam, OURS: peer_sides.maps_ours}, peer_sides.check_maps,
    ),
    "intervals": (
        ("predictions", "labels"), "95 % intervals, {replicates} resamples (of scikit-learn {plain}, scaled)",
        {OURS: peer_sides.intervals_ours, LOOP: peer_sides.intervals_loop, PACKAGE: peer_sides.intervals_package},
        peer_sides.check_intervals,
    ),
    "evaluation": (
        ("predictions", "labels"), "all of metrics.json, {replicates} resamples (of scikit-learn {plain}, scaled)",
        {OURS: peer_sides.evaluation_ours, LOOP: peer_sides.evaluation_loop}, peer_sides.check_evaluation,
    ),
}  # fmt: skip


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run")
    parser.add_argument("--nih", type=Path, help="a folder with films of NIH, in any folders below it")
    parser.add_argument("--predictions", type=Path, help="a CSV of probabilities, as score_predictions.sh takes it")
    parser.add_argument("--labels", type=Path, help="their labels, such as Data_Entry_2017.csv")
    parser.add_argument("--films", type=int, help="of feeding: the first so many of the folder; default all")
    parser.add_argument("--repeats", type=int, default=4, help="of feeding: how often an epoch takes each film")
    parser.add_argument("--size", type=int, default=224, help="side of the films, pixels")
    parser.add_argument("--batch", type=int, default=16, help="films a batch")
    parser.add_argument("--steps", type=int, default=5, help="of step: timed steps a round")
    parser.add_argument("--map-batches", type=int, default=4, help="of maps: batches a round")
    parser.add_argument("--replicates", type=int, default=1000, help="resamples behind an interval")
    parser.add_argument("--plain", type=int, default=3, help="resamples of scikit-learn in a loop, then scaled")
    parser.add_argument("--rounds", type=int, default=3, help="how often the sides take turns")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="seconds of which clock are compared")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    arguments.clock = CLOCKS[arguments.clock]
    if arguments.side:
        print(json.dumps(one_side(*arguments.side.split("/"), arguments)))
        return
    for path in filter(None, (arguments.nih, arguments.predictions, arguments.labels)):
        if not path.exists():
            parser.error(f"{path}: not there")
    given = sys.argv[1:] if argv is None else list(map(str, argv))
    for part in arguments.only:
        missing = [f"--{name}" for name in PARTS[part][0] if getattr(arguments, name) is None]
        if missing:
            print(f"\n{part}: not measured (needs {', '.join(missing)})", flush=True)
            continue
        with tempfile.TemporaryDirectory() as work:
            tell(part, *by_turns(part, given, Path(work), arguments.rounds), arguments)


def one_side(part, side, arguments):
    """Seconds of a side by row, or what it misses; what is compared is kept in a file."""
    try:
        seconds, kept = PARTS[part][2][side](arguments)
    except ImportError as error:
        return {"missing": f"no {error.name}" if error.name else str(error)}
    np.savez(arguments.work / f"{side}.npz", **kept)
    return {"seconds": seconds}


def by_turns(part, given, work, rounds):
    """Side -> what `one_side` finds in a fresh process, medians of the rounds; side -> what it kept."""
    sides, found = PARTS[part][2], {}
    for _ in range(rounds):
        for side in sides:
            if found.get(side) and "missing" in found[side][0]:
                continue
            command = [sys.executable, __file__, *given, "--side", f"{part}/{side}", "--work", str(work)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            lost = {"missing": f"the process ended with {done.returncode}, see above"}
            found.setdefault(side, []).append(lost if done.returncode else json.loads(done.stdout.splitlines()[-1]))
    kept = {side: dict(np.load(work / f"{side}.npz")) for side in sides if (work / f"{side}.npz").exists()}
    return {side: middle(results) for side, results in found.items()}, kept


def middle(results):
    lost = [result for result in results if "missing" in result]
    if lost:
        return lost[0]
    return {"seconds": {row: median(one["seconds"][row] for one in results) for row in results[0]["seconds"]}}


def tell(part, found, kept, arguments):
    """A table: ours, theirs, theirs / ours; then what was compared beside time."""
    _, title, sides, check = PARTS[part]
    films = len(peer_sides.film_paths(arguments)) * arguments.repeats if arguments.nih else 0
    print(f"\n{part}: {title.format(**vars(arguments) | {'films': films})}")
    ours, peers = found[OURS].get("seconds", {}), [side for side in sides if side != OURS]
    for side in sides:
        if "missing" in found[side]:
            print(f"  {side}: not measured ({found[side]['missing']})")
    rows = [(f"{row}, {side}", row, theirs) for side in peers for row, theirs in found[side].get("seconds", {}).items()]
    rows = rows or [(row, row, None) for row in ours]
    if rows:
        print(f"  {'':72}{'ours':>10}{'theirs':>10}{'theirs/ours':>13}")
    for name, row, theirs in rows:
        own = ours.get(row)
        ratio = f"{theirs / own:.2f}" if own and theirs else "-"
        print(f"  {name:72}{spoken(own):>10}{spoken(theirs):>10}{ratio:>13}")
    for line in check(kept) if check and OURS in kept else ():
        print(f"  {line}")


def spoken(seconds):
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


if __name__ == "__main__":
    main()
