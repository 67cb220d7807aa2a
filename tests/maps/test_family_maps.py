import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxr.core.artifacts import digest, write_csv, write_json
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.evaluation import assessment, predictions
from cxr.imaging.decoding import read_film, write_image
from cxr.imaging.geometry import fit_square
from cxr.maps import detections, family_maps
from cxr.maps.heatmaps import enlarged
from cxr.report import overlays
from tests.conftest import TINY, load_script, prepare, settings_in, tiny_params

SIZE = 50
F0, F1 = FINDINGS[:2]
BOX_COLUMNS = ["image_id", "finding", "x", "y", "width", "height"]


def scored_films(tmp_path, truth, probabilities, splits=None, ids=None, film=(100, 100), box=None, heats=None):
    """Films (width, height) scored for the first finding alone, at a threshold of 0.5."""
    count = len(truth)
    ids = ids or [f"nih/{n:08d}_000" for n in range(count)]
    truths, scores = np.full((count, 6), np.nan), np.zeros((count, 6), np.float32)
    truths[:, 0], scores[:, 0] = truth, probabilities
    table = predictions.build(
        ids, [f"nih-{n}" for n in range(count)], splits or ["test"] * count, truths, scores, FINDINGS
    )
    cam = np.zeros((count, 6, SIZE, SIZE), np.float16)
    if heats is not None:
        cam[:, 0] = heats
    _, affine = fit_square(np.zeros(film[::-1], np.uint8), SIZE, "pad", box)
    films = pd.DataFrame({"image_id": ids, "width": film[0], "height": film[1]})
    films[["scale_x", "scale_y", "offset_x", "offset_y"]] = affine
    films["path"] = [f"{image_id.split('/')[-1]}.png" for image_id in ids]
    boxes = pd.DataFrame(columns=BOX_COLUMNS)
    thresholds = {"findings": {finding: {"pooled": {"threshold": 0.5}} for finding in FINDINGS}}
    films["source"] = "nih"
    return family_maps.Scored(
        params=tiny_params(LUNG_MASKING="none"), table=table, thresholds=thresholds, decisions=scores >= 0.5,
        cams=[cam],
        means=[{"pooled": np.zeros((6, *cam.shape[2:]), np.float32)}], scale=float(SIZE * SIZE),
        outlines={finding: {"share": 0.7} for finding in FINDINGS}, films=films, boxes=boxes, size=SIZE,
    )  # fmt: skip


def test_an_outcome_is_known_only_where_the_truth_is(tmp_path):
    scored = scored_films(tmp_path, [1, 0, 1, 0, np.nan, np.nan], [0.9, 0.5, 0.49, 0.1, 0.9, 0.1])
    assert [scored.outcome(F0, row) for row in range(6)] == ["TP", "FP", "FN", "TN", "", ""]


def test_outcomes_take_turns_the_surest_first(tmp_path):
    truth = [1, 1, 1, 0, 0, 1, 1, 0, 0]
    probability = [0.6, 0.9, 0.7, 0.8, 0.55, 0.3, 0.1, 0.2, 0.05]
    scored = scored_films(tmp_path, truth, probability)
    #               TP FP FN TN  TP FP FN TN  TP
    everything = [1, 3, 6, 8, 2, 4, 5, 7, 0]
    assert family_maps.choose_films(scored, F0, None, 0) == everything
    assert family_maps.choose_films(scored, F0, None, 5) == everything[:5]


def test_films_of_val_and_of_unknown_truth_are_not_chosen(tmp_path):
    scored = scored_films(tmp_path, [1, np.nan, 1], [0.9, 0.9, 0.8], splits=["val", "test", "test"])
    assert family_maps.choose_films(scored, F0, None, 0) == [2]
    assert family_maps.choose_films(scored, F1, None, 0) == []


CHEXPERT = [f"chexpert/{folder}/patient{n:05d}/study1/view1_frontal" for folder in ("train", "valid") for n in (1, 2)]


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ("nih/00000001_000", [0]),
        ("00000001_000", [0]),
        ("00000001_000.png", [0]),
        ("raw/images_001/images/00000001_000.png", [0]),
        (CHEXPERT[1], [2]),  # not every film whose name ends in view1_frontal
        ("train/patient00002/study1/view1_frontal.jpg", [2]),
        ("patient00002/study1/view1_frontal", [2, 4]),
        ("view1_frontal", [1, 2, 3, 4]),
    ],
)
def test_a_film_is_asked_for_by_its_name_or_the_end_of_it(tmp_path, wanted, rows):
    scored = scored_films(tmp_path, [1] * 5, [0.9] * 5, splits=["val"] * 5, ids=["nih/00000001_000", *CHEXPERT])
    assert family_maps.choose_films(scored, F0, [wanted], 1) == rows


