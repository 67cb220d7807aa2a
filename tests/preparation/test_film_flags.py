"""The films of a set, looked at before they train anything."""

import numpy as np
import pandas as pd
import pytest

from cxr.imaging.decoding import write_image
from cxr.preparation import film_flags
from cxr.synthetic.phantoms import draw_film, draw_patient
from cxr.tables.schema import problems
from cxr.tables.sources.source import Checked
from tests.imaging.dicom_files import dicom


def phantom(seed, view="PA"):
    random = np.random.default_rng(seed)
    return draw_film(random, draw_patient(random), {}, view, size=200).pixels


def look(checked, sample=0):
    return film_flags.look(checked, sample, 1, lambda films, count, name: films)


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """36 films: 3 lateral by picture or name, of which the table knows one; a negative; one with a note; one broken."""
    folder, films = tmp_path_factory.mktemp("films"), {}
    for number in range(36):
        lateral, name = number in (4, 5), f"{number:02d}{'_lateral' if number == 6 else ''}"
        pixels = phantom(number, "LATERAL" if lateral else "PA")
        path = folder / f"{name}.png"
        write_image(255 - pixels if number == 9 else pixels, path)
        films[f"set/{name}"] = (path,)
    hot = phantom(50).astype(np.uint16) * 16
    hot[100, 100] = 65_535
    films["set/hot"] = (dicom(folder, hot, "hot.dcm"),)
    (folder / "broken.png").write_text("404")
    films["set/broken"] = (folder / "broken.png",)
    return Checked("set", [], problems(), films, frozenset({"set/04"}))


def test_films_are_flagged_but_a_lateral_one_that_the_table_knows_is_not(checked):
    looked = look(checked)
    found = looked.flags.groupby("flag")["film"].agg(list)
    assert found["lateral"] == ["set/05", "set/06_lateral"]
    assert found["looks_inverted"] == ["set/09"]
    assert found["file_note"] == ["set/hot"]
    assert "pixels far beyond" in looked.flags.set_index("flag").loc["file_note", "reason"]
    assert {"set/05", "set/09"} <= set(found["far_from_the_rest"])
    assert "set/04" not in set(looked.flags["film"])
    assert looked.problems["path"].tolist() == [str(checked.films["set/broken"][0])]
    assert looked.films == 38
    assert set(looked.flags["flag"]) <= set(film_flags.FLAGS)


def test_a_sample_is_spread_over_the_set_and_the_sheet_over_the_sample(checked):
    looked = look(checked, sample=3)
    assert list(looked.shown) == ["set/00", "set/18"]  # the third is broken
    assert looked.films == 3
    assert film_flags.spread(["a", "b", "c", "d", "e"], 3) == ["a", "c", "e"]
    assert film_flags.spread([], 3) == []


def test_the_sheet_of_flagged_films_has_some_of_every_flag(checked):
    names = list(checked.films)[:35]
    rows = [(name, "low_resolution") for name in names] + [(names[34], "lateral"), (names[33], "odd_aspect")]
    films, titles, masks = film_flags.flagged_films(checked, pd.DataFrame(rows, columns=["film", "flag"]))
    assert len(films) == film_flags.MOST_FLAGGED
    assert {"34: low resolution, lateral", "33: low resolution, odd aspect", "00: low resolution"} <= set(titles)
    np.testing.assert_array_equal(films[0].shape, (256, 256))
    assert masks == [None] * len(films)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """Three lung films: the right lung ends 0, 40 and 26 rows of 256 below the left one."""
    folder, films = tmp_path_factory.mktemp("lungs"), {}
    for name, lower in (("a", 0), ("b", 40), ("c", 26)):
        mask = np.zeros((256, 256), np.uint8)
        mask[60:200, 40:100] = mask[60 + lower : 200, 150:210] = 255
        for place, pixels in (("film", phantom(1)), ("mask", mask)):
            write_image(pixels, folder / f"{name}_{place}.png")
        films[f"ward/{name}"] = (folder / f"{name}_film.png", folder / f"{name}_mask.png")
    return Checked("lungs", [], problems(), films, labels={"ward/c": "none F PA"})


def test_masks_of_a_doubtful_shape_are_flagged_and_their_sheet_has_the_oddest_first(masked):
    looked = look(masked)
    doubtful = looked.flags[looked.flags["flag"] == "doubtful_mask"].set_index("film")["reason"]
    assert doubtful.to_dict() == {
        "ward/b": "one lung ends 15.6% of the film above the other, expected 9% or less",
        "ward/c": "one lung ends 10.2% of the film above the other, expected 9% or less",
    }
    _, titles, masks = film_flags.oddest_masks(masked, looked)
    near = "passes: tops 0.0% apart (9% at most), narrows 0% (42%), dented 0% (17%)"
    assert titles == [f"b: {doubtful['ward/b']}", f"c: {doubtful['ward/c']}; none F PA", f"a: {near}"]
    assert [int((mask > 0).sum()) for mask in masks] == [60 * (140 + 100), 60 * (140 + 114), 60 * 280]
    assert film_flags.shown_films(masked, looked)[1] == ["a", "b", "c: none F PA"]


def test_films_of_one_picture_are_flagged_and_name_each_other(tmp_path):
    films = {}
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        write_image(phantom(seed), tmp_path / f"{name}.png")
        films[f"set/{name}"] = (tmp_path / f"{name}.png",)
    flags = look(Checked("set", [], problems(), films)).flags
    same = flags[flags["flag"] == "same_picture"].set_index("film")["reason"]
    assert same.to_dict() == {"set/a": "has the picture of set/c", "set/c": "has the picture of set/a"}
