import os

import pytest

from cxr.core.errors import InputError
from cxr.imaging.listing import list_films, walk


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_films_are_listed_sorted_from_all_subfolders(tmp_path):
    for name in ("b/2.PNG", "a/9.dcm", "a/10.jpg", "readme.txt", "c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert list_films(tmp_path) == [tmp_path / "a/10.jpg", tmp_path / "a/9.dcm", tmp_path / "b/2.PNG"]
    for name in ("IM0001", "DICOMDIR"):  # how archives name their films, and the list of them
        (tmp_path / "b" / name).write_bytes(bytes(128) + b"DICM")
    assert list_films(tmp_path / "b") == [tmp_path / "b/2.PNG", tmp_path / "b/IM0001"]
    with pytest.raises(InputError, match=r"none: no such folder; expected films"):
        list_films(tmp_path / "none")
    with pytest.raises(InputError, match=r"folder.png: no film in it"):
        list_films(tmp_path / "folder.png")


def test_what_a_mac_or_a_notebook_leaves_beside_films_is_none(tmp_path):
    touch(tmp_path, "a/1.png", "a/._1.png", "__MACOSX/a/._1.png", "__MACOSX/a/1.png", ".DS_Store")
    touch(tmp_path, "a/.ipynb_checkpoints/1-checkpoint.png", ".hidden/2.png", "a/.cxr-part99.3.png")
    assert walk(tmp_path) == ["a/1.png"]
    assert list_films(tmp_path) == [tmp_path / "a/1.png"]
    assert list_films(tmp_path / ".hidden") == [tmp_path / ".hidden/2.png"], "but where it is named"


def test_films_behind_links_to_folders_are_listed_once_under_the_link_s_name(tmp_path):
    touch(tmp_path, "store/montgomery/1.png", "store/shenzhen/deep/2.png", "films/3.png")
    (tmp_path / "films/b").symlink_to(tmp_path / "store/montgomery")
    (tmp_path / "films/a").symlink_to("../store/shenzhen")
    (tmp_path / "films/c").symlink_to(tmp_path / "store/shenzhen")  # again: the first name counts
    (tmp_path / "films/4.png").symlink_to(tmp_path / "store/montgomery/1.png")
    assert walk(tmp_path / "films") == ["3.png", "4.png", "a/deep/2.png", "b/1.png"]
    names = ["3.png", "4.png", "a/deep/2.png", "b/1.png"]
    assert list_films(tmp_path / "films") == [tmp_path / "films" / name for name in names]
    (tmp_path / "linked").symlink_to(tmp_path / "films")
    assert list_films(tmp_path / "linked") == [tmp_path / "linked" / name for name in names]


def test_links_that_lead_back_or_nowhere_make_no_circle(tmp_path):
    touch(tmp_path, "films/a/1.png", "beside/2.png", "other.png")
    back = {"self": "self", "a/up": "..", "a/here": ".", "a/above": str(tmp_path), "gone.png": "nowhere.png"}
    for name, target in back.items():
        (tmp_path / "films" / name).symlink_to(target)
    (tmp_path / "films/beside").symlink_to(tmp_path / "beside")
    (tmp_path / "beside/back").symlink_to(tmp_path / "films")
    assert list_films(tmp_path / "films") == [tmp_path / "films/a/1.png", tmp_path / "films/beside/2.png"]


def test_names_in_any_encoding_are_listed(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    touch(tmp_path, name, "흉부.png")
    assert sorted(walk(tmp_path)) == walk(tmp_path) == sorted([name, "흉부.png"])


def test_a_folder_that_cannot_be_read_is_told_and_not_passed_over(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.png", "locked/2.png")
    usual = os.scandir

    def scandir(place):
        if place.rstrip("/").endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return usual(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"locked: cannot be listed: Permission denied. Check its permissions"):
        list_films(tmp_path)
