"""score_predictions.py on a small file, on two side by side, and on a published network's 22,433 real films."""

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
    html = (tmp_path / "out" / "report.html").read_text()
    assert "drawn by a hash of the patient" in html
    assert "there are no films and no maps to show" in html
    assert re.findall(r'<div class="tile" [^>]*><h3>(\w+)', html) == ["Edema"]
    assert '<th scope="row">Cardiomegaly' not in html
    assert "report.html" in capsys.readouterr().out


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
