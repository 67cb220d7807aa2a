import csv
import hashlib
import json
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.core.configuration import InputError
from cxr.core.findings import FINDINGS
from cxr.releases.plan import OTHER_LABELS, PERSISTENCE, PlannedFilm, plan_chexpert, plan_films, plan_nih
from cxr.releases.tables import CHEXPERT_COLUMNS, UNCERTAIN_BELOW, chexpert_labels
from cxr.releases.writing import Job, ReleaseParams, draw_job, write_releases

SMALL = ReleaseParams(nih_films=14, chexpert_films=12, lung_films=10, size=128, seed=2)


def write(folder, params=SMALL, workers=1):
    return write_releases(folder / "dataset", folder / "CXR_png", folder / "masks", params, workers)


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("releases")
    write(folder)
    return folder


def digest(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    content = [str(path.relative_to(folder)).encode() + path.read_bytes() for path in paths]
    return hashlib.blake2b(b"".join(content)).hexdigest()


def positives(films, split):
    return {finding: sum(finding in film.severities for film in films if film.split == split) for finding in FINDINGS}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_finding_has_enough_positives_to_test_on(seed):
    films = plan_nih(seed, 1150) + [film for film in plan_chexpert(seed, 950) if film.view != "LATERAL"]
    assert min(positives(films, "test").values()) >= 40
    # Validation takes 18 % of the other patients: 25 positives are expected where there are 140.
    assert min(positives(films, "train").values()) >= 180
    healthy = np.mean([not film.severities for film in films])
    assert 0.4 < healthy < 0.6


def test_counts_are_as_asked_and_patients_are_on_one_list():
    films = plan_nih(1, 300)
    assert len(films) == 300
    by_split = [{film.patient for film in films if film.split == split} for split in ("train", "test")]
    assert not by_split[0] & by_split[1]
    assert len(by_split[1]) / len(by_split[0] | by_split[1]) == pytest.approx(0.27, abs=0.01)
    frontal = [film for film in plan_chexpert(1, 300) if film.view != "LATERAL"]
    assert len(frontal) == 300
    assert sum(film.split == "test" for film in frontal) == 54


def test_findings_stay_with_a_patient_as_often_as_in_nih():
    films = plan_films(1, "nih", 12_000)
    pairs = [(a, b) for a, b in pairwise(films) if a.patient == b.patient]
    for finding in ("Pneumothorax", "Effusion", "Edema"):
        later = [finding in b.severities for a, b in pairs if finding in a.severities]
        assert np.mean(later) == pytest.approx(PERSISTENCE[finding], abs=0.06)


def test_a_weaker_set_has_the_same_labels():
    plain, weak = plan_nih(1, 100), plan_nih(1, 100, severity_scale=0.5)
    for strong, faint in zip(plain, weak, strict=True):
        assert faint.severities == pytest.approx({name: 0.5 * value for name, value in strong.severities.items()})


def test_nih_has_its_layout_and_its_odd_headers(releases):
    folder = releases / "dataset"
    with open(folder / "Data_Entry_2017.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert ",".join(rows[0]).startswith("Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender")
    assert {len(row) for row in rows} == {12}  # 11 fields and a comma at the end
    names = [row[0] for row in rows[1:]]
    assert len(names) == SMALL.nih_films
    assert names[0] == "00000001_000.png"
    assert all((folder / "images_001" / "images" / name).is_file() for name in names)
    lists = [(folder / name).read_text().split() for name in ("train_val_list.txt", "test_list.txt")]
    assert sorted(lists[0] + lists[1]) == names
    assert not {name[:8] for name in lists[0]} & {name[:8] for name in lists[1]}


def test_every_positive_nih_film_has_its_boxes_in_the_frame_of_1024(releases):
    folder = releases / "dataset"
    with open(folder / "Data_Entry_2017.csv", newline="") as file:
        labels = {row[0]: set(row[1].split("|")) & set(FINDINGS) for row in list(csv.reader(file))[1:]}
    with open(folder / "BBox_List_2017.csv", newline="") as file:
        boxes = list(csv.reader(file))
    assert ",".join(boxes[0]) == "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    assert {(row[0], row[1]) for row in boxes[1:]} == {(name, label) for name in labels for label in labels[name]}
    values = np.array([[float(value) for value in row[2:6]] for row in boxes[1:]])
    assert (values[:, 2:] > 0).all()
    assert (values[:, :2] + values[:, 2:] <= 1024.01).all()


def test_chexpert_has_its_layout_and_columns(releases):
    folder = releases / "dataset"
    tables = {name: pd.read_csv(folder / "CheXpert-v1.0-small" / f"{name}.csv") for name in ("train", "valid")}
    for name, table in tables.items():
        assert list(table.columns) == CHEXPERT_COLUMNS
        assert (
            table["Path"]
            .str.match(rf"CheXpert-v1.0-small/{name}/patient\d{{5}}/study\d+/view\d_(frontal|lateral).jpg")
            .all()
        )
        assert all(cv2.imread(str(folder / path), cv2.IMREAD_UNCHANGED).ndim == 2 for path in table["Path"])
    labels = tables["valid"][
        ["Cardiomegaly", "Edema", "Consolidation", "Pneumonia", "Pneumothorax", "Pleural Effusion"]
    ]
    assert set(np.unique(labels)) <= {0.0, 1.0}
    assert (tables["train"]["Sex"] == "Unknown").any()


def test_reports_are_unsure_only_of_what_is_barely_visible():
    films = [film for film in plan_chexpert(1, 600) if film.view != "LATERAL"]
    seen = set()
    for number, film in enumerate(films):
        labels = chexpert_labels(np.random.default_rng(number), film)
        for finding in FINDINGS:
            value = labels.get("Pleural Effusion" if finding == "Effusion" else finding)
            seen.add((film.split, value))
            if value == -1.0:
                assert film.severities[finding] < UNCERTAIN_BELOW
            elif finding in film.severities:
                assert value == 1.0
            else:
                assert value in (0.0, None)
    assert seen == {("train", -1.0), ("train", 0.0), ("train", 1.0), ("train", None), ("test", 0.0), ("test", 1.0)}


def test_lung_films_have_masks_but_for_a_few_on_either_side(releases):
    films = {path.stem for path in (releases / "CXR_png").glob("*.png")}
    masks = {path.stem.removesuffix("_mask") for path in (releases / "masks").glob("*.png")}
    assert {name[:6] for name in films} == {"MCUCXR", "CHNCXR"}
    assert len(films - masks) == len(masks - films) == 2
    for path in (releases / "masks").glob("*.png"):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(mask)) == {0, 255}
        assert path.stem.endswith("_mask") == path.stem.startswith("CHN")


def test_the_truth_names_every_finding_of_both_hospitals(releases):
    truth = pd.read_csv(releases / "dataset" / "phantom_truth.csv")
    assert list(truth.columns) == ["path", "finding", "severity", "x", "y", "w", "h"]
    films = plan_nih(2, 14) + [film for film in plan_chexpert(2, 12) if film.view != "LATERAL"]
    assert truth[["path", "finding"]].drop_duplicates().shape[0] == sum(len(film.severities) for film in films)
    for path in truth["path"].unique():
        height, width = cv2.imread(str(releases / "dataset" / path), cv2.IMREAD_UNCHANGED).shape
        rows = truth[truth["path"] == path]
        assert (rows["x"] + rows["w"] <= width + 0.01).all()
        assert (rows["y"] + rows["h"] <= height + 0.01).all()


def test_the_number_of_processes_does_not_change_a_byte(releases, tmp_path):
    summary = write(tmp_path, workers=2)
    assert summary["written"]
    assert summary["films"] == {"nih": 14, "chexpert": 12, "montgomery": 4, "shenzhen": 6}
    assert digest(tmp_path) == digest(releases)


def test_a_second_call_does_nothing_and_other_parameters_are_refused(releases):
    before = digest(releases)
    assert not write(releases)["written"]
    with pytest.raises(InputError, match=r"synthetic films of other parameters .* Remove the folder"):
        write(releases, replace(SMALL, seed=3))
    assert digest(releases) == before


def test_an_interrupted_call_goes_on(tmp_path):
    few = ReleaseParams(nih_films=2, chexpert_films=2, lung_films=4, size=128, seed=1)
    for name in ("dataset", "CXR_png", "masks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "phantoms_unfinished.json").write_text(json.dumps(few.__dict__))
    assert write(tmp_path, few)["written"]
    assert not list(tmp_path.rglob("phantoms_unfinished.json"))


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    mine = tmp_path / "dataset" / "Data_Entry_2017.csv"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(InputError, match="holds files that are not synthetic films"):
        write(tmp_path)
    assert mine.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["Data_Entry_2017.csv", "dataset"]


def test_hospitals_draw_some_labels_beside_the_findings_and_only_name_the_others(tmp_path):
    drawn = set()
    for label in ("nothing", *OTHER_LABELS):
        others = {} if label == "nothing" else {label: 0.9}
        draw_job(Job(PlannedFilm("nih", 1, 0, "PA", {}, others), tmp_path / f"{label}.png", None, seed=3, size=128))
        if (tmp_path / f"{label}.png").read_bytes() != (tmp_path / "nothing.png").read_bytes():
            drawn.add(label)
    assert drawn == {"Infiltration", "Atelectasis", "Nodule", "Mass"}
