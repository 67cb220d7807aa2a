"""Anatomy of the synthetic films: who the patient is, and where organs and bones lie.

Body coordinates: x to the right of the film (the patient's left), y downwards, the spine at x = 0, and a film about two
units wide. A `Frame` maps them to film pixels. Organs are polygons in body coordinates; what they do to the rays is
added up in `cxr.synthetic.phantoms`.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SIDES = (-1, 1)  # the patient's right lung is on the left of the film
FRACTION_BITS = 4  # OpenCV draws at 1/16 pixel


@dataclass(frozen=True)
class Anatomy:
    """What stays the same in all films of a patient; lengths in body units, the rest as fractions or as said."""

    half_width: float  # inner half width of the chest at its widest
    apex: float  # y of the lung apices
    lung_height: float  # apex to right dome at full inspiration
    skew: float  # share by which the left half of the chest is wider than the middle of both, and the right narrower
    dome_gap: float  # how much lower the left dome is
    dome_arch: float  # height of the domes above the costophrenic angles, 1 as usual
    dome_peak: float  # where the domes are highest, 0 midline … 1 chest wall
    dome_round: float  # 0 a dome that falls at its very side, 1 one that falls all the way
    girth: float  # extra half width of the great vessels above the heart
    habitus: float  # soft tissue: 0 thin, 1 obese
    breast: float  # radius of the breast shadow, 0 for none
    shoulder: float  # y of the shoulders, relative to the apices
    rib_slope: float  # drop of a rib from spine to front
    rib_width: float
    bone: float  # mineral content, 1 in the young
    knob: float  # radius of the aortic knob, grows with age
    spine_curve: float  # sideways bow of the spine
    heart: float  # standing of the heart size among its likes, standard normal
    heart_tilt: float  # 0.5 upright … 0.8 lying on the diaphragm
    lung_markings: float  # contrast of the vessels
    tree_seed: int  # seed of the vessel tree


@dataclass(frozen=True)
class Patient:
    """sex "M" or "F", age in years, anatomy drawn once."""

    sex: str
    age: int
    anatomy: Anatomy


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


class Frame:
    """Body coordinates to film pixels, and shapes drawn at that place.

    Parameters
    ----------
    size : side of the film, pixels.
    matrix : (2, 3), body units to pixels.
    """

    def __init__(self, size: int, matrix: np.ndarray):
        self.size = size
        self.matrix = matrix
        self.scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))  # pixels a body unit

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Film pixels (..., 2), float, of body points (..., 2)."""
        return np.asarray(points, float) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def resized(self, size: int) -> "Frame":
        """The same frame on a grid of another size."""
        return Frame(size, self.matrix * (size / self.size))

    def body_grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Body coordinates x, y of every pixel, two float32 arrays (size, size)."""
        inverse = np.linalg.inv(np.vstack([self.matrix, [0, 0, 1]])).astype(np.float32)
        ramp = np.arange(self.size, dtype=np.float32)
        x = inverse[0, 0] * ramp[None] + inverse[0, 1] * ramp[:, None] + inverse[0, 2]
        y = inverse[1, 0] * ramp[None] + inverse[1, 1] * ramp[:, None] + inverse[1, 2]
        return x, y

    def _fixed(self, points):
        return np.rint(self.pixels(points) * 2**FRACTION_BITS).astype(np.int32)

    def _all_fixed(self, shapes):
        return self._fixed(shapes) if isinstance(shapes, np.ndarray) else [self._fixed(shape) for shape in shapes]

    def fill(
        self, polygons: list[np.ndarray] | np.ndarray, canvas: np.ndarray | None = None, value: float = 255
    ) -> np.ndarray:
        """uint8 (size, size) with polygons, a list of (n, 2) or one (polygons, n, 2), filled; edges are smoothed."""
        canvas = np.zeros((self.size, self.size), np.uint8) if canvas is None else canvas
        for polygon in self._all_fixed(polygons):
            cv2.fillPoly(canvas, [polygon], value, cv2.LINE_AA, FRACTION_BITS)
        return canvas

    def stroke(
        self,
        lines: list[np.ndarray] | np.ndarray,
        width: float,
        canvas: np.ndarray | None = None,
        value: float = 255,
    ) -> np.ndarray:
        """uint8 (size, size) with open lines of a width in body units; below a pixel the value fades instead.

        lines : list of (n, 2), or one array (lines, n, 2).
        """
        canvas = np.zeros((self.size, self.size), np.uint8) if canvas is None else canvas
        pixels = width * self.scale
        value = value * min(1.0, pixels)
        cv2.polylines(canvas, self._all_fixed(lines), False, value, max(1, round(pixels)), cv2.LINE_AA, FRACTION_BITS)
        return canvas

    def box(self, mask: np.ndarray) -> tuple[float, float, float, float] | None:
        """(x, y, w, h) in pixels around what is set in a mask of any resolution over this film, None if nothing is."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return None
        step = self.size / mask.shape[0]
        x, y = columns[0] * step, rows[0] * step
        return (float(x), float(y), float((columns[-1] + 1) * step - x), float((rows[-1] + 1) * step - y))


