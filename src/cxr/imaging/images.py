"""Image and DICOM files <-> gray uint8 films; films <-> squares, with the affine from one to the other."""

import os
import re
import stat
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr.core.artifacts import written_whole
from cxr.core.errors import InputError

FILM_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".dcm", ".dicom"})
PNG = b"\x89PNG\r\n\x1a\n"
LARGEST_FILE = 2_000_000_000  # bytes
LONGEST_SIDE = 20_000  # pixels; padding a film to a square makes side x side of it
LARGEST_RATIO = 10
SEVERAL = (b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # how files begin that may hold several pictures
DEFLATED = b"1.2.840.10008.1.2.1.99\0"  # DICOM as a zip file, which may unpack to anything
# Projection radiography: computed, digital, conventional film scanned, and what archives call other or secondary.
FILM_MODALITIES = frozenset({"CR", "DX", "DR", "RG", "XR", "SC", "OT"})
CORNER = 0.16  # of either side: markers lie within, costophrenic angles do not


class FilmError(InputError):
    """A file that is no usable film; the message names the file and what is wrong with it."""


def read_film(path: Path) -> np.ndarray:
    """Decode one film, whatever its format.

    Parameters
    ----------
    path : Path
        PNG, JPEG, TIFF, BMP or GIF of any depth and colour mode, or a DICOM file.

    Returns
    -------
    ndarray of shape (H, W), uint8
        Gray, bright = dense, as a radiologist sees it. 8-bit files keep their values; deeper ones fill 0..255.

    Raises
    ------
    FilmError
        Not readable, no projection radiograph, or constant.
    """
    path = Path(path)
    content = _read_bytes(path)
    is_dicom = content[128:132] == b"DICM" or path.suffix.lower() in {".dcm", ".dicom"}
    film = _decode_dicom(content, path) if is_dicom else _decode_image(content, path)
    height, width = film.shape
    if max(film.shape) > LONGEST_SIDE or max(film.shape) > LARGEST_RATIO * min(film.shape):
        raise FilmError(
            f"{path}: {width}x{height} pixels; expected a film: at most {LONGEST_SIDE:,} pixels a side, and none more "
            f"than {LARGEST_RATIO} times the other"
        )
    if film.min() == film.max():
        raise FilmError(f"{path}: every pixel is {film.min()}; expected a film")
    return film if film.dtype == np.uint8 else _stretch(film)


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
    place = len(PNG)
    while place + 12 <= len(png):
        end = place + 12 + int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] == b"IEND":
            return False
        place = end
    return True


def _decode_dicom(content: bytes, path: Path) -> np.ndarray:
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
            inner = _stated_sides(pydicom.encaps.get_frame(header.PixelData, 0, number_of_frames=1))
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
        # Their text may quote the header, so a patient's name: only its kind is told.
        raise FilmError(f"{path}: not readable as DICOM ({type(error).__name__})") from None
    if (
        header.get("PhotometricInterpretation") == "MONOCHROME1"
    ):  # stored as a negative: low values are to be shown white
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
    place = 2 if frame.startswith(b"\xff\xd8") else len(frame)
    while place + 9 < len(frame) and frame[place] == 0xFF:  # JPEG: ISO/IEC 10918-1, B.2.2; JPEG-LS: marker F7
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4], "big")
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            return struct.unpack_from(">HH", frame, place + 5)
        place += 1 if marker == 0xFF else 2 + length
    return None


def _quietly(function, *arguments, **options):
    """Call it without pydicom's warnings: they are many, and quote values of the header."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


def _stretch(film: np.ndarray) -> np.ndarray:
    """Deeper than 8 bits: the film's own range becomes 0..255 (12 bits in a 16-bit file would be almost black)."""
    low, high = float(film.min()), float(film.max())
    return np.round((film.astype(np.float32) - low) * (255 / (high - low))).astype(np.uint8)


def write_image(pixels: np.ndarray, path: Path) -> None:
    """Write (H, W) gray or (H, W, 3) BGR uint8 pixels; the format follows the suffix."""
    _, encoded = cv2.imencode(path.suffix, pixels)
    with written_whole(path) as temporary:
        temporary.write_bytes(encoded)  # not cv2.imwrite, which does not say why it fails


