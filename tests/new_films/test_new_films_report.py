from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cxr.anatomy.heart import Widths
from cxr.core.findings import FINDINGS
from cxr.evaluation.source_fits import POOLED
from cxr.imaging.film_checks import FLAGS
from cxr.imaging.geometry import AFFINE, square_affine
from cxr.maps.family_maps import Scored
from cxr.new_films import new_films_report, predicting
from cxr.report.page_tables import Cell
from tests.conftest import tiny_params

REFERENCE = {"guessing": {"macro": None, "findings": {FINDINGS[0]: "AUROC 0.480", FINDINGS[1]: None}}}


def predicted(params):
    """One film of a family of one network."""
    films = pd.DataFrame(
        {
            "filename": ["a.png"],
            "width": [60],
            "height": [60],
            "row": [0],
            "distance": [1.0],
            "file_notes": ["a window was ignored"],
            "notes": ["a window was ignored"],
        }
    )
    films = films.assign(**dict(zip(AFFINE, (0.5, 0.5, 0, 0), strict=True)))  # fmt: skip
    films[list(FLAGS)] = 0
    members = np.full((1, 1, len(FINDINGS)), 0.7, np.float32)
    table = predicting._table(films, POOLED, members, FINDINGS, {})
    fitted = {POOLED: {"threshold": 0.5, "fitted_on": POOLED}}
    thresholds = {"findings": dict.fromkeys(FINDINGS, fitted)}
    maps = [np.ones((1, len(FINDINGS), 2, 2), np.float16)]
    boxes = pd.DataFrame(columns=["image_id", "finding", "x", "y", "width", "height"])
    called = np.ones((1, len(FINDINGS)), bool)
    scored = Scored(
        params=params, table=table, thresholds=thresholds, decisions=called, cams=maps,
        means=[{POOLED: np.zeros((len(FINDINGS), 2, 2), np.float32)}], scale=4.0,
        outlines={finding: {"share": 0.7} for finding in FINDINGS},
        films=films.assign(image_id=table["image_id"]), boxes=boxes, size=32,
    )  # fmt: skip
    bundle = SimpleNamespace(params=params, family="ensemble", thresholds=thresholds, reference=REFERENCE)
    problems = pd.DataFrame(columns=["filename", "problem"])
    pack = np.zeros((1, 32, 32), np.uint8)
    return predicting.Predicted(bundle, POOLED, films, scored, np.full((1, len(FINDINGS)), 0.6), members,
                                np.full((1, len(FINDINGS)), 0.25), "", None, pack,
                                problems)  # fmt: skip


@pytest.mark.parametrize(("method", "name"), [("gradcam", "Grad-CAM"), ("layercam", "LayerCAM")])
def test_the_page_names_the_method_of_its_maps_and_shows_every_finding(method, name):
    page = new_films_report.page(predicted(tiny_params(MAP_METHOD=method)), [""], {})
    assert f"Where the evidence for a finding lies ({name}), on the film" in page
    for finding in FINDINGS:
        assert f"<h3>{finding}</h3>" in page
        assert f'value="{finding}"' in page


def test_what_a_file_says_stands_on_the_page_and_is_no_flag():
    page = new_films_report.page(predicted(tiny_params()), [""], {})
    assert "<p>0 with a flag</p>" in page
    assert page.count("a window was ignored") == 2  # below the film, and in the table


def test_the_page_says_what_test_films_have_not_told_from_guessing():
    page = new_films_report.page(predicted(tiny_params()), [""], {})
    assert f"Not told from guessing: {FINDINGS[0]} (AUROC 0.480). That was on test films" in page


def test_the_page_says_before_all_else_that_networks_learned_from_drawn_films():
    ours = predicted(tiny_params())
    assert "SYNTHETIC FILMS" not in new_films_report.page(ours, [""], {})
    ours.bundle.reference = ours.bundle.reference | {"drawn": True}
    alert = new_films_report.page(ours, [""], {}).split('<p class="alert"><b>')[1].split("</b>")[0]
    assert alert.startswith("SYNTHETIC FILMS: these networks learned from films that this project drew")
    assert "Not a medical device" in alert


def test_the_table_of_films_has_the_ratio_where_there_is_one_and_says_what_it_is_not():
    ours = predicted(tiny_params())
    page = new_films_report.page(ours, [""], {})
    assert "Heart/thorax" not in page
    ours.films["cardiothoracic_ratio"] = np.nan  # of a U-Net that outlines lungs alone
    assert new_films_report.page(ours, [""], {}) == page
    ours.films["cardiothoracic_ratio"] = 0.567
    table = new_films_report._table(ours)
    assert table.heads[-3:] == ["Heart/thorax", "Distance", "Flags"]
    assert [cell.text for cell in table.rows[0]][-3:-1] == ["0.57", "1.00"]
    assert "on AP films, and of patients who lie, the heart is drawn too large" in table.notes[-1]
    assert not table.rows[0][-3].faint
    ours.films["doubtful_mask"] = 1
    assert new_films_report._table(ours).rows[0][-3] == Cell("0.57", 0.567, "doubtful mask", faint=True)


def test_the_two_widths_lie_on_the_film_where_they_were_measured_on_its_square():
    """A film of 200 by 400 pixels is half as high as its square: y of 0.5 stays, 0.6 is twice as far from it."""
    measured = Widths(0.5, 0.3, 0.7, 0.6, 0.1, 0.9, 0.5)
    affine = square_affine((200, 400), 100, "pad")
    found = new_films_report._on_film(measured, affine, (200, 400), 100)
    assert vars(found) == pytest.approx(vars(Widths(0.5, 0.3, 0.7, 0.7, 0.1, 0.9, 0.5)))
