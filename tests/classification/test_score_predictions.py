"""score_predictions.py on a small file, on two side by side, and on a published network's 22,433 real films."""

import html
import json
import re
import time

import numpy as np
import pytest

from cxr.core.errors import InputError
from tests.conftest import PROJECT, load_script

REAL = PROJECT.parent / "shared" / "data"
PUBLISHED = {
    "Consolidation": 0.8002045198129359,
    "Pneumothorax": 0.8776145243493956,
    "Edema": 0.8944599670561432,
    "Effusion": 0.8827164014509215,
    "Pneumonia": 0.7616870310044441,
    "Cardiomegaly": 0.909014913721344,
}
script = load_script("src/classification/eval/score_predictions.py")


@pytest.fixture
def params(tmp_path):
    (tmp_path / "PARAMS.json").write_text('{"BOOTSTRAP_REPLICATES": 20}')
    (tmp_path / "SETTINGS.json").write_text(
        '{"DATASET_CSV_DIR": "", "DATASET_CHEXPERT_TRAIN_CSV_DIR": "", "DATASET_CHEXPERT_VAL_CSV_DIR": ""}'
    )
    return ["--params", str(tmp_path / "PARAMS.json"), "--settings", str(tmp_path / "SETTINGS.json")]


def small(path, noise, films=300):
    random = np.random.default_rng(1)
    truth = random.random(films) < 0.3
    scores = np.clip(0.3 + 0.3 * truth + np.random.default_rng(noise).normal(0, 0.05 * noise, films), 0, 1)
    lines = [f"film{n}.png,P{n // 3},{scores[n]:.4f},{truth[n]:d}\n" for n in range(films)]
    path.write_text("image,patient,prob_Edema,Edema_true\n" + "".join(lines))
    return str(path)


def test_one_file_gives_metrics_curves_and_a_report(tmp_path, params, capsys):
    script.main([small(tmp_path / "mine.csv", 3), "--out", str(tmp_path / "out"), *params])
    names = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".cxr-")}
    assert names == {"metrics.json", "thresholds.json", "result.csv", "roc.png", "precision_recall.png", "report.html"}
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    edema = metrics["findings"]["Edema"]
    decided = sum(edema[f"{kind}_{sign}"] for kind in ("true", "false") for sign in ("positives", "negatives"))
    assert edema["films"] == 300
    assert decided == metrics["protocol"]["decided_films"] == 300 - metrics["protocol"]["thresholds_from"]["films"]
    assert edema["auroc"] > 0.9
    assert metrics["findings"]["Effusion"]["reason"] == "the file has no column for it"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "drawn by a hash of the patient" in page
    assert "there are no films and no maps to show" in page
    assert re.findall(r'<div class="tile" [^>]*><h3>(\w+)', page) == ["Edema"]
    assert '<th scope="row">Cardiomegaly' not in page
    assert "report.html" in capsys.readouterr().out


def test_what_was_not_used_and_what_is_no_probability_stand_in_terminal_and_report(tmp_path, params, capsys):
    mine, labels = tmp_path / "mine.csv", tmp_path / "labels.csv"
    rows = [(f"{n}.png", n / 60, int(n > 30), int(n > 30), 0.25, n % 2) for n in range(60)]
    head = "image,Edema_prob,Edema_pred_label,Edema_true,Pneumonia,Effusion_pred"
    mine.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]))
    rows = [(f"{n}.png", int(n % 3 == 0), int(n % 3 == 0), n % 2) for n in range(60)]
    labels.write_text("\n".join(["image,Edema,Pneumonia,Effusion", *(",".join(map(str, row)) for row in rows)]))
    script.main([str(mine), "--labels", str(labels), "--out", str(tmp_path / "out"), *params])
    findings = json.loads((tmp_path / "out" / "metrics.json").read_text())["findings"]
    # Positive are 0, 3, … 57 of 60 rising scores: the k-th of 20 has 2 k of the 40 negatives below it.
    assert findings["Edema"]["auroc"] == pytest.approx(sum(2 * k for k in range(20)) / (20 * 40))
    assert findings["Pneumonia"]["auroc"] is None
    assert findings["Pneumonia"]["reason"] == "column 'Pneumonia' is constant, 0.25 for every film: no ranking"
    told = capsys.readouterr().out
    page = html.unescape((tmp_path / "out" / "report.html").read_text())
    for note in (
        "not used: 'Edema_pred_label': a decision of the model by its name, no label and no probability",
        "not used: 'Edema_true': labels come from --labels, which wins",
        "WARNING: two values only (0 and 1) in column 'Effusion_pred': decisions",
        "column 'Pneumonia' is constant",
    ):
        assert note in told
        assert note in page


