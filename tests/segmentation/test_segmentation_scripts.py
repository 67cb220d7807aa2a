"""The steps towards the U-Net, and what it is used for, on a few synthetic lung films with a tiny network."""

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.anatomy.heart import Widths
from cxr.anatomy.lungs import MaskQuality
from cxr.core import configuration
from cxr.core.artifacts import digest
from cxr.core.errors import InputError
from cxr.imaging.decoding import write_image
from cxr.networks.backend import keras
from cxr.networks.inference import Outlined
from cxr.preparation import packs
from cxr.releases.writing import ReleaseParams, write_releases
from cxr.tables import lung_films
from cxr.training import unet_training
from tests.conftest import TINY, load_script, tiny_params

ETL = ("etl/0_pair_masks.py", "etl/1_split_patients.py", "etl/2_pack_arrays.py")
STEPS = (*ETL, "train.py", "evaluate.py")
PARAMS = TINY | {"UNET_VAL_FRACTION": 0.25, "UNET_TEST_FRACTION": 0.3, "BOOTSTRAP_REPLICATES": 20}


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".cxr-lock"
    }


def times(folder: Path) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".cxr-lock"
    }


class Project:
    """A folder with results, the JSON files, and lung films of its own or those of another folder."""

    def __init__(self, folder: Path, lungs: Path):
        self.folder, self.lungs = folder, lungs
        self.places = lungs / "CXR_png", lungs / "masks"
        self.made, self.unet = folder / "data/segmentation", folder / "models/segmentation/Unet"

    def run(self, *steps: str, more: tuple[str, ...] = (), **params) -> None:
        settings = dict(zip(("DATASET_DIR_SEGMENTATION", "MASK_DIR"), map(str, self.places), strict=True))
        (self.folder / "SETTINGS.json").write_text(json.dumps(settings))
        (self.folder / "PARAMS.json").write_text(json.dumps(PARAMS | params))
        files = [f"--{name.lower()}={self.folder / name}.json" for name in ("SETTINGS", "PARAMS")]
        for step in steps:
            load_script(f"src/segmentation/{step}").main([*files, *more])

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.made / name)


@pytest.fixture(scope="module")
def lungs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lungs")
    write_releases(folder / "dataset", folder / "CXR_png", folder / "masks", ReleaseParams(14, 12, 24, 128, seed=2))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, lungs) -> tuple[Project, dict]:
    """All steps done once; the checksums of the raw films before."""
    before = checksums(lungs)
    project = Project(tmp_path_factory.mktemp("finished"), lungs)
    project.run(*STEPS)
    return project, before


@pytest.fixture
def project(tmp_path, lungs) -> Project:
    return Project(tmp_path, lungs)


@pytest.fixture
def own_lungs(project, lungs, tmp_path) -> Project:
    """With copies of the raw films, which a test may spoil."""
    for name in ("CXR_png", "masks"):
        shutil.copytree(lungs / name, tmp_path / "own" / name)
    project.lungs = tmp_path / "own"
    project.places = project.lungs / "CXR_png", project.lungs / "masks"
    return project


# From films and masks to packs


def test_raw_films_are_never_touched_and_nothing_is_left_half_written(finished):
    project, before = finished
    assert checksums(project.lungs) == before
    assert not [path for path in project.folder.rglob("*") if ".cxr-part" in path.name]


def test_every_pair_is_packed_once_with_a_black_and_white_mask(finished):
    project, _ = finished
    pairs, packed = project.table("pairs.csv"), project.table("packed_32.csv")
    assert list(pairs.columns) == ["image_id", "set", "patient_id", "film", "masks", "hearts"]
    assert pairs["image_id"].is_unique
    assert set(pairs["set"]) == {"montgomery", "shenzhen"}
    pd.testing.assert_frame_equal(packed, pairs)  # no film is broken here
    films = packs.open_pack(project.made / "images_32.npy", "-")
    masks = packs.open_pack(project.made / "masks_32.npy", "-", 2)
    assert films.shape == masks.shape[:3] == (len(pairs), 32, 32)
    assert set(np.unique(masks)) == {0, 255}
    shares = (masks > 0).mean(axis=(1, 2))  # of lungs, of the heart
    assert (shares.min(axis=0) > [0.08, 0.02]).all()
    assert (shares.max(axis=0) < [0.6, 0.3]).all()
    assert project.table("packed_32_problems.csv").empty
    assert (project.made / "preview_pairs.png").stat().st_size


