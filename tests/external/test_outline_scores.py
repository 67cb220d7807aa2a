"""IoU and hit rate by the authors' rules, on masks of a few pixels."""

import math

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import InputError
from cxr.external import outline_scores
from cxr.external.outline_scores import hit, iou, left_over, score, summary
from cxr.external.outlines import encode

pytest.importorskip("pycocotools", reason='needs pycocotools: pip install -e ".[outlines]"')


def box(x=0, y=0, width=0, height=0):
    mask = np.zeros((4, 5), bool)
    mask[y : y + height, x : x + width] = True
    return encode(mask)


EMPTY, LEFT, RIGHT = box(), box(0, 0, 2, 2), box(1, 0, 2, 2)  # LEFT and RIGHT share 2 of 6 pixels


def film(patient, view=1):
    return f"patient{patient:05d}_study1_view{view}_frontal"


def test_two_outlines_are_compared_by_the_pixels_they_share():
    assert iou(RIGHT, LEFT, False) == iou(RIGHT, LEFT, True) == 2 / 6
    assert iou(LEFT, LEFT, False) == 1
    assert iou(box(3, 2, 1, 1), LEFT, False) == 0


@pytest.mark.parametrize("nothing", [EMPTY, None])
def test_where_one_is_empty_the_film_is_left_out_or_counts_0_and_where_both_are_it_never_counts(nothing):
    assert math.isnan(iou(nothing, LEFT, False))
    assert math.isnan(iou(LEFT, nothing, False))
    assert iou(nothing, LEFT, True) == iou(LEFT, nothing, True) == 0
    assert math.isnan(iou(nothing, nothing, True))


def test_a_hit_is_a_point_inside_pixel_i_being_from_i_to_i_plus_1():
    assert hit([[1.9, 1.9]], LEFT) == 1
    assert hit([[2.0, 1.0]], LEFT) == hit([[-0.1, 0]], LEFT) == hit([[9, 9]], LEFT) == 0
    assert hit([[4, 3], [0, 0]], LEFT) == 1  # one of several is enough
    assert hit([], LEFT) == 0  # nothing is pointed at
    assert math.isnan(hit([[0, 0]], EMPTY))
    assert math.isnan(hit(None, LEFT))


def test_a_film_that_is_missing_from_the_predictions_has_an_empty_outline():
    truth = {film(1): {"Edema": LEFT}, film(2): {"Edema": LEFT}}
    predicted = {film(1): {"Edema": LEFT}}
    assert score(truth, predicted, False, "m")["iou"].tolist() == [1, pytest.approx(math.nan, nan_ok=True)]
    assert score(truth, predicted, True, "m")["iou"].tolist() == [1, 0]
    assert left_over(truth, predicted, True) == [
        "1 of 2 outlined films are missing there: as though nothing was outlined"
    ]


def test_a_film_that_the_truth_lacks_counts_only_where_everything_does():
    truth = {film(1): {"Edema": LEFT, "Atelectasis": LEFT}}
    predicted = {film(1): {"Edema": LEFT}, film(2): {"Edema": box(0, 0, 3, 3)}, film(3): {"Edema": EMPTY}}
    assert score(truth, predicted, False, "m")["film"].tolist() == [film(1)]
    everything = score(truth, predicted, True, "m")
    assert everything["iou"].tolist() == [1, 0, pytest.approx(math.nan, nan_ok=True)]
    assert everything["patient"].tolist() == ["patient00001", "patient00002", "patient00003"]
    assert left_over(truth, predicted, True) == [
        "2 of its 3 films are not among the outlined ones: as though nothing was seen there",
        "it has none of Atelectasis: left out",
    ]
    assert "not among the outlined ones: left out" in left_over(truth, predicted, False)[0]


