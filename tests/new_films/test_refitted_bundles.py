"""A refitted bundle lies beside the old one, with its record, and its examples are decided anew."""

import json

import pandas as pd

from cxr.core.artifacts import digest
from cxr.new_films import refitted_bundles

FIT = {"threshold": 0.5, "fitted_on": "local", "slope": 1.0, "intercept": 0.0}


def bundle(folder):
    network = {"inputs": {"image": {"spatial_shape": [8, 8]}}}
    about = {
        "name": "cxr_ensemble", "version": "1.0.0", "changelog": {"1.0.0": "as trained"}, "task": "", "description": "",
        "intended_use": "", "label_order": ["Nodule"], "network_data_format": {"a": network},
        "onnx_largest_difference": {}, "thresholds": {"val": {}},
    }  # fmt: skip
    (folder / "models").mkdir(parents=True)
    (folder / "examples").mkdir()
    (folder / "models" / "a.keras").write_bytes(b"weights")
    (folder / "metadata.json").write_text(json.dumps(about))
    (folder / "thresholds.json").write_text("{}")
    (folder / "reference.json").write_text(json.dumps({"scale": 1.0, "flips": {"thresholds": {}}}))
    rows = {"filename": ["x.png", "y.png"], "Nodule_prob": [0.4, 0.5], "Nodule_calibrated": "", "Nodule_called": [1, 1]}
    pd.DataFrame(rows).to_csv(folder / "examples" / "expected.csv", index=False)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    (folder / "digests.json").write_text(
        json.dumps({path.relative_to(folder).as_posix(): digest(path) for path in files})
    )


def test_it_has_the_networks_of_the_old_one_and_the_local_thresholds(tmp_path):
    bundle(tmp_path / "ensemble")
    before = digest(tmp_path / "ensemble" / "digests.json")
    fits = {"Nodule": {"pooled": FIT}}
    thresholds = {"findings": fits, "calibration": {"findings": fits}, "val": {"digest": "0123456789abcdef"}}
    out = refitted_bundles.write(tmp_path / "ensemble", thresholds, {"note": "fitted on 50 films", "from": "that one"})
    assert out == tmp_path / "ensemble_refitted"
    assert (out / "models" / "a.keras").read_bytes() == b"weights"
    assert json.loads((out / "thresholds.json").read_text()) == thresholds
    # Of decisions at the old thresholds: unknown at the new.
    assert json.loads((out / "reference.json").read_text()) == {"scale": 1.0, "flips": None}
    assert json.loads((out / "refitted.json").read_text())["from"] == "that one"
    changelog = json.loads((out / "metadata.json").read_text())["changelog"]
    assert changelog == {"1.0.0": "as trained", "1.0.0+01234567": "fitted on 50 films"}
    expected = pd.read_csv(out / "examples" / "expected.csv")
    assert expected["Nodule_called"].tolist() == [0, 1]
    assert expected["Nodule_calibrated"].tolist() == [0.4, 0.5]
    listed = json.loads((out / "digests.json").read_text())
    assert listed["refitted.json"] == digest(out / "refitted.json")
    assert digest(tmp_path / "ensemble" / "digests.json") == before
