"""A bundle whose thresholds and calibration were set anew at a new hospital, written beside the one it is made of."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.artifacts import read_json, write_csv, write_json
from cxr.evaluation import predictions
from cxr.evaluation.calibration import calibrated
from cxr.evaluation.thresholds import decide
from cxr.new_films import bundle_texts, bundles, exporting

RECORD = "refitted.json"


def beside(folder: Path) -> Path:
    """Where the refitted bundle of a bundle goes."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}_refitted")


def write(folder: Path, thresholds: dict[str, Any], record: Mapping[str, Any]) -> Path:
    """Write the bundle of ``folder`` with other thresholds, and return where it is.

    Parameters
    ----------
    folder : Path
        A bundle that `bundles.open_bundle` has opened.
    thresholds : dict
        thresholds.json, from `cxr.new_hospital.refitting.refitted`.
    record : mapping
        What it was fitted on, for refitted.json and the changelog (its ``note``).

    Raises
    ------
    InputError
        Something stands there that is no bundle.
    """
    out = beside(folder)
    with exporting.written_bundle(out) as new:
        for name in read_json(folder / bundles.DIGESTS, "sh export.sh"):
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, new / name)
        about = read_json(new / "metadata.json", "sh export.sh")
        version = f"{about['version'].split('+')[0]}+{thresholds['val']['digest'][:8]}"
        about |= {"version": version, "changelog": {**about["changelog"], version: record["note"]}}
        about["thresholds"] = {**about["thresholds"], "val": thresholds["val"]}
        write_json(about, new / "metadata.json")
        write_json(thresholds, new / "thresholds.json")
        # How often decisions flip is known at the old thresholds alone, and val's films are not here.
        write_json(read_json(new / "reference.json", "sh export.sh") | {"flips": None}, new / "reference.json")
        write_json(dict(record), new / RECORD)
        (new / "README.md").write_text(bundle_texts.readme(about), encoding="utf-8")
        card = new / "MODEL_CARD.md"
        if card.is_file():
            told = (
                f"\n## Refitted\n\nThresholds and calibration in force are others than those above: {record['note']}.\n"
            )
            card.write_text(card.read_text(encoding="utf-8") + told, encoding="utf-8")
        expected = new / "examples" / "expected.csv"
        if expected.is_file():
            table = pd.read_csv(expected, dtype="str", keep_default_na=False)
            write_csv(_decided(table, about["label_order"], thresholds), expected)
    return out


def _decided(expected: pd.DataFrame, findings: list[str], thresholds: dict[str, Any]) -> pd.DataFrame:
    """The bundle's examples with the same probabilities, decided and calibrated anew: `--check` compares them."""
    raw = expected[predictions.prob_columns(findings)].astype(float).to_numpy()
    names = expected["filename"].str.replace("/", "_")
    table = predictions.build(names, names, ["test"] * len(names), np.full_like(raw, np.nan), raw, findings, np.float64)
    values, called = calibrated(table, thresholds["calibration"]), decide(table, thresholds)
    result = expected.copy()
    for f, finding in enumerate(findings):
        result[f"{finding}_calibrated"] = ["" if np.isnan(value) else f"{value:.6g}" for value in values[:, f]]
        result[f"{finding}_called"] = called[:, f].astype(int).astype(str)
    return result
