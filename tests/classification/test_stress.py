"""stress.py end to end: a bundle of one tiny network, and films drawn for it."""

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.networks import map_places
from cxr.new_hospital.corruptions import SETTINGS
from tests.classification.test_predict import evaluated, exported, write_films  # noqa: F401
from tests.conftest import load_script


def run(*given):
    return load_script("src/classification/stress.py").main([str(one) for one in given])


@pytest.fixture
def films(tmp_path):
    """A folder of films, and labels of all of them."""
    names = write_films(tmp_path / "films")
    rows = [
        {
            "image": name,
            "patient": f"P{number}",
            "scanner": "AB"[number % 2],
            **dict.fromkeys(FINDINGS, number // 2 % 2),
        }
        for number, name in enumerate(names)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path / "films", tmp_path / "labels.csv", len(names)


def test_every_corruption_and_strength_has_auroc_and_flips_and_every_slice_its_films(
    exported,  # noqa: F811
    films, tmp_path, capsys, monkeypatch,
):  # fmt: skip
    monkeypatch.setattr(map_places, "onto_film", None)  # maps would take most of the time, and nobody looks at them
    folder, labels, count = films
    out = tmp_path / "out"
    run(exported, folder, "--labels", labels, "--by", "scanner", "--out", out)
    table = pd.read_csv(out / "stress.csv")
    whole = table[table["corruption"] == "none"]
    assert set(table["corruption"]) == {"none", *SETTINGS}
    assert len(table) == (1 + 3 * len(SETTINGS)) * (len(FINDINGS) + 1)
    assert (whole["flips"] == 0).all()
    assert (whole["change"] == 0).all()
    assert table["flips"].between(0, 1).all()
    assert set(table["films"]) == {count}
    slices = pd.read_csv(out / "slices.csv")
    assert slices.groupby("finding")["films"].sum().tolist() == [count] * len(FINDINGS)
    assert (slices["too_few"] == 1).all()
    assert {path.name for path in out.iterdir() if not path.name.startswith(".")} == {
        "stress.csv", "stress.png", "slices.csv",
    }  # fmt: skip
    assert "mean AUROC of the films as they are" in capsys.readouterr().out


def test_labels_of_other_films_are_refused(exported, films, tmp_path):  # noqa: F811
    folder, labels, _ = films
    other = pd.read_csv(labels).assign(image=np.arange(len(pd.read_csv(labels))))
    other.to_csv(labels, index=False)
    with pytest.raises(InputError, match="no film here has a known label"):
        run(exported, folder, "--labels", labels, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_aggregates_of_a_few_films_name_no_patient_and_tell_no_flip_of_few(exported, films, tmp_path, capsys):  # noqa: F811
    folder, labels, count = films
    out = tmp_path / "out"
    run(exported, folder, "--labels", labels, "--by", "patient", "--aggregates", "--out", out)
    table = pd.read_csv(out / "stress.csv")
    flipped = (table.loc[table["finding"] != "mean", "flips"].dropna() * count).round()
    assert flipped.between(10, count - 10).all()
    assert table.loc[table["corruption"] == "none", "flips"].isna().all()
    assert set(table["films"]) == {count}
    slices = (out / "slices.csv").read_text()
    assert slices.splitlines()[1:] == []
    assert "P0" not in slices + capsys.readouterr().out
