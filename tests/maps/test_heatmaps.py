import numpy as np
import pytest
from scipy.stats import spearmanr

from cxr.evaluation.randomisation import mean_correlation
from cxr.maps.heatmaps import FEWEST, detections, enlarged, evidence, heatmap, mean_maps
from cxr.networks import classifiers
from cxr.networks.class_activation import explainer
from tests.conftest import tiny_params


def test_a_mean_map_is_of_all_films_and_of_each_source_with_enough():
    maps = np.arange(2 * FEWEST, dtype=np.float16)[:, None, None, None] * np.ones((1, 2, 3, 3), np.float16)
    sources = np.array(["many"] * FEWEST + ["few"] * (FEWEST - 1) + ["fewer"])
    means = mean_maps(maps, sources)
    assert {name: mean[1, 2, 0] for name, mean in means.items()} == {
        "pooled": (2 * FEWEST - 1) / 2,
        "many": (FEWEST - 1) / 2,
    }
    assert (means["pooled"].dtype, means["pooled"].shape) == (np.float32, (2, 3, 3))


def test_evidence_adds_up_to_what_the_logit_is_above_the_average():
    random = np.random.default_rng(1)
    maps = random.normal(size=(5, 4, 4))  # a finding's maps: their sums are logits without the bias
    mean = maps.mean(axis=0)
    for film in maps:
        added = evidence([film.astype(np.float32)], [mean.astype(np.float32)])
        assert added.mean() == pytest.approx(film.sum() - maps.sum(axis=(1, 2)).mean(), rel=1e-5)


def test_bias_and_mean_and_what_a_film_adds_are_its_logit():
    params = tiny_params()
    classifier = classifiers.build_classifier("tiny", params)
    head = classifier.get_layer("logits")
    films = np.random.default_rng(1).integers(0, 256, (8, *classifier.input_shape[1:])).astype(np.float32)
    bias = np.linspace(-1, 1, len(params.findings)).astype(np.float32)
    head.set_weights([head.get_weights()[0], bias])
    probabilities, maps = explainer(classifier, ("gradcam",)).predict(films, verbose=0)
    maps = maps.transpose(0, 3, 1, 2)
    means = mean_maps(maps, np.array(["nih"] * len(films)))["pooled"]
    for film in range(len(films)):
        for finding in range(len(bias)):
            added = evidence([maps[film, finding]], [means[finding]]).mean()
            logit = bias[finding] + means[finding].sum() + added
            assert 1 / (1 + np.exp(-logit)) == pytest.approx(probabilities[film, finding], rel=1e-4)


def test_a_heatmap_shows_what_speaks_for_the_finding_alone():
    heat = heatmap([np.array([[0, 1], [2, -3]], np.float16)], [np.array([[1, 0.5], [0, -4]], np.float32)])
    assert heat.dtype == np.float32
    assert heat.tolist() == [[0, 2], [8, 4]]


def test_members_are_averaged_before_what_speaks_against_is_left_out():
    none = np.zeros((1, 1), np.float32)
    heat = heatmap([np.array([[3.0]]), np.array([[-1.0]])], [none, none])
    assert np.unique(heat).tolist() == [1]


def test_members_count_by_their_weights():
    maps, means = [np.full((1, 1), 4.0), np.full((1, 1), -8.0)], [np.zeros((1, 1))] * 2
    assert (evidence(maps, means) == -2).all()
    assert (evidence(maps, means, np.array([0.75, 0.25])) == 1).all()


def test_above_the_scale_the_hottest_place_stays_the_hottest():
    """Cut there, a strong film's map would be a plateau: no hottest point, and boxes that are too large."""
    cam, none = np.array([[0, 9], [2, 1]], np.float16), np.zeros((2, 2), np.float32)
    assert (
        detections(enlarged(heatmap([3 * cam], [none]), 32), 0.5)[0][0]
        == detections(enlarged(heatmap([cam], [none]), 32), 0.5)[0][0]
    )


@pytest.mark.parametrize(("finest", "common"), [(8, 32), (64, 64)])
def test_members_meet_on_a_grid_that_blurs_none(finest, common):
    coarse, fine = np.full((2, 2), 0.25, np.float16), np.zeros((finest, finest), np.float16)
    fine[0, 0] = 1 / finest**2
    heat = heatmap([coarse, fine], [np.zeros((2, 2)), np.zeros((finest, finest))])
    assert heat.shape == (common, common)
    assert (heat[0, 0], heat[-1, -1]) == (1, 0.5)


