"""Outlines of chest, heart and mediastinum in one film, in body coordinates."""

from dataclasses import dataclass

import numpy as np

from cxr.synthetic.frame import rounded
from cxr.synthetic.patients import SIDES, Anatomy


@dataclass(frozen=True)
class Pose:
    """How the patient stood or lay for one film."""

    view: str
    supine: bool
    inspiration: float  # 1 full, lower when the domes stand higher
    turn: float  # shift of frontal structures against the spine by rotation of the chest, body units
    heart_ratio: float  # cardiothoracic ratio to draw
    arms: float  # how far the arms hang away from the chest
    shrug: float  # how much lower the outer ends of the clavicles lie than usual, body units


@dataclass(frozen=True)
class Chest:
    """Outlines of one film in body coordinates, each (n, 2); lists hold the right lung first."""

    thorax: tuple[np.ndarray, ...]  # inner chest wall, running on below the diaphragm
    dome: tuple[np.ndarray, ...]  # diaphragm line, medial to lateral
    hemithorax: tuple[np.ndarray, ...]  # what lies above the diaphragm, to the midline
    heart: np.ndarray
    mediastinum: np.ndarray
    hilum: tuple[np.ndarray, ...]
    angle_y: float  # y of the costophrenic angles
    dome_y: tuple[float, ...]


def chest_half_width(anatomy: Anatomy, fraction: np.ndarray, side: int = 0) -> np.ndarray:
    """Inner half width of the chest (n,) at a fraction (n,) of the way from apex to costophrenic angle.

    side : -1 the patient's right, 1 the left, 0 the middle of both.
    """
    left = 1 - np.clip(fraction / 0.92, 0, 1)
    return anatomy.half_width * (1 + side * anatomy.skew) * (0.40 + 0.60 * (1 - left**2.3) ** 0.60)


def chest_outlines(anatomy: Anatomy, pose: Pose) -> Chest:
    """Outlines of lungs, heart and mediastinum for one pose: a Chest."""
    low = (0.18 + 0.05 * pose.inspiration) * anatomy.dome_arch  # depth of the costophrenic angle below the dome
    dome_right = anatomy.apex + anatomy.lung_height * pose.inspiration
    dome_y = (dome_right, dome_right + anatomy.dome_gap)
    angle_y = dome_right + low + 0.5 * anatomy.dome_gap
    thorax, domes, hemithorax = [], [], []
    for side, top in zip(SIDES, dome_y, strict=True):
        wall = wall_outline(anatomy, side, angle_y)
        below = np.array([[wall[-1, 0], angle_y + 0.35], [0.0, angle_y + 0.35]])
        thorax.append(np.vstack([wall, below]))
        dome = _dome(anatomy, side, top, angle_y)
        domes.append(dome)
        hemithorax.append(np.vstack([wall, dome[::-1]]))
    heart = heart_outline(anatomy, pose, dome_y[1])
    hilum_y = anatomy.apex + 0.49 * anatomy.lung_height * pose.inspiration
    hilum = (np.array([-0.155 + pose.turn, hilum_y + 0.03]), np.array([0.165 + pose.turn, hilum_y]))
    mediastinum = _mediastinum(anatomy, pose, heart, hilum_y)
    return Chest(tuple(thorax), tuple(domes), tuple(hemithorax), heart, mediastinum, hilum, angle_y, dome_y)


def wall_outline(anatomy: Anatomy, side: int, angle_y: float) -> np.ndarray:
    """Inner chest wall from the medial apex over the top and down to the costophrenic angle, (n, 2)."""
    fraction = np.linspace(0, 1, 48) ** 2.2
    lateral = chest_half_width(anatomy, fraction, side)
    y = anatomy.apex + fraction * (angle_y - anatomy.apex)
    medial_x = np.array([0.04, 0.08, 0.13, 0.19, 0.235]) * anatomy.half_width / 0.69
    medial_y = anatomy.apex + np.array([0.30, 0.13, 0.060, 0.018, 0.004])
    x = np.concatenate([medial_x, lateral])
    return np.column_stack([side * x, np.concatenate([medial_y, y])])


