"""Coverage of the 95 % interval by patient of an AUROC, by the number of patients with the finding.

Drawn scores of the binormal model, a film a patient: the share of draws whose interval holds the true AUROC, of those
that have one without regard to `bootstrap.LEAST`, which this is to choose; and how many have none.

    python benchmarks/few_patients.py [--draws 400] [--replicates 400]
"""

import argparse

import numpy as np
from scipy.stats import norm

from cxr.evaluation import bootstrap, figures

POSITIVES = (1, 2, 3, 4, 5, 6, 8, 9, 10, 15)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--replicates", type=int, default=400)
    arguments = parser.parse_args(argv)
    random = np.random.default_rng(1)
    for patients in (30, 100):
        for auroc in (0.7, 0.9):
            for positives in POSITIVES:
                drawn = [
                    interval(random, patients, positives, auroc, arguments.replicates, n)
                    for n in range(arguments.draws)
                ]
                known = [limits for limits in drawn if limits]
                covered = np.mean([low <= auroc <= high for low, high in known])
                print(
                    f"{patients} patients, {positives} positive, AUROC {auroc}: {covered:.1%} covered, "
                    f"{len(drawn) - len(known)} of {len(drawn)} without an interval",
                    flush=True,
                )


def interval(random, patients, positives, auroc, replicates, seed):
    """The interval of one drawn test set."""
    truth = (np.arange(patients) < positives).astype(float)
    scores = random.normal(size=patients) + truth * np.sqrt(2) * norm.ppf(auroc)
    names = [f"{number:03d}" for number in range(patients)]
    return bootstrap.interval(
        figures.replicate_scores(truth[:, None], scores[:, None], names, replicates, seed)["auroc"][:, 0]
    )


if __name__ == "__main__":
    main()
