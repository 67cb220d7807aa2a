"""The default findings: their names, their order in every array and table; what a name means; colours of any findings.

Which findings a run looks for is FINDINGS of PARAMS.json; these six are its default.
"""

import re
from collections.abc import Sequence

FINDINGS = ("Consolidation", "Pneumothorax", "Edema", "Effusion", "Pneumonia", "Cardiomegaly")
LARGE_HEART = "Cardiomegaly"  # what the cardiothoracic ratio is compared with

# Okabe and Ito's palette: told apart by colour-blind readers and in print.
COLOURS = {
    "Consolidation": "#E69F00",
    "Pneumothorax": "#56B4E9",
    "Edema": "#009E73",
    "Effusion": "#0072B2",
    "Pneumonia": "#D55E00",
    "Cardiomegaly": "#CC79A7",
}
# What DICOM results call them: SNOMED CT's codes and terms.
SNOMED = {
    "Consolidation": ("95436008", "Lung consolidation"),
    "Pneumothorax": ("36118008", "Pneumothorax"),
    "Edema": ("19242006", "Pulmonary edema"),
    "Effusion": ("60046008", "Pleural effusion"),
    "Pneumonia": ("233604007", "Pneumonia"),
    "Cardiomegaly": ("8186001", "Cardiomegaly"),
}
# The same finding in other words, once spaces, case and marks are gone.
SYNONYMS = {"pleuraleffusion": "effusion", "oedema": "edema", "infiltrate": "infiltration", "nofindings": "nofinding"}

# Names that stand in our tables beside those of findings.
RESERVED = frozenset(
    "image_id path patient_id view sex age source label_source split finding mean films patients filename".split()
)


def canonical(name: str) -> str:
    """What two spellings of one finding have in common.

    >>> canonical("Pleural Effusion") == canonical("effusion"), canonical("Pleural_Thickening")
    (True, 'pleuralthickening')
    """
    short = re.sub(r"[\W_]+", "", name.lower())
    return SYNONYMS.get(short, short)


def checked_names(findings: tuple[str, ...]) -> tuple[str, ...]:
    """Findings as they are, where columns, folders and files can have their names; a ValueError says what hinders."""
    wrong = [name for name in findings if not re.fullmatch(r"[^\W_][\w -]{0,39}(?<! )", name)]
    if wrong:
        raise ValueError(f"must be names of letters, digits, spaces, _ and -, at most 40; {wrong[0]!r} is none")
    reserved = sorted(set(findings) & RESERVED)
    if reserved:
        raise ValueError(f"must not name a column of our tables, as {reserved[0]!r} does")
    spelt = [canonical(name) for name in findings]
    twice = [name for name, short in zip(findings, spelt, strict=True) if spelt.count(short) > 1]
    if twice:
        raise ValueError(f"must name each finding once; {' and '.join(twice)} are one")
    return findings


# Each is as far as can be (in OKLab) from those before it, from black, white and gray, and, less and less down the
# list, as red-green-blind eyes see it (Machado 2009). Of a lightness that shows on paper and on a dark page.
FURTHER_COLOURS = (
    "#A5004B #9669FF #5AD296 #694B78 #4B3CC3 #A53C00 #FF4B69 #5A87D2 #2D690F #B43CB4 "
    "#F087FF #87784B #F0B4C3 #C3D200 #870096 #87A500 #4BE1F0 #0F5A69 #A55A78 #694B2D "
    "#B4C3FF #FF8769 #D21E3C #C3C387 #785AC3 #2D69F0 #5A8700 #2D7869 #00C34B #B48700"
).split()


def colours(findings: Sequence[str]) -> dict[str, str]:
    """A colour for each finding: the defaults have their own wherever they stand, others the next free one.

    >>> colours(["Hernia", "Edema", "Mass"])
    {'Hernia': '#A5004B', 'Edema': '#009E73', 'Mass': '#9669FF'}
    """
    others = [finding for finding in findings if finding not in COLOURS]
    own = COLOURS | dict(zip(others, FURTHER_COLOURS, strict=False))
    return {finding: own[finding] for finding in findings}
