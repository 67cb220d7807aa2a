"""Does memory stay flat? Peak memory and rate of every step, on few and on very many tiny films.

Draws a few films of 32 pixels and links them under as many names, with a table in NIH's layout. Every step is the very
script that prepare_data.sh, train_Ensemble.sh and evaluate_Ensemble.sh call, in a process of its own, whose peak
resident memory (its largest process, page cache not counted) the system tells. A random U-Net and the network "tiny"
stand in for real ones: time is for reading, passing on and writing.

    python benchmarks/long_run.py                       # 10,000 films, then 336,000
    python benchmarks/long_run.py --films 100000 --few 1000
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

PROJECT = Path(__file__).resolve().parents[1]
SIDE = 32  # pixels
DRAWN = 64  # films; the others are links to them
IN_FOLDER = 4000  # films; a file system allows some 65,000 links to one file
PARAMS = {
    "ENSEMBLE_MEMBERS": ["tiny"], "DENSENET_INPUT_SIZE": SIDE, "EFFICIENTNET_INPUT_SIZE": SIDE, "WEIGHTS": "none",
    "UNET_INPUT_SIZE": SIDE, "UNET_FILTERS": 4, "EPOCHS": 1, "BATCH_SIZE": 256, "SCORE_BATCH_SIZE": 256,
    "AUGMENTATION": 0, "BOOTSTRAP_REPLICATES": 100,
}  # fmt: skip
STEPS = (
    "etl/0_nih_table.py", "etl/2_merge_tables.py", "etl/3_hold_out_test.py", "etl/4_mask_lungs.py",
    "etl/5_pack_arrays.py", "etl/6_split_train_val.py", "train/train.py ensemble", "eval/evaluate.py ensemble",
)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=336_000)
    parser.add_argument("--few", type=int, default=10_000)
    arguments = parser.parse_args()
    columns = {}
    for films in (arguments.few, arguments.films):
        with tempfile.TemporaryDirectory() as folder:
            print(f"{films:,} films", flush=True)
            lay_out(Path(folder), films)
            columns[films] = {step: run(step, Path(folder)) for step in STEPS}
    table = pd.DataFrame({"step": STEPS})
    for films, measured in columns.items():
        table[f"films/s of {films:,}"] = [round(films / measured[step][0]) for step in STEPS]
        table[f"MB of {films:,}"] = [round(measured[step][1]) for step in STEPS]
    more = (arguments.films - arguments.few) / 100_000
    few, many = (table[f"MB of {films:,}"] for films in columns)
    table["MB more for 100,000 more films"] = ((many - few) / more).round(1)
    print(table.to_string(index=False))


def lay_out(folder, films):
    """Films, table, JSON files, and a random U-Net."""
    random = np.random.default_rng(1)
    for number in range(DRAWN):
        noise = cv2.GaussianBlur(random.normal(128, 200, (SIDE, SIDE)).astype(np.float32), (0, 0), 2)
        cv2.imwrite(str(folder / f"{number}.png"), np.clip(noise, 0, 255).astype(np.uint8))
    names = [f"{1 + number // 4:08d}_{number % 4:03d}.png" for number in range(films)]
    for first in range(0, films, IN_FOLDER):
        place = folder / f"raw/images_{1 + first // IN_FOLDER:03d}"
        place.mkdir(parents=True)
        for number, name in enumerate(names[first : first + IN_FOLDER]):
            os.link(folder / f"{number % DRAWN}.png", place / name)
    labels = np.array(["No Finding", "Consolidation", "Pneumothorax", "Edema", "Effusion", "Pneumonia", "Cardiomegaly"])
    table = pd.DataFrame({"Image Index": names, "Finding Labels": labels[random.integers(0, 7, films)]})
    table["Patient ID"] = [1 + number // 4 for number in range(films)]
    table = table.assign(**{"Patient Age": 50, "Patient Gender": "F", "View Position": "PA"})
    table.to_csv(folder / "Data_Entry_2017.csv", index=False)
    settings = {
        "DATASET_DIR": "raw", "DATASET_CSV_DIR": "Data_Entry_2017.csv", "DATASET_CHEXPERT_TRAIN_CSV_DIR": "",
        "DATASET_CHEXPERT_VAL_CSV_DIR": "", "DATASET_DIR_SEGMENTATION": "raw", "MASK_DIR": "raw",
    }  # fmt: skip
    (folder / "SETTINGS.json").write_text(json.dumps(settings))
    (folder / "PARAMS.json").write_text(json.dumps(PARAMS))
    unet = folder / "models/segmentation/Unet/weights/model.keras"
    unet.parent.mkdir(parents=True)
    code = (
        "from cxr.core import configuration; from cxr.networks import u_net; from pathlib import Path; "
        f"u_net.build_unet(configuration.load_params(Path('PARAMS.json'))).save({str(unet)!r})"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, env=environment())


def run(step, folder):
    """Seconds, and megabytes of the largest process at its peak, of one step."""
    script, *words = step.split()
    files = ["--settings", "SETTINGS.json", "--params", "PARAMS.json"]
    command = [sys.executable, PROJECT / "src/classification" / script, *words, *files]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{step} failed with status {status}")
    print(f"  {step}: {time.perf_counter() - started:.0f} s, {usage.ru_maxrss / 1024:.0f} MB", flush=True)
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def environment():
    return os.environ | {"PYTHONPATH": str(PROJECT / "src")}


if __name__ == "__main__":
    main()