def fit_square(
    film: np.ndarray, size: int, fit: str = "pad", box: tuple[int, int, int, int] | None = None, nearest: bool = False
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Bring a film, or a box of it, to a square.

    Parameters
    ----------
    film : ndarray of shape (H, W), uint8
    size : int
        Side of the square, pixels.
    fit : {"pad", "squash"}
        Black margins around the centred film, or another scale for each axis.
    box : (x, y, width, height), pixels, optional
        What is kept of the film; the whole film where None.
    nearest : bool
        Nearest neighbour, for masks; else area averages (smaller) or linear interpolation (larger).

    Returns
    -------
    square : ndarray of shape (size, size), uint8
    affine : (scale_x, scale_y, offset_x, offset_y)
        ``x_square = scale_x * x_film + offset_x``, in coordinates where pixel i covers [i, i + 1).
    """
    left, top, width, height = box or (0, 0, film.shape[1], film.shape[0])
    part = film[top : top + height, left : left + width]
    affine = square_affine(film.shape, size, fit, box)
    if fit == "pad" and width != height:
        side = max(width, height)
        margin_x, margin_y = (side - width) // 2, (side - height) // 2
        part = cv2.copyMakeBorder(
            part, margin_y, side - height - margin_y, margin_x, side - width - margin_x, cv2.BORDER_CONSTANT, value=0
        )
    smaller = affine[0] < 1 or affine[1] < 1
    method = cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    square = cv2.resize(part, (size, size), interpolation=method)
    return square, affine


def square_affine(
    shape: tuple[int, int], size: int, fit: str = "pad", box: tuple[int, int, int, int] | None = None
) -> tuple[float, float, float, float]:
    """The affine of `fit_square` for a film of shape (H, W), without making the square."""
    left, top, width, height = box or (0, 0, shape[1], shape[0])
    side = max(width, height)
    margin_x, margin_y = ((side - width) // 2, (side - height) // 2) if fit == "pad" else (0, 0)
    scale_x, scale_y = (size / side, size / side) if fit == "pad" else (size / width, size / height)
    return scale_x, scale_y, (margin_x - left) * scale_x, (margin_y - top) * scale_y


def to_square(box: Sequence[float], affine: Sequence[float]) -> tuple[float, float, float, float]:
    """A box (x, y, width, height) of film pixels, in the square's pixels."""
    scale_x, scale_y, offset_x, offset_y = affine
    x, y, width, height = box
    return scale_x * x + offset_x, scale_y * y + offset_y, scale_x * width, scale_y * height


def to_film(box: Sequence[float], affine: Sequence[float]) -> tuple[float, float, float, float]:
    """A box (x, y, width, height) of the square's pixels, in film pixels."""
    scale_x, scale_y, offset_x, offset_y = affine
    x, y, width, height = box
    return (x - offset_x) / scale_x, (y - offset_y) / scale_y, width / scale_x, height / scale_y


def square_to_film(square: np.ndarray, shape: tuple[int, int], affine: Sequence[float]) -> np.ndarray:
    """Bring a mask or map on the square back onto the film.

    Parameters
    ----------
    square : ndarray of shape (size, size)
        Uint8 or float32.
    shape : (H, W)
        Of the film.
    affine : (scale_x, scale_y, offset_x, offset_y)
        From `fit_square`.

    Returns
    -------
    ndarray of shape (H, W), dtype of ``square``
        Linearly interpolated; 0 where the square does not reach.
    """
    scale_x, scale_y, offset_x, offset_y = affine
    # warpAffine counts from pixel centres, the affine from pixel edges: half a pixel either way.
    matrix = np.array([[scale_x, 0, offset_x + 0.5 * scale_x - 0.5], [0, scale_y, offset_y + 0.5 * scale_y - 0.5]])
    return cv2.warpAffine(square, matrix, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def blank_corners(square: np.ndarray, affine: Sequence[float], width: float, height: float) -> np.ndarray:
    """A film on its square without what stands in its four corners, where hospitals put their markers.

    Parameters
    ----------
    square : ndarray of shape (size, size), uint8
    affine : (scale_x, scale_y, offset_x, offset_y)
        From `fit_square`.
    width, height : float
        Of the film, pixels.

    Returns
    -------
    ndarray of shape (size, size), uint8
        A copy; each corner, `CORNER` of either side, has the median of its own pixels. Corners that the square does not
        show change nothing.
    """
    blanked, side = square.copy(), square.shape[0]
    for x in (0, width * (1 - CORNER)):
        for y in (0, height * (1 - CORNER)):
            left, top, wide, high = to_square((x, y, width * CORNER, height * CORNER), affine)
            ends = [round(min(max(value, 0), side)) for value in (left, left + wide, top, top + high)]
            corner = blanked[ends[2] : ends[3], ends[0] : ends[1]]
            if corner.size:
                corner[:] = np.median(corner)
    return blanked


def list_films(folder: Path) -> list[Path]:
    """All film files below a folder, sorted: known by their suffix, or, whatever their name, as DICOM by their content.

    Raises
    ------
    InputError
        The folder does not exist or holds no film.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected films (PNG, JPEG, TIFF, DICOM) in it.")
    films = sorted(path for path in folder.rglob("*") if path.is_file() and _looks_like_a_film(path))
    if not films:
        raise InputError(f"{folder}: no film in it; expected PNG, JPEG, TIFF or DICOM files.")
    return films


def _looks_like_a_film(path: Path) -> bool:
    if path.suffix.lower() in FILM_SUFFIXES:
        return True
    try:
        with open(path, "rb") as file:  # DICOMDIR is a table of contents that such folders bring along
            return file.read(132)[128:] == b"DICM" and path.name != "DICOMDIR"
    except OSError:
        return False
