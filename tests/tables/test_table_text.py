import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from cxr.core.errors import InputError
from cxr.tables.raw_tables import read_raw_csv
from cxr.tables.table_text import text_of

TABLE = "image,Edema\n가슴.png,1\nb.png,0\n"
LINES = TABLE.encode()


def zipped(*names: str, content: str = TABLE) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return buffer.getvalue()


def read(tmp_path, content: bytes | str):
    (tmp_path / "t.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return read_raw_csv(tmp_path / "t.csv", (), "Mend it.")


@pytest.mark.parametrize(
    "content",
    [
        LINES, b"\xef\xbb\xbf" + LINES, TABLE.encode("utf-16"), TABLE.encode("utf-16-le"), TABLE.encode("utf-16-be"),
        TABLE.encode("utf-32"), TABLE.replace("\n", "\r\n").encode(), gzip.compress(LINES, mtime=0),
        bz2.compress(LINES), lzma.compress(LINES),
        gzip.compress(TABLE.encode("utf-16"), mtime=0), LINES + b"\n\n",
    ],
)  # fmt: skip
def test_a_table_is_read_however_it_is_packed_and_whichever_unicode_it_is(tmp_path, content):
    table = read(tmp_path, content)
    assert table.to_dict("list") == {"image": ["가슴.png", "b.png"], "Edema": ["1", "0"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "is an Excel workbook, not CSV. Open it there and save it"),
        (zipped("mimetype", "content.xml"), "is an Excel workbook, not CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "is an Excel workbook, not CSV. Open it there"),
        (zipped("Data.csv"), r"is a zip, not CSV. Unpack it: mv '.*/t.csv' '.*/t.csv.zip'; unzip '.*/t.csv.zip'"),
        (gzip.compress(LINES * 99, mtime=0)[:50], "is packed and cannot be unpacked whole: Compressed file ended"),
        ("\n<!DOCTYPE html>\n<html>Sign in", "is a web page, not CSV. Download it again, signed in where"),
        ("version https://git-lfs.github.com/spec/v1\noid 0\n", "is a Git LFS pointer, not CSV.*git lfs pull"),
        (b"PAR1\x15\x04", "is a Parquet file"),
        ("image,Edema\na.png,1\n가슴.png,1\n".encode("cp949"), r"line 3 is not UTF-8 but perhaps CP949 \(Korean\)"),
        ("image,Edema\nカルテ漢字.png,1\n".encode("cp932"), r"line 2 is not UTF-8 but perhaps CP932 \(Japanese\)"),
        ("image,Edema\nRöntgen für.png,1\n".encode("cp1252"), r"line 2 .* CP1252 \(Western\). Save it in Excel"),
        (b"image,Edema\n\x80\x00\xff\x01\x02,1\n", "line 2 is no text. Mend it"),
        (b"image,Edema\na.png,1\nb.png,0\n" + bytes(20), "line 4 holds NUL bytes: a part of the file was never"),
        ("sep=;\nimage;Edema\na.png;1\n", "line 1 is 'sep=;', which is for Excel alone. Remove it"),
        ("sep=,\nimage,Edema\na.png,1\n", "line 1 is 'sep=', which is for Excel alone. Remove it"),
        ('[{"image": "a.png"}]', "is JSON, not CSV"),
        ("SQLite format 3\0", "is a database of SQLite, not CSV"),
        ("\ufeff<!DOCTYPE html>", "is a web page, not CSV"),
        ("image;Edema\na.png;0,5\n", "separated by semicolons; expected commas"),
        ("image\tEdema\na.png\t1\n", "separated by tabs .*; expected commas"),
        ('"image,Edema"\n"a.png,1"\n', "separated by commas within quotes; expected commas"),
        ("image,Edema,Edema\na.png,1,0\n", "2 columns are called 'Edema'; keep or rename one"),
        # write.table of R, whose first column has no name; a comma that nobody quoted.
        ("image,Edema\n1,a.png,1\n2,b.png,0\n", r"line 2 has one value more than .* '1' at the end \(2 .*row.names"),
        ("image,Edema\nb.png,0\nEdema, mild.png,a,1\n", r"line 3 has 2 values more than the header .* quotes"),
        ("image,view,Edema\na.png,PA,1\nb.png,PA\n\nc.png\n", r"line 3 has 2 cells, .* 3: Edema would be lost \(2"),
        ("image,view,Edema\na.png,PA,1\nb.pn", "line 3 has 1 cell, the header has 3: view, Edema would be lost"),
        ('image,Edema\n"a.png,1\nb.png,0\n', "line 3 has 1 cell.*or a quote is not closed"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told_by_name_with_the_remedy(tmp_path, content, said):
    with pytest.raises(InputError, match=f"t.csv: {said}"):
        read(tmp_path, content)


def test_empty_cells_beyond_the_header_or_short_of_it_are_fine_as_in_nihs_tables(tmp_path):
    # NIH's header ends in a comma that its rows may lack, its boxes have nine names over six values.
    table = read(tmp_path, "image,Edema,\na.png,1\nb.png,0,\n\n")
    assert table["Edema"].tolist() == ["1", "0"]
    assert read(tmp_path, "image,Edema\na.png,1,\nb.png,0,\n")["Edema"].tolist() == ["1", "0"]
    boxes = read(tmp_path, "image,Finding Label,Bbox [x,y,w,h],,,\na.png,Mass,1,2,3,4\nb.png,Mass,1,2,3,4,,,\n")
    assert boxes["h]"].tolist() == ["4", "4"]


def test_quoted_commas_and_line_ends_are_part_of_a_cell(tmp_path):
    table = read(tmp_path, 'image,report\na.png,"clear, no\neffusion"\n')
    assert table["report"].tolist() == ["clear, no\neffusion"]


def test_empty_lines_before_the_header_and_long_cells_are_fine(tmp_path):
    assert read(tmp_path, "\n\nimage,Edema\na.png,1\n")["Edema"].tolist() == ["1"]
    assert len(read(tmp_path, f"image,report\na.png,{'x' * 200_000}\n")["report"].iloc[0]) == 200_000


def test_rare_korean_letters_are_korean(tmp_path):
    with pytest.raises(InputError, match=r"line 2 is not UTF-8 but perhaps CP949"):
        read(tmp_path, "image,note\na.png,똠방각하 뷁\n".encode("cp949"))


def test_a_list_of_films_may_come_from_notepad(tmp_path):
    (tmp_path / "test_list.txt").write_bytes("00000001_000.png\r\n00000002_000.png\r\n".encode("utf-16"))
    assert text_of(tmp_path / "test_list.txt", "").split() == ["00000001_000.png", "00000002_000.png"]