def test_members_and_means_must_be_as_many():
    with pytest.raises(ValueError, match="zip"):
        heatmap([np.ones((2, 2), np.float16)], [np.ones((2, 2)), np.ones((2, 2))])


def test_detections_are_boxes_around_what_reaches_a_level():
    heat = np.zeros((8, 8), np.float32)
    heat[1:3, 2:6] = 0.8
    heat[5:8, 0:2] = 0.4
    heat[5, 6] = 0.39
    assert detections(heat, 0.4) == [((2, 1, 4, 2), 1), ((0, 5, 2, 3), pytest.approx(0.5))]
    assert detections(heat, 0.8) == [((2, 1, 4, 2), 1)]
    assert len(detections(heat, 0.3)) == 3


def test_areas_that_touch_at_a_corner_are_one_detection():
    heat = np.zeros((8, 8), np.float32)
    heat[1, 1] = heat[2, 2] = 1
    assert detections(heat, 0.5) == [((1, 1, 2, 2), 1)]


def test_a_detection_s_score_is_its_hottest_point_as_a_share_of_the_film_s():
    heat = np.zeros((8, 8), np.float32)
    heat[1, 1:4], heat[6, 5:7] = [0.5, 0.7, 0.6], [1.4, 0.9]
    assert detections(heat, 0.3) == [((5, 6, 2, 1), 1), ((1, 1, 3, 1), pytest.approx(0.5))]


def test_detections_whose_boxes_overlap_are_one():
    """Two areas that do not touch, one around the corner of the other; a third meets only the box around both."""
    heat = np.zeros((9, 9), np.float32)
    heat[0:5, 0], heat[4, 0:5] = 1, 1
    heat[0:3, 2:4] = 2
    assert detections(heat, 0.35) == [((0, 0, 5, 5), 1)]
    heat[0:2, 4], heat[0, 4:8] = 0, 1.5
    assert detections(heat, 0.35) == [((0, 0, 8, 5), 1)]
    apart = np.zeros((8, 8), np.float32)
    apart[0:2, 0:2] = apart[3:5, 0:2] = 1  # boxes that only touch are two
    assert len(detections(apart, 0.5)) == 2


def test_an_empty_map_has_no_detection():
    assert detections(enlarged(np.zeros((4, 4), np.float32), 8), 0.5) == []


def test_detections_are_in_pixels_of_the_packed_film():
    heat = np.zeros((4, 4), np.float32)
    heat[1, 2] = 1
    ((x, y, width, height), score) = detections(enlarged(heat, 32), 0.5)[0]
    assert score == 1
    assert (x + width / 2, y + height / 2) == (20, 12)  # the middle of its cell, 8 pixels wide: 16..24, 8..16
    assert 6 <= width == height <= 10


def test_a_map_enlarged_stays_where_it_is():
    heat = np.zeros((4, 4), np.float32)
    heat[1, 2] = 1
    large = enlarged(heat, 32)
    y, x = np.mgrid[:32, :32] + 0.5
    assert ((x * large).sum() / large.sum(), (y * large).sum() / large.sum()) == pytest.approx((20, 12))


def test_maps_correlate_by_rank_and_place():
    random = np.random.default_rng(0)
    maps = random.normal(size=(5, 6, 3, 3)).astype(np.float16)
    assert mean_correlation(maps, maps) == pytest.approx(1)
    assert mean_correlation(maps, -maps) == pytest.approx(-1)
    assert mean_correlation(maps, np.exp(maps)) == pytest.approx(1, abs=0.01)  # ranks alone count
    other = random.normal(size=(5, 6, 3, 3))
    pairs = zip(maps.reshape(30, 9), other.reshape(30, 9), strict=True)
    expected = np.mean([spearmanr(*pair).statistic for pair in pairs])
    assert mean_correlation(maps, other) == pytest.approx(expected)


def test_maps_that_are_constant_broken_or_too_small_are_not_compared():
    maps = np.random.default_rng(0).normal(size=(2, 1, 2, 2))
    broken, flat = maps.copy(), np.ones_like(maps)
    broken[0, 0, 0, 0] = np.inf
    assert mean_correlation(maps, broken) == pytest.approx(1)  # the other film's
    assert np.isnan(mean_correlation(maps, flat))
    assert np.isnan(mean_correlation(maps[..., :1], maps[..., :1]))
