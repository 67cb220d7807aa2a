"""What drawn films are worth: AUROCs and their differences worked out by hand, and a verdict in words."""

import numpy as np
import pandas as pd
import pytest

from cxr.core.artifacts import write_csv
from cxr.evaluation.predictions import prob_columns
from cxr.experiments import drawn_results, drawn_runs
from cxr.experiments.drawn_results import MEAN, as_markdown, collect
from tests.conftest import prepare, settings_in, tiny_params

PARAMS = tiny_params(BOOTSTRAP_REPLICATES=50)
LABELS = np.tile([[1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1]], (30, 1))


@pytest.fixture
def planned(tmp_path):
    settings = settings_in(tmp_path)
    prepare(settings, PARAMS, range(1, 61), ["train"] * 30 + ["val"] * 10 + ["test"] * 20, labels=LABELS)
    given = drawn_runs.parser("-").parse_args(["drawn", "--seeds", "1", "2", "--folds", "1", "2", "--percent", "100"])
    return drawn_runs.plan(given, settings, PARAMS, "tiny", {"none": "none", "drawn": "drawn"})


def finish(run, plan, scores):
    """What a run leaves that gives these scores (n, 6) to the films that it is tested on."""
    step = drawn_runs.step_of(run, plan, PARAMS)
    table = pd.DataFrame(scores, columns=prob_columns(PARAMS.findings))
    table.insert(0, "image_id", plan.films["image_id"].to_numpy()[plan.tested(run)])
    write_csv(table, plan.folder / f"{run.name}.csv")
    step.finish()


def scores_of(plan, run, right):
    """Perfect scores; or constant ones, which rank nothing. Of fold 2 on another scale."""
    truth = plan.truth[plan.tested(run)]
    return (truth if right else np.full(truth.shape, 0.5)) / max(run.fold, 1) / 10


def test_drawn_first_weights_that_rank_all_films_are_better_by_a_half_and_the_tables_say_so(planned):
    for run in planned.runs:
        finish(run, planned, scores_of(planned, run, right=run.first == "drawn"))
    without, whole = collect(planned, PARAMS)
    assert (without["percent"], whole["percent"], whole["seeds"], whole["folds"]) == (0, 100, [1, 2], [1, 2])
    assert whole["films"] == without["films"] == 24
    assert whole["trained_patients"] == 48
    assert set(without["rows"][MEAN]) == {"drawn"}
    values = whole["rows"][MEAN]
    assert (values["none"]["auroc"], values["drawn"]["auroc"]) == (0.5, 1.0)  # folds are not of one scale
    assert values["drawn"]["difference"] == 0.5
    text = as_markdown("tiny", planned, [without, whole], [])
    assert "| 100 %: 48 (48) | 24 | 1 2 | 0.500 (0.500 0.500) | 1.000 (1.000 1.000) | +0.500 (+0.500 +0.500) |" in text
    assert "Edema | 12/24" in text


def test_a_difference_whose_interval_holds_0_is_not_told_apart(planned):
    random = np.random.default_rng(3)
    for run in planned.runs:
        finish(run, planned, random.random((planned.tested(run).sum(), 6)))
    text = as_markdown("tiny", planned, collect(planned, PARAMS), ["Without imagenet."])
    said = "With 100 % of the real training patients, first weights drawn against random: **not told apart**, "
    assert said in text
    assert "Without imagenet." in text


@pytest.mark.parametrize("waiting", [1, 2])
def test_seeds_whose_folds_are_not_all_finished_wait(planned, waiting):
    assert "No run is finished" in as_markdown("tiny", planned, collect(planned, PARAMS), [])
    for run in planned.runs:
        if run.percent and (run.seed, run.fold) != (waiting, 2):
            finish(run, planned, scores_of(planned, run, right=True))
    (share,) = collect(planned, PARAMS)
    assert (share["seeds"], share["folds"]) == ([3 - waiting], [1, 2])


def test_the_curve_has_a_line_for_each_of_the_first_weights(planned, tmp_path):
    for run in planned.runs:
        finish(run, planned, scores_of(planned, run, right=True))
    shares = collect(planned, PARAMS)
    figure = drawn_results.curve(shares, planned.firsts, "First weights of tiny")
    (axes,), (legend,) = figure.axes, figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "random first weights", "drawn first weights", "chance",
    ]  # fmt: skip
    assert [text.get_text() for text in axes.get_xticklabels()] == ["no real film", "100 %\n48 patients"]
    drawn_results.save_curve(shares, planned.firsts, "-", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
