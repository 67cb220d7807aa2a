"""Patient bootstrap of AUROC and average precision: ours against scikit-learn on resampled films, in the same run.

Synthetic predictions the size of NIH's official test list (25,596 films of 2,797 patients, six findings).
Prints seconds, the ratio per replicate, the largest difference between the two on the same draws, and peak memory.

    python benchmarks/bootstrap.py [--replicates 1000] [--plain 5]
"""

import argparse
import resource
import time

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from cxr.evaluation import figures

FILMS, PATIENTS = 25596, 2797
PREVALENCE = (0.071, 0.104, 0.036, 0.182, 0.022, 0.042)


def synthetic(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth (N, 6), float32 probabilities (N, 6) with an AUROC of about .8, and the patient of each film (N,)."""
    random = np.random.default_rng(seed)
    patients = np.concatenate([np.arange(PATIENTS), random.integers(PATIENTS, size=FILMS - PATIENTS)])
    truth = (random.random((FILMS, len(PREVALENCE))) < PREVALENCE).astype(float)
    logits = random.normal(1.2 * truth - 2, 1)
    return truth, (1 / (1 + np.exp(-logits))).astype(np.float32).astype(float), patients


def resampled(patients, replicates: int, seed: int):
    """The films of drawn patients, an int array a replicate, drawn as `cxr.evaluation.bootstrap` does."""
    codes = np.unique(patients, return_inverse=True)[1]
    films_of = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    random = np.random.default_rng(seed)
    for _ in range(replicates):
        yield np.concatenate([films_of[patient] for patient in random.integers(len(films_of), size=len(films_of))])


def plain(truth, probabilities, patients, replicates: int, seed: int) -> np.ndarray:
    """(replicates, F, 2): AUROC and average precision, films of drawn patients sorted anew."""
    results = []
    for films in resampled(patients, replicates, seed):
        columns = [(truth[films, f], probabilities[films, f]) for f in range(truth.shape[1])]
        results.append([(roc_auc_score(*column), average_precision_score(*column)) for column in columns])
    return np.array(results)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--replicates", type=int, default=1000, help="of ours")
    arguments.add_argument("--plain", type=int, default=5, help="of scikit-learn on resampled films")
    chosen = arguments.parse_args()
    truth, probabilities, patients = synthetic()
    names = np.array([f"{patient:05d}" for patient in patients])

    begin = time.perf_counter()
    expected = plain(truth, probabilities, patients, chosen.plain, seed=7)
    plain_seconds = (time.perf_counter() - begin) / chosen.plain
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    drawn = figures.replicate_scores(truth, probabilities, names, chosen.replicates, seed=7)
    ours = np.stack(list(drawn.values()), axis=-1)
    seconds = time.perf_counter() - begin
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    shared = min(chosen.plain, chosen.replicates)
    print(f"{FILMS:,} films of {PATIENTS:,} patients, 6 findings, AUROC and average precision")
    print(
        f"ours          {seconds:8.2f} s for {chosen.replicates:,} replicates, "
        f"{1000 * seconds / chosen.replicates:.2f} ms each"
    )
    print(
        f"scikit-learn  {plain_seconds * chosen.replicates:8.2f} s for as many, "
        f"{1000 * plain_seconds:.1f} ms each (measured on {chosen.plain})"
    )
    print(f"ratio         {plain_seconds * chosen.replicates / seconds:8.0f}")
    print(f"largest difference on the same draws {np.abs(ours[:shared] - expected[:shared]).max():.1e}")
    print(f"memory beyond the plain run's peak {more / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
