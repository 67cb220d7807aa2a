"""Every kind of bad input in one table: what it is, how it comes about, and what the user is told.

A row is ``(kind, how to make it, what is said)``. What is said stands in the error of the script or reader, in what it
prints, or in its list of problems; "read" means that the input is fine after all, however odd.
"""

import functools
import gzip
import io
import json
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cxr.core.configuration import load_params, load_settings
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.evaluation import predictions
from cxr.imaging.decoding import read_film, write_image
from cxr.maps import family_maps
from cxr.preparation.films import load_films
from cxr.preparation.packs import open_array, open_pack
from cxr.tables.lung_sets import read_pair
from tests.conftest import TINY, load_script, prepare, settings_in, tiny_params
from tests.imaging.test_decoding import dicom

GRAYS = (np.add.outer(np.arange(40), np.arange(48)) * 2).astype(np.uint8)  # 0..172
NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 48), np.uint8))


def told(work) -> str:
    """What the error of some work says; "read" where there is none."""
    try:
        work()
    except InputError as error:
        return str(error)
    return "read"


def check(said: str, expected: str) -> None:
    assert re.search(expected, said), f"expected {expected!r} in:\n{said}"


# --- films ----------------------------------------------------------------------------------------------------------


def encoded(kind="PNG", image=None, **options) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(GRAYS)).save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header speaks of many pixels."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    others = [Image.fromarray(GRAYS + np.uint8(n)) for n in (20, 40)]
    return encoded(kind, save_all=True, append_images=others)


def floats(value: float) -> bytes:
    film = GRAYS.astype(np.float32)
    film[3, 3] = value
    return encoded("TIFF", Image.fromarray(film))


def colours(mode: str) -> Image.Image:
    return Image.fromarray(GRAYS).convert("RGB").convert(mode)


FILMS = [
    ("truncated PNG", "a.png", encoded(image=NOISE)[:900], "a.png: not readable as an image"),
    ("truncated JPEG", "a.jpg", encoded("JPEG", NOISE)[:900], "a.jpg: not readable as an image"),
    ("truncated TIFF", "a.tif", encoded("TIFF")[:900], "a.tif: not readable as an image"),
    ("zero bytes", "a.png", b"", r"a.png: is empty \(0 bytes\)"),
    ("HTML saved as PNG", "a.png", b"<!DOCTYPE html><html>404", "a.png: is a web page, which is not read"),
    ("text saved as DICOM", "a.dcm", b"Not found", "a.dcm: not readable as DICOM"),
    ("bomb of 40,000 x 40,000 pixels", "a.png", bomb(40_000, 40_000), "says that it has more than 100 megapixels"),
    ("bomb of one long row", "a.png", bomb(90_000_000, 1), "not readable as an image"),
    ("a strip of a film", "a.png", encoded(image=Image.fromarray(GRAYS[:2])), "48x2 pixels; expected a film"),
    ("constant", "a.png", encoded(image=Image.new("L", (9, 9), 7)), "every pixel is 7; expected a film"),
    ("not-a-number in a TIFF", "a.tif", floats(np.nan), "holds pixels that are no numbers"),
    ("infinity in a TIFF", "a.tif", floats(np.inf), "holds pixels that are no numbers"),
    (
        "animated GIF",
        "a.gif",
        animated("GIF"),
        r"holds several pictures \(animated, or several pages\); expected one film",
    ),
    ("animated PNG", "a.png", animated("PNG"), "holds several pictures"),
    ("TIFF of three pages", "a.tif", animated("TIFF"), "holds several pictures"),
    ("CMYK JPEG", "a.jpg", encoded("JPEG", colours("CMYK")), "read"),
    ("grayscale under another suffix", "a.dcm.png", encoded("BMP"), "read"),
    (
        "a PNG chunk of 4 GB",
        "a.png",
        encoded().replace(b"\0\0\0\x18IDAT", b"\xff\xff\xff\0IDAT"),
        "not readable as an image",
    ),
    ("checksum of a PNG is wrong", "a.png", encoded().replace(b"IDAT", b"IDAT\1", 1), "not readable as an image"),
]


