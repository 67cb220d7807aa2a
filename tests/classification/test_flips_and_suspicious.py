"""flips.py and suspicious.py on small files of anybody's."""

import json

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import InputError
from tests.conftest import load_script

flips, suspicious = (load_script(f"src/classification/eval/{name}.py") for name in ("flips", "suspicious"))


@pytest.fixture
def params(tmp_path):
    (tmp_path / "PARAMS.json").write_text("{}")
    (tmp_path / "SETTINGS.json").write_text(
        '{"DATASET_CSV_DIR": "", "DATASET_CHEXPERT_TRAIN_CSV_DIR": "", "DATASET_CHEXPERT_VAL_CSV_DIR": ""}'
    )
    return ["--params", str(tmp_path / "PARAMS.json"), "--settings", str(tmp_path / "SETTINGS.json")]


def training(path, seed, wrong=()):
    """300 films of 100 patients; labels of those ``wrong`` are flipped."""
    truth = np.random.default_rng(1).random(300) < 0.3
    scores = np.clip(0.3 + 0.3 * truth + np.random.default_rng(seed).normal(0, 0.08, 300), 0.01, 0.99)
    truth[list(wrong)] = ~truth[list(wrong)]
    lines = [f"film{n}.png,P{n // 3},{scores[n]:.4f},{truth[n]:d}\n" for n in range(300)]
    path.write_text("image,patient,prob_Edema,Edema_true\n" + "".join(lines))
    return str(path)


def test_two_trainings_are_compared_on_the_findings_that_both_have(tmp_path, params, capsys):
    files = [training(tmp_path / f"{seed}.csv", seed) for seed in (2, 3)]
    flips.main([*files, "--out", str(tmp_path / "out"), *params])
    block = json.loads((tmp_path / "out/flips.json").read_text())
    films = pd.read_csv(tmp_path / "out/films.csv")
    assert list(block["findings"]) == ["Edema"]
    assert block["findings"]["Edema"]["flips"] == pytest.approx(films["Edema_flips"].mean())
    assert set(films["Edema_calls"]) == {0, 1, 2}
    assert "of decisions flip from one training to another" in capsys.readouterr().out


def test_one_training_alone_is_refused(tmp_path, params):
    with pytest.raises(InputError, match="expected two trainings at least"):
        flips.main([training(tmp_path / "1.csv", 1), "--out", str(tmp_path / "out"), *params])
    assert not (tmp_path / "out").exists()


def test_flipped_labels_come_first_and_missing_films_are_said(tmp_path, params, capsys):
    file = training(tmp_path / "1.csv", 2, wrong=range(5))
    suspicious.main([file, "--out", str(tmp_path / "out"), "--most", "10", *params])
    listed = pd.read_csv(tmp_path / "out/suspicious.csv")
    assert len(listed) == 10
    assert {f"own/film{n}" for n in range(5)} <= set(listed["image_id"])
    assert "; no sheets: " in capsys.readouterr().out
