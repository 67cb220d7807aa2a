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
are random: nothing is downloaded.

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
import time
from pathlib import Path
from statistics import median

import numpy as np

OURS, XRV, XRV_FAST, CAM = "ours", "torchxrayvision", "torchxrayvision, OpenCV", "pytorch-grad-cam"
TORCHVISION, LOOP, PACKAGE = "torchvision", "scikit-learn", "confidenceinterval"
BY_PATIENT = "AUROC and average precision, resampling patients"
BY_FILM = "AUROC, resampling films"
DEFAULT = "AUROC, an interval as it comes by default"
FIRST = "until the first batch is done"
SEED = 1


# --- films from disk into a network


def feeding_ours(arguments):
    import packing as packing_benchmark

    from cxr.core import configuration, executors
    from cxr.networks.backend import keras
    from cxr.networks.film_batches import FilmBatches
    from cxr.preparation import packing, packs
    from cxr.training.loop import loader_threads

    films, size, processes = film_paths(arguments) * arguments.repeats, arguments.size, executors.process_count(0)
    threads = loader_threads(configuration.params_from({}, "-"))
    inputs = keras.layers.Input((size, size, 1))
    scaled = keras.layers.Rescaling(1 / 255)(inputs)
    network = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(scaled))
    network.predict(np.zeros((arguments.batch, size, size, 1), np.uint8), verbose=0)

    def epoch():
        pack, rows = packs.open_pack(arguments.work / f"{size}.npy", ""), np.arange(len(films))
        batches = FilmBatches(pack, rows, map(str, rows), None, arguments.batch, workers=threads)
        return network.predict(batches, verbose=0)

    started = time.perf_counter()
    what = packing_benchmark.packing_of(arguments.work, len(films), (size,), "none")
    jobs = [(row, path, False) for row, path in enumerate(films)]
    with executors.processes(processes) as pool:
        shards = executors.shards(jobs, packing.shard_size(len(jobs), processes))
        for _ in executors.in_order(functools.partial(packing.pack_shard, packing=what), shards, pool):
            pass
    grays = epoch()[: len(films) // arguments.repeats, 0]
    first = time.perf_counter()
    epoch()
    return {"epoch 1": first - started, "epoch 2": time.perf_counter() - first}, {"grays": grays}


def feeding_xrv(arguments, engine="skimage"):
    import torchxrayvision as xrv
    from torch.utils.data import DataLoader, Subset
    from torchvision.transforms import Compose

    from cxr.core import executors

    paths = {path.name: path for path in film_paths(arguments)}
    folder = arguments.work / "all_in_one_folder"  # as the data set wants them
    folder.mkdir(exist_ok=True)
    for name, path in paths.items():
        if not (folder / name).exists():
            (folder / name).symlink_to(path.resolve())
    transforms = Compose([xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(arguments.size, engine=engine)])
    films = xrv.datasets.NIH_Dataset(str(folder), views=["PA", "AP"], unique_patients=False, transform=transforms)
    row = {name: row for row, name in enumerate(films.csv["Image Index"])}
    rows = [row[name] for name in paths if name in row]
    if len(rows) != len(paths):
        raise SystemExit(f"{arguments.nih}: {len(paths) - len(rows)} films are not in NIH's table")
    loader = DataLoader(
        Subset(films, rows * arguments.repeats), arguments.batch, num_workers=executors.process_count(0),
        persistent_workers=True,
    )  # fmt: skip
    seconds, grays = [], []
    for _ in range(2):
        started = time.perf_counter()
        grays.append(np.concatenate([batch["img"].mean((1, 2, 3)).numpy() for batch in loader]))
        seconds.append(time.perf_counter() - started)
    return dict(zip(("epoch 1", "epoch 2"), seconds, strict=True)), {"grays": (grays[0][: len(rows)] / 1024 + 1) / 2}


def check_feeding(kept):
    for name in (XRV, XRV_FAST):
        if name in kept:
            apart = 255 * np.abs(kept[OURS]["grays"] - kept[name]["grays"]).max()
            yield f"mean gray of a film: {name} differs by {apart:.2f} of 255 at most"


# --- a training step


def step(arguments, one):
    import training

    measure = training.ours if one in training.VARIANTS else training.torchvision
    found = measure(argparse.Namespace(one=one, member="densenet169", **vars(arguments)))
    if "missing" in found:
        raise ImportError(found["missing"])
    ((_, first, seconds),) = found["batches"]
    return {FIRST: first, "a step": seconds}, {}


# --- probabilities with maps


def maps_cam(arguments):
    """Its Grad-CAM on torchvision's DenseNet169, the last ReLU a layer so that it can be named; saves the weights."""
    import torch
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torch import nn
    from torchvision.models import DenseNet169_Weights, densenet169

    from cxr.core.findings import FINDINGS

    torch.manual_seed(SEED)
    whole = densenet169(weights=None, num_classes=len(FINDINGS)).eval()
    torch.save(whole.state_dict(), arguments.work / "densenet169.pt")
    np.savez(arguments.work / "head.npz", *(values.detach().numpy() for values in whole.classifier.parameters()))
    network = nn.Sequential(whole.features, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), whole.classifier)
    network = network.to(memory_format=torch.channels_last)
    usual = DenseNet169_Weights.DEFAULT.transforms()
    mean, std = (torch.tensor(values)[:, None, None] for values in (usual.mean, usual.std))
    films, batch = square_films(arguments), arguments.batch

    with GradCAM(model=network, target_layers=[network[1]]) as cam:

        def scored(some):
            x = (torch.from_numpy(some)[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std
            x = x.contiguous(memory_format=torch.channels_last)
            maps = [cam(input_tensor=x, targets=[ClassifierOutputTarget(f)] * len(x)) for f in range(len(FINDINGS))]
            return cam.outputs.detach().sigmoid().numpy(), np.stack(maps, axis=1)

        return timed_batches(scored, films, batch)


def maps_ours(arguments):
    import timing

    from cxr.networks import backend, classifiers, inference

    saved = arguments.work / "densenet169.pt"
    keys = {"WEIGHTS": str(saved) if saved.exists() else "none", "SCORE_BATCH_SIZE": arguments.batch}
    params = timing.params_at(arguments.size, **keys)
    backend.start(params)
    classifier = classifiers.build_classifier("densenet169", params)
    if saved.exists():
        kernel, bias = np.load(arguments.work / "head.npz").values()
        classifier.get_layer("logits").set_weights([kernel.T, bias])
    network = inference.scorer(classifier, params)

    def scored(some):
        probabilities, maps = inference.score(network, some, np.arange(len(some)), params)
        return probabilities, maps["gradcam"]

    return timed_batches(scored, square_films(arguments), arguments.batch)


def timed_batches(scored, films, batch):
    """Seconds of the first batch, and of all films after it, which are whole batches; probabilities and maps."""
    started = time.perf_counter()
    scored(films[:batch])
    first = time.perf_counter() - started
    started = time.perf_counter()
    parts = [scored(films[begin : begin + batch]) for begin in range(0, len(films), batch)]
    seconds = time.perf_counter() - started
    probabilities, maps = map(np.concatenate, zip(*parts, strict=True))
    return {FIRST: first, "a film": seconds / len(films)}, {"probabilities": probabilities, "maps": maps}


def check_maps(kept):
    import cv2

    if len(kept) < 2:
        return
    ours, theirs = kept[OURS], kept[CAM]
    apart = np.abs(ours["probabilities"] - theirs["probabilities"]).max()
    alike = []
    for own, other in zip(ours["maps"], theirs["maps"], strict=True):  # (F, h, w), (F, size, size)
        for f in range(len(own)):
            seen = cv2.resize(np.maximum(own[f].astype(np.float32), 0), other[f].shape[::-1])
            if seen.std() and other[f].std():
                alike.append(np.corrcoef(seen.ravel(), other[f].ravel())[0, 1])
    yield f"the same weights: probabilities differ by {apart:.1e} at most"
    yield f"maps: correlation {np.median(alike):.4f} in the median, {np.min(alike):.4f} at least ({len(alike)} maps)"


# --- intervals


def intervals_ours(arguments):
    from cxr.evaluation import bootstrap, figures

    truth, probabilities, patients = arrays(arguments)
    seconds, kept = {}, {}
    for row, owners in ((BY_PATIENT, patients), (BY_FILM, np.arange(len(truth)))):
        started = time.perf_counter()
        drawn = figures.replicate_scores(truth, probabilities, owners, arguments.replicates, SEED)
        kept[row] = np.array([bootstrap.interval(values) for values in drawn["auroc"].T])
        seconds[row] = time.perf_counter() - started
        if row == BY_PATIENT:
            kept["drawn"] = np.stack(list(drawn.values()), axis=-1)[: arguments.plain]
    return {**seconds, DEFAULT: seconds[BY_PATIENT]}, kept


def intervals_loop(arguments):
    import bootstrap as bootstrap_benchmark

    started = time.perf_counter()
    drawn = bootstrap_benchmark.plain(*arrays(arguments), arguments.plain, SEED)
    seconds = (time.perf_counter() - started) / arguments.plain
    return {BY_PATIENT: seconds * arguments.replicates}, {"drawn": drawn}


def intervals_package(arguments):
    import confidenceinterval

    truth, probabilities, _ = arrays(arguments)
    seconds, kept = {}, {}
    options = {BY_FILM: {"method": "bootstrap_percentile", "n_resamples": arguments.replicates}, DEFAULT: {}}
    for row, chosen in options.items():
        started = time.perf_counter()
        found = [
            confidenceinterval.roc_auc_score(*both, **chosen) for both in zip(truth.T, probabilities.T, strict=True)
        ]
        seconds[row] = time.perf_counter() - started
        kept[row], kept["auroc"] = np.array([limits for _, limits in found]), np.array([value for value, _ in found])
    return seconds, kept


def check_intervals(kept):
    ours = kept[OURS]
    if LOOP in kept:
        apart = np.abs(ours["drawn"] - kept[LOOP]["drawn"]).max()
        yield f"{LOOP}, the same {len(ours['drawn'])} draws of patients: differs by {apart:.1e} at most"
    wide = np.ptp(ours[BY_PATIENT], axis=1)
    if PACKAGE in kept:
        for row in (BY_FILM, DEFAULT):
            apart = np.abs(kept[PACKAGE][row] - ours[BY_FILM]).max(axis=1) / np.ptp(ours[BY_FILM], axis=1)
            yield f"{PACKAGE}, {row}: limits differ from ours by films by {apart.max():.1%} of its width at most"
        narrow = np.ptp(kept[PACKAGE][DEFAULT], axis=1) / wide
        yield f"its default, by films, is {narrow.min():.2f} to {narrow.max():.2f} as wide as ours by patient"


# --- a whole evaluation


def evaluation_ours(arguments):
    from cxr.evaluation import assessment

    table, films, thresholds, groups = predictions_of(arguments)

    def judged(replicates):
        return assessment.judge(table, films, thresholds, replicates, SEED, groups)

    started = time.perf_counter()
    judged(arguments.replicates)
    seconds = time.perf_counter() - started
    return {"all figures": seconds}, {"text": json.dumps(judged(arguments.plain))}


def evaluation_loop(arguments):
    import plain_evaluation

    from cxr.evaluation import calibration, predictions, subgroups, thresholds

    table, films, fitted, groups = predictions_of(arguments)
    truth, raw = predictions.arrays(table)
    if np.isnan(truth).any():
        raise SystemExit(f"{arguments.predictions}: this comparison needs all labels known")
    scores = {"raw": raw, "calibrated": calibration.calibrated(table, fitted["calibration"])}
    test = (table["split"] == "test").to_numpy()
    bins = {kind: np.zeros(truth.shape, int) for kind in scores}
    for kind, values in scores.items():
        bins[kind][test] = np.stack([calibration.bins_of(column) for column in values[test].T], axis=1)
    points = {
        point: thresholds.decide(table, {"findings": found}) for point, found in fitted["operating_points"].items()
    }
    given = plain_evaluation.Given(
        predictions.findings_of(table), truth, scores, bins, thresholds.decide(table, fitted), points,
        table["patient_id"].to_numpy(), test, {**subgroups.groupings(table, films), **groups}, subgroups.GAPS,
    )  # fmt: skip
    found, figures, resample = plain_evaluation.evaluate(given, arguments.plain, SEED)
    return {"all figures": figures + arguments.replicates * resample}, {"text": json.dumps(found)}


def check_evaluation(kept):
    if LOOP not in kept:
        return
    metrics, found = (json.loads(str(kept[name]["text"])) for name in (OURS, LOOP))
    values, limits = [], []
    for path, value, low, high in found:
        block = functools.reduce(dict.__getitem__, path[:-1], metrics)
        own, name = block[path[-1]], "interval" if path[-1] == "difference" else f"{path[-1]}_interval"
        values += [] if own is None else [own - value]
        if block.get(name) and path[-1] not in block.get("exact_intervals", ()):
            limits += [own - other for own, other in zip(block[name], (low, high), strict=True)]
    yield f"{len(values):,} figures differ by {np.abs(values).max():.1e} at most"
    if limits:
        yield f"{len(limits):,} limits of intervals, of the same draws, by {np.abs(limits).max():.1e}"


# --- what sides share


def film_paths(arguments):
    from cxr.imaging.listing import list_films

    return sorted(list_films(arguments.nih).films, key=lambda path: path.name)[: arguments.films]


def square_films(arguments):
    """(n, size, size) uint8, whole batches."""
    from cxr.preparation.reading import try_square

    paths = film_paths(arguments)
    paths = [paths[number % len(paths)] for number in range(arguments.batch * arguments.map_batches)]
    return np.stack([try_square(path, arguments.size, "pad")[0] for path in paths])


@functools.cache
def _foreign(predictions, labels):
    from cxr.core.parameters import Params
    from cxr.external import label_tables, prediction_files

    params = Params()
    return prediction_files.read(predictions, label_tables.read_labels([labels], params, True), params.findings)


def arrays(arguments):
    """Truth and probabilities (N, F), patients (N,)."""
    from cxr.evaluation import predictions

    table = _foreign(arguments.predictions, arguments.labels).table
    return *predictions.arrays(table), table["patient_id"].to_numpy(dtype=str)


def predictions_of(arguments):
    """What `score_predictions.py` evaluates: table, films, what was fitted on val (a share of patients), the lists."""
    from cxr.core.parameters import Params
    from cxr.evaluation import operating_points
    from cxr.external import prediction_files
    from cxr.tables.sources.catalogue import listed_films

    foreign = _foreign(arguments.predictions, arguments.labels)
    val, table, _ = prediction_files.with_val(foreign, None, 0.2)
    fitted = operating_points.fit_on_val(val, Params().evaluation.threshold_rule)
    return table, foreign.films, fitted, listed_films([arguments.labels], table["image_id"])


# part -> the files it needs; what it is; side -> function; what is compared beside time. The maps' peer saves weights.
PARTS = {
    "feeding": (
        ("nih",), "films from disk into a network, {films} films to {size} px, batches of {batch}",
        {OURS: feeding_ours, XRV: feeding_xrv, XRV_FAST: functools.partial(feeding_xrv, engine="cv2")}, check_feeding,
    ),
    "step": (
        (), "a training step of DenseNet169, {batch} films of {size} px, float32, SGD",
        {OURS: functools.partial(step, one="sgd, one batch"),
         TORCHVISION: functools.partial(step, one="torchvision, float32")}, None,
    ),
    "maps": (
        ("nih",), "probabilities and Grad-CAM of six findings, DenseNet169, {size} px, batches of {batch}",
        {CAM: maps_cam, OURS: maps_ours}, check_maps,
    ),
    "intervals": (
        ("predictions", "labels"), "95 % intervals, {replicates} resamples (of scikit-learn {plain}, scaled)",
        {OURS: intervals_ours, LOOP: intervals_loop, PACKAGE: intervals_package}, check_intervals,
    ),
    "evaluation": (
        ("predictions", "labels"), "all of metrics.json, {replicates} resamples (of scikit-learn {plain}, scaled)",
        {OURS: evaluation_ours, LOOP: evaluation_loop}, check_evaluation,
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
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.side:
        print(json.dumps(one_side(*arguments.side.split("/"), arguments)))
        return
    given = sys.argv[1:] if argv is None else list(argv)
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
    films = len(film_paths(arguments)) * arguments.repeats if arguments.nih else 0
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
