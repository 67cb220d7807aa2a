"""Synthetic frontal chest films drawn from a seed, with the truth: lung mask and a box for every finding.

No film of a person is in here. The rays a body stops are added up organ by organ (bright = dense), then the film is
exposed, sharpened and labelled the way a hospital does. Findings are drawn by `cxr.synthetic.drawn_findings`.

>>> rng = np.random.default_rng(1)
>>> film = draw_film(rng, draw_patient(rng), {"Effusion": 0.7}, view="PA")
>>> film.pixels.shape, film.lungs.shape, list(film.boxes)
((512, 512), (512, 512), ['Effusion'])
"""

from dataclasses import dataclass

import cv2
import numpy as np

from cxr.synthetic import anatomy as body
from cxr.synthetic.anatomy import SIDES, Frame, Patient, Pose, band, draw_patient
from cxr.synthetic.exposure import HOSPITALS, collimate, expose, film_grain, label, upsampled, wires
from cxr.synthetic.drawn_findings import Scene, add_findings, draw_severity, heart_ratio, ragged, smooth_step

__all__ = ["HOSPITALS", "Film", "Patient", "draw_film", "draw_patient", "draw_severity"]

GRID = 192  # side of the grid for all that is smooth, on a film of 512 pixels
BONE_LEVELS = 400.0  # gray levels in a bone canvas for one unit of rays stopped
LINE_LEVELS = 1200.0  # the same in a canvas of fine lines
AIR = 0.80  # rays that the air of a full lung lets through, where the mediastinum stops about 1.35


@dataclass(frozen=True)
class Film:
    """One film and what is known about it.

    pixels : (size, size) uint8, bright is dense. lungs : (size, size) uint8, 0 or 255, both lungs without the heart.
    boxes : finding to boxes (x, y, w, h) in film pixels. cardiothoracic_ratio : of the drawn outlines, NaN in laterals.
    """

    pixels: np.ndarray
    lungs: np.ndarray
    boxes: dict[str, tuple[tuple[float, float, float, float], ...]]
    cardiothoracic_ratio: float


