"""Image and DICOM files <-> gray uint8 films."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cxr.core.artifacts import written_whole
from cxr.core.errors import FilmError
from cxr.imaging.dicom import decode_dicom
from cxr.imaging.jpeg import refuse_many_scans

PNG = b"\x89PNG\r\n\x1a\n"
LARGEST_FILE = 2_000_000_000  # bytes
LONGEST_SIDE = 20_000  # pixels; padding a film to a square makes side x side of it
LARGEST_RATIO = 10
SEVERAL = (b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how files begin that may hold several pictures


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
        PNG, JPEG, TIFF, BMP or GIF of any depth and colour mode, or a DICOM file.

    Raises
    ------
    FilmError
        Not readable, no projection radiograph, or constant.
    """
    path = Path(path)
    content = _read_bytes(path)
    is_dicom = content[128:132] == b"DICM" or path.suffix.lower() in {".dcm", ".dicom"}
    film = decode_dicom(content, path) if is_dicom else _decode_image(content, path)
    height, width = film.shape
    if max(film.shape) > LONGEST_SIDE or max(film.shape) > LARGEST_RATIO * min(film.shape):
        raise FilmError(
            f"{path}: {width}x{height} pixels; expected a film: at most {LONGEST_SIDE:,} pixels a side, and none more "
            f"than {LARGEST_RATIO} times the other"
        )
    if film.min() == film.max():
        raise FilmError(f"{path}: every pixel is {film.min()}; expected a film")
    return Film(film if film.dtype == np.uint8 else _stretch(film))


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
        raise FilmError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if status.st_size > LARGEST_FILE:
        raise FilmError(f"{path}: is larger than {LARGEST_FILE / 1e9:.0f} GB; no film is")
    if not content:
        raise FilmError(f"{path}: is empty (0 bytes)")
    return content


def _decode_image(content: bytes, path: Path) -> np.ndarray:
    if content.startswith(SEVERAL) or content[8:12] == b"WEBP" or b"acTL" in content[:4096]:
        pictures = cv2.imcount(str(path), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
        if pictures > 1:
            raise FilmError(f"{path}: holds {pictures} pictures (animated, or several pages); expected one film")
    if content.startswith(PNG) and _lacks_bytes(content):
        raise FilmError(f"{path}: not readable as an image (a part of it is missing)")
    refuse_many_scans(content, path)
    try:
        # Any colour and depth: palettes and EXIF rotation are applied, an alpha channel is dropped (NIH's RGBA films).
        film = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE" in error.err:
            limit = int(os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"]) / 1e6
            raise FilmError(f"{path}: says that it has more than {limit:.0f} megapixels; no film has") from None
        raise FilmError(f"{path}: not readable as an image: {error.err}") from None
    if film is None:
        raise FilmError(f"{path}: not readable as an image (empty, truncated or another format)")
    if film.ndim == 3:
        film = cv2.cvtColor(film, cv2.COLOR_BGR2GRAY)
    if film.dtype.kind == "f" and not np.isfinite(film).all():
        raise FilmError(f"{path}: holds pixels that are no numbers")
    return film


def _lacks_bytes(png: bytes) -> bool:
    """Whether a chunk claims to be longer than what is left: OpenCV would first set that much memory aside."""
    position = len(PNG)
    while position + 12 <= len(png):
        end = position + 12 + int.from_bytes(png[position : position + 4], "big")
        if png[position + 4 : position + 8] == b"IEND":
            return False
        position = end
    return True


def _stretch(film: np.ndarray) -> np.ndarray:
    """Deeper than 8 bits: the film's own range becomes 0..255 (12 bits in a 16-bit file would be almost black)."""
    low, high = float(film.min()), float(film.max())
    return np.round((film.astype(np.float32) - low) * (255 / (high - low))).astype(np.uint8)


def write_image(pixels: np.ndarray, path: Path) -> None:
    """Write (H, W) gray or (H, W, 3) BGR uint8 pixels; the format follows the suffix."""
    _, encoded = cv2.imencode(path.suffix, pixels)
    with written_whole(path) as temporary:
        temporary.write_bytes(encoded)  # not cv2.imwrite, which does not say why it fails
