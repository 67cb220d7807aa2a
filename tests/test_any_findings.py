"""All shell scripts with one finding and with fourteen, with a table of one's own alone and with all sources."""

import json
import re

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.evaluation import predictions
from cxr.tables.sources.nih import NIH_LABELS
from tests.conftest import TINY, in_process

FOURTEEN = [label for label in NIH_LABELS if label != "No Finding"]
PARAMS = TINY | {
    "DEMO_NIH_FILMS": 60, "DEMO_CHEXPERT_FILMS": 50, "DEMO_LUNG_FILMS": 24, "DEMO_FILM_SIZE": 128,
    "VAL_FRACTION": 0.3, "LUNG_MASKING": "none", "SCORE_BATCH_SIZE": 32, "BOOTSTRAP_REPLICATES": 20,
    "OVERLAYS_PER_FINDING": 2, "DEMO_SEVERITY": 1.0,
}  # fmt: skip
RELEASES = {
    "DATASET_DIR": "raw",
    "DATASET_CSV_DIR": "raw/Data_Entry_2017.csv",
    "DATASET_CHEXPERT_TRAIN_CSV_DIR": "raw/CheXpert-v1.0-small/train.csv",
    "DATASET_CHEXPERT_VAL_CSV_DIR": "raw/CheXpert-v1.0-small/valid.csv",
}
SCRIPTS = ("prepare_data.sh", "train_Ensemble.sh", "evaluate_Ensemble.sh", "visualization_Ensemble.sh")


def write_files(folder, settings: dict, **params) -> None:
    (folder / "SETTINGS.json").write_text(json.dumps(settings))
    (folder / "PARAMS.json").write_text(json.dumps(PARAMS | params))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    write_files(folder, RELEASES)
    in_process(folder, "demo/draw_films.py")
    return folder


