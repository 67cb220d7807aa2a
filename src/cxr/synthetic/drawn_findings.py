"""What each finding changes in a synthetic film, how strong it is, and the box around it.

A finding is described on a grid coarser than the film (a `Scene`): how much of the air in the lung it replaces, where
markings blur or end, which lines it draws. `cxr.synthetic.phantoms` turns that into rays stopped.
"""

import numpy as np

from cxr.core.findings import FINDINGS
from cxr.synthetic.chronic import CHRONIC
from cxr.synthetic.outlines import chest_half_width
from cxr.synthetic.patients import SIDES
from cxr.synthetic.scene import Scene, ragged, smooth_step

VISIBLE = 0.3  # a box holds what has at least this share of a finding's own peak
SMALLEST = 0.01  # an opacity hidden but for less of a lung than this is drawn at another place, up to so many times
TRIES = 12


def add_findings(rng: np.random.Generator, scene: Scene, severities: dict[str, float]) -> None:
    """Draw every finding named in severities (name to 0..1) into the scene; cardiomegaly is in the outlines already."""
    for finding, draw in DRAWERS.items():
        stream, rng = rng, rng.spawn(1)[0]
        if severities.get(finding, 0) > 0:
            draw(stream, scene, severities[finding])
    if severities.get("Cardiomegaly", 0) > 0:
        scene.boxes["Cardiomegaly"] = [scene.frame.box(scene.frame.fill([scene.chest.heart]) > 127)]


def _patch(rng, scene, side, center, radius, peak, raggedness=0.55):
    """Ill-defined opacity (G, G) inside one lung."""
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.75, 1.35)
    across, down = scene.x - center[0], scene.y - center[1]
    u = (across * np.cos(angle) + down * np.sin(angle)) / (radius * stretch)
    v = (down * np.cos(angle) - across * np.sin(angle)) / (radius / stretch)
    edge = 1.25 - np.sqrt(u * u + v * v) + raggedness * ragged(rng, scene.frame.size)
    mottled = np.clip(1 + 0.25 * ragged(rng, scene.frame.size, 64), 0.5, 1.2) if raggedness > 0.3 else 1.0
    return (peak * smooth_step(edge / (0.6 + 1.4 * raggedness)) * mottled * scene.sides[side]).astype(np.float32)


def _spot(rng, scene, side, low=0.1, high=0.95):
    """A place in a lung: body coordinates of a random pixel of the mask between two heights (0 apex, 1 base)."""
    rows, columns = np.nonzero(scene.lungs[side] > 0.6)
    if not len(rows):
        return scene.chest.hilum[side]
    height = (scene.y[rows, columns] - scene.anatomy.apex) / (scene.chest.dome_y[side] - scene.anatomy.apex)
    chosen = np.flatnonzero((height > low) & (height < high))
    pick = rng.choice(chosen) if len(chosen) else rng.integers(len(rows))
    return np.array([scene.x[rows[pick], columns[pick]], scene.y[rows[pick], columns[pick]]])


def _consolidation(rng, scene, severity):
    patches = 1 + rng.binomial(3, 0.25 + 0.5 * severity)
    home = rng.integers(2)
    for _ in range(patches):
        side = home if rng.random() < 0.65 else 1 - home
        radius = rng.uniform(0.095, 0.16) + 0.14 * severity * rng.random()
        peak = (0.22 + 0.58 * severity) * rng.uniform(0.75, 1)
        for _ in range(TRIES):
            patch = _patch(rng, scene, side, _spot(rng, scene, side, 0.15), radius, peak)
            seen = (patch > VISIBLE * peak) & (scene.lungs[side] > 0.5)
            if seen.sum() > SMALLEST * scene.lungs[side].sum():
                break
        scene.fill(patch)
        scene.blurred = np.maximum(scene.blurred, patch)
        scene.mark("Consolidation", seen)


LOBES = (  # side, top and bottom as height in the lung, share of it where the edge is a fissure
    (0, -0.1, 0.40, "bottom"),
    (0, 0.50, 0.78, "top"),
    (0, 0.62, 1.20, None),
    (1, -0.1, 0.45, None),
    (1, 0.58, 1.20, None),
    (1, 0.40, 0.80, None),
)


def _pneumonia(rng, scene, severity):
    """One lobe or segment, with a fissure as its edge where there is one, and air bronchograms."""
    peak = 0.25 + 0.65 * severity
    for _ in range(TRIES):
        side, share = _lobe(rng, scene, severity)
        share = np.clip(peak * share, 0, 0.97).astype(np.float32)
        seen = (share > VISIBLE * peak) & (scene.lungs[side] > 0.5)
        if seen.sum() > SMALLEST * scene.lungs[side].sum():
            break
    scene.fill(share)
    scene.blurred = np.maximum(scene.blurred, share)
    scene.mark("Pneumonia", seen)
    rows, columns = np.nonzero(share > 0.55 * peak)
    if len(rows):
        center = np.array([scene.x[rows, columns].mean(), scene.y[rows, columns].mean()])
        _air_bronchograms(rng, scene, side, center, 0.06 + 0.08 * severity)


