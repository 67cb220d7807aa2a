"""DICOM files -> the values that a radiologist sees, before they become 8 bits."""

import contextlib
import math
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr.core.errors import FilmError, InputError
from cxr.imaging.dicom_header import FewPieces, complete, refuse_other_kinds, refuse_unreadable_pixels
from cxr.imaging.grays import LEAST_RANGE, Decoded, looked_up, roughness, shows_little, windowed
from cxr.imaging.views import stated_view

DEFLATED = b"1.2.840.10008.1.2.1.99"  # DICOM as a zip file, which may unpack to anything


def decode_dicom(content: bytes, path: Path) -> Decoded:
    """The film of a DICOM file.

    A window or table of values (VOI) is followed where it shows something of the film, else named in the notes;
    padding is no film. Only defined terms of the header ever stand in a message.

    Raises
    ------
    FilmError
        Not readable, without pixels, not one picture, or said to be another modality or part of the body.
    """
    with _header(content, path) as header:
        passed_over = refuse_other_kinds(header, path)
        assumed = passed_over + complete(header, path)
        refuse_unreadable_pixels(header, path)
        decoded = _decoded(header, header.pixel_array, path)
        return replace(decoded, notes=assumed + decoded.notes)


def stated(content: bytes, path: Path, keywords: Iterable[str]) -> dict[str, str]:
    """What the header of a DICOM file states under these keywords, as text; "" where it is empty or not there.

    Raises
    ------
    FilmError
        Not readable, a value that DICOM does not allow, or letters that cannot be known: the header names no character
        set, or another than theirs. The message never quotes a value.
    """
    from pydicom.charset import python_encoding
    from pydicom.config import RAISE
    from pydicom.datadict import dictionary_VR
    from pydicom.valuerep import DA, validate_value

    values = {}
    with _header(content, path) as header:
        terms = header.get("SpecificCharacterSet") or ""
        terms = [terms] if isinstance(terms, str) else list(terms)
        # Without a term for them, letters beyond ASCII would be read as Western European ones, whatever they are.
        foreign = terms[0] in ("", "ISO_IR 6", "ISO 2022 IR 6") and "ISO 2022 IR 100" not in terms
        for keyword in keywords:
            try:
                warnings.simplefilter("error")  # pydicom only warns of letters that it cannot decode
                if header.get(keyword) and header[keyword].VM > 1:
                    raise ValueError("several values")
                value = values[keyword] = str(header.get(keyword) or "")
                vr = dictionary_VR(keyword)
                validate_value(vr, value, RAISE)
                if vr == "DA":
                    DA(value)  # knows the calendar; that above allows ranges
                elif vr == "TM" and "-" in value:
                    raise ValueError("a range")
            except (ValueError, UserWarning):
                raise FilmError(f"{path}: its {keyword} is no value that DICOM allows") from None
            beyond = re.search("[\x80-\xff]" if foreign and len(terms) > 1 else r"[^\x00-\x7f]", value)
            if beyond and (foreign or not all(term in python_encoding for term in terms)):
                raise FilmError(f"{path}: the letters of its {keyword} are in no character set that its header states")
    return values


@contextlib.contextmanager
def _header(content: bytes, path: Path) -> Iterator[Any]:
    """The header of a DICOM file, for a block in which whatever goes wrong becomes a FilmError."""
    import pydicom  # only here: most users never read DICOM, and worker processes should start fast

    if DEFLATED in content:  # wherever: what stands before it may be of any length
        raise FilmError(f"{path}: is deflated DICOM, which is not read; save it with another transfer syntax")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's are many, and quote values of the header
            yield pydicom.dcmread(FewPieces(content, path), force=True)
    except (InputError, MemoryError):  # sizes were checked: memory is the machine's, not the film's
        raise
    except Exception as error:  # pydicom's decoders raise whatever the broken file provokes
        # Their text may quote the header, so a patient's name: only its kind is shown.
        raise FilmError(f"{path}: not readable as DICOM ({type(error).__name__})") from None


def _decoded(header: Any, pixels: np.ndarray, path: Path) -> Decoded:
    if header.PhotometricInterpretation == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        pixels = apply_color_lut(pixels, header)
        pixels = (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):  # neither windows nor padding count in colour: PS3.3 C.11.2
        # A JPEG of a gray film as luminance and chroma, flagged RGB by its header: both chromas are 128.
        as_luminance = pixels.dtype == np.uint8 and np.abs(pixels[..., 1:3].astype(int) - 128).max() <= 2
        rgb = np.ascontiguousarray(pixels[..., :3])
        film = rgb[..., 0] if as_luminance else cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        return Decoded(film, film.dtype != np.uint8, view=stated_view(header))
    if pixels.ndim != 2:
        raise FilmError(f"{path}: holds {pixels.shape[0]} frames; expected one two-dimensional film")
    pixels, padding, more_bits = _film_and_padding(header, pixels)
    voi = _table(header, "VOILUTSequence", path)
    values = _rescaled(header, pixels, path)
    shown, followed, notes = _as_shown(header, values, voi, padding)
    # 8 bits stay as they are stored, or as a window shows them unless it was meant for more bits: then they are dark.
    few_bits = header.BitsStored <= 8 and not more_bits
    wide = followed == "window" and np.ptp(shown if padding is None else shown[~padding]) >= LEAST_RANGE
    deep = not (few_bits and (wide or (not followed and np.array_equal(values, pixels))))
    negative = header.PhotometricInterpretation == "MONOCHROME1"  # low values are to be shown white
    if not negative and header.get("PresentationLUTShape") == "INVERSE":
        notes += ("its PresentationLUTShape is INVERSE and its PhotometricInterpretation says otherwise, which counts",)
    return Decoded(shown, deep, negative, padding, more_bits + notes, stated_view(header))


