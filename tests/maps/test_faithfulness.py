import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cxr.core.artifacts import digest, origin, write_json
from cxr.core.findings import FINDINGS
from cxr.evaluation import bootstrap
from cxr.evaluation.scoring import score_member
from cxr.maps import faithfulness
from cxr.maps.faithfulness import Network
from cxr.networks import classifiers
from tests.conftest import prepare, settings_in, tiny_params
from tests.maps.test_family_maps import SIZE, scored_films

F0, F1 = FINDINGS[:2]
FILM, BLANK = 200, 50


def network_that_looks_at(region: np.ndarray, size: int = SIZE) -> Network:
    """Its probability of the first finding: the share of a region (size, size), bool, that is not blank."""

    def probabilities(films):
        left = np.where(region, films == FILM, np.nan)
        return np.nanmean(left, axis=(1, 2))[:, None] * np.eye(1, len(FINDINGS))

    return Network(probabilities, lambda row: (np.full((size, size), FILM, np.uint8), np.full((size, size), BLANK)))


def rows_of(first: int, last: int, size: int = SIZE) -> np.ndarray:
    """A region: some rows of the film, in tenths of it."""
    region = np.zeros((size, size), bool)
    region[first * size // 10 : last * size // 10] = True
    return region


def found(tmp_path, heats, films: int = 1):
    """Test films that have the first finding and are called, with maps (films, SIZE, SIZE)."""
    return scored_films(tmp_path, [1] * films, [0.9] * films, heats=heats)


def areas_of(tmp_path, heat, *networks) -> dict[str, float]:
    scores = faithfulness.score_all(found(tmp_path, heat[None]), networks, 6)
    return scores[list(faithfulness.AREAS)].iloc[0].to_dict()


def test_more_and_more_is_blank_the_hottest_first_the_coldest_first_and_in_random_order():
    film, blank = np.full((10, 10), FILM, np.uint8), np.full((10, 10), BLANK, np.uint8)
    heat, chance = np.arange(100.0).reshape(10, 10), np.random.default_rng(0).permutation(100).reshape(10, 10)
    films = faithfulness.blanked(film, blank, heat, chance)
    assert (films == BLANK).sum(axis=(1, 2)).tolist() == [0, 100, *[10, 20, 30, 40, 50, 60, 70, 80, 90] * 3]
    hottest, coldest, random = films[2:].reshape(3, 9, 10, 10) == BLANK
    assert hottest[2, 7:].all()  # the last three rows
    assert coldest[2, :3].all()
    assert (random[2] == (chance >= 70)).all()


def test_a_map_that_says_nothing_blanks_in_random_order():
    film, chance = np.zeros((8, 8), np.uint8), np.random.default_rng(0).random((8, 8))
    hottest, _, random = faithfulness.blanked(film, film + 1, np.ones((1, 1)), chance)[2:].reshape(3, 9, 8, 8)
    assert (hottest == random).all()


def test_what_masking_left_black_stays_black_and_is_no_part_of_the_area():
    film, seen = np.zeros((10, 10), np.uint8), np.zeros((2, 2), bool)
    film[5:], seen[1] = FILM, True  # the upper half is black
    heat = np.zeros((10, 10))
    heat[:5], heat[9] = 2, 1  # hottest where nothing was seen
    films = faithfulness.blanked(film, np.full((10, 10), BLANK, np.uint8), heat, np.arange(100).reshape(10, 10), seen)
    assert (films[:, :5] == 0).all()
    assert (films == BLANK).sum(axis=(1, 2)).tolist() == [0, 50, *[5, 10, 15, 20, 25, 30, 35, 40, 45] * 3]
    assert (films[3, 9] == BLANK).all()  # two tenths of what was seen: the last row


def test_areas_are_of_trapezoids_over_ten_shares():
    falls = [*[0.0] * 9, *[1.0] * 9, *np.linspace(0.9, 0.1, 9)]  # at once, at the very end, evenly
    assert faithfulness.areas(np.array([1.0, 0.0, *falls])) == pytest.approx([0.05, 0.95, 0.5])


def test_a_probability_falls_and_rises_at_once_where_the_map_is_what_the_network_looks_at(tmp_path):
    region = rows_of(3, 4)
    areas = areas_of(tmp_path, region.astype(np.float16), network_that_looks_at(region))
    assert areas["deletion"] == pytest.approx(0.05)  # the first tenth takes it all
    assert areas["insertion"] == pytest.approx(0.95)
    assert areas["random"] == pytest.approx(0.5, abs=0.05)


def test_a_map_of_the_other_half_is_as_wrong_as_can_be(tmp_path):
    areas = areas_of(tmp_path, rows_of(5, 10).astype(np.float16), network_that_looks_at(rows_of(0, 5)))
    assert areas["deletion"] == pytest.approx(0.75)  # five tenths take nothing, then a fifth each
    assert areas["insertion"] == pytest.approx(0.25)


def test_members_of_other_sizes_lose_the_same_share_and_their_areas_are_averaged(tmp_path):
    heat = rows_of(0, 5).astype(np.float16)
    sizes = (20, SIZE)
    alone = [areas_of(tmp_path, heat, network_that_looks_at(rows_of(0, 5, size), size)) for size in sizes]
    for areas in alone:
        assert areas["deletion"] == pytest.approx(0.25, abs=1e-6)
    blind = network_that_looks_at(rows_of(5, 10))
    both = areas_of(tmp_path, heat, network_that_looks_at(rows_of(0, 5, 20), 20), blind)
    assert both["deletion"] == pytest.approx((0.25 + 0.75) / 2)


def test_films_are_those_that_have_the_finding_and_are_called_spread_over_the_test_films(tmp_path):
    truth, probability = [1, 1, 1, 0, np.nan, 1, 1, 1], [0.9, 0.9, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9]
    scored = scored_films(tmp_path, truth, probability, splits=["val", *["test"] * 7])
    assert faithfulness.pairs(scored, 600) == [(F0, 1), (F0, 5), (F0, 6), (F0, 7)]
    assert faithfulness.pairs(scored, 12) == [(F0, 1), (F0, 7)]


def test_the_seed_and_the_film_say_the_random_order(tmp_path):
    heats, network = np.zeros((2, SIZE, SIZE)), network_that_looks_at(rows_of(3, 4))
    scored = found(tmp_path, heats, 2)
    scores = faithfulness.score_all(scored, [network], 12)
    pd.testing.assert_frame_equal(scores, faithfulness.score_all(scored, [network], 12))
    assert scores["random"].nunique() == 2
    other = dataclasses.replace(scored, params=tiny_params(SEED=2))
    assert (faithfulness.score_all(other, [network], 12)["random"] != scores["random"]).all()


def test_the_mean_is_over_findings_and_differences_are_from_random_order(monkeypatch):
    scores = pd.DataFrame(
        {
            "finding": [F0, F0, F0, F1],
            "film": ["a", "b", "c", "a"],
            "patient": ["p", "q", "q", "p"],
            "deletion": [0.1, 0.2, 0.3, 0.6],
            "insertion": [0.9, 0.8, 0.7, 0.4],
            "random": [0.5, 0.5, 0.5, 0.5],
        }
    )
    table = faithfulness.summary(scores, FINDINGS[:3], 200, 1).set_index("finding")
    assert table["no_interval"].tolist()[:2] == ["it is of 2 patients", "it is of one patient"]
    assert table.loc["mean", "no_interval"] == "fewer than 5 patients in 2 of its 2 findings"
    assert table.filter(like="_low").isna().all(axis=None)
    monkeypatch.setattr(bootstrap, "LEAST", 1)  # to see what is drawn
    table = faithfulness.summary(scores, FINDINGS[:3], 200, 1).set_index("finding")
    assert table[["films", "patients"]].to_numpy().tolist() == [[3, 2], [1, 1], [0, 0], [3, 2]]
    assert table["deletion_difference"].tolist() == pytest.approx([-0.3, 0.1, np.nan, -0.1], nan_ok=True)
    assert table["insertion_difference"].tolist() == pytest.approx([0.3, -0.1, np.nan, 0.1], nan_ok=True)
    # p alone: its one film, -0.4; q alone: the mean of its two, -0.25. The mean over findings lacks F1 where p is not.
    assert table.loc[F0, ["deletion_difference_low", "deletion_difference_high"]].tolist() == [-0.4, -0.25]
    assert table.loc["mean", ["deletion_difference_low", "deletion_difference_high"]].tolist() == [-0.25, -0.1]
    assert table.loc[F1].isna().sum() == 4  # one patient makes no interval
    assert table["too_few"].tolist() == [True] * 4


def test_without_a_film_there_is_a_row_of_nothing(tmp_path):
    scored = scored_films(tmp_path, [0], [0.1])
    scores = faithfulness.score_all(scored, [network_that_looks_at(rows_of(0, 5))], 200)
    table = faithfulness.summary(scores, FINDINGS, 100, 1)
    assert table["finding"].tolist() == [*FINDINGS, "mean"]
    assert (table[["films", "patients"]] == 0).all(axis=None)
    assert table.drop(columns=["finding", "films", "patients", "too_few", "no_interval"]).isna().all(axis=None)


def test_members_answer_as_evaluation_did_on_films_of_their_own_size_and_the_blank_is_vals_mean(tmp_path):
    """Five films of gray 1 to 5; those of val are of gray 2, 4 and 5."""
    settings = settings_in(tmp_path)
    params = tiny_params(ENSEMBLE_MEMBERS=["tiny", "xception"], XCEPTION_INPUT_SIZE=71)
    by_member = {}
    for member in params.members("ensemble"):
        size = params.input_size(member)
        prepare(settings, params, range(5), ["test", "val", "test", "val", "val"], size)
        folder = settings.member_dir("ensemble", member)
        folder.mkdir(parents=True)
        network = classifiers.build_classifier("tiny", tiny_params(DENSENET_INPUT_SIZE=size, SEED=size))
        network.save(folder / "model.keras")
        made_from = {"pack": origin(settings.pack(size).with_suffix(".json"), "-"), "split": digest(settings.split_csv)}
        write_json({"made_from": made_from}, folder / "run.json")
        by_member[member] = score_member(settings, params, "ensemble", member, None, str)[0]
    scored = SimpleNamespace(table=by_member["tiny"], means=[dict.fromkeys(("pooled", "nih"))])
    films_of = [(1, 2), (0, 1), (4, 5)]  # row of the table, gray
    networks = faithfulness.networks(settings, params, "ensemble", scored)
    for (member, table), network in zip(by_member.items(), networks, strict=True):
        side = params.input_size(member)
        for row, gray in films_of:
            film, blank = network.film_and_blank(row)
            assert film.shape == blank.shape == (side, side)
            assert (film == gray).all()
            assert (blank == 4).all()  # 11 / 3, rounded
            stored = table.iloc[row][[f"{finding}_prob" for finding in FINDINGS]].astype(float)
            asked = network.probabilities(np.stack([film, blank]))
            assert asked[0] == pytest.approx(stored.to_numpy(), abs=1e-5)
