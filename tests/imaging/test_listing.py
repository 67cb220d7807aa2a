import os

import pytest

from cxr.core.errors import InputError
from cxr.imaging.listing import films_below, has_film_name, told, walk
from cxr.imaging.listing import list_films as listing_of


def list_films(folder):
    return listing_of(folder).films


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
    (tmp_path / "b/IM0001").write_bytes(bytes(128) + b"DICM")  # how archives name their films, and the list of them
    (tmp_path / "b/DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(40) + b"1.2.840.10008.1.3.10")
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


BEGINNINGS = {
    "png": b"\x89PNG\r\n\x1a\n",
    "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    "tiff": b"II*\0",
    "gif": b"GIF89a",
    "bmp": b"BM" + bytes(8) + b"\x36\4\0\0\x28\0\0\0",
    "webp": b"RIFF\1\2\3\0WEBPVP8 ",
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n",
    "avif": b"\0\0\0\x1cftypavif",
    "avif_of_another_brand": b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif",
    "heic": b"\0\0\0\x18ftypheic",
    "dicom": bytes(128) + b"DICM",
    "no_preamble": b"\x08\0\x05\0CS\x0a\0ISO_IR 100\x08\0\x08\0CS",
    "no_types": b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100\x08\0\x08\0\4\0\0\0",
    "big_endian": b"\0\x08\0\x05CS\0\x0aISO_IR 100\0\x08",
}


def test_films_without_a_suffix_or_of_any_are_known_by_their_beginning(tmp_path):
    for name, content in BEGINNINGS.items():
        (tmp_path / name).write_bytes(content + bytes(40))
        (tmp_path / f"{name}.2026.dat").write_bytes(content + bytes(40))
    assert len(list_films(tmp_path)) == 2 * len(BEGINNINGS)
    assert told(listing_of(tmp_path).not_taken) == []


def test_every_suffix_of_what_can_be_read_or_is_refused_by_name_is_a_film_s():
    for (
        name
    ) in "a.png a.JFIF a.jpe a.webp a.jp2 a.j2k a.avif a.dib a.pgm a.dcm a.IMA a.heic a.jxl a.dcm.gz b.PNG.GZ".split():
        assert has_film_name(name), name
    for name in ("a.gz", "a.csv.gz", "a.zip", "a", "1.2.840.113", "a.pdf", "png"):
        assert not has_film_name(name), name


def test_what_is_not_taken_is_counted_by_reason_with_what_to_do(tmp_path):
    touch(
        tmp_path, "a.png", ".hidden.png", ".folder/b.png", "__MACOSX/._a.png", "x.txt", "y.TXT", "README", "1.2.840.113"
    )
    for name, content in {
        "old.zip": b"PK\3\4", "images_001.tar.gz": b"\x1f\x8b\x08", "scan": b"PK\3\4", "report.pdf": b"%PDF-1.4",
        "no.zip": b"",
        "DICOMDIR": bytes(128) + b"DICM" + bytes(30) + b"1.2.840.10008.1.3.10",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    listing = films_below(tmp_path)
    assert listing.films == [tmp_path / "a.png"]
    assert dict(listing.not_taken) == {
        "hidden": 3, ".txt": 2, "without a suffix": 2, ".zip (unpack it)": 2, "zip (unpack it)": 1,
        ".tar.gz (unpack it with gunzip)": 1, ".pdf (save its pictures as PNG)": 1, "DICOMDIR": 1,
        "links to nothing": 1, "links to folders that are listed already": 1, "no ordinary files": 1,
    }  # fmt: skip
    (line,) = told(listing.not_taken)
    assert line.startswith("not taken: 2 .zip (unpack it), 1 .pdf (save its pictures as PNG), 1 .tar.gz (unpack it")
    assert line.endswith(", 3 hidden, 2 .txt, 2 without a suffix, 1 DICOMDIR, 3 others")


def test_a_folder_is_listed_where_it_lies_and_not_by_links_to_it_or_around_it_again(tmp_path):
    touch(tmp_path, "films/sub/f.png", "outside/a/g.png")
    (tmp_path / "films/alias").symlink_to(tmp_path / "films/sub")
    (tmp_path / "films/link1").symlink_to(tmp_path / "outside/a")
    (tmp_path / "films/link2").symlink_to(tmp_path / "outside")
    listing = films_below(tmp_path / "films")
    assert [os.path.realpath(film) for film in listing.films] == [
        str(tmp_path / name) for name in ("outside/a/g.png", "films/sub/f.png")
    ]
    assert listing.not_taken == {"links to folders that are listed already": 2}


def test_a_folder_without_films_says_what_it_holds(tmp_path):
    (tmp_path / "films.zip").write_bytes(b"PK\3\4")
    with pytest.raises(InputError, match=r"no film in it \(not taken: 1 .zip \(unpack it\)\); expected PNG, JPEG"):
        list_films(tmp_path)