def test_what_has_no_partner_is_listed_and_still_there(finished):
    project, _ = finished
    problems = project.table("pairs_problems.csv")
    assert list(problems.columns) == ["path", "problem"]
    assert len(problems)
    films = {path.name for path in (project.lungs / "CXR_png").glob("*.png")}
    paired = {Path(film).name for film in project.table("pairs.csv")["film"]}
    assert films - paired <= {Path(path).name for path in problems["path"]}


def test_a_patient_is_in_one_split_only(finished):
    project, _ = finished
    split = project.table("pairs.csv").merge(project.table("split.csv"), on="image_id", validate="one_to_one")
    assert set(split["split"]) == {"train", "val", "test"}
    assert split.groupby("patient_id")["split"].nunique().max() == 1


def test_running_again_does_nothing_and_says_so(finished, capsys):
    project, _ = finished
    before = times(project.made) | times(project.unet)
    capsys.readouterr()
    project.run(*ETL)
    assert capsys.readouterr().out.count("up to date") == 3
    project.run(*STEPS, more=("--if-missing",))
    printed = capsys.readouterr().out
    assert "model.keras is there (python src/segmentation/train.py trains it anew)" in printed
    assert len(printed.splitlines()) == 1
    assert times(project.made) | times(project.unet) == before


def test_elsewhere_the_same_films_give_the_same_bytes(finished, project):
    project.run(*ETL, WORKERS=2)
    first = finished[0].made
    names = sorted(path.name for path in first.iterdir() if path.suffix in (".csv", ".npy", ".png"))
    assert names == sorted(path.name for path in project.made.iterdir() if path.suffix in (".csv", ".npy", ".png"))
    assert [name for name in names if digest(first / name) != digest(project.made / name)] == []


def test_a_film_that_cannot_be_read_is_listed_and_left_out(own_lungs):
    masks = {path.name.replace("_mask", "") for path in (own_lungs.lungs / "masks").rglob("*.png")}
    broken = next(path for path in sorted((own_lungs.lungs / "CXR_png").glob("CHN*.png")) if path.name in masks)
    broken.write_bytes(broken.read_bytes()[:200])
    own_lungs.run(*ETL)
    problems = own_lungs.table("packed_32_problems.csv")
    assert problems["path"].tolist() == [broken.name]
    assert broken.name in problems["problem"][0]
    packed = own_lungs.table("packed_32.csv")
    assert broken.name not in packed["film"].tolist()
    assert len(packed) == len(own_lungs.table("pairs.csv")) - 1 == len(np.load(own_lungs.made / "images_32.npy"))


def test_a_film_that_comes_later_is_taken_up(own_lungs):
    own_lungs.run(*ETL)
    before = own_lungs.table("split.csv").set_index("image_id")["split"]
    pair = own_lungs.table("pairs.csv").iloc[0]
    for folder, name in (("CXR_png", pair["film"]), ("masks", pair["masks"].split("|")[0])):
        shutil.copy(own_lungs.lungs / folder / name, own_lungs.lungs / folder / "mine.png")
    own_lungs.run(*ETL)
    after = own_lungs.table("split.csv").set_index("image_id")["split"]
    assert len(after) == len(before) + 1
    assert after[before.index].tolist() == before.tolist()  # nobody moves
    assert len(np.load(own_lungs.made / "masks_32.npy")) == len(after)


def test_whole_sets_can_be_held_out(project):
    project.run(*ETL[:2], UNET_TEST_SETS=["montgomery"])
    split = project.table("pairs.csv").merge(project.table("split.csv"), on="image_id")
    assert set(split.loc[split["set"] == "montgomery", "split"]) == {"test"}
    assert "test" not in set(split.loc[split["set"] == "shenzhen", "split"])


