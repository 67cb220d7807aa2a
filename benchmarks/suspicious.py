"""How many of the labels called most suspicious are wrong: labels of drawn films, flipped at random, and found again.

On an evaluated demo (bash run_demo.sh): 5 and 10 % of the labels of val and test are flipped, those films are ranked,
and the share of flipped ones among the first 100 of all findings is printed, mean and range over draws. A blind guess
has the share that was flipped. Three rankings:

    probabilities   as the ensemble gives them; trained on right labels, so this is the easy case
    cross-fitted    by logistic regression on them, folds by patient (what suspicious.sh does)
    thumbnails      cross-fitted on small films of 8 x 8 pixels, of all splits: no network, and so nothing that has
                    ever seen a right label

    python benchmarks/suspicious.py [--demo demo] [--draws 20] [--cleanlab]

--cleanlab ranks by its get_label_quality_scores too (pip install cleanlab).
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from cxr.core import configuration
from cxr.evaluation import predictions
from cxr.new_hospital import suspicious
from cxr.preparation.films import load_films
from cxr.tables.schema import label_array

FIRST = 100
SHARES = (0.05, 0.10)


def flipped(truth: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels with a share of the known ones flipped, and which."""
    wrong = (np.random.default_rng(seed).random(truth.shape) < share) & ~np.isnan(truth)
    return np.where(wrong, 1 - truth, truth), wrong


def precision(truth: np.ndarray, wrong: np.ndarray, probabilities: np.ndarray) -> float:
    """Share of flipped labels among the first 100 of all findings."""
    doubt = np.nan_to_num(np.abs(truth - probabilities), nan=-1)
    return float(wrong.ravel()[np.argsort(-doubt, axis=None, kind="stable")[:FIRST]].mean())


def by_cleanlab(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Probabilities that give cleanlab's ranking: its quality score of each label as it stands."""
    from cleanlab.rank import get_label_quality_scores

    quality = np.full(truth.shape, np.nan)
    for f, known in enumerate((~np.isnan(truth)).T):  # it takes no label that is not known
        both = np.c_[1 - probabilities[known, f], probabilities[known, f]]
        quality[known, f] = get_label_quality_scores(truth[known, f].astype(int), both, method="normalized_margin")
    return np.where(truth == 1, quality, 1 - quality)


def main(argv=None) -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--demo", type=Path, default=Path("demo"), help="folder of SETTINGS.json and PARAMS.json")
    arguments.add_argument("--draws", type=int, default=20)
    arguments.add_argument("--cleanlab", action="store_true")
    chosen = arguments.parse_args(argv)
    settings = configuration.load_settings(chosen.demo / "SETTINGS.json")
    params = configuration.load_params(chosen.demo / "PARAMS.json")
    table = predictions.read(settings.family_dir("ensemble") / "predictions.csv")
    truth, probabilities = predictions.arrays(table)
    films, pack = load_films(settings, params, max(params.input_size(member) for member in params.members("ensemble")))
    small = np.stack([cv2.resize(film, (8, 8), interpolation=cv2.INTER_AREA).ravel() for film in pack]).astype(float)
    all_truth = label_array(films, params.findings).astype(float)
    print(f"{len(table)} films of val and test, {len(films)} of all splits; {chosen.draws} draws; first {FIRST}")
    for share in SHARES:
        found: dict[str, list[float]] = {}
        for seed in range(chosen.draws):
            noisy, wrong = flipped(truth, share, seed)
            refit = suspicious.cross_fitted(suspicious.logits(table), noisy, table["patient_id"])
            found.setdefault("probabilities", []).append(precision(noisy, wrong, probabilities))
            found.setdefault("cross-fitted", []).append(precision(noisy, wrong, refit))
            if chosen.cleanlab:
                found.setdefault("cross-fitted, by cleanlab", []).append(
                    precision(noisy, wrong, by_cleanlab(noisy, refit))
                )
            noisy, wrong = flipped(all_truth, share, seed)
            refit = suspicious.cross_fitted(small, noisy, films["patient_id"])
            found.setdefault("thumbnails", []).append(precision(noisy, wrong, refit))
        for name, values in found.items():
            print(f"{share:.0%} flipped, {name}: {np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