@pytest.mark.parametrize(("kind", "name", "content", "expected"), FILMS, ids=[row[0] for row in FILMS])
def test_films(tmp_path, kind, name, content, expected):
    (tmp_path / name).write_bytes(content)
    check(told(lambda: read_film(tmp_path / name)), expected)


def test_an_exif_rotated_film_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG", exif=exif, quality=100))
    film = read_film(tmp_path / "a.jpg")
    assert film.shape == GRAYS.T.shape
    np.testing.assert_allclose(film.astype(int), np.rot90(GRAYS, -1).astype(int), atol=2)


SECRET = "DOE^JANE"
DICOMS = [
    ("wrong modality", {"Modality": "CT"}, "its Modality is CT; expected one of CR"),
    ("wrong body part", {"BodyPartExamined": "ABDOMEN"}, "its BodyPartExamined is ABDOMEN; expected CHEST"),
    ("more pixels than there are", {"Rows": 60}, r"a part of its pixels is missing"),
    ("a DICOM bomb", {"Rows": 65_000, "Columns": 65_000}, "says that it has 4,225 megapixels"),
]


@pytest.mark.parametrize(("kind", "tags", "expected"), DICOMS, ids=[row[0] for row in DICOMS])
def test_dicoms(tmp_path, kind, tags, expected):
    path = dicom(tmp_path, GRAYS, PatientName=SECRET, **tags)
    said = told(lambda: read_film(path))
    check(said, expected)
    assert SECRET not in said


@pytest.mark.parametrize(
    ("kind", "syntax"), [("JPEG", "1.2.840.10008.1.2.4.50"), ("JPEG2000", "1.2.840.10008.1.2.4.90")]
)
def test_a_jpeg_within_dicom_is_as_large_as_its_header_says(tmp_path, kind, syntax):
    import pydicom.encaps

    for size, expected in (((48, 40), "read"), ((200, 100), "a.dcm: says 40x48 pixels, its JPEG 100x200")):
        film = pydicom.dcmread(dicom(tmp_path, GRAYS, "a.dcm"))
        film.PixelData = pydicom.encaps.encapsulate([encoded(kind, Image.fromarray(GRAYS).resize(size))])
        film["PixelData"].is_undefined_length = True
        film.file_meta.TransferSyntaxUID = syntax
        film.save_as(tmp_path / "a.dcm")
        check(told(lambda: read_film(tmp_path / "a.dcm")), expected)


def test_deflated_dicom_is_not_unpacked(tmp_path):
    path = dicom(tmp_path, GRAYS)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99\0"))
    check(told(lambda: read_film(path)), "deflated DICOM, which is not read")


def test_a_pipe_and_a_device_are_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    (tmp_path / "c.png").symlink_to("nowhere.png")
    check(told(lambda: read_film(tmp_path / "a.png")), "a.png: cannot be read: is no ordinary file")
    check(told(lambda: read_film(tmp_path / "b.png")), "b.png: cannot be read: is no ordinary file")
    check(told(lambda: read_film(tmp_path / "c.png")), "c.png: cannot be read: No such file")


