import numpy as np
import pytest
from scipy.special import logit

from cxr.evaluation import predictions
from cxr.new_hospital import flip_risk

TABLE = {"variance": {"Edema": 1.0}, "from": [0.0, 1.0, 2.0], "flips": [0.4, 0.2, 0.0]}


def test_a_new_film_has_the_risk_of_its_row():
    # Two members at margins 1 and 3: mean 2; variance (1 + 1 x 2) / 2 = 1.5; distance 2 / 1.22 = 1.63: the second row.
    # At 0.5 and 0.5: mean 0.5, variance (1 + 0) / 2, distance 0.71: the first. At 4 and 4: 5.7, the third.
    far = np.array([[[1.0], [0.5], [4.0]], [[3.0], [0.5], [4.0]]])
    assert flip_risk.risk(far, TABLE, ["Edema"])[:, 0].tolist() == [0.2, 0.4, 0.0]


def test_each_training_is_left_out_in_turn():
    # Of film one, margins 3, 3 and -1: the others' means are 1, 1 and 3, and each is contradicted but that of (3, -1).
    distances, flipped = flip_risk.left_out(np.array([[[3.0]], [[3.0]], [[-1.0]]]), np.array([1.0]))
    # Variances of pairs: (1 + 8) / 2 of 3 and -1, (1 + 0) / 2 of 3 and 3.
    assert distances.tolist() == pytest.approx([1 / np.sqrt(4.5), 1 / np.sqrt(4.5), 3 / np.sqrt(0.5)])
    assert flipped.tolist() == [False, False, True]


def test_the_fitted_table_falls_with_the_distance_and_holds_on_other_films():
    random = np.random.default_rng(1)

    def trainings():
        return random.normal(0, 2, (1, 3000, 2)) + random.normal(0, 1, (3, 3000, 2))

    table = flip_risk.fit_risk(trainings(), ["Edema", "Mass"])
    assert len(table["from"]) == flip_risk.ROWS
    assert sum(table["pairs"]) == 18000
    assert table["flips"] == sorted(table["flips"], reverse=True)
    for row in flip_risk.check_risk(trainings(), table, ["Edema", "Mass"]):
        assert row["said"] == pytest.approx(row["flips"], abs=0.05)


def members(*probabilities):
    return np.array(probabilities, dtype=np.float32)[:, None, None]


def test_a_member_is_held_against_its_own_threshold_of_the_hospital():
    own = {"a": {"Edema": {"pooled": 0.5, "there": 0.9}}, "b": {"Edema": {"pooled": 0.5, "there": 0.9}}}
    recorded = {**TABLE, "thresholds": own}
    near, reason = flip_risk.of_new_films(members(0.9, 0.9), recorded, ["a", "b"], ["Edema"], "there")
    far, _ = flip_risk.of_new_films(members(0.9, 0.9), recorded, ["a", "b"], ["Edema"], "pooled")
    assert (near.tolist(), far.tolist(), reason) == ([[0.4]], [[0.0]], "")  # logit(0.9) / sqrt(1 / 2) = 3.1
    assert logit(0.9) / np.sqrt(0.5) > 2


@pytest.mark.parametrize(
    ("probabilities", "recorded", "told"),
    [((0.5,), TABLE, "one member only"), ((0.5, 0.6), None, "export the family again")],
    ids=["one member", "old bundle"],
)
def test_where_there_is_no_risk_it_is_said_why(probabilities, recorded, told):
    risk, reason = flip_risk.of_new_films(members(*probabilities), recorded, ["a", "b"], ["Edema"], "pooled")
    assert np.isnan(risk).all()
    assert told in reason


def test_a_family_of_one_member_has_no_table_and_says_so():
    table = predictions.build(["a"], ["a"], ["val"], [[1]], [[0.5]], ["Edema"])
    assert flip_risk.of_family({"a": table}, "f1") is None
    assert "one member only" in flip_risk.of_members({"a": table}, {"a": table}, "f1")["reason"]
