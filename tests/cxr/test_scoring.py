import pytest

from cxr.artifacts import digest, write_json
from cxr.errors import InputError
from cxr.scoring import score_member
from tests.conftest import prepare, settings_in, tiny_params


@pytest.fixture
def trained(tmp_path):
    """Films, and the record of a member that was trained on them; the model itself is none."""
    settings, params = settings_in(tmp_path), tiny_params()
    prepare(settings, params, [1, 2, 3], ["train", "val", "test"])
    folder = settings.member_dir("ensemble", "tiny")
    folder.mkdir(parents=True)
    (folder / "model.keras").write_bytes(b"no model")
    made_from = {"pack": digest(settings.pack(32).with_suffix(".json")), "split": digest(settings.split_csv)}
    write_json({"made_from": made_from}, folder / "run.json")
    return settings, params, folder, made_from


def test_a_model_is_not_judged_on_films_that_it_may_have_been_trained_on(trained):
    """Another SEED or TEST_FRACTION, and prepare_data.sh, but no training: old training films are in the test now."""
    settings, params, _, _ = trained
    settings.split_csv.write_text(settings.split_csv.read_text().replace("train", "x").replace("test", "train"))
    settings.split_csv.write_text(settings.split_csv.read_text().replace(",x", ",test"))
    with pytest.raises(InputError, match=r"was trained on another split.*Run: sh train_Ensemble.sh"):
        score_member(settings, params, "ensemble", "tiny")


def test_a_model_is_not_judged_on_films_that_were_packed_in_another_way(trained):
    settings, params, folder, made_from = trained
    write_json({"made_from": {**made_from, "pack": "another"}}, folder / "run.json")
    with pytest.raises(InputError, match=r"was trained on other packed films. Run: sh train_Ensemble.sh"):
        score_member(settings, params, "ensemble", "tiny")


def test_the_same_films_and_split_are_no_reason_to_refuse(trained):
    settings, params, _, _ = trained
    with pytest.raises(InputError, match="not a whole Keras model"):
        score_member(settings, params, "ensemble", "tiny")


def test_an_unfinished_run_is_not_scored(trained):
    settings, params, folder, _ = trained
    (folder / "run.json").unlink()
    with pytest.raises(InputError, match=r"run.json: not there yet. Make it with: sh train_Ensemble.sh"):
        score_member(settings, params, "ensemble", "tiny")