def test_without_masking_no_unet_is_made(project, capsys):
    project.run(*STEPS, more=("--if-missing",), LUNG_MASKING="none")
    assert capsys.readouterr().out == '"LUNG_MASKING": "none" needs no U-Net\n'
    assert sorted(path.name for path in project.folder.iterdir()) == ["PARAMS.json", "SETTINGS.json"]


def test_a_step_before_its_time_names_the_one_that_is_missing(project):
    for step, missing in ((ETL[1], "0_pair_masks"), (ETL[2], "0_pair_masks"), ("train.py", "2_pack_arrays")):
        with pytest.raises(InputError, match=f"not there yet. Make it with: .*{missing}.py"):
            project.run(step)
    project.run(*ETL)
    with pytest.raises(InputError, match=r"model\.keras: not there yet\. Make it with: .*src/segmentation/train\.py"):
        project.run("evaluate.py")


# Training and evaluation


def test_training_leaves_its_model_its_log_and_its_record(finished):
    project, _ = finished
    weights = project.unet / "weights"
    assert sorted(path.name for path in weights.glob("[!.]*")) == ["curves.png", "log.csv", "model.keras", "run.json"]
    log = pd.read_csv(weights / "log.csv")
    assert list(log.columns) == ["epoch", "loss", "val_loss", "val_dice", "val_heart_dice", "learning_rate", "seconds"]
    record = json.loads((weights / "run.json").read_text())
    assert record["epochs"] == record["best_epoch"] == len(log) == 1
    assert record["model"] == digest(weights / "model.keras")
    assert record["made_from"]["split"] == digest(project.made / "split.csv")
    assert record["parameters"]["UNET_FILTERS"] == 4
    model = keras.saving.load_model(weights / "model.keras", compile=False)
    assert model.input_shape == (None, 32, 32, 1)
    assert model.output_shape == (None, 32, 32, 2)


def test_the_dice_is_of_the_held_out_films_alone(finished):
    project, _ = finished
    table = pd.read_csv(project.unet / "evaluation/dice.csv")
    split = project.table("split.csv")
    assert set(table["image_id"]) == set(split.loc[split["split"] == "test", "image_id"])
    of_hearts = ["heart_dice", "cardiothoracic_ratio", "cardiothoracic_ratio_true"]
    assert list(table.columns) == ["image_id", "set", "patient_id", "dice", "iou", "accepted", *of_hearts]
    assert table["heart_dice"].between(0, 1).all()  # the drawn lung sets come with hearts
    assert table["cardiothoracic_ratio_true"].between(0.2, 0.9).all()
    assert table[["dice", "iou"]].min().min() >= 0
    np.testing.assert_allclose(table["iou"], table["dice"] / (2 - table["dice"]), atol=2e-5)
    metrics = json.loads((project.unet / "evaluation/metrics.json").read_text())
    assert metrics["all"]["films"] == len(table)
    assert metrics["all"]["dice"] == pytest.approx(table["dice"].mean(), abs=1e-5)
    assert metrics["unet"] == digest(project.unet / "weights/model.keras")
    for name, rows in table.groupby("set"):
        assert metrics[name]["films"] == len(rows)
        assert metrics[name]["lowest_dice"] == pytest.approx(rows["dice"].min(), abs=1e-5)
    assert (project.unet / "evaluation/worst.png").stat().st_size


def drawn_alone(tmp_path, **params) -> Project:
    """A project whose folders of lung films are not there."""
    project = Project(tmp_path, tmp_path / "nowhere")
    project.run(*ETL, DRAWN_LUNG_FILMS=100, **params)
    return project


def test_without_lung_films_the_unet_learns_from_drawn_ones_and_says_so(tmp_path, capsys):
    project = drawn_alone(tmp_path, LUNG_FILMS="both")
    said = capsys.readouterr().out
    assert "no real lung films: " in said
    assert "nowhere/masks are not there: the U-Net learns from drawn films" in said
    pairs = project.table("pairs.csv")
    assert set(pairs["set"]) == {"drawn"}
    assert len(pairs) == pairs["patient_id"].nunique() == 100
    assert {"train", "val", "test"} == set(project.table("split.csv")["split"])
    masks = packs.open_pack(project.made / "masks_32.npy", "", 2)
    assert set(np.unique(masks)) == {0, 255}  # both outlines are known
    project.run("train.py", "evaluate.py", DRAWN_LUNG_FILMS=100, LUNG_FILMS="both", UNET_EPOCHS=9, UNET_DRAWN_EPOCHS=1)
    said = capsys.readouterr().out
    assert "1 epoch;" in said
    assert "heart: Dice" in said
    assert "drawn films are no measure of real ones" in said


