"""The sides of `peers.py`: each takes its arguments and gives seconds by row, and arrays that the check compares.

PyTorch's and TensorFlow's never meet in one process, so what a side needs it imports itself.
"""

import argparse
import functools
import json

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

    started = arguments.clock()
    what = packing_benchmark.packing_of(arguments.work, len(films), (size,), "none")
    jobs = [(row, path, False) for row, path in enumerate(films)]
    with executors.processes(processes) as pool:
        shards = executors.shards(jobs, packing.shard_size(len(jobs), processes))
        done = executors.in_order(functools.partial(packing.pack_shard, packing=what), shards, pool)
        problems = [record["problem"] for shard in done for record in shard if record["problem"]]
    if problems:
        raise SystemExit(f"{arguments.nih}: {len(problems)} films cannot be read: {problems[0]}")
    grays = epoch()[: len(films) // arguments.repeats, 0]
    first = arguments.clock()
    epoch()
    return {"epoch 1": first - started, "epoch 2": arguments.clock() - first}, {"grays": grays}


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
        started = arguments.clock()
        grays.append(np.concatenate([batch["img"].mean((1, 2, 3)).numpy() for batch in loader]))
        seconds.append(arguments.clock() - started)
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
    films = square_films(arguments)

    with GradCAM(model=network, target_layers=[network[1]]) as cam:

        def scored(some):
            x = (torch.from_numpy(some)[:, None].expand(-1, 3, -1, -1) / 255 - mean) / std
            x = x.contiguous(memory_format=torch.channels_last)
            maps = [cam(input_tensor=x, targets=[ClassifierOutputTarget(f)] * len(x)) for f in range(len(FINDINGS))]
            return cam.outputs.detach().sigmoid().numpy(), np.stack(maps, axis=1)

        return timed_batches(scored, films, arguments)


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
    network = inference.scorer(classifier, params, ("gradcam",))

    def scored(some):
        probabilities, maps = inference.score(network, some, np.arange(len(some)), params)
        return probabilities, maps["gradcam"]

    return timed_batches(scored, square_films(arguments), arguments)


def timed_batches(scored, films, arguments):
    """Seconds of the first batch, and of all films after it, which are whole batches; probabilities and maps."""
    batch = arguments.batch
    started = arguments.clock()
    scored(films[:batch])
    first = arguments.clock() - started
    started = arguments.clock()
    parts = [scored(films[begin : begin + batch]) for begin in range(0, len(films), batch)]
    seconds = arguments.clock() - started
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
    figures.replicate_scores(truth, probabilities, patients, 1, SEED)
    for row, owners in ((BY_PATIENT, patients), (BY_FILM, np.arange(len(truth)))):
        started = arguments.clock()
        drawn = figures.replicate_scores(truth, probabilities, owners, arguments.replicates, SEED)
        kept[row] = np.array([bootstrap.interval(values) for values in drawn["auroc"].T])
        seconds[row] = arguments.clock() - started
        if row == BY_PATIENT:
            kept["drawn"] = np.stack(list(drawn.values()), axis=-1)[: arguments.plain]
    return {**seconds, DEFAULT: seconds[BY_PATIENT]}, kept


def intervals_loop(arguments):
    import bootstrap as bootstrap_benchmark

    given = arrays(arguments)
    bootstrap_benchmark.plain(*given, 1, SEED)  # the first call imports
    started = arguments.clock()
    drawn = bootstrap_benchmark.plain(*given, arguments.plain, SEED)
    seconds = (arguments.clock() - started) / arguments.plain
    return {BY_PATIENT: seconds * arguments.replicates}, {"drawn": drawn}


def intervals_package(arguments):
    import confidenceinterval

    truth, probabilities, _ = arrays(arguments)
    seconds, kept = {}, {}
    confidenceinterval.roc_auc_score(truth[:, 0], probabilities[:, 0])  # the first call imports
    options = {BY_FILM: {"method": "bootstrap_percentile", "n_resamples": arguments.replicates}, DEFAULT: {}}
    for row, chosen in options.items():
        started = arguments.clock()
        found = [
            confidenceinterval.roc_auc_score(*both, **chosen) for both in zip(truth.T, probabilities.T, strict=True)
        ]
        seconds[row] = arguments.clock() - started
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

    started = arguments.clock()
    judged(arguments.replicates)
    seconds = arguments.clock() - started
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
    for _, some, measure, _ in plain_evaluation.jobs(given):
        measure(some[:100])  # the first call imports
    found, figures, resample = plain_evaluation.evaluate(given, arguments.plain, SEED, arguments.clock)
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