NAMES = [
    "with space.png", "it's.png", 'a"b.png', "two\nlines.png", "가슴.png", "-rf.png", "--help.png", "$(touch x).png",
    "<img src=x>.png", ";ls.png", "a%00b.png", "\x1b[31mred.png", "*.png", "'; DROP TABLE films;.png",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_film_may_have_any_name(tmp_path, name):
    write_image(GRAYS, tmp_path / name)
    np.testing.assert_array_equal(read_film(tmp_path / name), GRAYS)


# --- NIH's and CheXpert's tables ------------------------------------------------------------------------------------

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
FIRST, SECOND = "00000001_000.png", "00000002_000.png"


def row(name=FIRST, label="Effusion", patient="1", age="58", view="PA") -> str:
    return f"{name},{label},0,{patient},{age},M,{view}"


def nih(*rows: str, header=HEADER, end="\n") -> bytes:
    return end.join([header, *rows, row(SECOND, "No Finding", "2"), ""]).encode()


def read_nih(folder: Path, content: bytes, capsys, films=(FIRST, SECOND)) -> str:
    """Everything that steps 0 and 2 tell of a table: errors, what they print, problems, and the merged table."""
    settings_in(folder)
    (folder / "PARAMS.json").write_text("{}")
    (folder / "raw/images").mkdir(parents=True, exist_ok=True)
    (folder / "raw/Data_Entry_2017.csv").write_bytes(content)
    for film in films:
        (folder / "raw/images" / film).parent.mkdir(parents=True, exist_ok=True)
        (folder / "raw/images" / film).touch()
    files = [f"--{name.lower()}={folder / name}.json" for name in ("SETTINGS", "PARAMS")]

    def both():
        for script in ("0_nih_table.py", "2_merge_tables.py"):
            load_script(f"src/classification/etl/{script}").main(files)

    said = told(both)
    made = [path.read_text() for path in sorted((folder / "data/classification").glob("*.csv"))]
    return "\n".join([said, capsys.readouterr().out, *made])


NIH_TABLES = [
    ("byte order mark", b"\xef\xbb\xbf" + nih(row()), "nih/00000001_000,images/00000001_000.png,nih-1,PA,M,58"),
    ("CRLF", nih(row(), end="\r\n"), "nih/00000001_000,images/00000001_000.png,nih-1,PA,M,58"),
    ("semicolons", nih(row()).replace(b",", b";"), "separated by semicolons; expected commas"),
    ("tabs", nih(row()).replace(b",", b"\t"), "separated by tabs .*; expected commas"),
    ("no bytes", b"", "the file is empty. Mend DATASET_CSV_DIR"),
    ("a header alone", HEADER.encode(), "the table has a header and no rows"),
    ("a missing column", nih(header=HEADER.replace("Patient ID", "Nobody")), "no column 'Patient ID'"),
    ("a renamed column", nih(header=HEADER.replace("Finding Labels", "Finding_Label")), "Did you mean Finding_Label"),
    ("a header in another case", nih(header=HEADER.upper()), "no column 'Image Index'. Did you mean IMAGE INDEX"),
    ("UTF-16", nih(row()).decode().encode("utf-16"), "nih/00000001_000,images/00000001_000.png,nih-1,PA,M,58"),
    ("gzip under the name of a CSV", gzip.compress(nih(row())), "nih/00000001_000,images/00000001_000.png,nih-1,PA"),
    ("cut short", nih(row())[:-20], r"line 3 has \d cells, the header has 7: .*View Position would be lost"),
    ("a comma within a value", nih(row(label="Effusion, left")), "line 2 has one value more than the header"),
    ("Korean Excel", nih(row("가슴.png")).decode().encode("cp949"), r"line 2 is not UTF-8 but perhaps CP949"),
    ("blank ages", nih(row(age="")).replace(b",58,", b",,"), "images/00000001_000.png,nih-1,PA,M,,nih"),
    ("a picture", encoded(), "Data_Entry_2017.csv: is a picture, not CSV"),
    ("an unclosed quote", nih(f'"{row()}'), "has 1 cell.*or a quote is not closed"),
    ("HTML", b"<!DOCTYPE html>\n<html>404</html>\n", "is a web page, not CSV. Download it again"),
    ("an unknown finding", nih(row(label="Covid")), "images/00000001_000.png,unknown label 'Covid'"),
    ("a misspelt finding", nih(row(label="Efusion")), "unknown label 'Efusion', perhaps Effusion"),
    ("no finding at all", nih(row(label="")), "images/00000001_000.png,no label"),
    ("an age of 411", nih(row(age="411")), "nih/00000001_000,images/00000001_000.png,nih-1,PA,M,,nih"),
    ("an age of 058Y", nih(row(age="058Y")), "nih/00000001_000,images/00000001_000.png,nih-1,PA,M,58,nih"),
    ("an age below zero", nih(row(age="-5")), "nih/00000001_000,images/00000001_000.png,nih-1,PA,M,,nih"),
    ("a view nobody knows", nih(row(view="XX")), "left out, view not known: 1 film"),
    ("a lateral film", nih(row(view="LL")), r"left out, view not in VIEWS \(PA, AP\): 1 film"),
    ("a row twice", nih(row(), row()), "stands more than once in the table; the first row is used"),
    ("two truths of one film", nih(row(), row(label="Edema")), "the first row is used"),
    ("a row without a film", nih(row(name="")), ",row without Image Index or Patient ID"),
    ("a row without a patient", nih(row(patient="")), f"{FIRST},row without Image Index or Patient ID"),
    ("a film that is not on disk", nih(row("00000009_000.png")), "00000009_000.png,missing"),
    ("only films that are not on disk", nih(row("x.png")).replace(SECOND.encode(), b"y.png"), "no film of NIH's table"),
    ("a path that climbs", nih(row("../../secret.png")), "../../secret.png,outside the raw folder"),
    ("a path that climbs later", nih(row("images/../../secret.png")), "outside the raw folder"),
    ("an absolute path", nih(row("/etc/passwd")), "/etc/passwd,outside the raw folder"),
    ("a Windows path", nih(row("C:\\films\\a.png")), "outside the raw folder"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "content", "expected"), NIH_TABLES, ids=[row[0] for row in NIH_TABLES])
def test_tables_of_nih(tmp_path, capsys, kind, content, expected):
    check(read_nih(tmp_path, content, capsys), expected)


@pytest.mark.parametrize("name", ["a b.png", "it's.png", "가슴.png", "-rf.png", "$(touch x).png", "<script>.png"])
def test_a_table_may_name_any_film(tmp_path, capsys, name):
    said = read_nih(tmp_path, nih(row(name)), capsys, films=(name, SECOND))
    assert f"nih/{Path(name).stem},images/{name},nih-1" in said


def test_extra_films_and_second_files_of_one_name_are_told(tmp_path, capsys):
    said = read_nih(tmp_path, nih(row()), capsys, films=(FIRST, SECOND, "extra.png", f"again/{FIRST}", "notes.txt"))
    check(said, "on disk, but in no table: 2 films, such as images/again/00000001_000.png|such as images/extra.png")
    check(said, "a second file of this name; the first is used")


def test_a_link_within_the_raw_folder_is_followed_and_one_to_itself_is_not(tmp_path, capsys):
    (tmp_path / "raw/images").mkdir(parents=True)
    (tmp_path / "raw/images/loop").symlink_to(tmp_path / "raw")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / FIRST).touch()
    (tmp_path / "raw/linked").symlink_to(tmp_path / "elsewhere")
    said = read_nih(tmp_path, nih(row()), capsys, films=(SECOND,))
    assert "nih/00000001_000,linked/00000001_000.png,nih-1" in said


