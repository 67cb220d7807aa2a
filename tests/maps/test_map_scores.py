import dataclasses

import numpy as np
import pandas as pd
import pytest

from cxr.core.artifacts import write_csv
from cxr.core.findings import FINDINGS
from cxr.maps import lung_regions, map_scores
from cxr.preparation.packs import write_rows, written_pack
from tests.conftest import settings_in, tiny_params
from tests.maps.test_family_maps import BOX_COLUMNS, SIZE, scored_films

F0, F1 = FINDINGS[:2]


def with_boxes(scored, *boxes):
    """Known boxes (image_id, finding, x, y, width, height), fractions of the film."""
    return dataclasses.replace(scored, boxes=pd.DataFrame(boxes, columns=BOX_COLUMNS))


@pytest.fixture
def scored(tmp_path):
    """Two test films and one of val; the first's map is hot at the upper left, the second's at the lower right."""
    heats = np.zeros((3, SIZE, SIZE), np.float16)
    heats[0, :10, :10] = heats[1, -10:, -10:] = heats[2, :10, :10] = 1
    films = scored_films(tmp_path, [1, 1, 1], [0.9, 0.8, 0.7], ["test", "test", "val"], heats=heats)
    upper_left = [(name, F0, 0.0, 0.0, 0.2, 0.2) for name in films.table["image_id"]]
    return with_boxes(films, *upper_left, (films.table["image_id"][0], "Mass", 0, 0, 1, 1))


def test_only_test_films_with_a_box_of_a_known_finding_are_scored(scored):
    assert map_scores.pairs(scored) == [(F0, 0), (F0, 1)]


def test_a_map_on_the_box_hits_and_one_elsewhere_does_not(scored):
    scores = map_scores.score_all({"gradcam": scored}, ["tiny"], "ensemble")
    own = scores[scores["network"] == "tiny"].set_index("film")
    assert own["hit"].tolist() == [1, 0]
    assert own["iou"].iloc[0] == pytest.approx(1, abs=0.05)
    assert own["iou"].iloc[1] == 0


def test_random_maps_the_centre_prior_and_the_known_box_stand_beside(scored):
    scores = map_scores.score_all({"gradcam": scored}, ["tiny"], "ensemble")
    beside = scores[scores["network"] == "none"].groupby("method")["hit"].mean()
    assert beside["known box on the grid"] == 1
    assert beside["centre prior"] == 0  # the box is in a corner
    assert 0 <= beside["random map"] < 0.5
    again = map_scores.score_all({"gradcam": scored}, ["tiny"], "ensemble")
    pd.testing.assert_frame_equal(scores, again)


def test_a_family_of_several_is_scored_as_their_mean_too(scored):
    second = np.zeros_like(scored.cams[0])
    second[:2, 0, :10, :10] = 1
    scored.cams.append(second)
    scored.means.append(scored.means[0])
    scores = map_scores.score_all({"gradcam": scored}, ["one", "two"], "ensemble")
    hits = scores[scores["method"] == "gradcam"].groupby("network")["hit"].mean()
    assert hits[["one", "two"]].tolist() == [0.5, 1]
    assert set(hits.index) == {"ensemble", "one", "two"}


def test_a_mask_that_was_not_accepted_says_nothing_of_the_lungs(scored, tmp_path):
    path = settings_in(tmp_path).lung_masks
    with written_pack(path, 3, 20) as temporary:
        left = np.zeros((3, 20, 20), np.uint8)
        left[:, :, :10] = 255
        write_rows(temporary, 0, left)
    accepted = pd.DataFrame({"image_id": scored.table["image_id"], "accepted": [True, False, True]})
    write_csv(accepted, path.with_suffix(".csv"))
    masks = lung_regions.masks_of(settings_in(tmp_path), scored.table["image_id"])
    scored = dataclasses.replace(scored, masks=masks, params=tiny_params(LUNG_MASKING="loose"))
    scores = map_scores.score_all({"gradcam": scored}, ["tiny"], "ensemble")
    own = scores[scores["network"] == "tiny"].set_index("film")
    assert own["in_lungs"].iloc[0] == pytest.approx(1, abs=0.03)
    assert own["lungs_area"].iloc[0] == pytest.approx(25 / 27, abs=0.03)  # of the lungs and the margin round them
    assert np.isnan(own["in_lungs"].iloc[1])


def test_means_over_films_and_then_over_findings():
    names = {"network": "n", "method": "gradcam"}
    films = [(F0, "a", "p", 1.0), (F0, "b", "q", 0.0), (F1, "a", "p", 1.0)]
    scores = pd.DataFrame(
        [{"finding": f, **names, "film": film, "patient": p, "hit": hit, "iou": hit / 2} for f, film, p, hit in films]
    )
    table = map_scores.summary(scores, FINDINGS, replicates=200, seed=1).set_index("finding")
    assert table["hit"].tolist() == [0.5, 1, 0.75]
    assert table["iou"].tolist() == [0.25, 0.5, 0.375]
    assert table.loc[F0, ["films", "patients"]].tolist() == [2, 2]
    assert table.loc[F0, ["iou_low", "iou_high"]].isna().all()
    assert table.loc[F0, "no_interval"] == "it is of 2 patients"
    assert np.isnan(table.loc[F1, "hit_low"])  # one patient has no interval
    assert table.loc[F1, "no_interval"] == "it is of one patient"
    assert table["too_few"].tolist() == [True, True, True]
    assert table.loc[map_scores.MEAN, "films"] == 2


def test_a_hit_rate_has_an_exact_interval_where_all_or_few_hit_as_every_share_has():
    names = {"finding": F0, "network": "n", "method": "gradcam"}
    films = pd.DataFrame([{**names, "film": str(n), "patient": str(n), "hit": 1.0, "iou": n / 20} for n in range(11)])
    row = map_scores.summary(films, [F0], replicates=50, seed=1).iloc[0]
    # All of 11: 0.025 ** (1 / 11).
    assert row[["hit_low", "hit_high"]].tolist() == pytest.approx([0.7151, 1], abs=1e-4)
    assert (row["hit_exact"], row["too_few"]) == (True, False)
    assert 0 < row["iou_low"] < 0.25 < row["iou_high"]
    row = map_scores.summary(films.assign(hit=[0.5] * 5 + [0.6] * 6), [F0], replicates=50, seed=1).iloc[0]
    assert not row["hit_exact"], "a mean over random maps is no share of films"
