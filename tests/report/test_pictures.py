"""Pictures: drawn whole, of the right size, with what was asked for in them, quickly, and without any global state."""

import subprocess
import sys
import time

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.core.findings import FINDINGS
from cxr.report import canvas, curves, film_pictures


def film(height=96, width=96, gray=90) -> np.ndarray:
    return np.full((height, width), gray, dtype=np.uint8)


def disc(size=96) -> np.ndarray:
    return cv2.circle(np.zeros((size, size), dtype=np.uint8), (size // 2, size // 2), size // 4, 255, -1)


def drawn(path) -> np.ndarray:
    """The picture in RGB; nothing half-written lies beside it."""
    assert not list(path.parent.glob(".*"))
    return cv2.imread(str(path))[..., ::-1]


def has(picture, colour, tolerance=12) -> bool:
    return bool((np.abs(picture.astype(int) - colour).max(axis=-1) <= tolerance).any())


def test_a_preview_shows_sixteen_films_of_any_shape_in_four_rows(tmp_path):
    films = [film(96, 60 + 8 * i) for i in range(16)]
    film_pictures.preview_grid(films, [f"film {i}" for i in range(16)], tmp_path / "preview.png")
    picture = drawn(tmp_path / "preview.png")
    assert picture.shape[0] > 4 * 256
    assert 4 * 256 < picture.shape[1] < 4 * 256 + 60
    assert not has(picture, canvas.MASK)


def test_a_preview_draws_the_masks_it_is_given_and_long_titles_take_two_lines(tmp_path):
    film_pictures.preview_grid([film()] * 2, ["short"] * 2, tmp_path / "short.png", contours=[None, disc()])
    film_pictures.preview_grid([film()] * 2, ["short", "Consolidation, " * 9], tmp_path / "long.png")
    assert has(drawn(tmp_path / "short.png"), canvas.MASK)
    assert drawn(tmp_path / "long.png").shape[0] == drawn(tmp_path / "short.png").shape[0] + 18


def test_an_overlay_shows_film_map_boxes_and_lungs_and_the_same_bytes_each_time(tmp_path):
    heat = np.zeros((8, 8), dtype=np.float32)
    heat[3:5, 3:5] = 1
    extras = {"contour_level": 0.5, "boxes": [(10, 10, 40, 40)], "detections": [(50, 50, 80, 80)], "lung_mask": disc()}
    for name in ("one.png", "two.png"):
        film_pictures.overlay(film(), heat, tmp_path / name, "Edema · truth 1 · probability 0.83", **extras)
    film_pictures.overlay(film(), heat, tmp_path / "plain.png", "Edema · truth 1 · probability 0.83")
    full, plain = drawn(tmp_path / "one.png"), drawn(tmp_path / "plain.png")
    for colour in (canvas.KNOWN_BOX, canvas.DETECTION, canvas.LUNGS):
        assert has(full, colour)
        assert not has(plain, colour)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_box_lies_where_its_film_pixels_say(tmp_path):
    film_pictures.overlay(film(240, 240), np.zeros((8, 8)), tmp_path / "box.png", "t", boxes=[(60, 30, 120, 90)])
    picture = drawn(tmp_path / "box.png")
    left = 2 * canvas.MARGIN + film_pictures.PANEL  # of the right panel, which shows 240 pixels as 480
    green = np.abs(picture.astype(int) - canvas.KNOWN_BOX).max(axis=-1) < 12
    rows, columns = np.nonzero(green[44 : 44 + film_pictures.PANEL])
    assert (columns.min() - left) / 2 == pytest.approx(60, abs=1)
    assert (columns.max() - left) / 2 == pytest.approx(180, abs=1)
    assert rows.min() / 2 == pytest.approx(30, abs=1)
    assert rows.max() / 2 == pytest.approx(120, abs=1)


def test_no_heat_leaves_the_film_as_it_is():
    shown = canvas.fit_panel(disc(), 96)[0]
    assert (canvas.blend(shown, np.zeros((96, 96), dtype=np.float32)) == shown).all()


def test_an_overlay_takes_a_fraction_of_a_second(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (512, 512)).astype(np.uint8)
    shown = cv2.GaussianBlur(noise, (0, 0), 3)
    begin = time.process_time()
    for number in range(5):
        film_pictures.overlay(shown, disc(16) / 255.0, tmp_path / f"{number}.png", "title", 0.5, [(9, 9, 99, 99)])
    assert (time.process_time() - begin) / 5 < 0.25  # about 0.04 s on a free core


def test_an_overview_has_a_row_an_outcome_and_says_where_there_is_no_film(tmp_path):
    group = [(film(), np.full((4, 4), 0.9), "film 1  p 0.91"), (film(), None, "film 2  p 0.90")]
    film_pictures.overview({"TP": group, "FP": group, "FN": group, "TN": group}, tmp_path / "all.png", "Edema")
    film_pictures.overview({"TP": group, "FP": [], "TN": group}, tmp_path / "some.png", "Edema", note="threshold 0.41")
    assert drawn(tmp_path / "all.png").shape[0] - drawn(tmp_path / "some.png").shape[0] > 2 * 236


def test_worst_masks_are_outlined_in_two_colours(tmp_path):
    shifted = np.roll(disc(), 9, axis=1)
    film_pictures.worst_masks([film()] * 10, [disc()] * 10, [shifted] * 10, ["Dice 0.8"] * 10, tmp_path / "worst.png")
    picture = drawn(tmp_path / "worst.png")
    assert has(picture[60:], canvas.TRUTH_MASK)
    assert has(picture[60:], canvas.PREDICTED_MASK)


def test_curves_are_drawn_for_findings_with_both_classes_and_survive_those_without(tmp_path):
    random = np.random.default_rng(2)
    truth = (random.random((80, 6)) < 0.4).astype(float)
    truth[:, 0], truth[:, 1], truth[5, 2] = np.nan, 0, np.nan
    probabilities = random.random((80, 6))
    for draw, name in ((curves.roc_curves, "roc.png"), (curves.precision_recall_curves, "pr.png")):
        draw(truth, probabilities, tmp_path / name, "Ensemble · test films")
        assert min(drawn(tmp_path / name).shape[:2]) > 700
    legends = [entry[1:] for entry in curves._curves(truth, probabilities)]
    assert legends[0] == ("no known label", None)
    assert legends[1] == ("all 80 are 0", None)


@pytest.mark.parametrize("epochs", [1, 40])
def test_training_curves_need_one_epoch_and_no_optional_column(tmp_path, epochs):
    log = pd.DataFrame({"epoch": np.arange(1, epochs + 1), "loss": 0.5, "val_loss": 0.6, "learning_rate": 1e-3})
    curves.training_curves(log, tmp_path / "bare.png", "densenet169")
    log = log.assign(val_auroc=np.nan, **{f"val_auroc_{finding}": 0.7 for finding in FINDINGS})
    curves.training_curves(log, tmp_path / "undefined.png", "densenet169")
    curves.training_curves(log.assign(val_auroc=0.8), tmp_path / "full.png", "densenet169")
    curves.training_curves(log[["epoch", "loss"]].assign(dice=0.9, val_dice=0.8), tmp_path / "unet.png", "U-Net")
    assert len({drawn(tmp_path / f"{name}.png").shape for name in ("bare", "undefined", "full", "unet")}) == 1


def test_plots_leave_pyplot_and_keras_alone():
    code = "import sys, cxr.report.curves; print('matplotlib.pyplot' in sys.modules, 'keras' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]
