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
from cxr.core.artifacts import Step, digest, need, origin, read_json, write_csv
from cxr.core.errors import InputError, counted
from cxr.core.parameters import Params
from cxr.core.progress import progress
from cxr.core.settings import Settings
from cxr.evaluation import predictions
from cxr.imaging.geometry import AFFINE, blank_corners
from cxr.preparation import packs
from cxr.preparation.films import load_films
from cxr.tables import schema

SHARD = 16  # batches scored at a time: their maps are written before the next ones are made


def score_member(
    settings: Settings, params: Params, family: str, member: str, scheduler: str | None, say: Callable[[str], None]
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Predictions of val and test, and of test with blanked corners (None where BLANK_CORNERS is false).

    Writes predictions.csv, predictions_blanked.csv, randomisation.csv and the maps of every method into the member's
    folder, again only where what they depend on changed. With a scheduler the workers of its cluster do the work.

    Raises
    ------
    InputError
        The model is not trained, or was trained on another split or pack, or for other findings, than those in force;
        no such scheduler.
    """
    films, _ = load_films(settings, params, params.input_size(member))
    scoring = scoring_of(settings, params, family, member)
    written = _written(settings, params, family, member)
    step = _step(scoring, settings.member_dir(family, member), settings, written)
    if step.is_current():
        say(f"{written['predictions.csv']}: up to date")
    else:
        step.begin()
        _score_and_write(scoring, films, written, scheduler, say)
        step.finish()
    blanked = written.get("predictions_blanked.csv")
    return predictions.read(written["predictions.csv"]), predictions.read(blanked) if blanked else None


def scoring_of(settings: Settings, params: Params, family: str, member: str) -> "Scoring":
    """What all films of a member share, after the check that its model is of the data and findings in force."""
    folder, size, made_by = settings.member_dir(family, member), params.input_size(member), train_command(family)
    record = read_json(folder / "run.json", made_by)  # written last: without it the model is of an unfinished run
    model, pack = need(folder / "model.keras", made_by), settings.pack(size)
    made_from = record.get("made_from", {})
    remedy = f"run: sh prepare_data.sh, {made_by}"
    refuse_other_findings(f"{model}: was trained for", made_from.get("findings"), params, remedy)
    in_force = {"pack": origin(pack.with_suffix(".json"), "sh prepare_data.sh"), "split": digest(settings.split_csv)}
    reasons = {"pack": "other packed films", "split": "another split: its films may be in the test now"}
    for name, value in in_force.items():
        if made_from.get(name) != value:
            raise InputError(f"{model}: was trained on {reasons[name]}. Run: {made_by}")
    return Scoring(str(model), digest(model), str(pack), digest(pack.with_suffix(".json")), size, made_by, params)


def train_command(family: str) -> str:
    return f"sh train_{family.capitalize()}.sh"


def refuse_other_findings(what: str, findings: Sequence[str] | None, params: Params, remedy: str) -> None:
    """Raise an InputError where something is of other findings than PARAMS.json asks for, or in another order.

    ``what``: the file, and how the findings are its own. None in place of the findings: they are not on record.
    """
    if findings is not None and tuple(findings) != params.findings:
        raise InputError(
            f"{what} {', '.join(findings)}; FINDINGS in PARAMS.json are {', '.join(params.findings)}. "
            f"Use the PARAMS file of that run, or {remedy}"
        )


def _written(settings: Settings, params: Params, family: str, member: str) -> dict[str, Path]:
    """The files that scoring a member writes: by name, and the maps by method."""
    folder = settings.member_dir(family, member)
    blanked = ["predictions_blanked.csv"] if params.evaluation.blank_corners else []
    files = {name: folder / name for name in ("predictions.csv", *blanked, "randomisation.csv")}
    return files | {method: settings.cams(family, member, method) for method in params.evaluation.map_methods}


def _step(scoring: "Scoring", folder: Path, settings: Settings, written: dict[str, Path]) -> Step:
    params = scoring.params
    inputs = {
        "model": scoring.model_digest,
        "pack": origin(settings.pack(scoring.size).with_suffix(".json"), "sh prepare_data.sh"),
        "split": digest(settings.split_csv),
    }
    parameters = {
        "TEST_TIME_AUGMENTATION": params.evaluation.test_time_augmentation,
        "maps": ["laid onto the film", *params.evaluation.map_methods],
        "randomisation": "minus the mean map",
        "BLANK_CORNERS": params.evaluation.blank_corners,
        "PRECISION": params.scoring_precision(),
        "SEED": params.general.seed,
    }
    return Step(folder / "predictions.json", inputs, parameters, list(written.values()))


def _score_and_write(scoring: "Scoring", films: pd.DataFrame, written: dict[str, Path], scheduler, say) -> None:
    rows = films["split"].isin(["val", "test"]).to_numpy().nonzero()[0]
    test = films["split"].eq("test").to_numpy().nonzero()[0]
    cams = {method: written[method] for method in scoring.params.evaluation.map_methods}
    blanked = written.get("predictions_blanked.csv")
    # Two threads here: one reads films or writes maps while the other has the network.
    with executors.cluster(scheduler) if scheduler else executors.threads(2) as pool:
        device, grids = pool.executor.submit(describe, scoring).result()
        say(f"{Path(scoring.model).parent.name}: scoring {counted(len(rows), 'film')}; {device}")
        table = _table(scoring, films, rows, _score(scoring, rows, grids, cams, pool))
        without = _table(scoring, films, test, _score_blanked(scoring, films, test, pool)) if blanked else None
        looked_at = pool.executor.submit(randomise, scoring, test if len(test) else rows).result()
    if blanked:
        predictions.write(without, blanked)
    else:
        written["predictions.csv"].with_name("predictions_blanked.csv").unlink(missing_ok=True)
    # Maps of an earlier network would be read where their method is asked for again.
    for stale in set(written["predictions.csv"].parent.glob("cams*.npy")) - set(cams.values()):
        stale.unlink()
    write_csv(looked_at, written["randomisation.csv"])
    predictions.write(table, written["predictions.csv"])


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

    geometry: (n, 6) affine, width, height of films whose corners are to be blanked. maps: (method, path) of arrays
    (N, F, h, w) to write maps into.
    """

    first: int
    rows: np.ndarray
    geometry: np.ndarray | None = None
    maps: tuple[tuple[str, str], ...] = ()


def networks(scoring: Scoring) -> tuple[Any, Any, str]:
    """Classifier, `inference.Scorer` of it, and what they run on; loaded once a process."""
    params = scoring.params

    def load():
        from cxr.networks import backend, inference, saved_models

        device = backend.start(scoring.params)
        model = saved_models.load_model(Path(scoring.model), scoring.size, scoring.made_by)
        return model, inference.scorer(model, scoring.params), device

    return executors.cached(
        "classifier", (scoring.model_digest, params.training.precision, params.evaluation.map_method), load
    )


def _pack(scoring: Scoring) -> np.ndarray:
    key = scoring.pack, scoring.pack_digest
    return executors.cached("pack", key, lambda: packs.open_pack(Path(scoring.pack), "sh prepare_data.sh"))


def describe(scoring: Scoring) -> tuple[str, dict[str, int]]:
    """What the network runs on, and the side of its maps, by method."""
    _, scorer, device = networks(scoring)
    return device, {method: places.grid for method, places in scorer.places.items()}


def score_shard(shard: ScoreShard, scoring: Scoring) -> np.ndarray:
    """Probabilities (n, F) of a shard, whose maps are written at their rows. Twice does no harm."""
    from cxr.networks import inference

    _, scorer, _ = networks(scoring)
    pack, rows = _pack(scoring), shard.rows
    if shard.geometry is not None:
        films = zip(rows, shard.geometry, strict=True)
        pack = np.stack([blank_corners(pack[row], film[:4], *film[4:]) for row, film in films])
        rows = np.arange(len(rows))
    probabilities, maps = inference.score(scorer, pack, rows, scoring.params, bool(shard.maps))
    for method, path in shard.maps:
        packs.write_rows(Path(path), shard.first, maps[method])
    return probabilities


def randomise(scoring: Scoring, rows: np.ndarray) -> pd.DataFrame:
    """`randomisation.randomisation` of rows of the pack; the classifier, which it spoils, is loaded again then."""
    from cxr.evaluation import randomisation

    model, scorer, _ = networks(scoring)
    executors.forget("classifier")
    return randomisation.randomisation(scorer, model, _pack(scoring), rows, scoring.params)


def _score(scoring: Scoring, rows: np.ndarray, grids: dict[str, int], cams: dict[str, Path], pool) -> np.ndarray:
    """Probabilities (n, F); the maps of every method, (n, F, h, w) float16, go into their files."""
    films = (len(rows), len(scoring.params.findings))
    with contextlib.ExitStack() as stack:
        maps = tuple(
            (method, str(stack.enter_context(packs.written_array(path, (*films, *(grids[method],) * 2), np.float16))))
            for method, path in cams.items()
        )
        shards = [ScoreShard(first, part, maps=maps) for first, part in _shards(rows, scoring.params)]
        return _gathered(scoring, shards, len(rows), "scoring", pool)


def _score_blanked(scoring: Scoring, films: pd.DataFrame, rows: np.ndarray, pool) -> np.ndarray:
    """Probabilities (n, F) of films without their corners."""
    geometry = films[[*AFFINE, "width", "height"]].to_numpy()
    shards = [ScoreShard(first, part, geometry[part]) for first, part in _shards(rows, scoring.params)]
    return _gathered(scoring, shards, len(rows), "without corners", pool)


def _shards(rows: np.ndarray, params: Params) -> list[tuple[int, np.ndarray]]:
    """(first, rows) of shards: whole batches, so that numbers do not depend on how films are cut into shards.

    What is left for less than a batch goes with the last shard: on its own it would be compiled again.
    """
    batch, films = params.evaluation.score_batch_size, len(rows)
    firsts = [*range(0, max(min(films, 1), films - batch + 1), SHARD * batch)]
    return list(zip(firsts, np.split(rows, firsts[1:]), strict=False))  # no film: no shard, of one empty part


def _gathered(scoring: Scoring, shards: Sequence[ScoreShard], films: int, what: str, pool) -> np.ndarray:
    parts = [np.zeros((0, len(scoring.params.findings)), np.float32)]
    with progress(None, films, what) as bar:
        for part in executors.in_order(functools.partial(score_shard, scoring=scoring), shards, pool):
            parts.append(part)
            bar.update(len(part))
    return np.concatenate(parts)


def _table(scoring: Scoring, films: pd.DataFrame, rows: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    chosen, findings = films.iloc[rows], scoring.params.findings
    named = (chosen[name] for name in predictions.NAMES)
    return predictions.build(*named, schema.label_array(chosen, findings), probabilities, findings)
