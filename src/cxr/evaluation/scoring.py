"""Scores one member on val and test: predictions, maps, and how both take blanked corners and shuffled weights."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core import executors
from cxr.core.artifacts import digest, need, origin, read_json, write_csv
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.parameters import MAP_METHODS, Params
from cxr.core.progress import progress
from cxr.core.settings import Settings
from cxr.core.steps import Step
from cxr.evaluation import predictions
from cxr.imaging.geometry import blank_corners
from cxr.preparation import packs
from cxr.preparation.films import AFFINE, load_films
from cxr.tables import schema

SHARD = 16  # batches scored at a time: their maps are written before the next ones are made


def score_member(
    settings: Settings, params: Params, family: str, member: str, scheduler: str | None = None, echo: Callable = print
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of val and test, and of test with blanked corners; made anew only where what they hang on changed.

    Writes predictions.csv, predictions_blanked.csv, randomisation.csv and the maps of every method into the member's
    folder. With a scheduler the workers of its cluster do the work.

    Raises
    ------
    InputError
        The model is not trained, or was trained on another split or pack than those in force; no such scheduler.
    """
    folder, size = settings.member_dir(family, member), params.input_size(member)
    films, _ = load_films(settings, params, size)
    made_by = f"sh train_{family.capitalize()}.sh"
    record = read_json(folder / "run.json", made_by)  # written last: without it the model is of an unfinished run
    model_path = need(folder / "model.keras", made_by)
    inputs = {
        "model": digest(model_path),
        "pack": origin(settings.pack(size).with_suffix(".json"), "sh prepare_data.sh"),
        "split": digest(settings.split_csv),
    }
    for name, what in {
        "split": "another split: its films may be in the test now",
        "pack": "other packed films",
    }.items():
        if record.get("made_from", {}).get(name) != inputs[name]:
            raise InputError(f"{model_path}: was trained on {what}. Run: {made_by}")
    written = [folder / name for name in ("predictions.csv", "predictions_blanked.csv", "randomisation.csv")]
    cams = {method: settings.cams(family, member, method) for method in MAP_METHODS}
    step = Step(
        folder / "predictions.json",
        inputs,
        {
            "TEST_TIME_AUGMENTATION": params.evaluation.test_time_augmentation,
            "BLANK_CORNERS": params.evaluation.blank_corners,
            "PRECISION": params.training.precision,
            "SEED": params.general.seed,
        },
        [*written, *cams.values()],
    )
    if step.is_current():
        echo(f"{written[0]}: up to date")
        return predictions.read(written[0]), predictions.read(written[1])
    step.begin()
    rows = films["split"].isin(["val", "test"]).to_numpy().nonzero()[0]
    test = films["split"].eq("test").to_numpy().nonzero()[0]
    pack = settings.pack(size)
    record = digest(pack.with_suffix(".json"))
    scoring = Scoring(str(model_path), inputs["model"], str(pack), record, size, made_by, params)
    # Two threads here: one reads films or writes maps while the other has the network.
    with executors.cluster(scheduler) if scheduler else executors.threads(2) as pool:
        device, grid = pool.executor.submit(describe, scoring).result()
        echo(f"{member}: scoring {len(rows)} films; {device}")
        table = _table(films, rows, _score(scoring, rows, grid, cams, pool))
        without = table[table["split"] == "test"].reset_index(drop=True)
        if params.evaluation.blank_corners:
            without = _table(films, test, _score_blanked(scoring, films, test, pool))
        looked_at = pool.executor.submit(randomise, scoring, test if len(test) else rows).result()
    predictions.write(without, written[1])
    write_csv(looked_at, written[2])
    predictions.write(table, written[0])
    step.finish()
    return table, without


@dataclass(frozen=True)
class Scoring:
    """What all films of one member share: its model and the pack at its size, and the parameters.

    pack_digest: of the pack's record, another one whenever the file is another one.
    """

    model: str
    model_digest: str
    pack: str
    pack_digest: str
    size: int
    made_by: str
    params: Params


@dataclass(frozen=True)
class ScoreShard:
    """Rows of a pack, from ``first`` on among all that are scored.

    places: (n, 6) affine, width and height of films whose corners are to be blanked. maps: (method, path) of arrays
    (N, 6, h, w) to write maps into.
    """

    first: int
    rows: np.ndarray
    places: np.ndarray | None = None
    maps: tuple[tuple[str, str], ...] = ()