def write_dicom(film: np.ndarray, path) -> None:
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.Modality, data.PhotometricInterpretation, data.SamplesPerPixel = "DX", "MONOCHROME2", 1
    data.Rows, data.Columns = film.shape
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = film.tobytes()
    data.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def own(drawn, tmp_path_factory):
    """A hospital's folder: films in four formats, a table in words of its own; the whole pipeline ran there alone."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "clinic/films").mkdir(parents=True)
    table = pd.read_csv(drawn / "raw/Data_Entry_2017.csv", index_col=False)
    there = {path.name: path for path in (drawn / "raw").rglob("*.png")}
    table = table[table["Image Index"].isin(there)].reset_index(drop=True)
    rows = []
    for number, film in table.iterrows():
        pixels, name = cv2.imread(str(there[film["Image Index"]]), 0), f"film{number:03d}"
        suffix = (".png", ".jpg", ".tif", ".dcm")[number % 4]
        if suffix == ".dcm":
            write_dicom(pixels, folder / f"clinic/films/{name}.dcm")
        else:
            cv2.imwrite(str(folder / f"clinic/films/{name}{suffix}"), pixels)
        rows.append({
            "Dateiname": f"films/{name}{suffix}", "subject_id": film["Patient ID"], "ViewPosition": "PA",
            "gender": film["Patient Gender"], "split": ("train", "train", "valid", "test")[film["Patient ID"] % 4],
            "pleural effusion": "yes" if "Effusion" in film["Finding Labels"] else "no",
        })  # fmt: skip
    rows[0]["pleural effusion"] = "-1"
    rows[1]["pleural effusion"] = ""
    pd.DataFrame(rows).to_csv(folder / "clinic/table.csv", index=False)
    settings = {
        "OWN_CSV": "clinic/table.csv", "OWN_DATASET_DIR": "clinic", "OWN_COLUMNS": {"path": "Dateiname"},
        "DATASET_CSV_DIR": "", "DATASET_CHEXPERT_TRAIN_CSV_DIR": "", "DATASET_CHEXPERT_VAL_CSV_DIR": "",
    }  # fmt: skip
    write_files(folder, settings, FINDINGS=["Effusion"], CLASS_NUM=1, ENSEMBLE_MEMBERS=["tiny", "tiny@2"])
    return folder, pd.DataFrame(rows), {script: in_process(folder, script) for script in SCRIPTS}


def test_an_own_table_alone_goes_through_all_scripts(own):
    folder, rows, printed = own
    prepared = printed["prepare_data.sh"]
    assert "patient: column 'subject_id' (guessed)" in prepared
    assert "Effusion: column 'pleural effusion'" in prepared
    assert "its own split is obeyed" in prepared
    assert 'NIH is not used: DATASET_CSV_DIR is ""' in prepared
    images = pd.read_csv(folder / "data/classification/images.csv")
    assert list(images.columns) == [
        "image_id", "path", "patient_id", "view", "sex", "age", "source", "label_source", "Effusion"
    ]  # fmt: skip
    assert len(images) == len(rows)
    assert set(images["source"]) == {"own"}
    assert images["Effusion"].isna().sum() == 2  # uncertain, and blank
    split = images.merge(pd.read_csv(folder / "data/classification/split.csv"), on="image_id")
    given = rows.set_index("Dateiname")["split"].replace("valid", "val")
    assert (split["split"] == split["path"].map(given)).all()
    packed = pd.read_csv(folder / "data/classification/images_32.csv", keep_default_na=False)
    assert set(packed["problem"]) == {""}  # all four formats are read


def test_one_finding_is_a_whole_pipeline(own):
    folder, _, _ = own
    family = folder / "models/classification/ensemble"
    table = predictions.read(family / "predictions.csv")
    assert [column for column in table if column.endswith("_prob")] == ["Effusion_prob"]
    assert np.load(family / "tiny/cams.npy").shape == (len(table), 1, 8, 8)
    assert pd.read_csv(family / "result.csv")["finding"].tolist()[0] == "Effusion"
    assert not set(FINDINGS) - {"Effusion"} & set(pd.read_csv(family / "result.csv")["finding"])
    assert list(json.loads((family / "metrics.json").read_text())["findings"]) == ["Effusion"]
    page = (family / "report.html").read_text()
    card = (family / "MODEL_CARD.md").read_text()
    for other in ("Consolidation", "Cardiomegaly", "six"):
        assert not re.search(rf"\b{other}\b", card)
        assert not re.search(rf">{other}<", page)
    assert "own table" in card


def test_another_training_of_a_network_is_a_member_with_a_seed_and_a_folder_of_its_own(own):
    folder, _, printed = own
    family = folder / "models/classification/ensemble"
    seeds = [json.loads((family / member / "run.json").read_text())["seed"] for member in ("tiny", "tiny@2")]
    assert seeds == [1, 100_001]
    one, two, mean = (
        predictions.read(folder / "predictions.csv")["Effusion_prob"].to_numpy()
        for folder in (family / "tiny", family / "tiny@2", family)
    )
    assert np.abs(one - two).max() > 1e-3
    logits = [np.log(values / (1 - values)) for values in (one, two, mean)]
    assert (
        np.minimum(np.abs((one + two) / 2 - mean).max(), np.abs((logits[0] + logits[1]) / 2 - logits[2]).max()) < 1e-4
    )
    assert "tiny@2" in printed["train_Ensemble.sh"]
    assert "tiny@2" in (family / "report.html").read_text()


def test_another_list_of_findings_is_refused_by_name(own):
    folder, _, _ = own
    before = (folder / "PARAMS.json").read_text()
    write_files(folder, json.loads((folder / "SETTINGS.json").read_text()), FINDINGS=["Edema"], CLASS_NUM=1)
    with pytest.raises(InputError, match=r"Edema.*Effusion|Effusion.*Edema"):
        in_process(folder, "evaluate_Ensemble.sh")
    (folder / "PARAMS.json").write_text(before)


@pytest.fixture(scope="module")
def fourteen(drawn, tmp_path_factory):
    """NIH's fourteen findings, of which CheXpert labels eight by name, and an own table two: the whole pipeline."""
    folder = tmp_path_factory.mktemp("fourteen")
    (folder / "raw").symlink_to(drawn / "raw")
    table = pd.read_csv(drawn / "raw/Data_Entry_2017.csv", index_col=False)
    others = [label for label in FOURTEEN if label not in FINDINGS]
    seeded = np.random.default_rng(0)
    more = ["|".join(np.array(others)[seeded.random(len(others)) < 0.3]) for _ in range(len(table))]
    kept = table["Finding Labels"].where(table["Finding Labels"] != "No Finding", "")
    table["Finding Labels"] = [
        "|".join(filter(None, pair)) or "No Finding" for pair in zip(kept, more, strict=True)
    ]  # fmt: skip
    table.to_csv(folder / "Data_Entry_2017.csv", index=False)
    (folder / "clinic").mkdir()
    rows = []
    for number, path in enumerate(sorted((drawn / "raw").rglob("*.png"))[:16]):
        film = cv2.imread(str(path), 0)
        cv2.imwrite(str(folder / f"clinic/{number}.png"), film)
        rows.append({"image": f"{number}.png", "patient": number // 2, "Mass": number // 2 % 2, "Hernia": ""})
    pd.DataFrame(rows).to_csv(folder / "clinic/films.csv", index=False)
    settings = RELEASES | {
        "DATASET_CSV_DIR": "Data_Entry_2017.csv", "OWN_CSV": "clinic/films.csv", "OWN_DATASET_DIR": "clinic",
    }  # fmt: skip
    write_files(folder, settings, FINDINGS=FOURTEEN, CLASS_NUM=14, TEST_FRACTION=0.3)
    return folder, {script: in_process(folder, script) for script in SCRIPTS}


def test_fourteen_findings_of_three_sources_go_through_all_scripts(fourteen):
    folder, printed = fourteen
    images = pd.read_csv(folder / "data/classification/images.csv")
    assert list(images.columns[8:]) == FOURTEEN
    assert set(images["source"]) == {"nih", "chexpert", "own"}
    labelled = images.groupby("source")[FOURTEEN].count() > 0
    assert labelled.loc["nih"].all()
    assert not labelled.loc["chexpert", ["Hernia", "Mass", "Emphysema"]].any()  # not labelled there is not known
    assert labelled.loc["own"].tolist() == [finding == "Mass" for finding in FOURTEEN]
    family = folder / "models/classification/ensemble"
    table = predictions.read(family / "predictions.csv")
    assert predictions.findings_of(table) == FOURTEEN
    assert np.load(family / "tiny/cams.npy").shape == (len(table), 14, 8, 8)
    assert pd.read_csv(family / "result.csv")["finding"].tolist()[:14] == FOURTEEN
    assert {"nih", "own"} <= set(json.loads((family / "metrics.json").read_text())["by_source"])
    for finding in FOURTEEN:
        assert finding in printed["evaluate_Ensemble.sh"]
        assert (family / f"gradcam/overview_{finding}.png").is_file()
        assert finding in (family / "report.html").read_text()
        assert finding in (family / "MODEL_CARD.md").read_text()


def test_a_bundle_of_fourteen_findings_predicts_new_films(fourteen):
    folder, _ = fourteen
    in_process(folder, "export.sh", "--out", "bundles")
    about = json.loads((folder / "bundles/ensemble/metadata.json").read_text())
    assert all(finding in json.dumps(about) for finding in FOURTEEN)
    printed = in_process(folder, "predict.sh", "clinic", "--bundle", "bundles/ensemble", "--out", "predicted")
    for said in (printed, about["intended_use"], (folder / "predicted/report.html").read_text()):
        assert "SYNTHETIC FILMS: these networks learned from films that this project drew" in said
    table = pd.read_csv(folder / "predicted/predictions.csv")
    assert len(table) == 16
    for finding in FOURTEEN:
        assert f"{finding}_prob" in table.columns
    assert "Pleural_Thickening" in (folder / "predicted/report.html").read_text().replace("&shy;", "").replace(
        "<wbr>", ""
    )