def _lobe(rng, scene, severity):
    """Side and share (G, G) of a lobe or segment, about 1 in its middle."""
    side, top, bottom, fissure = LOBES[rng.integers(len(LOBES))]
    height = (scene.y - scene.anatomy.apex) / (scene.chest.dome_y[side] - scene.anatomy.apex)
    tilt = rng.normal(0.05, 0.08) * (np.abs(scene.x) - 0.35)
    noise = 0.10 * ragged(rng, scene.frame.size)
    above, below = height + tilt - top, bottom - height - tilt
    soft = 0.16 + 0.05 * rng.random()
    above = above / 0.02 if fissure == "top" else (above + noise) / soft
    below = below / 0.02 if fissure == "bottom" else (below + noise) / soft
    middle, reach = rng.uniform(0.28, 0.50), rng.uniform(0.16, 0.24) + 0.16 * severity
    sideways = (reach - np.abs(np.abs(scene.x) - middle) + noise) / 0.13
    share = smooth_step(above) * smooth_step(below) * smooth_step(sideways) * scene.sides[side]
    return side, share * np.clip(1 + 0.22 * ragged(rng, scene.frame.size), 0.5, 1.15)


def _air_bronchograms(rng, scene, side, center, air):
    """Dark branching tubes from the hilum into an opacity."""
    start = scene.chest.hilum[side]
    away = center - start
    for turn in rng.normal(0, 0.30, 4):
        along = np.linspace(0.35, rng.uniform(1.0, 1.35), 9)[:, None]
        bow = np.column_stack([-away[1] * along[:, 0], away[0] * along[:, 0]]) * turn * along
        line = start + along * away + bow
        scene.lines.append((line, rng.uniform(0.010, 0.016), -air))
        fork = line[5] + np.linspace(0, 0.45, 5)[:, None] * (away + rng.normal(0, 0.09, 2) * 2)
        scene.lines.append((fork, 0.008, -0.8 * air))


def _pneumothorax(rng, scene, severity):
    """Air between chest wall and lung: a fine edge, nothing beyond it; widest at the apex and at the side."""
    side = int(rng.integers(2))
    sign, anatomy, chest = SIDES[side], scene.anatomy, scene.chest
    depth = 0.035 + 0.27 * severity
    # The lung shrinks evenly: its edge runs along the chest wall, convex, and is as round at its apex as the lung was.
    top = anatomy.apex + depth * rng.uniform(0.7, 1.2)
    height = np.linspace(0, 1, 48) ** 2
    foot = rng.uniform(0.85, 1.3)  # height at which lung and wall meet again, beyond 1: not above the diaphragm
    thin = np.clip(1 - (height / foot) ** 3, 0, 1)
    y = top + height * (chest.angle_y - top)
    wall = chest_half_width(anatomy, (y - anatomy.apex) / (chest.angle_y - anatomy.apex), sign)
    summit = max(0.14, 0.5 * (0.10 + 0.85 * anatomy.half_width - depth))
    arch = np.sqrt(1 - (1 - np.minimum(height / 0.30, 1)) ** 2.2)
    x = summit + np.maximum(wall - depth * thin - summit, 0.02) * arch
    medial = np.array([[0.30, 0.20], [0.45, 0.08], [0.70, 0.018]]) * [summit, 1] + [0, top]
    edge = np.vstack([medial, np.column_stack([x, y])]) * [sign, 1]
    thin = np.append(np.ones(3), thin)
    line = edge[thin > 0.02]
    low = chest.angle_y + 0.4
    inner = np.vstack([[0.0, edge[0, 1]], edge, [sign * anatomy.half_width * 1.1, low], [0.0, low]])
    lung = scene.frame.fill([inner]).astype(np.float32) / 255
    gone = scene.lungs[side] * (1 - lung)
    scene.collapsed = np.maximum(scene.collapsed, gone)
    scene.fill(0.16 * severity * scene.lungs[side] * lung)  # the smaller lung holds less air
    scene.lines.append((line, 0.0075, 0.055))
    plain = scene.y < line[(thin[thin > 0.02] > VISIBLE)][-1, 1]  # the sliver below is not outlined
    scene.mark("Pneumothorax", (gone > 0.5) & plain)


