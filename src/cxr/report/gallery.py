"""The report's gallery: small films and, for each finding, a small map that the page lays over the film."""

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from cxr.imaging.geometry import to_square
from cxr.maps.detections import film_detections
from cxr.maps.family_maps import Scored, choose_films, known_boxes
from cxr.maps.localisation import mean_heat, on_square
from cxr.report.canvas import GAP, blank_canvas, draw_heat_key, heat_layer

SIDE = 192  # pixels of a film on the page
MAP_SIDE = 24  # of a map; the browser enlarges it smoothly
MOST = 1000  # films on a page; fewer where each has so many maps that the page would be too large
FILM_BYTES, MAP_BYTES, ALL_BYTES = 8000, 2350, 24e6  # of a film, of a map, of all films of a page


def data_uri(image: np.ndarray, kind: str, options: tuple[int, ...] = ()) -> str:
    """A picture, BGR(A) or gray uint8, as text that an <img> shows: ``kind`` is jpeg or png."""
    _, content = cv2.imencode(f".{kind}", image, list(options))
    return f"data:image/{kind};base64," + base64.b64encode(content.tobytes()).decode()


def picture_uri(path: Path, widest: int) -> str | None:
    """A picture of ours, at most ``widest`` pixels wide; None where it is not there."""
    content = path.read_bytes() if path.is_file() else b""
    # Not cv2.imread, which is killed by a folder's name that is no UTF-8.
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        return None
    scale = min(1.0, widest / image.shape[1])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return data_uri(small, "jpeg", (cv2.IMWRITE_JPEG_QUALITY, 80))


def most_films(findings: int) -> int:
    """Films on a page of so many findings, so that it stays one that opens and can be sent.

    >>> most_films(1), most_films(6), most_films(14), most_films(30)
    (1000, 1000, 586, 305)
    """
    return min(MOST, int(ALL_BYTES / (FILM_BYTES + MAP_BYTES * findings)))


def choose_rows(scored: Scored, most: int) -> list[int]:
    """Test films of the gallery: each finding's outcomes in turn, the surest first, until there are ``most``."""
    queues = [choose_films(scored, finding, None, most) for finding in scored.findings]
    rows: dict[int, None] = {}
    for position in range(max(map(len, queues))):
        for queue in queues:
            if position < len(queue) and len(rows) < most:
                rows.setdefault(queue[position])
    return list(rows)


def film_cards(
    scored: Scored, pack: np.ndarray, pack_rows: dict[str, int], rows: list[int], folder: Path | None
) -> list:
    """What the page needs of each film.

    Parameters
    ----------
    scored : Scored
    pack : array of shape (N, size, size), uint8
        The films as the network sees them; the maps lie on these squares.
    pack_rows : dict
        image_id -> row of the pack.
    rows : list of int
        Rows of ``scored.table``.
    folder : Path or None
        Of the family: a full overlay that lies there is linked; None: none is.

    Returns
    -------
    cards : list of dicts that JSON can hold
        id, film (data URI), and by finding: maps (data URI), probabilities, shown (those as text), outcomes, called,
        boxes (percent of the square), detections (of what is called; the same with a score behind), overlays (relative
        link or nothing). notes: what is to be said of the film.
    """
    cards, findings = [], scored.findings
    for row in rows:
        image_id = scored.table["image_id"].iloc[row]
        film = cv2.resize(pack[pack_rows[image_id]], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        geometry = scored.geometry(row)
        heats = [on_square(scored.heat(finding, row) / scored.scale, geometry) for finding in findings]
        links = [f"gradcam/{finding}/{image_id}.png" for finding in findings]
        cards.append(
            {
                "id": image_id,
                "film": data_uri(film, "jpeg", (cv2.IMWRITE_JPEG_QUALITY, 72)),
                "maps": [_map(heat, mean_heat(heat, geometry)) for heat in heats],
                "probabilities": [round(float(scored.probability(finding)[row]), 3) for finding in findings],
                "shown": [scored.shown(finding, row)[0] for finding in findings],
                "outcomes": [scored.outcome(finding, row) for finding in findings],
                "called": [bool(called) for called in scored.decisions[row]],
                "boxes": [[_percent(scored, box, row) for box in known_boxes(scored, f, row)] for f in findings],
                "detections": [
                    [[*_percent(scored, box, row), round(score, 2)] for box, score in film_detections(scored, f, row)]
                    if scored.called(f, row)
                    else []
                    for f in findings
                ],
                "notes": ["lung mask rejected"] * scored.mask_rejected(row),
                "overlays": [link if folder and (folder / link).is_file() else "" for link in links],
            }
        )
    return cards


def _map(large: np.ndarray, mean: float) -> str:
    """A heatmap on the packed square, 0..1, as a small layer to lay over the film."""
    small = cv2.resize(large, (MAP_SIDE, MAP_SIDE), interpolation=cv2.INTER_AREA)
    return data_uri(heat_layer(small, mean), "png", (cv2.IMWRITE_PNG_COMPRESSION, 9))


def _percent(scored: Scored, box: Sequence[float], row: int) -> list[float]:
    """A box in film pixels as left, top, width, height in percent of the packed square."""
    return [round(100 * float(side) / scored.size, 2) for side in to_square(box, scored.affine(row))]


def heat_key(scored: Scored) -> str:
    """What the colours of heat mean, as a small picture (data URI)."""
    strip = blank_canvas(38, 360)
    end = draw_heat_key(strip, GAP, scored.scale, scored.unit)
    return data_uri(strip[:, : end + GAP, ::-1], "png")
