import os
from pathlib import Path

import pytest

from cxr.core.errors import InputError
from cxr.core.own_files import RECORD
from cxr.new_films.film_files import find_films, overlay_path, shown_name

NAMES = ["a b.png", 'it\'s "x".png', "line\nend.png", "흉부.png", "-dash.png", "..png", "=1+1.png", "x" * 200 + ".png"]


def test_films_of_folders_and_files_come_once_each_and_nothing_of_ours(tmp_path, monkeypatch):
    for name in ("films/b.png", "films/a.png", "films/out/overlays/a.png", "one.png", "films/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    given = [tmp_path / "one.png", tmp_path / "films", tmp_path / "one.png", tmp_path / "gone.png"]
    assert find_films([tmp_path / "films"]).films[-1] == tmp_path / "films/out/overlays/a.png"
    (tmp_path / "films/out" / RECORD).write_text('{"made": ["overlays/a.png", "overlays/../../a.png", "../b.png"]}')
    listing = find_films(given)
    assert listing.films == [tmp_path / name for name in ("one.png", "films/a.png", "films/b.png", "gone.png")]
    assert listing.not_taken == {".txt": 1, "hidden": 1, "pictures that earlier runs made": 1}
    monkeypatch.chdir(tmp_path)
    assert find_films([Path("films")]).films == [Path("films/a.png"), Path("films/b.png")]


def test_hidden_files_are_no_films_and_links_to_folders_are_followed(tmp_path):
    for name in ("films/a.png", "films/._a.png", "films/.ipynb_checkpoints/a.png", "study/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "films/study").symlink_to(tmp_path / "study")
    found = find_films([tmp_path / "films"]).films
    assert found == [tmp_path / name for name in ("films/a.png", "films/study/b.png")]


def test_nothing_at_all_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty, .*gone.png: no film there; expected PNG"):
        find_films([tmp_path / "empty", tmp_path / "gone.png"])


@pytest.mark.parametrize("name", NAMES)
def test_an_overlay_s_name_is_plain_short_and_written(tmp_path, name):
    folder, safe = overlay_path(Path("folder") / name).split("/")
    assert folder == "overlays"
    assert safe[0] not in "-."
    assert not set(safe) & set(" \n\"'/=+")
    assert len(os.fsencode(safe)) < 200
    (tmp_path / safe).touch()
    assert [path.name for path in tmp_path.iterdir()] == [safe]


@pytest.mark.parametrize("name", ["=1+1.png", "+1.png", "-1.png", "@a.png", "\t=1.png", "＝1.png"])
def test_a_name_that_a_spreadsheet_would_compute_is_shown_as_a_way_to_the_same_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("film")
    assert shown_name(Path(name)) == f"./{name}"
    assert Path(shown_name(Path(name))).read_text() == "film"
    assert shown_name(Path("films") / name) == f"films/{name}"


def test_films_of_one_name_have_overlays_of_their_own():
    names = [f"{folder}/film.png" for folder in ("a", "b", "c d")] + ["film.png", "film.jpg", "흉부.png", "胸部.png"]
    assert len({overlay_path(Path(name)) for name in names}) == len(names)
    assert overlay_path(Path("a/film.png")) == overlay_path(Path("a/film.png"))
    assert overlay_path(Path("a/흉부.png")).startswith("overlays/흉부_")


def test_what_is_not_there_is_told_as_such(tmp_path):
    with pytest.raises(InputError, match=r"nothere: no such file or folder"):
        find_films([tmp_path / "nothere"])
