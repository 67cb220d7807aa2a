"""Tell real films from drawn ones by plain features of places, and say where and by what they differ.

A grid of 8 x 8 cells lies over the box of the lungs, wider by a sixth on each side, as a U-Net finds it on both kinds.
In each cell of a film (standardised): mean gray, spread, energy of detail at three scales. A logistic regression,
cross-fitted by patient, tells both kinds apart: by all, by one family of features, by a cell. AUROC .5: no difference.

    python benchmarks/real_or_drawn.py --unet model.keras --films FOLDER [FOLDER ...] [--seed 1] [--out map.png]
"""

import argparse
import itertools
from pathlib import Path

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr.core.parameters import Params
from cxr.imaging.decoding import read_film
from cxr.imaging.geometry import fit_square
from cxr.networks import inference
from cxr.networks.backend import keras
from cxr.synthetic import randomised

SIDE, CELLS, CELL, WIDER = 384, 8, 24, 1 / 6
FAMILIES = ("mean gray", "spread", "fine detail", "middle detail", "coarse detail")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unet", type=Path, required=True, help="model.keras of src/segmentation/train.py")
    parser.add_argument("--films", type=Path, nargs="+", required=True, help="folders of real films")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="picture of the AUROC by cell")
    arguments = parser.parse_args(argv)
    paths = sorted(path for folder in arguments.films for path in folder.rglob("*.png"))
    real = [fit_square(read_film(path), SIDE, "pad")[0] for path in paths]
    drawn = [randomised.film_and_masks(number, arguments.seed, SIDE)[0] for number in range(len(real))]
    features, kept = features_of(real + drawn, arguments.unet)
    is_real = (np.arange(2 * len(real)) < len(real))[kept]
    # NIH and the lung sets name a film by its patient and a last number.
    patients = np.array([path.stem.rsplit("_", 1)[0] for path in paths] + [f"drawn {n}" for n in range(len(drawn))])
    patients = patients[kept]
    print(f"{is_real.sum()} real and {(~is_real).sum()} drawn films whose lungs were found")
    print(f"all features: AUROC {told(features.reshape(len(features), -1), is_real, patients):.3f}")
    maps = {"all five": np.array([[told(features[:, y, x], is_real, patients) for x in range(8)] for y in range(8)])}
    for number, family in enumerate(FAMILIES):
        of_family = features[..., number]
        maps[family] = np.array([[roc_auc_score(is_real, of_family[:, y, x]) for x in range(8)] for y in range(8)])
        whole = told(of_family.reshape(len(features), -1), is_real, patients)
        print(f"{family}, all cells: AUROC {whole:.3f}; of one cell alone, above .5 where real films have more:")
        print(np.array2string(maps[family], precision=2, floatmode="fixed"))
    print("all five features of one cell:")
    print(np.array2string(maps["all five"], precision=2, floatmode="fixed"))
    if arguments.out:
        draw(maps, arguments.out)


def features_of(films, unet_path):
    """(M, 8, 8, 5) of the films whose lungs were accepted, and which those are (N,), bool."""
    unet = keras.saving.load_model(unet_path, compile=False)
    size = unet.input_shape[1]
    small = (cv2.resize(film, (size, size), interpolation=cv2.INTER_AREA) for film in films)
    found = list(inference.outlined_films(unet, small, Params()))
    kept = np.array([one.quality.accepted for one in found])
    rows = np.flatnonzero(kept)
    return np.stack([film_features(films[row], found[row].lungs) for row in rows]), kept


def film_features(film, lungs):
    """Features (8, 8, 5) of the cells over the widened box of the lungs (size, size); the film's edge is repeated."""
    x, y, width, height = np.array(cv2.boundingRect(lungs)) * film.shape[0] / lungs.shape[0]
    x, y, width, height = x - WIDER * width, y - WIDER * height, (1 + 2 * WIDER) * width, (1 + 2 * WIDER) * height
    side = CELLS * CELL
    affine = np.array([[width / side, 0, x], [0, height / side, y]])
    # Smoothed to the grid first: detail must not come from how far a film is made smaller.
    soft = cv2.GaussianBlur(film.astype(np.float32), (0, 0), 0.6)
    box = cv2.warpAffine(
        soft, affine, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    box = (box - box.mean()) / max(float(box.std()), 1e-3)
    smoothed = [box, *(cv2.GaussianBlur(box, (0, 0), sigma) for sigma in (1, 2, 4))]
    energies = [np.log(cells((a - b) ** 2) + 1e-5) for a, b in itertools.pairwise(smoothed)]
    spread = np.sqrt(np.maximum(cells(box**2) - cells(box) ** 2, 0))
    return np.stack([cells(box), spread, *energies], axis=-1)


def cells(array):
    """Means (8, 8) of the cells."""
    return array.reshape(CELLS, CELL, CELLS, CELL).mean(axis=(1, 3))


def told(features, is_real, patients):
    """AUROC of a cross-fitted logistic regression that tells real from drawn by features (N, K)."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    folds = GroupKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(model, features, is_real, groups=patients, cv=folds, method="decision_function")
    return roc_auc_score(is_real, scores)


def draw(maps, path):
    """Maps (8, 8) beside each other; the inner line is the box of the lungs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(maps), figsize=(2.1 * len(maps), 2.6), layout="constrained")
    for panel, (name, values) in zip(panels, maps.items(), strict=True):
        picture = panel.imshow(values, cmap="RdBu_r", vmin=0, vmax=1)
        edge = 8 * WIDER / (1 + 2 * WIDER)
        panel.add_patch(plt.Rectangle((edge - 0.5, edge - 0.5), 8 - 2 * edge, 8 - 2 * edge, fill=False))
        panel.set(title=name, xticks=[], yticks=[])
    figure.colorbar(picture, ax=panels, shrink=0.8, label="AUROC")
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
