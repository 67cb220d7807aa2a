"""Scores one member on val and test: predictions, maps, and how both take blanked corners and replaced weights."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from cxr import predictions, tables
from cxr.artifacts import Step, digest, need, write_csv, written_whole
from cxr.films import load_films
from cxr.images import blank_corners
from cxr.parameters import MAP_METHODS, Params
from cxr.settings import Settings

CHUNK = 512  # films whose corners are blanked at a time


def score_member(
    settings: Settings, params: Params, family: str, member: str, echo: Callable = print
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of val and test, and of test with blanked corners; made anew only where what they hang on changed.

    Writes predictions.csv, predictions_blanked.csv, randomisation.csv and the maps of every method into the member's
    folder.

    Raises
    ------
    InputError
        The model is not trained, or does not fit the films.
    """
    folder, size = settings.member_dir(family, member), params.input_size(member)
    films, pack = load_films(settings, params, size)
    made_by = f"sh train_{family.capitalize()}.sh"
    need(folder / "run.json", made_by)  # written last: without it the model is of an unfinished run
    model_path = need(folder / "model.keras", made_by)
    written = [folder / name for name in ("predictions.csv", "predictions_blanked.csv", "randomisation.csv")]
    cams = {method: settings.cams(family, member, method) for method in MAP_METHODS}
    step = Step(
        folder / "predictions.json",
        {
            "model": digest(model_path),
            "pack": digest(settings.pack(size).with_suffix(".json")),
            "split": digest(settings.split_csv),
        },
        {
            "TEST_TIME_AUGMENTATION": params.evaluation.test_time_augmentation,
            "BLANK_CORNERS": params.evaluation.blank_corners,
            "PRECISION": params.training.precision,
        },
        [*written, *cams.values()],
    )
    if step.is_current():
        echo(f"{written[0]}: up to date")
        return predictions.read(written[0]), predictions.read(written[1])
    # Keras is imported only now: an up-to-date step answers at once.
    from cxr import backend, inference, models

    rows = films["split"].isin(["val", "test"]).to_numpy().nonzero()[0]
    test = films["split"].eq("test").to_numpy().nonzero()[0]
    echo(f"{member}: scoring {len(rows)} films; {backend.start(params)}")
    model = models.load_model(model_path, size, made_by)
    network = inference.scorer(model, params)
    probabilities, maps = inference.score(network, pack, rows, params)
    table = _table(films, rows, probabilities)
    for method, path in cams.items():
        with written_whole(path) as temporary, open(temporary, "wb") as file:
            np.save(file, maps[method])
    without = table[table["split"] == "test"].reset_index(drop=True)
    if params.evaluation.blank_corners:
        without = _table(films, test, _score_blanked(network, films, pack, test, params))
    predictions.write(without, written[1])
    looked_at = test if len(test) else rows
    write_csv(inference.randomisation(network, model, pack, looked_at, params), written[2])
    predictions.write(table, written[0])
    step.finish()
    return table, without


def _table(films: pd.DataFrame, rows: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    chosen = films.iloc[rows]
    return predictions.build(
        chosen["image_id"], chosen["patient_id"], chosen["split"], tables.label_array(chosen), probabilities
    )


def _score_blanked(network, films: pd.DataFrame, pack: np.ndarray, rows: np.ndarray, params: Params) -> np.ndarray:
    """Probabilities (n, 6) of films without their corners, a chunk of films at a time."""
    from cxr import inference

    affines = films[["scale_x", "scale_y", "offset_x", "offset_y"]].to_numpy()
    sides = films[["width", "height"]].to_numpy()
    found = []
    for first in range(0, len(rows), CHUNK):
        chunk = rows[first : first + CHUNK]
        changed = np.stack([blank_corners(pack[row], affines[row], *sides[row]) for row in chunk])
        found.append(inference.score(network, changed, np.arange(len(chunk)), params)[0])
    return np.concatenate(found) if found else np.zeros((0, 6), np.float32)