def draw_patient(rng: np.random.Generator) -> Patient:
    """A patient: age as in NIH ChestX-ray14 (first films: mean 46, standard deviation 17 years), anatomy to match."""
    sex = "M" if rng.random() < 0.54 else "F"
    age = int(np.clip(rng.normal(47, 17), 5, 94))
    old = np.clip((age - 40) / 40, 0, 1)
    small = 1 - 0.25 * np.clip((18 - age) / 14, 0, 1)
    habitus = float(np.clip(rng.beta(2, 3) + 0.1 * (age > 35), 0, 1))
    breast = 0.0 if sex == "M" or age < 13 else float(rng.uniform(0.17, 0.30) + 0.09 * habitus)
    anatomy = Anatomy(
        half_width=float(rng.normal(0.69 if sex == "M" else 0.66, 0.03) * small),
        apex=float(rng.normal(-0.72, 0.03)),
        lung_height=float(rng.normal(1.08 if sex == "M" else 1.00, 0.065) * small),
        skew=float(rng.normal(0, 0.02)),
        dome_gap=float(rng.normal(0.06, 0.028)),
        dome_arch=float(np.clip(rng.normal(1.0, 0.16), 0.6, 1.4)),
        dome_peak=float(np.clip(rng.normal(0.48, 0.06), 0.34, 0.62)),
        dome_round=float(rng.uniform(0.35, 0.8)),
        girth=float(np.clip(rng.normal(0.02, 0.014) + 0.025 * habitus, 0, 0.07)),
        habitus=habitus,
        breast=breast,
        shoulder=float(rng.normal(0.02, 0.04)),
        rib_slope=float(rng.normal(0.52, 0.06) + 0.06 * old),
        rib_width=float(rng.normal(0.043, 0.004)),
        bone=float(np.clip(rng.normal(1.05, 0.12) - 0.25 * old * (1.3 if sex == "F" else 0.8), 0.5, 1.4)),
        knob=float(np.clip(rng.normal(0.065, 0.010) + 0.030 * old, 0.045, 0.12)),
        spine_curve=float(rng.normal(0, 0.012) * (1 + old)),
        heart=float(rng.standard_normal()),
        heart_tilt=float(rng.normal(0.62, 0.10) - 0.15 * habitus),
        lung_markings=float(np.clip(rng.normal(1.0, 0.18) + 0.15 * old, 0.5, 1.6)),
        tree_seed=int(rng.integers(2**31)),
    )
    return Patient(sex, age, anatomy)


def chest_half_width(anatomy: Anatomy, fraction: np.ndarray, side: int = 0) -> np.ndarray:
    """Inner half width of the chest (n,) at a fraction (n,) of the way from apex to costophrenic angle.

    side : -1 the patient's right, 1 the left, 0 the middle of both.
    """
    left = 1 - np.clip(fraction / 0.92, 0, 1)
    return anatomy.half_width * (1 + side * anatomy.skew) * (0.40 + 0.60 * (1 - left**2.3) ** 0.60)


def chest(anatomy: Anatomy, pose: Pose) -> Chest:
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
    x = [
        -0.10,
        -0.24,
        -0.32,
        -0.35,
        -0.33,
        -0.22,
        0.05,
        0.40,
        0.60,
        0.68,
        0.64 - lean,
        0.52 - lean,
        0.38 - lean,
        0.25,
        0.05,
    ]
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
    swell = 1.15 * anatomy.knob
    left_edge = heart[:, 0].max()
    left_x = [0.05, 0.55 * left_edge, 0.175 + wide, 0.165 + wide, 0.130 + wide, 0.09 + swell, 0.08 + swell]
    left_x += [0.105 + 0.5 * wide, 0.115 + wide, 0.14 + wide, 0.20 + wide]
    left_y = [bottom, hilum_y + 0.26, hilum_y + 0.10, hilum_y - 0.01, knob_y + anatomy.knob * 1.5, knob_y + 0.02]
    left_y += [knob_y - 0.5 * anatomy.knob, knob_y - 1.2 * anatomy.knob, anatomy.apex + 0.12, anatomy.apex + 0.03, top]
    outline = np.column_stack([np.append(right_x, left_x), np.append(right_y, left_y)])
    outline[:, 0] += pose.turn * np.clip((outline[:, 1] - top) / 0.5, 0, 1)
    return rounded(outline)


def rounded(points: np.ndarray, rounds: int = 2) -> np.ndarray:
    """Closed polygon with its corners cut twice (Chaikin 1974), (4 n, 2)."""
    for _ in range(rounds):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1).reshape(-1, 2)
    return points


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


def band(line: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """Polygons (..., 2 n, 2) around lines (..., n, 2); width in body units, a number or (n,)."""
    along = np.empty_like(line)
    along[..., 1:-1, :] = line[..., 2:, :] - line[..., :-2, :]
    along[..., 0, :], along[..., -1, :] = line[..., 1, :] - line[..., 0, :], line[..., -1, :] - line[..., -2, :]
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    across *= (0.5 * width / np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-9))[..., None]
    return np.concatenate([line + across, (line - across)[..., ::-1, :]], axis=-2)


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