def test_a_list_of_films_that_is_no_text(tmp_path):
    settings = settings_in(tmp_path)
    (tmp_path / "PARAMS.json").write_text("{}")
    prepare(settings, tiny_params(), [1, 2], ["train", "test"])
    settings.images_csv.with_name("nih.csv").write_bytes(settings.images_csv.read_bytes())
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/test_list.txt").write_bytes(b"\xff\xfe\x00")
    files = [f"--{name.lower()}={tmp_path / name}.json" for name in ("SETTINGS", "PARAMS")]
    script = load_script("src/classification/etl/3_hold_out_test.py")
    check(told(lambda: script.main(files)), "test_list.txt: line 1 is no text. Download it again")


CHEXPERT_HEADER = "Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(
    name.replace("Effusion", "Pleural Effusion") for name in FINDINGS
)
FRONTAL = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"


def chexpert(path=FRONTAL, labels="1,0,-1,,0,1", header=CHEXPERT_HEADER) -> str:
    good = FRONTAL.replace("00001", "00002")
    return f"{header}\n{path},Male,60,Frontal,AP,{labels}\n{good},Female,0,Frontal,PA,0,0,0,0,0,0\n"


CHEXPERT_TABLES = [
    ("a label of 7", chexpert(labels="7,0,0,0,0,0"), "label other than 1, 0, -1 or blank: read as not known"),
    ("a label in words", chexpert(labels="seen,0,0,0,0,0"), "label other than 1, 0, -1 or blank"),
    ("a path of another kind", chexpert(path="films/1.jpg"), "films/1.jpg,expected …/train/patient00001/study1/view1"),
    ("a path that climbs", chexpert(path="../" + FRONTAL), "outside the raw folder"),
    ("an absolute path", chexpert(path="/" + FRONTAL), "outside the raw folder"),
    ("no Pleural Effusion", chexpert(header=CHEXPERT_HEADER.replace("Pleural ", "")), "no column 'Pleural Effusion'"),
    (
        "no usable path",
        chexpert(path="a.jpg").replace(FRONTAL.replace("00001", "00002"), "b.jpg"),
        "in the column Path",
    ),
]


