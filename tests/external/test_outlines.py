"""Files of outlines: what is read, what is refused, and what is written."""

import json
import os
import sys

import numpy as np
import pytest

from cxr.core.artifacts import write_json
from cxr.core.errors import InputError
from cxr.external import outlines

pytest.importorskip("pycocotools", reason='needs pycocotools: pip install -e ".[outlines]"')
FILM = "patient00001_study1_view1_frontal"
MASK = np.zeros((4, 5), bool)
MASK[:2, 1:3] = True


def given(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_mask_is_packed_as_coco_does_column_by_column():
    # 4 pixels before the outline, 2 of it, 2 below it, 2 of it, 10 after it; from the third on minus the last but one:
    # 4 2 2 0 8, and "0" is 0.
    packed = outlines.encode(MASK)
    assert packed == {"size": [4, 5], "counts": "42208"}
    assert (outlines.decode(packed) == MASK).all()


def test_what_is_written_is_read_back_equal(tmp_path):
    content = {FILM: {"Edema": outlines.encode(MASK), "Pneumothorax": outlines.encode(~MASK)}}
    write_json(content, tmp_path / "outlines.json")
    assert outlines.read(tmp_path / "outlines.json") == content


def test_tasks_are_known_by_the_labels_names_too(tmp_path):
    path = given(
        tmp_path / "a.json", {FILM: {"Lung Opacity": outlines.encode(MASK), "effusion": outlines.encode(MASK)}}
    )
    assert list(outlines.read(path)[FILM]) == ["Airspace Opacity", "Pleural Effusion"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", r"a.json: cannot be read as JSON"),
        ("[]", r"a.json: expected .*patient00001_study1_view1_frontal.*; found \[\]"),
        ({"film.png": {"Edema": {}}}, r"a.json: expected .*; found film.png"),
        ({FILM: []}, r"a.json: expected .*; found patient00001"),
        ({FILM: {"Edena": {}}}, r"a.json: patient00001_study1_view1_frontal: Edena: .* Did you mean Edema\?"),
        ({FILM: {"Lung Opacity": {}, "Airspace Opacity": {}}}, r"frontal: Airspace Opacity stands there twice"),
        ({FILM: {"Edema": "42208"}}, r"frontal, Edema: expected .*packed run lengths of pycocotools; found '42208'"),
        ({FILM: {"Edema": {"size": [4, 5], "counts": [4, 2, 14]}}}, r"frontal, Edema: expected .*packed run lengths"),
        ({FILM: {"Edema": {"size": [4], "counts": "42208"}}}, r"Edema: size \[4\]: expected \[height, width\]"),
        ({FILM: {"Edema": {"size": [4, 10**9], "counts": "42208"}}}, r"expected \[height, width\], 1 to 20,000 pixels"),
    ],
)
def test_a_file_of_another_form_is_refused_by_what_is_wrong(tmp_path, content, told):
    with pytest.raises(InputError, match=told):
        outlines.read(given(tmp_path / "a.json", content))


@pytest.mark.parametrize(
    "counts", ["", "4", "4220", "42209", "42208P", "4220é", "PPPPPPPPPPPPP0", "N", "zzz", "4220\0"]
)
def test_run_lengths_that_do_not_give_the_mask_are_refused(tmp_path, counts):
    content = {FILM: {"Edema": {"size": [4, 5], "counts": counts}}}
    with pytest.raises(InputError, match=r"frontal, Edema: its run lengths are not those of 4 x 5 pixels"):
        outlines.read(given(tmp_path / "a.json", content))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match=r"a.json: is no file; expected"):
        outlines.read(tmp_path / "a.json")


def test_films_of_other_tasks_or_with_outlines_of_two_sizes_are_refused(tmp_path):
    packed = outlines.encode(MASK)
    content = {FILM: {"Edema": packed}, FILM.replace("view1", "view2"): {"Edema": packed, "Atelectasis": packed}}
    with pytest.raises(InputError, match=r"view2_frontal: expected the same tasks .*; they differ in Atelectasis"):
        outlines.read(given(tmp_path / "a.json", content))
    content = {FILM: {"Edema": packed, "Atelectasis": outlines.encode(MASK.T)}}
    with pytest.raises(InputError, match=r"frontal: its outlines are of several sizes"):
        outlines.read(given(tmp_path / "a.json", content))


def test_points_are_read_and_what_is_none_is_refused(tmp_path):
    path = given(tmp_path / "p.json", {FILM: {"Edema": [[1, 2.5], [3, 0]], "Atelectasis": []}})
    assert outlines.read_points(path) == {FILM: {"Edema": [[1, 2.5], [3, 0]], "Atelectasis": []}}


@pytest.mark.parametrize("wrong", ["[1, 2]", "7", "[[1]]", "[[NaN, 1]]", '[["a", 1]]', f"[[1, 1{'0' * 400}]]"])
def test_what_is_no_list_of_points_is_refused(tmp_path, wrong):
    path = given(tmp_path / "p.json", f'{{"{FILM}": {{"Edema": {wrong}}}}}')
    with pytest.raises(InputError, match=r"frontal, Edema: expected points \[\[x, y\], …\] in pixels; found"):
        outlines.read_points(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"a.json: is a pipe or a device; expected a file"):
        outlines.read(tmp_path / "a.json")


def test_without_pycocotools_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(
        InputError, match=r'needs? pycocotools, which is not installed. Run: pip install -e "\.\[outlines\]"'
    ):
        outlines.encode(MASK)
