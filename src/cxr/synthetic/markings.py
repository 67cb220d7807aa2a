"""Vessels, fine lung texture, and the lines that findings draw."""

import cv2
import numpy as np

from cxr.synthetic.exposure import film_grain, upsampled
from cxr.synthetic.frame import band
from cxr.synthetic.patients import SIDES
from cxr.synthetic.tissue import AIR


def vessel_tree(seed: int, side: int, hilum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Branching vessels of one lung, grown from the hilum: segments (n, 2, 2) and widths (n,), body units."""
    rng = np.random.default_rng([seed, side + 1])
    angle = np.linspace(-1.5, 1.45, 15) + rng.normal(0, 0.13, 15)
    width = (0.009 + 0.012 * np.abs(np.sin(angle)) ** 1.5) * rng.uniform(0.7, 1.3, 15)
    tip = hilum + np.column_stack([side * rng.uniform(-0.02, 0.05, 15), 0.13 * np.sin(angle) + rng.normal(0, 0.02, 15)])
    segments, widths = [], []
    for _ in range(17):
        step = rng.uniform(0.022, 0.052, len(angle)) * (0.75 + 10 * np.minimum(width, 0.02))
        after = tip + step[:, None] * np.column_stack([side * np.cos(angle), np.sin(angle)])
        segments.append(np.stack([tip, after], axis=1))
        widths.append(width)
        split = rng.random(len(angle)) < 0.27
        turn = np.where(split, rng.choice([-1, 1], len(angle)) * rng.uniform(0.25, 0.6, len(angle)), 0)
        bend = rng.normal(0, 0.15, len(angle)) + turn * 0.4
        angle = np.concatenate([angle + bend, (angle - turn * 1.3)[split]])
        tip = np.concatenate([after, after[split]])
        width = np.concatenate([width * np.where(split, 0.78, 0.91), width[split] * 0.62])
    return np.concatenate(segments), np.concatenate(widths)


LINE_LEVELS = 1200.0  # the same in a canvas of fine lines


def _add_markings(stopped, frame, scene):
    """Vessels, fine lung texture, and the lines that findings draw, in place."""
    size, anatomy = frame.size, scene.anatomy
    inside = upsampled(scene.let_through / AIR * (1 - scene.collapsed), size)
    canvas = _vessels(frame, scene)
    sharp = cv2.GaussianBlur(canvas, (0, 0), 0.0035 * frame.scale).astype(np.float32)
    if scene.blurred.max() > 0:
        veiled = upsampled(cv2.GaussianBlur(cv2.resize(canvas, scene.x.shape), (0, 0), 0.022 * scene.frame.scale), size)
        sharp += (1.1 * veiled - sharp) * upsampled(scene.blurred, size)
    texture = film_grain(np.random.default_rng(anatomy.tree_seed), size // 2, 1.1)
    texture -= cv2.GaussianBlur(texture, (0, 0), 3.3)
    sharp *= 0.17 / 255
    cv2.scaleAdd(upsampled(texture, size), 0.050, sharp, sharp)
    sharp *= inside
    cv2.scaleAdd(sharp, anatomy.lung_markings, stopped, stopped)
    dense = [line for line in scene.lines if line[2] > 0]
    airy = [line for line in scene.lines if line[2] < 0]
    # A line shows in air; air in a bronchus shows only where the lung around it holds none.
    for lines, sign, shows in ((dense, 1, 0.3 + 0.7 * np.minimum(1, 1.6 * inside)), (airy, -1, scene.filled)):
        if lines:
            canvas = np.zeros((size, size), np.uint8)
            for line, width, amount in lines:
                frame.stroke([line], width, canvas, abs(amount) * LINE_LEVELS)
            drawn = cv2.GaussianBlur(canvas, (0, 0), 0.0025 * frame.scale)
            shows = shows if len(shows) == size else upsampled(shows, size)
            stopped += sign / LINE_LEVELS * drawn * shows


def _vessels(frame, scene):
    """Vessels of both lungs with the large arteries at the hila, uint8 (size, size)."""
    canvas = np.zeros((frame.size, frame.size), np.uint8)
    for side, sign in enumerate(SIDES):
        hilum = scene.chest.hilum[side]
        segments, widths = vessel_tree(scene.anatomy.tree_seed, sign, hilum)
        for low, high in ((0, 3e-3), (3e-3, 5e-3), (5e-3, 8e-3), (8e-3, 12e-3), (12e-3, 17e-3), (17e-3, 1)):
            chosen = (widths >= low) & (widths < high)
            if chosen.any():
                width = float(widths[chosen].mean())
                frame.stroke(segments[chosen], 1.1 * width, canvas, 70 + 185 * min(1.0, width / 0.016))
    hila = _hila(frame.resized(scene.frame.size), scene)
    return cv2.max(canvas, cv2.resize(hila, canvas.shape, interpolation=cv2.INTER_LINEAR))


def _hila(coarse, scene):
    """The large arteries and veins at the roots of the lungs, uint8 (G, G)."""
    rng = np.random.default_rng([scene.anatomy.tree_seed, 12])
    canvas = np.zeros((coarse.size, coarse.size), np.uint8)
    along = np.linspace(0, 1, 10)[:, None]
    for hilum, sign in zip(scene.chest.hilum, SIDES, strict=True):
        plump = rng.uniform(0.75, 1.15)
        for reach, curl, girth, value in (
            ([0.085, 0.30], [-0.03, 0.0], 0.052, 215),  # descending artery
            ([0.10, -0.17], [0.03, 0.0], 0.042, 180),  # upper lobe
            ([0.16, -0.03], [0.0, -0.03], 0.034, 160),
            ([0.15, 0.15], [0.0, 0.05], 0.036, 150),  # lower vein
        ):
            reach = np.array(reach) * rng.uniform(0.8, 1.15)
            line = hilum + ([0.01, 0.0] + along * reach + along**2 * curl) * [sign, 1]
            taper = girth * plump * np.linspace(1.0, 0.15, 10)
            coarse.fill([band(line, taper)], canvas, value)
    return cv2.GaussianBlur(canvas, (0, 0), 0.013 * coarse.scale)
