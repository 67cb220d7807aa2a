"""DICOM files -> the values that a radiologist sees, before they become 8 bits."""

import os
import re
import struct
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr.core.errors import FilmError
from cxr.imaging.jpeg import refuse_many_scans

DEFLATED = b"1.2.840.10008.1.2.1.99\0"  # DICOM as a zip file, which may unpack to anything
# Projection radiography: computed, digital, conventional film scanned, and what archives call other or secondary.
FILM_MODALITIES = frozenset({"CR", "DX", "DR", "RG", "XR", "SC", "OT"})


def decode_dicom(content: bytes, path: Path) -> np.ndarray:
    import io

    import pydicom.encaps  # only here: most users never read DICOM, and worker processes should start fast
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    if DEFLATED in content[:1024]:
        raise FilmError(f"{path}: is deflated DICOM, which is not read; save it with another transfer syntax")
    try:
        header = _quietly(pydicom.dcmread, io.BytesIO(content), force=True)
        modality = str(header.get("Modality", "not stated"))
        body_part = str(header.get("BodyPartExamined", "") or "CHEST").upper()
        if modality not in FILM_MODALITIES:
            expected = ", ".join(sorted(FILM_MODALITIES))
            raise FilmError(f"{path}: its Modality is {_code(modality)}; expected one of {expected}")
        if not any(word in body_part for word in ("CHEST", "THORAX", "LUNG")):
            raise FilmError(f"{path}: its BodyPartExamined is {_code(body_part)}; expected CHEST")
        stated = int(header.get("Rows", 0)) * int(header.get("Columns", 0)) * int(header.get("NumberOfFrames", 1) or 1)
        if stated > int(os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"]):
            raise FilmError(f"{path}: says that it has {stated / 1e6:,.0f} megapixels; no film has")
        if header.file_meta.TransferSyntaxUID.is_encapsulated:
            frame = pydicom.encaps.get_frame(header.PixelData, 0, number_of_frames=1)
            refuse_many_scans(frame, path)
            inner = _stated_sides(frame)
            if inner not in (None, (header.Rows, header.Columns)):
                raise FilmError(f"{path}: says {header.Rows}x{header.Columns} pixels, its JPEG {inner[0]}x{inner[1]}")
        pixels = _quietly(lambda: header.pixel_array)
        if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
            pixels = cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_RGB2GRAY)
        if pixels.ndim != 2:
            raise FilmError(f"{path}: holds {pixels.shape[0]} frames; expected one two-dimensional film")
        values = apply_modality_lut(pixels, header)
        # pydicom would send a window's output through the rescaling once more: a negative slope gives a negative.
        header.pop("RescaleSlope", None)
        film = apply_voi_lut(values, header).astype(np.float32)
    except FilmError:
        raise
    except Exception as error:  # pydicom's decoders raise whatever the broken file provokes
        # Their text may quote the header, so a patient's name: only its kind is shown.
        raise FilmError(f"{path}: not readable as DICOM ({type(error).__name__})") from None
    if header.get("PhotometricInterpretation") == "MONOCHROME1":  # a negative: low values are to be shown white
        film = film.max() + film.min() - film
    if film.dtype != np.uint8 and film.min() >= 0 and film.max() <= 255 and int(header.get("BitsStored", 16)) <= 8:
        return film.astype(np.uint8)
    return film


def _code(value: Any) -> str:
    """A code of a DICOM header as it may be shown: nothing that could be free text."""
    text = str(value).strip()
    return text if re.fullmatch(r"[A-Z0-9_]{1,16}|not stated", text) else "no code word"


def _stated_sides(frame: bytes) -> tuple[int, int] | None:
    """(height, width) by the header of a JPEG, JPEG-LS or JPEG 2000 stream, None where it is none of these.

    Its decoder sets memory aside for them, whatever Rows and Columns of the DICOM file say.
    """
    start = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start >= 0:  # JPEG 2000: ISO/IEC 15444-1, A.5.1
        width, height = struct.unpack_from(">II", frame, start + 8)
        return height, width
    position = 2 if frame.startswith(b"\xff\xd8") else len(frame)
    while position + 9 < len(frame) and frame[position] == 0xFF:  # JPEG: ISO/IEC 10918-1, B.2.2; JPEG-LS: marker F7
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4], "big")
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return struct.unpack_from(">HH", frame, position + 5)
        position += 1 if marker == 0xFF else 2 + length
    return None


def _quietly(function, *arguments, **options):
    """Call it without pydicom's warnings: they are many, and quote values of the header."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)
