"""All shell scripts on a few synthetic films: what a newcomer runs, with tiny networks."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.anatomy.heart import Widths
from cxr.core import configuration
from cxr.core.artifacts import digest
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.parameters import MAP_METHODS
from cxr.evaluation import predictions
from cxr.preparation import films
from cxr.training.classifier_training import train_member
from tests.conftest import PROJECT, TINY, in_process, load_script, prepare, settings_in, tiny_params

SETTINGS = {
    "DATASET_DIR": "raw",
    "DATASET_CSV_DIR": "raw/Data_Entry_2017.csv",
    "DATASET_CHEXPERT_TRAIN_CSV_DIR": "raw/CheXpert-v1.0-small/train.csv",
    "DATASET_CHEXPERT_VAL_CSV_DIR": "raw/CheXpert-v1.0-small/valid.csv",
    "DATASET_DIR_SEGMENTATION": "lungs/CXR_png",
    "MASK_DIR": "lungs/masks",
}
PARAMS = TINY | {
    "DEMO_NIH_FILMS": 60,
    "DEMO_CHEXPERT_FILMS": 50,
    "DEMO_LUNG_FILMS": 24,
    "DEMO_FILM_SIZE": 128,
    "VAL_FRACTION": 0.3,
    "UNET_VAL_FRACTION": 0.2,
    "UNET_TEST_FRACTION": 0.3,
    "SCORE_BATCH_SIZE": 32,
    "BOOTSTRAP_REPLICATES": 20,
    "OVERLAYS_PER_FINDING": 2,
    "DEMO_SEVERITY": 1.0,
}


def checksums(folder) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".cxr-lock"
    }


def write_files(folder, settings=None, **changes) -> None:
    (folder / "SETTINGS.json").write_text(json.dumps(SETTINGS | (settings or {})))
    (folder / "PARAMS.json").write_text(json.dumps(PARAMS | changes))


def tables_and_pack(folder, **changes) -> None:
    """What prepare_data.sh does with "LUNG_MASKING": "none", in this process: a third of the time."""
    write_files(folder, **changes)
    files = [f"--{name.lower()}={folder / name}.json" for name in ("SETTINGS", "PARAMS")]
    for step in sorted((PROJECT / "src/classification/etl").glob("[0-9]_*.py")):
        load_script(str(step.relative_to(PROJECT))).main(files)


def run(folder, *command: str, **changes):
    """A command of the project with the JSON files of a folder; its result, with both outputs as text."""
    write_files(folder, **changes)
    script = PROJECT / command[0]
    start = ["sh"] if script.suffix == ".sh" else ["python"]
    files = ["--settings", "SETTINGS.json", "--params", "PARAMS.json"]
    return subprocess.run([*start, script, *command[1:], *files], cwd=folder, capture_output=True, text=True)


def done(folder, *command: str, **changes) -> str:
    result = run(folder, *command, **changes)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def again(folder, *command: str, **changes) -> str:
    """What a command says that needs no process of its own: `finished` has shown that it works in one."""
    write_files(folder, **changes)
    return in_process(folder, *command)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the whole pipeline ran once for the ensemble: (folder, checksums of the raw films before)."""
    folder = tmp_path_factory.mktemp("pipeline")
    done(folder, "demo/draw_films.py")
    before = checksums(folder / "raw") | checksums(folder / "lungs")
    printed = {
        script: done(folder, script)
        for script in ("prepare_data.sh", "train_Ensemble.sh", "evaluate_Ensemble.sh", "visualization_Ensemble.sh")
    }
    return folder, before, printed


def test_raw_data_is_never_touched(finished):
    folder, before, _ = finished
    assert checksums(folder / "raw") | checksums(folder / "lungs") == before


