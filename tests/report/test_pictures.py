"""Pictures: drawn whole, of the right size, with what was asked for in them, quickly, and without any global state."""

import io
import os
import subprocess
import sys
import time
import unicodedata

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cxr.core.findings import FINDINGS, colours
from cxr.maps.detection_scores import SENSITIVITIES
from cxr.report import canvas, curves, film_pictures, styles, table_notes

# NIH's fourteen, more of CheXpert's, and names as long as they may be.
NAMES = [
    *FINDINGS,
    *"Atelectasis Infiltration Mass Nodule Emphysema Fibrosis Pleural_Thickening Hernia".split(),
    *("Enlarged Cardiomediastinum", "Lung Opacity", "Lung Lesion", "Fracture", "Support Devices", "Pleural Other"),
    *(f"A finding with a name of forty letters {n}" for n in range(10)),
]


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


def test_an_id_without_spaces_breaks_where_its_parts_end_and_is_whole():
    name = "CheXpert-v1.0-small/train/patient00001_study1_view1_frontal Edema"
    lines = canvas.wrap_text(name, 252, 14, most=4)
    assert lines == ["CheXpert-v1.0-small/train/", "patient00001_study1_view1_", "frontal Edema"]
    assert canvas.wrap_text("nothing_to_break" * 3, 10, 14) == ["nothing_to_break" * 3]


def test_a_preview_draws_the_masks_it_is_given_and_long_titles_take_up_to_four_lines(tmp_path):
    film_pictures.preview_grid([film()] * 2, ["short"] * 2, tmp_path / "short.png", contours=[None, disc()])
    film_pictures.preview_grid([film()] * 2, ["short", "Consolidation, " * 9], tmp_path / "long.png")
    assert has(drawn(tmp_path / "short.png"), canvas.MASK)
    assert drawn(tmp_path / "long.png").shape[0] == drawn(tmp_path / "short.png").shape[0] + 3 * 18


def test_an_overlay_shows_film_map_and_boxes_and_the_same_bytes_each_time(tmp_path):
    heat = np.zeros((8, 8), dtype=np.float32)
    heat[3:5, 3:5] = 1
    extras = {"contour_level": 0.5, "boxes": [(10, 10, 40, 40)], "detections": [((50, 50, 80, 80), 0.7)]}
    for name in ("one.png", "two.png"):
        film_pictures.overlay(film(), heat, tmp_path / name, "Edema · truth 1 · probability 0.83", **extras)
    film_pictures.overlay(film(), heat, tmp_path / "plain.png", "Edema · truth 1 · probability 0.83")
    full, plain = drawn(tmp_path / "one.png"), drawn(tmp_path / "plain.png")
    for colour in (canvas.KNOWN_BOX, canvas.DETECTION):
        assert has(full, colour)
        assert not has(plain, colour)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_the_colour_bar_and_the_legend_say_the_heat_and_not_the_panels_scale(tmp_path, monkeypatch):
    written = []
    for module in (canvas, film_pictures):
        monkeypatch.setattr(
            module, "write_text", lambda _, text, corner, *rest, **more: written.append(text) or corner[0]
        )
    film_pictures.overlay(
        film(), np.ones((8, 8)), tmp_path / "a.png", "t", 0.5, mean=0.25, heat_at_1=8, unit=" logits added"
    )
    assert {"0.0", "4.0", "≥8.0", "outline: 4.0 logits added, mean 2.0"} <= set(written)


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


def test_what_lies_all_over_a_film_is_pale_and_a_colour_is_the_same_heat_everywhere():
    shown, heat = np.full((1, 4, 3), 100, np.uint8), np.array([[0.2, 0.4, 0.5, 0.8]])
    plain, standing_out = canvas.blend(shown, heat), canvas.blend(shown, heat, mean=0.4)
    assert (standing_out[0, :2] == 100).all()  # at the mean and below
    np.testing.assert_array_equal(standing_out[0, 3], plain[0, 3])  # from half way to the peak as without
    towards = np.abs(standing_out[0, 2].astype(int) - 100), np.abs(plain[0, 2].astype(int) - 100)
    np.testing.assert_allclose(towards[0], towards[1] / 2, atol=1)  # a quarter of the way: half as opaque
    layer = canvas.heat_layer(heat, mean=0.4)
    assert layer[0, :2, 3].tolist() == [0, 0]
    np.testing.assert_array_equal(layer[..., :3], canvas.heat_layer(heat)[..., :3])


