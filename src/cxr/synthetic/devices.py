"""What patients wear and carry, whatever the finding: pacemakers, wires, clips, tubes, chains."""

import itertools

import cv2
import numpy as np

from cxr.synthetic.frame import Frame
from cxr.synthetic.patients import Anatomy

DENSE = 0.75 / 255  # rays that metal drawn at 255 stops


def add_devices(rng: np.random.Generator, stopped: np.ndarray, frame: Frame, anatomy: Anatomy) -> None:
    """Draw some of them into the rays stopped (size, size), in place; each comes by itself."""
    canvas = np.zeros((frame.size, frame.size), np.uint8)
    for draw, share in (
        (_pacemaker, 0.25),
        (_sternal_wires, 0.25),
        (_clips, 0.3),
        (_chest_tube, 0.25),
        (_chain, 0.15),
        (_feeding_tube, 0.25),
    ):
        if rng.random() < share:
            draw(rng, frame, anatomy, canvas)
    stopped += DENSE * cv2.GaussianBlur(canvas, (0, 0), 0.7).astype(np.float32)


def _curve(points, steps=30):
    """A smooth line (steps, 2) that begins and ends at the first and last of three or four points (Bezier)."""
    points, along = np.asarray(points, float), np.linspace(0, 1, steps)[:, None]
    while len(points) > 1:
        points = [(1 - along) * before + along * after for before, after in itertools.pairwise(points)]
    return points[0]


def _pacemaker(rng, frame, anatomy, canvas):
    side = rng.choice([-1, 1], p=[0.25, 0.75])
    home = np.array(
        [side * rng.uniform(0.40, 0.60) * anatomy.half_width / 0.69, anatomy.apex + rng.uniform(0.15, 0.35)]
    )
    around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    case = (
        np.sign(np.cos(around)) * np.abs(np.cos(around)) ** 0.6,
        np.sign(np.sin(around)) * np.abs(np.sin(around)) ** 0.6,
    )
    frame.fill([home + np.column_stack(case) * rng.uniform(0.07, 0.13, 2)], canvas, rng.uniform(170, 255))
    for _ in range(rng.integers(1, 4)):
        end = np.array([rng.uniform(-0.1, 0.35), rng.uniform(0.05, 0.40)])
        frame.stroke(
            [_curve([home, [side * 0.2, anatomy.apex - 0.05], [-0.15, anatomy.apex + 0.4], end])], 0.010, canvas, 200
        )


def _sternal_wires(rng, frame, anatomy, canvas):
    around, x = np.linspace(0, 2 * np.pi, 16), rng.normal(0, 0.03)
    for y in anatomy.apex + 0.25 + np.arange(rng.integers(3, 8)) * rng.uniform(0.10, 0.15):
        ring = np.array([x, y]) + [0.035, 0.02] * np.column_stack([np.cos(around), np.sin(around)]) * rng.uniform(
            0.7, 1.2, 2
        )
        frame.stroke([ring], 0.008, canvas, 220)


def _clips(rng, frame, anatomy, canvas):
    middle = np.array([rng.uniform(-0.5, 0.5), rng.uniform(anatomy.apex + 0.2, 0.6)])
    for start in middle + rng.normal(0, 0.09, (rng.integers(2, 10), 2)):
        frame.stroke([np.stack([start, start + rng.normal(0, 0.012, 2)])], 0.010, canvas, 220)


def _chest_tube(rng, frame, anatomy, canvas):
    side = rng.choice([-1, 1])
    start = [side * (anatomy.half_width + 0.25), rng.uniform(0.0, 0.45)]
    end = [side * rng.uniform(0.1, 0.5), anatomy.apex + rng.uniform(0.05, 0.6)]
    line = _curve([start, [side * anatomy.half_width * 0.9, rng.uniform(-0.3, 0.4)], end])
    half = np.array([0.016, 0.0])
    frame.stroke([line - half, line + half], 0.007, canvas, 120)


def _chain(rng, frame, anatomy, canvas):
    wide, low = rng.uniform(0.2, 0.4), anatomy.apex + rng.uniform(0.05, 0.35)
    line = _curve([[-wide, anatomy.apex - 0.2], [-0.1, low], [0.1, low], [wide, anatomy.apex - 0.2]], 60)
    frame.stroke(list(np.stack([line, line + 0.004], axis=1)), 0.012, canvas, 200)


def _feeding_tube(rng, frame, anatomy, canvas):
    end = [rng.uniform(0.05, 0.35), rng.uniform(0.5, 0.8)]
    frame.stroke([_curve([[0.0, -1.4], [rng.normal(0, 0.04), 0.0], [0.05, 0.4], end])], 0.010, canvas, 130)