def test_every_step_leaves_its_artifacts_and_nothing_half_written(finished):
    folder, _, _ = finished
    tables, member = folder / "data/classification", folder / "models/classification/ensemble/tiny"
    for name in ("nih.csv", "chexpert.csv", "images.csv", "test_patients.csv", "lung_masks.npy", "lung_masks.csv"):
        assert (tables / name).stat().st_size, name
    for name in (
        "images_32.npy",
        "images_32.csv",
        "images_32.json",
        "split.csv",
        "boxes.csv",
        "preview_masks.png",
        "preview_doubtful_masks.png",
    ):
        assert (tables / name).stat().st_size, name
    for name in ("model.keras", "log.csv", "run.json", "curves.png", "predictions.csv", "cams.npy", "metrics.json"):
        assert (member / name).stat().st_size, name
    for name in (
        "cams_hirescam.npy",
        "cams_gradcam++.npy",
        "cams_layercam.npy",
        "predictions_blanked.csv",
        "randomisation.csv",
    ):
        assert (member / name).stat().st_size, name
    for name in ("predictions.csv", "thresholds.json", "metrics.json", "result.csv", "roc.png", "detections.csv"):
        assert (member.parent / name).stat().st_size, name
    for name in ("shortcuts.json", "map_scores.csv", "map_scores_films.csv", "report.html", "MODEL_CARD.md"):
        assert (member.parent / name).stat().st_size, name
    for name in ("detection_scores.csv", "froc.png", "faithfulness.csv"):
        assert (member.parent / name).stat().st_size, name
    assert not [path for path in folder.rglob("*") if ".cxr-part" in path.name]
    assert (member / ".cxr-backup/state.json").exists()  # a longer run goes on from it


def test_rows_of_pack_masks_and_table_belong_together(finished):
    folder, _, _ = finished
    tables = folder / "data/classification"
    images = pd.read_csv(tables / "images.csv")
    packed = pd.read_csv(tables / "images_32.csv")
    assert packed["image_id"].tolist() == images["image_id"].tolist() == sorted(images["image_id"])
    assert np.load(tables / "images_32.npy", mmap_mode="r").shape == (len(images), 32, 32)
    assert len(np.load(tables / "lung_masks.npy", mmap_mode="r")) == len(images)


def test_a_patient_is_in_one_split_only(finished):
    folder, _, _ = finished
    tables = folder / "data/classification"
    split = pd.read_csv(tables / "images.csv").merge(pd.read_csv(tables / "split.csv"), on="image_id")
    assert set(split["split"]) == {"train", "val", "test"}
    assert split.groupby("patient_id")["split"].nunique().max() == 1


def test_predictions_cover_val_and_test_with_a_map_each(finished):
    folder, _, _ = finished
    family = folder / "models/classification/ensemble"
    table = predictions.read(family / "predictions.csv")
    split = pd.read_csv(folder / "data/classification/split.csv")
    assert set(table["image_id"]) == set(split["image_id"][split["split"] != "train"])
    assert np.load(family / "tiny/cams.npy").shape == (len(table), 6, 8, 8)


def test_the_result_table_begins_as_the_originals_does(finished):
    folder, _, printed = finished
    result = pd.read_csv(folder / "models/classification/ensemble/result.csv")
    assert list(result.columns[:4]) == ["finding", "Accuracy", "Precision", "Recall"]
    assert result["finding"].tolist()[:6] == list(FINDINGS)
    assert "Always-no" in printed["evaluate_Ensemble.sh"]


def test_detections_lie_inside_their_films(finished):
    folder, _, _ = finished
    found = pd.read_csv(folder / "models/classification/ensemble/detections.csv")
    films = pd.read_csv(folder / "data/classification/images_32.csv").set_index("image_id").loc[found["image_id"]]
    assert (found[["x", "y"]] >= 0).all(axis=None)
    assert (found["x"] + found["width"] <= films["width"].to_numpy() + 0.2).all()
    assert (found["y"] + found["height"] <= films["height"].to_numpy() + 0.2).all()


