"""How often do our own checks notice a fault, and how often do they cry wolf? Faults are planted in doses.

Labels and order: in a public network's predictions of NIH films (labels flipped, rows shuffled, columns exchanged, a
column negated, patients leaked). Films, masks and networks: in an evaluated demo (run_demo.sh; alarms_of_films.py).
Dose 0 is the cry of wolf. "noticed" is what a user would read: a note, a flag, a refusal, an interval beyond chance.

    python benchmarks/alarms.py --predictions PREDICTIONS.csv.gz --labels Data_Entry_2017.csv.gz [--demo demo]
        [--lungs FOLDER] [--out alarms]

--lungs: a folder with CXR_png and masks, of real lung films. What was measured is kept in --out, a CSV a fault: a run
that was stopped goes on, and a CSV that is removed is measured again. Without --predictions, or without the demo, the
other half alone.
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.artifacts import write_csv
from cxr.core.parameters import Params
from cxr.evaluation import bootstrap, figures, metrics, predictions
from cxr.evaluation.operating_points import fit_on_val
from cxr.external import label_tables, prediction_files, truth_of_files
from cxr.new_hospital import carried, split_passport, suspicious

COLUMNS = ["fault", "dose", "check", "noticed", "of", "note"]
REPLICATES = 200
Rows = Iterator[tuple]


def patients_of(table: pd.DataFrame, count: int, random: np.random.Generator) -> np.ndarray:
    """Rows of all films of ``count`` patients, drawn without replacement."""
    films = table.groupby("patient_id", sort=False).indices
    names = list(films)
    return np.concatenate([films[names[n]] for n in random.choice(len(names), count, replace=False)])


def told_from_guessing(truth: np.ndarray, scores: np.ndarray, patients: np.ndarray) -> list[bool]:
    """By finding of patients enough: whether it is said not to be told from guessing, as in every result table."""
    drawn = figures.replicate_scores(truth, scores, patients, REPLICATES, 1)["auroc"]
    aurocs, said = metrics.ranking(figures.RANKINGS[0], truth, scores), []
    for f in range(truth.shape[1]):
        if not bootstrap.too_few(truth[:, f], patients):
            said.append(bool(metrics.why_guessing(aurocs[f], bootstrap.interval(drawn[:, f]), scores[:, f])))
    return said


def rows_shuffled(table: pd.DataFrame) -> Rows:
    for count, dose in itertools.product((200, 2000), (0, 0.25, 0.5, 0.75, 0.9, 1)):
        said, means = [], []
        for draw in range(10):
            random = np.random.default_rng(draw)
            part = table.iloc[patients_of(table, count, random)]
            truth, scores = map(np.array, predictions.arrays(part))  # copies, to be written into
            moved = np.flatnonzero(random.random(len(part)) < dose)
            scores[moved] = scores[random.permutation(moved)]
            said += told_from_guessing(truth, scores, part["patient_id"].to_numpy())
            means.append(metrics.mean_auroc(truth, scores))
        note = f"mean AUROC {np.mean(means):.3f}"
        yield f"rows shuffled, {count} patients", dose, "not told from guessing, by finding", sum(said), len(said), note


def rows_shuffled_at_a_new_hospital(table: pd.DataFrame) -> Rows:
    """The slope of external.sh: its interval lies below 1. Home and here are two halves of the same hospital."""
    for dose in (0, 0.05, 0.1, 0.25, 0.5):
        said, slopes = [], []
        for draw in range(4):
            random = np.random.default_rng(draw)
            part = table.iloc[patients_of(table, 4000, random)].reset_index(drop=True)
            at_home = part["patient_id"].isin(part["patient_id"].unique()[:2000])
            here, columns = part[~at_home].copy(), predictions.prob_columns(predictions.findings_of(part))
            moved = np.flatnonzero(random.random(len(here)) < dose)
            values = here[columns].to_numpy(copy=True)
            values[moved] = values[random.permutation(moved)]
            here[columns] = values
            films = carried.at(here, fit_on_val(part[at_home].assign(split="val"), "f1"))
            for f in range(len(columns)):
                line = carried.in_the_large(films.truth[:, f], films.deployed[:, f], films.patients, 100, 1)
                said.append(line["slope_high"] < 1)
                slopes.append(line["slope"])
        note = f"mean slope {np.mean(slopes):.2f}"
        yield (
            "rows shuffled, 2,000 patients, external.sh",
            dose,
            "slope below 1, by finding",
            sum(said),
            len(said),
            note,
        )


def columns_exchanged(table: pd.DataFrame) -> Rows:
    """Every pair of findings; and none (dose 0)."""
    findings = predictions.findings_of(table)
    columns = dict(zip(findings, predictions.prob_columns(findings), strict=True))
    for count in (100, 200, 600, 2000):
        told: dict[int, list[bool]] = {0: [], 1: []}
        missed = []
        for draw in range(200):
            part = table.iloc[patients_of(table, count, np.random.default_rng(draw))]
            truth, scores = predictions.arrays(part)
            owners = part["patient_id"].to_numpy()
            enough = [f for f in range(len(findings)) if not bootstrap.too_few(truth[:, f], owners)]
            if len(enough) < 2:
                continue
            told[0].append(bool(truth_of_files.exchanged(columns, truth, scores, owners, findings)))
            for pair in list(itertools.combinations(enough, 2)) if draw < 8 else ():
                other = scores.copy()
                other[:, list(pair)] = other[:, list(pair)[::-1]]
                told[1].append(bool(truth_of_files.exchanged(columns, truth, other, owners, findings)))
                missed += [] if told[1][-1] else [" and ".join(findings[f] for f in pair)]
        most = pd.Series(missed, dtype=object).value_counts()
        note = f"most often missed: {most.index[0]}" if len(most) else ""
        for dose, said in told.items():
            name, check = f"two columns exchanged, {count} patients", "are columns exchanged?"
            yield name, dose, check, sum(said), len(said), note if dose else ""


def a_column_negated(table: pd.DataFrame) -> Rows:
    for count, dose in itertools.product((50, 200, 600), (0, 1)):
        said = []
        for draw in range(20):
            part = table.iloc[patients_of(table, count, np.random.default_rng(draw))]
            truth, scores = predictions.arrays(part)
            said += told_from_guessing(truth, 1 - scores if dose else scores, part["patient_id"].to_numpy())
        yield f"1 - p for p, {count} patients", dose, "not told from guessing, by finding", sum(said), len(said), ""


def labels_flipped(table: pd.DataFrame) -> Rows:
    truth = predictions.arrays(table)[0]
    for dose in (0, 0.01, 0.05, 0.1):
        wrong = np.random.default_rng(1).random(truth.shape) < dose
        noisy = table.copy()
        noisy[predictions.true_columns(predictions.findings_of(table))] = np.where(wrong, 1 - truth, truth)
        fitted = suspicious.cross_fitted(
            suspicious.logits(noisy), np.where(wrong, 1 - truth, truth), table["patient_id"]
        )
        ranked = suspicious.ranked(noisy, fitted)
        rows = pd.Index(table["image_id"]).get_indexer(ranked["image_id"])
        was = wrong[rows, [predictions.findings_of(table).index(name) for name in ranked["finding"]]]
        called, first = ranked["confident"] == 1, was[:100]
        yield "labels flipped", dose, "suspicious.sh calls right labels wrong", (called & ~was).sum(), (~was).sum(), ""
        if dose:
            yield (
                "labels flipped",
                dose,
                "suspicious.sh calls flipped labels wrong",
                (called & was).sum(),
                was.sum(),
                "",
            )
            yield "labels flipped", dose, "flipped among its first 100", first.sum(), 100, ""


def patients_leaked(table: pd.DataFrame) -> Rows:
    """Half of the patients are test; of a share of them one film goes into training, under its name or another one."""
    findings = predictions.findings_of(table)
    labels = table.rename(columns={f"{name}_true": name for name in findings})[["image_id", "patient_id", *findings]]
    several = table["patient_id"].value_counts()
    several = several[several > 1].index.to_numpy()
    for dose in (0, 0.001, 0.01, 0.1, 1):
        told, renamed, recalled = [], [], []
        for draw in range(10):
            random = np.random.default_rng(draw)
            test_patients = random.permutation(several)[: len(several) // 2]
            test = labels[labels["patient_id"].isin(test_patients)]
            chosen = test_patients[: max(1, round(dose * len(test_patients)))] if dose else []
            leaked = test[test["patient_id"].isin(chosen)].drop_duplicates("patient_id")
            left = test[~test["image_id"].isin(leaked["image_id"])]
            rest = labels[~labels["patient_id"].isin(test_patients)]
            other_names = leaked.assign(image_id="own/" + leaked["image_id"], patient_id="own-" + leaked["patient_id"])
            told.append(split_passport.overlap(pd.concat([rest, leaked]), left)["patients"] > 0)
            renamed.append(split_passport.overlap(pd.concat([rest, other_names]), left)["patients"] > 0)
            aurocs = [split_passport.recalled(pd.concat([rest, leaked]), left, name) for name in findings]
            recalled += [auroc for auroc in aurocs if auroc is not None]
        note = f"AUROC of recalling the labels {np.mean(recalled):.3f}" if recalled else ""
        yield "patients leaked", dose, "check_split.sh", sum(told), len(told), note
        if dose:
            yield "patients leaked under other names", dose, "check_split.sh", sum(renamed), len(renamed), ""


OF_LABELS = (
    rows_shuffled, rows_shuffled_at_a_new_hospital, columns_exchanged, a_column_negated, labels_flipped,
    patients_leaked,
)  # fmt: skip


def measured(fault, given, out: Path) -> pd.DataFrame:
    """The rows of a fault, measured once."""
    path = out / f"{fault.__name__}.csv"
    if not path.exists():
        begun = time.perf_counter()
        write_csv(pd.DataFrame(list(fault(given)), columns=COLUMNS), path)
        print(f"{fault.__name__}: {time.perf_counter() - begun:.0f} s", flush=True)
    return pd.read_csv(path, keep_default_na=False)


def main(argv=None) -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--predictions", type=Path)
    arguments.add_argument("--labels", type=Path, action="append", default=[])
    arguments.add_argument("--demo", type=Path, default=Path("demo"), help="folder of SETTINGS.json and PARAMS.json")
    arguments.add_argument("--lungs", type=Path, help="folder with CXR_png and masks")
    arguments.add_argument("--out", type=Path, default=Path("alarms"))
    chosen = arguments.parse_args(argv)
    chosen.out.mkdir(parents=True, exist_ok=True)
    tables = []
    if chosen.predictions:
        params = Params()
        labels = label_tables.read_labels(chosen.labels, params, bool(chosen.labels))
        table = prediction_files.read(chosen.predictions, labels, params.findings).table
        tables += [measured(fault, table, chosen.out) for fault in OF_LABELS]
    if (chosen.demo / "SETTINGS.json").is_file():
        import alarms_of_films  # which need Keras

        demo = alarms_of_films.opened(chosen.demo, chosen.lungs)
        tables += [measured(fault, demo, chosen.out) for fault in alarms_of_films.OF_FILMS]
    for row in pd.concat(tables).itertuples():
        share = f"{row.noticed / row.of:.1%}" if row.of else "n/a"
        print(f"| {row.fault} | {row.dose:g} | {row.check} | {row.noticed} of {row.of} | {share} | {row.note} |")


if __name__ == "__main__":
    main()