@pytest.mark.parametrize(("kind", "content", "expected"), CHEXPERT_TABLES, ids=[row[0] for row in CHEXPERT_TABLES])
def test_tables_of_chexpert(tmp_path, capsys, kind, content, expected):
    raw = tmp_path / "raw"
    for patient in ("00001", "00002"):
        film = raw / FRONTAL.replace("00001", patient)
        film.parent.mkdir(parents=True)
        film.touch()
    (raw / "train.csv").write_text(content)
    keys = {"DATASET_DIR": "raw", "DATASET_CSV_DIR": "", "DATASET_CHEXPERT_VAL_CSV_DIR": ""}
    (tmp_path / "SETTINGS.json").write_text(json.dumps(keys | {"DATASET_CHEXPERT_TRAIN_CSV_DIR": "raw/train.csv"}))
    (tmp_path / "PARAMS.json").write_text("{}")
    files = [f"--{name.lower()}={tmp_path / name}.json" for name in ("SETTINGS", "PARAMS")]

    def both():
        for script in ("1_chexpert_table.py", "2_merge_tables.py"):
            load_script(f"src/classification/etl/{script}").main(files)

    said = told(both)
    problems = [path.read_text() for path in (tmp_path / "data/classification").glob("*_problems.csv")]
    check("\n".join([said, capsys.readouterr().out, *problems]), expected)


# --- the two JSON files ---------------------------------------------------------------------------------------------

PARAMS = [
    ("no bytes", "", "not valid JSON"),
    ("a comma too many", '{"EPOCHS": 1,}', "not valid JSON: .*line 1, column"),
    ("a comment", '{"EPOCHS": 1 // one\n}', "not valid JSON"),
    ("single quotes", "{'EPOCHS': 1}", "not valid JSON"),
    ("a list", "[1]", 'expected an object {"KEY": value, …}, found list'),
    ("a key twice", '{"EPOCHS": 1, "EPOCHS": 2}', "EPOCHS stands more than once"),
    ("a misspelt key", '{"EPOCH": 1}', r"unknown key EPOCH. Did you mean EPOCHS\?"),
    ("a key in another case", '{"epochs": 1}', r"unknown key epochs. Did you mean EPOCHS\?"),
    ("a number as text", '{"EPOCHS": "5"}', "EPOCHS: .*integer; found '5'"),
    ("half an epoch", '{"EPOCHS": 0.5}', "EPOCHS: .*integer"),
    ("null", '{"EPOCHS": null}', "EPOCHS: .*found None"),
    ("not a number", '{"LEARNING_RATE": NaN}', "LEARNING_RATE: "),
    ("infinity", '{"LEARNING_RATE": Infinity}', "LEARNING_RATE: "),
    ("out of range", '{"DROPOUT": 1.5}', "DROPOUT: .*less than 1; found 1.5"),
    ("true for a number", '{"EPOCHS": true}', "EPOCHS: .*integer"),
    ("a word that is no choice", '{"FIT": "stretch"}', "FIT: .*'pad' or 'squash'; found 'stretch'"),
    ("a member that does not exist", '{"ENSEMBLE_MEMBERS": ["resnet"]}', "ENSEMBLE_MEMBERS"),
    ("no member", '{"ENSEMBLE_MEMBERS": []}', "ENSEMBLE_MEMBERS: must name 1 or more"),
    ("seven findings", '{"CLASS_NUM": 7}', "CLASS_NUM: must be 6"),
    ("a U-Net of 500 pixels", '{"UNET_INPUT_SIZE": 500}', "UNET_INPUT_SIZE: must be a multiple of 16"),
    ("a finding that does not exist", '{"BLANK_LABELS": {"Covid": "ignore"}}', "BLANK_LABELS.*Covid"),
    ("a number of a million digits", '{"SEED": ' + "9" * 10_000 + "}", "SEED|not valid JSON"),
    ("nesting without end", '{"A": ' * 100_000, "not valid JSON"),
]
SETTINGS = [
    ("a misspelt key", '{"DATASET_DIRS": "x"}', r"unknown key DATASET_DIRS. Did you mean DATASET_DIR\?"),
    ("a number for a path", '{"DATA_DIR": 5}', "DATA_DIR: must be a path in quotes; found 5"),
    ("null for a path", '{"DATA_DIR": null}', "DATA_DIR: must be a path in quotes"),
    ("Latin-1", '{"DATA_DIR": "Röntgen"}'.encode("latin-1"), "line 1 is not UTF-8. Save it so"),
    ("a NUL in a path", '{"DATA_DIR": "a\\u0000b"}', "DATA_DIR: "),
]  # fmt: skip


