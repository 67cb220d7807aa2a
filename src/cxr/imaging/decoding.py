"""Image and DICOM files <-> gray uint8 films."""

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr.core import machine
from cxr.core.artifacts import written_whole
from cxr.core.errors import FilmError
from cxr.imaging.dicom import decode_dicom, stated
from cxr.imaging.file_kinds import DICOM, DICOM_SUFFIXES, UNREAD, kind_of
from cxr.imaging.grays import Decoded, eight_bits
from cxr.imaging.jpeg import lacks_bytes, refuse_many_scans

PNG_HEAD = 8  # bytes before the first chunk of a PNG
LARGEST_FILE = 2_000_000_000  # bytes
LONGEST_SIDE = 20_000  # pixels; padding a film to a square makes side x side of it
LARGEST_RATIO = 10
BITS, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # two tags of a TIFF, and what the second says of a negative


@dataclass(frozen=True)
class Film:
    """One film as it was read.

    pixels: (H, W), uint8, gray, bright = dense, as a radiologist sees it; 8-bit files keep their values, deeper ones
    fill 0..255. notes: what the file says of its grays and was not followed, such as a window that shows nothing.
    view: PA, AP or LATERAL by the file's header, "" where it says nothing.
    """

    pixels: np.ndarray
    notes: tuple[str, ...] = ()
    view: str = ""


def read_film(path: Path) -> np.ndarray:
    """The pixels of `open_film`: (H, W), uint8."""
    return open_film(path).pixels


def open_film(path: Path) -> Film:
    """Decode one film, whatever its format.

    Parameters
    ----------
    path : Path
        An image of `cxr.imaging.listing.EXPECTED`, of any depth and colour mode, or a DICOM file.

    Raises
    ------
    FilmError
        Not readable, no projection radiograph, or constant.
    """
    path = Path(path)
    content, kind = _read(path)
    decoded = decode_dicom(content, path) if kind == DICOM else _decode_image(content, kind, path)
    values, film = decoded.values, decoded.film
    height, width = values.shape
    if max(values.shape) > LONGEST_SIDE or max(values.shape) > LARGEST_RATIO * min(values.shape):
        raise FilmError(
            f"{path}: {width}x{height} pixels; expected a film: at most {LONGEST_SIDE:,} pixels a side, and none more "
            f"than {LARGEST_RATIO} times the other"
        )
    if film.dtype.kind == "f" and not np.isfinite(film).all():
        raise FilmError(f"{path}: holds pixels that are no numbers")
    if film.min() == film.max():
        raise FilmError(f"{path}: every pixel is {film.min():g}; expected a film")
    pixels, clipped = eight_bits(decoded)
    return Film(pixels, decoded.notes + clipped, decoded.view)


def stated_by_header(path: Path, keywords: Iterable[str]) -> dict[str, str]:
    """What a DICOM film's header states, as `dicom.stated`; a FilmError too where the file is no DICOM."""
    content, kind = _read(path)
    if kind != DICOM:
        raise FilmError(f"{path}: is no DICOM file")
    return stated(content, path, keywords)


def _read(path: Path) -> tuple[bytes, str]:
    """The content of a film's file, and its kind: of `file_kinds.IMAGES`, DICOM, or "" where nothing tells."""
    content = _read_bytes(path)
    kind = kind_of(content)  # before the suffix, which may be missing, or another's
    if kind in UNREAD:
        raise FilmError(f"{path}: is {kind}, which is not read; {UNREAD[kind][2]}")
    return content, DICOM if not kind and path.suffix.lower() in DICOM_SUFFIXES else kind


def _read_bytes(path: Path) -> bytes:
    """The content of an ordinary file of a size that a film can have; a pipe or a device could be read for ever."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "Is a directory" if stat.S_ISDIR(status.st_mode) else "is no ordinary file"
            raise FilmError(f"{path}: cannot be read: {what}")
        with open(path, "rb", buffering=0) as file:  # read(n) of a buffered one sets n bytes aside
            content = file.read() if status.st_size <= LARGEST_FILE else b""
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        machine.pass_on(error)
        raise FilmError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if status.st_size > LARGEST_FILE:
        raise FilmError(f"{path}: is larger than {LARGEST_FILE / 1e9:.0f} GB; no film is")
    if not content:
        raise FilmError(f"{path}: is empty (0 bytes)")
    return content


def _decode_image(content: bytes, kind: str, path: Path) -> Decoded:
    """An image of a kind of `file_kinds.IMAGES`, or "" where its beginning tells none."""
    if (kind == "JPEG" and lacks_bytes(content)) or (kind == "PNG" and _lacks_bytes(content)):
        raise FilmError(f"{path}: not readable as an image (a part of it is missing)")
    refuse_many_scans(content, path)
    try:
        # Any colour and depth: palettes and EXIF rotation are applied, an alpha channel is dropped (NIH's RGBA films).
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
        _, films = cv2.imdecodemulti(np.frombuffer(content, np.uint8), flags, range=(0, 2))
    except cv2.error as error:
        machine.pass_on(error)
        if "CV_IO_MAX_IMAGE" in error.err:
            limit = int(os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"]) / 1e6
            raise FilmError(f"{path}: says that it has more than {limit:.0f} megapixels; no film has") from None
        raise FilmError(f"{path}: not readable as an image: {error.err}") from None
    if not films:
        raise FilmError(f"{path}: not readable as an image ({_why_not(content, kind)})")
    if len(films) > 1:
        raise FilmError(f"{path}: holds several pictures (animated, or several pages); expected one film")
    (film,) = films
    if kind == "JPEG" and lacks_bytes(content, film.shape[:2]):
        raise FilmError(f"{path}: not readable as an image (a part of it is missing: zeros in its place)")
    if film.ndim == 3:
        film = cv2.cvtColor(film, cv2.COLOR_BGR2GRAY)
    # OpenCV turns a TIFF's negative of 8 bits, and nothing deeper.
    negative = kind == "TIFF" and film.itemsize > 1 and _tiff_tags(content).get(PHOTOMETRIC) == WHITE_IS_ZERO
    return Decoded(film, film.dtype != np.uint8, negative)


def _why_not(content: bytes, kind: str) -> str:
    bits = _tiff_tags(content).get(BITS) if kind == "TIFF" else None
    if not bits:
        return "empty, truncated or another format"
    return f"a TIFF of {bits[0] if isinstance(bits, tuple) else bits} bits, or truncated; save it with 8 or 16"


def _tiff_tags(content: bytes) -> Mapping[int, Any]:
    """Tags of a TIFF's first picture; none of a file that is broken there."""
    # Only Pillow's reader of tags: it cannot decode all that OpenCV can.
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    stream = io.BytesIO(content)
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        tags = ImageFileDirectory_v2(stream.read(16 if b"+" in content[:4] else 8))
        stream.seek(tags.next)
        tags.load(stream)
        return dict(tags)
    return {}


def _lacks_bytes(png: bytes) -> bool:
    """Whether a chunk claims to be longer than what is left: OpenCV would first set that much memory aside."""
    position = PNG_HEAD
    while position + 12 <= len(png):
        end = position + 12 + int.from_bytes(png[position : position + 4], "big")
        if png[position + 4 : position + 8] == b"IEND":
            return False
        position = end
    return True


def write_image(pixels: np.ndarray, path: Path) -> None:
    """Write (H, W) gray or (H, W, 3) BGR uint8 pixels; the format follows the suffix."""
    _, encoded = cv2.imencode(path.suffix, pixels)
    with written_whole(path) as temporary:
        temporary.write_bytes(encoded)  # not cv2.imwrite, which does not say why it fails
