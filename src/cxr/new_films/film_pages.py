"""One picture a new film: the film with its lung mask, the map of each finding, and probabilities with thresholds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cxr.anatomy.heart import Widths
from cxr.core.findings import colours
from cxr.evaluation.thresholds import beside_threshold
from cxr.report.canvas import (
    CONTOUR,
    DETECTION,
    DETECTIONS,
    DIM,
    GAP,
    HEART,
    MARGIN,
    MASK,
    SEEN,
    TEXT,
    Scored,
    blank_canvas,
    blend,
    draw_boxes,
    draw_heat_key,
    draw_outline,
    draw_seen,
    draw_widths,
    fit_panel,
    fitting_size,
    legend,
    resize_heat,
    rgb,
    save_canvas,
    text_width,
    wrap_text,
    write_text,
)

SIDE = 300  # of a film on the page, pixels
FOOT = 30  # height of the line below a film
COLUMNS = 4  # films in a row
WIDTHS = ("heart/thorax, by their widths: too large on AP films and of patients who lie", HEART, False)


@dataclass(frozen=True)
class FindingOnFilm:
    """One finding on a film.

    heat: its map on the film (h, w), 0..1. mean: of it, over the packed square. outline: level of it that is outlined,
    where the finding is called.
    detections: boxes in fractions of the film's width and height, with scores.
    """

    name: str
    probability: float
    threshold: float
    called: bool
    heat: np.ndarray
    mean: float
    outline: float
    detections: Sequence[Scored]

    @property
    def shown(self) -> tuple[str, str]:
        """Probability and threshold as text."""
        return beside_threshold(self.probability, self.threshold)


def film_page(
    film: np.ndarray, findings: Sequence[FindingOnFilm], path: Path, title: str, notes: Sequence[str],
    mask: np.ndarray | None, mask_used: bool, widths: Widths, seen: np.ndarray | None, heat_at_1: float, unit: str,
) -> None:  # fmt: skip
    """Draw one film's page: the film, a map each finding, then all probabilities.

    Parameters
    ----------
    film : ndarray of shape (H, W), uint8
    findings : sequence of F FindingOnFilm
    path : Path
    title : str
        The film's name.
    notes : sequence of str
        Below the title: what speaks against trusting these probabilities.
    mask : ndarray of shape (h, w), uint8, or None
        Lung mask, covering the whole film; ``mask_used`` says whether it passed its check.
    widths : Widths
        Of heart and thorax, as shares of the film.
    seen : ndarray of shape (h, w), bool, or None
        Where the networks saw the film; None: everywhere.
    heat_at_1, unit : float, str
        What a map of 1 means, for the colour bar, and of what, such as " logits added".
    """
    plain, _ = fit_panel(film, SIDE)
    about = "film" if mask is None else "film, lung mask" if mask_used else "film, lung mask (not used)"
    ratio = widths.cardiothoracic_ratio
    tiles = [(_outlined(plain, mask, widths), about, "" if np.isnan(ratio) else f"heart/thorax {ratio:.2f}", None)]
    colour_of = {name: rgb(colour) for name, colour in colours([finding.name for finding in findings]).items()}
    for finding in findings:
        heat, (height, width) = resize_heat(finding.heat, *plain.shape[:2]), plain.shape[:2]
        shown = blend(plain, heat, finding.mean)
        draw_seen(shown, seen)
        if finding.called and finding.heat.max() > 0:
            draw_outline(shown, heat >= finding.outline, CONTOUR)
            sides = (width, height, width, height)
            draw_boxes(shown, [], [(np.multiply(box, sides), score) for box, score in finding.detections], 1)
        verdict = finding.shown[0] + (", called" if finding.called else "")
        tiles.append((shown, finding.name, verdict, colour_of[finding.name] if finding.called else None))
    below, bars = _foot(tiles), _bars(findings, colour_of, 1)
    rows = [_row(tiles[start : start + COLUMNS], below) for start in range(0, len(tiles), COLUMNS)]
    used = len(tiles) % COLUMNS
    if used == 0 or len(bars) > SIDE:  # no place is left, or they need more than one
        used, bars = 0, _bars(findings, colour_of, COLUMNS)
        rows.append(blank_canvas(len(bars), rows[0].shape[1]))
    left = GAP + used * (SIDE + GAP)
    rows[-1][: bars.shape[0], left : left + bars.shape[1]] = bars
    foot = blank_canvas(38, rows[0].shape[1])
    end = draw_heat_key(foot, MARGIN, heat_at_1, unit)
    entries = [SEEN] * (seen is not None)
    if any(finding.called and finding.detections for finding in findings):
        entries += [("outline", CONTOUR, False), DETECTIONS]
    entries += [] if np.isnan(ratio) else [WIDTHS]
    key = legend(foot.shape[1], entries, left=max(end + 22, SIDE + 2 * GAP))
    foot[7:31, end:] = key[:24, end:]
    foot = np.vstack([foot, key[24:]])
    save_canvas(np.vstack([_head(title, notes, rows[0].shape[1]), *rows, foot]), path)


def _head(title: str, notes: Sequence[str], width: int) -> np.ndarray:
    room = width - 2 * MARGIN
    lines = [line for note in notes for line in wrap_text(note, room, 15)]
    head = blank_canvas(46 + 22 * len(lines), width)
    write_text(head, title, (MARGIN, 30), 20, TEXT, room, weight=600)
    for number, line in enumerate(lines):
        write_text(head, line, (MARGIN, 54 + 22 * number), 15, DETECTION, room)
    return head


def _outlined(plain: np.ndarray, mask: np.ndarray | None, widths: Widths) -> np.ndarray:
    shown = plain.copy()
    if mask is not None:
        draw_outline(shown, mask >= 128, MASK)
    draw_widths(shown, widths)
    return shown


def _foot(tiles) -> int:
    """Height of what stands below a film: of two lines where a name has no room beside its probability."""
    widest = max(text_width(name, 16, 600) + text_width(verdict, 16, 600) for _, name, verdict, _ in tiles)
    return FOOT if widest <= SIDE - 4 - 10 else FOOT + 22


def _row(tiles, below: int) -> np.ndarray:
    """Up to four tiles (shown, name, verdict, colour of the frame or None) side by side."""
    canvas = blank_canvas(SIDE + below + GAP, GAP + COLUMNS * (SIDE + GAP))
    for number, (shown, name, verdict, colour) in enumerate(tiles):
        x = GAP + number * (SIDE + GAP)
        height, width = shown.shape[:2]
        top, left = (SIDE - height) // 2, x + (SIDE - width) // 2
        canvas[top : top + height, left : left + width] = shown
        weight = 600 if colour else 400
        size = fitting_size(name, 16, SIDE - 4, weight)
        end = write_text(canvas, name, (x + 2, SIDE + 20), size, TEXT, SIDE - 4, weight) + 10
        corner = (end, SIDE + 20) if below == FOOT else (x + 2, SIDE + 42)
        write_text(canvas, verdict, corner, 16, TEXT if colour else DIM, SIDE, weight=600)
        if colour:
            cv2.rectangle(canvas, (x, 0), (x + SIDE - 1, SIDE - 1), colour, 3)
    return canvas


def _bars(findings: Sequence[FindingOnFilm], colour_of: Mapping[str, tuple[int, int, int]], columns: int) -> np.ndarray:
    """Probabilities as bars from 0 to 1, each with a tick at its threshold, in columns as wide as a film."""
    left, right = 10, SIDE - 12
    texts = [" / ".join(finding.shown) for finding in findings]
    numbers = max(84, *(text_width(text, 15, 400) for text in texts))
    beside = all(text_width(finding.name, 15, 600) <= right - left - numbers - 8 for finding in findings)
    step, name_width = (44, right - left - numbers - 8) if beside else (64, right - left)
    panel = blank_canvas(36 + step * -(-len(findings) // columns), columns * (SIDE + GAP) - GAP)
    for number, finding in enumerate(findings):
        row, column = divmod(number, columns)
        cell = panel[:, column * (SIDE + GAP) :][:, :SIDE]
        y = 12 + step * row
        weight, ink = (600, TEXT) if finding.called else (400, DIM)
        size = fitting_size(finding.name, 15, name_width, weight)
        write_text(cell, finding.name, (left, y + 14), size, ink, name_width, weight)
        y += step - 44  # a name of its own line stands above
        write_text(cell, texts[number], (right - numbers, y + 14), 15, DIM, numbers)
        cv2.rectangle(cell, (left, y + 20), (right, y + 28), (52, 52, 56), cv2.FILLED)
        end = left + round((right - left) * finding.probability)
        cv2.rectangle(cell, (left, y + 20), (end, y + 28), colour_of[finding.name], cv2.FILLED)
        tick = left + round((right - left) * min(finding.threshold, 1))
        cv2.line(cell, (tick, y + 17), (tick, y + 31), TEXT, 2)
    write_text(panel, "probability / threshold (white tick)", (left, len(panel) - 10), 14, DIM, SIDE - 20)
    return panel