def test_a_film_that_is_asked_for_twice_is_drawn_once(tmp_path):
    scored = scored_films(tmp_path, [1] * 5, [0.9] * 5, ids=["nih/00000001_000", *CHEXPERT])
    wanted = [CHEXPERT[2], "00000001_000.png", "nih/00000001_000", CHEXPERT[2], "view1_frontal"]
    assert family_maps.choose_films(scored, F0, wanted, 0) == [3, 0, 1, 2, 4]


def test_a_film_that_was_not_scored_is_refused_by_name(tmp_path):
    scored = scored_films(tmp_path, [1], [0.9])
    with pytest.raises(InputError, match=r"--film 0001_000: not among the 1 film of val and test, such as nih/000000"):
        family_maps.choose_films(scored, F0, ["0001_000"], 0)


# --- geometry by hand


def heat_with(x, y, width, height):
    heat = np.zeros((SIZE, SIZE), np.float16)
    heat[y : y + height, x : x + width] = 1
    return heat[None]


def test_a_detection_is_given_in_pixels_of_the_padded_film(tmp_path):
    # 200 x 100 in a square of 50: a quarter of the size, 12.5 rows of margin above.
    scored = scored_films(tmp_path, [1], [0.9], film=(200, 100), heats=heat_with(10, 20, 10, 5))
    assert detections.film_detections(scored, F0, 0) == [((40, 30, 40, 20), pytest.approx(0.9))]


def test_a_detection_in_the_margin_is_clipped_or_dropped(tmp_path):
    scored = scored_films(tmp_path, [1], [0.9], film=(200, 100), heats=heat_with(0, 5, 10, 10))
    # Rows 5..15, the film begins at 12.5.
    assert detections.film_detections(scored, F0, 0) == [((0, 0, 40, 10), pytest.approx(0.9))]
    scored = scored_films(tmp_path, [1], [0.9], film=(200, 100), heats=heat_with(0, 0, 10, 12))
    assert detections.film_detections(scored, F0, 0) == []


def test_a_detection_is_given_in_pixels_of_the_film_not_of_its_crop(tmp_path):
    # The box 100 x 80 at (40, 10), ten rows of margin above, halved.
    scored = scored_films(tmp_path, [1], [0.9], film=(200, 150), box=(40, 10, 100, 80), heats=heat_with(10, 20, 10, 5))
    assert detections.film_detections(scored, F0, 0) == [((60, 40, 20, 10), pytest.approx(0.9))]


def test_known_boxes_are_shares_of_the_film(tmp_path):
    scored = scored_films(tmp_path, [1, 1], [0.9, 0.9], film=(200, 100))
    scored.boxes.loc[0] = ["nih/00000001_000", F0, 0.1, 0.2, 0.5, 0.25]
    scored.boxes.loc[1] = ["nih/00000001_000", F1, 0, 0, 1, 1]
    assert family_maps.known_boxes(scored, F0, 1) == [(20, 20, 100, 25)]
    assert family_maps.known_boxes(scored, F0, 0) == []


def test_only_test_films_that_are_called_positive_have_detections(tmp_path):
    heats = np.repeat(heat_with(10, 20, 10, 5), 3, axis=0)
    scored = scored_films(tmp_path, [1, 1, np.nan], [0.9, 0.1, 0.8], film=(200, 100), heats=heats)
    found = detections.detect(scored)
    assert found.columns.tolist() == ["image_id", "finding", "x", "y", "width", "height", "score", "probability"]
    assert found["image_id"].tolist() == ["nih/00000000_000", "nih/00000002_000"]
    assert found.iloc[0, 1:7].tolist() == [F0, 40, 30, 40, 20, 0.9]
    in_val = scored_films(tmp_path, [1], [0.9], splits=["val"], heats=heats[:1])
    assert detections.detect(in_val).empty


