"""Synthetic frontal chest films drawn from a seed, with the truth: lung mask and a box for every finding.

No film of a person is in here. The rays a body stops are added up organ by organ (bright = dense), then the film is
exposed, sharpened and labelled the way a hospital does. Findings are drawn by `cxr.synthetic.drawn_findings`.

>>> rng = np.random.default_rng(1)
>>> film = draw_film(rng, draw_patient(rng), {"Effusion": 0.7}, view="PA")
>>> film.pixels.shape, film.lungs.shape, list(film.boxes)
((512, 512), (512, 512), ['Effusion'])
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from cxr.synthetic.drawn_findings import add_findings
from cxr.synthetic.exposure import HOSPITALS, Hospital, collimate, expose, label, upsampled, wires
from cxr.synthetic.frame import Frame, band, rounded
from cxr.synthetic.markings import _add_markings
from cxr.synthetic.outlines import Pose, chest_outlines
from cxr.synthetic.patients import SIDES, Patient, draw_patient
from cxr.synthetic.scene import Scene, draw_severity, heart_ratio, ragged, smooth_step
from cxr.synthetic.skeleton import _bones
from cxr.synthetic.tissue import _depth, _tissue

__all__ = ["HOSPITALS", "Film", "Patient", "draw_film", "draw_patient", "draw_severity"]

GRID = 192  # side of the grid for all that is smooth, on a film of 512 pixels


@dataclass(frozen=True)
class Readers:
    """How people outline lungs, beside where the air ends; body units. Seen on the masks of Montgomery and Shenzhen.

    medial: so much nearer the midline than the great vessels, but for the aortic knob. lateral: so much within the
    chest wall. base: so much above the diaphragm. hilar: so much of the vessels at the left hilum, and half of it at
    the right one, is left out. blunt: radius of the tips, such as the costophrenic angles, that are left out.
    apex: so much above the apices. opaque: places that lost more than this share of their air are left out.
    """

    medial: float = 0.0
    lateral: float = 0.0
    base: float = 0.0
    hilar: float = 0.0
    blunt: float = 0.0
    apex: float = 0.0
    opaque: float = 1.0


@dataclass(frozen=True)
class Film:
    """One film and what is known about it.

    pixels : (size, size) uint8, bright is dense. lungs : (size, size) uint8, 0 or 255, both lungs without the heart.
    heart : (size, size) uint8, 0 or 255, the whole heart, also where it lies before the diaphragm; empty in laterals.
    boxes : finding to boxes (x, y, w, h) in film pixels. cardiothoracic_ratio : of the drawn outlines, NaN in laterals.
    """

    pixels: np.ndarray
    lungs: np.ndarray
    heart: np.ndarray
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
    site = HOSPITALS[hospital]
    # Own streams, so that a finding changes nothing but itself in a film drawn from the same seed.
    posing, marking, finding, exposing, labelling = rng.spawn(5)
    frame = _frame(posing, patient, site, view, size)
    if view == "LATERAL":
        stopped = _lateral(posing, patient, frame)
        pixels = expose(exposing, stopped, site, 0.45, 1.25)
        return Film(label(labelling, pixels, site, view), *np.zeros((2, size, size), np.uint8), {}, float("nan"))
    pose = _pose(posing, patient, severities, view, site)
    return draw_posed((marking, finding, exposing, labelling), patient, severities, frame, pose, site)


def draw_posed(
    streams: list[np.random.Generator],
    patient: Patient,
    severities: dict[str, float],
    frame: Frame,
    pose: Pose,
    site: Hospital,
    readers: Readers | None = None,
    devices: Callable[[np.ndarray], None] | None = None,
) -> Film:
    """A frontal film of a patient who stands or lies as the pose says, in that place of the film.

    Parameters
    ----------
    streams : generators for tissue, findings, exposure and labels.
    readers : how the lungs are outlined; None: to the border of all that holds air.
    devices : draws what the patient carries into the rays stopped (size, size).
    """
    marking, finding, exposing, labelling = streams
    size, view = frame.size, pose.view
    chest = chest_outlines(patient.anatomy, pose)
    scene = _scene(frame.resized(size * GRID // 512), patient.anatomy, pose, chest)
    add_findings(finding, scene, severities)
    stopped = _tissue(marking, frame, scene, patient)
    stopped += _bones(frame, scene) * upsampled(scene.contrast, size)
    _add_markings(stopped, frame, scene)
    if view == "AP":
        stopped += wires(marking, frame, patient.anatomy.apex)
    if devices:
        devices(stopped)
    pixels = expose(exposing, stopped, site, 0.50, 1.36 if view == "PA" else 1.44)
    corners = frame.pixels(np.vstack(chest.hemithorax))
    pixels = label(labelling, collimate(exposing, pixels, corners.min(axis=0), corners.max(axis=0), view), site, view)
    ratio = float(np.ptp(chest.heart[:, 0]) / (2 * patient.anatomy.half_width))
    boxes = {
        name: tuple(_scaled(box, size / scene.frame.size) for box in of_name) for name, of_name in scene.boxes.items()
    }
    # On the lungs' grid, so that its mask lies as theirs do over what the rays show.
    heart = _enlarged(scene.frame.fill([chest.heart]) / 255, size)
    return Film(pixels, _lung_mask(scene, size, readers), heart, boxes, ratio)


def _scaled(box, factor):
    return tuple(round(factor * value, 3) for value in box)


def _frame(rng, patient, site, view, size):
    """Position, zoom and rotation of the patient on the film."""
    zoom = site.zoom * rng.normal(1.10, 0.07) * (1.03 if view == "AP" else 1.0) * 0.5 * size
    zoom *= 0.69 / max(patient.anatomy.half_width, 0.60)  # children are collimated closer
    angle = np.deg2rad(rng.normal(0, 1.4 if view == "PA" else 2.8))
    shift = size / 2 + size * rng.normal(0, [0.026, 0.034]) * (1.0 if view == "PA" else 1.5)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([0.0, patient.anatomy.apex + 0.60 * patient.anatomy.lung_height])
    return Frame(size, np.column_stack([turn, shift - turn @ middle]))


def _pose(rng, patient, severities, view, site):
    supine = view == "AP" and rng.random() < site.supine
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


def _lung_mask(scene, size, readers):
    """Both lungs as people outline them: opacities belong to the lung, a large effusion and thick pleura do not."""
    lungs = scene.lungs[0] + scene.lungs[1] if readers is None else _as_read(scene, readers)
    if "Effusion" in scene.boxes and not scene.pose.supine:
        drowned = (scene.filled > 0.85) & (scene.y > scene.chest.angle_y - 0.30)
        if drowned[lungs > 0.5].mean() > 0.08:
            lungs = np.where(drowned, 0, lungs)
    if readers:
        lungs = np.where(scene.filled > readers.opaque, 0, lungs)
    mask = _enlarged(lungs * (1 - scene.rind), size)
    if readers and (radius := round(readers.blunt * scene.frame.scale * size / scene.frame.size)):
        disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disk)
    return mask


def _enlarged(share, size):
    """A mask (size, size) uint8, 0 or 255, of shares (G, G) of 0..1."""
    return np.where(upsampled(share, size) > 0.5, np.uint8(255), np.uint8(0))


def _as_read(scene, readers):
    """Both lungs (G, G), 0..1, within the outlines that readers draw."""
    anatomy, (x, y) = scene.anatomy, scene.chest.mediastinum.T
    is_left, depth = x > 0, y - anatomy.apex
    from_top = np.where(is_left, 0.12, 0.30 * anatomy.lung_height)  # on the left down to the knob alone
    narrower = readers.medial * (1 - smooth_step((depth - from_top) / np.where(is_left, 0.15, 0.25)))
    at_hilum = np.exp(-(((y - scene.chest.hilum[1][1]) / 0.16) ** 2))
    wider = readers.hilar * np.where(is_left, 1.0, 0.5) * at_hilum
    vessels = np.column_stack([np.sign(x) * np.maximum(np.abs(x) - narrower + wider, 0), y])
    middle = scene.frame.fill([scene.chest.heart, vessels]).astype(np.float32) / 255
    both = np.zeros_like(middle)
    for side, sign in zip(scene.chest.hemithorax, SIDES, strict=True):
        low = smooth_step((side[:, 1] - anatomy.apex) / anatomy.lung_height - 0.5)
        outline = np.column_stack([side[:, 0] * (1 - readers.lateral / anatomy.half_width), side[:, 1]])
        outline[:, 1] -= readers.base * np.minimum(2 * low, 1)
        outline[:, 1] -= readers.apex * (1 - smooth_step((side[:, 1] - anatomy.apex) / 0.3))
        both += scene.frame.fill([outline]).astype(np.float32) / 255 * (sign * scene.x > 0)
    return both * (1 - middle)


def _lateral(rng, patient, frame):
    """A plain side view: spine behind, heart in front, both domes."""
    anatomy, coarse = patient.anatomy, frame.resized(frame.size // 2)
    x, y = coarse.body_grid()
    deep = 0.62 + 0.15 * anatomy.habitus
    trunk = np.array([[-0.22, -1.6], [-0.20, -1.0], [-deep, -0.55], [-deep - 0.08, 0.2], [-deep, 1.7]])
    back = np.array([[0.55 + deep * 0.2, 1.7], [0.70, 0.2], [0.70, -0.5], [0.46, -0.95], [0.34, -1.6]])
    stopped = 1.5 * (1 - np.exp(-_depth(coarse.fill([rounded(np.vstack([trunk, back]))]), coarse.scale) / 0.16))
    lung = np.array(
        [[0.05, -0.72], [-0.30, -0.55], [-0.52, 0.0], [-0.50, 0.38], [0.1, 0.40], [0.52, 0.72], [0.50, -0.3]]
    )
    inside = _depth(coarse.fill([rounded(lung)]), coarse.scale)
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
