"""Chronic changes of lungs and pleura: what they do to a patient's body, and what they draw into a `Scene`.

Seen on films of NIH with these labels. The demo's hospitals name them and do not draw them.
"""

from dataclasses import replace

import numpy as np

from cxr.synthetic.patients import SIDES, Patient
from cxr.synthetic.scene import ragged, smooth_step
from cxr.synthetic.tissue import _depth


def changed_body(patient: Patient, severities: dict[str, float]) -> Patient:
    """The patient with lungs as large as emphysema makes them, or as small as fibrosis does."""
    a, large, small = patient.anatomy, severities.get("Emphysema", 0), severities.get("Fibrosis", 0)
    if not large and not small:
        return patient
    changed = replace(
        a,
        lung_height=a.lung_height * (1 + 0.20 * large) * (1 - 0.16 * small),
        half_width=a.half_width * (1 + 0.05 * large),
        dome_arch=a.dome_arch * (1 - 0.6 * large),  # flat domes
        heart=a.heart - 1.5 * large,
        heart_tilt=a.heart_tilt + (0.4 - a.heart_tilt) * large,  # upright
        lung_markings=a.lung_markings * (1 - 0.5 * large),
    )
    return replace(patient, anatomy=changed)


def _height(scene, side):
    """0 at the apex, 1 at the dome."""
    return (scene.y - scene.anatomy.apex) / (scene.chest.dome_y[side] - scene.anatomy.apex)


def _from_wall(scene, side):
    """Distance to the inner chest wall, body units."""
    return _depth(scene.frame.fill([scene.chest.thorax[side]]), scene.frame.scale)


def _fibrosis(rng, scene, severity):
    """A net of fine lines near the wall of both bases, closer to honeycombs; or scars at an apex."""
    apical = rng.random() < 0.25
    for side in [int(rng.integers(2))] if apical else range(2):
        height = _height(scene, side)
        share = smooth_step((0.45 - height) / 0.35) if apical else smooth_step((height - 0.35 + 0.2 * severity) / 0.55)
        share = share * (0.25 + 0.75 * np.exp(-_from_wall(scene, side) / 0.18)) * scene.lungs[side]
        if not share.any():
            continue
        haze = (0.04 + 0.16 * severity) * share * np.clip(1 + 0.4 * ragged(rng, scene.frame.size, 128), 0.1, 1.8)
        scene.fill(np.clip(haze, 0, 0.8).astype(np.float32))
        scene.blurred = np.maximum(scene.blurred, 0.3 * severity * share)
        for line in _net(rng, scene, share, round((30 if apical else 60) + 170 * severity), severity):
            scene.lines.append((line, rng.uniform(0.004, 0.009), rng.uniform(0.6, 1.3) * (0.04 + 0.05 * severity)))


def _net(rng, scene, share, count, severity):
    """Short bent lines, and as many rings as the severity says, (count, 6, 2), where the share (G, G) is high."""
    cells = rng.choice(share.size, count, p=(share / share.sum()).ravel())
    middle = np.stack([scene.x.ravel()[cells], scene.y.ravel()[cells]], axis=1)
    turn = np.where(rng.random(count) < 0.4 * severity, 2 * np.pi, rng.normal(0, 1.0, count))  # a ring turns once round
    angle = rng.uniform(0, 2 * np.pi, count)[:, None] + np.linspace(0, 1, 5) * turn[:, None]
    step = rng.uniform(0.006, 0.018, count)[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.concatenate([middle[:, None], middle[:, None] + np.cumsum(step, axis=1)], axis=1)


def _emphysema(rng, scene, severity):
    """More air, and bullae: round spaces without lung behind a hair-fine wall. What is large is the body."""
    scene.fill(np.float32(-0.14 * severity) * (scene.lungs[0] + scene.lungs[1]))
    around = np.linspace(0, 2 * np.pi, 24)
    for _ in range(rng.binomial(5, 0.5 * severity)):
        side = int(rng.integers(2))
        height, radius = _height(scene, side), rng.uniform(0.05, 0.10 + 0.08 * severity)
        rows, columns = np.nonzero((scene.lungs[side] > 0.6) & ((height < 0.4) | (height > 0.8)))
        if not len(rows):
            continue
        pick = rng.integers(len(rows))
        center = np.array([scene.x[rows[pick], columns[pick]], scene.y[rows[pick], columns[pick]]])
        oval = center + radius * rng.uniform(0.7, 1.2, 2) * np.column_stack([np.cos(around), np.sin(around)])
        inside = scene.frame.fill([oval]).astype(np.float32) / 255 * scene.lungs[side]
        scene.collapsed = np.maximum(scene.collapsed, 0.8 * inside)
        scene.lines.append((oval, 0.005, rng.uniform(0.02, 0.05)))


def _pleural_thickening(rng, scene, severity):
    """A band along the wall at the apex, at the side or in the costophrenic angle, which is no lung."""
    sides = range(2) if rng.random() < 0.3 else [int(rng.integers(2))]
    middle, reach = rng.choice([0.0, 0.55, 1.0]), rng.uniform(0.15, 0.35)
    for side in sides:
        height = (scene.y - scene.anatomy.apex) / (scene.chest.angle_y - scene.anatomy.apex)
        thick = (0.03 + 0.075 * severity) * np.exp(-(((height - middle) / reach) ** 2))
        thick *= np.clip(1 + 0.3 * ragged(rng, scene.frame.size, 16), 0.4, 1.6)
        share = smooth_step((thick - _from_wall(scene, side)) / 0.02 + 0.5) * (np.sign(scene.x) == SIDES[side])
        scene.fill((0.6 + 0.35 * severity) * share * scene.sides[side])
        scene.rind = np.maximum(scene.rind, share * (thick > 0.02))


CHRONIC = {"Fibrosis": _fibrosis, "Emphysema": _emphysema, "Pleural_Thickening": _pleural_thickening}
