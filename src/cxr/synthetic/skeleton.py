"""Bones of a synthetic film: where they lie, and the rays that they stop."""

import cv2
import numpy as np

from cxr.synthetic.frame import band, rounded
from cxr.synthetic.outlines import Pose, chest_half_width
from cxr.synthetic.patients import SIDES, Anatomy


def spine_x(anatomy: Anatomy, y: float | np.ndarray) -> np.ndarray:
    """x of the spine at y, body units."""
    return anatomy.spine_curve * np.sin(2.2 * (np.asarray(y) + 0.8))


def ribs(anatomy: Anatomy, pose: Pose, angle_y: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre lines of the ribs, back arcs (22, n, 2) and front arcs (16, n, 2).

    A rib is an ellipse in a plane that falls forwards, seen from the front; so both arcs meet at the chest wall.
    """
    spacing = anatomy.lung_height / 8.8 * (0.80 + 0.20 * pose.inspiration)
    uneven = np.random.default_rng([anatomy.tree_seed, 9]).normal(0, 1, (2, 22))  # no two ribs are quite parallel
    number, side = np.tile(np.arange(11), 2), np.repeat(SIDES, 11)
    start = anatomy.apex + 0.02 + spacing * (number - 0.4 + 0.012 * number) + 0.009 * uneven[0]
    drop = anatomy.rib_slope * (0.50 + 0.50 * np.minimum(1.0, number / 5)) * (0.75 + 0.25 * pose.inspiration)
    drop += 0.030 * uneven[1]
    reach = chest_half_width(anatomy, (start + 0.5 * drop - anatomy.apex) / (angle_y - anatomy.apex), side) + 0.012
    shape = np.stack([side, start, drop, reach], axis=1)
    back = _arcs(anatomy, shape, np.linspace(0.03, 0.53, 22)[None] * np.pi)
    has_front = number < 8
    end = 0.80 - 0.012 * number[has_front]
    angle = 0.47 + (end - 0.47)[:, None] * np.linspace(0, 1, 18)
    front = _arcs(anatomy, shape[has_front], angle * np.pi) + np.array([0.6 * pose.turn, 0])
    return back, front


def _arcs(anatomy, shape, angle):
    """Parts of ribs (R, n, 2): side, start, drop and reach of each (R, 4), angle around the chest (R or 1, n)."""
    side, start, drop, reach = (column[:, None] for column in shape.T)
    x = 0.05 + (reach - 0.05) * np.sin(angle)
    y = start + drop * (1 - np.cos(angle)) / 2 - 0.045 * np.sin(np.clip(angle * 2.6, 0, np.pi))
    y += 0.45 * drop * np.clip(angle / np.pi - 0.5, 0, 1)  # in front the ribs fall more steeply, to their cartilage
    return np.stack([side * x + spine_x(anatomy, start) * np.clip(1 - x / 0.4, 0, 1), y], axis=-1)


def clavicles(anatomy: Anatomy, pose: Pose) -> np.ndarray:
    """Centre lines of the two clavicles, (2, n, 2); in AP films they stand higher and straighter."""
    along = np.linspace(0, 1, 20)
    medial_y = anatomy.apex + (0.17 if pose.view == "PA" else 0.09)
    rise = (0.13 if pose.view == "PA" else 0.10) - pose.shrug
    bow = 0.028 + 0.012 * np.tanh(20 * anatomy.shoulder)
    lines = []
    for side in SIDES:
        x = 0.065 + along * (anatomy.half_width * 1.24 - 0.065)
        y = medial_y - rise * along**0.85 + bow * np.sin(2 * np.pi * along**1.1) + anatomy.shoulder * along
        lines.append(np.column_stack([side * x + 1.4 * pose.turn, y + side * 0.8 * pose.turn]))
    return np.stack(lines)


def scapulae(anatomy: Anatomy, pose: Pose) -> list[np.ndarray]:
    """Outlines of the two shoulder blades, (n, 2) each: beside the lungs in PA films, over them in AP films."""
    inner = anatomy.half_width * (0.84 if pose.view == "PA" else 0.68) + 0.45 * pose.arms
    top = anatomy.apex + 0.10 + anatomy.shoulder + 0.6 * pose.shrug
    outer = anatomy.half_width * 1.30
    x = np.array([0.06, 0.12, 0.22])
    x = np.concatenate([inner + x, outer - np.array([0.03, 0.0, 0.03]), inner + np.array([0.20, 0.10, 0.05, 0.0])])
    y = top + np.array([0.04, -0.01, 0.03, 0.02, 0.09, 0.17, 0.38, 0.66, 0.68, 0.30])
    return [rounded(np.column_stack([side * x, y])) for side in SIDES]


BONE_LEVELS = 400.0  # gray levels in a bone canvas for one unit of rays stopped


def _bones(frame, scene):
    """Rays stopped by ribs, clavicles, shoulder blades, arms and spine, float32 (size, size)."""
    anatomy, pose = scene.anatomy, scene.pose
    back, front = ribs(anatomy, pose, scene.chest.angle_y)
    width = anatomy.rib_width
    girth = np.interp(np.linspace(0, 1, 20), [0, 0.15, 0.6, 1], [0.070, 0.046, 0.040, 0.058])
    rng = np.random.default_rng([anatomy.tree_seed, 11])  # no two ribs, and no two films' bones, stand out alike
    plain = rng.uniform(0.65, 1.25)
    fade = {"back": rng.uniform(0.75, 1.2, len(back)), "front": rng.uniform(0.35, 1.15, len(front))}
    fade["back"] *= np.tile([1.0] * 9 + [0.5, 0.25], 2)  # the last ribs lie in the belly
    collar = clavicles(anatomy, pose)
    parts = [  # centre lines, width, filling, edge, strength of each
        (back, width, 0.075, 0.040, plain * fade["back"]),
        (front, 1.15 * width, 0.050, 0.026, plain * fade["front"]),
        (collar, girth, 0.085, 0.050, np.full(2, 0.5 + 0.5 * plain)),
    ]
    total = np.zeros((frame.size, frame.size), np.uint8)
    for lines, wide, inside, rim, strength in parts:
        canvas = np.zeros_like(total)
        outer, inner = band(lines, wide), band(lines, np.maximum(wide - 0.013, 0.004))
        for number, amount in enumerate(strength * BONE_LEVELS):
            frame.fill(outer[number : number + 1], canvas, (inside + rim) * amount)
            frame.fill(inner[number : number + 1], canvas, inside * amount)
        cv2.add(total, canvas, total)
    blades = scapulae(anatomy, pose)
    canvas = frame.fill(blades, value=0.040 * BONE_LEVELS)
    frame.stroke([np.vstack([blade, blade[:1]]) for blade in blades], 0.012, canvas, 0.065 * BONE_LEVELS)
    cv2.add(total, canvas, total)
    cv2.add(total, _humeri(frame, anatomy, pose), total)
    total = cv2.GaussianBlur(total, (0, 0), 0.0048 * frame.scale)
    cv2.add(total, _spine(frame, anatomy), total)
    return cv2.multiply(total, anatomy.bone / BONE_LEVELS, dtype=cv2.CV_32F)


def _humeri(frame, anatomy, pose):
    """Upper arms with their heads, uint8 (size, size)."""
    lines, heads = [], []
    for side in SIDES:
        head = np.array([1.38 * anatomy.half_width, anatomy.apex + anatomy.shoulder + 0.16])
        angle = np.linspace(0, 2 * np.pi, 24)
        heads.append((head + 0.085 * np.column_stack([np.cos(angle), np.sin(angle)])) * [side, 1])
        shaft = head + np.array([0.02, 0.03])
        far = [anatomy.half_width + 0.36 + pose.arms + 0.08 * anatomy.habitus, 0.6]
        lines.append(np.linspace(shaft, far, 8) * [side, 1])
    canvas = frame.fill([band(line, 0.095) for line in lines], value=0.17 * BONE_LEVELS)
    frame.fill([band(line, 0.055) for line in lines], canvas, 0.09 * BONE_LEVELS)
    return frame.fill(heads, canvas, 0.12 * BONE_LEVELS)


def _spine(frame, anatomy):
    """Vertebral bodies with their end plates, pedicles and spinous processes, uint8 (size, size)."""
    y = np.linspace(-1.7, 1.7, 60)
    column = np.column_stack([spine_x(anatomy, y), y])
    canvas = frame.fill([band(column, np.interp(y, [-1.2, -0.8, 1.0], [0.13, 0.135, 0.19]))], value=0.17 * BONE_LEVELS)
    plates, pedicles, processes = [], [], []
    level, step = -1.4, 0.085
    while level < 1.5:
        half = 0.5 * np.interp(level, [-1.2, 1.0], [0.13, 0.19])
        middle = float(spine_x(anatomy, level))
        plates.append(np.array([[middle - half, level], [middle, level + 0.008], [middle + half, level]]))
        for side in SIDES:
            x = middle + side * half * 0.62
            pedicles.append(np.array([[x, level + 0.25 * step], [x, level + 0.50 * step]]))
        processes.append(np.array([[middle, level + 0.35 * step], [middle + 0.004, level + 0.75 * step]]))
        level += step
        step *= 1.025
    frame.stroke(plates, 0.014, canvas, 0.22 * BONE_LEVELS)
    frame.stroke(pedicles, 0.020, canvas, 0.24 * BONE_LEVELS)
    frame.stroke(processes, 0.022, canvas, 0.22 * BONE_LEVELS)
    neck = frame.pixels([0.0, anatomy.apex])[1] / frame.size  # thinner bones above the chest
    rows = (0.55 + 0.45 * np.clip((np.linspace(0, 1, frame.size) - neck) / 0.15 + 0.5, 0, 1)).astype(np.float32)
    canvas = (canvas * rows[:, None]).astype(np.uint8)
    return cv2.GaussianBlur(canvas, (0, 0), 0.013 * frame.scale)
