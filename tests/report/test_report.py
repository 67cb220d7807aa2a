"""The report: whole, escaped, offline; sorted and filtered in a browser where there is one."""

import base64
import copy
import hashlib
import json
import re
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.core import artifacts, configuration
from cxr.core.findings import FINDINGS, colours
from cxr.evaluation import assessment, predictions
from cxr.maps import detection_scores, faithfulness, localisation, map_scores
from cxr.maps.heatmaps import enlarged
from cxr.report import (
    doubt_tables,
    family_report,
    gallery,
    html_page,
    model_card,
    page_tables,
    table_notes,
    trust_tables,
)
from tests.conftest import load_script, settings_in, tiny_params
from tests.report.test_doubt_tables import heart

NASTY = '</script><script>alert("x")</script><img src=x>'


def model(films=240, name="ensemble"):
    random = np.random.default_rng(1)
    truth = (random.random((films, 6)) < 0.3).astype(float)
    truth[:, 4] = 0  # Pneumonia: no positive film
    scores = np.clip(0.4 * truth + random.random((films, 6)) * 0.6, 0, 1)
    ids = [f"{'nih' if i % 3 else 'chexpert/valid'}/{i:05d}" for i in range(films)]
    splits = ["val" if i % 4 == 0 else "test" for i in range(films)]
    table = predictions.build(ids, [f"p{i}" for i in range(films)], splits, truth, scores, FINDINGS)
    facts = pd.DataFrame({"image_id": ids, "view": ["PA", "AP"] * (films // 2), "sex": "F", "age": 50})
    val, test = (table[table["split"] == split].reset_index(drop=True) for split in ("val", "test"))
    block, thresholds = assessment.assess(val, test, facts, "f1", 20, 1)
    return html_page.Model(name, block, thresholds, test, val, FINDINGS, ["A note."])


def cards(number=30, findings=6):
    random = np.random.default_rng(2)
    found = []
    for i in range(number):
        film = gallery.data_uri(random.integers(0, 255, (16, 16), dtype=np.uint8), "jpeg")
        layer = gallery.data_uri(random.integers(0, 255, (4, 4, 4), dtype=np.uint8), "png")
        outcomes = [("TP", "FP", "FN", "TN")[(i + f) % 4] for f in range(findings)]
        probabilities = np.round(random.random(findings), 3).tolist()
        found.append(
            {"id": f"nih/{i:08d}_000", "film": film, "maps": [layer] * findings, "probabilities": probabilities,
             "shown": [f"{value:.2f}" for value in probabilities],
             "outcomes": outcomes, "called": [one in ("TP", "FP") for one in outcomes],
             "boxes": [[[10, 10, 30, 30]]] + [[]] * (findings - 1),
             "detections": [[[10, 10, 30, 30, 0.7]]] + [[]] * (findings - 1), "overlays": [""] * findings}
        )  # fmt: skip
    return found


def faithfulness_table() -> pd.DataFrame:
    """faithfulness.csv of one finding, of too few patients, and the mean, the second without an interval."""
    names = ("deletion", "insertion", "random", "deletion_difference", "insertion_difference")
    row = {
        "films": 12,
        "patients": 9,
        "too_few": True,
        "no_interval": "BOOTSTRAP_REPLICATES is 0",
        **dict(zip(names, (0.31, 0.74, 0.52, -0.21, 0.22), strict=True)),
    }
    limits = {f"{name}_{end}": np.nan for name in names[3:] for end in ("low", "high")}
    own = limits | {"deletion_difference_low": -0.3, "deletion_difference_high": -0.1}
    return pd.DataFrame([{"finding": FINDINGS[0], **row, **own}, {"finding": "mean", **row, **limits}])


def map_scores_table():
    """map_scores.csv of a family of two."""
    rows = []
    networks = [(n, m) for n in ("ensemble", "tiny") for m in ("gradcam", "gradcam++", "layercam")]
    for place, (network, method) in enumerate([*networks, *(("none", name) for name in localisation.ALWAYS_BESIDE)]):
        for finding in ("Effusion", map_scores.MEAN):
            row = {"network": network, "method": method, "finding": finding, "films": 12, "patients": 12}
            row |= {"too_few": False, "no_interval": np.nan, "hit_exact": np.nan}
            if finding != map_scores.MEAN:
                row |= {"no_interval": "it is of one patient", "hit_exact": False}
            row |= {"hit": 0.05 * place, "hit_low": 0.01, "hit_high": 0.5, "iou": 0.1, "iou_low": 0.05, "iou_high": 0.2}
            row |= {"in_lungs": 0.6, "lungs_area": 0.3, "boxes": 1.5}
            for overlap in ("iobb", "iou"):
                for limit in localisation.THRESHOLDS:
                    row |= {f"{overlap}_{limit}": 1 - limit, f"{overlap}_{limit}_false": limit}
            rows.append(row)
    return pd.DataFrame(rows)


def detection_scores_table():
    """detection_scores.csv of a family of two."""
    beside = {"random map": 0.1, "centre prior": 0.3, "mean box of val": 0.32, "known box on the grid": 0.9}
    networks = [("ensemble", "gradcam", 0.35), ("tiny", "gradcam", 0.2), *(("none", *pair) for pair in beside.items())]
    rows = []
    for finding, added in (("Effusion", 0.0), ("Cardiomegaly", -0.05), (map_scores.MEAN, -0.025)):
        for network, method, value in networks:
            value += added if network != "none" else 0
            row = {"finding": finding, "network": network, "method": method, "films": 40, "positives": 12, "boxes": 15}
            row |= {"too_few": False, "no_interval": "BOOTSTRAP_REPLICATES is 0"}
            row |= {"detected": 1200, **dict.fromkeys(detection_scores.SENSITIVITIES, value)}
            for figure in detection_scores.WITH_INTERVAL:
                row |= {figure: value, f"{figure}_low": value - 0.04, f"{figure}_high": value + 0.04}
            rows.append(row)
    return pd.DataFrame(rows)


def found_shortcuts():
    """shortcuts.json."""
    one = {"first": 0.7, "second": 0.8, "difference": -0.1, "interval": [-0.2, 0.0]}
    probe = {"films": 20, "auroc": 0.9, "interval": [0.8, 1.0]}
    return {
        "source_probe": {"hospitals": ["chexpert", "nih"], "all films": probe,
                         "none of the findings": {"films": 3, "auroc": None, "interval": None, "reason": "too few"}},
        "corners": {"changed": 4, "films": 20, "mean_change": dict.fromkeys(FINDINGS, 0.01),
                    "findings": {finding: {"auroc": one} for finding in FINDINGS}, "macro": {"auroc": one}},
    }  # fmt: skip


@pytest.fixture(scope="module")
def ours():
    return model()


@pytest.fixture(scope="module")
def html(ours):
    log = pd.DataFrame({"epoch": [1, 2], "loss": [0.5, 0.4], "val_loss": [0.6, 0.5], "val_auroc": [0.7, 0.8]})
    replaced = pd.DataFrame({"method": "gradcam", "shuffled": ["nothing, another film", "last layer", "all layers"],
                             "places": 16, "films": 4, "correlation": [0.3, 0.2, -0.1]})  # fmt: skip
    extras = html_page.Extras(
        cards=cards(),
        method="Grad-CAM++",
        logs={"tiny": log},
        facts={"Run": [("seed", "1")]},
        mask_notes=["Dice .9"],
        map_tables=trust_tables.map_tables(map_scores_table(), "ensemble", "gradcam"),
        faithfulness=trust_tables.faithfulness_table(faithfulness_table(), "gradcam"),
        detection_tables=trust_tables.detection_tables(detection_scores_table(), "ensemble"),
        froc=("ensemble", detection_scores_table()),
        randomisation=trust_tables.randomisation_table({"tiny": replaced}, "gradcam"),
        shortcuts=doubt_tables.shortcut_tables(found_shortcuts(), FINDINGS),
        heart=doubt_tables.heart_table(heart()),
    )
    return html_page.page("Ensemble", ours, {"ensemble": ours.metrics, "tiny": ours.metrics}, (), extras)


def test_every_section_is_there_and_the_originals_table_comes_first(html):
    sections = re.findall(r'<section id="(\w+)"', html)
    assert sections == ["summary", "results", "models", "curves", "calibration", "thresholds", "subgroups", "maps",
                        "shortcuts", "heart", "masks", "training", "facts"]  # fmt: skip
    assert set(re.findall(r'<a href="#(\w+)">', html)) <= set(sections)
    first = html[html.index("<table") : html.index("</table>")]
    heads = re.findall(r"<button[^>]*>(.*?)</button>", first)
    assert heads[:6] == ["Finding", "Accuracy", "Precision", "Recall", "Prevalence", "Always-no accuracy"]
    assert "Pneumonia: Recall, AUROC, Average precision n/a: no positive film." in html


def test_training_curves_say_which_findings_have_no_line(html):
    assert '<p class="note">Pneumonia: n/a (no positive film).</p>' in html[html.index('<section id="training">') :]


def test_the_page_names_the_method_of_its_maps_and_the_line_of_each_finding(html):
    assert "Where the evidence for a finding lies (Grad-CAM++), on the film" in html
    key = html[html.index('<ul class="key"') : html.index("</ul>", html.index('<ul class="key"'))]
    assert re.findall(r'stroke="(#\w{6})" stroke-dasharray=""/></svg>(\w+)</li>', key) == [
        (colour, finding) for finding, colour in colours(FINDINGS).items()
    ]


def test_the_page_asks_the_network_for_nothing_and_its_policy_allows_its_own_script_only(html):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; img-src data:")
    script = html[html.rindex("<script>") + 8 : html.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', html)
    assert "url(http" not in html
    assert "@import" not in html


def test_everything_that_came_from_outside_is_escaped(ours):
    nasty = html_page.Model(NASTY, ours.metrics, ours.thresholds, ours.table, ours.val, FINDINGS, [NASTY])
    films = [{**cards(1)[0], "id": NASTY}]
    extras = html_page.Extras(cards=films, mask_notes=[NASTY], facts={NASTY: [(NASTY, NASTY)]})
    page = html_page.page(NASTY, nasty, {NASTY: ours.metrics, "b": ours.metrics}, (), extras)
    assert "alert(" in page
    assert '<script>alert("x")' not in page
    assert "<img src=x>" not in page
    embedded = page[page.index('id="films">') + 11 :]
    assert json.loads(embedded[: embedded.index("</script>")])["films"][0]["id"] == NASTY


def test_without_maps_the_gallery_says_so(ours):
    page = html_page.page(
        "Ensemble", ours, {"ensemble": ours.metrics}, (), html_page.Extras(no_maps="No maps: run it.")
    )
    assert "No maps: run it." in page
    assert 'id="gallery"' not in page
    assert 'id="models"' not in page


def test_no_id_stands_twice(html):
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_as_many_films_as_a_gallery_shows_stay_below_25_megabytes():
    random = np.random.default_rng(3)
    blurred = cv2.GaussianBlur(random.normal(0, 1, (192, 192)), (0, 0), 2.2)  # as much detail as in real films
    film = gallery.data_uri((128 + 30 * blurred / blurred.std()).clip(0, 255).astype(np.uint8), "jpeg", (1, 72))
    heat = cv2.GaussianBlur(np.maximum(random.normal(0, 1, (16, 16)), 0).astype(np.float32), (0, 0), 1.5)
    layer = gallery._map(enlarged(heat / heat.max(), 512), 0.2)
    assert len(film) > 5500  # the mean of real films
    assert gallery.most_films(1) == gallery.most_films(6) == 1000
    for findings in (1, 6, 14, 30):
        assert gallery.most_films(findings) * (len(film) + findings * len(layer)) + 1e6 < html_page.LARGEST
    assert gallery.most_films(30) > 300


def test_a_figure_is_rounded_alike_on_a_terminal_page_and_card():
    assert table_notes.as_text(pd.DataFrame({"ap": [0.0125, np.nan], "films": [3, 4]})).split()[2:] == (
        ["0", "0.013", "3", "1", "n/a", "4"]
    )
    assert model_card.figure({"ap": 0.0125}, "ap") == page_tables.number(0.0125).text == "0.013"


def test_cells_say_n_a_and_signs():
    assert page_tables.number(None).text == "n/a"
    cell = page_tables.number(-0.0123, [-0.02, 0.01], sign=True)
    assert (cell.text, cell.below) == ("−0.012", "−0.020\u00a0to +0.010")


@pytest.mark.parametrize(
    ("names", "distinct"),
    [
        (["a", "b", "a"], ["a", "b", "a (2)"]),
        (["a", "a", "a (2)"], ["a", "a (3)", "a (2)"]),
        (["a (2)", "a", "a", "a"], ["a (2)", "a", "a (3)", "a (4)"]),
        (["a (2)", "a", "a (2)"], ["a (2)", "a", "a (2) (2)"]),
        (["A", "a", "a"], ["A", "a (2)", "a (3)"]),  # one folder on a Mac
        ([], []),
    ],
)
def test_no_two_models_have_one_name(names, distinct):
    assert html_page.distinct_names(names) == distinct


def test_a_familys_report_and_model_card_are_filled_from_what_is_there(ours, tmp_path, capsys):
    (tmp_path / "SETTINGS.json").write_text("{}")
    params = {"ENSEMBLE_MEMBERS": ["tiny", "xception"], "TRAIN_SOURCES": ["nih"], "MAP_METHOD": "layercam"}
    (tmp_path / "PARAMS.json").write_text(json.dumps(params))
    folder = tmp_path / "models" / "classification" / "ensemble"
    predictions.write(pd.concat([ours.val, ours.table]), folder / "predictions.csv")
    for path, content in {
        "metrics.json": ours.metrics,
        "thresholds.json": ours.thresholds,
        "tiny/metrics.json": ours.metrics,
        "shortcuts.json": {"heart_size": heart()},
        "tiny/run.json": {
            "seed": 7,
            "device": "CPU|x",
            "seconds": 1.5,
            "versions": {"keras": "3"},
            "best": 0.5545808966861598,
            "best_epoch": 2,
        },
    }.items():
        artifacts.write_json(content, folder / path)
    artifacts.write_csv(pd.DataFrame({"epoch": [1, 2], "loss": 1.0, "val_low": [0.6, np.nan]}), folder / "tiny/log.csv")
    for member in params["ENSEMBLE_MEMBERS"]:
        predictions.write(pd.concat([ours.val, ours.table]), folder / member / "predictions.csv")
    assessment.finish(configuration.load_settings(tmp_path / "SETTINGS.json"), "ensemble", params["ENSEMBLE_MEMBERS"])
    # Of other maps: nothing vouches for them.
    map_scores_table().to_csv(folder / "map_scores.csv", index=False)
    detection_scores_table().to_csv(folder / "detection_scores.csv", index=False)
    script = load_script("src/classification/eval/report.py")
    script.main(["ensemble", "--settings", str(tmp_path / "SETTINGS.json"), "--params", str(tmp_path / "PARAMS.json")])
    page, card = (folder / "report.html").read_text(), (folder / "MODEL_CARD.md").read_text()
    assert "No maps are stored beside these predictions: run evaluate_Ensemble.sh" in page
    assert '<th scope="row">tiny</th>' in page
    assert "Do maps find what is known?" not in page
    assert '<section id="shortcuts">' not in page
    assert "Cardiomegaly: the cardiothoracic ratio alone, and the model" in page
    assert "| All films | 90 | 20 | 0.700 (0.610–0.790) | 0.800 |" in card
    assert "FROC" not in page
    assert "no maps" in capsys.readouterr().out
    assert "| device | CPU\\|x |" in card
    for told in (page, card):
        assert "0.5546. Whether it has learned is NOT KNOWN: val has too few patients" in told
    assert "xception: no run.json; how it was trained is not recorded." in card
    assert "The tables of films are not there: not recorded." in card
    assert "* LayerCAM shows where evidence for the network's answer lies" in card
    auroc = ours.metrics["by_source"]["nih"]["findings"]["Edema"]["auroc"]
    assert f"| {auroc:.3f} (" in card
    heads = re.findall(r"^## (.+)$", card, re.MULTILINE)
    assert heads == ["Model", "Intended use", "Data", "Protocol", "Results", "Subgroups",
                     "Explanations and shortcuts", "Limits", "CLAIM items left to the author"]  # fmt: skip


def test_scored_maps_stand_beside_what_knowing_nothing_reaches():
    over, hit, iou, iobb, _ = trust_tables.map_tables(map_scores_table(), "ensemble", "gradcam++")
    assert [row[0].text for row in over.rows][:2] == ["ensemble, Grad-CAM", "ensemble, Grad-CAM++"]
    assert [row[0].text for row in over.rows][-3:] == list(localisation.ALWAYS_BESIDE)
    assert hit.heads[2:] == [
        "Grad-CAM",
        "Grad-CAM++",
        "LayerCAM",
        "Random map",
        "Centre prior",
        "Known box on the grid",
    ]
    (effusion,) = hit.rows
    assert [cell.text for cell in effusion] == ["Effusion", "12", "0.000", "0.050", "0.100", "0.300", "0.350", "0.400"]
    assert effusion[2].below == "0.010–0.500"
    assert effusion[5].below == ""
    assert len(iou.rows) == 1
    assert over.notes == hit.notes == []
    assert not effusion[2].faint
    assert effusion[5].faint
    assert iobb.caption == "Accuracy at T(IoBB), false boxes a film below: Grad-CAM++, ensemble"
    assert (iobb.rows[0][1].text, iobb.rows[0][1].below) == ("0.900", "0.10 false")


def test_findings_with_few_boxes_are_grey_and_named():
    few = map_scores_table().replace({"hit_exact": {False: True}})
    few = few.assign(films=3, too_few=True, in_lungs=np.nan, iou_low=np.nan)
    over, hit, iou, wang, _ = trust_tables.map_tables(few, "ensemble", "gradcam")
    assert over.notes == [
        "Mean: mean over findings of too few patients too (Effusion).",
        "Mean: In the lungs n/a: no lung mask of these films was accepted.",
    ]
    effusion = "Effusion: too few: fewer than 10 patients with a known box."
    assert [hit.notes[0], len(hit.notes)] == [effusion, 2]
    assert hit.notes[1].startswith("Exact: Clopper and Pearson's interval, by films")
    assert hit.rows[0][2].below == "0.010–0.500 exact"
    assert iou.notes == [
        effusion,
        "Effusion: Grad-CAM, Grad-CAM++, LayerCAM without an interval: it is of one patient.",
    ]
    assert wang.notes == [effusion]
    assert all(cell.faint for cell in over.rows[0][2:])
    assert all(cell.faint for cell in [*hit.rows[0][2:], *wang.rows[0][1:]])


def test_detection_and_blanked_films_are_marked_as_all_tables_are():
    effusion = detection_scores_table()["finding"].isin(["Effusion", map_scores.MEAN])
    few = detection_scores_table().assign(too_few=effusion, froc_low=np.nan)
    over, by_finding, beside = trust_tables.detection_tables(few, "ensemble")
    bare = "FROC score without an interval: BOOTSTRAP_REPLICATES is 0."
    assert over.notes == [
        "Mean: mean over findings of too few patients too (Effusion).",
        "ensemble, tiny, random map, centre prior, mean box of val, known box on the grid: " + bare,
    ]
    assert by_finding.notes == [
        "Effusion: too few: fewer than 10 patients with a known box, or without the finding.",
        "Effusion, Cardiomegaly: " + bare,
    ]
    assert [row[4].faint for row in by_finding.rows] == [True, False]
    assert all(cell.faint for cell in [*over.rows[0][4:], *beside.rows[-1][1:]])  # the mean's
    assert [cell.faint for cell in beside.rows[0][1:]] == [True] * 5

    table = faithfulness_table()
    nothing = dict.fromkeys(table.columns[7:], np.nan) | {"finding": "Edema", "films": 0, "patients": 0}
    nothing |= {"too_few": True, "no_interval": "it is of one patient", **dict.fromkeys(faithfulness.AREAS, np.nan)}
    nothing |= dict.fromkeys(faithfulness.DIFFERENCES, np.nan)
    table = pd.concat([pd.DataFrame([nothing]), table], ignore_index=True)
    shown = trust_tables.faithfulness_table(table, "gradcam")
    assert [cell.text for cell in shown.rows[0][3:]] == ["n/a"] * 5
    assert shown.notes == [
        f"Edema, {FINDINGS[0]}: too few: fewer than 10 patients with such a film.",
        "Edema: Deletion, Insertion, Random order, Deletion minus random, Insertion minus random n/a: no test film has "
        "it and is called.",
        f"{FINDINGS[0]}: Insertion minus random without an interval: BOOTSTRAP_REPLICATES is 0.",
        "Mean: Deletion minus random, Insertion minus random without an interval: BOOTSTRAP_REPLICATES is 0.",
        f"Mean: mean over findings of too few patients too (Edema, {FINDINGS[0]}).",
    ]


def test_detection_stands_beside_what_knows_nothing_of_the_place_and_the_page_says_where_it_is_no_better(html):
    over, by_finding, beside = trust_tables.detection_tables(detection_scores_table(), "ensemble")
    assert [row[0].text for row in over.rows] == [
        "ensemble", "tiny", "random map", "centre prior", "mean box of val", "known box on the grid",
    ]  # fmt: skip
    assert [cell.text for cell in over.rows[0][1:6]] == ["40", "15", "1,200", "0.325", "0.325"]
    assert over.rows[0][4].below == "0.285–0.365"
    assert [row[0].text for row in by_finding.rows] == ["Effusion", "Cardiomegaly"]
    assert [cell.text for cell in beside.rows[0]] == ["Effusion", "0.350", "0.100", "0.300", "0.320", "0.900"]
    assert [row[0].text for row in beside.rows] == ["Effusion", "Cardiomegaly", "Mean"]
    assert beside.notes == [
        "No better than the centre prior: Cardiomegaly.",  # 0.30 is not more than 0.30
        "Above the centre prior, but not with the whole interval: mean.",  # 0.325, from 0.285
        "No better than the mean box of val: Cardiomegaly.",
        "Above the mean box of val, but not with the whole interval: Effusion, mean.",
    ]
    assert "No better than the centre prior: Cardiomegaly." in html
    assert "FROC of ensemble at IoU &gt; 0.3" in html
    assert 'aria-label="Share of known boxes found against false boxes a film' in html


def test_without_a_box_in_val_detection_stands_beside_the_rest():
    scores = detection_scores_table()
    *_, beside = trust_tables.detection_tables(scores[scores["method"] != "mean box of val"], "ensemble")
    assert beside.rows[0][4].text == "n/a"
    assert beside.notes[2:] == [
        "Effusion, Cardiomegaly, Mean: mean box of val n/a: val has no known box of it, or of one of the findings."
    ]


def test_maps_without_learned_weights_and_shortcuts_become_tables():
    stages = ["nothing, another film", "last layer", "last 2 of 7", "last 4 of 7", "last 5 of 7", "all layers"]
    table = pd.DataFrame({"method": "gradcam", "shuffled": stages, "places": 16, "films": 4,
                          "correlation": [0.3, 0.2, np.nan, 0.1, 0.0, -0.1]})  # fmt: skip
    shown = trust_tables.randomisation_table({"tiny": table}, "gradcam")
    assert shown.heads == ["Member", "Films", "Cells of a map", "Another film", "Last layer", "Last 25 %", "Last 50 %",
                           "Last 75 %", "All layers"]  # fmt: skip
    assert [cell.text for cell in shown.rows[0]] == [
        "tiny",
        "4",
        "16",
        "0.300",
        "0.200",
        "n/a",
        "0.100",
        "0.000",
        "−0.100",
    ]
    assert trust_tables.randomisation_table({"tiny": table}, "layercam") is None

    hospital, corners = doubt_tables.shortcut_tables(found_shortcuts(), FINDINGS)
    assert hospital.caption == "Do the scores tell the hospital (chexpert or nih)?"
    assert [cell.text for cell in hospital.rows[0]] == ["All films", "20", "0.900"]
    assert hospital.notes == ["None of the findings: too few."]
    assert corners.caption == "Corners blanked: the scores of 4 of 20 test films move"
    assert [cell.text for cell in corners.rows[0]] == [FINDINGS[0], "0.800", "0.700", "−0.100", "0.010"]
    assert doubt_tables.shortcut_tables(None, FINDINGS) == []
    lone = {"source_probe": {"hospitals": ["nih"], "reason": "there are 1"}}
    assert doubt_tables.shortcut_tables(lone, FINDINGS) == []


@pytest.fixture(scope="module")
def browser():
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no browser: apt-get install chromium")
    with driver.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, html, tmp_path):
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    said, asked = [], []

    def visit(width=1280, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "report.html").as_uri())
        return page

    yield visit
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == 1


def test_a_click_on_a_head_sorts_with_what_is_not_defined_last_and_totals_where_they_were(opened):
    page = opened()
    table = page.locator("table").first
    head = table.get_by_role("button", name="AUROC")
    for direction in ("descending", "ascending"):
        head.click()
        cells = table.locator("tbody tr td:nth-child(7)").evaluate_all("all => all.map(one => one.dataset.value)")
        values = [float(cell) for cell in cells[:-1]]
        assert cells[-1] is None
        assert values == sorted(values, reverse=direction == "descending")
        assert table.locator(f"th[aria-sort={direction}]").count() == 1
    assert table.locator("tfoot th").all_text_contents() == ["Total (micro)", "Mean (macro)"]
    table.get_by_role("button", name="Finding").focus()
    page.keyboard.press("Enter")
    names = table.locator("tbody th").all_text_contents()
    assert names == sorted(names, reverse=True)


def choose(page, selector):
    """A click on the label, as people click: the box itself is not to be seen."""
    page.locator(f"label:has({selector})").click()


def test_the_gallery_is_filtered_by_finding_outcome_and_name(opened):
    page = opened()
    films = page.locator("#gallery .film")
    assert films.count() == 30
    for outcome in ("FP", "FN", "TN"):
        choose(page, f"[name=outcome][value={outcome}]")
    assert films.count() == 8
    assert set(films.locator("em").all_text_contents()) == {"TP"}
    sure = [float(text) for text in films.locator("li.on span:nth-child(2)").all_text_contents()]
    assert sure == sorted(sure, reverse=True)
    assert [films.first.locator(f".stack i{kind}").count() for kind in (":not(.found)", ".found")] == [1, 1]
    assert films.first.locator(".stack i.found").text_content() == ".70"
    choose(page, "[name=finding][value=Edema]")
    assert films.first.locator("li.on").text_content().strip().startswith("Edema")
    page.locator("[name=search]").fill("00000002_")
    assert page.locator("#count").inner_text() == "1 of 1 films"


def test_of_many_findings_a_card_shows_the_chosen_one_first_then_the_likeliest(browser, html, tmp_path):
    names = [*FINDINGS, "Pleural_Thickening", "Enlarged Cardiomediastinum", *(f"Finding {n}" for n in range(22))]
    start = html.index('id="films">') + 11
    rest = html[html.index("</script>", start) :]
    films = str(html_page.gallery_data(cards(3, 30), names))  # a Markup would escape the rest
    (tmp_path / "report.html").write_text(html[:start] + films + rest, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    choose(page, "[name=finding][value=Edema]")
    shown = page.locator("#gallery .film").first.locator("ul")
    assert shown.locator("li").count() == 30
    assert shown.locator("li").first.text_content().startswith("Edema")
    likely = [float(text) for text in shown.locator("li:not(.on) span:nth-child(2)").all_text_contents()]
    assert likely == sorted(likely, reverse=True)
    height, inside, wide, room = shown.evaluate("e => [e.clientHeight, e.scrollHeight, e.scrollWidth, e.clientWidth]")
    assert height < 250 < inside  # the others by scrolling
    assert wide <= room


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_nothing_is_wider_than_the_screen_and_text_is_legible(opened, width, scheme):
    page = opened(width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    light = "[...getComputedStyle(document.body)[%r].matchAll(/\\d+/g)].slice(0, 3).reduce((a, b) => a + +b, 0)"
    ink, ground = (page.evaluate(light % name) for name in ("color", "backgroundColor"))
    assert (ink > ground) == (scheme == "dark")
    assert abs(ink - ground) > 450


TABLES = """() => [...document.querySelectorAll('.table')].map(table => {
    const place = table.querySelector('.scroll');
    const told = getComputedStyle(table.querySelector('figcaption'), '::after').content.includes('scroll sideways');
    return [place.scrollWidth > place.clientWidth + 1, told];
})"""


def test_tables_fit_a_desktop_and_what_is_wider_than_its_place_says_that_it_scrolls(opened):
    page = opened(1280)
    assert set(map(tuple, page.evaluate(TABLES))) == {(False, False)}
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_selector(".wide")
    assert {wide for wide, _ in page.evaluate(TABLES)} == {True, False}
    assert all(wide == told for wide, told in page.evaluate(TABLES))
    place = page.locator(".wide").first
    place.evaluate("place => place.scrollLeft = 200")
    names = place.locator("tbody th, thead th:first-child")
    left = place.evaluate("place => place.getBoundingClientRect().left + place.clientLeft")
    assert set(names.evaluate_all("all => all.map(one => one.getBoundingClientRect().left)")) == {left}


def test_on_paper_no_table_is_cut_and_no_line_of_totals_is_repeated(opened):
    page = opened(1040)  # A4 across within its margins
    page.emulate_media(media="print")
    assert not any(wide or told for wide, told in page.evaluate(TABLES))
    feet = "all => all.map(foot => getComputedStyle(foot).display)"
    assert set(page.locator("tfoot").evaluate_all(feet)) == {"table-row-group"}


def test_of_a_thousand_films_only_a_page_is_drawn_at_a_time(browser, ours, tmp_path):
    (tmp_path / "report.html").write_text(
        html_page.page("Ensemble", ours, {"ensemble": ours.metrics}, (), html_page.Extras(cards=cards(1000))),
        encoding="utf-8",
    )
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator("#count").inner_text() == "60 of 1000 films"
    choose(page, "[name=finding][value=Edema]")
    assert page.locator("#gallery .film").count() == 60
    assert page.locator("#gallery .film li.on").first.inner_text().startswith("Edema")
    page.locator("#more").click()
    assert page.locator("#gallery .film").count() == 120


def films_of(splits, source="nih", views=("PA",)):
    """images.csv and split.csv together, as `family_report.used_films` gives them."""
    rows = [
        {"patient_id": patient, "split": split, "source": source, "view": views[row % len(views)]}
        for row, (patient, split) in enumerate(splits)
    ]
    return pd.DataFrame(rows).assign(**dict.fromkeys(FINDINGS, 0.0))


def test_the_cards_sentences_are_counted_not_what_was_asked(tmp_path, ours):
    settings, params = settings_in(tmp_path), tiny_params(TRAIN_SOURCES=[], VIEWS=["PA", "AP"])
    films = films_of([("a", "train"), ("b", "train"), ("c", "val"), ("d", "test")])
    films.loc[0, FINDINGS[0]] = 1.0
    data = "\n".join(model_card._data(settings, params, films))
    assert "Trained on films of: nih (2); 1 of them are positive for none of the findings." in data
    assert "No label of these sources can be uncertain" in data
    assert model_card._views(films) == " Its films: PA 4."
    assert model_card._protocol(films, ours.metrics)[0].startswith("No patient is in two splits.")
    leaking = films_of([("a", "train"), ("a", "test")])
    assert model_card._protocol(leaking, ours.metrics)[0].startswith("1 PATIENTS ARE IN SEVERAL SPLITS.")


def test_figures_on_a_hospital_of_which_no_film_was_in_training_or_val_say_so(tmp_path):
    settings, params = settings_in(tmp_path), tiny_params(ENSEMBLE_MEMBERS=["tiny"])
    ids = [f"nih/{n:05d}" for n in range(40)] + [f"chexpert/valid/{n:05d}" for n in range(20)]
    splits = ["val", "test"] * 20 + ["test"] * 20
    truth = np.tile(np.arange(60)[:, None] % 4 < 2, 6).astype(float)
    table = predictions.build(ids, ids, splits, truth, 0.3 + 0.4 * truth, FINDINGS)
    facts = pd.DataFrame({"image_id": ids, "view": "PA", "sex": "F", "age": 50})
    val, test = (table[table["split"] == split].reset_index(drop=True) for split in ("val", "test"))
    block, thresholds = assessment.assess(val, test, facts, "f1", 10, 1)
    folder, member = settings.family_dir("ensemble"), settings.member_dir("ensemble", "tiny")
    member.mkdir(parents=True)
    for place in (folder, member):
        predictions.write(table, place / "predictions.csv")
    artifacts.write_json(block, folder / "metrics.json")
    artifacts.write_json(thresholds, folder / "thresholds.json")
    assessment.finish(settings, "ensemble", ["tiny"])
    never = "No film of chexpert was in training or val: figures on them are those at a hospital never seen"

    def notes(split_of_chexpert):
        images = pd.DataFrame({"image_id": ids, "source": [name.split("/")[0] for name in ids]})
        artifacts.write_csv(images, settings.images_csv)
        own = splits[:40] + split_of_chexpert
        artifacts.write_csv(pd.DataFrame({"image_id": ids, "split": own}), settings.split_csv)
        return [note for note in family_report.model(settings, params, "ensemble").notes if note.startswith(never)]

    assert len(notes(["test"] * 20)) == 1
    assert notes(["train"] + ["test"] * 19) == [], "one film is enough: it was seen"
    settings.split_csv.unlink()  # predictions alone came: val says which hospitals were seen
    assert [note for note in family_report.model(settings, params, "ensemble").notes if note.startswith(never)]


def guessing_model():
    random = np.random.default_rng(3)
    truth = (random.random((120, 6)) < [0.3, 0.3, 0.3, 0.3, 0.3, 0.04]).astype(float)
    ids = [f"nih/{i:05d}" for i in range(120)]
    splits = ["val" if i % 2 else "test" for i in range(120)]
    scores = 0.486 + 0.007 * random.random((120, 6))
    table = predictions.build(ids, ids, splits, truth, scores, FINDINGS)
    val, test = (table[table["split"] == split].reset_index(drop=True) for split in ("val", "test"))
    facts = pd.DataFrame({"image_id": ids, "view": "PA", "sex": "F", "age": 50})
    block, thresholds = assessment.assess(val, test, facts, "f1", 50, 1)
    return html_page.Model("guess", block, thresholds, test, val, FINDINGS)


def test_a_model_that_has_not_learned_is_called_so_on_page_and_card():
    guess = guessing_model()
    page = html_page.page("Guess", guess, {"guess": guess.metrics})
    assert page.count('<p class="warn">not told from guessing</p>') >= 5
    assert "Not told from guessing: Consolidation (all probabilities lie between 0.486 and 0.493)" in page
    assert '<p class="warn">too few patients</p>' in page
    assert "Bars begin at an AUROC of 0.5" in page
    card = "\n".join(model_card._results(guess.metrics))
    assert "Consolidation (all probabilities lie between 0.486 and 0.493)" in card
    assert "(too few)" in card
    # .486 to .493 at thresholds among them: two digits would show no decision.
    shown = re.findall(r"<td[^>]*>nih (0\.\d+)</td>", page)
    assert shown
    assert min(len(text) for text in shown) > len("0.49")


def test_every_table_with_an_n_a_says_why(html, ours):
    for figure in re.findall(r'<figure class="table">.*?</figure>', html, re.DOTALL):
        caption = re.search("<figcaption>(.*?)</figcaption>", figure)[1]
        notes = " ".join(re.findall(r'<p class="note">(.*?)</p>', figure))
        if (
            ">n/a<" in figure
            and "know" not in caption
            and not caption.startswith(("Maps", "Hit", "IoU", "Accuracy at"))
        ):
            assert re.search("n/a: |n/a|calibrated: |too few", notes), caption


def test_a_threshold_that_was_fitted_on_few_patients_is_told_below_the_table_of_what_it_decides(ours):
    metrics = copy.deepcopy(ours.metrics)
    metrics["findings"]["Edema"]["threshold_few"] = {"nih": "2 positive patients"}
    table = page_tables.original_form(metrics, "All films", FINDINGS)
    assert "Edema: threshold on films of nih: fitted on 2 positive patients: too few." in table.notes


def test_differences_name_the_models_and_a_mean_stays_in_sight(ours):
    difference = {"first": 0.7, "second": 0.6, "difference": 0.1, "interval": [0.0, 0.2]}
    row = {"auroc": difference, "average_precision": difference}
    pair = {"first": "ours", "second": "theirs", "films": 3, "patients": 3, "macro": row,
            "findings": dict.fromkeys(FINDINGS, row)}  # fmt: skip
    (table,) = page_tables.differences([pair], FINDINGS)
    assert table.heads[1:4] == ["AUROC, ours", "AUROC, theirs", "AUROC, difference"]
    page = html_page.page("Ours", ours, {"ours": ours.metrics, "theirs": ours.metrics})
    assert re.search(r'<figcaption>AUROC of each model</figcaption>.*?<table class="sortable mean">', page, re.DOTALL)


def test_blanked_films_have_a_row_a_finding_with_differences_and_their_intervals(html):
    table = trust_tables.faithfulness_table(faithfulness_table(), "layercam")
    assert table.caption == "Films blanked, the hottest places of LayerCAM first"
    assert [row[0].text for row in table.rows] == [FINDINGS[0], "Mean"]
    assert [cell.text for cell in table.rows[0][1:6]] == ["12", "9", "0.310", "0.740", "0.520"]
    assert "−0.210" in table.rows[0][6].text
    assert "−0.300" in table.rows[0][6].below
    assert "Does the answer come from where maps are hot?" in html


@pytest.mark.parametrize(
    ("films", "places", "why"),
    [
        (32, 1, "a map has 1 cells; ranks are compared of 4 or more"),
        (1, 64, "of one film nothing is left once the mean map of the films is taken off"),
        (32, 64, "the maps compared are the same at every cell, or not finite"),
    ],
)
def test_a_correlation_of_maps_that_is_not_defined_has_its_reason(films, places, why):
    rows = {"method": "gradcam", "shuffled": ["nothing, another film", "last layer", "all layers"]}
    table = pd.DataFrame({**rows, "films": films, "places": places, "correlation": [np.nan, 0.5, 0.4]})
    shown = trust_tables.randomisation_table({"tiny": table}, "gradcam")
    assert shown.notes == [f"tiny: n/a: {why}."]
    assert trust_tables.randomisation_table({"tiny": table.fillna(0.1)}, "gradcam").notes == []


def test_drawn_films_are_said_to_be_drawn_before_all_else(tmp_path):
    settings = settings_in(tmp_path)
    assert family_report.synthetic(settings) == []
    settings.dataset_dir.mkdir(parents=True, exist_ok=True)
    (settings.dataset_dir / "phantoms.json").write_text("{}")
    (note,) = family_report.synthetic(settings)
    assert note.startswith("SYNTHETIC FILMS")