def test_labels_that_contradict_each_other_need_a_majority_asked_for(tmp_path, params, capsys):
    mine = small(tmp_path / "mine.csv", 3)
    tables = []
    for number, label in enumerate((1, 0, 0)):
        tables.append(tmp_path / f"reader{number}.csv")
        tables[-1].write_text("image,Edema\n" + "".join(f"film{n}.png,{n % 2 or label}\n" for n in range(300)))
    given = [word for table in tables for word in ("--labels", str(table))]
    with pytest.raises(
        InputError, match=r"Edema of own/film0 is 1 in \S+reader0.csv and 0 in \S+reader1.csv.*--majority"
    ):
        script.main([mine, *given, "--out", str(tmp_path / "out"), *params])
    assert not (tmp_path / "out").exists()
    script.main([mine, *given, "--majority", "--out", str(tmp_path / "out"), *params])
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["findings"]["Edema"]["positives"] == 150
    assert "150 labels differ between rows of a film: the majority counts; 0 of them" in capsys.readouterr().out


def test_several_files_stand_side_by_side_with_paired_intervals(tmp_path, params):
    files = [small(tmp_path / "good.csv", 2), small(tmp_path / "poor.csv", 8)]
    script.main([*files, "--out", str(tmp_path / "out"), *params])
    (pair,) = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert (pair["first"], pair["second"], pair["films"]) == ("good", "poor", 300)
    change = pair["findings"]["Edema"]["auroc"]
    assert 0 < change["interval"][0] < change["difference"]
    assert pair["findings"]["Effusion"]["auroc"]["difference"] is None
    for name in ("good", "poor"):
        assert "good minus poor: 300 films, 100 patients" in (tmp_path / "out" / name / "report.html").read_text()


def test_thresholds_come_from_the_val_file_that_is_given(tmp_path, params):
    val = tmp_path / "val.csv"
    small(val, 3)
    val.write_text(val.read_text().replace("film", "val").replace(",P", ",V"))
    script.main([small(tmp_path / "mine.csv", 4), "--val", str(val), "--out", str(tmp_path / "out"), *params])
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["protocol"]["decided_films"] == metrics["protocol"]["thresholds_from"]["films"] == 300
    assert metrics["findings"]["Edema"]["calibration"]["after"]["films"] == 300


@pytest.mark.parametrize(
    ("more", "message"),
    [(["--val", "a.csv", "--val", "b.csv"], "expected one for each of 1 files; found 2"),
     (["--val-fraction", "1.5"], "expected 0 or more, below 1; found 1.5"),
     (["--labels", "no.csv"], "no.csv: no such table.*--labels FILE")],
)  # fmt: skip
def test_wrong_arguments_are_said(tmp_path, params, more, message):
    with pytest.raises(InputError, match=message):
        script.main([small(tmp_path / "mine.csv", 3), *more, *params])


@pytest.mark.skipif(not (REAL / "peers").is_dir(), reason=f"needs the real predictions in {REAL / 'peers'}")
def test_a_published_network_on_22433_real_films(tmp_path, params):
    begin = time.process_time()
    peer, labels = REAL / "peers" / "chexnet_reproduction_predictions.csv.gz", REAL / "nih" / "Data_Entry_2017.csv.gz"
    script.main([str(peer), "--labels", str(labels), "--out", str(tmp_path / "out"), *params])
    assert time.process_time() - begin < 60
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert {finding: values["auroc"] for finding, values in metrics["findings"].items()} == PUBLISHED
    views, lists = (metrics["subgroups"][name]["groups"] for name in ("view", "NIH list"))
    assert {name: group["films"] for name, group in views.items()} == {"AP": 8847, "PA": 13586}
    assert lists["official test_list.txt"]["films"] == 5213
    assert lists["official test_list.txt"]["patients"] == 590
    assert metrics["protocol"]["patients"] == 6187
    assert (tmp_path / "out" / "report.html").stat().st_size < 2e6
