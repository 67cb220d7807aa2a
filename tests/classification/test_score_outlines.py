"""score_outlines.py on a small film, and on the authors' own outlines of two real ones."""

import json

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import InputError
from cxr.external import outlines
from cxr.maps import family_maps
from tests.conftest import PROJECT, load_script
from tests.external.test_family_outlines import HEAT, IDS, NAMES, outlined
from tests.maps.test_family_maps import F0, scored_films

pytest.importorskip("pycocotools", reason='needs pycocotools: pip install -e ".[outlines]"')
SHARED = PROJECT.parent / "shared" / "data" / "chexlocalize"
TRUTH, GRADCAM = SHARED / "gt_segmentations_val.json", SHARED / "gradcam_segmentations_val.json"
real = pytest.mark.skipif(
    not SHARED.exists(), reason=f"{SHARED} is not there: real outlines are no part of the project"
)
script = load_script("src/classification/eval/score_outlines.py")


@pytest.fixture
def call(tmp_path):
    (tmp_path / "PARAMS.json").write_text('{"BOOTSTRAP_REPLICATES": 20}')
    (tmp_path / "SETTINGS.json").write_text('{"DATASET_CSV_DIR": "", "OWN_CSV": ""}')
    given = [f"--{name.lower()}={tmp_path / name}.json" for name in ("PARAMS", "SETTINGS")]
    return lambda *words: script.main([*map(str, words), "--out", str(tmp_path / "out"), *given])


@real
def test_the_authors_grad_cam_outlines_have_the_scores_that_their_rule_gives(tmp_path, call, capsys):
    call(TRUTH, "--predicted", GRADCAM)
    films = pd.read_csv(tmp_path / "out" / "outline_scores_films.csv")
    scored = films.dropna(subset="iou").set_index(["patient", "task"])["iou"].to_dict()
    assert scored == {
        ("patient64541", "Airspace Opacity"): 0,
        ("patient64541", "Cardiomegaly"): 0.36620622920151663,
        ("patient64541", "Enlarged Cardiomediastinum"): 0.46234707294166755,
        ("patient64542", "Support Devices"): 0.03329038603556568,
    }
    table = pd.read_csv(tmp_path / "out" / "outline_scores.csv").set_index("task")
    assert table.loc["mean", "iou"] == pytest.approx((0.3662062292 + 0.4623470729 + 0 + 0.0332903860) / 4)
    assert "gradcam_segmentations_val.json" in capsys.readouterr().out


@real
def test_with_all_what_one_of_them_lacks_counts_0(tmp_path, call):
    call(TRUTH, "--predicted", GRADCAM, "--all")
    films = pd.read_csv(tmp_path / "out" / "outline_scores_films.csv")
    assert len(films) == films["iou"].notna().sum() == 20
    assert (films["iou"] > 0).sum() == 3
    table = pd.read_csv(tmp_path / "out" / "outline_scores.csv").set_index("task")
    assert table.loc["Cardiomegaly", "iou"] == pytest.approx(0.36620622920151663 / 2)


@real
def test_the_real_files_are_packed_again_as_they_are(tmp_path):
    for path in (TRUTH, GRADCAM):
        read = outlines.read(path)
        assert read == json.loads(path.read_text())
        assert [outlines.encode(outlines.decode(one)) for film in read.values() for one in film.values()] == [
            one for film in read.values() for one in film.values()
        ]


def test_a_family_s_outlines_and_points_are_written_and_score_the_same_when_they_are_read(
    tmp_path, call, monkeypatch, capsys
):
    scored = scored_films(tmp_path, [1, 1, 1], [0.9, 0.9, 0.9], ids=IDS, film=(200, 100), heats=HEAT)
    monkeypatch.setattr(family_maps, "load", lambda settings, params, family: scored)
    truth, out = tmp_path / "truth.json", tmp_path / "out"
    truth.write_text(json.dumps({NAMES[0]: outlined(80, 60, 80, 40), NAMES[1]: outlined(0, 0, 40, 40)}))
    call(truth, "--family", "ensemble")
    own = pd.read_csv(out / "outline_scores.csv").set_index(["method", "task"]).loc["ensemble"].loc[F0]
    assert (own["iou"], own["hit"], own["hit_films"]) == (pytest.approx((76 * 36 - 4) / 80 / 40 / 2), 0.5, 2)
    assert "centre prior" in capsys.readouterr().out
    for name in ("outlines", "points"):
        (out / f"{name}.json").rename(tmp_path / f"{name}.json")
    call(truth, "--predicted", tmp_path / "outlines.json", "--points", tmp_path / "points.json")
    again = pd.read_csv(out / "outline_scores.csv").set_index("task").loc[F0]
    same = ["iou", "iou_low", "iou_high", "iou_films", "hit", "hit_low", "hit_high", "hit_films"]
    assert again[same].tolist() == pytest.approx(own[same].tolist(), nan_ok=True)


def test_outlines_of_an_earlier_family_do_not_stay_beside_other_scores(tmp_path, call, monkeypatch):
    scored = scored_films(tmp_path, [1], [0.9], ids=IDS[:1], film=(200, 100), heats=HEAT[:1])
    monkeypatch.setattr(family_maps, "load", lambda settings, params, family: scored)
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({NAMES[0]: outlined(80, 60, 80, 40)}))
    call(truth, "--family", "ensemble")
    assert (tmp_path / "out" / "outlines.json").exists()
    call(truth, "--predicted", truth)
    assert not (tmp_path / "out" / "outlines.json").exists()


def test_wrong_arguments_are_told_and_leave_no_folder(tmp_path, call):
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({NAMES[0]: {F0: outlines.encode(np.eye(3, dtype=bool))}}))
    with pytest.raises(InputError, match=r"give --predicted FILE, --family ensemble, or both"):
        call(truth)
    with pytest.raises(InputError, match=r"--points: belongs to --predicted FILE"):
        call(truth, "--family", "ensemble", "--points", truth)
    with pytest.raises(InputError, match=r"nothing.json: is no file"):
        call(truth, "--predicted", tmp_path / "nothing.json")
    assert not (tmp_path / "out").exists()
