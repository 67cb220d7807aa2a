"""How a synthetic film is exposed, processed and labelled: what differs between hospitals.

Rays stopped (bright = dense) become gray levels by a tone curve with a foot and a shoulder, as on film.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Hospital:
    """How a hospital's films look; means, the films scatter about them."""

    dark: float  # gray level of the lungs
    bright: float  # gray level of the mediastinum
    detail: float  # strength of the edge enhancement
    noise: float
    zoom: float
    marker: str  # letter burnt in
    marker_place: tuple[float, float]  # share of width and height
    supine: float  # share of AP films taken lying


HOSPITALS = {
    "nih": Hospital(76, 232, 0.35, 0.010, 1.00, "L", (0.93, 0.08), 0.45),
    "chexpert": Hospital(90, 222, 0.20, 0.013, 1.04, "L", (0.92, 0.15), 0.50),
    "montgomery": Hospital(58, 236, 0.10, 0.008, 0.96, "R", (0.04, 0.10), 0.0),
    "shenzhen": Hospital(98, 220, 0.75, 0.008, 0.98, "R", (0.27, 0.07), 0.0),
}


def upsampled(array: np.ndarray, size: int) -> np.ndarray:
    """A grid as smooth float32 (size, size)."""
    return cv2.resize(np.ascontiguousarray(array, np.float32), (size, size), interpolation=cv2.INTER_LINEAR)


