"""One picture a new film: the film with its lung mask, the map of each finding, and probabilities with thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cxr.core.findings import COLOURS, FINDINGS
from cxr.report.canvas import (
    CONTOUR,
    DETECTION,
    DIM,
    GAP,
    MARGIN,
    MASK,
    TEXT,
    blank_canvas,
    blend,
    draw_outline,
    fit_panel,
    resize_heat,
    rgb,
    save_canvas,
    wrap_text,
    write_text,
)

SIDE = 300  # of a film on the page, pixels
FOOT = 30  # height of the line below a film


@dataclass(frozen=True)
class Said:
    """What is said of one finding: its probability and threshold, whether it is called, its map on the film (h, w)."""

    probability: float
    threshold: float
    called: bool
    heat: np.ndarray


def film_page(
    film: np.ndarray, said: Sequence[Said], path: Path, title: str, notes: Sequence[str], mask: np.ndarray | None,
    mask_used: bool, contour_share: float,
) -> None:  # fmt: skip
    """Draw one film's page.

    Parameters
    ----------
    film : ndarray of shape (H, W), uint8
    said : sequence of F Said
        In the order of the findings.
    path : Path
    title : str
        The film's name.
    notes : sequence of str
        Below the title: what speaks against trusting these probabilities.
    mask : ndarray of shape (h, w), uint8, or None
        Lung mask, covering the whole film; ``mask_used`` says whether it passed its check.
    contour_share : float
        Share of a map's own peak that is outlined, where the finding is called.
    """
    plain, _ = fit_panel(film, SIDE)
    about = "film" if mask is None else "film, lung mask" if mask_used else "film, lung mask (not used)"
    tiles = [(_outlined(plain, mask), about, "", None)]
    for finding, one in zip(FINDINGS, said, strict=True):
        shown = blend(plain, resize_heat(one.heat, *plain.shape[:2]))
        if one.called and one.heat.max() > 0:
            heat = resize_heat(one.heat, *plain.shape[:2])
            draw_outline(shown, heat >= contour_share * heat.max(), CONTOUR)
        verdict = f"{one.probability:.2f}" + (", called" if one.called else "")
        tiles.append((shown, finding, verdict, rgb(COLOURS[finding]) if one.called else None))
    rows = [_row(tiles[:4]), _row(tiles[4:], _bars(said))]
    width = rows[0].shape[1]
    save_canvas(np.vstack([_head(title, notes, width), *rows]), path)


def _head(title: str, notes: Sequence[str], width: int) -> np.ndarray:
    room = width - 2 * MARGIN
    lines = [line for note in notes for line in wrap_text(note, room, 15)]
    head = blank_canvas(46 + 22 * len(lines), width)
    write_text(head, title, (MARGIN, 30), 20, TEXT, room, weight=600)
    for number, line in enumerate(lines):
        write_text(head, line, (MARGIN, 54 + 22 * number), 15, DETECTION, room)
    return head


def _outlined(plain: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    shown = plain.copy()
    if mask is not None:
        draw_outline(shown, mask >= 128, MASK)
    return shown


def _row(tiles, last: np.ndarray | None = None) -> np.ndarray:
    """Four tiles (shown, name, verdict, colour of the frame or None) side by side, ``last`` in place of the fourth."""
    canvas = blank_canvas(SIDE + FOOT + GAP, GAP + 4 * (SIDE + GAP))
    for number, (shown, name, verdict, colour) in enumerate(tiles):
        x = GAP + number * (SIDE + GAP)
        height, width = shown.shape[:2]
        top, left = (SIDE - height) // 2, x + (SIDE - width) // 2
        canvas[top : top + height, left : left + width] = shown
        end = write_text(canvas, name, (x + 2, SIDE + 20), 16, TEXT, SIDE - 4, weight=600 if colour else 400)
        write_text(canvas, verdict, (end + 10, SIDE + 20), 16, TEXT if colour else DIM, SIDE, weight=600)
        if colour:
            cv2.rectangle(canvas, (x, 0), (x + SIDE - 1, SIDE - 1), colour, 3)
    if last is not None:
        canvas[:SIDE, GAP + 3 * (SIDE + GAP) :][:, :SIDE] = last
    return canvas


def _bars(said: Sequence[Said]) -> np.ndarray:
    """Probabilities as bars from 0 to 1, each with a tick at its threshold."""
    panel = blank_canvas(SIDE, SIDE)
    left, right = 10, SIDE - 12
    for number, (finding, one) in enumerate(zip(FINDINGS, said, strict=True)):
        y = 12 + 44 * number
        write_text(
            panel, finding, (left, y + 14), 15, TEXT if one.called else DIM, 170, weight=600 if one.called else 400
        )
        write_text(panel, f"{one.probability:.2f} / {one.threshold:.2f}", (right - 84, y + 14), 15, DIM, 84)
        cv2.rectangle(panel, (left, y + 20), (right, y + 28), (52, 52, 56), cv2.FILLED)
        end = left + round((right - left) * one.probability)
        cv2.rectangle(panel, (left, y + 20), (end, y + 28), rgb(COLOURS[finding]), cv2.FILLED)
        tick = left + round((right - left) * min(one.threshold, 1))
        cv2.line(panel, (tick, y + 17), (tick, y + 31), TEXT, 2)
    write_text(panel, "probability / threshold (white tick)", (left, SIDE - 10), 14, DIM, SIDE - 20)
    return panel