def _edema(rng, scene, severity):
    """Haze around both hila (bat wings), blurred vessels, and Kerley B lines at the bases."""
    peak = 0.14 + 0.46 * severity
    for side, sign in enumerate(SIDES):
        hilum = scene.chest.hilum[side] + [sign * 0.10, rng.uniform(0.02, 0.12)]
        wide, tall = rng.uniform(0.20, 0.30) + 0.08 * severity, rng.uniform(0.26, 0.40) + 0.10 * severity
        far = ((scene.x - hilum[0]) / wide) ** 2 + ((scene.y - hilum[1]) / tall) ** 2
        wing = np.exp(-0.8 * far) * np.clip(1 + 0.33 * ragged(rng, scene.frame.size, 128), 0.25, 1.7)
        base = 0.35 * smooth_step((scene.y - hilum[1]) / 0.55)
        share = (peak * rng.uniform(0.85, 1) * np.clip(wing + base, 0, 1.35) * scene.sides[side]).astype(np.float32)
        scene.fill(np.clip(share, 0, 0.9))
        scene.blurred = np.maximum(scene.blurred, np.clip(1.3 * severity * scene.lungs[side], 0, 0.9))
        scene.mark("Edema", (share > VISIBLE * peak) & (scene.lungs[side] > 0.5))
        for _ in range(round(11 * severity * rng.uniform(0.6, 1.2))):
            height = rng.uniform(0.80, 0.98)
            wall = float(chest_half_width(scene.anatomy, np.array(height), sign)) - 0.012
            y = scene.anatomy.apex + height * (scene.chest.angle_y - scene.anatomy.apex)
            short = np.array([[sign * wall, y], [sign * (wall - rng.uniform(0.03, 0.06)), y + rng.normal(0, 0.006)]])
            scene.lines.append((short, 0.005, 0.05 * (0.4 + severity)))


def _effusion(rng, scene, severity):
    """Fluid: a blunted angle with a rising edge when upright, a haze growing downwards when lying."""
    sides = [int(rng.integers(2))]
    if rng.random() < 0.35:
        sides.append(1 - sides[0])
    for number, side in enumerate(sides):
        amount = severity * (1 if number == 0 else rng.uniform(0.3, 0.9))
        chest, anatomy = scene.chest, scene.anatomy
        out = np.clip(np.abs(scene.x) / anatomy.half_width, 0, 1)
        if scene.pose.supine:
            height = (scene.y - anatomy.apex) / (chest.angle_y - anatomy.apex)
            share = (0.16 + 0.62 * amount) * (0.25 + 0.75 * smooth_step(height)) * scene.sides[side]
            scene.fill(np.clip(share, 0, 0.97).astype(np.float32))
            scene.mark("Effusion", (share > VISIBLE * (0.16 + 0.62 * amount)) & (scene.lungs[side] > 0.5))
            continue
        rise = 0.04 + 0.53 * amount * rng.uniform(0.85, 1.1)
        level = chest.angle_y - rise * (0.50 + 0.50 * out**3) - 0.06 * amount * np.exp(-((out / 0.25) ** 2))
        level = level + 0.006 * ragged(rng, scene.frame.size, 8)
        share = smooth_step((scene.y - level) / (0.035 + 0.10 * amount) + 0.3) * scene.sides[side]
        scene.fill(np.clip(share * 0.96, 0, 0.97).astype(np.float32))
        scene.blurred = np.maximum(scene.blurred, share)
        scene.mark("Effusion", share > 0.3)


def _atelectasis(rng, scene, severity):
    side = int(rng.integers(2))
    for _ in range(rng.integers(1, 4)):
        start = _spot(rng, scene, side, 0.6, 1.0)
        long, fall = rng.uniform(0.12, 0.30), rng.normal(0, 0.35)
        line = start + np.linspace(-0.5, 0.5, 7)[:, None] * long * np.array([np.cos(fall), np.sin(fall)])
        scene.lines.append((line, 0.008 + 0.014 * severity, 0.07 + 0.08 * severity))


def _nodule(rng, scene, severity):
    side = int(rng.integers(2))
    radius = 0.022 + 0.03 * severity
    scene.fill(_patch(rng, scene, side, _spot(rng, scene, side), radius, 0.30 + 0.3 * severity, 0.08))


def _mass(rng, scene, severity):
    side = int(rng.integers(2))
    radius = 0.06 + 0.07 * severity
    scene.fill(_patch(rng, scene, side, _spot(rng, scene, side), radius, 0.45 + 0.45 * severity, 0.15))


def _infiltration(rng, scene, severity):
    for _ in range(rng.integers(1, 3)):
        side = int(rng.integers(2))
        radius = rng.uniform(0.15, 0.28)
        scene.fill(_patch(rng, scene, side, _spot(rng, scene, side, 0.3), radius, 0.06 + 0.14 * severity, 0.8))


DRAWERS = {
    "Pneumothorax": _pneumothorax,
    "Consolidation": _consolidation,
    "Pneumonia": _pneumonia,
    "Edema": _edema,
    "Effusion": _effusion,
    "Atelectasis": _atelectasis,
    "Nodule": _nodule,
    "Mass": _mass,
    "Infiltration": _infiltration,
    **CHRONIC,  # last: a film's other findings stay as they are
}
DRAWN_LABELS = tuple(name for name in DRAWERS if name not in FINDINGS)  # drawn beside the findings
DEMO_LABELS = tuple(name for name in DRAWN_LABELS if name not in CHRONIC)  # those that the demo's hospitals draw
