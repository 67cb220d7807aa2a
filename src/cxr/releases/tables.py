"""Labels, boxes and lists of the synthetic releases, in the layout of the real ones."""

import numpy as np
import pandas as pd

from cxr.core.artifacts import write_csv, write_text
from cxr.core.findings import FINDINGS
from cxr.releases.plan import HOSPITAL_NUMBERS

BOX_FRAME = 1024  # NIH's boxes are given on a film of this side
UNCERTAIN_BELOW = 0.35  # CheXpert-like reports hedge below this severity


UNCERTAIN_SHARE = 0.6
# Share of 0.0 among the train films of CheXpert that are neither 1.0 nor -1.0 (from the counts of its train.csv).
MENTIONED_ABSENT = {
    "Consolidation": 0.155, "Pneumothorax": 0.281, "Edema": 0.131, "Effusion": 0.282, "Pneumonia": 0.014,
    "Cardiomegaly": 0.059,
}  # fmt: skip
CHEXPERT_NAMES = {"Effusion": "Pleural Effusion"}


CHEXPERT_COLUMNS = [
    *("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly"),
    *("Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax"),
    *("Pleural Effusion", "Pleural Other", "Fracture", "Support Devices"),
]
# The commas within OriginalImage[Width,Height] and the trailing ones are the release's own.
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"


def _nih_name(film):
    return f"{film.patient:08d}_{film.number:03d}.png"


def chexpert_paths(planned):
    """Each film with its path: CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg."""
    paths = []
    for film in planned:
        folder = "valid" if film.split == "test" else "train"
        name = "view2_lateral" if film.view == "LATERAL" else "view1_frontal"
        study = f"patient{film.patient:05d}/study{film.number + 1}"
        paths.append((film, f"CheXpert-v1.0-small/{folder}/{study}/{name}.jpg"))
    return paths


def _write_nih_tables(dataset_dir, planned, drawn, params):
    lines, boxes = [NIH_HEADER], [BOX_HEADER]
    scale = BOX_FRAME / params.size
    for film, made in zip(planned, drawn, strict=True):
        labels = "|".join(sorted([*film.severities, *film.others])) or "No Finding"
        age = min(made["age"] + film.number // 3, 94)
        line = [_nih_name(film), labels, film.number, film.patient, age, made["sex"], film.view]
        lines.append(",".join(map(str, [*line, made["width"], made["height"], 0.7, 0.7, ""])))
        for finding, of_finding in made["boxes"].items():
            boxes += [
                f"{_nih_name(film)},{finding},{','.join(f'{scale * v:.6f}' for v in box)},,," for box in of_finding
            ]
    write_text("\n".join(lines) + "\n", dataset_dir / "Data_Entry_2017.csv")
    write_text("\n".join(boxes) + "\n", dataset_dir / "BBox_List_2017.csv")
    for name, split in (("train_val_list.txt", "train"), ("test_list.txt", "test")):
        write_text("\n".join(_nih_name(film) for film in planned if film.split == split) + "\n", dataset_dir / name)


def _write_chexpert_tables(dataset_dir, planned, drawn, params):
    rows = {"train": [], "test": []}
    unknown = next((film.patient for film in planned if film.split == "train"), None)  # CheXpert has one Sex Unknown
    for (film, path), made in zip(chexpert_paths(planned), drawn, strict=True):
        rng = np.random.default_rng([params.seed, HOSPITAL_NUMBERS["chexpert"], film.patient, film.number, 9])
        lateral = film.view == "LATERAL"
        row = dict.fromkeys(CHEXPERT_COLUMNS, 0.0 if film.split == "test" else "")
        sex = "Unknown" if film.patient == unknown else {"M": "Male", "F": "Female"}[made["sex"]]
        row |= {"Path": path, "Sex": sex, "Age": made["age"], "Frontal/Lateral": "Lateral" if lateral else "Frontal"}
        row |= {"AP/PA": "" if lateral else film.view}
        row |= chexpert_labels(rng, film)
        rows[film.split].append(row)
    for name, split in (("train.csv", "train"), ("valid.csv", "test")):
        table = pd.DataFrame(rows[split], columns=CHEXPERT_COLUMNS)
        write_csv(table, dataset_dir / "CheXpert-v1.0-small" / name)


def chexpert_labels(rng, film):
    """Labels of one film: as an expert sees it (1, 0) in valid, as a report says it (1, 0, -1, blank) in train.

    A report is unsure only of what is barely visible, and does not mention most of what is absent.
    """
    expert = film.split == "test"
    labels = {}
    for finding in FINDINGS:
        unsure, mentioned = rng.random() < UNCERTAIN_SHARE, rng.random() < MENTIONED_ABSENT[finding]
        if finding in film.severities:
            hedged = not expert and unsure and film.severities[finding] < UNCERTAIN_BELOW
            labels[CHEXPERT_NAMES.get(finding, finding)] = -1.0 if hedged else 1.0
        elif expert or mentioned:
            labels[CHEXPERT_NAMES.get(finding, finding)] = 0.0
    opaque = {"Consolidation", "Edema", "Pneumonia"} & set(film.severities) or "Infiltration" in film.others
    if opaque:
        labels["Lung Opacity"] = 1.0
    if {"Nodule", "Mass"} & set(film.others):
        labels["Lung Lesion"] = 1.0
    if "Atelectasis" in film.others:
        labels["Atelectasis"] = 1.0
    if rng.random() < (0.6 if film.view == "AP" else 0.15):
        labels["Support Devices"] = 1.0
    if not film.severities and not film.others:
        labels["No Finding"] = 1.0
    return labels


def _write_truth(dataset_dir, jobs, drawn):
    """phantom_truth.csv: a row for every box of every finding, of NIH- and CheXpert-like films."""
    rows = []
    for job, made in zip(jobs, drawn, strict=True):
        if job.planned.hospital not in ("nih", "chexpert") or job.planned.view == "LATERAL":
            continue
        path = job.path.relative_to(dataset_dir).as_posix()
        for finding, severity in job.planned.severities.items():
            for box in made["boxes"][finding]:
                rows.append([path, finding, round(severity, 4), *(round(value, 2) for value in box)])
    columns = ["path", "finding", "severity", "x", "y", "w", "h"]
    write_csv(pd.DataFrame(rows, columns=columns), dataset_dir / "phantom_truth.csv")
