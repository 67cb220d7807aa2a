"""What docs/security.md promises of a whole run: DICOM films of odd names, with and without hashed ids."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.conftest import TINY, load_script, settings_in
from tests.imaging.test_decoding import dicom

SECRETS = {"PatientName": "DOE^JANE", "PatientID": "SECRET-77", "InstitutionName": "ST ELSEWHERE"}
ODD = [
    "<img src=x onerror=alert(1)>.png",
    "$(touch hacked).png",
    "`touch hacked`.png",
    "a b.png",
    "-rf.png",
    "it's.png",
]
STEPS = [
    *(f"etl/{name}.py" for name in ("0_nih_table", "2_merge_tables", "3_hold_out_test", "5_pack_arrays")),
    "etl/6_split_train_val.py", "train/train.py ensemble", "eval/evaluate.py ensemble", "eval/visualize.py ensemble",
    "eval/report.py ensemble",
]  # fmt: skip


@pytest.fixture(scope="module", params=["", "ids.key"], ids=["as they are", "hashed"])
def finished(request, tmp_path_factory):
    """(folder, names of the films, their patients, whether ids are hashed) of a run on DICOM films called .png."""
    folder = tmp_path_factory.mktemp("secure")
    settings = settings_in(folder)
    (folder / "ids.key").write_text("a secret of more than sixteen bytes")
    keys = {"LUNG_MASKING": "none", "VAL_FRACTION": 0.4, "TEST_FRACTION": 0.4, "OVERLAYS_PER_FINDING": 3}
    (folder / "PARAMS.json").write_text(json.dumps(TINY | keys | {"HASH_IDS": request.param}))
    settings.dataset_dir.mkdir()
    names = ODD + [f"{n:08d}_000.png" for n in range(24)]
    patients = [70_000 + n for n in range(len(names))]
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
    rows = [
        f"{name},{'Effusion|Edema' if n % 2 else 'No Finding'},0,{patients[n]},50,M,PA" for n, name in enumerate(names)
    ]
    settings.dataset_csv_dir.write_text("\n".join([header, *rows]))
    for n, name in enumerate(names):
        film = np.random.default_rng(n).integers(0, 255, (40, 40)).astype(np.uint8)
        dicom(settings.dataset_dir, film, name, **SECRETS)
    files = [f"--{name.lower()}={folder / name}.json" for name in ("SETTINGS", "PARAMS")]
    for step in STEPS:
        script, *more = step.split()
        load_script(f"src/classification/{script}").main([*more, *files])
    return folder, names, patients, bool(request.param)


def contents(*folders):
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_headers_of_dicom_files_are_copied_nowhere(finished):
    folder, *_ = finished
    assert contents(folder / "models")
    for path, content in contents(folder / "data", folder / "models").items():
        for secret in SECRETS.values():
            assert secret.encode() not in content, path


def test_nothing_is_written_outside_the_configured_folders_and_no_name_is_run(finished):
    folder, names, *_ = finished
    there = {"data", "models", "raw", "SETTINGS.json", "PARAMS.json", "ids.key"}
    assert {path.name for path in folder.iterdir()} == there
    assert {path.name for path in (folder / "raw").iterdir()} == {*names, "Data_Entry_2017.csv"}
    assert not [path for path in folder.rglob("*") if path.name == "hacked"]


def test_a_name_in_the_report_is_text(finished):
    folder, _, _, hashed = finished
    page = (folder / "models/classification/ensemble/report.html").read_text()
    assert "<img src=x" not in page
    assert "Content-Security-Policy" in page
    predicted = pd.read_csv(folder / "models/classification/ensemble/predictions.csv")
    assert predicted["image_id"].str.contains("<img src=x", regex=False).any() == (not hashed)


def test_with_hash_ids_no_id_of_a_patient_or_film_is_in_models(finished):
    folder, names, patients, hashed = finished
    found = contents(folder / "models")
    ids = [name.removesuffix(".png") for name in names if name not in ODD] + [f"nih-{patient}" for patient in patients]
    leaking = {path.name for path, content in found.items() for one in ids if one.encode() in content}
    named = {path.name for path in found for one in ids if one in str(path)}
    assert bool(leaking) == bool(named) == (not hashed), leaking | named


def test_with_hash_ids_all_tables_are_about_the_same_films(finished):
    folder, *_, hashed = finished
    tables = [pd.read_csv(folder / "data/classification" / f"{name}.csv") for name in ("images", "split", "images_32")]
    assert len({tuple(table["image_id"]) for table in tables}) == 1
    assert tables[0]["image_id"].str.fullmatch(r"nih/[0-9a-f]{16}").all() == hashed