def test_drawn_films_are_the_same_again_and_others_with_another_seed(tmp_path):
    project = drawn_alone(tmp_path, LUNG_FILMS="drawn")
    before = [(project.made / name).read_bytes() for name in ("images_32.npy", "masks_32.npy", "packed_32.csv")]
    (project.made / "images_32.npy").unlink()
    project.run(*ETL, DRAWN_LUNG_FILMS=100, LUNG_FILMS="drawn")
    assert [(project.made / name).read_bytes() for name in ("images_32.npy", "masks_32.npy", "packed_32.csv")] == before
    project.run(*ETL, DRAWN_LUNG_FILMS=100, LUNG_FILMS="drawn", SEED=8)
    assert (project.made / "images_32.npy").read_bytes() != before[0]


def test_real_films_that_were_asked_for_and_are_not_there_stop_it(tmp_path):
    with pytest.raises(InputError, match="nowhere/CXR_png"):
        drawn_alone(tmp_path, LUNG_FILMS="real")
    (tmp_path / "nowhere/CXR_png").mkdir(parents=True)  # films without the folder of their masks: a mistake, told
    with pytest.raises(InputError, match="nowhere"):
        drawn_alone(tmp_path, LUNG_FILMS="both")


def test_films_are_mirrored_only_where_no_heart_is_learned():
    unet = tiny_params(UNET_AUGMENTATION=0.7).unet
    assert unet_training.augmentation_of(unet, knows_hearts=True).flip == 0
    assert unet_training.augmentation_of(unet, knows_hearts=False).flip == 0.5
    assert unet_training.augmentation_of(unet, knows_hearts=True).augmentation == 0.7


def test_where_no_film_has_a_heart_s_mask_the_unet_outlines_lungs_alone(own_lungs, capsys):
    shutil.rmtree(own_lungs.lungs / "masks/heart")
    own_lungs.run(*ETL, "train.py", "evaluate.py")
    assert "no film has a mask of the heart: lungs alone" in capsys.readouterr().out
    model = keras.saving.load_model(own_lungs.unet / "weights/model.keras", compile=False)
    assert model.output_shape == (None, 32, 32, 1)
    table = pd.read_csv(own_lungs.unet / "evaluation/dice.csv")
    assert table[["heart_dice", "cardiothoracic_ratio"]].isna().all(axis=None)


def test_real_and_drawn_films_train_together_and_only_real_ones_measure(project, capsys):
    project.run(*ETL, LUNG_FILMS="both", DRAWN_LUNG_FILMS=100)
    table = project.table("packed_32.csv").merge(project.table("split.csv"), on="image_id")
    assert set(table.loc[table["set"] == "drawn", "split"]) == {"train"}
    assert {"train", "val", "test"} == set(table.loc[table["set"] != "drawn", "split"])
    rows, names = unet_training.rows_of_an_epoch(table)
    real = (table["set"] != "drawn") & (table["split"] == "train")
    times = lung_films.passes_of_real(real.sum(), 100)
    assert times > 1  # real films pass more often: there are fewer of them
    assert len(rows) == 100 + times * real.sum()
    assert len(set(names)) == len(names)  # each pass is varied in its own way