def _dome(anatomy, side, top, angle_y):
    """Diaphragm of one side from the midline to the costophrenic angle, (n, 2)."""
    x = np.linspace(0, 1, 30)
    peak = anatomy.dome_peak + 0.03 * side
    outer = np.clip((x - peak) / (1 - peak), 0, 1)
    inner = np.clip((peak - x) / peak, 0, 1)
    fall = anatomy.dome_round * outer**2.2 + (1 - anatomy.dome_round) * (1 - np.sqrt(np.clip(1 - outer**4, 0, 1)))
    y = top + (angle_y - top) * fall + (0.03 + 0.05 * anatomy.dome_round) * inner**2
    return np.column_stack([side * x * anatomy.half_width * (1 + side * anatomy.skew), y])


def heart_outline(anatomy: Anatomy, pose: Pose, dome_left: float) -> np.ndarray:
    """Closed outline of the heart (n, 2), as wide as the cardiothoracic ratio says, lying on the diaphragm."""
    width = pose.heart_ratio * 2 * anatomy.half_width
    height = (0.27 + 0.40 * width) * (1.30 - 0.48 * anatomy.heart_tilt)
    lean = 0.10 * (anatomy.heart_tilt - 0.62)  # an upright heart has its apex nearer the midline
    x = [-0.10, -0.24, -0.32, -0.35, -0.33, -0.22, 0.05, 0.40, 0.60, 0.68]
    x += [0.64 - lean, 0.52 - lean, 0.38 - lean, 0.25, 0.05]
    y = [-0.05, 0.12, 0.36, 0.62, 0.86, 1.03, 1.10, 1.10, 1.04, 0.88, 0.66, 0.44, 0.24, 0.06, -0.06]
    outline = rounded(np.column_stack([x, y]))
    x, y = outline.T
    x = (x - x.min()) / np.ptp(x) * width - 0.34 * width + pose.turn  # a third of the heart lies right of the midline
    return np.column_stack([x, dome_left + 0.05 + height * (y - 1)])


def _mediastinum(anatomy, pose, heart, hilum_y):
    """Closed outline of the vessels above the heart, (n, 2): right border down, left border with knob and artery up."""
    top = anatomy.apex - 0.25
    knob_y = anatomy.apex + 0.27
    wide = anatomy.girth + (0.02 if pose.supine else 0.0)
    bottom = heart[:, 1].max()
    right_edge = heart[:, 0].min()
    right_x = np.array([-0.19, -0.145, -0.13, -0.135, -0.15]) - wide
    right_x = np.append(right_x, [0.85 * right_edge, 0.9 * right_edge, -0.05])
    right_y = np.array([top, anatomy.apex + 0.03, anatomy.apex + 0.15, knob_y + 0.02, hilum_y - 0.05])
    right_y = np.append(right_y, [hilum_y + 0.20, hilum_y + 0.36, bottom])
    swell = 1.15 * anatomy.knob + 2 * min(wide, 0.0)
    left_edge = heart[:, 0].max()
    left_x = [0.05, 0.55 * left_edge, 0.175 + wide, 0.165 + wide, 0.130 + wide, 0.09 + swell, 0.08 + swell]
    left_x += [0.105 + 0.5 * wide, 0.115 + wide, 0.14 + wide, 0.20 + wide]
    left_y = [bottom, hilum_y + 0.26, hilum_y + 0.10, hilum_y - 0.01, knob_y + anatomy.knob * 1.5, knob_y + 0.02]
    left_y += [knob_y - 0.5 * anatomy.knob, knob_y - 1.2 * anatomy.knob, anatomy.apex + 0.12, anatomy.apex + 0.03, top]
    outline = np.column_stack([np.append(right_x, left_x), np.append(right_y, left_y)])
    outline[:, 0] += pose.turn * np.clip((outline[:, 1] - top) / 0.5, 0, 1)
    return rounded(outline)
