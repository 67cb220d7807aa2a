"""Anatomy of the synthetic films: who the patient is, and where organs and bones lie.

Body coordinates: x to the right of the film (the patient's left), y downwards, the spine at x = 0, and a film about two
units wide. A `Frame` maps them to film pixels. Organs are polygons in body coordinates; what they do to the rays is
added up in `cxr.synthetic.phantoms`.
"""

from dataclasses import dataclass

import numpy as np

SIDES = (-1, 1)  # the patient's right lung is on the left of the film


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
    girth: float  # extra half width of the great vessels above the heart; negative: narrower
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
    gas: float = 1.0  # in stomach and bowel: how much darker and larger than usual
    shoulders: float = 0.76  # thickness of the trunk at the shoulders, 1 as of the chest
    flank: float = 1.0  # soft tissue beside the chest: times the usual
    sag: float = 0.0  # how much lower than usual the breasts lie


@dataclass(frozen=True)
class Patient:
    """sex "M" or "F", age in years, anatomy drawn once."""

    sex: str
    age: int
    anatomy: Anatomy


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