def test_a_heatmap_is_the_members_mean_in_logits(tmp_path):
    scored = scored_films(tmp_path, [1], [0.9], heats=heat_with(0, 0, 10, 10))
    scored.cams.append(3 * scored.cams[0][:, :, ::-1, ::-1])
    scored.means.append(scored.means[0])
    heat = scored.heat(F0, 0)
    assert (heat[0, 0], heat[-1, -1], heat[25, 25]) == (SIZE * SIZE / 2, 3 * SIZE * SIZE / 2, 0)
    assert scored.heat(F0, 0, members=[1])[0, 0] == 0


def test_a_detection_s_score_is_the_film_s_probability_times_its_share_of_the_peak(tmp_path):
    heats = np.zeros((2, SIZE, SIZE), np.float16)
    heats[:, :5, :5], heats[:, 40:45, 40:45] = 2, 1.6
    scored = scored_films(tmp_path, [1, 1], [0.9, 0.5], heats=heats)
    found = [[score for _, score in detections.film_detections(scored, F0, row)] for row in (0, 1)]
    assert found == [pytest.approx([0.9, 0.72], abs=1e-3), pytest.approx([0.5, 0.4], abs=1e-3)]


def test_outlines_are_fitted_on_boxes_of_val_and_of_no_test_film(tmp_path):
    splits = ["val"] * 10 + ["test"] * 30
    heats = np.zeros((40, SIZE, SIZE), np.float16)
    heats[:, 20:40, 20:40], heats[:, 25:35, 25:35] = 0.5, 1
    scored = scored_films(tmp_path, [1] * 40, [0.9] * 40, splits=splits, heats=heats)
    for row, image_id in enumerate(scored.table["image_id"]):  # of val around the peak, of test around all
        scored.boxes.loc[row] = [image_id, F0, *([0.5, 0.5, 0.2, 0.2] if row < 10 else [0.4, 0.4, 0.4, 0.4])]
    fitted = family_maps.fit_outlines(scored, scored.heat)
    assert fitted[F0] == {"share": 0.5, "fitted_on": "val", "films": 10, "iou": 1}
    assert fitted[F1] == {"share": 0.5, "fitted_on": "fixed", "films": 0}
    leaking = replace(scored, params=tiny_params(SPLIT="image"))
    assert family_maps.fit_outlines(leaking, scored.heat)[F0]["fitted_on"] == "fixed"
    few = replace(scored, boxes=scored.boxes.iloc[1:])
    assert family_maps.fit_outlines(few, scored.heat)[F0] == {"share": 0.5, "fitted_on": "fixed", "films": 9}


def test_a_film_is_read_against_its_own_source_or_all_where_that_is_unknown(tmp_path):
    scored = scored_films(tmp_path, [1, 1], [0.9, 0.9], ids=["nih/1", "elsewhere/1"], heats=np.ones((2, SIZE, SIZE)))
    scored.means[0]["nih"] = np.full((6, SIZE, SIZE), 1, np.float32)
    assert [scored.heat(F0, row).max() for row in (0, 1)] == [0, SIZE * SIZE]


def test_an_overlay_is_drawn_and_its_heat_lies_on_the_film(tmp_path):
    scored = scored_films(tmp_path, [1], [0.9], film=(200, 100), heats=heat_with(10, 20, 10, 5))
    film = np.tile(np.arange(200, dtype=np.uint8), (100, 1))
    settings = settings_in(tmp_path)
    write_image(film, settings.dataset_dir / "00000000_000.png")
    scored.boxes.loc[0] = ["nih/00000000_000", F0, 0.1, 0.2, 0.5, 0.25]
    tile = overlays.draw_overlay(scored, F0, 0, settings, tmp_path / "gradcam")
    assert (tmp_path / "gradcam" / F0 / "nih" / "00000000_000.png").stat().st_size > 1000
    heat = tile.heat
    assert tile.film.shape == heat.shape == (100, 200)
    assert tile.caption == "0.90  00000000_000"
    y, x = np.mgrid[:100, :200] + 0.5  # on the film 40..80, 30..50: its middle at 60, 40
    assert ((x * heat).sum() / heat.sum(), (y * heat).sum() / heat.sum()) == pytest.approx((60, 40), abs=1)
    assert np.array(tile.boxes).tolist() == [[20, 20, 100, 25]]
    ((box, score),) = tile.detections
    assert (box.tolist(), score) == ([40, 30, 40, 20], pytest.approx(0.9))
    assert read_film(tmp_path / "gradcam" / F0 / "nih" / "00000000_000.png").ndim == 2