def test_an_overlay_takes_a_fraction_of_a_second(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (512, 512)).astype(np.uint8)
    shown = cv2.GaussianBlur(noise, (0, 0), 3)
    begin = time.process_time()
    for number in range(5):
        film_pictures.overlay(shown, disc(16) / 255.0, tmp_path / f"{number}.png", "title", 0.5, [(9, 9, 99, 99)])
    assert (time.process_time() - begin) / 5 < 0.25  # about 0.04 s on a free core


def test_an_overview_has_a_row_an_outcome_and_says_where_there_is_no_film(tmp_path):
    group = [film_pictures.Tile(film(), np.full((4, 4), 0.9), 0.0, f"film {number}  p 0.91") for number in (1, 2, 3)]
    whole, colour = {"TP": group, "FP": group, "FN": group, "TN": group}, "#C3D200"
    film_pictures.overview(whole, tmp_path / "all.png", "Mass", colour)
    some = {"TP": group, "FP": [], "TN": group}
    film_pictures.overview(some, tmp_path / "some.png", "Mass", colour, note="Grad-CAM++, positive from 0.41")
    assert drawn(tmp_path / "all.png").shape[0] - drawn(tmp_path / "some.png").shape[0] > 2 * 236
    assert has(drawn(tmp_path / "all.png")[:52, :60], canvas.rgb(colour))
    assert (drawn(tmp_path / "all.png")[:52] != drawn(tmp_path / "some.png")[:52]).any()  # the note


