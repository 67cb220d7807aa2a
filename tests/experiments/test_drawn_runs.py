"""What drawn films are worth: folds, shares of patients, and runs that go on where they stopped."""

import json

import numpy as np
import pytest

from cxr.core.configuration import InputError
from cxr.experiments import drawn_runs
from cxr.experiments.drawn_runs import Run, folds_of
from tests.conftest import TINY, load_script, prepare, settings_in, tiny_params

FIRST = {"none": "none", "drawn": {"films": 20}}


class Network:
    """Stands for a network: says the share of the training films of each pixel's finding, and notes what it does."""

    def __init__(self):
        self.trained = []

    def train(self, first, pack, rows, image_ids, truth, seed):
        self.trained.append((first, sorted(set(rows)), len(rows), seed))
        assert len(set(image_ids)) == len(rows)

    def probabilities(self, pack, rows, weights=None):
        return np.full((len(rows), 6), 0.25)


def arguments(*given):
    return drawn_runs.parser("-").parse_args(["drawn", *given])


@pytest.fixture
def settings(tmp_path):
    settings, labels = settings_in(tmp_path), np.zeros((40, 6))
    labels[:10, 0] = labels[5:10, 1] = 1
    prepare(settings, tiny_params(), range(1, 41), ["train"] * 24 + ["val"] * 6 + ["test"] * 10, labels=labels)
    return settings


def planned(settings, *given, **changes):
    return drawn_runs.plan(arguments(*given), settings, tiny_params(**changes), "tiny", FIRST)


def test_folds_hold_whole_patients_and_as_many_positives_each():
    truth = np.zeros((60, 2))
    truth[:10, 0] = truth[8:13, 1] = 1
    patients = np.array([f"p{number}" for number in [*range(50), *range(10)]])  # the first ten have a second film
    truth[50:] = truth[:10]
    folds = folds_of(truth, patients, 5, 1)
    np.testing.assert_array_equal(folds[50:], folds[:10])
    for number in range(1, 6):
        own = truth[folds == number]
        assert own.sum(axis=0)[0] == 4
        assert own.sum(axis=0)[1] in (1, 2)
        assert len(own) == 12
    assert (folds != folds_of(truth, patients, 5, 2)).any()


def test_runs_stand_side_by_side_fold_by_fold_after_the_one_that_sees_no_real_film(settings):
    plan = planned(settings, "--seeds", "3", "4", "--folds", "2", "1", "--percent", "10", "100")
    names = [run.name for run in plan.runs]
    assert names[:6] == ["drawn_0_1_0", "none_10_3_1", "drawn_10_3_1", "none_100_3_1", "drawn_100_3_1", "none_10_3_2"]
    assert len(names) == 1 + 2 * 2 * 2 * 2
    assert plan.tested(plan.runs[0]).sum() == plan.tested(plan.runs[1]).sum() + plan.tested(plan.runs[5]).sum() == 16


def test_fewer_patients_are_among_more_and_none_of_them_is_tested(settings):
    plan = planned(settings)
    few, more, whole = (set(plan.trained(Run("none", percent, 1, 2)).tolist()) for percent in (1, 10, 100))
    assert few < more < whole
    assert [len(few), len(more), len(whole)] == [1, 3, 32]
    assert not whole & set(np.flatnonzero(plan.tested(Run("none", 1, 1, 2))).tolist())
    assert few != set(plan.trained(Run("none", 1, 2, 2)).tolist())
    np.testing.assert_array_equal(plan.trained(Run("drawn", 10, 1, 2)), sorted(more))


def test_the_split_of_the_project_is_tested_where_it_is_asked_for(settings):
    plan = planned(settings, "--test", "split")
    assert {run.fold for run in plan.runs if run.percent} == {1}
    assert plan.films["split"][plan.tested(plan.runs[1])].tolist() == ["test"] * 10
    assert plan.films["split"].iloc[plan.trained(Run("none", 100, 1, 1))].tolist() == ["train"] * 24


def test_few_films_are_passed_over_more_often(settings):
    plan, params = planned(settings), tiny_params(EPOCHS=5, BATCH_SIZE=16)
    # 60 steps of 16 films in 5 epochs: 192 films an epoch
    assert [plan.passes(Run("none", percent, 1, 1), params) for percent in (1, 10, 100)] == [192, 64, 6]
    assert plan.steps(Run("none", 1, 1, 1), params) == 60
    assert plan.steps(Run("drawn", 0, 1, 0), params) == 0


def test_a_run_is_done_once_and_again_where_its_first_weights_are_others(settings):
    params, network = tiny_params(), Network()
    plan = planned(settings, "--folds", "1", "--percent", "100")
    without, run, _ = plan.runs[:3]
    for each in (without, run):
        assert not drawn_runs.step_of(each, plan, params).is_current()
        drawn_runs.finish(each, plan, params, network, ["first weights"])
        assert drawn_runs.step_of(each, plan, params).is_current()
    ((first, rows, passed, seed),) = network.trained
    assert (first, len(rows), passed, seed) == (["first weights"], 32, 32 * plan.passes(run, params), 1)
    other = drawn_runs.plan(arguments("--folds", "1"), settings, params, "tiny", {**FIRST, "drawn": {"films": 30}})
    assert drawn_runs.step_of(run, other, params).is_current()
    assert not drawn_runs.step_of(without, other, params).is_current()
    assert not drawn_runs.step_of(run, plan, tiny_params(LEARNING_RATE=0.5)).is_current()
    finer = planned(settings, "--folds", "1", "--percent", "100", OUTPUT_STRIDE=16)
    assert not drawn_runs.step_of(run, finer, params).is_current()


def test_shares_that_are_none_and_a_split_without_test_films_are_refused(settings, tmp_path):
    with pytest.raises(InputError, match="--percent: expected shares above 0, at most 100; found"):
        planned(settings, "--percent", "0")
    prepare(settings, tiny_params(), range(1, 41), ["train"] * 30 + ["val"] * 10)
    with pytest.raises(InputError, match=r"split\.csv: expected films of train and of test\. Name --test folds"):
        planned(settings, "--test", "split")


def test_the_script_makes_its_runs_once_and_its_tables_each_time(settings, capsys):
    folder = settings.models_dir.parent
    (folder / "PARAMS.json").write_text(json.dumps(TINY | {"DRAWN_FILMS": 20, "DRAWN_EPOCHS": 1}))
    main = load_script("src/experiments/drawn.py").main
    given = ["drawn", "--first", "none", "drawn", "--percent", "100", "--seeds", "1", "--folds", "1"]
    given += [f"--{name.lower()}={folder / name}.json" for name in ("SETTINGS", "PARAMS")]
    main(given)
    said = capsys.readouterr().out
    assert "drawn: 0 of 3 runs are finished" in said
    assert "3 of 3: first weights drawn, 100 % of the patients, seed 1, fold 1" in said
    assert {path.name for path in (settings.models_dir / "experiments").iterdir()} == {
        "drawn_tiny", "drawn_tiny.md", "drawn_tiny.json", "drawn_tiny.png",
    }  # fmt: skip
    main(given)
    said = capsys.readouterr().out
    assert "drawn: 3 of 3 runs are finished" in said
    assert "learns from" not in said