def test_points_that_a_file_lacks_are_no_hit_and_without_a_file_nothing_is_known():
    truth = {film(1): {"Edema": LEFT}, film(2): {"Edema": LEFT}, film(3): {"Edema": EMPTY}}
    scores = score(truth, truth, False, "m", {film(1): {"Edema": [[0, 0]]}, film(3): {"Edema": [[0, 0]]}})
    assert scores["hit"].tolist() == [1, 0, pytest.approx(math.nan, nan_ok=True)]
    assert score(truth, truth, False, "m")["hit"].isna().all()


def test_outlines_of_two_sizes_or_of_nothing_in_common_are_refused():
    truth = {film(1): {"Edema": LEFT}}
    wrong = {film(1): {"Edema": encode(np.ones((5, 4), bool))}}
    with pytest.raises(
        InputError, match=r"m: patient00001.*, Edema: its size is \[5, 4\]; expected the truth's, \[4, 5\]"
    ):
        score(truth, wrong, False, "m")
    with pytest.raises(InputError, match=r"m: no film in common with the outlines: patient00002.* beside patient00001"):
        score(truth, {film(2): {"Edema": LEFT}}, False, "m")
    with pytest.raises(InputError, match=r"m: no task in common with the outlines: Atelectasis … beside Edema …"):
        score(truth, {film(1): {"Atelectasis": LEFT}}, False, "m")


def rows(task, ious, patients, method="m"):
    return pd.DataFrame(
        {
            "method": method, "task": task, "film": [film(p, v) for v, p in enumerate(patients)],
            "patient": [f"patient{p:05d}" for p in patients], "iou": ious, "hit": math.nan,
        }
    )  # fmt: skip


def test_intervals_are_by_patient_not_by_film():
    # Of six patients with eight films each, three all right and three all wrong, a resample has 0 to 6 right ones: its
    # mean is a sixth of that, below .17 or above .83 in one of 9 resamples. By film, 48 would be drawn, and a mean as
    # far from a half would come once in a million.
    table = summary(rows("Edema", [0.0] * 24 + [1.0] * 24, np.repeat(np.arange(6), 8).tolist()), 400, 0)
    edema = table.iloc[0]
    assert edema["iou"] == 0.5
    assert (edema["iou_low"], edema["iou_high"]) == (pytest.approx(1 / 6, abs=0.1), pytest.approx(5 / 6, abs=0.1))
    assert (edema["iou_films"], edema["iou_patients"]) == (48, 6)
    assert (edema["hit_films"], edema["hit_patients"]) == (0, 0)
    assert math.isnan(edema["hit"])


def test_the_mean_is_over_the_tasks_however_many_films_each_has():
    scores = pd.concat(
        [rows("Edema", [1.0] * 6, range(6)), rows("Atelectasis", [0.0, math.nan, 0.5, 0.0, 0.5, 0.25], range(6))]
    )
    table = summary(pd.concat([scores, rows("Edema", [0.2] * 6, range(6), "n")]), 50, 0)
    assert table["method"].tolist() == ["m", "m", "m", "n", "n"]
    assert table["task"].tolist() == ["Atelectasis", "Edema", outline_scores.MEAN, "Edema", outline_scores.MEAN]
    assert table["iou"].tolist() == pytest.approx([0.25, 1, 0.625, 0.2, 0.2])
    assert table["iou_films"].tolist() == [5, 6, 6, 6, 6]
    # Of Edema all are alike, of which resampling says nothing; Atelectasis alone varies, and the mean half as much.
    assert math.isnan(table["iou_low"][1])
    assert 0.5 <= table["iou_low"][2] < 0.6
    assert "0.625 (0.5" in outline_scores.text(table)


def test_one_patient_alone_makes_no_interval_of_its_task_or_of_the_mean():
    scores = pd.concat([rows("Edema", [1.0, 0.0] * 3, range(6)), rows("Atelectasis", [1.0] + [math.nan] * 5, range(6))])
    table = summary(scores, 50, 0)
    assert table["iou_low"].isna().tolist() == [True, False, True]
    assert summary(scores, 0, 0)["iou_low"].isna().all()
    assert "1.000  " in outline_scores.text(table)
    assert "n/a" in outline_scores.text(table)