def test_the_contour_is_of_the_detections_level_and_margins_count_for_nothing(tmp_path, monkeypatch):
    heat = np.zeros((SIZE, SIZE), np.float16)
    heat[0, 0], heat[SIZE // 2, SIZE // 2] = 1, 0.6  # a wide film: the square's corner is not of it
    scored = scored_films(tmp_path, [1], [0.9], film=(100, 50), heats=heat[None])
    settings, drawn = settings_in(tmp_path), {}
    write_image(np.eye(50, 100, dtype=np.uint8) * 99, settings.dataset_dir / "00000000_000.png")
    monkeypatch.setattr(overlays.film_pictures, "overlay", lambda *_, **given: drawn.update(given))
    overlays.draw_overlay(scored, F0, 0, settings, tmp_path / "gradcam")
    large = enlarged(scored.heat(F0, 0), SIZE)[SIZE // 4 : SIZE * 3 // 4]
    level = large.mean() + 0.7 * (large.max() - large.mean())
    assert (drawn["heat_at_1"], drawn["unit"]) == (scored.scale, " logits added")
    assert drawn["contour_level"] * scored.scale == pytest.approx(level, rel=1e-4)


def test_an_empty_map_is_drawn_without_a_contour(tmp_path):
    scored = scored_films(tmp_path, [np.nan], [0.2])
    settings = settings_in(tmp_path)
    write_image(np.eye(100, dtype=np.uint8) * 99, settings.dataset_dir / "00000000_000.png")
    tile = overlays.draw_overlay(scored, F0, 0, settings, tmp_path / "gradcam")
    assert tile.heat.max() == 0


def test_on_a_film_that_is_not_called_heat_is_drawn_and_neither_outline_nor_detection(tmp_path, monkeypatch):
    scored = scored_films(tmp_path, [1], [0.3], film=(200, 100), heats=heat_with(10, 20, 10, 5))
    settings, drawn = settings_in(tmp_path), {}
    monkeypatch.setattr(overlays.film_pictures, "overlay", lambda *_, **given: drawn.update(given))
    write_image(np.eye(100, 200, dtype=np.uint8) * 99, settings.dataset_dir / "00000000_000.png")
    tile = overlays.draw_overlay(scored, F0, 0, settings, tmp_path / "gradcam")
    assert (tile.heat.max() > 0, tile.detections, drawn["contour_level"]) == (True, [], None)


def test_an_overlay_says_where_the_whole_film_was_used_for_a_mask_that_was_rejected(tmp_path, monkeypatch):
    masks = {0: None, 1: np.full((8, 8), 255, np.uint8)}
    scored = replace(scored_films(tmp_path, [1, 1], [0.9, 0.8]), params=tiny_params(), masks=masks.get)
    settings, titles = settings_in(tmp_path), []
    monkeypatch.setattr(overlays.film_pictures, "overlay", lambda *given, **_: titles.append(given[3]))
    for name in ("00000000_000", "00000001_000"):
        write_image(np.eye(100, dtype=np.uint8) * 99, settings.dataset_dir / f"{name}.png")
    captions = [overlays.draw_overlay(scored, F0, row, settings, tmp_path).caption for row in (0, 1)]
    assert captions == ["0.90  00000000_000, lung mask rejected", "0.80  00000001_000"]
    assert [title.endswith("; lung mask rejected, whole film used") for title in titles] == [True, False]


# --- loading what evaluation left


@pytest.fixture
def evaluated(tmp_path):
    """Settings of a family of one tiny member that has scored a val and a test film."""
    settings, params = settings_in(tmp_path), tiny_params()
    images = prepare(settings, params, [1, 2, 3], ["train", "val", "test"])
    scored = images.iloc[1:]
    table = predictions.build(
        scored["image_id"], scored["patient_id"], ["val", "test"], np.ones((2, 6)), np.full((2, 6), 0.75), FINDINGS
    )
    folder = settings.family_dir("ensemble")
    (folder / "tiny").mkdir(parents=True)
    predictions.write(table, folder / "predictions.csv")
    write_json({"findings": {f: {"pooled": {"threshold": 0.7}} for f in FINDINGS}}, folder / "thresholds.json")
    cams = np.full((2, 6, 4, 4), 3, np.float16)
    cams[1] = 6
    np.save(folder / "tiny" / "cams_hirescam.npy", cams)
    write_json({}, folder / "metrics.json")
    predictions.write(table, folder / "tiny" / "predictions.csv")
    assessment.finish(settings, "ensemble", ["tiny"])
    return settings


def test_a_family_is_loaded_with_mean_maps_from_val_alone(evaluated):
    scored = family_maps.load(evaluated, tiny_params(), "ensemble")
    assert {name: (mean == 3).all() for name, mean in scored.means[0].items()} == {"pooled": True}
    assert scored.scale == 1  # where no val film has any heat
    assert (scored.heat(F0, 0) == 0).all()
    assert (scored.heat(F0, 1) == 3 * 16).all()
    assert scored.decisions.all()
    assert scored.films["image_id"].tolist() == scored.table["image_id"].tolist()
    assert scored.affine(0) == (0.5, 0.5, 0, 0)
    assert scored.size == 32
    assert scored.boxes.empty
    assert scored.outcome(F0, 1) == "TP"


@pytest.mark.parametrize("name", ["predictions.csv", "thresholds.json", "tiny/cams_hirescam.npy"])
def test_a_family_that_was_not_evaluated_names_the_command(evaluated, name):
    (evaluated.family_dir("ensemble") / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: not there yet. Make it with: sh evaluate_Ensemble.sh"):
        family_maps.load(evaluated, tiny_params(), "ensemble")


def test_a_member_that_was_trained_again_is_not_mixed_with_its_old_predictions(evaluated):
    folder = evaluated.member_dir("ensemble", "tiny")
    (folder / "model.keras").write_bytes(b"first")
    made_from = {"model": digest(folder / "model.keras"), "split": digest(evaluated.split_csv)}
    write_json({"inputs": made_from}, folder / "predictions.json")
    family_maps.load(evaluated, tiny_params(), "ensemble")
    (folder / "model.keras").write_bytes(b"second")
    with pytest.raises(InputError, match=r"was trained again since it was evaluated. Run: sh evaluate_Ensemble.sh"):
        family_maps.load(evaluated, tiny_params(), "ensemble")


def test_an_evaluation_with_other_weights_of_members_is_refused(evaluated):
    members = ["tiny", "densenet121"]
    shutil.copytree(evaluated.member_dir("ensemble", "tiny"), evaluated.member_dir("ensemble", "densenet121"))
    assessment.finish(evaluated, "ensemble", members)
    assessment.check_evaluated(evaluated, tiny_params(ENSEMBLE_MEMBERS=members), "ensemble")
    with pytest.raises(InputError, match='with "ENSEMBLE_WEIGHTS" "equal", now "val"'):
        assessment.check_evaluated(evaluated, tiny_params(ENSEMBLE_MEMBERS=members, ENSEMBLE_WEIGHTS="val"), "ensemble")


@pytest.mark.parametrize("name", ["thresholds.json", "metrics.json", "tiny/predictions.csv"])
def test_files_of_two_evaluations_are_not_read_beside_each_other(evaluated, name):
    """A run that was killed between predictions.csv and metrics.json leaves old ones beside new ones."""
    path = evaluated.family_dir("ensemble") / name
    path.write_text(path.read_text() + "\n")
    with pytest.raises(InputError, match=r"is of another evaluation than the rest. Run: sh evaluate_Ensemble.sh"):
        family_maps.load(evaluated, tiny_params(), "ensemble")
    assessment.begin(evaluated.family_dir("ensemble"))
    with pytest.raises(InputError, match=r"evaluation.json: not there yet. Make it with: sh evaluate_Ensemble.sh"):
        family_maps.load(evaluated, tiny_params(), "ensemble")


def test_an_evaluation_of_other_findings_or_of_another_split_is_refused(evaluated):
    other = {"FINDINGS": ["Effusion"], "CLASS_NUM": 1}
    with pytest.raises(InputError, match=r"predictions.csv: is of Consolidation, .*; FINDINGS in PARAMS.json are Eff"):
        family_maps.load(evaluated, tiny_params(**other), "ensemble")
    folder = evaluated.member_dir("ensemble", "tiny")
    (folder / "model.keras").write_bytes(b"first")
    made_from = {"model": digest(folder / "model.keras"), "split": digest(evaluated.split_csv)}
    write_json({"inputs": made_from}, folder / "predictions.json")
    family_maps.load(evaluated, tiny_params(), "ensemble")
    evaluated.split_csv.write_text(evaluated.split_csv.read_text().replace("val", "test"))
    with pytest.raises(InputError, match=r"was evaluated on another split.csv. Train again, then: sh evaluate_Ens"):
        family_maps.load(evaluated, tiny_params(), "ensemble")


def test_overlays_of_other_predictions_or_maps_are_not_current(evaluated):
    scored = family_maps.load(evaluated, tiny_params(), "ensemble")
    record = evaluated.family_dir("ensemble") / "gradcam" / "made_from.json"
    assert not overlays.overlays_are_current(scored, record.parents[1])
    write_json(overlays.overlays_made_from(scored, record.parents[1]), record)
    assert overlays.overlays_are_current(scored, record.parents[1])
    write_json({**overlays.overlays_made_from(scored, record.parents[1]), "MAP_METHOD": "layercam"}, record)
    assert not overlays.overlays_are_current(scored, record.parents[1])


def test_overlays_of_other_thresholds_are_not_current(evaluated):
    """By them a film is a true or a false positive, and its boxes are detections or not."""
    scored = family_maps.load(evaluated, tiny_params(), "ensemble")
    folder = evaluated.family_dir("ensemble")
    write_json(overlays.overlays_made_from(scored, folder), folder / "gradcam" / "made_from.json")
    assert overlays.overlays_are_current(scored, folder)
    write_json({"findings": {f: {"pooled": {"threshold": 0.8}} for f in FINDINGS}}, folder / "thresholds.json")
    assert not overlays.overlays_are_current(scored, folder)


def draw(settings, *words: str) -> None:
    (settings.data_dir.parent / "PARAMS.json").write_text(json.dumps(TINY))
    given = [f"--{name.lower()}={settings.data_dir.parent / name}.json" for name in ("SETTINGS", "PARAMS")]
    load_script("src/classification/eval/visualize.py").main(["ensemble", *given, *words])


def test_boxes_of_older_predictions_do_not_stay_beside_new_overlays(evaluated):
    folder, film = evaluated.family_dir("ensemble"), "nih/00000003_002"
    write_image(
        np.add.outer(np.arange(64), 2 * np.arange(64)).astype(np.uint8), evaluated.dataset_dir / "00000003_002.png"
    )
    draw(evaluated)
    assert len(pd.read_csv(folder / "detections.csv")) == len(FINDINGS)
    draw(evaluated, "--film", film, "--finding", F0)
    assert (folder / "detections.csv").exists(), "of these predictions"
    table = predictions.read(folder / "predictions.csv")
    predictions.write(table.assign(**{f"{F0}_prob": 0.1}), folder / "predictions.csv")
    assessment.finish(evaluated, "ensemble", ["tiny"])
    draw(evaluated, "--film", film)
    assert not (folder / "detections.csv").exists()
    assert (folder / "gradcam" / F1 / f"{film}.png").exists()
    draw(evaluated)
    assert len(pd.read_csv(folder / "detections.csv")) == len(FINDINGS) - 1


def test_maps_of_another_number_of_films_are_refused(evaluated):
    np.save(evaluated.member_dir("ensemble", "tiny") / "cams_hirescam.npy", np.zeros((3, 6, 4, 4), np.float16))
    with pytest.raises(
        InputError,
        match=r"tiny/cams_hirescam.npy: maps of shape \(3, 6, 4, 4\), expected \(2, 6, h, w\).*Run: sh evaluate_Ens",
    ):
        family_maps.load(evaluated, tiny_params(), "ensemble")


def test_predictions_of_films_that_are_gone_are_refused(evaluated):
    path = evaluated.family_dir("ensemble") / "predictions.csv"
    path.write_text(path.read_text().replace("00000003_002", "00000009_002"))
    assessment.finish(evaluated, "ensemble", ["tiny"])
    with pytest.raises(InputError, match=r"predictions.csv: nih/00000009_002 \(1 such films\) is not in images.csv"):
        family_maps.load(evaluated, tiny_params(), "ensemble")


def test_known_boxes_are_loaded_where_they_are(evaluated):
    boxes = pd.DataFrame([["nih/00000003_002", F0, 0.5, 0.25, 0.5, 0.5]], columns=BOX_COLUMNS)
    write_csv(boxes, evaluated.boxes_csv)
    scored = family_maps.load(evaluated, tiny_params(), "ensemble")
    assert family_maps.known_boxes(scored, F0, 1) == [(32, 16, 32, 32)]
    assert json.loads((evaluated.family_dir("ensemble") / "thresholds.json").read_text()) == scored.thresholds
