"""Lung masks as people draw and store them: their grays, and what no mask of both lungs looks like.

The bounds were measured on 414 masks of Montgomery and Shenzhen, at 64 to 1024 pixels, as PNG and as JPEG of quality 20
to 95, and on 948 films of NIH, Montgomery and Shenzhen.
"""

import hashlib
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from cxr.core.artifacts import written_whole

# Share of pixels between the two grays: edges, JPEG's ripples (masks .11 at most, films .26 or more).
MOST_BETWEEN = 0.12
LEVEL = 0.03  # share of pixels from which a gray is one of its own (edges of masks from 128 pixels on: .016)
COVERED = (0.02, 0.6)  # of the film, by both lungs (.10 to .40)
MOST_BORDER = 0.5  # share of the film's border on the lungs (.03 at most; of a mask that is inverted .97 or more)
MOST_HOLES = 0.2  # of the lungs' area
SMALLEST_PIECE = 0.1  # of both lungs, from which a piece is a lung
NARROWEST = 0.5  # of the film's width, of lungs that touch (a single lung .49 at most)
SIGNATURE = b"tEXtcxr\0"  # a PNG's chunk of text, which other programs pass over
APART = 0.2  # of the film's width, between the middles of both lungs (.29 or more)


def drawn(grays: np.ndarray) -> np.ndarray | None:
    """Where a mask is drawn, or None where it is none.

    A mask has two grays, whatever numbers they are: it is cut at half between them. A third one is taken where it and
    the brightest lie beside each other, as left and right lungs do (1 and 2, or 127 and 255, on 0).

    Parameters
    ----------
    grays : array of shape (H, W), uint8

    Returns
    -------
    mask : array of shape (H, W), bool, or None
        None: more grays than that, as in a film or a soft mask.
    """
    low, high = np.percentile(grays, (0.5, 99.5))
    if low == high:
        low, high = grays.min(), grays.max()
    spread = (np.arange(256) - float(low)) * (255 / max(float(high - low), 1))
    levels = np.clip(spread, 0, 255).round().astype(np.uint8)[grays]
    third, share = _third(levels)
    if share > LEVEL:
        lungs = (levels >= third - 2) & (levels <= third + 2), levels >= 235
        middles = [np.nonzero(lung)[1].mean() / grays.shape[1] for lung in lungs]
        if abs(middles[0] - middles[1]) < APART:
            return None
        levels = np.where(lungs[0], np.uint8(255), levels)
    between = (levels > 20) & (levels < 235)
    return None if between.mean() > MOST_BETWEEN or _third(levels)[1] > LEVEL else levels > 127


def _third(levels: np.ndarray) -> tuple[int, float]:
    """The most frequent gray that is neither black nor white, and the share of pixels within two of it."""
    shares = np.bincount(levels.ravel(), minlength=256) / levels.size
    around = np.convolve(shares, np.ones(5), "same")
    around[:10] = around[-10:] = 0  # JPEG's ripples on black and white
    return int(around.argmax()), float(around.max())


def grays_of(grays: np.ndarray) -> str:
    """The grays of a picture in words: those that are levels of their own with their share, or from which to which."""
    shares = np.bincount(grays.ravel(), minlength=256) / grays.size
    levels = [f"{gray} ({shares[gray]:.0%})" for gray in np.flatnonzero(shares > LEVEL)]
    few = 1 < len(levels) <= 6 and shares[shares > LEVEL].sum() > 1 - MOST_BETWEEN
    rest = [] if shares[shares > LEVEL].sum() > 1 - LEVEL / 10 else ["a few others"]
    return ", ".join(levels + rest) if few else f"all shades from {grays.min()} to {grays.max()}"


def why_no_lungs(mask: np.ndarray) -> str:
    """What speaks against a mask (H, W), bool, of both lungs; "" where nothing does."""
    covered = mask.mean()
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).mean()
    if border > MOST_BORDER:
        return (
            f"covers {covered:.0%} of the film and {border:.0%} of its border: inverted? Lungs must be white on black"
        )
    if not COVERED[0] < covered < COVERED[1]:
        return f"covers {covered:.0%} of the film; expected both lungs, {COVERED[0]:.0%} to {COVERED[1]:.0%} of it"
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros(mask.shape, np.uint8), outlines, -1, 1, thickness=cv2.FILLED)
    if filled.mean() > (1 + MOST_HOLES) * covered:
        return f"has holes of {filled.mean() - covered:.0%} of the film: outlines only, or inverted within a border?"
    _, _, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas, columns = statistics[1:, cv2.CC_STAT_AREA], np.flatnonzero(mask.any(axis=0))
    pieces = np.count_nonzero(areas > SMALLEST_PIECE * areas.sum())
    if pieces < 2 and np.ptp(columns) < NARROWEST * mask.shape[1]:
        return "shows one lung only; expected both. Is the file of the other one missing?"
    return ""


def write_signed(mask: np.ndarray, path: Path, place: str) -> None:
    """Write a mask (H, W) uint8 as a PNG that `is_signed` for this place tells from one that was drawn or mended."""
    with written_whole(path) as temporary:
        temporary.write_bytes(_signed(cv2.imencode(".png", mask)[1].tobytes(), place))


def is_signed(path: Path, place: str) -> bool:
    """Whether a file is to the byte what `write_signed` wrote for this place."""
    content = path.read_bytes()
    plain = content[: max(0, content.rfind(SIGNATURE) - 4)] + content[-12:]
    return content == _signed(plain, place)


def _signed(png: bytes, place: str) -> bytes:
    """A PNG with a chunk before its last, which has 12 bytes, of the place and the digest of all before it."""
    body, end = png[:-12], png[-12:]
    text = f"{place} {hashlib.blake2b(body, digest_size=16).hexdigest()}".encode()
    chunk = SIGNATURE + text
    return body + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + end
