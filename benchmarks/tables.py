"""Tables at full size: steps 0 to 3 and 6 end to end, and the label merge against the original's way, row by row.

Synthetic tables in both layouts, from a seed: 112,120 rows of NIH and 223,648 of CheXpert (values as often as in the
real tables), each with an empty file on disk. Prints seconds and peak memory of every step, the ratio of the merge in
memory, and how all of it grows with three and six times as many rows (about 2,000,000).

    python benchmarks/tables.py [--times 1 3 6] [--plot growth.png]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cxr.core import configuration
from cxr.core.findings import FINDINGS
from cxr.releases.tables import CHEXPERT_COLUMNS, NIH_HEADER
from cxr.tables.sources import chexpert, nih

PROJECT = Path(__file__).resolve().parents[1]
NIH_ROWS, CHEXPERT_ROWS = 112_120, 223_648
AS_ORIGINAL = dict.fromkeys(FINDINGS, "negative")  # it took CheXpert's -1 for a no
ROW_BY_ROW = 4_000  # rows that are merged the original's way, and scaled
STEPS = ("0_nih_table.py", "1_chexpert_table.py", "2_merge_tables.py", "3_hold_out_test.py", "6_split_train_val.py")
NIH_POSITIVE = (0.0416, 0.0473, 0.0205, 0.1188, 0.0128, 0.0248)
# 1, 0, -1 of CheXpert's train.csv; the rest is blank.
CHEXPERT_SHARES = {
    "Consolidation": (0.066, 0.126, 0.124), "Pneumothorax": (0.087, 0.252, 0.014), "Edema": (0.234, 0.093, 0.058),
    "Pleural Effusion": (0.386, 0.158, 0.052), "Pneumonia": (0.027, 0.013, 0.084),
    "Cardiomegaly": (0.121, 0.050, 0.036),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 3, 6], help="sizes, in full releases")
    parser.add_argument("--plot", type=Path, help="draw the growth into this PNG")
    arguments = parser.parse_args()
    measured, before = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for times in sorted(arguments.times):
            rows = times * (NIH_ROWS + CHEXPERT_ROWS)
            print(f"{rows:,} rows", flush=True)
            lay_out(Path(folder), times, before)
            before, measured[rows] = times, {step: run(step, Path(folder)) for step in STEPS}
            say(measured[rows])
            if times == 1:
                compare(Path(folder), rows, total(measured[rows]))
    fewest, most = min(measured), max(measured)
    if fewest < most:
        growth = total(measured[most]) / total(measured[fewest])
        print(f"{most / fewest:.1f} times the rows: {growth:.1f} times the seconds")
    if arguments.plot:
        draw(measured, arguments.plot)


def total(measured, steps=STEPS):
    return sum(measured[step][0] for step in steps)


def say(measured):
    for step, (seconds, megabytes) in measured.items():
        print(f"  {step}: {seconds:.1f} s, {megabytes:.0f} MB")
    largest = max(megabytes for _, megabytes in measured.values())
    print(f"  steps 0 to 3: {total(measured, STEPS[:4]):.1f} s; all {total(measured):.1f} s, at most {largest:.0f} MB")


def draw(measured, path):
    """Seconds of each step by rows, beside the straight line through nothing and the largest size."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    rows = sorted(measured)
    for step in STEPS:
        axes.plot(rows, [measured[one][step][0] for one in rows], "o-", label=step)
    sums = [total(measured[one]) for one in rows]
    axes.plot(rows, sums, "ko-", label="all")
    axes.plot([0, rows[-1]], [0, sums[-1]], "k:", label="a straight line")
    axes.set(xlabel="rows of the tables", ylabel="seconds", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def compare(folder, rows, end_to_end):
    """The label merge of tables in memory, ours on all rows, the original's way on some, scaled."""
    settings = configuration.load_settings(folder / "SETTINGS.json")
    params = configuration.params_from({}, "-").tables
    csvs = {"nih": settings.dataset_csv_dir, "chexpert": settings.dataset_chexpert_train_csv_dir}
    raw = {name: pd.read_csv(path, dtype=str, index_col=False) for name, path in csvs.items()}
    started = time.perf_counter()
    ours = vectorised(raw["nih"], raw["chexpert"], params)
    labels = time.perf_counter() - started
    some = {name: table.head(ROW_BY_ROW // 2) for name, table in raw.items()}
    started = time.perf_counter()
    theirs = row_by_row(some["nih"], some["chexpert"])
    plain = (time.perf_counter() - started) * rows / ROW_BY_ROW
    again = vectorised(some["nih"], some["chexpert"], params.model_copy(update={"uncertain_labels": AS_ORIGINAL}))
    if not again.equals(theirs):
        sys.exit("the two ways do not give the same labels")
    print(f"  label merge in memory of {len(ours):,} films: {labels:.2f} s; row by row {plain:.0f} s")
    print(
        f"  ratio {plain / labels:.0f}; against all steps with every check and CSV file, {plain / end_to_end:.0f}",
        flush=True,
    )


def vectorised(nih_table, chexpert_table, params):
    """Our labels: 1, 0, NaN, and the name of each film."""
    present, _ = nih.nih_labels(nih_table["Finding Labels"], FINDINGS)
    spelling = [chexpert.CHEXPERT_SPELLING.get(finding, finding) for finding in FINDINGS]
    states = chexpert_table[spelling].set_axis(list(FINDINGS), axis=1).apply(pd.to_numeric)
    reported = chexpert.apply_policies(states, pd.Series(False, index=states.index), params)
    merged = pd.concat([present, reported], ignore_index=True).astype(float)
    return merged.assign(name=pd.concat([nih_table["Image Index"], chexpert_table["Path"]], ignore_index=True))


def row_by_row(nih_table, chexpert_table):
    """Labels by loops over rows and cells, as the original's steps 0 to 2 set them."""
    merged = pd.DataFrame(0.0, index=range(len(nih_table) + len(chexpert_table)), columns=list(FINDINGS))
    names = []
    for row in range(len(nih_table)):
        names.append(nih_table.iloc[row]["Image Index"])
        for label in nih_table.iloc[row]["Finding Labels"].split("|"):
            if label in FINDINGS:
                merged.loc[row, label] = 1
    for row in range(len(chexpert_table)):
        names.append(chexpert_table.iloc[row]["Path"])
        for finding in FINDINGS:
            value = chexpert_table.iloc[row]["Pleural Effusion" if finding == "Effusion" else finding]
            merged.loc[len(nih_table) + row, finding] = 1 if value == "1.0" else 0
    return merged.assign(name=pd.Series(names, dtype=str))


def lay_out(folder, times, before):
    """Both releases: tables from a seed, an empty file for every film, but for those of a smaller size before."""
    random = np.random.default_rng(1)
    films = times * NIH_ROWS
    patient = 1 + np.arange(films) // 4
    name = [f"{patient[row]:08d}_{row % 4:03d}.png" for row in range(films)]
    present = random.random((films, 6)) < NIH_POSITIVE
    labels = ["|".join(np.array(FINDINGS)[row]) or "No Finding" for row in present]
    lines = [
        NIH_HEADER,
        *(f"{name[i]},{labels[i]},{i % 4},{patient[i]},50,M,PA,2500,2048,0.1,0.1," for i in range(films)),
    ]
    raw = folder / "raw"
    touch(raw / f"images_{1 + row // 5000:03d}" / name[row] for row in range(before * NIH_ROWS, films))
    (raw / "Data_Entry_2017.csv").write_text("\n".join(lines) + "\n")
    films = times * CHEXPERT_ROWS
    paths = [
        f"CheXpert-v1.0-small/train/patient{1 + i // 3:06d}/study{1 + i % 3}/view1_frontal.jpg" for i in range(films)
    ]
    table = pd.DataFrame("", index=range(films), columns=CHEXPERT_COLUMNS)
    known = {"Path": paths, "Sex": "Male", "Age": 60, "Frontal/Lateral": "Frontal", "AP/PA": "AP"}
    for column, shares in CHEXPERT_SHARES.items():
        known[column] = random.choice(["1.0", "0.0", "-1.0", ""], films, p=[*shares, 1 - sum(shares)])
    touch(raw / path for path in paths[before * CHEXPERT_ROWS :])
    table.assign(**known).to_csv(raw / "CheXpert-v1.0-small" / "train.csv", index=False)
    settings = {
        "DATASET_DIR": "raw", "DATASET_CSV_DIR": "raw/Data_Entry_2017.csv",
        "DATASET_CHEXPERT_TRAIN_CSV_DIR": "raw/CheXpert-v1.0-small/train.csv", "DATASET_CHEXPERT_VAL_CSV_DIR": "",
        "DATASET_DIR_SEGMENTATION": "raw", "MASK_DIR": "raw",
    }  # fmt: skip
    (folder / "SETTINGS.json").write_text(json.dumps(settings))
    (folder / "PARAMS.json").write_text(json.dumps({"CHEXPERT_TEST": "hash"}))


def touch(paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def run(step, folder):
    """Seconds of a step in a process of its own, and its megabytes at the peak."""
    files = ["--settings", "SETTINGS.json", "--params", "PARAMS.json"]
    started = time.perf_counter()
    command = [sys.executable, PROJECT / "src/classification/etl" / step, *files]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{step} failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
