import hashlib

import cv2
import numpy as np
import pytest

from cxr.anatomy.heart import Widths
from cxr.core.findings import FINDINGS, colours
from cxr.new_films.film_pages import FOOT, SIDE, FindingOnFilm, film_page
from cxr.report import canvas
from cxr.report.canvas import GAP, rgb

FILM = np.tile(np.linspace(0, 255, 120).astype(np.uint8), (80, 1))
HEAT = np.zeros((80, 120), np.float32)
HEAT[20:60, 30:90] = 1
HEAD = 46  # height of a title without notes
KEY = 38  # height of what colours and lines mean, below all
PLAIN = "Atelectasis Infiltration Mass Nodule Emphysema Fibrosis Pleural_Thickening Hernia".split()
NAMES = [*FINDINGS, *PLAIN, *(f"Finding {n}" for n in range(16))]
LONG = "A finding with a name of forty letters 0"


def page(tmp_path, called=(), notes=(), mask=None, name="film", findings=FINDINGS, detected=(), widths=None):
    said = [
        FindingOnFilm(finding, 0.7, 0.5, place in called, HEAT, 0.0, 0.5, detected)
        for place, finding in enumerate(findings)
    ]
    path = tmp_path / "page.png"
    film_page(FILM, said, path, name, notes, mask, True, widths or Widths(), None, 3.2, " logits added")
    return cv2.imread(str(path))[..., ::-1]


def square(picture, place, below=FOOT):
    """What stands in a place of the page, SIDE pixels wide and high; the film itself has place 0."""
    row, column = divmod(place, 4)
    top, left = HEAD + row * (SIDE + below + GAP), GAP + column * (SIDE + GAP)
    return picture[top : top + SIDE, left : left + SIDE]


def expected_map():
    plain, _ = canvas.fit_panel(FILM, SIDE)
    whole = canvas.blank_canvas(SIDE, SIDE)
    top = (SIDE - len(plain)) // 2
    whole[top : top + len(plain)] = canvas.blend(plain, canvas.resize_heat(HEAT, *plain.shape[:2]))
    return whole


def test_of_six_findings_the_page_is_what_it_always_was(tmp_path):
    picture = page(tmp_path, called={1, 4}, notes=["far from the training films"])
    assert hashlib.blake2b(picture[:-KEY].tobytes(), digest_size=8).hexdigest() == "a6671533b5973a6d"


@pytest.mark.parametrize("number", [1, 2, 3, 6, 7, 14, 30])
def test_every_finding_has_a_map_and_a_bar_and_no_bar_covers_a_map(tmp_path, number):
    findings = NAMES[:number]
    picture = page(tmp_path, findings=findings)
    for place in range(number):
        np.testing.assert_array_equal(square(picture, place + 1), expected_map(), findings[place])
    rest = picture.copy()
    for place in range(number + 1):
        square(rest, place)[:] = 0
    for finding, colour in colours(findings).items():
        bar = (rest == rgb(colour)).all(axis=2)
        rows, columns = np.nonzero(bar)
        # 0.7 of a bar's 278 pixels, nine high, less the tick of two at 0.5
        assert bar.sum() == pytest.approx(9 * (0.7 * 278 - 2), abs=20), finding
        assert np.ptp(rows) == 8, finding
        assert np.ptp(columns) == pytest.approx(0.7 * 278, abs=1), finding


@pytest.mark.parametrize("number", [1, 3, 14])
def test_a_long_name_is_whole_and_takes_a_line_of_its_own(tmp_path, number):
    findings = [LONG, *NAMES[: number - 1]]
    below, whole = FOOT + 22, page(tmp_path, called={0}, findings=findings)
    rows = -(-(number + 1) // 4)
    assert whole.shape[0] >= HEAD + rows * (SIDE + below + GAP)
    other = page(tmp_path, called={0}, findings=[LONG[:-1] + "1", *findings[1:]])
    differs = (whole != other).any(axis=2)
    top, left = HEAD + SIDE, GAP + SIDE + GAP
    assert differs[top : top + below, left : left + SIDE].any()  # its last sign is drawn below the map
    differs[top : top + below, left : left + SIDE] = False
    assert differs.any()  # and above the bar
    assert not (whole[:, -GAP:] != canvas.BACKGROUND).any()


def test_a_called_finding_has_a_frame_of_its_colour_and_no_other_has(tmp_path):
    plain, framed = page(tmp_path), page(tmp_path, called={1})
    colour = rgb(colours(FINDINGS)[FINDINGS[1]])
    assert (square(framed, 2)[:, 0] == colour).all()
    assert (square(plain, 2)[:, 0] != colour).any(axis=1).all()
    x = GAP + 2 * (SIDE + GAP)
    np.testing.assert_array_equal(framed[:, : x - GAP], plain[:, : x - GAP])


def test_a_called_finding_s_detections_are_drawn_where_they_lie_with_a_key_and_no_other_s(tmp_path):
    """The film is 300 x 200 on its square of 300, with 50 above."""
    boxes = [((0.25, 0.5, 0.5, 0.25), 0.66)]
    plain, drawn = page(tmp_path, called={1}), page(tmp_path, called={1}, detected=boxes)
    differs = (plain != drawn).any(axis=2)
    of_finding = square(differs, 2)
    rows, columns = np.nonzero(of_finding)
    assert (columns.min(), columns.max()) == (pytest.approx(75, abs=3), pytest.approx(225, abs=3))
    assert (rows.min(), rows.max()) == (pytest.approx(50 + 100, abs=3), pytest.approx(50 + 150, abs=3))
    of_finding[:] = False
    assert differs[-KEY:].any()
    assert not differs[:-KEY].any()
    np.testing.assert_array_equal(page(tmp_path, detected=boxes), page(tmp_path))


def test_each_reason_has_a_line_and_a_long_title_stays_inside(tmp_path):
    assert page(tmp_path, notes=["one", "two"], name="x" * 500).shape[0] == page(tmp_path).shape[0] + 2 * 22
    assert page(tmp_path, name="x" * 500).shape == page(tmp_path).shape


def test_the_lung_mask_is_outlined_on_the_film_alone(tmp_path):
    mask = np.zeros((80, 120), np.uint8)
    mask[20:60, 20:100] = 255
    differs = (page(tmp_path, mask=mask) != page(tmp_path)).any(axis=2)
    assert differs[:, : GAP + SIDE].sum() > 500
    assert not differs[:, GAP + SIDE :].any()


def test_both_widths_are_drawn_and_named_where_they_are_known(tmp_path):
    plain, shown = page(tmp_path), page(tmp_path, widths=Widths(0.5, 0.3, 0.7, 0.75, 0.1, 0.9, 0.5))
    top, drawn = (SIDE - 200) // 2, (square(plain, 0) != square(shown, 0)).any(axis=2)
    for left, right, level in ((0.3, 0.7, 0.75), (0.1, 0.9, 0.5)):  # heart, thorax
        line = np.flatnonzero(drawn[round(top + level * 200)])
        assert (line[0], line[-1]) == pytest.approx((left * SIDE, right * SIDE), abs=1)
    assert (shown[-KEY:] != plain[-KEY:]).any()  # the legend says what they are
