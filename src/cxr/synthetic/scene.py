"""Where findings are drawn, and what they have left there so far."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from cxr.synthetic.frame import Frame
from cxr.synthetic.outlines import Chest, Pose
from cxr.synthetic.patients import Anatomy, Patient


@dataclass
class Scene:
    """Where findings are drawn, and what they have left there so far; arrays are (G, G) over the film."""

    frame: Frame  # of the grid
    anatomy: Anatomy
    pose: Pose
    chest: Chest
    x: np.ndarray  # body coordinates
    y: np.ndarray
    lungs: tuple[np.ndarray, ...]  # 0..1, right lung first, without heart and mediastinum
    sides: tuple[np.ndarray, ...]  # 0..1, the half chests above the diaphragm, heart kept
    filled: np.ndarray = None  # share of the air that is replaced
    blurred: np.ndarray = None  # share of the markings' sharpness that is lost
    collapsed: np.ndarray = None  # 1 where the pleural space holds air and no lung
    rind: np.ndarray = None  # share that is thick pleura, which nobody takes for lung
    lines: list = field(default_factory=list)  # (body points (n, 2), width, stopped rays): negative is air
    boxes: dict = field(default_factory=dict)

    def __post_init__(self):
        for name in ("filled", "blurred", "collapsed", "rind"):
            setattr(self, name, np.zeros_like(self.x))

    def fill(self, share: np.ndarray) -> None:
        """Replace a share (G, G) of the air that is still there; below 0 there is more air."""
        self.filled = 1 - (1 - self.filled) * (1 - share)

    def mark(self, finding: str, mask: np.ndarray) -> None:
        """Note the box around a mask (G, G) for a finding."""
        box = self.frame.box(mask)
        if box is not None:
            self.boxes.setdefault(finding, []).append(box)


def draw_severity(rng: np.random.Generator, severity_scale: float = 1.0) -> float:
    """Severity in (0, 1]: 0.1 + 0.9 Beta(2, 2), times the scale; fixed before anything was trained on the films."""
    return float(severity_scale * (0.1 + 0.9 * rng.beta(2, 2)))


def heart_ratio(rng: np.random.Generator, patient: Patient, view: str, severity: float, edema: float) -> float:
    """Cardiothoracic ratio: above 0.50 (PA) or 0.55 (AP) with cardiomegaly, else below; many films near it."""
    limit = 0.50 if view == "PA" else 0.55
    chance = rng.standard_normal()
    if severity > 0:
        return limit + 0.008 + 0.14 * severity
    usual = limit - 0.055 + 0.03 * (0.8 * patient.anatomy.heart + 0.6 * chance) + 0.015 * edema
    return float(np.clip(usual, limit - 0.14, limit - 0.008 - 0.01 * abs(chance)))


def ragged(rng: np.random.Generator, size: int, finest: int = 32) -> np.ndarray:
    """Noise (size, size) of about unit spread with structure at several scales, as edges of real opacities have."""
    total = np.zeros((size, size), np.float32)
    cells, weight = 4, 1.0
    while cells <= finest:
        coarse = rng.standard_normal((cells, cells), dtype=np.float32)
        total += weight * cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        cells, weight = cells * 2, weight * 0.62
    return total / 1.1


def smooth_step(value: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, smooth between."""
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)