def _networks(scoring: Scoring) -> tuple[Any, Any, str]:
    """Classifier, the network that gives its probabilities and maps, and what it runs on; loaded once a process."""

    def load():
        from cxr.networks import backend, inference, saved_models

        device = backend.start(scoring.params)
        model = saved_models.load_model(Path(scoring.model), scoring.size, scoring.made_by)
        return model, inference.scorer(model, scoring.params), device

    return executors.kept("classifier", (scoring.model_digest, scoring.params.training.precision), load)


def _pack(scoring: Scoring) -> np.ndarray:
    key = scoring.pack, scoring.pack_digest
    return executors.kept("pack", key, lambda: packs.open_pack(Path(scoring.pack), "sh prepare_data.sh"))


def describe(scoring: Scoring) -> tuple[str, tuple[int, int]]:
    """What the network runs on, and the sides (h, w) of its maps."""
    _, network, device = _networks(scoring)
    return device, tuple(network.output_shape[1][1:3])


def score_shard(shard: ScoreShard, scoring: Scoring) -> np.ndarray:
    """Probabilities (n, 6) of a shard, whose maps are written at their rows. Twice does no harm."""
    from cxr.networks import inference

    _, network, _ = _networks(scoring)
    pack, rows = _pack(scoring), shard.rows
    if shard.places is not None:
        pack = np.stack([blank_corners(pack[row], at[:4], *at[4:]) for row, at in zip(rows, shard.places, strict=True)])
        rows = np.arange(len(rows))
    probabilities, maps = inference.score(network, pack, rows, scoring.params)
    for method, path in shard.maps:
        packs.write_rows(Path(path), shard.first, maps[method])
    return probabilities


def randomise(scoring: Scoring, rows: np.ndarray) -> pd.DataFrame:
    """`inference.randomisation` of rows of the pack; the classifier, which it spoils, is loaded anew afterwards."""
    from cxr.evaluation import randomisation

    model, network, _ = _networks(scoring)
    executors.forget("classifier")
    return randomisation.randomisation(network, model, _pack(scoring), rows, scoring.params)


def _score(scoring: Scoring, rows: np.ndarray, grid: tuple[int, int], cams: dict[str, Path], pool) -> np.ndarray:
    """Probabilities (n, 6); the maps of every method, (n, 6, h, w) float16, go into their files."""
    shape = (len(rows), len(FINDINGS), *grid)
    with contextlib.ExitStack() as stack:
        maps = tuple(
            (method, str(stack.enter_context(packs.written_array(path, shape, np.float16))))
            for method, path in cams.items()
        )
        shards = [ScoreShard(first, part, maps=maps) for first, part in _shards(rows, scoring.params)]
        return _gathered(scoring, shards, len(rows), "scoring", pool)


def _score_blanked(scoring: Scoring, films: pd.DataFrame, rows: np.ndarray, pool) -> np.ndarray:
    """Probabilities (n, 6) of films without their corners."""
    places = films[[*AFFINE, "width", "height"]].to_numpy()
    shards = [ScoreShard(first, part, places[part]) for first, part in _shards(rows, scoring.params)]
    return _gathered(scoring, shards, len(rows), "without corners", pool)


def _shards(rows: np.ndarray, params: Params) -> list[tuple[int, np.ndarray]]:
    """(first, rows) of shards: whole batches, so that numbers do not hang on how films are cut into shards.

    What is left for less than a batch goes with the last shard: on its own it would be compiled anew.
    """
    batch, films = params.evaluation.score_batch_size, len(rows)
    firsts = [*range(0, max(min(films, 1), films - batch + 1), SHARD * batch)]
    return list(zip(firsts, np.split(rows, firsts[1:]), strict=False))  # no film: no shard, of one empty part


def _gathered(scoring: Scoring, shards: Sequence[ScoreShard], films: int, what: str, pool) -> np.ndarray:
    found = [np.zeros((0, len(FINDINGS)), np.float32)]
    with progress(None, films, what) as bar:
        for part in executors.in_order(functools.partial(score_shard, scoring=scoring), shards, pool):
            found.append(part)
            bar.update(len(part))
    return np.concatenate(found)


def _table(films: pd.DataFrame, rows: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    chosen = films.iloc[rows]
    return predictions.build(
        chosen["image_id"], chosen["patient_id"], chosen["split"], schema.label_array(chosen), probabilities
    )
