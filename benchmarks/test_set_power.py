"""Do our intervals cover, and does `cxr.new_hospital.power` predict their width? By resampling public predictions.

The patients of the first file are the population, whose AUROC is known. Test sets are drawn from it, patients with
replacement; each gives an interval by our bootstrap (cxr.evaluation.bootstrap). A second model of the same films is the
first with noise on its logits. Of several files: how their AUROCs are correlated.

    python benchmarks/test_set_power.py PREDICTIONS [OTHERS …] --labels LABELS [--list test_list.txt] [--repeats 400]
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from cxr.core.parameters import Params
from cxr.evaluation import bootstrap, calibration, figures, metrics, predictions
from cxr.external import label_tables, prediction_files
from cxr.new_hospital import power

PATIENTS = (200, 600, 2000)  # of a drawn test set
REPLICATES = 500
NOISE = 0.7  # standard deviations of a model's logits
WIDE = 2 * norm.ppf(0.975)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("predictions", nargs="+", type=Path)
    arguments.add_argument("--labels", type=Path, action="append", default=[])
    arguments.add_argument("--list", type=Path, help="of films: widths are shown on and off it, too")
    arguments.add_argument("--repeats", type=int, default=400, help="test sets drawn of each size; 0 = none")
    chosen = arguments.parse_args()
    params = Params()
    labels = label_tables.read_labels(chosen.labels, params, bool(chosen.labels))
    tables = [prediction_files.read(path, labels, params.findings).table for path in chosen.predictions]
    tables = [table[table["split"] == "test"].reset_index(drop=True) for table in tables]
    groups = {"all": np.ones(len(tables[0]), dtype=bool)}
    if chosen.list:
        names = {Path(name).stem for name in chosen.list.read_text().split()}
        groups["on the list"] = tables[0]["image_id"].str.split("/").str[-1].isin(names).to_numpy()
        groups["not on it"] = ~groups["on the list"]
    pd.set_option("display.width", 200)
    for name, rows in groups.items():
        widths(name, tables[0][rows])
    if len(tables) > 1:
        correlations(tables, chosen.predictions)
    for patients in PATIENTS if chosen.repeats else ():
        coverage(tables[0], patients, chosen.repeats)


def counted(truth: np.ndarray, patients: np.ndarray) -> list[np.ndarray]:
    """Films with and without the finding of each patient."""
    return [np.bincount(patients[truth == label], minlength=patients.max() + 1) for label in (1, 0)]


def textbook(truth: np.ndarray, auroc: float) -> float:
    """Hanley and McNeil's standard error of 1982, of films that are independent."""
    n, m = (truth == 1).sum(), (truth == 0).sum()
    first, second = auroc / (2 - auroc) - auroc**2, 2 * auroc**2 / (1 + auroc) - auroc**2
    return np.sqrt((auroc * (1 - auroc) + (n - 1) * first + (m - 1) * second) / (n * m))


def widths(name: str, table: pd.DataFrame) -> None:
    truth, scores = predictions.arrays(table)
    patients = pd.factorize(table["patient_id"])[0]
    drawn = figures.replicate_scores(truth, scores, table["patient_id"].to_numpy(), 1000, 1)["auroc"]
    rows, sides = [], []
    for f, finding in enumerate(predictions.findings_of(table)):
        auroc = metrics.ranking(figures.RANKINGS[0], truth, scores)[f]
        low, high = bootstrap.interval(drawn[:, f])
        sides.append((auroc, counted(truth[:, f], patients), high - low))
        predicted = [WIDE * np.sqrt(power.variance(*sides[-1][1], value)) for value in (auroc, power.AUROC)]
        with_it = int((sides[-1][1][0] > 0).sum())
        book = WIDE * textbook(truth[:, f], auroc)
        rows.append((finding, with_it, auroc, high - low, *predicted, predicted[0] / (high - low), book / (high - low)))
    columns = ["finding", "patients with it", "AUROC", "width measured", "predicted", "predicted at .8"]
    table_of = pd.DataFrame(rows, columns=[*columns, "predicted/measured", "textbook/measured"])
    print(
        f"\n{name}: {len(table):,} films of {patients.max() + 1:,} patients\n{table_of.round(4).to_string(index=False)}"
    )

    def misfit(within: float) -> float:
        return sum(
            np.log(WIDE * np.sqrt(power.variance(*films, auroc, within)) / width) ** 2 for auroc, films, width in sides
        )

    best = minimize_scalar(misfit, bounds=(0, 0.95), method="bounded").x
    print(f"correlation within a patient that fits best: {best:.2f} (power.WITHIN is {power.WITHIN})")