def test_a_second_run_does_nothing_and_says_so(finished):
    folder, _, _ = finished
    watched = [*(folder / "data").rglob("*.npy"), *(folder / "data").rglob("*.csv"), *folder.rglob("model.keras")]
    before = {path: path.stat().st_mtime_ns for path in watched}
    printed = again(folder, "prepare_data.sh") + again(folder, "train_Ensemble.sh")
    assert printed.count("up to date") >= 8
    assert {path: path.stat().st_mtime_ns for path in watched} == before


def test_masks_made_again_from_the_same_are_the_same_to_packs_and_models(finished):
    folder, _, _ = finished
    tables = folder / "data/classification"
    for name in ("lung_masks.npy", "images_32.npy"):
        (tables / name).unlink()
    assert "images_32.npy\n" in again(folder, "prepare_data.sh")
    assert "predictions.csv: up to date" in again(folder, "evaluate_Ensemble.sh")


def test_maps_are_scored_on_test_films_with_a_box_and_stand_in_report_and_card(finished):
    folder, _, printed = finished
    family = folder / "models/classification/ensemble"
    films = pd.read_csv(family / "map_scores_films.csv")
    table = predictions.read(family / "predictions.csv").set_index("image_id")
    assert set(table.loc[films["film"], "split"]) == {"test"}
    assert set(films["network"]) == {"tiny", "none"}
    assert {*MAP_METHODS, "random map", "centre prior", "known box on the grid"} == set(films["method"])
    assert films["hit"].between(0, 1).all()
    best = films.groupby("method")["iou"].mean()
    assert best.idxmax() == "known box on the grid"
    assert "maps against known boxes" in printed["visualization_Ensemble.sh"]
    told = again(folder, "src/classification/eval/score_maps.py", "ensemble")
    assert "map_scores.csv: up to date" in told
    assert "faithfulness.csv: up to date" in told
    for text in ((family / "report.html").read_text(), (family / "MODEL_CARD.md").read_text()):
        assert "Hit rate: the hottest point lies in a known box" in text
        assert "Detection by finding (tiny)" in text
        assert "Corners blanked: the scores of" in text


def test_blanked_corners_change_test_films_only(finished):
    folder, _, _ = finished
    family = folder / "models/classification/ensemble"
    blanked = predictions.read(family / "tiny/predictions_blanked.csv")
    whole = predictions.read(family / "tiny/predictions.csv").query("split == 'test'").reset_index(drop=True)
    assert blanked["image_id"].tolist() == whole["image_id"].tolist()
    assert json.loads((family / "shortcuts.json").read_text())["corners"]["films"] == len(whole)


def test_a_chosen_film_is_drawn_for_a_chosen_finding(finished):
    folder, _, _ = finished
    table = predictions.read(folder / "models/classification/ensemble/predictions.csv")
    name = table["image_id"].iloc[0]
    again(folder, "visualization_Ensemble.sh", "--film", name, "--finding", "Edema")
    assert (folder / f"models/classification/ensemble/gradcam/Edema/{name}.png").exists()


def test_efficientnet_is_a_family_of_one(finished):
    folder, _, _ = finished
    again(folder, "train_Efficientnet.sh")
    assert "efficientnetb0: mean AUROC" in again(folder, "evaluate_Efficientnet.sh")
    record = json.loads((folder / "models/classification/efficientnet/efficientnetb0/run.json").read_text())
    assert record["epochs"] == 1
    assert record["parameters"]["EFFICIENTNET_VARIANT"] == "B0"


def test_masks_of_any_folder_and_its_broken_files_are_listed(finished, tmp_path):
    folder, _, _ = finished
    films = tmp_path / "films"
    films.mkdir()
    source = sorted((folder / "lungs/CXR_png").glob("*.png"))[0]
    (films / "good.png").write_bytes(source.read_bytes())
    (films / "broken.png").write_bytes(source.read_bytes()[:500])
    again(folder, "src/segmentation/predict.py", str(films), "--out", str(tmp_path / "out"))
    table = pd.read_csv(tmp_path / "out/masks.csv").set_index("film")
    assert (tmp_path / "out/overlays/good.png").exists()
    assert "not readable" in table.loc["broken.png", "problem"]
    assert not table.loc["broken.png", "accepted"]


