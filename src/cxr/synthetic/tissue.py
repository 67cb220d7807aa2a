"""Rays stopped by soft tissue and heart, less those that the lungs' air lets through."""

import cv2
import numpy as np

from cxr.synthetic.exposure import upsampled
from cxr.synthetic.frame import band, rounded
from cxr.synthetic.patients import SIDES
from cxr.synthetic.scene import ragged, smooth_step

AIR = 0.80  # rays that the air of a full lung lets through, where the mediastinum stops about 1.35


def _depth(mask, scale, soft=0.8):
    """Distance to the border of a mask, body units, at most 3: a mask without a border in the film has no end."""
    depth = np.minimum(cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3) / scale, 3)
    return cv2.GaussianBlur(depth, (0, 0), soft)  # whole pixels would leave steps along the border


def _tissue(rng, frame, scene, patient):
    """Rays stopped by soft tissue and heart, less those the lungs' air lets through, (size, size)."""
    anatomy, pose, chest, coarse = scene.anatomy, scene.pose, scene.chest, scene.frame
    torso, arms = _outlines(anatomy, pose, chest)
    depth = _depth(coarse.fill([torso]), coarse.scale, 1.6)
    trunk = 1.30 - 0.95 * np.exp(-depth / 0.16) - 0.35 * np.exp(-depth / 0.024)
    limbs = 0.85 * (1 - np.exp(-_depth(coarse.fill(arms), coarse.scale, 1.6) / 0.07))
    below = smooth_step((scene.y - anatomy.apex - 0.05) / 0.45)
    trunk *= anatomy.shoulders + (1 - anatomy.shoulders) * below
    stopped = np.maximum(trunk, limbs) * (0.93 + 0.16 * anatomy.habitus)
    belly = np.clip((scene.y - 0.25) / 0.8, 0, 1) * np.clip(3 * trunk - 0.6, 0, 1)
    liver = smooth_step(0.5 - scene.x / 0.5) * smooth_step((scene.y - chest.dome_y[0]) / 0.3)
    stopped += belly * (0.12 + 0.10 * liver + 0.05 * ragged(rng, coarse.size, 8))
    stopped *= 1 + 0.025 * ragged(rng, coarse.size, 8)
    # A beam or a patient a little askew: one side, or one end, is lighter.
    stopped += np.float32(rng.normal(0, 0.045)) * scene.x + np.float32(rng.normal(0, 0.05)) * scene.y
    stopped += _muscle_and_hilum(rng, scene, patient) * (0.3 + 0.7 * (scene.lungs[0] + scene.lungs[1]))
    if anatomy.breast:
        stopped += _breasts(rng, scene) * (0.35 + 0.65 * np.clip(scene.sides[0] + scene.sides[1], 0, 1))
    air = np.zeros_like(stopped)
    for side in range(2):
        wall = 1 - np.exp(-_depth(coarse.fill([chest.thorax[side]]), coarse.scale) / 0.085)
        dome = cv2.GaussianBlur(scene.sides[side], (0, 0), 0.6)
        behind = 0.13 * np.exp(-np.clip(scene.y - chest.dome_y[side], 0, None) / 0.13)  # lung behind the dome
        air += AIR * wall * np.maximum(dome, behind) * (0.90 + 0.10 * np.cos(2 * (scene.y - chest.hilum[side][1])))
    solid = _depth(coarse.fill([chest.heart, chest.mediastinum]), coarse.scale, 1.4)
    # The heart is thick in its middle and thin towards the apex, the vessels above the arch are thin.
    thick = 0.35 - 0.15 * np.clip((scene.x - pose.turn) / anatomy.half_width, 0, 1)
    thick *= 0.74 + 0.26 * smooth_step((scene.y - anatomy.apex) / 0.45)
    middle = 0.25 * (1 - np.exp(-solid / 0.022)) + thick * (1 - np.exp(-solid / 0.12))
    air = np.clip(air - middle, 0.10 * air, None)
    stopped += 0.17 * (1 - np.exp(-solid / 0.16)) * thick / 0.35
    let_through = air * (1 - scene.filled) * (1 + 0.10 * scene.collapsed)
    stopped -= let_through
    _add_abdominal_gas(rng, stopped, scene)
    scene.let_through = let_through
    # Scattered rays veil what lies in dense parts: bones fade over heart and belly.
    scene.contrast = 0.16 + 0.84 / (1 + np.exp((cv2.blur(stopped, (9, 9)) - 1.14) / 0.13))
    airway = cv2.GaussianBlur(_airway(frame, scene), (0, 0), frame.scale * 0.013)
    full = upsampled(stopped, frame.size)
    full -= cv2.multiply(airway, 0.15 / 255, dtype=cv2.CV_32F)
    return full


def _outlines(anatomy, pose, chest):
    """Outline of the trunk with neck and shoulders (n, 2), and of both arms."""
    fat = (0.085 + 0.19 * anatomy.habitus) * anatomy.flank
    wide = anatomy.half_width
    top = anatomy.apex + anatomy.shoulder
    x = np.array([0.31, 0.29, 0.36, 0.62, 1.18 * wide, 1.50 * wide, 1.62 * wide, 1.45 * wide, wide + fat + 0.05])
    y = np.array([-1.6, top - 0.36, top - 0.25, top - 0.15, top - 0.07, top + 0.08, top + 0.34, top + 0.50, top + 0.62])
    x = np.append(x, [wide + fat, wide + fat + 0.02, wide + fat + 0.03 + 0.08 * anatomy.habitus])
    y = np.append(y, [top + 0.95, chest.angle_y + 0.05, 1.9])
    x[:2] += 0.05 * anatomy.habitus
    right = np.column_stack([x, y])
    torso = rounded(np.vstack([right, right[::-1] * [-1, 1]]))
    arms = []
    for side in SIDES:
        away = wide + fat + 0.12 + pose.arms
        arm = [[1.30 * wide, top + 0.02], [1.58 * wide, top + 0.10], [away + 0.24, 0.35], [away + 0.26, 1.8]]
        arm += [[away + 0.02, 1.8], [away, 0.35], [1.25 * wide, top + 0.42]]
        arms.append(rounded(np.array(arm) * [side, 1]))
    return torso, arms