def test_an_unfinished_unet_is_trained_on_and_a_new_one_is_evaluated_anew(finished, tmp_path, capsys):
    project = Project(tmp_path / "copy", finished[0].lungs)
    shutil.copytree(finished[0].folder, project.folder)
    (project.unet / "weights/.cxr-backup").mkdir()
    (project.unet / "evaluation/metrics.json").write_text(json.dumps({"unet": "another"}))
    project.run("train.py", "evaluate.py", more=("--if-missing",), BOOTSTRAP_REPLICATES=0)
    printed = capsys.readouterr().out
    assert "epoch 1: loss" in printed
    assert "(no interval: " in printed
    assert "nan" not in printed
    assert not (project.unet / "weights/.cxr-backup").exists()
    metrics = json.loads((project.unet / "evaluation/metrics.json").read_text())
    assert metrics["unet"] == digest(project.unet / "weights/model.keras")


def test_a_unet_depends_on_its_own_parameters_and_films_and_on_no_time(finished, tmp_path):
    """What goes on where it stopped must be known again after a change of the classifiers' EPOCHS."""
    project = Project(tmp_path / "copy", finished[0].lungs)
    shutil.copytree(finished[0].folder, project.folder)
    settings = configuration.load_settings(project.folder / "SETTINGS.json")

    def identity(**params):
        return unet_training.identity_of(settings, configuration.params_from(PARAMS | params, "PARAMS.json"))

    before = identity()
    (project.made / "packed_32.json").unlink()
    project.run(ETL[2])
    assert identity(EPOCHS=77, BATCH_SIZE=2, SCHEDULE="constant") == before
    for params in ({"UNET_EPOCHS": 2}, {"UNET_FILTERS": 8}, {"SEED": 2}):
        assert identity(**params) != before


def test_a_split_without_films_for_val_or_test_is_refused(finished, tmp_path):
    project = Project(tmp_path / "copy", finished[0].lungs)
    shutil.copytree(finished[0].folder, project.folder)
    with pytest.raises(InputError, match="none left for val of 20; change UNET_VAL_FRACTION"):
        project.run(ETL[1], UNET_VAL_FRACTION=0.0)
    project.run(ETL[1], UNET_TEST_FRACTION=0.0)
    with pytest.raises(InputError, match="no test film; raise UNET_TEST_FRACTION"):
        project.run("evaluate.py")


# Films of any folder


@pytest.fixture(scope="module")
def predicted(finished, tmp_path_factory) -> tuple[Path, Path]:
    """A folder of three films, one broken, one wide and in a subfolder, and the masks that were found."""
    project, _ = finished
    films, out = tmp_path_factory.mktemp("films"), tmp_path_factory.mktemp("out")
    source = cv2.imread(str(sorted((project.lungs / "CXR_png").glob("*.png"))[0]), cv2.IMREAD_GRAYSCALE)
    (films / "ward").mkdir()
    cv2.imwrite(str(films / "one.png"), source)
    cv2.imwrite(str(films / "ward/one.png"), cv2.resize(source, (200, 120)))
    (films / "broken.png").write_bytes((films / "one.png").read_bytes()[:300])
    (films / "notes.txt").write_text("no film")
    project.run("predict.py", more=(str(films), "--out", str(out)))
    return films, out


def test_masks_of_any_folder_have_the_size_of_their_films(predicted):
    _, out = predicted
    accepted = pd.read_csv(out / "masks.csv").set_index("film")["accepted"]
    for name, shape in (("one.png", None), ("ward/one.png", (120, 200))):
        place, other = ("masks", "not_accepted") if accepted[name] else ("not_accepted", "masks")
        mask = cv2.imread(str(out / place / name), cv2.IMREAD_UNCHANGED)
        assert not (out / other / name).exists()
        assert set(np.unique(mask)) <= {0, 255}
        assert mask.ndim == 2
        assert shape is None or mask.shape == shape
        assert (out / "overlays" / name).stat().st_size