def test_wrong_parameters_stop_before_anything_is_written(tmp_path):
    result = run(tmp_path, "prepare_data.sh", LUNG_MASKNG="loose")
    assert result.returncode == 2
    assert "unknown key LUNG_MASKNG. Did you mean LUNG_MASKING?" in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["PARAMS.json", "SETTINGS.json"]


def test_a_step_before_its_time_names_the_command_that_is_missing(tmp_path):
    result = run(tmp_path, "train_Ensemble.sh")
    assert result.returncode == 2
    assert "images.csv: not there yet. Make it with:" in result.stderr


@pytest.mark.parametrize(
    ("left_out", "kept"),
    [
        ({"DATASET_CSV_DIR": ""}, {"chexpert"}),
        ({"DATASET_CHEXPERT_TRAIN_CSV_DIR": "", "DATASET_CHEXPERT_VAL_CSV_DIR": ""}, {"nih"}),
    ],
)
def test_one_source_alone_gives_the_same_bytes_twice_without_a_unet(finished, tmp_path, left_out, kept):
    folder, _, _ = finished
    raw = {"DATASET_DIR": str(folder / "raw")}
    raw |= {key: str(folder / value) for key, value in SETTINGS.items() if key.startswith("DATASET_C")}
    made = []
    changes = {"settings": raw | left_out, "LUNG_MASKING": "none"}
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        if place == "one":
            again(tmp_path / place, "prepare_data.sh", **changes)
        else:
            tables_and_pack(tmp_path / place, WORKERS=2, **changes)
        data = tmp_path / place / "data/classification"
        made.append({path.name: path.read_bytes() for path in (*data.glob("*.npy"), *data.glob("*.csv"))})
        assert set(pd.read_csv(data / "images.csv")["source"]) == kept
        assert not (tmp_path / place / "models").exists()
    assert made[0] == made[1]


def test_tables_and_records_have_the_columns_that_are_written_down(finished):
    folder, _, _ = finished
    tables, family = folder / "data/classification", folder / "models/classification/ensemble"
    about = ["image_id", "path", "patient_id", "view", "sex", "age", "source", "label_source", *FINDINGS]
    for name in ("nih", "chexpert", "images"):
        assert list(pd.read_csv(tables / f"{name}.csv")) == about
    assert list(pd.read_csv(tables / "split.csv")) == ["image_id", "split"]
    assert list(pd.read_csv(tables / "test_patients.csv")) == ["patient_id"]
    assert list(pd.read_csv(tables / "boxes.csv")) == ["image_id", "finding", "x", "y", "width", "height"]
    masks = ["image_id", "area_fraction", "components", "accepted", "reason", "doubt", *vars(Widths())]
    assert list(pd.read_csv(tables / "lung_masks.csv")) == masks
    affine = {"width", "height", "scale_x", "scale_y", "offset_x", "offset_y", "mask_used", "problem"}
    assert affine <= set(pd.read_csv(tables / "images_32.csv"))
    images = pd.read_csv(tables / "images.csv")
    assert images["image_id"].str.fullmatch(r"(nih/\d{8}_\d{3}|chexpert/(train|valid)/.+)").all()
    assert images["patient_id"].str.fullmatch(r"(nih|chexpert)-\d+").all()
    assert images[list(FINDINGS)].isin([0, 1, np.nan]).all(axis=None)
    for name in ("nih_problems", "images_problems", "lung_masks_problems"):
        assert list(pd.read_csv(tables / f"{name}.csv")) == ["path", "problem"]
    log = [
        "epoch",
        "loss",
        "val_loss",
        "val_auroc",
        "val_low",
        *(f"val_auroc_{f}" for f in FINDINGS),
        "learning_rate",
        "seconds",
    ]
    assert list(pd.read_csv(family / "tiny/log.csv")) == log
    found = ["image_id", "finding", "x", "y", "width", "height", "score", "probability"]
    assert list(pd.read_csv(family / "detections.csv")) == found