@pytest.mark.parametrize(
    ("loader", "kind", "content", "expected"),
    [(load_params, *row) for row in PARAMS] + [(load_settings, *row) for row in SETTINGS],
    ids=[f"PARAMS: {row[0]}" for row in PARAMS] + [f"SETTINGS: {row[0]}" for row in SETTINGS],
)
def test_json_files(tmp_path, loader, kind, content, expected):
    path = tmp_path / "FILE.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = told(lambda: loader(path))
    assert said.startswith(f"{path}: ")
    check(said, expected)


# --- lung sets ------------------------------------------------------------------------------------------------------

LUNGS = np.zeros((40, 48), np.uint8)
LUNGS[8:32, 6:20] = LUNGS[8:32, 28:42] = 255
PAIRS = [
    ("a mask of another shape", LUNGS[:20], "mask.png: 48x20 does not fit its film's 48x40"),
    ("a mask of one speck", np.pad(np.full((1, 1), 255, np.uint8), 20)[:40, :48], "does not fit|covers 0% of the film"),
    ("a mask of everything but a pixel", 255 - np.eye(40, 48, dtype=np.uint8) * 255, "covers 9\\d% of the film"),
    ("an empty mask", np.zeros((40, 48), np.uint8), "every pixel is 0; expected a film"),
    ("a mask at half the resolution", LUNGS[::2, ::2], "read"),
]


@pytest.mark.parametrize(("kind", "mask", "expected"), PAIRS, ids=[row[0] for row in PAIRS])
def test_masks(tmp_path, kind, mask, expected):
    write_image(GRAYS, tmp_path / "film.png")
    write_image(mask, tmp_path / "mask.png")
    check(told(lambda: read_pair(tmp_path / "film.png", [tmp_path / "mask.png"])), expected)


@pytest.mark.parametrize(
    ("kind", "films", "masks", "expected"),
    [
        ("no masks folder", ["a.png"], None, "masks: no such folder; expected films"),
        ("a lung set with no masks", ["a.png"], [], "masks: no film in it"),
        (
            "masks of other films",
            ["a.png"],
            ["b.png"],
            "none of its 1 films \\(such as a.png\\) has a mask of the same name",
        ),
        ("no films", [], ["a.png"], "CXR_png: no film in it"),
    ],
)
def test_lung_folders(tmp_path, kind, films, masks, expected):
    settings = settings_in(tmp_path)
    (tmp_path / "PARAMS.json").write_text("{}")
    for folder, names in ((settings.dataset_dir_segmentation, films), (settings.mask_dir, masks)):
        for name in names or []:
            write_image(LUNGS, folder / name)
        if names is not None:
            folder.mkdir(parents=True, exist_ok=True)
    files = [f"--{name.lower()}={tmp_path / name}.json" for name in ("SETTINGS", "PARAMS")]
    script = load_script("src/segmentation/etl/0_pair_masks.py")
    check(told(lambda: script.main(files)), expected)


