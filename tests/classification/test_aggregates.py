"""What a site may send out: with --aggregates no script writes a film, a patient or a count under ten."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import InputError
from tests.conftest import load_script

FILMS = 360
COUNTS = re.compile(
    "films|patients|positives|negatives|hits|alarms|rejections|misses|answered|left|drawn_|observed|missed_films|found"
)
check, flips, score, suspicious = (
    load_script(f"src/{name}.py")
    for name in (
        "checks/check_split", "classification/eval/flips", "classification/eval/score_predictions",
        "classification/eval/suspicious",
    )
)  # fmt: skip


@pytest.fixture
def site(tmp_path):
    """Arguments of every script, and two trainings' files: Edema is common, of Hernia there are nine positives."""
    (tmp_path / "PARAMS.json").write_text('{"BOOTSTRAP_REPLICATES": 20, "FINDINGS": ["Edema", "Hernia"]}')
    (tmp_path / "SETTINGS.json").write_text(
        '{"DATASET_CSV_DIR": "", "DATASET_CHEXPERT_TRAIN_CSV_DIR": "", "DATASET_CHEXPERT_VAL_CSV_DIR": ""}'
    )
    truth = {"Edema": np.arange(FILMS) % 3 == 0, "Hernia": np.arange(FILMS) % 40 == 0}
    who = {"image": [f"film{n}.png" for n in range(FILMS)], "patient": [f"P{n // 2}" for n in range(FILMS)]}
    files = []
    for seed in (1, 2):
        noise = np.random.default_rng(seed).normal(0, 1, (2, FILMS))
        scores = {
            f"prob_{name}": 1 / (1 + np.exp(1 - 2 * values - noise[f]))
            for f, (name, values) in enumerate(truth.items())
        }
        labels = {f"{name}_true": values.astype(int) for name, values in truth.items()}
        pd.DataFrame(who | scores | labels).to_csv(tmp_path / f"training_{seed}.csv", index=False)
        files.append(str(tmp_path / f"training_{seed}.csv"))
    pd.DataFrame(who | {name: values.astype(int) for name, values in truth.items()}).to_csv(
        tmp_path / "labels.csv", index=False
    )
    common = ["--params", str(tmp_path / "PARAMS.json"), "--settings", str(tmp_path / "SETTINGS.json")]
    return files, [*common, "--aggregates", "--out", str(tmp_path / "out")], tmp_path


def small_counts(value, name=""):
    """Names of whole numbers under ten, in JSON, that count films or patients."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in small_counts(inner, key)]
    if isinstance(value, list):
        return [found for inner in value for found in small_counts(inner, name)]
    whole = isinstance(value, int) and not isinstance(value, bool)
    return [name] if whole and value < 10 and COUNTS.search(name) else []


def nothing_small(out):
    written = {path.name: path for path in out.rglob("*") if path.is_file() and not path.name.startswith(".cxr-")}
    assert written
    for path in written.values():
        text = path.read_text()
        assert not re.search(r"film\d|\bP\d+\b", text), path
        assert "Hernia: 9" not in text
        if path.suffix == ".csv":
            table = pd.read_csv(path)
            counts = [name for name in table if COUNTS.search(name.lower())]
            assert not (table[counts] < 10).any(axis=None), path
            hernia = table[table["finding"] == "Hernia"].drop(
                columns=["finding", "films", "Films", "assumed_auroc", "verdict"], errors="ignore"
            )
            assert hernia.isna().all(axis=None), path
        if path.suffix == ".json":
            assert not small_counts(json.loads(text)), path
    return written


def test_the_passport_and_what_a_test_set_can_show(site, capsys):
    _, common, folder = site
    names = [f"film{n}.png\n" for n in range(FILMS)]
    (folder / "train.txt").write_text("".join(names[5:]))
    (folder / "test.txt").write_text("".join([*names[:5], *names[100:]]))
    lists = [str(folder / "train.txt"), str(folder / "test.txt")]
    check.main([*lists, "--labels", str(folder / "labels.csv"), *common])
    assert set(nothing_small(folder / "out")) == {"passport.txt", "power.csv"}
    said = capsys.readouterr().out
    assert "Hernia: too few films in one of its cells to show anything" in said
    assert (folder / "out/passport.txt").read_text() in said
    small = folder / "few.txt"
    small.write_text("".join(names[:4]))
    check.main([str(small), "--labels", str(folder / "labels.csv"), *common])
    assert (folder / "out/passport.txt").read_text().startswith("test: fewer than 10 films of fewer than 10 patients")


def test_flips_have_no_table_of_films_and_name_no_file(site):
    files, common, folder = site
    flips.main([*files, *common[:-3], "--out", str(folder / "out")])
    assert (folder / "out/films.csv").exists()
    flips.main([*files, *common])
    assert set(nothing_small(folder / "out")) == {"flips.json"}
    block = json.loads((folder / "out/flips.json").read_text())
    assert (list(block["findings"]), block["hidden"]) == (["Edema"], ["Hernia"])
    assert block["names"] == ["training 1", "training 2"]


def test_scores_are_one_table_and_the_total_that_would_tell_a_finding_is_left_out(site):
    files, common, folder = site
    score.main([files[0], *common[:-3], "--out", str(folder / "out")])
    assert (folder / "out/metrics.json").exists()
    score.main([files[0], *common])
    assert set(nothing_small(folder / "out")) == {"result.csv"}
    assert pd.read_csv(folder / "out/result.csv")["finding"].tolist() == ["Edema", "Hernia"]
    score.main([*files, *common])
    assert set(nothing_small(folder / "out")) == {"result.csv", "comparison.json"}
    (compared,) = json.loads((folder / "out/comparison.json").read_text())
    assert list(compared["findings"]) == ["Edema"]
    assert "macro" not in compared


def test_suspicious_labels_are_films_and_stay_at_the_site(site):
    files, common, folder = site
    with pytest.raises(InputError, match="--aggregates: what is told here is films, one by one"):
        suspicious.main([files[0], *common])
    assert not (folder / "out").exists()
