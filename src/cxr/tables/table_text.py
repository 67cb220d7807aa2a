"""A table's file as text: what it is by its first bytes, how it is packed and encoded; whether its rows are whole."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections import Counter
from pathlib import Path

from cxr.core.artifacts import LARGEST_TEXT, read_ordinary
from cxr.core.errors import InputError, counted
from cxr.imaging.file_kinds import DICOM, IMAGES, UNREAD, kind_of

LONGEST_NAME = 200  # letters of a column's
EXCEL = "Open it there and save it as: CSV UTF-8 (comma delimited)."
UNPACK = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
# What is no CSV, beside what `file_kinds` knows: how it begins, and what to do.
OTHERS = {
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", EXCEL),
    b"<?xml": ("XML", EXCEL),
    b"par1": ("a Parquet file", "Save it as CSV: pandas.read_parquet(…).to_csv(…, index=False)"),
    b"arrow1": ("an Arrow file", "Save it as CSV: pandas.read_feather(…).to_csv(…, index=False)"),
    b"sqlite format 3": ("a database of SQLite", "Export the table as CSV."),
    b"{": ("JSON", "Save it as CSV: pandas.read_json(…).to_csv(…, index=False)"),
    b"[": ("JSON", "Save it as CSV: pandas.read_json(…).to_csv(…, index=False)"),
}
# How editors of other countries save, and the letters that most of what is no ASCII must be: the first is named.
ENCODINGS = {
    "euc_kr": ("CP949 (Korean)", "[가-힣]"),
    "cp932": ("CP932 (Japanese)", "[ぁ-ヿ一-龯]"),
    "cp949": ("CP949 (Korean)", "[가-힣]"),  # whose rarer letters are Japanese ones, too
    "cp1252": ("CP1252 (Western)", "[À-ÿ]"),
}


def text_of(path: Path, mend: str) -> str:
    """The text of a file, unpacked where it is packed, whatever its suffix says; without a byte order mark.

    Read are gzip, bzip2 and xz; UTF-8, UTF-16 and UTF-32.

    Raises
    ------
    InputError
        It is something else: says what, and what to do.
    """
    content = _unpacked(path, read_ordinary(path), mend)
    if len(content) > LARGEST_TEXT:
        raise InputError(f"{path}: unpacks to more than {LARGEST_TEXT / 1e9:.0f} GB, as no table of films does. {mend}")
    kind, head = kind_of(content), content[:32].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    what, remedy = ("a picture", "Give the table itself.") if kind in IMAGES or kind == DICOM else ("", "")
    if kind in UNREAD:
        what, remedy = kind, f"{UNREAD[kind][2][:1].upper()}{UNREAD[kind][2][1:]}."
    what, remedy = next((known for start, known in OTHERS.items() if head.startswith(start)), (what, remedy))
    if what:
        raise InputError(f"{path}: is {what}, not CSV. {remedy} {mend}")
    try:
        text = content.decode(json.detect_encoding(content))  # its first letters must be English ones, as in JSON
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        fits = [name for encoding, (name, letters) in ENCODINGS.items() if _is_text(content, encoding, letters)]
        if not fits:
            raise InputError(f"{path}: line {line} is no text. {mend}") from None
        raise InputError(
            f"{path}: line {line} is not UTF-8 but perhaps {fits[0]}. Save it in Excel as: CSV UTF-8 (comma "
            f"delimited), or run: iconv -f {fits[0].split()[0]} -t UTF-8 '{path}' > new.csv"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{path}: line {line} holds NUL bytes: a part of the file was never written. {mend}")
    return text


def _unpacked(path: Path, content: bytes, mend: str) -> bytes:
    kind = kind_of(content)
    if kind in UNPACK:
        try:
            with UNPACK[kind](io.BytesIO(content)) as file:
                return file.read(LARGEST_TEXT + 1)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise InputError(f"{path}: is packed and cannot be unpacked whole: {error}. {mend}") from None
    if kind == "zip":
        if b"[Content_Types].xml" in content or b"content.xml" in content:  # names of files are not packed
            raise InputError(f"{path}: is an Excel workbook, not CSV. {EXCEL} {mend}")
        how = f"mv '{path}' '{path}.zip'; unzip '{path}.zip'" if path.suffix != ".zip" else f"unzip '{path}'"
        raise InputError(f"{path}: is a zip, not CSV. Unpack it: {how}")
    return content


def _is_text(content: bytes, encoding: str, letters: str) -> bool:
    try:
        text = re.sub(r"[\r\n\t]", "", content.decode(encoding))
    except UnicodeDecodeError:
        return False
    others = re.sub("[ -~]", "", text)
    return text.isprintable() and 2 * len(re.findall(letters, others)) >= len(others)


def check_rows(text: str, path: Path, mend: str) -> None:
    """Raise an InputError where a row has a value without a column, or no cell for a column that has a name.

    Cells that are empty on either side of it are fine: NIH's tables have a comma more or less than their header.
    """
    csv.field_size_limit(2**31 - 1)
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        header = [name.strip() for name in next(filter(None, rows), [])]  # pandas, too, passes over empty lines
        _check_header(header, path)
        named = max((place for place, name in enumerate(header, 1) if name), default=0)
        short, long, first = Counter(), Counter(), {}
        for row in rows:
            if row and not named <= len(row) <= len(header):
                if len(row) < named:
                    short[len(row)] += 1
                elif any(cell.strip() for cell in row[len(header) :]):
                    long[len(row)] += 1
                else:
                    continue
                first.setdefault(len(row) < named, (rows.line_num, row))
    except csv.Error as error:
        raise InputError(f"{path}: line {rows.line_num}: cannot be read as CSV: {error}. {mend}") from None
    if short:
        line, row = first[True]
        lost = ", ".join(header[len(row) : named])
        raise InputError(
            f"{path}: line {line} has {counted(len(row), 'cell')}, the header has {named}: {lost} would be lost "
            f"({counted(short.total(), 'such line')}). A part of it is missing, or a quote is not closed. {mend}"
        )
    if long:
        line, row = first[False]
        raise InputError(
            f"{path}: line {line} has {_more(len(row) - len(header))} more than the header has columns, {row[-1]!r} at "
            f"the end ({counted(long.total(), 'such line')}). A comma within a value? Put it into quotes. Row names of "
            "R? Write it with row.names = FALSE."
        )


def _check_header(header: list[str], path: Path) -> None:
    if header and re.fullmatch(r"sep=.?", header[0], re.IGNORECASE):
        raise InputError(
            f"{path}: line 1 is {header[0]!r}, which is for Excel alone. Remove it, and separate by commas."
        )
    marks = {";": "semicolons", "\t": "tabs (Unicode text of Excel?)", "|": "bars", ",": "commas within quotes"}
    for mark, name in marks.items():
        if len(header) == 1 and mark in header[0]:
            raise InputError(f"{path}: separated by {name}; expected commas. Save it again as comma-separated CSV.")
    if too_long := next((name for name in header if len(name) > LONGEST_NAME), None):
        raise InputError(
            f"{path}: a column's name has {len(too_long):,} letters, {too_long[:40]!r} …; expected {LONGEST_NAME} at "
            "most. Is the first line the header?"
        )
    twice = [name for name, count in Counter(header).items() if name and count > 1]
    if twice:
        raise InputError(f"{path}: {header.count(twice[0])} columns are called {twice[0]!r}; keep or rename one.")


def _more(count: int) -> str:
    return "one value" if count == 1 else f"{count} values"