def test_packed_masks_and_films_are_what_they_say(finished):
    folder, _, _ = finished
    tables = folder / "data/classification"
    masks, pack = (np.load(tables / f"{name}.npy", mmap_mode="r") for name in ("lung_masks", "images_32"))
    assert (masks.dtype, pack.dtype) == (np.uint8, np.uint8)
    assert set(np.unique(masks)) <= {0, 255}
    assert (masks > 0).mean(axis=(1, 2)) == pytest.approx(pd.read_csv(tables / "lung_masks.csv")["area_fraction"])
    assert pack.any(axis=(1, 2)).all()
    used = pd.read_csv(tables / "images_32.csv")["mask_used"]
    assert used.tolist() == pd.read_csv(tables / "lung_masks.csv")["accepted"].tolist()


def test_a_run_is_on_record(finished):
    folder, _, _ = finished
    member = folder / "models/classification/ensemble/tiny"
    record = json.loads((member / "run.json").read_text())
    assert record["model"] == digest(member / "model.keras")
    assert record["made_from"]["split"] == digest(folder / "data/classification/split.csv")
    assert record["parameters"].items() >= (PARAMS | {"ENSEMBLE_MEMBERS": ["tiny"]}).items()
    assert {"seconds", "films_per_second", "best_epoch", "device", "versions", "commit", "seed"} <= set(record)


def test_metrics_hold_every_finding_and_source(finished):
    folder, _, _ = finished
    family = folder / "models/classification/ensemble"
    for path in (family / "metrics.json", family / "tiny/metrics.json"):
        assert "NaN" not in path.read_text()  # null where not defined
        metrics = json.loads(path.read_text())
        assert list(metrics["findings"]) == list(FINDINGS)
        assert {"total", "macro", "by_source"} <= set(metrics)
        assert {"nih", "chexpert-valid"} <= set(metrics["by_source"])
    table = predictions.read(family / "predictions.csv")
    prevalence = table.loc[table["split"] == "test", "Effusion_true"].mean()
    assert metrics["findings"]["Effusion"]["prevalence"] == pytest.approx(prevalence)
    pd.testing.assert_frame_equal(table, predictions.read(family / "tiny/predictions.csv"))  # an ensemble of one


def test_evaluating_again_scores_nothing_and_changes_nothing(finished):
    folder, _, _ = finished
    family = folder / "models/classification/ensemble"
    scored = [family / "tiny" / name for name in ("predictions.csv", "cams.npy", "predictions.json", "model.keras")]
    before, contents = {path: path.stat().st_mtime_ns for path in scored}, checksums(family)
    assert "predictions.csv: up to date" in again(folder, "evaluate_Ensemble.sh")
    assert {path: path.stat().st_mtime_ns for path in scored} == before
    after = checksums(family)
    changed = {name for name in contents if after[name] != contents[name] and not name.endswith(".html")}
    assert changed == set()


def test_the_thumbnail_baseline_stands_beside_the_ensemble(finished):
    folder, _, _ = finished
    lines = again(folder, "demo/thumbnail_baseline.py").splitlines()
    assert "AUROC on test" in lines[0]
    assert [line.split()[0] for line in lines if line.startswith(FINDINGS)] == list(FINDINGS)
    assert any(line.startswith("mean ") for line in lines)