def _film_and_padding(header: Any, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    """Stored values, where they are padding, and a note where they have more bits than the header says.

    pydicom sets bits above BitsStored to 0. Where they are an overlay that is right; where BitsStored is wrong, the
    film would be folded, so the smoother of both pictures counts. Padding may lie outside of BitsStored.
    """
    syntax, bits = header.file_meta.TransferSyntaxUID, header.BitsStored
    if syntax.is_encapsulated or pixels.dtype.kind != "u" or bits >= header.BitsAllocated:
        return pixels, _padding(header, pixels), ()
    order = pixels.dtype.newbyteorder("<" if syntax.is_little_endian else ">")
    raw = np.frombuffer(header.PixelData, order, pixels.size).reshape(pixels.shape).astype(pixels.dtype)
    padding, unused = _padding(header, raw), header.HighBit + 1 - bits
    if unused > 0 and not (raw & ((1 << unused) - 1)).any():  # the film is in the upper bits
        return raw >> unused, padding, ()
    if not ((raw > pixels) if padding is None else (raw > pixels) & ~padding).any():
        return raw, padding, ()
    if roughness(raw) >= roughness(pixels):
        return pixels, padding, ()
    return raw, padding, (f"its pixels have more bits than the {bits} that BitsStored says",)


def _padding(header: Any, stored: np.ndarray) -> np.ndarray | None:
    """Where the stored pixels are padding (PS3.3, C.7.5.1.1.2), None where there is none, or nothing else."""
    first, last = header.get("PixelPaddingValue"), header.get("PixelPaddingRangeLimit")
    if not isinstance(first, int):
        return None
    ends = np.array([first, last if isinstance(last, int) else first]).astype(stored.dtype)  # of either sign
    padding = (stored >= ends.min()) & (stored <= ends.max())
    return padding if padding.any() and not padding.all() else None


def _rescaled(header: Any, stored: np.ndarray, path: Path) -> np.ndarray:
    """Stored values -> values that windows are told in, float32; an empty attribute is none."""
    if table := _table(header, "ModalityLUTSequence", path):
        return looked_up(stored, *table)
    factors = []
    for keyword, usual in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)):
        number = next(iter(_numbers(header, keyword)), usual)
        if not math.isfinite(number) or number == 0 != usual:
            raise FilmError(f"{path}: its {keyword} is no number by which pixels can be rescaled")
        factors.append(number)
    return stored.astype(np.float32) * factors[0] + factors[1]


def _as_shown(header: Any, values: np.ndarray, table: Any, padding: Any) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Values through the VOI table, or the first window (0..255), that shows something of the film.

    Also what was followed, "table", "window" or "", and notes on what was not.
    """
    film, notes = ... if padding is None else ~padding, []
    if table:
        shown = looked_up(values, *table)
        if not shows_little(shown[film]):
            return shown, "table", ()
        notes.append("the VOI LUT in its header shows nothing of the film and was ignored")
    function = str(header.get("VOILUTFunction") or "LINEAR").strip().upper()
    for center, width in zip(_numbers(header, "WindowCenter"), _numbers(header, "WindowWidth"), strict=False):
        shown = windowed(values, center, width, function)
        if shown is not None and not shows_little(shown[film]):
            return shown * 255, "window", tuple(notes)
        notes.append("a window in its header shows nothing of the film and was ignored")
    return values, "", tuple(dict.fromkeys(notes))


def _table(header: Any, sequence: str, path: Path) -> tuple[np.ndarray, int] | None:
    """Entries of the first look-up table, and the value that its first stands for; None where there is none.

    pydicom's own look-up counts in the type of the entries, which wraps where they have 8 bits (pydicom 3.0.2).
    """
    item = next(iter(header.get(sequence) or []), None)
    data, descriptor = (item.get("LUTData"), item.get("LUTDescriptor")) if item is not None else (None, None)
    if not data or not descriptor:
        return None
    try:
        length, first = int(descriptor[0]) or 65536, int(descriptor[1])
        if isinstance(data, bytes):
            wide = "<u2" if header.file_meta.TransferSyntaxUID.is_little_endian else ">u2"
            data = np.frombuffer(data, wide if len(data) >= 2 * length else np.uint8)
        return np.asarray(data, np.float32)[:length], first
    except (TypeError, ValueError, IndexError):
        raise FilmError(f"{path}: its {sequence} holds no table that can be read") from None


def _numbers(header: Any, keyword: str) -> list[float]:
    """What a decimal attribute says, [] where it is not there or empty, NaN for what is no number."""
    value = header.get_item(keyword).value if keyword in header else None  # as written: pydicom refuses "1,0"
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")

    def number(part: str) -> float:
        try:
            return float(part.strip(" \0").replace(",", "."))
        except ValueError:
            return math.nan

    return [number(part) for part in text.split("\\") if part.strip(" \0")]
