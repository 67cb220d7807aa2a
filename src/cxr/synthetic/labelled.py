"""Drawn films with the labels of their findings: what a classifier can learn before it sees a real film.

Each is drawn by `randomised`, as if in a hospital of its own. Its findings depend neither on each other nor on patient
and hospital: there is nothing to learn labels from but the findings themselves.
"""

from collections.abc import Sequence

import numpy as np

from cxr.core.findings import FINDINGS
from cxr.synthetic.drawn_findings import DRAWN_LABELS
from cxr.synthetic.phantoms import Film
from cxr.synthetic.randomised import draw_randomised_film
from cxr.synthetic.scene import draw_severity

DRAWABLE = (*FINDINGS, *DRAWN_LABELS)
ASKED = 0.2  # share of films with a finding that is looked for
BESIDE = 0.06  # and with one that is not, which must not be taken for another
UP_TO = {"Effusion": 2.0}  # times the severity elsewhere: real ones fill half a chest
OPAQUE = (0.5, 1.2)  # the share of air lost from which a place is no lung to who outlines it; above 1 it always is
# Which of these words a report uses is its author's habit: what is drawn as one may be called the others too.
OPACITIES = ("Consolidation", "Pneumonia", "Infiltration")
VERSION = 2  # raise it when the same numbers give other films or labels


def labelled_film(number: int, seed: int, size: int, findings: Sequence[str]) -> tuple[Film, np.ndarray]:
    """The film (size, size) of a number, and its labels (F,), float32.

    1 = drawn, 0 = not, NaN = not known: a finding that cannot be drawn, and of `OPACITIES` those beside one that is.
    """
    rng = np.random.default_rng([seed, number])
    chances = rng.spawn(1)[0]
    severities = drawn_severities(chances, findings)
    film = draw_randomised_film(rng, size, severities, opaque=chances.uniform(*OPAQUE))
    return film, labels_of(severities, findings)


def drawn_severities(rng: np.random.Generator, findings: Sequence[str]) -> dict[str, float]:
    """The findings of a film and their severities: each of those looked for with chance `ASKED`, others `BESIDE`."""
    # In the order of all that can be drawn, whatever is looked for: another list leaves the rest of a film as it is.
    chances = {name: (rng.random(), draw_severity(rng) * rng.uniform(1, UP_TO.get(name, 1))) for name in DRAWABLE}
    return {
        name: severity
        for name, (chance, severity) in chances.items()
        if chance < (ASKED if name in findings else BESIDE)
    }


def labels_of(severities: dict[str, float], findings: Sequence[str]) -> np.ndarray:
    """Labels (F,) of a film with these findings: see `labelled_film`."""
    opaque = any(name in severities for name in OPACITIES)
    labels = [
        1 if name in severities else np.nan if name not in DRAWABLE or (opaque and name in OPACITIES) else 0
        for name in findings
    ]
    return np.array(labels, np.float32)