def test_experiments_train_each_variant_once_and_lay_them_side_by_side(finished, capsys):
    folder, _, _ = finished
    write_files(folder)
    files = [f"--{name.lower()}={folder / name}.json" for name in ("SETTINGS", "PARAMS")]
    trained = []
    for name in ("protocols", "hospitals"):
        arguments = [name, "--member", "tiny", "--seeds", "1", *files]
        while place := (load_script("src/experiments/next_run.py").main(arguments), capsys.readouterr().out.strip())[1]:
            own = [f"--{name.lower()}={place}/{name}.json" for name in ("SETTINGS", "PARAMS")]
            for step in sorted((PROJECT / "src/classification/etl").glob("[0-9]_*.py")):
                load_script(str(step.relative_to(PROJECT))).main(own)
            assert capsys.readouterr().out.count("up to date") >= 5, "what is prepared already is linked"
            load_script("src/classification/train/train.py").main(["ensemble", *own])
            load_script("src/classification/eval/evaluate.py").main(["ensemble", *own])
            trained.append(Path(place).parent.name)
            capsys.readouterr()
        load_script("src/experiments/table.py").main(arguments)
        assert f"# Experiment {name}: " in capsys.readouterr().out
    assert trained == ["base", "protocols_by_image", "hospitals_on_nih", "hospitals_on_chexpert"]
    made = {name: json.loads((folder / f"models/experiments/{name}_tiny.json").read_text())["runs"] for name in (
        "protocols", "hospitals")}  # fmt: skip
    ours, theirs = made["protocols"]
    assert (ours["leaked"], ours["recalled"]) == (0, None)
    assert 0 < theirs["difference"]["same_films"]["all test films"]["films"] < theirs["films"]["test"]["films"]
    assert 0 < theirs["leaked"] < theirs["films"]["test"]["films"]
    both, nih, chexpert = made["hospitals"]
    assert both["films"]["test"] == nih["films"]["test"] == chexpert["films"]["test"]
    assert nih["films"]["train"]["films"] + chexpert["films"]["train"]["films"] == both["films"]["train"]["films"]
    assert set(nih["difference"]["same_films"]) == {"all test films", "nih", "chexpert-valid"}
    assert set(nih["figures"]) == {"all test films", "nih", "chexpert-valid"}, "a hospital never seen is tested on too"
    text = (folder / "models/experiments/hospitals_tiny.md").read_text()
    assert "3 of 3 runs finished" in text
    assert "## AUROC, chexpert-valid" in text


def test_drawing_the_films_again_does_nothing(finished):
    folder, before, _ = finished
    assert "up to date" in again(folder, "demo/draw_films.py")
    assert checksums(folder / "raw") | checksums(folder / "lungs") == before


def test_an_unreadable_film_stays_black_and_is_in_no_split(finished, tmp_path, capsys):
    folder, _, _ = finished
    shutil.copytree(folder / "raw", tmp_path / "raw", ignore=shutil.ignore_patterns("CheXpert*"))
    broken = sorted((tmp_path / "raw").rglob("0000*.png"))[3]
    broken.write_bytes(broken.read_bytes()[:100])
    alone = {"DATASET_CHEXPERT_TRAIN_CSV_DIR": "", "DATASET_CHEXPERT_VAL_CSV_DIR": ""}
    tables_and_pack(tmp_path, settings=alone, LUNG_MASKING="none")
    assert "1 film unreadable" in capsys.readouterr().out
    settings = configuration.load_settings(tmp_path / "SETTINGS.json")
    table, pack = films.load_films(settings, configuration.load_params(tmp_path / "PARAMS.json"), 32)
    unreadable = table["split"] == "unreadable"
    assert table.loc[unreadable, "image_id"].tolist() == [f"nih/{broken.stem}"]
    assert broken.name in table.loc[unreadable, "problem"].item()
    assert pack.any(axis=(1, 2)).tolist() == (~unreadable).tolist()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_training_without_films_to_train_on_or_to_choose_by_is_refused(tmp_path, split):
    settings, params = settings_in(tmp_path), tiny_params()
    prepare(settings, params, range(4), [split] * 4)
    counts = f"{4 * (split == 'train')} films for training and {4 * (split == 'val')} for validation"
    with pytest.raises(InputError, match=f"split.csv: {counts}.*(?:VAL|TEST)_FRACTION"):
        train_member(settings, params, "ensemble", "tiny", print)
    assert not settings.models_dir.exists()