def test_found_masks_go_straight_into_training_but_for_those_that_were_not_accepted(
    finished, tmp_path, monkeypatch, capsys
):
    """The loop of docs/lung_masks.md: FOLDER as DATASET_DIR_SEGMENTATION, OUT/masks as MASK_DIR."""
    project = Project(tmp_path / "project", finished[0].lungs)
    shutil.copytree(finished[0].folder, project.folder)
    films, out = tmp_path / "films", tmp_path / "out"
    (films / "ward").mkdir(parents=True)
    pixels = np.arange(96 * 64, dtype=np.uint32).reshape(96, 64).astype(np.uint8)
    for name in ("a.png", "b.jpg", "ward/c.tif", "d.png", "e.png", "whole.png"):
        cv2.imwrite(str(films / name), pixels)
    lungs = np.zeros((32, 32), np.uint8)
    lungs[6:26, 8:14] = lungs[6:26, 18:24] = 255

    def masks_of(unet, squares, params):
        for number, _ in enumerate(squares):
            accepted = number != 4  # of a.png, b.jpg, d.png, e.png, ward/c.tif, whole.png
            quality = MaskQuality(0.23, 2, accepted, "" if accepted else "one lung only")
            yield Outlined(lungs, None, quality, Widths())

    monkeypatch.setattr("cxr.networks.inference.outlined_films", masks_of)
    project.run("predict.py", more=(str(films), "--out", str(out)))
    assert sorted(path.name for path in (out / "masks").rglob("*.png")) == [
        "a.png",
        "b.png",
        "d.png",
        "e.png",
        "whole.png",
    ]
    assert [path.name for path in (out / "not_accepted").rglob("*.png")] == ["c.png"]
    monkeypatch.undo()
    project.places = films, out / "masks"
    project.run(*ETL, UNET_VAL_FRACTION=0.5, UNET_TEST_FRACTION=0.2, SEED=3)
    assert project.table("packed_32.csv")["image_id"].tolist() == ["own/a", "own/b", "own/d", "own/e", "own/whole"]
    packed = packs.open_pack(project.made / "masks_32.npy", "", 2)
    np.testing.assert_array_equal(
        packed[0, ..., 0] > 0, lungs > 0
    )  # what the network found, through the film's size and back
    project.run("evaluate.py", more=(str(films), "--masks", str(out / "masks"), "--out", str(tmp_path / "outside")))
    assert "of these films are among those that the U-Net was trained" in capsys.readouterr().out


def test_the_unet_is_measured_on_any_films_with_masks(finished, predicted, tmp_path, capsys, monkeypatch):
    project, _ = finished
    films, masks, out = tmp_path / "films", tmp_path / "masks", tmp_path / "out"
    square = np.arange(64 * 64, dtype=np.uint32).reshape(64, 64).astype(np.uint8)
    truth = np.zeros((64, 64), np.uint8)
    truth[12:52, 16:28] = truth[12:52, 36:48] = 255  # 2 x 40 x 12 pixels
    for name in ("same.png", "half.png", "alone.png"):
        write_image(square, films / name)
    for name in ("same.png", "half.png", "ghost.png"):
        write_image(truth, masks / name)
    found = cv2.resize(truth, (32, 32), interpolation=cv2.INTER_NEAREST_EXACT)
    half = found * (np.arange(32) < 16)  # one of two equal lungs: Dice 2 * .5 / 1.5, IoU .5
    monkeypatch.setattr(
        "cxr.networks.inference.outlined_films",
        lambda unet, squares, params: [
            Outlined(mask, None, MaskQuality(0.2, 2, True, ""), Widths()) for mask in (half, found)
        ],
    )
    before = checksums(project.unet)
    more = (str(films), "--masks", str(masks), "--out", str(out))
    project.run("evaluate.py", more=more)
    assert checksums(project.unet) == before  # the figures of the held-out films stay
    table = pd.read_csv(out / "dice.csv").set_index("image_id")
    assert table["dice"].to_dict() == {"own/half": pytest.approx(2 / 3, abs=1e-5), "own/same": 1}
    assert table["iou"].to_dict() == {"own/half": 0.5, "own/same": 1}
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["all"]["dice"] == pytest.approx(5 / 6, abs=1e-5)
    problems = pd.read_csv(out / "problems.csv")["problem"].tolist()
    assert problems == ["no mask of this name", "no film of this name"]
    printed = capsys.readouterr().out
    assert "lung masks of 2 films" in printed
    assert "0.8333" in printed


def test_films_without_the_folder_of_their_masks_and_the_other_way_round_are_refused(finished, tmp_path):
    with pytest.raises(InputError, match="--masks: missing"):
        finished[0].run("evaluate.py", more=(str(tmp_path),))
    with pytest.raises(InputError, match="FOLDER: missing"):
        finished[0].run("evaluate.py", more=("--masks", str(tmp_path)))


