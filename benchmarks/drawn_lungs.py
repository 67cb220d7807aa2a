"""What drawn films are worth on real ones: Dice of lungs by lung set, and the cardiothoracic ratio on films of NIH.

Trains by the scripts themselves, on 192 pixels, in the folder --work, which is kept; a second call goes on there. Real
films that the U-Net was trained or chosen on are left out of the Dice, unless it learned from drawn films alone.

    python benchmarks/drawn_lungs.py --films CXR_png --masks masks --nih FOLDER --table Data_Entry_2017.csv --work DIR \
        [--lung-films drawn] [--test-sets montgomery] [--drawn 2400] [--epochs 8]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
from sklearn.metrics import roc_auc_score

from cxr.evaluation import bootstrap, figures

PROJECT = Path(__file__).resolve().parents[1]
PARAMS = {"UNET_INPUT_SIZE": 192, "UNET_BATCH_SIZE": 8, "UNET_LEARNING_RATE": 0.002, "BATCH_NORM_MOMENTUM": 0.9}
PARAMS |= {"PRECISION": "mixed_bfloat16"}
STEPS = ("etl/0_pair_masks.py", "etl/1_split_patients.py", "etl/2_pack_arrays.py", "train.py", "evaluate.py")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("films", "masks", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("nih", "table"):
        parser.add_argument(f"--{name}", type=Path, help="films of NIH below it, their Data_Entry_2017.csv")
    parser.add_argument("--lung-films", default="drawn", choices=("real", "drawn", "both"))
    parser.add_argument("--test-sets", nargs="*", default=[])
    parser.add_argument("--drawn", type=int, default=2400)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args(argv)
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    places = {"DATASET_DIR": work / "raw", "DATASET_DIR_SEGMENTATION": arguments.films, "MASK_DIR": arguments.masks}
    (work / "SETTINGS.json").write_text(json.dumps({key: str(path.resolve()) for key, path in places.items()}))
    keys = {"LUNG_FILMS": arguments.lung_films, "UNET_TEST_SETS": arguments.test_sets}
    epochs = {"DRAWN_LUNG_FILMS": arguments.drawn, "UNET_DRAWN_EPOCHS": arguments.epochs}
    (work / "PARAMS.json").write_text(json.dumps(PARAMS | keys | epochs))
    for step in STEPS:
        run(work, step)
    if arguments.lung_films == "drawn":
        run(work, "evaluate.py", arguments.films, "--masks", arguments.masks, "--out", work / "real_lungs")
    if arguments.nih:
        run(work, "predict.py", arguments.nih, "--out", work / "nih")
        ratios(pd.read_csv(work / "nih/masks.csv"), pd.read_csv(arguments.table))


def run(work, step, *words):
    files = ["--settings", work / "SETTINGS.json", "--params", work / "PARAMS.json"]
    subprocess.run([sys.executable, PROJECT / "src/segmentation" / step, *words, *files], check=True)


def ratios(masks, table):
    """The ratio alone as a score for Cardiomegaly, with 95 % intervals by patient, and its mean on normal PA films."""
    masks["Image Index"] = [Path(film).name for film in masks["film"]]
    films = masks.merge(table, on="Image Index")
    known = films[films["cardiothoracic_ratio"].notna()]
    print(f"{known['accepted'].sum()} of {len(films)} masks accepted, {len(known)} films with a ratio")
    views = {"all": known["View Position"] != "", "PA": known["View Position"] == "PA"}
    for view, here in {**views, "AP": known["View Position"] == "AP"}.items():
        truth = known.loc[here, "Finding Labels"].str.contains("Cardiomegaly").to_numpy(float)[:, None]
        ratio, patients = (
            known.loc[here, ["cardiothoracic_ratio"]].to_numpy(),
            known.loc[here, "Patient ID"].astype(str),
        )
        drawn = figures.replicate_scores(truth, ratio, patients.to_numpy(), 1000, 1)["auroc"][:, 0]
        low, high = bootstrap.interval(drawn)
        area = roc_auc_score(truth[:, 0], ratio[:, 0])
        print(f"{view}: {len(ratio)} films, {int(truth.sum())} with it; AUROC {area:.3f} ({low:.3f}-{high:.3f})")
    normal = known[(known["Finding Labels"] == "No Finding") & (known["View Position"] == "PA")]
    values = normal["cardiothoracic_ratio"]
    print(f"normal PA films: {len(values)}, ratio {values.mean():.3f}, standard deviation {values.std():.3f}")


if __name__ == "__main__":
    main()
