"""Domain randomisation (Tobin 2017): each film of another patient, as if from a hospital of its own.

What a network learns on such films must hold wherever a real film comes from. Ranges are wider than life on purpose.
"""

from dataclasses import replace

import cv2
import numpy as np

from cxr.core.findings import FINDINGS
from cxr.synthetic.chronic import changed_body
from cxr.synthetic.devices import add_devices
from cxr.synthetic.drawn_findings import DRAWN_LABELS
from cxr.synthetic.exposure import HOSPITALS, Hospital
from cxr.synthetic.frame import Frame
from cxr.synthetic.outlines import Pose
from cxr.synthetic.patients import Patient, draw_patient
from cxr.synthetic.phantoms import Film, Readers, draw_posed
from cxr.synthetic.scene import draw_severity, heart_ratio

HEALTHY = 0.5  # share of films without a finding
# Half of all is as usual: a network that sees nothing but extremes learns more slowly what most films look like.
USUAL = 0.5


LEAST = 128  # side at which outlines are still drawn well; smaller films are made smaller
VERSION = 3  # raise it when the same numbers give other films


def film_and_masks(number: int, seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The film of a number (size, size), and its masks of lungs and heart (size, size, 2): uint8, 0 or 255."""
    film = draw_randomised_film(np.random.default_rng([seed, number]), max(size, LEAST), with_surroundings=True)
    pictures = [film.pixels, film.lungs, film.heart]
    if size < LEAST:
        pictures = [cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) for picture in pictures]
    return pictures[0], np.where(np.stack(pictures[1:], axis=-1) > 127, np.uint8(255), np.uint8(0))


def draw_randomised_film(
    rng: np.random.Generator,
    size: int = 512,
    severities: dict[str, float] | None = None,
    opaque: float = 1.0,
    with_surroundings: bool = False,
) -> Film:
    """A frontal film (size, size) with its masks; the same state of ``rng`` gives the same bytes.

    ``severities``: of its findings, by name, in (0, 1]; None: drawn too. ``opaque``: see `Readers`.
    ``with_surroundings``: also what a mask of the lungs cuts off, and who draws the mask must tell from lung.
    """
    body, finding, posing, framing, site, marking, drawing, exposing, labelling, graying, around = rng.spawn(11)
    severities = _severities(finding) if severities is None else severities
    patient = random_patient(body)
    patient = changed_body(with_low_breasts(around, patient) if with_surroundings else patient, severities)
    pose = _pose(posing, patient, severities)
    frame = _frame(framing, patient, size)
    devices = (
        None if marking.random() < 0.5 else (lambda stopped: add_devices(marking, stopped, frame, patient.anatomy))
    )
    film = draw_posed(
        (marking, drawing, exposing, labelling), patient, severities, frame, pose, _hospital(site),
        readers=replace(_readers(posing), opaque=opaque), devices=devices,
    )  # fmt: skip
    pixels = with_gas_and_fat(around, film) if with_surroundings else film.pixels
    if graying.random() < 0.3:
        white = with_surroundings and around.random() < 0.3
        pixels = shuttered(graying, pixels, film.lungs, around.uniform(200, 255) if white else None)
    return replace(film, pixels=pixels if graying.random() < USUAL / 2 else regrayed(graying, pixels))


def random_patient(rng: np.random.Generator) -> Patient:
    """A patient of any age and shape: children, obesity, a bent spine, high domes, a lung that shrank."""
    patient = draw_patient(rng)
    a = patient.anatomy
    # Where the real films of Montgomery and Shenzhen end beside the great vessels, at the shoulders, below the arms.
    build = {
        "girth": float(np.clip(a.girth + rng.normal(-0.08, 0.03), -0.12, 0.04)),
        "shoulders": float(rng.uniform(0.76, 1.0)),
        "flank": float(rng.uniform(0.2, 1.0)),
        "shoulder": a.shoulder - 0.015,
        "gas": float(rng.uniform(0.7, 2.0)),
    }
    if rng.random() < USUAL:
        return replace(patient, anatomy=replace(a, **build))
    spread = build | {
        "half_width": a.half_width * rng.uniform(0.88, 1.12),
        "lung_height": a.lung_height * float(np.clip(rng.normal(1.0, 0.12), 0.72, 1.3)),
        "girth": float(np.clip(build["girth"] + rng.normal(0, 0.03), -0.13, 0.08)),
        "habitus": float(np.clip(a.habitus + rng.normal(0, 0.2), 0, 1)),
        "dome_gap": float(np.clip(rng.normal(0.05, 0.07), -0.15, 0.25)),
        "dome_arch": float(rng.uniform(0.45, 1.5)),
        "dome_peak": float(rng.uniform(0.32, 0.64)),
        "dome_round": float(rng.uniform(0.1, 0.95)),
        "skew": float(rng.normal(0, 0.045)),
        "knob": float(rng.uniform(0.04, 0.13)),
        "shoulder": float(rng.normal(0.005, 0.08)),
        "rib_slope": float(rng.normal(0.52, 0.12)),
        "rib_width": float(rng.uniform(0.030, 0.056)),
        "bone": float(rng.uniform(0.35, 1.9)),
        "heart_tilt": float(np.clip(rng.normal(0.6, 0.16), 0.25, 0.95)),
        "lung_markings": float(rng.uniform(0.4, 1.9)),
        "gas": float(rng.uniform(0.5, 2.2)),
    }
    kind = rng.choice(["usual", "bent", "shrunken"], p=[0.84, 0.08, 0.08])
    if kind == "bent":
        spread |= {
            "spine_curve": float(rng.choice([-1, 1]) * rng.uniform(0.05, 0.14)),
            "skew": float(rng.normal(0, 0.09)),
        }
    elif kind == "shrunken":  # one side is narrower and its dome higher
        side = rng.choice([-1, 1])
        spread |= {"skew": float(-side * rng.uniform(0.06, 0.16)), "dome_gap": float(-side * rng.uniform(0.1, 0.3))}
    return replace(patient, anatomy=replace(a, **spread))


def with_low_breasts(rng: np.random.Generator, patient: Patient) -> Patient:
    """Half of those who have breasts have larger ones that lie lower: their edges look like a lung's."""
    larger, lower = rng.uniform(1, 1.4), rng.uniform(0, 0.4)
    if rng.random() < USUAL:
        return patient
    a = patient.anatomy
    return replace(patient, anatomy=replace(a, breast=a.breast * larger, sag=lower))


def _readers(rng):
    mean = {"medial": 0.01, "lateral": 0.011, "base": 0.028, "hilar": 0.025, "blunt": 0.016, "apex": 0.022}
    return Readers(**{habit: float(middle * rng.uniform(0.7, 1.3)) for habit, middle in mean.items()})


def _severities(rng):
    if rng.random() < HEALTHY:
        return {}
    names = rng.choice([*FINDINGS, *DRAWN_LABELS], rng.integers(1, 4), replace=False)
    return {str(name): draw_severity(rng) for name in names}


def _pose(rng, patient, severities):
    view = "PA" if rng.random() < 0.6 else "AP"
    ratio = heart_ratio(rng, patient, view, severities.get("Cardiomegaly", 0), severities.get("Edema", 0))
    return Pose(
        view=view,
        supine=view == "AP" and rng.random() < 0.5,
        inspiration=max(float(rng.uniform(0.70, 1.08)), 0.95 if "Emphysema" in severities else 0.0),  # air stays in
        turn=float(rng.normal(0, 0.03)),
        heart_ratio=float(np.clip(ratio + rng.normal(0, 0.035), 0.30, 0.78)),
        arms=float(rng.uniform(0.0, 0.5)),
        shrug=float(rng.normal(0, 0.08)),
    )


def _frame(rng, patient, size):
    """Any place, size and turn in which a chest is still whole on the film; some films were squashed to squares."""
    zoom = np.clip(rng.normal(1.03, 0.17), 0.55, 1.36) * 0.5 * size * 0.69 / max(patient.anatomy.half_width, 0.58)
    squash = np.exp(rng.normal(0, 0.07))
    angle = np.deg2rad(rng.normal(0, 3.5))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = zoom * np.diag([squash, 1 / squash]) @ turn
    middle = np.array([0.0, patient.anatomy.apex + 0.60 * patient.anatomy.lung_height])
    shift = size * (0.5 + rng.normal(0, [0.04, 0.06]))
    return Frame(size, np.column_stack([turn, shift - turn @ middle]))


def _hospital(rng):
    """Tube, grid, detector and processing: gray levels, edges, noise; where the marker stands."""
    if rng.random() < USUAL:
        return HOSPITALS[str(rng.choice(sorted(HOSPITALS)))]
    dark = rng.uniform(15, 140)
    return Hospital(
        dark=dark,
        bright=rng.uniform(max(dark + 60, 165), 252),
        detail=rng.choice([0.0, rng.uniform(0.0, 0.5), rng.uniform(0.5, 1.6)]),
        noise=0.004 * np.exp(rng.uniform(0, 1.9)),
        zoom=1.0,
        marker=str(rng.choice(["L", "R", "PA", "LEFT", "D", "G", "*", "7"])),
        marker_place=(rng.uniform(0.03, 0.93), rng.choice([rng.uniform(0.05, 0.2), rng.uniform(0.75, 0.95)])),
        supine=0.5,
    )


def regrayed(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """A film (size, size) uint8 as another detector and another program would have stored it."""
    size = len(pixels)
    if rng.random() < 0.5:  # heel effect, uneven scatter
        uneven = cv2.resize(rng.normal(0, 14, (3, 3)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
        pixels = np.clip(pixels + uneven, 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        tiles = int(rng.integers(2, 9))
        pixels = cv2.createCLAHE(rng.uniform(1, 5), (tiles, tiles)).apply(pixels)
    if rng.random() < 0.12:
        pixels = cv2.addWeighted(cv2.equalizeHist(pixels), 0.8, pixels, 0.2, 0)
    levels = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-0.7, 0.7))
    low, high = rng.uniform(-0.15, 0.15), rng.uniform(0.85, 1.15)
    levels = np.clip((levels - low) / (high - low), 0, 1) * rng.uniform(200, 255) + rng.uniform(0, 20) * (
        rng.random() < 0.3
    )
    if rng.random() < 0.03:
        levels = 255 - levels
    pixels = cv2.LUT(pixels, np.clip(levels, 0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        pixels = _bordered(rng, pixels)
    if rng.random() < 0.4:  # stored smaller than it is shown
        small = int(size * rng.uniform(0.35, 0.9))
        pixels = cv2.resize(cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA), (size, size))
    if rng.random() < 0.25:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))]
        pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], cv2.IMREAD_GRAYSCALE)
    return pixels