def _breasts(rng, scene):
    """Breast shadows with a soft upper and a clear lower edge."""
    radius = scene.anatomy.breast
    shadow = np.zeros_like(scene.x)
    sag = rng.uniform(0.02, 0.12)
    for side in SIDES:
        u = (scene.x - side * 0.58 * scene.anatomy.half_width - side * 0.04) / (1.18 * radius)
        v = (scene.y - scene.anatomy.apex - 0.72 - sag - scene.anatomy.sag) / radius
        v = np.where(v < 0, v * 0.62, v)
        shadow += np.clip(1 - u * u - v * v, 0, 1) ** (0.5 + smooth_step(-v / 0.5))
    return shadow * (0.35 + 0.5 * radius) * 0.45


def _muscle_and_hilum(rng, scene, patient):
    """Haze that healthy films have: chest muscles in the middle of the lungs, crowded vessels around the hila."""
    anatomy, chest = scene.anatomy, scene.chest
    muscle = rng.uniform(0, 0.13 if patient.sex == "M" else 0.06)
    crowd = rng.uniform(0.0, 0.12) + 0.25 * max(0.0, 0.95 - scene.pose.inspiration)
    haze = np.zeros_like(scene.x)
    for side, sign in enumerate(SIDES):
        u = (scene.x - sign * 0.62 * anatomy.half_width) / 0.30
        v = (scene.y - anatomy.apex - 0.42 + 0.5 * np.abs(u) * 0.2) / 0.30
        haze += muscle * np.exp(-(u**2) - np.where(v > 0, 2.5 * v * v, 0.8 * v * v))
        u, v = (scene.x - chest.hilum[side][0] - sign * 0.07) / 0.20, (scene.y - chest.hilum[side][1] - 0.10) / 0.34
        haze += crowd * rng.uniform(0.7, 1.3) * np.exp(-(u * u) - v * v)
    return haze


def _add_abdominal_gas(rng, stopped, scene):
    """Stomach bubble below the left dome and gas in bends of the bowel, in place."""
    coarse, dome, wide = scene.frame, scene.chest.dome_y[1], scene.anatomy.half_width
    around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    canvas = np.zeros((coarse.size, coarse.size), np.uint8)
    upright = not scene.pose.supine
    if rng.random() < 0.7:
        radius = np.array([rng.uniform(0.05, 0.19), rng.uniform(0.03, 0.10)])
        radius *= min(scene.anatomy.gas, 1.6)
        center = np.array([rng.uniform(0.28, 0.62) * wide, dome + rng.uniform(0.05, 0.08) + radius[1]])
        wobble = 1 + rng.uniform(0.04, 0.2) * np.sin(rng.integers(2, 4) * around + rng.uniform(0, 6))
        bubble = center + wobble[:, None] * radius * np.column_stack([np.cos(around), np.sin(around)])
        if upright and rng.random() < 0.7:  # a fluid level
            bubble[:, 1] = np.minimum(bubble[:, 1], center[1] + rng.uniform(-0.2, 0.8) * radius[1])
        coarse.fill([bubble], canvas, rng.uniform(70, 220))
    side, strength = 1 if rng.random() < 0.75 else -1, rng.uniform(40, 130)
    bend = np.array([side * rng.uniform(0.55, 0.85) * wide, dome + rng.uniform(0.12, 0.35)])
    for _ in range(rng.choice([0, 3, 5, 8], p=[0.5, 0.2, 0.18, 0.12])):  # pouches of the colon
        radius = rng.uniform(0.03, 0.075)
        oval = radius * np.column_stack([rng.uniform(0.7, 1.8) * np.cos(around), np.sin(around)])
        coarse.fill([bend + oval], canvas, strength)
        bend = bend + rng.uniform([-0.12, -0.03], [0.05, 0.13]) * [side, 1]
    gas = cv2.GaussianBlur(canvas, (0, 0), 0.018 * coarse.scale).astype(np.float32)
    below = smooth_step((scene.y - dome - 0.03) / 0.05) * (1 - np.clip(scene.sides[0] + scene.sides[1], 0, 1))
    stopped -= gas * below * np.float32(0.42 * scene.anatomy.gas / 255)


def _airway(frame, scene):
    """Trachea and main bronchi, uint8 (size, size)."""
    turn, top = scene.pose.turn, scene.anatomy.apex
    fork = np.array([-0.01 + turn, scene.chest.hilum[1][1] - 0.10])
    along = np.linspace(0, 1, 8)[:, None]
    trachea = np.array([0.0, top - 0.45]) * (1 - along) + fork * along
    trachea[:, 0] += -0.015 * np.sin(np.pi * along[:, 0])
    canvas = frame.fill([band(trachea, np.linspace(0.050, 0.068, 8))])
    frame.stroke([fork + along * [-0.10, 0.13]], 0.046, canvas, 110)
    frame.stroke([fork + along * [0.15, 0.12]], 0.040, canvas, 85)
    return canvas
