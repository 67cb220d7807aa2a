"""Scores one member on val and test: predictions, maps, and how both take blanked corners and shuffled weights."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cxr import predictions, tables
from cxr.artifacts import Step, digest, need, read_json, write_csv, written_whole
from cxr.errors import InputError
from cxr.films import AFFINE, load_films
from cxr.images import blank_corners
from cxr.parameters import MAP_METHODS, Params
from cxr.progress import progress
from cxr.settings import Settings

CHUNK = 16  # batches scored at a time: their maps are written before the next ones are made


def score_member(
    settings: Settings, params: Params, family: str, member: str, echo: Callable = print
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of val and test, and of test with blanked corners; made anew only where what they hang on changed.

    Writes predictions.csv, predictions_blanked.csv, randomisation.csv and the maps of every method into the member's
    folder.

    Raises
    ------
    InputError
        The model is not trained, or was trained on another split or pack than those in force.
    """
    folder, size = settings.member_dir(family, member), params.input_size(member)
    films, pack = load_films(settings, params, size)
    made_by = f"sh train_{family.capitalize()}.sh"
    record = read_json(folder / "run.json", made_by)  # written last: without it the model is of an unfinished run
    model_path = need(folder / "model.keras", made_by)
    inputs = {
        "model": digest(model_path),
        "pack": digest(settings.pack(size).with_suffix(".json")),
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
    # Keras is imported only now: an up-to-date step answers at once.
    from cxr import backend, inference, models

    rows = films["split"].isin(["val", "test"]).to_numpy().nonzero()[0]
    test = films["split"].eq("test").to_numpy().nonzero()[0]
    echo(f"{member}: scoring {len(rows)} films; {backend.start(params)}")
    model = models.load_model(model_path, size, made_by)
    network = inference.scorer(model, params)
    table = _table(films, rows, _score(network, pack, rows, cams, params))
    without = table[table["split"] == "test"].reset_index(drop=True)
    if params.evaluation.blank_corners:
        without = _table(films, test, _score_blanked(network, films, pack, test, params))
    predictions.write(without, written[1])
    looked_at = test if len(test) else rows
    write_csv(inference.randomisation(network, model, pack, looked_at, params), written[2])
    predictions.write(table, written[0])
    step.finish()
    return table, without


def _score(network, pack: np.ndarray, rows: np.ndarray, cams: dict[str, Path], params: Params) -> np.ndarray:
    """Probabilities (n, 6); the maps of every method (n, 6, h, w) float16 go into their files, chunk after chunk."""
    from cxr import inference

    found = []
    with contextlib.ExitStack() as stack:
        files = {
            method: stack.enter_context(open(stack.enter_context(written_whole(path)), "wb"))
            for method, path in cams.items()
        }
        for chunk in _chunks(rows, params, "scoring"):
            probabilities, maps = inference.score(network, pack, chunk, params)
            for method, file in files.items():
                if not found:
                    shape = (len(rows), *maps[method].shape[1:])
                    header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(np.ascontiguousarray(maps[method]).tobytes())
            found.append(probabilities)
    return np.concatenate(found)


def _chunks(rows: np.ndarray, params: Params, what: str) -> Iterator[np.ndarray]:
    """Rows in chunks of whole batches, with progress by film."""
    size = CHUNK * params.evaluation.score_batch_size
    with progress(None, len(rows), what) as bar:
        for first in range(0, len(rows), size):
            yield rows[first : first + size]
            bar.update(min(size, len(rows) - first))


def _table(films: pd.DataFrame, rows: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    chosen = films.iloc[rows]
    return predictions.build(
        chosen["image_id"], chosen["patient_id"], chosen["split"], tables.label_array(chosen), probabilities
    )


def _score_blanked(network, films: pd.DataFrame, pack: np.ndarray, rows: np.ndarray, params: Params) -> np.ndarray:
    """Probabilities (n, 6) of films without their corners, a chunk of films at a time."""
    from cxr import inference

    affines = films[list(AFFINE)].to_numpy()
    sides = films[["width", "height"]].to_numpy()
    found = []
    for chunk in _chunks(rows, params, "without corners"):
        changed = np.stack([blank_corners(pack[row], affines[row], *sides[row]) for row in chunk])
        found.append(inference.score(network, changed, np.arange(len(chunk)), params)[0])
    return np.concatenate(found) if found else np.zeros((0, 6), np.float32)