@pytest.mark.parametrize(("films", "columns"), [(1, 4), (2, 4), (3, 3), (4, 4), (9, 6)])
def test_an_overview_is_filled_over_its_whole_width(films, columns, tmp_path):
    tiles = [film_pictures.Tile(np.full((64, 64), 250, np.uint8), np.zeros((4, 4)), 0.0, "") for _ in range(films)]
    film_pictures.overview({"TP": tiles, "FP": [], "FN": [], "TN": []}, tmp_path / "o.png", "Mass", "#C3D200")
    picture = drawn(tmp_path / "o.png")
    bright = np.flatnonzero((picture.reshape(-1, *picture.shape[1:])[150] > 240).all(axis=-1))
    assert abs(picture.shape[1] - 1446) <= 6
    assert len(bright) == pytest.approx(min(films, columns) * (1440 // columns - 6), abs=2)


def test_of_two_films_each_positives_stand_beside_each_other_and_so_do_negatives(tmp_path):
    white, black = (film_pictures.Tile(np.full((64, 64), v, np.uint8), np.zeros((4, 4)), 0.0, "") for v in (250, 20))
    groups = {"TP": [white], "FP": [black, white], "FN": [], "TN": [white, white]}
    film_pictures.overview(groups, tmp_path / "o.png", "Mass", "#C3D200")
    picture = drawn(tmp_path / "o.png")
    middles = [6 + 360 * place + 177 for place in range(4)]
    for top, levels in ((122, [250, 17, 20, 250]), (122 + 354 + 46, [17, 17, 250, 250])):
        assert [int(picture[top + 177, x].mean()) for x in middles] == pytest.approx(levels, abs=3)


def test_an_overview_shows_known_and_detected_boxes_where_they_lie(tmp_path):
    tile = film_pictures.Tile(
        np.zeros((200, 100), np.uint8), np.zeros((4, 4)), 0.0, "", [(20, 40, 50, 80)], [((0, 0, 9, 9), 1)]
    )
    film_pictures.overview({"TP": [tile], "FP": [], "FN": [], "TN": []}, tmp_path / "o.png", "Mass", "#C3D200")
    picture = drawn(tmp_path / "o.png")[122:]  # below the header, the row's name and a gap
    assert has(picture, canvas.DETECTION)
    green = np.abs(picture.astype(int) - canvas.KNOWN_BOX).max(axis=-1) < 12
    rows, columns = np.nonzero(green[:354, :360])
    scale = 354 / 200  # the film is high: it stands in the middle of its square
    assert [columns.min() - 6 - 177 / 2, columns.max() - 6 - 177 / 2] == pytest.approx([20 * scale, 70 * scale], abs=2)
    assert [rows.min(), rows.max()] == pytest.approx([40 * scale, 120 * scale], abs=2)


def test_worst_masks_are_outlined_in_two_colours(tmp_path):
    shifted = np.roll(disc(), 9, axis=1)
    film_pictures.worst_masks([film()] * 10, [disc()] * 10, [shifted] * 10, ["Dice 0.8"] * 10, tmp_path / "worst.png")
    picture = drawn(tmp_path / "worst.png")
    assert has(picture[60:], canvas.TRUTH_MASK)
    assert has(picture[60:], canvas.PREDICTED_MASK)


def names_in(figure) -> list[str]:
    """What the legend says, in the axes or outside them."""
    legends = [legend for axes in figure.axes if (legend := axes.get_legend())] + figure.legends
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def numbers(findings, films=120):
    """Truth and probabilities (films, findings), and a patient for each film."""
    random = np.random.default_rng(2)
    truth = (random.random((films, findings)) < 0.4).astype(float)
    return truth, np.clip(0.3 * truth + 0.7 * random.random((films, findings)), 0, 1), np.arange(films)


def training_log(findings, epochs=20):
    log = pd.DataFrame({"epoch": np.arange(1, epochs + 1), "loss": 0.5, "val_loss": 0.6, "learning_rate": 1e-3})
    return log.assign(val_auroc=0.8, **{f"val_auroc_{finding}": 0.7 for finding in findings})


@pytest.mark.parametrize("style", [styles.PRINT, styles.PAGE], ids=["print", "page"])
@pytest.mark.parametrize("number", [1, 6, 7, 14, 30])
def test_a_legend_of_any_findings_is_whole_and_covers_no_axes_where_it_is_long(number, style):
    findings = NAMES[:number]
    drawings = {
        "roc": curves.roc(*numbers(number), findings, "ensemble, 120 test films", style=style),
        "precision_recall": curves.precision_recall(*numbers(number), findings, "ensemble", style=style),
        "training": curves.training(training_log(findings), "densenet169", style=style),
    }
    for kind, figure in drawings.items():
        figure.draw_without_rendering()
        page, boxes = figure.bbox, [axes.get_tightbbox() for axes in figure.axes]
        for legend in figure.legends:
            box = legend.get_window_extent()
            assert not any(box.overlaps(other) for other in boxes), kind
            boxes.append(box)
        for box in boxes:
            assert page.x0 <= box.x0, kind
            assert page.y0 <= box.y0, kind
            assert box.x1 <= page.x1, kind
            assert box.y1 <= page.y1, kind
        if style.alone or (number <= 8 and kind != "training"):  # the page has a key
            assert {name.split("  ")[0] for name in names_in(figure)} >= set(findings), kind
        assert min(axes.get_window_extent().width / figure.dpi for axes in figure.axes) > 2, kind


def test_each_findings_line_has_the_colour_of_its_finding_and_from_the_ninth_on_a_dash():
    lines = {line.get_label(): line for line in curves.roc(*numbers(30), NAMES).axes[0].lines}
    assert {finding: lines[finding].get_color() for finding in NAMES} == colours(NAMES)
    assert [lines[finding].is_dashed() for finding in NAMES] == [False] * 8 + [True] * 22
    key = styles.dashes(NAMES)
    assert [key[finding] for finding in NAMES[:9]] == [""] * 8 + ["8.5 2.55"]
    assert len(set(key.values())) == 4


@pytest.mark.parametrize("style", [styles.PRINT, styles.PAGE], ids=["print", "page"])
@pytest.mark.parametrize("number", [1, 2, 4, 14])
def test_froc_has_a_panel_for_each_finding_with_boxes_what_knows_nothing_gray_beside_it(number, style):
    networks = {("ensemble", "gradcam"): 0.6, ("none", "centre prior"): 0.4, ("none", "mean box of val"): 0.2}
    rows = [
        {"finding": finding, "network": network, "method": method, "too_few": number == 2}
        | dict.fromkeys(("froc", *SENSITIVITIES), value)
        for finding in NAMES[1 : number + 1]
        for (network, method), value in networks.items()
    ]
    figure = curves.froc(pd.DataFrame(rows), "ensemble", NAMES, "ensemble, FROC", style=style)
    assert [axes.get_title(loc="left").split("  ")[0] for axes in figure.axes] == NAMES[1 : number + 1]
    for axes, finding in zip(figure.axes, NAMES[1:], strict=False):
        prior, mean_box, own = axes.lines
        assert own.get_color() == colours(NAMES)[finding]
        assert (own.get_alpha() or 1) == (styles.PALE["alpha"] if number == 2 else 1)
        assert axes.get_title(loc="left").endswith(", too few") == (number == 2 and style.alone)
        assert (own.get_ydata()[0], prior.get_ydata()[0], mean_box.get_ydata()[0]) == (0.6, 0.4, 0.2)
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    legend = figure.legends[0].get_window_extent()
    assert not any(legend.overlaps(box) for box in boxes)
    for box in (legend, *boxes):
        assert figure.bbox.x0 <= box.x0
        assert figure.bbox.y0 <= box.y0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(("lowest", "begins"), [(0.66, 0.5), (0.3, 0)])
def test_groups_of_every_finding_stand_on_an_axis_from_guessing_or_from_0_to_1(lowest, begins):
    overall = {"auroc": 0.7, "auroc_interval": [lowest, 0.74], "positives": 20, "films": 40}
    axes = curves.forest("Edema", overall, {}, "#000000").axes[0]
    assert axes.get_xlim() == (begins, 1)


def test_training_curves_of_thirty_findings_take_a_moment():
    log = training_log(NAMES, 50)
    begin = time.process_time()
    as_drawn = io.BytesIO()
    curves.training(log, "densenet169", style=styles.PRINT).savefig(as_drawn)
    assert time.process_time() - begin < 2  # about 0.5 s on a free core


def test_a_figure_for_the_page_has_its_colours_few_points_and_no_size():
    text = styles.as_svg(curves.roc(*numbers(6, 9000), FINDINGS), "roc", 'ROC <"&">')
    assert text.startswith('<svg role="img" aria-label="ROC &lt;&quot;&amp;&quot;>"')
    assert "currentColor" in text
    assert "var(--line)" in text
    assert styles.INK not in text
    assert len(text) < 60_000  # as drawn from 9,000 films, ten times as much
    assert ' width="' not in text[: text.index(">", 60)]


def test_curves_are_drawn_for_findings_with_both_classes_and_survive_those_without(tmp_path):
    random = np.random.default_rng(2)
    truth = (random.random((80, 6)) < 0.4).astype(float)
    truth[:, 0], truth[:, 1], truth[5, 2] = np.nan, 0, np.nan
    probabilities = random.random((80, 6))
    for draw in (curves.roc, curves.precision_recall):
        figure = draw(truth, probabilities, np.arange(80), FINDINGS, "Ensemble · test films", style=styles.PRINT)
        styles.save_png(figure, tmp_path / "curve.png")
        assert min(drawn(tmp_path / "curve.png").shape[:2]) > 700
        shown = dict(name.split("  ", 1) for name in names_in(figure))
        assert shown[FINDINGS[0]] == "n/a (no film with a known label)"
        assert shown[FINDINGS[1]] == "n/a (no positive film)"
        assert names_in(draw(truth, probabilities, np.arange(80), FINDINGS)) == list(FINDINGS[2:])
    auroc = roc_auc_score(truth[:, 3], probabilities[:, 3])
    figure = curves.roc(truth, probabilities, np.arange(80), FINDINGS, style=styles.PRINT)
    assert f"{FINDINGS[3]}  {auroc:.3f}" in names_in(figure)


@pytest.mark.parametrize("epochs", [1, 40])
def test_training_curves_need_one_epoch_and_no_optional_column(tmp_path, epochs):
    log = pd.DataFrame({"epoch": np.arange(1, epochs + 1), "loss": 0.5, "val_loss": 0.6, "learning_rate": 1e-3})
    curves.save_training(log, tmp_path / "bare.png", "densenet169")
    log = log.assign(val_auroc=np.nan, **{f"val_auroc_{finding}": 0.7 for finding in FINDINGS})
    curves.save_training(log, tmp_path / "undefined.png", "densenet169")
    curves.save_training(log.assign(val_auroc=0.8), tmp_path / "full.png", "densenet169")
    curves.save_training(log[["epoch", "loss"]].assign(dice=0.9, val_dice=0.8), tmp_path / "unet.png", "U-Net")
    bare, undefined, full, unet = (
        drawn(tmp_path / f"{name}.png").shape for name in ("bare", "undefined", "full", "unet")
    )
    assert bare == unet
    assert {shape[0] for shape in (bare, undefined, full)} == {bare[0]}
    assert min(undefined[1], full[1]) > bare[1]  # the names of the findings stand beside their lines, not on them


def test_the_legend_of_training_curves_covers_no_line():
    log = pd.DataFrame({"epoch": [1, 2], "loss": 0.5, "val_auroc": 0.6}).assign(
        **{f"val_auroc_{finding}": np.linspace(0.1, 0.9, 2) for finding in FINDINGS}
    )
    figure = curves.training(log, "tiny", style=styles.PRINT)
    scores, (legend,) = figure.axes[-1], figure.legends
    figure.draw_without_rendering()
    assert scores.get_legend() is None
    assert [text.get_text() for text in legend.get_texts()] == [*FINDINGS, "mean", "best 0.6000, epoch 1"]
    assert not legend.get_window_extent().overlaps(scores.get_window_extent())


def test_curves_of_too_few_patients_are_pale_and_say_so():
    truth = np.tile([[1.0, 1.0], [0.0, 0.0]], (10, 1))  # of 20 films of 20 patients
    truth[18:, 1] = np.nan  # of the second finding, nine have it and nine have not
    probabilities = np.tile([[0.9], [0.1]], (10, 2))
    figure = curves.roc(truth, probabilities, np.arange(20), ["a", "b"], style=styles.PRINT)
    assert names_in(figure) == ["chance  0.500", "a  1.000", "b  1.000, too few"]
    assert [line.get_alpha() for line in figure.axes[0].lines[1:]] == [None, styles.PALE["alpha"]]
    names = names_in(curves.precision_recall(truth, probabilities, np.arange(20), ["a", "b"], style=styles.PRINT))
    assert names == ["a  1.000  (0.500)", "b  1.000  (0.500), too few"]
    names = names_in(curves.roc(truth, probabilities, np.arange(20) // 4, ["a", "b"], style=styles.PRINT))
    assert names[1] == "a  1.000, too few"  # five patients of four films


def test_training_curves_mark_too_few_patients_of_val_and_say_why_a_finding_has_no_line():
    truth = np.column_stack([np.arange(20) % 2, np.arange(20) < 9, np.zeros(20)]).astype(float)
    marks = table_notes.of_labels(truth, np.arange(20), ["a", "b", "c"])
    log = training_log(["a", "b", "c"]).assign(val_auroc_c=np.nan)
    names = [text.get_text() for text in curves.training(log, "tiny", marks, style=styles.PRINT).legends[0].get_texts()]
    assert names[:4] == ["a", "b  too few", "c  n/a (no positive film)", "mean, of too few"]


def test_plots_leave_pyplot_and_keras_alone():
    code = "import sys, cxr.report.curves; print('matplotlib.pyplot' in sys.modules, 'keras' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]


def test_a_dollar_is_a_dollar_and_no_file_of_the_user_changes_a_curve(tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsavefig.format: pdf\nsavefig.dpi: 10\n")
    code = f"""
import numpy as np
from pathlib import Path
from cxr.report import curves, styles
truth, scores = np.eye(2)[[0, 1] * 9], np.linspace(0, 1, 36).reshape(18, 2)
figure = curves.roc(truth, scores, np.arange(18), ["$x_{{$", "a$b$"], "costs $5 and $6_{{", style=styles.PRINT)
styles.save_png(figure, Path({str(tmp_path / "roc.png")!r}))
print(styles.as_svg(curves.reliability("$x_{{$", None, None, "red"), "key", "label"))
"""
    environment = os.environ | {
        "MATPLOTLIBRC": str(tmp_path),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert ">$x_{$</text>" in done.stdout
    assert drawn(tmp_path / "roc.png").shape == (858, 858, 3)


def test_letters_that_no_font_here_has_are_told_once_for_a_picture_and_stand_in_a_page(tmp_path, capfd):
    truth, scores = np.eye(2)[[0, 1] * 9], np.linspace(0, 1, 36).reshape(18, 2)
    never = "\U00012000"  # a cuneiform sign
    styles.save_png(
        curves.roc(truth, scores, np.arange(18), [never, "b"], never, style=styles.PRINT), tmp_path / "roc.png"
    )
    told = capfd.readouterr().err
    assert told.startswith("roc.png: no font here has all of its letters, boxes stand for some. Install one")
    assert told.count("\n") == 1
    assert f">{never}</text>" in styles.as_svg(curves.reliability(never, None, None, "red"), "key", "label")
    assert capfd.readouterr().err == ""


def test_a_title_may_be_a_file_s_name_in_any_encoding(tmp_path):
    title = os.fsdecode("폐".encode("cp949"))
    truth, scores = np.eye(2)[[0, 1] * 9], np.linspace(0, 1, 36).reshape(18, 2)
    styles.save_png(
        curves.roc(truth, scores, np.arange(18), ["a", "b"], title, style=styles.PRINT), tmp_path / "roc.png"
    )
    film_pictures.preview_grid([film()] * 2, [title, "폐"], tmp_path / "films.png")
    assert canvas.text_width(title, 14, 400) == canvas.text_width(r"\udcc6\udcf3", 14, 400)


def test_korean_is_written_in_pictures_of_films_and_in_parts_it_is_the_same():
    wide = [canvas.blank_canvas(40, 200) for _ in range(3)]
    for page, text in zip(wide, ("흉부", unicodedata.normalize("NFD", "흉부"), "?"), strict=True):
        canvas.write_text(page, text, (5, 30), 20, canvas.TEXT, 190)
    np.testing.assert_array_equal(wide[0], wide[1])
    assert has(wide[0], canvas.TEXT)
    assert not np.array_equal(wide[0], wide[2])
