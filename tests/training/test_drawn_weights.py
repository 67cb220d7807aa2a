"""First weights from drawn films: made once, kept with a record, given to a member; what cannot be drawn is told."""

import numpy as np
import pytest

from cxr.core.artifacts import digest, read_json
from cxr.core.errors import Ended, InputError
from cxr.networks import saved_models
from cxr.networks.backend import keras
from cxr.training import drawn_weights, time_limit
from cxr.training.classifier_training import identity_of, train_member
from tests.conftest import prepare, settings_in, tiny_params

FEW = {"WEIGHTS": "drawn", "DRAWN_FILMS": 20, "DRAWN_EPOCHS": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which a member was trained from drawn weights at a rate of next to nothing; and what was said."""
    settings, said = settings_in(tmp_path_factory.mktemp("drawn")), []
    params = tiny_params(LEARNING_RATE=1e-12, DROPOUT=0.0, **FEW)
    labels = np.arange(8)[:, None] % 2 * np.ones((8, 6))
    prepare(settings, params, range(1, 9), ["train"] * 4 + ["val"] * 4, labels=labels)
    train_member(settings, params, "ensemble", "tiny", said.append)
    return settings, params, said


def test_it_ends_within_the_hours_that_one_has_and_goes_on(tmp_path):
    settings, params, said = settings_in(tmp_path), tiny_params(**FEW | {"DRAWN_EPOCHS": 3}), []
    limit = time_limit.TimeLimit(None, "the command")

    def say(line):
        said.append(line)
        if line.startswith("  epoch 1:"):
            limit.asked = "SIGUSR1"

    told = "asked to by SIGUSR1; epoch 1 of 3 of tiny on drawn films is whole and kept. Go on with: the command"
    with pytest.raises(Ended, match=told):
        drawn_weights.network(settings, params, "tiny", say, limit)
    with pytest.raises(InputError, match=r"^DRAWN_EPOCHS is 4, and .* 1 epoch of a run of 3.*train anew\.$"):
        drawn_weights.network(settings, tiny_params(**FEW | {"DRAWN_EPOCHS": 4}), "tiny", said.append)
    assert limit.advanced  # exit status 6, and not 2, at which a chain of jobs would end
    drawn_weights.network(settings, params, "tiny", said.append)
    assert "  resumed after epoch 1" in said


def test_a_network_of_drawn_films_that_diverges_says_so_and_not_its_rate_which_is_its_own(tmp_path, monkeypatch):
    def predictor(model, pack, rows, params):
        return lambda: np.full((len(rows), 6), np.nan)

    monkeypatch.setattr(drawn_weights.inference, "predictor", predictor)
    with pytest.raises(InputError, match=r'drawn films diverged.* set "PRECISION": "float32", or name other'):
        drawn_weights.network(settings_in(tmp_path), tiny_params(**FEW), "tiny", lambda _: None)


def test_a_member_is_trained_in_its_own_precision_whatever_the_drawn_network_s_is(tmp_path, monkeypatch):
    settings, seen = settings_in(tmp_path), []
    params = tiny_params(**FEW | {"PRECISION": "mixed_bfloat16"})
    prepare(settings, params, range(1, 9), ["train"] * 4 + ["val"] * 4, labels=np.arange(8)[:, None] % 2 * np.ones(6))

    def network(*_):
        keras.config.set_dtype_policy("float32")  # it was begun where there is no half precision
        return tmp_path / "-"

    monkeypatch.setattr(drawn_weights, "network", network)
    monkeypatch.setattr(drawn_weights, "load_into", lambda *_: seen.append(keras.config.dtype_policy().name))
    try:
        train_member(settings, params, "ensemble", "tiny", lambda _: None)
    finally:
        keras.config.set_dtype_policy("float32")
    assert seen == ["mixed_bfloat16"]


def test_what_cannot_be_trained_is_refused_before_hours_of_drawn_films(tmp_path, monkeypatch):
    settings, params = settings_in(tmp_path), tiny_params(**FEW)
    prepare(settings, params, range(1, 9), ["train"] * 8)
    monkeypatch.setattr(drawn_weights, "network", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(InputError, match="8 films for training and 0 for validation"):
        train_member(settings, params, "ensemble", "tiny", print)


def kernels(path):
    """All weights but those that batch normalisation takes from films."""
    model = saved_models.load_model(path, 32, "train.py")
    return [weight.numpy() for weight in model.trainable_variables]


def test_a_member_begins_with_what_the_network_of_drawn_films_learned(made):
    settings, _, said = made
    drawn, member = settings.member_dir("drawn", "tiny"), settings.member_dir("ensemble", "tiny")
    for one, other in zip(kernels(drawn / "model.keras"), kernels(member / "model.keras"), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8)
    assert "first weights: tiny at 32 px learns from 20 drawn films in 1 epoch, no real one among them" in said[0]


def test_its_record_says_what_it_was_made_with(made):
    settings, _, _ = made
    record = read_json(settings.member_dir("drawn", "tiny") / "run.json", "-")
    assert record["made_from"]["drawn_films"] == 20
    assert (record["seed"], record["epochs"], record["model"]) == (
        1, 1, digest(settings.member_dir("drawn", "tiny") / "model.keras"),
    )  # fmt: skip
    assert {"keras", "numpy"} <= record["versions"].keys()


def test_it_is_made_once(made):
    settings, params, _ = made
    before, said = digest(settings.member_dir("drawn", "tiny") / "model.keras"), []
    path = drawn_weights.network(settings, params, "tiny", said.append)
    assert (digest(path), said) == (before, [f"{path}: learned from drawn films, up to date"])


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"EPOCHS": 7, "LEARNING_RATE": 0.5, "FLIP": 0.5, "FREEZE": 1}, True),  # of the training on real films
        ({"FREEZE_LEARNING_RATE": 0.5, "PLATEAU_PATIENCE": 7, "PLATEAU_FACTOR": 0.9}, True),
        ({"DRAWN_FILMS": 21}, False),
        ({"SEED": 2}, False),
        ({"LUNG_MASKING": "crop"}, False),
        ({"FINDINGS": ["Edema"]}, False),
    ],
)
def test_it_is_made_again_where_what_it_depends_on_changed(made, changes, same):
    params = tiny_params(**FEW | changes)
    plain = tiny_params(**FEW)
    identities = [drawn_weights.identity_of(given, "tiny") for given in (plain, params)]
    assert (identities[0] == identities[1]) is same
    if not same and "FINDINGS" not in changes and "LUNG_MASKING" not in changes:
        first = [identity_of(made[0], given, "tiny")["first_weights"] for given in (plain, params)]
        assert first[0] != first[1]


def test_findings_that_cannot_be_drawn_are_named_and_none_alone_is_refused():
    assert drawn_weights.not_drawable(["Edema", "Hernia"]) == ["Hernia"]
    with pytest.raises(InputError, match=r'WEIGHTS: "drawn": none of FINDINGS \(Hernia\) can be drawn; these can: '):
        drawn_weights.not_drawable(["Hernia"])
