import numpy as np
import pytest

from cxr.core import executors
from cxr.core.artifacts import digest, origin, write_json
from cxr.core.errors import InputError
from cxr.core.parameters import MAP_METHODS
from cxr.evaluation import predictions, scoring
from cxr.evaluation.scoring import score_member
from cxr.networks import classifiers, inference, saved_models
from cxr.preparation import films
from tests.conftest import prepare, settings_in, tiny_params


@pytest.fixture
def trained(tmp_path):
    """Films, and the record of a member that was trained on them; the model itself is none."""
    settings, params = settings_in(tmp_path), tiny_params()
    prepare(settings, params, [1, 2, 3], ["train", "val", "test"])
    folder = settings.member_dir("ensemble", "tiny")
    folder.mkdir(parents=True)
    (folder / "model.keras").write_bytes(b"no model")
    made_from = {"pack": origin(settings.pack(32).with_suffix(".json"), "-"), "split": digest(settings.split_csv)}
    write_json({"made_from": made_from}, folder / "run.json")
    return settings, params, folder, made_from


def test_a_model_is_not_judged_on_films_that_it_may_have_been_trained_on(trained):
    """Another SEED or TEST_FRACTION, and prepare_data.sh, but no training: old training films are in the test now."""
    settings, params, _, _ = trained
    settings.split_csv.write_text(settings.split_csv.read_text().replace("train", "x").replace("test", "train"))
    settings.split_csv.write_text(settings.split_csv.read_text().replace(",x", ",test"))
    with pytest.raises(InputError, match=r"was trained on another split.*Run: sh train_Ensemble.sh"):
        score_member(settings, params, "ensemble", "tiny", None, str)


def test_a_model_is_not_judged_on_films_that_were_packed_in_another_way(trained):
    settings, params, folder, made_from = trained
    write_json({"made_from": {**made_from, "pack": "another"}}, folder / "run.json")
    with pytest.raises(InputError, match=r"was trained on other packed films. Run: sh train_Ensemble.sh"):
        score_member(settings, params, "ensemble", "tiny", None, str)


def test_the_same_films_and_split_are_no_reason_to_refuse(trained):
    settings, params, _, _ = trained
    with pytest.raises(InputError, match="not a whole Keras model"):
        score_member(settings, params, "ensemble", "tiny", None, str)


def test_a_model_of_other_findings_is_refused_by_name(trained):
    settings, params, folder, made_from = trained
    write_json({"made_from": {**made_from, "findings": ["Mass", "Nodule"]}}, folder / "run.json")
    with pytest.raises(InputError, match=r"was trained for Mass, Nodule; FINDINGS in PARAMS.json are Consolidation, "):
        score_member(settings, params, "ensemble", "tiny", None, str)


def test_without_blanked_corners_there_is_no_file_of_that_name(member):
    settings, _, folder = member
    assert score_member(settings, tiny_params(), "ensemble", "tiny", None, str)[1] is not None
    assert (folder / "predictions_blanked.csv").exists()
    assert score_member(settings, tiny_params(BLANK_CORNERS=False), "ensemble", "tiny", None, str)[1] is None
    assert not (folder / "predictions_blanked.csv").exists()


def test_an_unfinished_run_is_not_scored(trained):
    settings, params, folder, _ = trained
    (folder / "run.json").unlink()
    with pytest.raises(InputError, match=r"run.json: not there yet. Make it with: sh train_Ensemble.sh"):
        score_member(settings, params, "ensemble", "tiny", None, str)


@pytest.fixture
def member(tmp_path):
    """A tiny network of random weights, and 23 films: 12 of val, 11 of test."""
    settings, params = settings_in(tmp_path), tiny_params()
    prepare(settings, params, range(1, 24), ["val", "test"] * 11 + ["val"])
    folder = settings.member_dir("ensemble", "tiny")
    folder.mkdir(parents=True)
    classifiers.build_classifier("tiny", params).save(folder / "model.keras")
    made_from = {"pack": origin(settings.pack(32).with_suffix(".json"), "-"), "split": digest(settings.split_csv)}
    write_json({"made_from": made_from}, folder / "run.json")
    return settings, params, folder


