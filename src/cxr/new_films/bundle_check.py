"""Whether this machine computes what the one computed that wrote a bundle: its examples, predicted here."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.core.artifacts import read_csv
from cxr.core.errors import InputError
from cxr.evaluation.source_fits import POOLED
from cxr.new_films import predicting, prediction_table
from cxr.new_films.bundles import Bundle
from cxr.new_films.onnx_models import TOLERANCE

COMPARED = ("prob", "calibrated")


def check(bundle: Bundle, folder: Path, network: Callable[[str], Any] | None = None) -> str:
    """Predict the examples of an open bundle and compare with its expected.csv; what was found, in words.

    ``network`` is as in `predicting.predict`.

    Raises
    ------
    InputError
        The bundle has no examples, one of them is no readable film here, a probability differs by more than
        `TOLERANCE`, or a decision differs.
    """
    examples = folder / "examples"
    columns = [f"{finding}_{kind}" for finding in bundle.params.findings for kind in (*COMPARED, "called")]
    expected = read_csv(examples / "expected.csv", "sh export.sh", ["filename", *columns]).set_index("filename")
    with tempfile.TemporaryDirectory() as temporary:
        paths = [examples / name for name in expected.index]
        predicted = predicting.predict(bundle, paths, POOLED, Path(temporary), lambda films, doing: films, network)
        for name, problem in predicted.problems.to_numpy():
            raise InputError(f"{name}: {problem}")
        found = prediction_table.of(predicted, [""] * len(paths)).set_axis(expected.index)
    return compare(expected, found[columns].apply(pd.to_numeric), examples)


def compare(expected: pd.DataFrame, found: pd.DataFrame, where: Path) -> str:
    """Numbers of the same films (the index) and columns, as text; see `check` for what is raised."""
    largest = 0.0
    for column in found:
        most = 0.0 if column.endswith("_called") else TOLERANCE
        difference = (found[column] - expected[column]).abs()
        difference = difference.where(found[column].isna() == expected[column].isna(), float("inf")).fillna(0)
        film = difference.idxmax()
        if difference[film] > most:
            raise InputError(
                f"{where / film}: {column} is {found.at[film, column]:.6g} here, expected.csv has "
                f"{expected.at[film, column]:.6g}; expected a difference of {most:g} or less. This machine "
                "computes otherwise than the one that wrote the bundle: compare versions (metadata.json) and PRECISION."
            )
        largest = max(largest, float(difference[film]) if most else 0.0)
    return (
        f"{len(found)} examples, {len(found.columns)} figures each: as expected.csv has them (probabilities differ by "
        f"{largest:.1e} at most, {TOLERANCE:g} is allowed; every decision is the same)"
    )