def correlations(tables: list[pd.DataFrame], paths: list[Path]) -> None:
    """Of the AUROCs of every two models, over the same draws of patients."""
    drawn = []
    for table in tables:
        truth, scores = predictions.arrays(table)
        drawn.append(figures.replicate_scores(truth, scores, table["patient_id"].to_numpy(), 1000, 1)["auroc"])
    pairs = [(a, b) for a in range(len(tables)) for b in range(a)]
    values = [[np.corrcoef(drawn[a][:, f], drawn[b][:, f])[0, 1] for f in range(drawn[a].shape[1])] for a, b in pairs]
    print(
        f"\ncorrelation of two models' AUROCs, by finding; mean {np.mean(values):.2f} (power.BETWEEN {power.BETWEEN})"
    )
    for (a, b), row in zip(pairs, values, strict=True):
        print(f"  {paths[a].parent.name}, {paths[b].parent.name}: {', '.join(f'{value:.2f}' for value in row)}")


def coverage(table: pd.DataFrame, patients: int, repeats: int) -> None:
    random = np.random.default_rng(1)
    truth, scores = predictions.arrays(table)
    logits = calibration.logit(scores)
    noisy = logits + NOISE * logits.std(axis=0) * random.normal(size=logits.shape)
    known = [metrics.ranking(figures.RANKINGS[0], truth, values) for values in (scores, noisy)]
    films_of = table.groupby("patient_id", sort=False).indices
    names, findings = list(films_of), predictions.findings_of(table)
    rows = []
    for repeat in range(repeats):
        parts = [films_of[names[n]] for n in random.integers(len(names), size=patients)]
        films, owners = np.concatenate(parts), np.repeat(np.arange(patients), [len(part) for part in parts])
        first, second = (
            figures.replicate_scores(truth[films], values[films], owners, REPLICATES, repeat)["auroc"]
            for values in (scores, noisy)
        )
        for f, finding in enumerate(findings):
            sides = counted(truth[films, f], owners)
            if not min(side.sum() for side in sides):
                continue
            interval = bootstrap.interval(first[:, f])
            difference = bootstrap.interval(first[:, f] - second[:, f], equal_says_nothing=False)
            if interval is None or difference is None:
                continue
            true = known[0][f] - known[1][f]
            between = np.corrcoef(first[:, f], second[:, f])[0, 1]
            error = np.sqrt(power.variance(*sides, known[0][f]) * 2 * (1 - between))
            seen = norm.cdf(true / error - WIDE / 2)
            rows.append(
                (finding, bootstrap.too_few(truth[films, f], owners), interval[0] <= known[0][f] <= interval[1],
                 interval[1] - interval[0], WIDE * np.sqrt(power.variance(*sides, known[0][f])),
                 difference[0] <= true <= difference[1], seen, difference[0] > 0 or difference[1] < 0, between)
            )  # fmt: skip
    columns = "finding few covered width predicted covered_paired power_predicted power_measured between".split()
    drawn = pd.DataFrame(rows, columns=columns).astype({name: float for name in columns[2:]})
    print(f"\n{repeats} test sets of {patients:,} patients; the second model: noise of {NOISE} standard deviations")
    for few, part in drawn.groupby("few"):
        told = "findings of fewer than 10 patients, which reports mark" if few else "findings of 10 patients or more"
        ratio = np.exp(np.log(part["predicted"] / part["width"]).mean())
        mean = part[["covered", "covered_paired", "power_predicted", "power_measured", "between"]].mean()
        print(f"  {told}: {len(part):,} intervals, predicted/measured width {ratio:.2f} (geometric mean)")
        print("  " + ", ".join(f"{key} {value:.3f}" for key, value in mean.items()))
    shown = drawn[~drawn["few"]].groupby("finding", sort=False)[columns[2:]].mean().round(3)
    print(shown.to_string())


if __name__ == "__main__":
    main()
