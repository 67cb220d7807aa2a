"""Where lung masks are made: U-Nets of several input sizes, precisions and batches; what each finds, how fast.

Films a second of the U-Net alone (random weights: the time is the same), what `cxr.preparation.masking` asks of it.
With --pairs it is also trained at every size and precision by the scripts of src/segmentation, on the same split of the
same films. Its Dice on the held-out patients is told against the drawn masks at 512 pixels, whatever its own size.

    python benchmarks/masks.py                                                  # three minutes on two cores
    python benchmarks/masks.py --pairs CXR_png masks --epochs 12                # and 40 more
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
PRECISIONS = ("float32", "mixed_bfloat16")
JUDGED = 512  # pixels of the drawn masks that found ones are compared with


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 192, 256, 512], help="pixels")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32], help="films")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--filters", type=int, nargs="+", default=[16, 64], help="of the first level")
    parser.add_argument("--films", type=int, default=64, help="films timed at 256 pixels, fewer at more")
    parser.add_argument("--pairs", type=Path, nargs=2, metavar=("FILMS", "MASKS"), help="train on them too")
    parser.add_argument("--train-sizes", type=int, nargs="+", default=[128, 192, 256], help="pixels")
    parser.add_argument("--epochs", type=int, default=12)
    arguments = parser.parse_args(argv)
    for filters in arguments.filters:
        for precision in arguments.precisions:
            for size in arguments.sizes:
                rates = [rate(size, batch, filters, precision, arguments.films) for batch in arguments.batches]
                told = ", ".join(f"{one:.1f} by {batch}" for one, batch in zip(rates, arguments.batches, strict=True))
                print(f"{filters} filters, {precision:14} {size} px: films/s {told}", flush=True)
    for precision in arguments.precisions if arguments.pairs else ():
        for size in arguments.train_sizes:
            keys = {"UNET_INPUT_SIZE": size, "UNET_FILTERS": min(arguments.filters), "PRECISION": precision}
            train(keys, arguments.epochs, *arguments.pairs)


def rate(size, batch, filters, precision, films):
    """Films a second of `predict_on_batch`, compiled before the clock starts."""
    from cxr.core import configuration
    from cxr.networks import backend, u_net

    keys = {"UNET_INPUT_SIZE": size, "UNET_FILTERS": filters, "PRECISION": precision, "WEIGHTS": "none"}
    params = configuration.params_from(keys, "-")
    backend.start(params)
    unet = u_net.build_unet(params)
    unet.compile(jit_compile=backend.jit_compile(params))
    drawn = np.random.default_rng(1).integers(0, 256, (batch, size, size, 1), np.uint8)
    unet.predict_on_batch(drawn)
    seconds = []
    for _ in range(max(2, round(films * (256 / size) ** 2 / batch))):
        started = time.perf_counter()
        np.asarray(unet.predict_on_batch(drawn))
        seconds.append(time.perf_counter() - started)
    backend.keras.backend.clear_session()
    return batch / median(seconds)


def train(keys, epochs, films, masks):
    """Train by the scripts themselves; says the seconds, and the Dice on the held-out films of every lung set."""
    params = {
        "UNET_EPOCHS": epochs,
        "UNET_BATCH_SIZE": 8,
        "BATCH_NORM_MOMENTUM": 0.9,
        "WEIGHTS": "none",
        "LUNG_FILMS": "real",
    } | keys
    paths = {"DATASET_DIR_SEGMENTATION": films, "MASK_DIR": masks, "DATASET_DIR": films}
    with tempfile.TemporaryDirectory() as folder:
        settings = {"DATA_DIR": f"{folder}/data", "MODELS_DIR": f"{folder}/models"}
        settings |= {key: str(path.resolve()) for key, path in paths.items()}
        Path(folder, "SETTINGS.json").write_text(json.dumps(settings))

        def run(step, **changed):
            Path(folder, "PARAMS.json").write_text(json.dumps(params | changed))
            command = [sys.executable, PROJECT / "src/segmentation" / step, "--settings", "SETTINGS.json"]
            command += ["--params", "PARAMS.json"]
            subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)

        run("etl/0_pair_masks.py")
        run("etl/1_split_patients.py")
        run("etl/2_pack_arrays.py", UNET_INPUT_SIZE=JUDGED)
        run("etl/2_pack_arrays.py")
        started = time.perf_counter()
        run("train.py")
        seconds = time.perf_counter() - started
        scores = judged(Path(folder))
    told = ", ".join(f"{name} {dice:.4f} ({films})" for name, (dice, films) in scores.items())
    print(f"{keys}, {epochs} epochs, {seconds:.0f} s: Dice (films) {told}", flush=True)


def judged(folder):
    """{lung set: (mean Dice, films)} of the held-out films."""
    from cxr.anatomy import lungs
    from cxr.anatomy.heart import OUTLINES
    from cxr.core import configuration
    from cxr.networks import backend, inference, saved_models
    from cxr.preparation import packs
    from cxr.tables import lung_films

    settings = configuration.load_settings(folder / "SETTINGS.json")
    params = configuration.load_params(folder / "PARAMS.json")
    size = params.unet.unet_input_size
    backend.start(params)
    table = lung_films.read_packed(settings.segmentation, size)
    rows = np.flatnonzero(table["split"] == "test")
    films = packs.open_pack(settings.segmentation / f"images_{size}.npy", "")
    drawn = packs.open_pack(settings.segmentation / f"masks_{JUDGED}.npy", "", len(OUTLINES))[..., 0]
    unet = saved_models.load_model(settings.unet, size, "")
    masks = [found.lungs for found in inference.outlined_films(unet, (films[row] for row in rows), params)]
    larger = np.stack([cv2.resize(mask, (JUDGED, JUDGED), interpolation=cv2.INTER_LINEAR) > 127 for mask in masks])
    dice = table.loc[rows, ["set"]].assign(dice=lungs.dice(drawn[rows], larger))
    return {name: (one["dice"].mean(), len(one)) for name, one in dice.groupby("set")}


if __name__ == "__main__":
    main()