def with_gas_and_fat(rng: np.random.Generator, film: Film) -> np.ndarray:
    """The pixels of a film with up to three dark patches beside its lungs, as dark as these, or less.

    Gas in the stomach or bowel below a thin dome, air below an arm, fat and folds beside a shoulder: networks took them
    for lung on real films.
    """
    if not film.lungs.any():
        return film.pixels
    size, dark = len(film.pixels), np.median(film.pixels[film.lungs > 0])
    away = cv2.distanceTransform(255 - film.lungs, cv2.DIST_L2, 3) / size
    below = np.maximum.accumulate(film.lungs, axis=0) > 0  # a lung
    hull = cv2.convexHull(cv2.findNonZero(film.lungs))
    beyond = cv2.fillConvexPoly(np.zeros_like(film.lungs), hull, 1) == 0
    free = (film.lungs == 0) & (film.heart == 0) & (away < 0.12)
    patches = np.zeros_like(film.lungs)
    for _ in range(rng.integers(4)):
        rows, columns = np.nonzero(free & (below & (away < 0.06) if rng.random() < 0.5 else below | beyond))
        place = rng.integers(len(rows)) if len(rows) else 0
        axes, turn = rng.uniform(0.015, 0.09, 2) * size, rng.uniform(0, 180)
        if len(rows):
            middle = (int(columns[place]), int(rows[place]))
            cv2.ellipse(patches, (middle, (2 * axes[0], 2 * axes[1]), turn), 255, cv2.FILLED)
    patches[(away < rng.uniform(0.004, 0.02)) | (film.heart > 0)] = 0  # the wall between
    shares = cv2.GaussianBlur(patches, (0, 0), rng.uniform(0.002, 0.012) * size) * (rng.uniform(0.25, 0.9) / 255)
    return (film.pixels - shares * np.maximum(film.pixels - dark, 0)).astype(np.uint8)


