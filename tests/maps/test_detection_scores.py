"""Detection scores: matching, ranking and curves by hand; which films count; what stands beside."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from cxr.core.findings import FINDINGS
from cxr.evaluation import bootstrap, predictions
from cxr.maps import detection_scores, map_scores
from cxr.maps.detection_scores import LIMITS, MEAN_BOX, SENSITIVITIES, WITH_INTERVAL
from tests.conftest import settings_in, tiny_params
from tests.maps.test_family_maps import BOX_COLUMNS, SIZE, scored_films

F0, F1 = FINDINGS[:2]
UPPER_LEFT = (0.0, 0.0, 0.4, 0.4)  # fractions of the film


# --- matching


def test_a_known_box_is_found_once_by_the_highest_box_whose_overlap_is_above_the_limit():
    known = [(0, 0, 10, 10), (20, 0, 10, 10)]
    half, whole, shifted = (0, 0, 10, 5), (0, 0, 10, 10), (22, 0, 10, 10)  # IoU 1/2, 1, 2/3; IoBB 1, 1, 0.8
    assert LIMITS == (("iou", 0.1), ("iou", 0.3), ("iou", 0.5), ("iobb", 0.5))
    assert detection_scores.match([half, whole, shifted], known).tolist() == [
        [True, True, False, True],  # 1/2 is not more than 1/2,
        [False, False, True, False],  # so the next box may have it
        [True, True, True, True],
    ]


def test_a_box_takes_the_known_one_that_it_overlaps_most_of_those_left():
    tall, low = (0, 0, 10, 20), (0, 0, 10, 12)
    # The first takes the low one (5/6, against 1/2); the second is left the tall one (0.55).
    found = detection_scores.match([(0, 0, 10, 10), (0, 0, 10, 11)], [tall, low])
    assert found[:, 2].tolist() == [True, True]


def test_where_nothing_is_known_or_detected_nothing_is_found():
    assert detection_scores.match([(0, 0, 1, 1)], []).tolist() == [[False] * 4]
    assert detection_scores.match([], [(0, 0, 1, 1)]).shape == (0, 4)


# --- figures


def figures_of(scores, found, films, known, patients=None, weights=None):
    """By name, of boxes that find or do not at all limits alike; of one patient where none are named."""
    patients = np.zeros(len(scores), int) if patients is None else np.asarray(patients)
    weights = np.ones((1, len(np.atleast_1d(known))), int) if weights is None else weights
    alike = np.repeat(np.asarray(found, bool)[:, None], len(LIMITS), axis=1)
    ranked = detection_scores.rank(
        np.asarray(scores, float), patients, alike, np.atleast_1d(films), np.atleast_1d(known)
    )
    values = detection_scores.figures(ranked, weights)
    return pd.DataFrame(values, columns=[*WITH_INTERVAL, *SENSITIVITIES])


def test_average_precision_and_sensitivities_by_hand():
    # Sorted: hit, false, hit, false; three known boxes on four films.
    row = figures_of([0.6, 0.9, 0.7, 0.8], [False, True, True, False], films=4, known=3).iloc[0]
    assert row["ap_iou_0.3"] == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    # Nothing false, then a quarter of a box a film, where the second hit comes; then no more is found.
    assert row[[*SENSITIVITIES]].tolist() == pytest.approx([1 / 3, *[2 / 3] * 6])
    assert row["froc"] == pytest.approx((1 / 3 + 6 * 2 / 3) / 7)


def test_boxes_of_equal_score_stand_or_fall_together():
    row = figures_of([0.9, 0.9], [True, False], films=4, known=1).iloc[0]
    assert row["ap_iou_0.1"] == 0.5
    assert row[[*SENSITIVITIES]].tolist() == [0, 1, 1, 1, 1, 1, 1]  # a false box on four films is more than 1/8


def test_without_a_detected_box_nothing_is_found_and_without_a_known_one_nothing_is_said():
    assert (figures_of([], [], films=3, known=2) == 0).all(axis=None)
    assert figures_of([0.5], [False], films=3, known=0).isna().all(axis=None)


def test_resampled_average_precision_is_scikit_learns_times_the_share_of_known_boxes_found():
    random = np.random.default_rng(0)
    scores, found = random.integers(0, 12, 80) / 12, random.random(80) < 0.4  # many are equal
    patients, known = random.integers(0, 10, 80), np.full(10, 6)
    weights = np.stack([np.ones(10, int), *random.integers(0, 4, (5, 10))])
    values = figures_of(scores, found, np.full(10, 9), known, patients, weights)["ap_iou_0.5"]
    for value, drawn in zip(values, weights, strict=True):
        times = drawn[patients]
        share = times[found].sum() / (drawn @ known)
        assert value == pytest.approx(average_precision_score(found, scores, sample_weight=times) * share)


def test_a_patient_drawn_twice_counts_as_two():
    once = {"scores": [0.9, 0.8, 0.7], "found": [False, True, True], "patients": [0, 1, 0]}
    drawn = figures_of(**once, films=[3, 2], known=[1, 2], weights=np.array([[2, 1]]))
    scores, found, patients = [0.9, 0.9, 0.8, 0.7, 0.7], [False, False, True, True, True], [0, 1, 2, 0, 1]
    pd.testing.assert_frame_equal(drawn, figures_of(scores, found, [3, 3, 2], [1, 1, 2], patients))


def test_resamples_in_parts_are_those_at_once(monkeypatch):
    random = np.random.default_rng(1)
    found = random.random((30, 4)) < 0.5
    ranked = detection_scores.rank(random.random(30), random.integers(0, 5, 30), found, np.full(5, 4), np.full(5, 3))
    weights = random.integers(0, 3, (7, 5))
    at_once = detection_scores._in_parts(ranked, weights)
    monkeypatch.setattr(detection_scores, "MOST_AT_ONCE", 60)
    np.testing.assert_array_equal(detection_scores._in_parts(ranked, weights), at_once)


# --- films, networks, what stands beside


def test_films_count_of_sources_with_boxes_where_it_is_known_where_the_finding_is_or_that_it_is_not_there(tmp_path):
    ids = [f"nih/{n}" for n in range(5)] + ["chexpert/valid/0", "nih/6"]
    #        box, healthy, no box, not known, box but not known, another source, val
    truth = [1, 0, 1, np.nan, np.nan, 0, 1]
    scored = scored_films(tmp_path, truth, [0.5] * 7, ["test"] * 6 + ["val"], ids)
    boxes = [(name, F0, *UPPER_LEFT) for name in (ids[0], ids[4], ids[6])]
    scored = dataclasses.replace(scored, boxes=pd.DataFrame(boxes, columns=BOX_COLUMNS))
    assert detection_scores.counted_rows(scored, F0).tolist() == [0, 1, 4]
    assert detection_scores.counted_rows(scored, F1).tolist() == []


@pytest.fixture
def scored(tmp_path):
    """Four test films: two with a box at the upper left that their maps outline, two healthy ones; and one of val."""
    heats = np.zeros((5, SIZE, SIZE), np.float16)
    heats[:, :20, :20] = 1  # films of 100 x 100 pixels, halved
    scored = scored_films(tmp_path, [1, 1, 0, 0, 1], [0.9, 0.3, 0.5, 0.1, 0.8], ["test"] * 4 + ["val"], heats=heats)
    boxes = [(scored.table["image_id"][row], F0, *UPPER_LEFT) for row in (0, 1, 4)]
    return dataclasses.replace(scored, boxes=pd.DataFrame(boxes, columns=BOX_COLUMNS))


def table_of(scored, replicates=0):
    return detection_scores.score_all({"tiny": scored}, replicates, seed=1).set_index(["finding", "method"])


def test_boxes_of_healthy_films_stand_between_those_that_find(scored):
    row = table_of(scored).loc[(F0, "hirescam")]
    assert row[["network", "films", "positives", "boxes", "detected"]].tolist() == ["tiny", 4, 2, 2, 4]
    # By probability: hit 0.9, false 0.5, hit 0.3, false 0.1.
    assert row[[*WITH_INTERVAL[:4]]].tolist() == pytest.approx([1 / 2 * 1 + 1 / 2 * 2 / 3] * 4)
    assert row["sensitivity_at_0.125"] == 0.5
    assert row["sensitivity_at_0.25"] == 1  # one false box on four films
    assert row[["ap_iou_0.1_low", "froc_high"]].isna().all()


def test_findings_of_few_patients_are_marked_by_the_rule_of_all_tables(tmp_path):
    def few(boxed, healthy):
        rows = boxed + healthy
        truth, ids = [1] * boxed + [0] * healthy, [f"nih/{n}" for n in range(rows)]
        films = scored_films(tmp_path, truth, [0.5] * rows, ["test"] * rows, ids)
        boxes = pd.DataFrame([(name, F0, *UPPER_LEFT) for name in ids[:boxed]], columns=BOX_COLUMNS)
        return table_of(dataclasses.replace(films, boxes=boxes))["too_few"].unique().tolist()

    assert few(10, 10) == [False]
    assert few(9, 10) == few(10, 9) == [True]


def test_what_stands_beside_has_the_same_probabilities_and_other_places(scored):
    table = table_of(scored)
    assert table.index.get_level_values("finding").unique().tolist() == [F0, map_scores.MEAN]
    assert table.loc[(F0, MEAN_BOX), "ap_iou_0.5"] == pytest.approx(5 / 6)  # of val: the same box, on healthy films too
    assert table.loc[(F0, "centre prior"), "ap_iou_0.3"] == 0  # the box is in a corner
    known = table.loc[(F0, "known box on the grid")]
    assert (known["detected"], known["ap_iou_0.5"]) == (2, 1)  # nothing is drawn on healthy films
    assert table.loc[(F0, "random map"), "ap_iou_0.5"] < 0.5
    assert (table.loc[F0, "network"].tolist()) == ["tiny", "none", "none", "none", "none"]
    pd.testing.assert_frame_equal(table, table_of(scored))


def test_the_mean_box_of_val_lies_on_each_film_as_its_crop_says(scored):
    films = scored.films.copy()
    films["offset_x"] = films["offset_x"].astype(float)
    films.loc[0, "offset_x"] = -10  # the square begins 20 pixels to the right
    moved = dataclasses.replace(scored, films=films)
    boxes = detection_scores._mean_box(moved)
    assert boxes(F0, 1) == [((0, 0, 40, 40), pytest.approx(0.3))]
    assert boxes(F0, 0) == [((20, 0, 40, 40), pytest.approx(0.9))]
    assert boxes(F1, 0) == []


def test_without_a_box_in_val_there_is_no_mean_box(scored):
    table = table_of(dataclasses.replace(scored, boxes=scored.boxes[:2]))
    assert MEAN_BOX not in table.index.get_level_values("method")


def test_intervals_are_by_patient_and_one_patient_with_a_box_has_none(scored, monkeypatch):
    monkeypatch.setattr(bootstrap, "LEAST", 2)  # few enough to draw
    row = table_of(scored, replicates=100).loc[(F0, "hirescam")]
    assert 0 < row["ap_iou_0.3_low"] < row["ap_iou_0.3"] < row["ap_iou_0.3_high"] == 1
    alone = table_of(dataclasses.replace(scored, boxes=scored.boxes[:1]), replicates=100).loc[(F0, "hirescam")]
    assert np.isnan(alone["ap_iou_0.3_low"])
    assert alone["no_interval"] == "1 positive patient"
    assert alone["films"] == 3  # the other has the finding, and nobody says where


def test_the_mean_is_over_the_findings(scored):
    table = scored.table.assign(**{f"{F1}_true": [1.0, 0, 0, 0, 0], f"{F1}_prob": 0.5})
    boxes = pd.concat([scored.boxes, scored.boxes[:1].assign(finding=F1)], ignore_index=True)
    both = table_of(dataclasses.replace(scored, table=table, boxes=boxes))
    assert both.loc[(F1, "hirescam"), "ap_iou_0.5"] == 0  # it has no map
    mean = both.loc[(map_scores.MEAN, "hirescam")]
    assert mean["ap_iou_0.5"] == pytest.approx(5 / 12)
    assert mean[["films", "positives", "boxes", "detected"]].tolist() == [4, 2, 3, 4]
    assert (map_scores.MEAN, MEAN_BOX) not in both.index  # val has none of the second finding


def test_a_member_is_ranked_by_its_own_probabilities_and_maps(scored, tmp_path):
    settings, params = settings_in(tmp_path), tiny_params(ENSEMBLE_MEMBERS=["tiny", "densenet121"])
    second = np.zeros_like(scored.cams[0])
    several = dataclasses.replace(scored, cams=[*scored.cams, second], means=scored.means * 2)
    for member, probability in (("tiny", 0.9), ("densenet121", 0.2)):
        own = scored.table.assign(**{f"{F0}_prob": probability})
        predictions.write(own, settings.member_dir("ensemble", member) / "predictions.csv")
    networks = detection_scores.networks(settings, params, "ensemble", several)
    assert list(networks) == ["ensemble", "tiny", "densenet121"]
    assert networks["tiny"].probability(F0).tolist() == pytest.approx([0.9] * 5)
    table = detection_scores.score_all(networks, 0, 1).set_index(["network", "finding"])
    assert table.loc[(["tiny", "densenet121"], F0), "detected"].tolist() == [4, 0]
    alone = detection_scores.networks(settings, tiny_params(), "ensemble", scored)
    assert list(alone) == ["tiny"]