def test_probabilities_and_maps_are_those_of_the_network_row_by_row_and_whole_shards_change_nothing(
    member, monkeypatch
):
    settings, params, folder = member
    _, pack = films.load_films(settings, params, 32)
    network = inference.scorer(saved_models.load_model(folder / "model.keras", 32, "-"), params)
    probabilities, maps = inference.score(network, pack, np.arange(23), params)
    for batches in (16, 2):  # all at once; shards of 8 films
        monkeypatch.setattr(scoring, "SHARD", batches)
        (folder / "predictions.json").unlink(missing_ok=True)
        table, without = score_member(settings, params, "ensemble", "tiny", None, str)
        np.testing.assert_array_equal(predictions.arrays(table)[1].astype(np.float32), probabilities)
        for method in MAP_METHODS:
            written = np.load(settings.cams("ensemble", "tiny", method))
            assert written.dtype == np.float16
            np.testing.assert_array_equal(written, maps[method])
        assert len(without) == 11
    assert np.ptp(probabilities, axis=0).max() > 1e-3  # films can be told apart


def test_backward_passes_are_made_only_where_hirescam_is_asked_for_and_its_old_maps_never_stay(member):
    settings, params, _ = member
    cheap = tiny_params(MAP_METHOD="gradcam")
    inner = settings.cams("ensemble", "tiny", "hirescam")
    score_member(settings, cheap, "ensemble", "tiny", None, str)
    assert not inner.exists()
    score_member(settings, params, "ensemble", "tiny", None, str)
    maps = np.load(inner)
    score_member(settings, cheap, "ensemble", "tiny", None, str)
    assert not inner.exists()  # visualise would take them for those of the network that is there now
    score_member(settings, params, "ensemble", "tiny", None, str)
    np.testing.assert_array_equal(np.load(inner), maps)


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (3, [3]), (64, [64]), (67, [67]), (68, [64, 4]), (131, [64, 67])]
)
def test_shards_are_whole_batches_but_for_the_last_which_is_never_less_than_one(count, sizes):
    params, rows = tiny_params(SCORE_BATCH_SIZE=4), np.arange(count)
    shards = scoring._shards(rows, params)
    assert [len(part) for _, part in shards] == sizes
    assert all((part == rows[first : first + len(part)]).all() for first, part in shards)


@pytest.mark.parametrize("count", [3, 4, 9])
def test_a_batch_that_is_filled_up_gives_what_its_films_give(member, count):
    settings, params, folder = member
    params = tiny_params(SCORE_BATCH_SIZE=4, TEST_TIME_AUGMENTATION=True)
    _, pack = films.load_films(settings, params, 32)
    network = inference.scorer(saved_models.load_model(folder / "model.keras", 32, "-"), params)
    probabilities, maps = inference.score(network, pack, np.arange(count), params)
    alone = [inference.score(network, pack, np.array([row]), params) for row in range(count)]
    np.testing.assert_allclose(probabilities, np.concatenate([one for one, _ in alone]), atol=1e-6)
    for method in MAP_METHODS:
        np.testing.assert_allclose(maps[method], np.concatenate([one[method] for _, one in alone]), atol=1e-3)


def test_shuffled_weights_are_not_kept_for_the_next_scoring(member):
    settings, params, folder = member
    first, _ = score_member(settings, params, "ensemble", "tiny", None, str)
    (folder / "predictions.json").unlink()
    second, _ = score_member(settings, params, "ensemble", "tiny", None, str)
    assert first.equals(second)


def test_no_scheduler_is_needed_where_the_scores_are_up_to_date(member, monkeypatch):
    settings, params, _ = member
    score_member(settings, params, "ensemble", "tiny", None, str)
    monkeypatch.setattr(executors, "SCHEDULER_SECONDS", 1)
    said = []
    score_member(settings, params, "ensemble", "tiny", "tcp://127.0.0.1:9", said.append)
    assert "up to date" in said[0]
