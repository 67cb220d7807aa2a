"""What a DICOM header says before its pixels are decoded: another kind of picture, gaps, sizes that cannot be."""

import io
import os
import struct
from pathlib import Path
from typing import Any

from cxr.core.errors import FilmError
from cxr.imaging.chest_films import is_listed
from cxr.imaging.dicom_terms import FILM_MODALITIES, other_modality, other_part
from cxr.imaging.jpeg import refuse_many_scans

ITEM = b"\xfe\xff\x00\xe0"  # how compressed pixels begin
MOST_PIECES = 500_000  # in which a film's file is read: some for an element, one for 8 kB of compressed pixels
MOST_COMPONENTS = 4  # of a JPEG: colours, and what is transparent


class FewPieces(io.BytesIO):
    """A file's content that ends in a FilmError once it was read in too many pieces.

    The file may hold a hundred million empty elements, items or fragments, each of which becomes an object of Python.
    """

    def __init__(self, content: bytes, path: Path):
        super().__init__(content)
        self._left, self._path = MOST_PIECES, path

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise FilmError(f"{self._path}: holds hundreds of thousands of elements; no film does")
        return super().read(size)


def refuse_other_kinds(header: Any, path: Path) -> tuple[str, ...]:
    """Raise a FilmError for what is known to be no chest film, or cannot be a picture.

    Of a film that `chest_films` lists what its header says of modality and body part is a note, and returned.
    """
    storage, said = header.get("SOPClassUID"), {}
    if modality := other_modality(_text(header, "Modality"), getattr(storage, "keyword", "")):
        said[modality] = f"one of {', '.join(sorted(FILM_MODALITIES))}, or none"
    if part := other_part(_text(header, "BodyPartExamined")):
        said[f"BodyPartExamined is {part}"] = "CHEST"
    if said and not is_listed(path):
        wrong, expected = next(iter(said.items()))
        raise FilmError(
            f"{path}: its {wrong}; expected {expected}. If it is a chest film, name it in CHEST_FILMS or --chest-films"
        )
    if not any(header.get(keyword) for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise FilmError(f"{path}: not readable as DICOM (it holds no pixels)")
    if missing := [keyword for keyword in ("Rows", "Columns", "BitsAllocated") if not header.get(keyword)]:
        raise FilmError(f"{path}: its header does not state {', '.join(missing)}")
    return tuple(f"its {wrong}, which was passed over: it is on the list of chest films" for wrong in said)


def complete(header: Any, path: Path) -> tuple[str, ...]:
    """Put in what a header lacks and what can only be one thing in a film; notes on what was assumed."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "TransferSyntaxUID" not in header.file_meta:
        if header.get("PixelData", b"")[:4] == ITEM:
            raise FilmError(f"{path}: its pixels are compressed, and it does not say how (no TransferSyntaxUID)")
        implicit, little = header.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    photometric = _text(header, "PhotometricInterpretation").strip().upper()
    colour = photometric.startswith(("RGB", "YBR"))
    usual = {
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": photometric or "MONOCHROME2",
        "PixelRepresentation": 0,
        "BitsStored": header.BitsAllocated,
    }
    assumed = [keyword for keyword in usual if header.get(keyword) in (None, "")]
    for keyword in (*assumed, "PhotometricInterpretation"):
        setattr(header, keyword, usual[keyword])
    if header.SamplesPerPixel not in (1, 3):
        raise FilmError(f"{path}: has {header.SamplesPerPixel} values a pixel; expected 1 (gray) or 3 (colour)")
    if header.get("HighBit") in (None, ""):
        header.HighBit = header.BitsStored - 1
    return tuple(f"its header does not state {keyword}; {usual[keyword]} was assumed" for keyword in assumed)


def refuse_unreadable_pixels(header: Any, path: Path) -> None:
    """Raise a FilmError for pixels that no decoder here reads, that are not all there, or that claim to be too many.

    Before decoding: a decoder sets memory aside for what header and stream say, whatever the file holds.
    """
    import pydicom.encaps
    from pydicom.pixels import get_decoder

    frames, syntax = int(header.get("NumberOfFrames", 1) or 1), header.file_meta.TransferSyntaxUID
    stated = header.Rows * header.Columns * frames
    if stated > int(os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"]):
        raise FilmError(f"{path}: says that it has {stated / 1e6:,.0f} megapixels; no film has")
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        name = syntax.keyword or "not one that is known here"
        raise FilmError(f"{path}: its transfer syntax is {name}, which is not read. Decompress it: gdcmconv --raw")
    if not syntax.is_encapsulated:
        whole = stated * header.SamplesPerPixel * header.BitsAllocated // 8
        if "PixelData" in header and len(header.PixelData) < whole:
            raise FilmError(f"{path}: not readable as DICOM (a part of its pixels is missing)")
        return
    frame = pydicom.encaps.get_frame(FewPieces(header.PixelData, path), 0, number_of_frames=1)
    refuse_many_scans(frame, path)
    height, width, components = _stated_sides(frame) or (header.Rows, header.Columns, 1)
    if (height, width) != (header.Rows, header.Columns):
        raise FilmError(f"{path}: says {header.Rows}x{header.Columns} pixels, its JPEG {height}x{width}")
    if components > MOST_COMPONENTS:
        raise FilmError(f"{path}: its JPEG holds {components} pictures in one; expected one film")


def _text(header: Any, keyword: str) -> str:
    return str(header.get(keyword) or "")


def _stated_sides(frame: bytes) -> tuple[int, int, int] | None:
    """(height, width, components) by the header of a JPEG, JPEG-LS or JPEG 2000 stream, None where it is none of these.

    Its decoder sets memory aside for them, whatever Rows and Columns of the DICOM file say.
    """
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start >= 0:  # JPEG 2000: ISO/IEC 15444-1, A.5.1
        width, height, components = struct.unpack_from(">II24xH", frame, start + 8)
        return height, width, components
    position = 2 if frame.startswith(b"\xff\xd8") else len(frame)
    while position + 9 < len(frame) and frame[position] == 0xFF:  # JPEG: ISO/IEC 10918-1, B.2.2; JPEG-LS: marker F7
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4], "big")
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return struct.unpack_from(">HHB", frame, position + 5)
        position += 1 if marker == 0xFF else 2 + length
    return None
