"""What a family's maps outline on films that radiologists outlined; geometry by hand."""

import numpy as np
import pytest

from cxr.core.errors import InputError
from cxr.external import family_outlines
from cxr.external.outlines import decode, encode
from tests.maps.test_family_maps import F0, SIZE, heat_with, scored_films

pytest.importorskip("pycocotools", reason='needs pycocotools: pip install -e ".[outlines]"')
IDS = [
    f"chexpert/{folder}/patient{n:05d}/study1/view1_frontal" for folder, n in (("valid", 1), ("valid", 2), ("test", 3))
]
NAMES = [f"patient{n:05d}_study1_view1_frontal" for n in (1, 2, 3)]
HEAT = np.repeat(heat_with(10, 20, 10, 5), 3, axis=0)  # of 200 x 100 pixels 40..80, 30..50


def outlined(x=0, y=0, width=0, height=0, shape=(200, 400)):
    mask = np.zeros(shape, bool)
    mask[y : y + height, x : x + width] = True
    return {F0: encode(mask)}


def of(drawn, method, film=NAMES[0]):
    scores = drawn.scores[(drawn.scores["method"] == method) & (drawn.scores["film"] == film)]
    return scores.set_index("task").loc[F0]


@pytest.fixture
def scored(tmp_path):
    """Three films 200 x 100 with one and the same map; called are the first and the third."""
    return scored_films(tmp_path, [1, 0, 1], [0.9, 0.1, 0.9], ids=IDS, film=(200, 100), heats=HEAT)


def test_a_map_is_outlined_in_pixels_of_the_truth_which_is_twice_the_film(scored):
    drawn = family_outlines.draw(scored, "ensemble", {NAMES[0]: outlined(80, 60, 80, 40)}, False)
    rows, columns = np.nonzero(decode(drawn.outlines[NAMES[0]][F0]))
    # The mean is .02, the level .02 + .7 * .98 = .706. A cell is 8 pixels wide: that lies .206 of one within the border
    # of the ten by five hot ones, and in the corners further in: the first pixel has .8125 by .8125, .66.
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (82, 157, 62, 97)
    assert drawn.points[NAMES[0]][F0] == [[120, 80]]
    assert of(drawn, "ensemble")[["iou", "hit"]].tolist() == [pytest.approx((76 * 36 - 4) / (80 * 40)), 1]


def test_what_stands_beside_knows_nothing_of_the_film(scored):
    truth = {NAMES[0]: outlined(190, 90, 20, 20)}  # the middle, where this network does not look
    drawn = family_outlines.draw(scored, "ensemble", truth, False)
    assert drawn.scores["method"].unique().tolist() == ["ensemble", "random map", "centre prior"]
    assert [of(drawn, method)["hit"] for method in ("ensemble", "centre prior")] == [0, 1]
    assert 0 < of(drawn, "random map")["iou"] < of(drawn, "centre prior")["iou"]


def test_only_what_is_called_positive_is_outlined_where_everything_counts(scored):
    truth = {name: outlined(80, 60, 80, 40) for name in NAMES[:2]}
    some, every = (family_outlines.draw(scored, "ensemble", truth, everything) for everything in (False, True))
    assert of(some, "ensemble", NAMES[1])["iou"] > 0.8
    assert of(every, "ensemble", NAMES[0])["iou"] > 0.8
    assert [of(every, method, NAMES[1])["iou"] for method in ("ensemble", "centre prior")] == [0, 0]
    assert of(every, "ensemble", NAMES[1])["hit"] == 1  # it points there, called or not
    assert not decode(every.outlines[NAMES[1]][F0]).any()


def test_films_of_the_set_without_outlines_are_drawn_at_their_own_size_and_count_where_everything_does(scored):
    truth = {NAMES[1]: outlined(80, 60, 80, 40)}
    drawn = family_outlines.draw(scored, "ensemble", truth, True)
    assert list(drawn.outlines) == NAMES[:2]  # not the one of the official test set
    assert len(drawn.outlines[NAMES[0]]) == 10
    assert drawn.outlines[NAMES[0]][F0]["size"] == [100, 200]
    assert of(drawn, "ensemble")["iou"] == 0
    assert np.isnan(of(family_outlines.draw(scored, "ensemble", truth, False), "ensemble")["iou"])


def test_lateral_films_and_findings_without_outlines_are_left_out_and_told(scored):
    lateral = NAMES[0].replace("view1_frontal", "view2_lateral")
    tasks = dict.fromkeys(["Lung Lesion", F0, "Support Devices"], outlined(0, 0, 9, 9)[F0])
    drawn = family_outlines.draw(scored, "ensemble", {NAMES[0]: tasks, lateral: tasks}, True)
    assert set(drawn.scores["film"]) == {NAMES[0], NAMES[1]}
    assert set(drawn.scores["task"]) == {F0}
    assert drawn.notes == [
        "1 of 2 outlined films are no test films of ensemble: left out",
        "FINDINGS has none of Lung Lesion, Support Devices: left out",
    ]
    with pytest.raises(
        InputError, match=r"FINDINGS: .*Pneumonia.*: none of them is outlined; expected some of Lung Les"
    ):
        family_outlines.draw(scored, "ensemble", {NAMES[0]: {"Lung Lesion": tasks[F0]}}, True)


def test_a_film_of_other_proportions_than_its_outlines_is_refused(scored):
    with pytest.raises(
        InputError, match=r"patient00001/.*: the film is of 200x100 pixels, its outlines of 400x210; exp"
    ):
        family_outlines.draw(scored, "ensemble", {NAMES[0]: outlined(shape=(210, 400))}, False)
    family_outlines.draw(scored, "ensemble", {NAMES[0]: outlined(shape=(203, 400))}, False)  # rounding


def test_a_family_that_has_scored_none_of_the_films_is_refused(tmp_path, scored):
    with pytest.raises(
        InputError, match=r"none of the 1 outlined films, such as patient00009.* is a test film of the fam"
    ):
        family_outlines.draw(scored, "ensemble", {NAMES[0].replace("00001", "00009"): outlined()}, False)
    in_val = scored_films(tmp_path, [1], [0.9], splits=["val"], ids=IDS[:1])
    with pytest.raises(InputError, match=r"is a test film of the family \(such as none\)"):
        family_outlines.draw(in_val, "ensemble", {NAMES[0]: outlined()}, False)


def test_an_empty_map_outlines_nothing_and_points_nowhere(tmp_path):
    empty = scored_films(tmp_path, [1], [0.9], ids=IDS[:1], film=(200, 100), heats=np.zeros((1, SIZE, SIZE)))
    drawn = family_outlines.draw(empty, "ensemble", {NAMES[0]: outlined(80, 60, 80, 40)}, True)
    assert of(drawn, "ensemble")[["iou", "hit"]].tolist() == [0, 0]
    assert drawn.points[NAMES[0]][F0] == []