def draw_film(
    rng: np.random.Generator,
    patient: Patient,
    severities: dict[str, float],
    view: str = "PA",
    hospital: str = "nih",
    size: int = 512,
) -> Film:
    """Draw one film.

    Parameters
    ----------
    rng : numpy Generator; the same state gives the same bytes.
    patient : Patient from draw_patient.
    severities : finding to severity in (0, 1]; findings not named are absent.
    view : "PA", "AP" or "LATERAL" (a plain side view without findings, there to be left out).
    hospital : key of HOSPITALS.
    size : side of the film, pixels.

    Returns
    -------
    Film
    """
    if view not in ("PA", "AP", "LATERAL"):
        raise ValueError(f"view is {view!r}, expected 'PA', 'AP' or 'LATERAL'")
    if hospital not in HOSPITALS:
        raise ValueError(f"hospital is {hospital!r}, expected one of {sorted(HOSPITALS)}")
    place = HOSPITALS[hospital]
    # Own streams, so that a finding changes nothing but itself in a film drawn from the same seed.
    posing, marking, finding, exposing, labelling = rng.spawn(5)
    frame = _frame(posing, patient, place, view, size)
    if view == "LATERAL":
        stopped = _lateral(posing, patient, frame)
        pixels = expose(exposing, stopped, place, 0.45, 1.25)
        return Film(label(labelling, pixels, place, view), np.zeros_like(pixels), {}, float("nan"))
    pose = _pose(posing, patient, severities, view, place)
    chest = body.chest(patient.anatomy, pose)
    scene = _scene(frame.resized(size * GRID // 512), patient.anatomy, pose, chest)
    add_findings(finding, scene, severities)
    stopped = _tissue(marking, frame, scene, patient)
    stopped += _bones(frame, scene) * upsampled(scene.contrast, size)
    _add_markings(stopped, frame, scene)
    if view == "AP":
        stopped += wires(marking, frame, patient.anatomy.apex)
    pixels = expose(exposing, stopped, place, 0.50, 1.36 if view == "PA" else 1.44)
    corners = frame.pixels(np.vstack(chest.hemithorax))
    pixels = label(labelling, collimate(exposing, pixels, corners.min(axis=0), corners.max(axis=0), view), place, view)
    ratio = float(np.ptp(chest.heart[:, 0]) / (2 * patient.anatomy.half_width))
    boxes = {name: tuple(_scaled(box, size / scene.frame.size) for box in found) for name, found in scene.boxes.items()}
    return Film(pixels, _lung_mask(scene, size), boxes, ratio)


def _scaled(box, factor):
    return tuple(round(factor * value, 3) for value in box)


def _frame(rng, patient, place, view, size):
    """Position, zoom and rotation of the patient on the film."""
    zoom = place.zoom * rng.normal(1.10, 0.07) * (1.03 if view == "AP" else 1.0) * 0.5 * size
    zoom *= 0.69 / max(patient.anatomy.half_width, 0.60)  # children are collimated closer
    angle = np.deg2rad(rng.normal(0, 1.4 if view == "PA" else 2.8))
    shift = size / 2 + size * rng.normal(0, [0.026, 0.034]) * (1.0 if view == "PA" else 1.5)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([0.0, patient.anatomy.apex + 0.60 * patient.anatomy.lung_height])
    return Frame(size, np.column_stack([turn, shift - turn @ middle]))


def _pose(rng, patient, severities, view, place):
    supine = view == "AP" and rng.random() < place.supine
    usual, spread = {"PA": (0.98, 0.05), "AP": (0.88, 0.07)}[view]
    inspiration = float(np.clip(rng.normal(usual - 0.05 * supine, spread), 0.66, 1.08))
    turn = float(rng.normal(0, 0.012 if view == "PA" else 0.024))
    ratio = heart_ratio(rng, patient, view, severities.get("Cardiomegaly", 0), severities.get("Edema", 0))
    return Pose(view, supine, inspiration, turn, ratio, float(rng.uniform(0.06, 0.30)), float(rng.normal(0, 0.045)))


def _scene(frame, anatomy, pose, chest):
    sides = tuple(frame.fill([outline]).astype(np.float32) / 255 for outline in chest.hemithorax)
    middle = frame.fill([chest.heart, chest.mediastinum]).astype(np.float32) / 255
    x, y = frame.body_grid()
    lungs = tuple(side * (1 - middle) * (sign * x > 0) for side, sign in zip(sides, SIDES, strict=True))
    return Scene(frame, anatomy, pose, chest, x, y, lungs, sides)


def _lung_mask(scene, size):
    """Both lungs as people outline them: opacities belong to the lung, a large effusion does not."""
    lungs = scene.lungs[0] + scene.lungs[1]
    if "Effusion" in scene.boxes and not scene.pose.supine:
        drowned = (scene.filled > 0.85) & (scene.y > scene.chest.angle_y - 0.30)
        if drowned[lungs > 0.5].mean() > 0.08:
            lungs = np.where(drowned, 0, lungs)
    full = cv2.resize(lungs.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.where(full > 0.5, 255, 0).astype(np.uint8)


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
    trunk *= 0.76 + 0.24 * smooth_step((scene.y - anatomy.apex - 0.05) / 0.45)  # shoulders are thinner than the chest
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
    kept = air * (1 - scene.filled) * (1 + 0.10 * scene.collapsed)
    stopped -= kept
    _add_abdominal_gas(rng, stopped, scene)
    scene.kept = kept
    # Scattered rays veil what lies in dense parts: bones fade over heart and belly.
    scene.contrast = 0.16 + 0.84 / (1 + np.exp((cv2.blur(stopped, (9, 9)) - 1.14) / 0.13))
    airway = cv2.GaussianBlur(_airway(frame, scene), (0, 0), frame.scale * 0.013)
    full = upsampled(stopped, frame.size)
    full -= cv2.multiply(airway, 0.15 / 255, dtype=cv2.CV_32F)
    return full


def _outlines(anatomy, pose, chest):
    """Outline of the trunk with neck and shoulders (n, 2), and of both arms."""
    fat = 0.085 + 0.19 * anatomy.habitus
    wide = anatomy.half_width
    top = anatomy.apex + anatomy.shoulder
    x = np.array([0.31, 0.29, 0.36, 0.62, 1.18 * wide, 1.50 * wide, 1.62 * wide, 1.45 * wide, wide + fat + 0.05])
    y = np.array([-1.6, top - 0.36, top - 0.25, top - 0.15, top - 0.07, top + 0.08, top + 0.34, top + 0.50, top + 0.62])
    x = np.append(x, [wide + fat, wide + fat + 0.02, wide + fat + 0.03 + 0.08 * anatomy.habitus])
    y = np.append(y, [top + 0.95, chest.angle_y + 0.05, 1.9])
    x[:2] += 0.05 * anatomy.habitus
    right = np.column_stack([x, y])
    torso = body.rounded(np.vstack([right, right[::-1] * [-1, 1]]))
    arms = []
    for side in SIDES:
        away = wide + fat + 0.12 + pose.arms
        arm = [[1.30 * wide, top + 0.02], [1.58 * wide, top + 0.10], [away + 0.24, 0.35], [away + 0.26, 1.8]]
        arm += [[away + 0.02, 1.8], [away, 0.35], [1.25 * wide, top + 0.42]]
        arms.append(body.rounded(np.array(arm) * [side, 1]))
    return torso, arms


def _breasts(rng, scene):
    """Breast shadows with a soft upper and a clear lower edge."""
    radius = scene.anatomy.breast
    shadow = np.zeros_like(scene.x)
    sag = rng.uniform(0.02, 0.12)
    for side in SIDES:
        u = (scene.x - side * 0.58 * scene.anatomy.half_width - side * 0.04) / (1.18 * radius)
        v = (scene.y - scene.anatomy.apex - 0.72 - sag) / radius
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
        center = np.array([rng.uniform(0.28, 0.62) * wide, dome + rng.uniform(0.05, 0.08) + radius[1]])
        wobble = 1 + rng.uniform(0.04, 0.2) * np.sin(rng.integers(2, 4) * around + rng.uniform(0, 6))
        bubble = center + wobble[:, None] * radius * np.column_stack([np.cos(around), np.sin(around)])
        if upright and rng.random() < 0.7:  # a fluid level
            bubble[:, 1] = np.minimum(bubble[:, 1], center[1] + rng.uniform(-0.2, 0.8) * radius[1])
        coarse.fill([bubble], canvas, rng.uniform(70, 220))
    side, strength = 1 if rng.random() < 0.75 else -1, rng.uniform(40, 130)
    place = np.array([side * rng.uniform(0.55, 0.85) * wide, dome + rng.uniform(0.12, 0.35)])
    for _ in range(rng.choice([0, 3, 5, 8], p=[0.5, 0.2, 0.18, 0.12])):  # pouches of the colon
        radius = rng.uniform(0.03, 0.075)
        oval = radius * np.column_stack([rng.uniform(0.7, 1.8) * np.cos(around), np.sin(around)])
        coarse.fill([place + oval], canvas, strength)
        place = place + rng.uniform([-0.12, -0.03], [0.05, 0.13]) * [side, 1]
    gas = cv2.GaussianBlur(canvas, (0, 0), 0.018 * coarse.scale).astype(np.float32)
    below = smooth_step((scene.y - dome - 0.03) / 0.05) * (1 - np.clip(scene.sides[0] + scene.sides[1], 0, 1))
    stopped -= gas * below * np.float32(0.42 / 255)


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


def _bones(frame, scene):
    """Rays stopped by ribs, clavicles, shoulder blades, arms and spine, float32 (size, size)."""
    anatomy, pose = scene.anatomy, scene.pose
    back, front = body.ribs(anatomy, pose, scene.chest.angle_y)
    width = anatomy.rib_width
    girth = np.interp(np.linspace(0, 1, 20), [0, 0.15, 0.6, 1], [0.070, 0.046, 0.040, 0.058])
    rng = np.random.default_rng([anatomy.tree_seed, 11])  # no two ribs, and no two films' bones, stand out alike
    plain = rng.uniform(0.65, 1.25)
    fade = {"back": rng.uniform(0.75, 1.2, len(back)), "front": rng.uniform(0.35, 1.15, len(front))}
    fade["back"] *= np.tile([1.0] * 9 + [0.5, 0.25], 2)  # the last ribs lie in the belly
    clavicles = body.clavicles(anatomy, pose)
    parts = [  # centre lines, width, filling, edge, strength of each
        (back, width, 0.075, 0.040, plain * fade["back"]),
        (front, 1.15 * width, 0.050, 0.026, plain * fade["front"]),
        (clavicles, girth, 0.085, 0.050, np.full(2, 0.5 + 0.5 * plain)),
    ]
    total = np.zeros((frame.size, frame.size), np.uint8)
    for lines, wide, inside, rim, strength in parts:
        canvas = np.zeros_like(total)
        outer, inner = band(lines, wide), band(lines, np.maximum(wide - 0.013, 0.004))
        for number, amount in enumerate(strength * BONE_LEVELS):
            frame.fill(outer[number : number + 1], canvas, (inside + rim) * amount)
            frame.fill(inner[number : number + 1], canvas, inside * amount)
        cv2.add(total, canvas, total)
    blades = body.scapulae(anatomy, pose)
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
    column = np.column_stack([body.spine_x(anatomy, y), y])
    canvas = frame.fill([band(column, np.interp(y, [-1.2, -0.8, 1.0], [0.13, 0.135, 0.19]))], value=0.17 * BONE_LEVELS)
    plates, pedicles, processes = [], [], []
    level, step = -1.4, 0.085
    while level < 1.5:
        half = 0.5 * np.interp(level, [-1.2, 1.0], [0.13, 0.19])
        middle = float(body.spine_x(anatomy, level))
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


def _add_markings(stopped, frame, scene):
    """Vessels, fine lung texture, and the lines that findings draw, in place."""
    size, anatomy = frame.size, scene.anatomy
    inside = upsampled(scene.kept / AIR * (1 - scene.collapsed), size)
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
        segments, widths = body.vessel_tree(scene.anatomy.tree_seed, sign, hilum)
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


def _lateral(rng, patient, frame):
    """A plain side view: spine behind, heart in front, both domes."""
    anatomy, coarse = patient.anatomy, frame.resized(frame.size // 2)
    x, y = coarse.body_grid()
    deep = 0.62 + 0.15 * anatomy.habitus
    trunk = np.array([[-0.22, -1.6], [-0.20, -1.0], [-deep, -0.55], [-deep - 0.08, 0.2], [-deep, 1.7]])
    back = np.array([[0.55 + deep * 0.2, 1.7], [0.70, 0.2], [0.70, -0.5], [0.46, -0.95], [0.34, -1.6]])
    stopped = 1.5 * (1 - np.exp(-_depth(coarse.fill([body.rounded(np.vstack([trunk, back]))]), coarse.scale) / 0.16))
    lung = np.array(
        [[0.05, -0.72], [-0.30, -0.55], [-0.52, 0.0], [-0.50, 0.38], [0.1, 0.40], [0.52, 0.72], [0.50, -0.3]]
    )
    inside = _depth(coarse.fill([body.rounded(lung)]), coarse.scale)
    stopped -= 0.95 * (1 - np.exp(-inside / 0.12))
    far = ((x + 0.22) / 0.27) ** 2 + ((y - 0.20 - 0.3 * (x + 0.22)) / 0.27) ** 2
    stopped += 0.55 * np.sqrt(np.clip(1 - far, 0, 1)) * (inside > 0)
    stopped *= 1 + 0.03 * ragged(rng, coarse.size, 16)
    levels = np.linspace(-0.9, 1.0, 17)
    blocks = [
        band(np.array([[0.40, level], [0.54, level + 0.02]]) + 0.06 * np.array([np.sin(level * 2), 0]), 0.075)
        for level in levels
    ]
    arcs = [
        np.column_stack([np.linspace(0.5, -0.45, 15), level + 0.35 * np.linspace(0, 1, 15) ** 1.5])
        for level in levels[2:12]
    ]
    bones = 0.16 / 255 * frame.fill(blocks) + 0.07 / 255 * frame.fill([band(arc, 0.035) for arc in arcs])
    return upsampled(stopped, frame.size) + cv2.GaussianBlur(bones.astype(np.float32), (0, 0), 1.0)
