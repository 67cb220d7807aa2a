"""From where a film was taken (PA, AP, LATERAL): by a word, by a DICOM header, by a file's name, by the picture."""

import re
import unicodedata
from pathlib import Path
from typing import Any

import cv2
import numpy as np

# A decubitus film is frontal, of a patient who lies on the side; an oblique one is neither.
NOT_LATERAL = re.compile(r"DECUB|OBLIQ|(?<![A-Z])[LR]LD(?![A-Z])")
SIDEWAYS = re.compile(r"(?<![A-Z])(?:[LR]?LAT(?:ERAL[A-Z]*)?|LL|RL|PROFIL|PERFIL)(?![A-Z])|측면|側面")
FRONTAL = re.compile(r"(?<![A-Z])(?:FRONT|POSTERO|ANTERO|(?:PA|AP)(?![A-Z]))|정면|正面")
# SNOMED CT and, before 2017, SNOMED RT: DICOM PS3.16, context group 4010, "DX View".
VIEW_CODES = {
    "399173006": "LATERAL", "399198007": "LATERAL", "399067008": "LATERAL", "399352003": "LATERAL",
    "399260004": "LATERAL", "272479007": "PA", "399348003": "AP",
    "R-10236": "LATERAL", "R-10232": "LATERAL", "R-102CD": "LATERAL", "R-10228": "LATERAL", "R-10224": "LATERAL",
    "R-40888": "PA", "R-10214": "PA", "R-10206": "AP",
}  # fmt: skip
SIDE = 8  # of the thumbnail that the picture is judged by
# Weights, in hundredths, of what `halves` gives: a logistic regression on drawn films alone, laterals against PA and AP
# (`python benchmarks/laterals.py`). Bright shoulders speak for a lateral film, a bright spine in the middle against it.
LATERAL_WEIGHTS = (
    (14, 19, 31, 29), (-18, 5, 46, 41), (-40, -5, 46, -9), (-28, -4, 17, -81),
    (1, 9, 9, -76), (9, 9, 14, -26), (-1, -7, 9, 8), (-11, -18, 0, 10),
)  # fmt: skip
LATERAL_CUT = 0.39


def view_of(words: Any) -> str:
    """PA, AP or LATERAL from what people and programs write for a view; "" for anything else.

    >>> [view_of(words) for words in ("Postero-anterior", "a.p.", "LL", "AP LLD", "lateral decubitus", None)]
    ['PA', 'AP', 'LATERAL', 'AP', '', '']
    """
    text = _capitals(words)
    letters = re.sub(r"[^A-Z]", "", text)
    if re.match("POSTEROANT|PA", letters):
        return "PA"
    if re.match("ANTEROPOST|AP", letters):
        return "AP"
    if NOT_LATERAL.search(text):
        return ""
    return "LATERAL" if letters in ("L", "LL", "RL") or SIDEWAYS.search(text) else ""


def stated_view(header: Any) -> str:
    """PA, AP or LATERAL by a DICOM header (a pydicom Dataset), "" where it says nothing that is known.

    By ViewPosition, the view's code, PatientPosition (some programs write the view there), then PatientOrientation:
    rows that run to the front or the back are a lateral film's. Last by words of the series and the protocol, which may
    name all films of a study: they count only where they speak of a lateral film and of no frontal one.
    """
    codes = [str(getattr(code, "CodeValue", "")).strip() for code in _value(header, "ViewCodeSequence")]
    stated = [view_of(_value(header, "ViewPosition")), *(VIEW_CODES.get(code, "") for code in codes),
              view_of(_value(header, "PatientPosition"))]  # fmt: skip
    along = _value(header, "PatientOrientation")
    along = along.split("\\") if isinstance(along, str) else [str(value) for value in along]
    if len(along) == 2 and along[0][:1] in ("A", "P") and along[1][:1] in ("H", "F"):
        stated.append("LATERAL")
    free = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
    stated += ["LATERAL" for name in free if says_lateral(str(_value(header, name)))]
    return next((view for view in stated if view), "")


def _value(header: Any, keyword: str) -> Any:
    try:
        return header.get(keyword) or ""
    except Exception:  # pydicom raises what a broken attribute provokes; no film is refused for its view
        return ""


def says_lateral(text: str) -> bool:
    """Whether a text names a lateral view in words or letters of their own, and no other view."""
    text = _capitals(text)
    return bool(SIDEWAYS.search(text)) and not FRONTAL.search(text) and not NOT_LATERAL.search(text)


def named_lateral(path: Path) -> bool:
    """Whether a film's name says that it is lateral (``view2_lateral.jpg``, ``0007-LL.dcm``), or its folder's does."""
    in_laterals = SIDEWAYS.fullmatch(_capitals(path.parent.name)) and not FRONTAL.search(_capitals(path.stem))
    return bool(in_laterals) or says_lateral(path.stem)


def _capitals(words: Any) -> str:
    """A text as capitals, with Korean letters composed: some systems write them apart in names of files."""
    return unicodedata.normalize("NFC", str(words)).upper()


def halves(film: np.ndarray) -> np.ndarray:
    """The left half (8, 4) of a film's thumbnail, mean 0 and deviation 1, averaged with its mirrored right half."""
    small = cv2.resize(film, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(float)
    small = (small - small.mean()) / (small.std() + 1)
    return ((small + small[:, ::-1]) / 2)[:, : SIDE // 2]


def lateral_score(film: np.ndarray) -> float:
    """How much a film of shape (H, W), uint8, looks like a lateral one: beyond `LATERAL_CUT` it is taken for one.

    The cut was set on every second of 948 real frontal films (NIH, Montgomery, Shenzhen). No real lateral film was
    at hand: what it finds was measured on other drawn ones, and on films summed from one real chest CT
    (`benchmarks/laterals.py`, 2026-11-27). Beyond the cut lie 5 of the 948 (4 of the 474 that did not set it), 399
    of 400 drawn laterals, none of 800 drawn PA and AP films, 194 of the CT's 200 laterals, 14 of its 200 frontal films.
    """
    return float((halves(film) * LATERAL_WEIGHTS).sum() / 100)
