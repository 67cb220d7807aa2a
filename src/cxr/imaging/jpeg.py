"""How much work a JPEG asks for, counted before it is decoded, and whether all of it is there."""

import re
from pathlib import Path

from cxr.core.errors import FilmError

START = b"\xff\xd8"
COLOURS = 3
MOST_SCANS = 100  # as in libtiff; encoders write up to about ten, and each may pass over the whole picture
_MARKER = re.compile(rb"\xff+([^\x00\xff])")  # in a scan's own bytes 00 follows FF


def refuse_many_scans(content: bytes, path: Path) -> None:
    """Raise a FilmError where a JPEG holds more scans than any film: decoding a few megabytes could take an hour.

    Walks from marker to marker (ISO/IEC 10918-1, B.1.1), so that a thumbnail in the header does not count. What is no
    JPEG has no scan.
    """
    scans, position = 0, len(START) if content.startswith(START) else len(content)
    while marker := _MARKER.search(content, position):
        code, position = marker[1][0], marker.end()
        scans += code == 0xDA
        if scans > MOST_SCANS:
            raise FilmError(f"{path}: its JPEG has more than {MOST_SCANS} scans; no film has")
        if code == 0xD9:
            return
        if not 0xD0 <= code <= 0xD7 and code not in (0x01, 0xD8):  # which stand alone; the others say their length
            position += int.from_bytes(content[position : position + 2], "big")


def lacks_bytes(content: bytes, sides: tuple[int, int] | None = None) -> bool:
    """Whether a part of a JPEG is missing, which decoders fill with gray.

    Its end must follow its last scan. And no block of 8 x 8 pixels takes more than two bits of 0, so a longer run of
    zeros than that is disk that was set aside for a download: asked where ``sides`` (H, W) are known.
    """
    scan, end = content.rfind(b"\xff\xda"), content.rfind(b"\xff\xd9")
    if end < scan or sides is None:
        return end < scan
    blocks = COLOURS * sides[0] * sides[1] // 64
    return content.find(bytes(blocks // 4 + 1), scan, end) >= 0