# --- what steps made, spoilt afterwards -----------------------------------------------------------------------------


def pickled(path: Path) -> None:
    np.save(path, np.array([{"a": 1}, print], dtype=object), allow_pickle=True)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def rewrite(old: str, new: str, path: Path) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


PACK = "data/classification/images_32.npy"
ARTIFACTS = [
    ("a pickle in place of a pack", PACK, pickled, r"images_32.npy: not a packed array \(.*sh prepare_data.sh"),
    ("a pack cut short", PACK, cut, "images_32.npy: not a packed array"),
    ("a pack of other films", PACK, lambda path: np.save(path, np.zeros((9, 32, 32), np.uint8)), "holds .9, 32, 32"),
    ("no pack", PACK, Path.unlink, "images_32.npy: not there yet. Make it with: sh prepare_data.sh"),
    ("a record cut short", PACK.replace("npy", "json"), cut, "images_32.json: cannot be read as JSON.*prepare_data.sh"),
    ("a record of a list", PACK.replace("npy", "json"), lambda path: path.write_text("[]"), "expected a JSON object"),
    ("a pack's table emptied", PACK.replace("npy", "csv"), lambda path: path.write_text(""), "cannot be read as CSV"),
    (
        "a pack's table without a column", PACK.replace("npy", "csv"),
        functools.partial(rewrite, "scale_x", "scala_x"), "images_32.csv: no column scale_x; found image_id",
    ),
    (
        "a stale pack", "data/classification/images.csv",
        functools.partial(rewrite, ",50,", ",51,"), "images_32.npy: made from another images.csv. Run: sh prepare",
    ),
    (
        "a patient in two splits", "data/classification/images.csv",
        functools.partial(rewrite, "nih-2", "nih-1"), "patient nih-1 is in test and train",
    ),
    (
        "a label of 2", "data/classification/images.csv",
        functools.partial(rewrite, "nih,0", "nih,2"), "Consolidation: expected 1, 0 or nothing; found 2",
    ),
    (
        "an image_id that climbs", "data/classification/images.csv",
        functools.partial(rewrite, "nih/00000001_000", "nih/../../x"), "image_id: nih/../../x climbs out of its folder",
    ),
    ("an empty split.csv", "data/classification/split.csv", lambda path: path.write_text(""), "split.csv: cannot be"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "spoil", "expected"), ARTIFACTS, ids=[row[0] for row in ARTIFACTS])
def test_artifacts(tmp_path, kind, name, spoil, expected):
    settings, params = settings_in(tmp_path), tiny_params()
    prepare(settings, params, [1, 2], ["train", "test"])
    assert told(lambda: load_films(settings, params, 32)) == "read"
    spoil(tmp_path / name)
    check(told(lambda: load_films(settings, params, 32)), expected)


def test_an_array_of_pickled_objects_is_never_loaded(tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "evil",)

    np.save(tmp_path / "cams.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    check(told(lambda: open_array(tmp_path / "cams.npy", "sh evaluate_Ensemble.sh")), "cams.npy: not a packed array")
    check(told(lambda: open_pack(tmp_path / "cams.npy", "sh evaluate_Ensemble.sh")), "cams.npy: not a packed array")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("no bytes", "", "expected a predictions table"),
        ("other columns", "a,b\n1,2\n", "column image_id, patient_id.* is missing"),
    ],
)
def test_predictions(tmp_path, kind, content, expected):
    (tmp_path / "predictions.csv").write_text(content)
    check(told(lambda: predictions.read(tmp_path / "predictions.csv")), expected)


def test_a_family_that_was_never_evaluated(tmp_path):
    said = told(lambda: family_maps.load(settings_in(tmp_path), tiny_params(), "ensemble"))
    check(said, "predictions.csv: not there yet. Make it with: sh evaluate_Ensemble.sh")


