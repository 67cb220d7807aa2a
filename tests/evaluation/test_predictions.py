"""The predictions file: exact, deterministic, checked when read, averaged only over the same films."""

import numpy as np
import pandas as pd
import pytest

from cxr.core.configuration import InputError
from cxr.core.findings import FINDINGS
from cxr.evaluation import predictions

IDS = ["nih/00000001_000", "nih/00000001_001", "chexpert/valid/patient1/study1/view1_frontal"]


def table(probability: float = 0.25, ids=IDS) -> pd.DataFrame:
    truth = np.zeros((len(ids), 6))
    truth[0, 0], truth[1, 1] = 1, np.nan
    patients = ["nih-1", "nih-1", "chexpert-1"][: len(ids)]
    return predictions.build(
        ids, patients, ["val", "val", "test"][: len(ids)], truth, np.full((len(ids), 6), probability), FINDINGS
    )


def test_a_table_comes_back_from_its_file_as_it_was_and_every_float32_exactly(tmp_path):
    numbers = np.random.default_rng(1).random((3, 6), dtype=np.float32)
    written = predictions.build(
        IDS, ["a", "a", "b"], ["train", "val", "test"], np.full((3, 6), np.nan), numbers, FINDINGS
    )
    predictions.write(written, tmp_path / "predictions.csv")
    back = predictions.read(tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(back, written)
    assert (predictions.arrays(back)[1].astype(np.float32) == numbers).all()


def test_probabilities_are_float32_as_models_give_them_or_float64_where_that_is_asked_for():
    given = IDS, ["a", "a", "b"], ["test"] * 3, np.zeros((3, 1)), [[1 - 1e-9], [1 - 2e-9], [0.5]], ["Edema"]
    assert predictions.build(*given)["Edema_prob"].tolist() == [1, 1, 0.5]
    assert predictions.build(*given, np.float64)["Edema_prob"].tolist() == [1 - 1e-9, 1 - 2e-9, 0.5]


def test_the_file_holds_1_0_and_empty_under_the_agreed_columns_and_the_same_bytes_each_time(tmp_path):
    predictions.write(table(), tmp_path / "one.csv")
    predictions.write(table(), tmp_path / "two.csv")
    lines = (tmp_path / "one.csv").read_text().splitlines()
    assert lines[0].startswith("image_id,patient_id,split,Consolidation_true,Pneumothorax_true,")
    assert lines[0].endswith(",Pneumonia_prob,Cardiomegaly_prob")
    assert lines[1] == "nih/00000001_000,nih-1,val,1,0,0,0,0,0,0.25,0.25,0.25,0.25,0.25,0.25"
    assert lines[2] == "nih/00000001_001,nih-1,val,0,,0,0,0,0,0.25,0.25,0.25,0.25,0.25,0.25"
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("Edema_prob", "Edema", "column Edema_prob is missing"),
        (
            "nih/00000001_001",
            "nih/00000001_000",
            "line 3, column image_id: expected every film once, found nih/00000001",
        ),
        (",val,1,", ",val,2,", r"line 2, column Consolidation_true: expected 1, 0 or empty, found 2"),
        (",val,1,", ",dev,1,", "line 2, column split: expected train, val or test, found dev"),
        (",0.25,", ",1.25,", "column Consolidation_prob: expected a probability in 0..1, found 1.25"),
        (",0.25,", ",,", "column Consolidation_prob: expected a probability in 0..1, found nothing"),
        (",0.25,", ",often,", "expected a probability in 0..1, found often"),
    ],
)
def test_a_file_that_breaks_the_schema_is_refused_by_line_and_column(tmp_path, before, after, message):
    path = tmp_path / "predictions.csv"
    predictions.write(table(), path)
    path.write_text(path.read_text().replace(before, after, 1))
    with pytest.raises(InputError, match=message):
        predictions.read(path)


def test_a_missing_or_empty_file_is_an_input_error_too(tmp_path):
    with pytest.raises(InputError, match=r"not there yet.*evaluate_Ensemble\.sh"):
        predictions.read(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="expected a predictions table"):
        predictions.read(tmp_path / "empty.csv")


def test_an_average_is_the_mean_of_the_members_whatever_the_order_of_their_films():
    mean = predictions.average([table(0.25), table(0.75)[::-1].reset_index(drop=True)])
    assert list(mean["image_id"]) == IDS
    assert (predictions.arrays(mean)[1] == 0.5).all()
    assert np.array_equal(predictions.arrays(mean)[0], predictions.arrays(table())[0], equal_nan=True)


def test_members_that_list_other_films_or_truths_are_not_averaged():
    with pytest.raises(InputError, match=r"do not list the same films .3 and 2; in one only: chexpert/valid"):
        predictions.average([table(), table(ids=IDS[:2])])
    other = table()
    other.loc[0, "Edema_true"] = np.nan
    with pytest.raises(
        InputError, match=r"member 1 and member 2 differ in Edema_true of nih/00000001_000: 0\.0 and nan"
    ):
        predictions.average([table(), other])


def test_the_source_tells_expert_labels_from_report_labels_and_the_hospital_does_not():
    ids = ["nih/1", "chexpert/valid/p/s/v", "chexpert/train/p/s/v", "seoul/1", "film"]
    listed = pd.DataFrame({"image_id": ids})
    assert list(predictions.label_source(listed)) == ["nih", "chexpert-valid", "chexpert-train", "seoul", "unknown"]
    assert list(predictions.source(listed)) == ["nih", "chexpert", "chexpert", "seoul", "unknown"]


def test_columns_follow_the_findings():
    made = predictions.build(["a"], ["p"], ["test"], [[1.0]], [[0.5]], ["Mass"])
    assert list(made) == ["image_id", "patient_id", "split", "Mass_true", "Mass_prob"]
    assert predictions.findings_of(made) == ["Mass"]


def test_members_of_other_findings_are_not_averaged():
    made = [predictions.build(["a"], ["p"], ["test"], [[1.0]], [[0.5]], [name]) for name in ("Mass", "Nodule")]
    with pytest.raises(InputError, match="predictions of member 1 are of Mass, those of member 2 of Nodule"):
        predictions.average(made)


def test_members_are_put_together_by_probability_and_with_weights_by_logit():
    members = np.array([[0.2], [0.8]])
    assert predictions.together(members, None) == pytest.approx([0.5])
    # Logits -log 4 and log 4: 3/4 of one and 1/4 of the other are -log 2.
    assert predictions.together(members, np.array([0.75, 0.25])) == pytest.approx([1 / 3])


def test_weights_are_of_a_finding_and_of_members_by_name():
    fits = {"Edema": {"weights": {"xception": 0.25, "tiny": 0.75}}, "Effusion": {"weights": None, "reason": "few"}}
    weights = predictions.member_weights({"ensemble": {"rule": "val", "findings": fits}}, ["tiny", "xception"])
    assert {name: values.tolist() for name, values in weights.items()} == {"Edema": [0.75, 0.25]}
    assert predictions.member_weights({}, ["tiny"]) == {}
    mean = predictions.average([table(0.2), table(0.8)], weights)
    assert mean["Edema_prob"].to_numpy() == pytest.approx([1 / 3] * 3)
    assert mean["Effusion_prob"].to_numpy() == pytest.approx([0.5] * 3)