def film_grain(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    """Noise (size, size) float32 of unit spread before it is blurred; evenly distributed, for speed."""
    return cv2.GaussianBlur((rng.random((size, size), dtype=np.float32) - 0.5) * 3.46, (0, 0), sigma)


def expose(rng: np.random.Generator, stopped: np.ndarray, site: Hospital, lung: float, middle: float) -> np.ndarray:
    """Gray film (size, size) uint8: edge enhancement, quantum noise, then the hospital's tone curve.

    lung, middle : rays stopped in an ordinary lung and mediastinum, which get the hospital's gray levels.
    """
    size = len(stopped)
    small = cv2.resize(stopped, (size // 8, size // 8), interpolation=cv2.INTER_AREA)
    around = upsampled(cv2.GaussianBlur(small, (0, 0), size / 8 * 0.085), size)
    detail = site.detail * rng.uniform(0.6, 1.4)
    cv2.addWeighted(stopped, 1 + detail, around, -detail, 0, stopped)
    noise = 1.8 * site.noise * np.exp(rng.normal(0, 0.25))
    grain = film_grain(rng, size, 0.65)
    grain *= 0.5 + np.clip(stopped, 0, 1.6)  # fewer rays, more noise
    cv2.scaleAdd(grain, noise, stopped, stopped)
    dark, bright = max(12.0, site.dark + rng.normal(0, 13)), site.bright + rng.normal(0, 12)
    if rng.random() < 0.12:  # washed-out films
        dark = dark + 45
    dark = min(dark, bright - 30)
    gamma = np.exp(rng.normal(0, 0.12))
    table = _tone((np.linspace(-0.5, 2.5, 4096) - lung) / (middle - lung), dark, bright, gamma)
    index = np.clip((stopped + 0.5) * (4095 / 3), 0, 4095).astype(np.uint16)
    return table[index]


def _tone(share, dark, bright, gamma):
    """Gray levels (n,) uint8 for rays stopped (n,), 0 in the lungs and 1 in the mediastinum, with foot and shoulder."""
    gray = dark + (bright - dark) * np.where(share > 0, np.abs(share) ** gamma, 1.3 * share)
    high, low = 252.0, 4.0
    knee, foot = min(bright - 0.2 * (bright - dark), high - 4), 0.6 * dark
    above = knee + (high - knee) * (1 - np.exp(-(gray - knee) / (high - knee)))
    below = low + (foot - low) * np.exp(np.minimum(gray - foot, 0) / (foot - low))
    return np.where(gray > knee, above, np.where(gray < foot, below, gray)).astype(np.uint8)


def collimate(
    rng: np.random.Generator, pixels: np.ndarray, upper: np.ndarray, lower: np.ndarray, view: str
) -> np.ndarray:
    """Blacken, or leave unexposed, what lies beyond the shutters of the beam: pixels (size, size) uint8, in place.

    upper, lower : corners (x, y) of the chest in pixels; the shutters stay clear of it.
    """
    size = len(pixels)
    if rng.random() > (0.40 if view == "PA" else 0.55):
        return pixels
    angle = np.deg2rad(rng.normal(0, 0.5 if view == "PA" else 2.0))
    # Each side lies beyond the film, or between its border and the chest.
    share = rng.uniform(-0.8, 0.8, 4)
    room = np.clip(np.concatenate([upper, size - lower]) - 0.06 * size, 0, 0.14 * size)
    left, top, right, bottom = np.where(share > 0, share * room, -0.2 * size)
    box = np.array([[left, top], [size - right, top], [size - right, size - bottom], [left, size - bottom]])
    middle = size / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (box - middle) @ turn.T + middle
    open_beam = np.zeros_like(pixels)
    cv2.fillPoly(open_beam, [np.rint(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    beyond = rng.uniform(2, 14) if rng.random() < 0.85 else rng.uniform(200, 250)
    return np.where(open_beam > 127, pixels, np.uint8(beyond))


def label(rng: np.random.Generator, pixels: np.ndarray, site: Hospital, view: str) -> np.ndarray:
    """Burn in the side marker and, on some AP films, the words for it, in place."""
    size = len(pixels)
    scale = size / 512
    x, y = np.array(site.marker_place) + rng.normal(0, 0.018, 2)
    spot = (int(np.clip(x, 0.02, 0.95) * size), int(np.clip(y, 0.05, 0.9) * size))
    font = rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX])
    cv2.putText(pixels, site.marker, spot, int(font), rng.uniform(0.5, 0.8) * scale, 245, 2, cv2.LINE_AA)
    if rng.random() < 0.4:  # initials of whoever took the film
        initials = "".join(rng.choice(list("BCDEFGHJKMNRST"), 2))
        below = (spot[0] - round(3 * scale), spot[1] + round(15 * scale))
        cv2.putText(pixels, initials, below, cv2.FONT_HERSHEY_SIMPLEX, 0.36 * scale, 230, 1, cv2.LINE_AA)
    if view == "AP" and rng.random() < 0.6:
        left = int(size * (0.05 if site.marker_place[0] > 0.5 else 0.75))
        for number, word in enumerate(("AP", "PORTABLE") if rng.random() < 0.7 else ("PORTABLE",)):
            spot = (left, int((0.05 + 0.035 * number) * size))
            cv2.putText(pixels, word, spot, cv2.FONT_HERSHEY_SIMPLEX, 0.38 * scale, 235, 1, cv2.LINE_AA)
    return pixels


def wires(rng: np.random.Generator, frame, apex: float) -> np.ndarray:
    """Leads, a central line, a tube: they come with AP films, whatever the finding.

    frame : Frame of the film. apex : y of the lung apices, body units.
    """
    canvas = np.zeros((frame.size, frame.size), np.uint8)
    for _ in range(rng.choice([0, 2, 3, 4], p=[0.25, 0.2, 0.3, 0.25])):
        end = np.array([rng.uniform(-0.65, 0.65), rng.uniform(apex + 0.15, 0.5)])
        start = np.array([rng.uniform(-1, 1), rng.choice([-1.1, 1.1])])
        along = np.linspace(0, 1, 20)[:, None]
        bow = rng.normal(0, 0.18) * np.sin(np.pi * along)
        frame.stroke([start * (1 - along) + end * along + bow * [1, 0.3]], 0.006, canvas, 130)
        frame.stroke([np.stack([end, end + 0.001])], 0.045, canvas, 200)
    if rng.random() < 0.35:  # central line through a neck or arm vein into the great vein
        along = np.linspace(0, 1, 24)[:, None]
        side = rng.choice([-1, 1])
        path = (1 - along) ** 2 * [side * 0.55, apex + 0.02] + 2 * along * (1 - along) * [side * 0.05, apex + 0.0]
        frame.stroke([path + along**2 * [-0.10, apex + 0.55]], 0.009, canvas, 110)
    if rng.random() < 0.25:  # breathing tube
        line = np.array([[0.0, -1.3], [-0.01, apex], [-0.012, apex + 0.28]])
        half = np.array([0.012, 0])
        frame.stroke([line - half, line + half], 0.005, canvas, 120)
    return (0.30 / 255) * cv2.GaussianBlur(canvas, (0, 0), 0.7).astype(np.float32)