@pytest.mark.parametrize(
    ("kind", "spoil", "expected"),
    [
        ("a model file cut short", cut, r"model.keras: not a whole Keras model \(.+\)\. Make it again with: sh train"),
        ("an empty model file", lambda path: path.write_bytes(b""), "not a whole Keras model"),
        ("a flipped byte", lambda path: flip(path), "not a whole Keras model"),
        ("a pickle in place of a model", lambda path: path.write_bytes(b"\x80\x04N."), "not a whole Keras model"),
        ("a model of another size", lambda path: None, "takes films of 32x32x1, PARAMS.json says 48x48x1"),
    ],
)
def test_model_files(tmp_path, tiny_model, kind, spoil, expected):
    from cxr.networks import saved_models

    path = tmp_path / "model.keras"
    path.write_bytes(tiny_model)
    spoil(path)
    check(told(lambda: saved_models.load_model(path, 48, "sh train_Ensemble.sh")), expected)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory) -> bytes:
    from cxr.networks import classifiers

    path = tmp_path_factory.mktemp("model") / "model.keras"
    classifiers.build_classifier("tiny", tiny_params()).save(path)
    return path.read_bytes()


# --- data that is whole, and too little -----------------------------------------------------------------------------


def test_a_class_with_no_positive_and_one_patient_only(tmp_path, capsys):
    settings = settings_in(tmp_path)
    (tmp_path / "PARAMS.json").write_text("{}")
    prepare(settings, tiny_params(), [1, 1, 1], ["train"] * 3)
    pd.DataFrame({"patient_id": []}).to_csv(settings.test_patients_csv, index=False)
    files = [f"--{name.lower()}={tmp_path / name}.json" for name in ("SETTINGS", "PARAMS")]
    load_script("src/classification/etl/6_split_train_val.py").main(files)
    assert "WARNING: no film with Effusion in train" in capsys.readouterr().out
    from cxr.training.classifier_training import train_member

    (settings.split_csv.with_suffix(".json")).unlink()
    said = told(lambda: train_member(settings, tiny_params(), "ensemble", "tiny", print))
    check(said, "split.csv: 3 films for training and 0 for validation .*Raise VAL_FRACTION")


@pytest.mark.parametrize(("broken", "expected"), [(2, "read"), (3, "3 of 20 films on disk cannot be read, more than")])
def test_unreadable_films_are_listed_unless_they_are_more_than_a_tenth(tmp_path, broken, expected):
    settings = settings_in(tmp_path)
    (tmp_path / "PARAMS.json").write_text(json.dumps(TINY | {"LUNG_MASKING": "none"}))
    images = prepare(settings, tiny_params(), range(20), ["train"] * 20)
    for number, path in enumerate(images["path"]):
        write_image(GRAYS, settings.dataset_dir / path)
        if number < broken:
            (settings.dataset_dir / path).write_bytes(b"<html>404</html>")
    files = [f"--{name.lower()}={tmp_path / name}.json" for name in ("SETTINGS", "PARAMS")]
    script = load_script("src/classification/etl/5_pack_arrays.py")
    check(told(lambda: script.main(files)), expected)
    problems = pd.read_csv(settings.pack(32).with_name("images_32_problems.csv"))
    assert problems["path"].tolist() == images["path"].tolist()[:broken]
    if expected == "read":
        check(
            told(lambda: script.main([*files, "--strict"])), "--strict: 2 problems, listed in .*images_32_problems.csv"
        )


def test_strict_stops_at_what_is_else_listed(tmp_path, capsys):
    check(read_nih(tmp_path, nih(row(label="Covid")), capsys), "unknown label 'Covid'")
    script = load_script("src/classification/etl/0_nih_table.py")
    files = [f"--{name.lower()}={tmp_path / name}.json" for name in ("SETTINGS", "PARAMS")]
    check(
        told(lambda: script.main([*files, "--strict"])), "--strict: 1 problem, listed in .*nih_problems.csv: images/0"
    )
    check(told(lambda: script.main(files)), "read")


def test_the_table_is_long_enough():
    rows = (FILMS, DICOMS, NAMES, NIH_TABLES, CHEXPERT_TABLES, PARAMS, SETTINGS, PAIRS, ARTIFACTS)
    assert sum(map(len, rows)) >= 60
