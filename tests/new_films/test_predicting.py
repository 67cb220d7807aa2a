from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cxr.core.findings import FINDINGS
from cxr.evaluation import predictions
from cxr.imaging.film_checks import FLAGS, fit_distance, thumbnails
from cxr.new_films import predicting, prediction_table


def predicted(members, called=True, calibrated=0.25, risk=0.125, weights=None):
    members = np.array(members, np.float32)[:, None, None] * np.ones((1, 1, 6), np.float32)
    films = pd.DataFrame(
        {
            "filename": ["a.png"],
            "width": [80],
            "height": [60],
            "row": [0],
            "distance": [1.0],
            "file_notes": [""],
            "notes": [""],
        }
    )
    films[list(FLAGS)] = 0
    table = predicting._table(films, "pooled", members, FINDINGS, weights or {})
    scored = SimpleNamespace(table=table, findings=list(FINDINGS), decisions=np.full((1, 6), called))
    return predicting.Predicted(
        None,
        "pooled",
        films,
        scored,
        np.full((1, 6), calibrated),
        members,
        np.full((1, 6), risk),
        "" if risk == risk else "one member",
        None,
        np.zeros(0),
        pd.DataFrame(),
    )


def test_the_table_says_the_mean_of_the_members_and_how_far_they_are_apart():
    row = prediction_table.of(predicted([0.2, 0.5, 0.8]), ["overlays/a.png"]).iloc[0]
    for finding in FINDINGS:
        assert float(row[f"{finding}_prob"]) == pytest.approx(0.5)
        assert float(row[f"{finding}_disagreement"]) == pytest.approx(0.6)
        assert row[f"{finding}_flip_risk"] == "0.125"
        assert (row[f"{finding}_calibrated"], row[f"{finding}_called"]) == ("0.25", "1")


def test_members_count_by_the_weights_that_were_fitted_on_val():
    row = prediction_table.of(predicted([0.2, 0.8], weights={"Edema": np.array([0.75, 0.25])}), [""]).iloc[0]
    assert float(row["Edema_prob"]) == pytest.approx(1 / 3)  # of logits -log 4 and log 4 the weighted mean is -log 2
    assert float(row["Effusion_prob"]) == pytest.approx(0.5)


def test_what_is_not_known_is_empty():
    row = prediction_table.of(predicted([0.2], called=False, calibrated=np.nan, risk=np.nan), [""]).iloc[0]
    assert {row[f"{finding}_disagreement"] for finding in FINDINGS} == {""}
    assert {row[f"{finding}_flip_risk"] for finding in FINDINGS} == {""}
    assert {row[f"{finding}_calibrated"] for finding in FINDINGS} == {""}
    assert {row[f"{finding}_called"] for finding in FINDINGS} == {"0"}


@pytest.mark.parametrize(("hospital", "found"), [("pooled", "unknown"), ("nih", "nih")])
def test_a_film_is_of_the_hospital_that_was_asked_for(hospital, found):
    films = pd.DataFrame({"row": [0, 3]})
    table = predicting._table(films, hospital, np.zeros((2, 2, 6), np.float32), FINDINGS, {})
    assert list(predictions.source(table)) == [found] * 2


def test_flags_and_what_a_file_says_stand_in_the_notes_flags_first():
    pack = np.random.default_rng(0).integers(0, 256, (3, 32, 32)).astype(np.uint8)
    reference = {"distance": fit_distance(thumbnails(pack), thumbnails(pack)) | {"cut": np.inf}}
    notes = ["a window was ignored", "a window was ignored", None]
    films = pd.DataFrame({"row": range(3), "lateral": ["its header says so", "", None], "file_notes": notes})
    found = pd.DataFrame(predicting._flags(SimpleNamespace(reference=reference, unet=None), films, pack))
    assert found["notes"].tolist() == [
        "lateral: its header says so; a window was ignored", "a window was ignored", ""
    ]  # fmt: skip
    assert found["lateral"].tolist() == [1, 0, 0]
    assert found["far_from_training"].tolist() == [0, 0, 0]
    assert found[["mask_rejected", "doubtful_mask"]].isna().all(axis=None)


def test_a_doubtful_lung_mask_is_a_flag_with_its_reason():
    pack = np.random.default_rng(0).integers(0, 256, (2, 32, 32)).astype(np.uint8)
    reference = {"distance": fit_distance(thumbnails(pack), thumbnails(pack)) | {"cut": np.inf}}
    reason = "a lung narrows by 50.0% near its top, expected 42% or less"
    films = pd.DataFrame({"row": range(2), "mask_rejected": ["", ""], "doubtful_mask": [reason, ""]})
    found = pd.DataFrame(predicting._flags(SimpleNamespace(reference=reference, unet="unet.keras"), films, pack))
    assert found["notes"].tolist() == [f"doubtful mask: {reason}", ""]
    assert found[["mask_rejected", "doubtful_mask"]].to_numpy().tolist() == [[0, 1], [0, 0]]