def test_a_broken_film_does_not_stop_the_others(predicted):
    _, out = predicted
    table = pd.read_csv(out / "masks.csv", keep_default_na=False).set_index("film")
    assert table.index.tolist() == ["broken.png", "one.png", "ward/one.png"]
    widths = list(vars(Widths()))
    assert list(table.columns) == ["area_fraction", "components", "accepted", "reason", "doubt", *widths, "problem"]
    assert table.loc["broken.png", "reason"] == "unreadable"
    assert "broken.png" in table.loc["broken.png", "problem"]
    assert not table.loc["broken.png", "accepted"]
    assert (table.loc[["one.png", "ward/one.png"], "problem"] == "").all()


def test_predicting_again_gives_the_same_bytes(finished, predicted, tmp_path):
    films, out = predicted
    finished[0].run("predict.py", more=(str(films), "--out", str(tmp_path)))
    assert checksums(tmp_path) == checksums(out)


def test_a_mask_that_was_mended_is_kept_by_the_next_run_and_one_that_was_not_is_made_anew(
    finished, predicted, tmp_path, capsys
):
    films, found = predicted
    out = shutil.copytree(found, tmp_path / "out")
    place = "masks" if (out / "masks/one.png").exists() else "not_accepted"
    (out / place / "one.png").unlink()
    mask = np.zeros(cv2.imread(str(films / "one.png"), cv2.IMREAD_GRAYSCALE).shape, np.uint8)
    height, width = mask.shape
    for left in (width // 8, 5 * width // 8):
        mask[height // 4 : 3 * height // 4, left : left + width // 4] = 255
    (out / "masks").mkdir(exist_ok=True)
    write_image(mask, out / "masks/one.png")  # in place, or out of those that were not accepted
    drawn = (out / "masks/one.png").read_bytes()
    for _ in range(2):  # it is known again though the first run listed it
        finished[0].run("predict.py", more=(str(films), "--out", str(out)))
        assert "kept, not as this script wrote them: 1 mask; remove one to have it made anew" in (
            capsys.readouterr().out
        )
        assert (out / "masks/one.png").read_bytes() == drawn
        assert not (out / "not_accepted/one.png").exists()
    row = pd.read_csv(out / "masks.csv").set_index("film").loc["one.png"]
    assert (row["accepted"], row["reason"]) == (True, "kept: not as this script wrote it")
    assert row["area_fraction"] == pytest.approx(0.25, abs=0.03)
    assert checksums(out / "overlays")["one.png"] != checksums(found / "overlays")["one.png"]
    assert checksums(out / "overlays")["ward/one.png"] == checksums(found / "overlays")["ward/one.png"]
    (out / "masks/one.png").unlink()
    finished[0].run("predict.py", more=(str(films), "--out", str(out)))
    assert checksums(out) == checksums(found)


def test_what_was_put_there_and_is_no_mask_of_the_film_is_kept_and_said(finished, predicted, tmp_path):
    films, found = predicted
    out = shutil.copytree(found, tmp_path / "out")
    (out / "masks").mkdir(exist_ok=True)
    shutil.copy(films / "one.png", out / "masks/one.png")
    finished[0].run("predict.py", more=(str(films), "--out", str(out)))
    row = pd.read_csv(out / "masks.csv").set_index("film").loc["one.png"]
    assert not row["accepted"]
    assert "masks/one.png: its grays are" in row["problem"]
    assert (out / "masks/one.png").read_bytes() == (films / "one.png").read_bytes()


def test_a_unet_for_another_size_is_refused(finished, predicted):
    with pytest.raises(InputError, match=r"takes films of 32x32x1, PARAMS\.json says 48x48x1"):
        finished[0].run("predict.py", more=(str(predicted[0]),), UNET_INPUT_SIZE=48)


def test_an_empty_folder_and_one_that_is_not_there_are_named(finished, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(InputError, match=name):
            finished[0].run("predict.py", more=(str(tmp_path / name),))