def shuttered(rng: np.random.Generator, pixels: np.ndarray, lungs: np.ndarray, rest: float | None = None) -> np.ndarray:
    """The film (size, size) with the beam cut off anywhere beyond the lungs, or a little within them.

    The rest has one gray, about black by default. A film that is pasted onto a larger black square looks the same.
    """
    size = len(pixels)
    x, y, width, height = cv2.boundingRect(lungs)
    free = np.array([x, y, size - x - width, size - y - height]) / size
    left, top, right, bottom = (np.where(rng.random(4) < 0.45, rng.uniform(-0.02, 1, 4) * free, -0.1) * size).tolist()
    box = np.array([[left, top], [size - right, top], [size - right, size - bottom], [left, size - bottom]])
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.normal(0, 1.5), 1)
    beam = np.zeros_like(pixels)
    cv2.fillConvexPoly(beam, np.rint(box @ turn[:, :2].T + turn[:, 2]).astype(np.int32), 255)
    return np.where(beam > 0, pixels, np.uint8(rng.uniform(0, 25) if rest is None else rest))


def _bordered(rng, pixels):
    """Black, gray or white bars at some sides, with words burnt in, in place."""
    size, gray = len(pixels), int(rng.choice([0, 255, rng.integers(256)]))
    wide = (np.clip(rng.uniform(-0.05, 0.06, 4), 0, None) * size).astype(int)
    top, bottom, left, right = wide
    pixels[:top], pixels[size - bottom :], pixels[:, :left], pixels[:, size - right :] = (gray,) * 4
    for _ in range(rng.integers(0, 4)):
        word = "".join(rng.choice(list("ABCDEFGHKLMNPRST0123456789 -:"), rng.integers(2, 14)))
        place = rng.uniform(0, 0.85, 2) if rng.random() < 0.3 else (rng.uniform(0, 0.8), rng.choice([0.04, 0.97]))
        spot = (int(place[0] * size), int(place[1] * size))
        ink = int(rng.choice([0, 255, 200]))
        cv2.putText(
            pixels, word, spot, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.3, 0.7) * size / 512, ink, 1, cv2.LINE_AA
        )
    return pixels
