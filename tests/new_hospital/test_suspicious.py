import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import InputError
from cxr.evaluation import predictions
from cxr.new_hospital import suspicious


def table(ids, truth, probabilities, split="test"):
    return predictions.build(ids, ids, [split] * len(ids), np.c_[truth], np.c_[probabilities], ["Edema"])


def test_a_film_of_several_files_has_the_mean_of_their_logits():
    first, second = table(["a", "b"], [1, 0], [0.8, 0.5]), table(["a", "c"], [1, 0], [0.2, 0.9])
    films = suspicious.gathered([first, second], ["one", "two"])
    assert films["image_id"].tolist() == ["a", "b", "c"]
    assert films["Edema_prob"].tolist() == pytest.approx([0.5, 0.5, 0.9])  # logits of 0.8 and 0.2 cancel


def test_films_of_train_are_left_out():
    both = pd.concat([table(["a"], [1], [0.9], "train"), table(["b"], [0], [0.1])])
    assert suspicious.gathered([both], ["one"])["image_id"].tolist() == ["b"]
    with pytest.raises(InputError, match="all films are of train, whose labels the network has seen"):
        suspicious.gathered([table(["a"], [1], [0.9], "train")], ["one"])


def test_files_that_contradict_each_other_are_refused():
    with pytest.raises(InputError, match="a: Edema_true differs between the files"):
        suspicious.gathered([table(["a"], [1], [0.9]), table(["a"], [0], [0.9])], ["one", "two"])


def test_no_patient_speaks_for_its_own_label():
    # A feature that is the patient's own name tells its label only to who has seen the patient.
    patients = np.repeat([f"p{i}" for i in range(60)], 2)
    features = np.repeat(np.eye(60), 2, axis=0)
    truth = np.repeat(np.arange(60) % 2, 2).astype(float)[:, None]
    probabilities = suspicious.cross_fitted(features, truth, patients)
    assert np.abs(probabilities - 0.5).max() < 0.25


def test_a_flipped_label_is_the_first_in_the_list():
    random = np.random.default_rng(0)
    truth = (np.arange(200) % 2).astype(float)
    features = (truth + random.normal(0, 0.2, 200))[:, None]
    noisy = truth.copy()
    noisy[[10, 77]] = 1 - noisy[[10, 77]]
    ids = [f"film{i}" for i in range(200)]
    probabilities = suspicious.cross_fitted(features, noisy[:, None], ids)
    labels = suspicious.ranked(table(ids, noisy, np.full(200, 0.5)), probabilities)
    assert set(labels["image_id"].head(2)) == {"film10", "film77"}
    assert labels["confident"].head(2).tolist() == [1, 1]


def test_disagreement_is_one_minus_the_probability_of_the_label_as_given():
    # Positives have a mean probability of (0.9 + 0.3) / 2 = 0.6; negatives one of being it of (0.8 + 0.4) / 2 = 0.6.
    labels = suspicious.ranked(
        table(list("abcd"), [1, 1, 0, 0], [0.5] * 4), np.array([[0.9], [0.3], [0.2], [0.6]])
    ).set_index("image_id")
    assert labels["disagreement"].to_dict() == pytest.approx({"b": 0.7, "d": 0.6, "c": 0.2, "a": 0.1})
    assert labels["confident"].to_dict() == {"b": 1, "d": 1, "c": 0, "a": 0}
    assert suspicious.first_of_each(labels.reset_index(), 1)[["image_id", "rank"]].to_numpy().tolist() == [["b", 1]]


def test_a_label_that_is_not_known_or_of_one_kind_only_cannot_be_doubted():
    labels = suspicious.ranked(table(list("abc"), [1, 0, np.nan], [0.5] * 3), np.array([[0.9], [0.3], [0.2]]))
    assert set(labels["image_id"]) == {"a", "b"}
    with pytest.raises(InputError, match="no label can be doubted"):
        suspicious.ranked(table(list("ab"), [1, 1], [0.5] * 2), np.array([[0.9], [0.3]]))
