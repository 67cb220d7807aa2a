import cv2
import numpy as np

from cxr.core.findings import COLOURS, FINDINGS
from cxr.new_films.film_pages import SIDE, Said, film_page
from cxr.report.canvas import GAP, rgb

FILM = np.tile(np.linspace(0, 255, 120).astype(np.uint8), (80, 1))


def page(tmp_path, called=(), notes=(), mask=None, name="film"):
    heat = np.zeros((80, 120), np.float32)
    heat[20:60, 30:90] = 1
    said = [Said(0.7, 0.5, place in called, heat) for place in range(len(FINDINGS))]
    path = tmp_path / "page.png"
    film_page(FILM, said, path, name, notes, mask, True, 0.5)
    return cv2.imread(str(path))[..., ::-1]


def test_a_called_finding_has_a_frame_of_its_colour_and_no_other_has(tmp_path):
    plain, framed = page(tmp_path), page(tmp_path, called={1})
    top = plain.shape[0] - 2 * (SIDE + 30 + GAP)
    x = GAP + 2 * (SIDE + GAP)  # the film itself comes first, then the findings
    assert (framed[top : top + SIDE, x] == rgb(COLOURS[FINDINGS[1]])).all()
    assert (plain[top : top + SIDE, x] != rgb(COLOURS[FINDINGS[1]])).any(axis=1).all()
    np.testing.assert_array_equal(framed[:, : x - GAP], plain[:, : x - GAP])


def test_each_reason_has_a_line_and_a_long_name_stays_inside(tmp_path):
    assert page(tmp_path, notes=["one", "two"], name="x" * 500).shape[0] == page(tmp_path).shape[0] + 2 * 22
    assert page(tmp_path, name="x" * 500).shape == page(tmp_path).shape


def test_the_lung_mask_is_outlined_on_the_film_alone(tmp_path):
    mask = np.zeros((80, 120), np.uint8)
    mask[20:60, 20:100] = 255
    differs = (page(tmp_path, mask=mask) != page(tmp_path)).any(axis=2)
    assert differs[:, : GAP + SIDE].sum() > 500
    assert not differs[:, GAP + SIDE :].any()
