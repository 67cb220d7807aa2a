"""What the columns of anybody's CSV mean: film, probability and truth of each finding, patient, view, sex, age.

Names are read in words: ``prob_Pleural_Effusion``, ``p_Edema``, ``Cardiomegaly_prob`` and ``Pleural Effusion`` are all
probabilities of a finding, ``Edema_true`` is a label.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError, hint
from cxr.core.findings import FINDINGS

SPELLINGS = {finding.lower(): finding for finding in FINDINGS} | {"pleuraleffusion": "Effusion", "oedema": "Edema"}
PROBABILITY_WORDS = set(
    "prob probs proba probability p pred preds predicted prediction score hat output sigmoid".split()
)
TRUTH_WORDS = set("true truth label labels target gt actual".split())
NEUTRAL_WORDS = {"y", "ground"}
# In this order: a file may have both a path and a name.
FILM_COLUMNS = (
    "imageid imageindex image imagename imagefile filename file path imagepath filepath img imgname study studyid name"
).split()
OTHER_COLUMNS = {
    "patient": "patientid patient subjectid subject".split(),
    "view": "view viewposition appa".split(),
    "sex": "sex gender patientsex patientgender".split(),
    "age": "age patientage".split(),
    "split": ["split"],
}
CHEXPERT_NAME = r"(?P<folder>train|valid|test)[^/]*/(?P<film>patient(?P<patient>\d+)/study\d+(?:/view\d+[^/.]*)?)"
NIH_NAME = r"(?:^|/)(?P<film>(?P<patient>\d{8})_\d{3})(?:\.\w+)?$"


def meaning(column: str) -> tuple[str, str] | None:
    """Finding and kind ("probability", "truth" or "bare") of a column's name; None where it is not a finding's.

    >>> meaning("prob_Pleural_Effusion")
    ('Effusion', 'probability')
    """
    words = [word for word in re.split(r"[^a-z0-9]+", column.lower()) if word]
    kinds = PROBABILITY_WORDS | TRUTH_WORDS | NEUTRAL_WORDS
    finding = SPELLINGS.get("".join(word for word in words if word not in kinds))
    if finding is None:
        return None
    if TRUTH_WORDS & set(words):
        return finding, "truth"
    return finding, "probability" if PROBABILITY_WORDS & set(words) else "bare"


def find_columns(raw: pd.DataFrame, path: Path) -> dict[str, dict[str, str]]:
    """kind -> finding -> column of the file, for "probability" and "truth".

    A bare name (``Edema``) is the probability, or the label where there is another column for the probability.

    Raises
    ------
    InputError
        Two columns mean the same.
    """
    found: dict[str, dict[str, str]] = {"probability": {}, "truth": {}, "bare": {}}
    for column in raw:
        known = meaning(column)
        if known:
            finding, kind = known
            if finding in found[kind]:
                raise InputError(
                    f"{path}: columns {found[kind][finding]!r} and {column!r} both mean {finding}; keep one."
                )
            found[kind][finding] = column
    for finding, column in found.pop("bare").items():
        kind = "truth" if finding in found["probability"] else "probability"
        if finding in found[kind]:
            raise InputError(f"{path}: columns {found[kind][finding]!r} and {column!r} both mean {finding}; keep one.")
        found[kind][finding] = column
    return found


def film_column(raw: pd.DataFrame, path: Path) -> str:
    """The column that names the film.

    Raises
    ------
    InputError
        There is none.
    """
    plain = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in reversed(raw.columns)}
    for name in FILM_COLUMNS:
        if name in plain:
            return plain[name]
    first = raw.columns[0]
    if first.startswith("Unnamed") and not pd.to_numeric(raw[first], errors="coerce").notna().any():
        return first  # an index of names that was saved without a head
    raise InputError(
        f"{path}: no column names the film; expected 'Image Index', 'image', 'filename', 'Path' or 'Study'; found "
        f"{', '.join(raw.columns[:12])}.{hint('Image Index', raw.columns)} Rename the column that does."
    )


def other_column(raw: pd.DataFrame, name: str) -> pd.Series | None:
    """The column "patient", "view", "sex", "age" or "split" of a file under one of its spellings, or None."""
    plain = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in raw}
    return next((raw[plain[spelling]] for spelling in OTHER_COLUMNS[name] if spelling in plain), None)


def name_films(names: pd.Series) -> tuple[pd.Series, pd.Series]:
    """``image_id`` and ``patient_id`` of films or studies by their names; the patient is NaN where the name says none.

    NIH's names become ``nih/…``, CheXpert's paths ``chexpert/valid/…``, all others ``own/…`` without their suffix.
    """
    names = names.astype(str).str.strip().str.replace("\\", "/", regex=False)
    chexpert, nih = names.str.extract(CHEXPERT_NAME), names.str.extract(NIH_NAME)
    own = names.str.replace(r"\.(?:png|jpe?g|dcm|dicom|tiff?|bmp|npy)$", "", regex=True, flags=re.IGNORECASE)
    own = own.str.removeprefix("own/").str.lstrip("./")
    image_ids = ("own/" + own).where(nih["film"].isna(), "nih/" + nih["film"])
    image_ids = image_ids.where(chexpert["film"].isna(), "chexpert/" + chexpert["folder"] + "/" + chexpert["film"])
    patients = ("nih-" + nih["patient"].str.lstrip("0")).where(nih["patient"].notna())
    numbers = chexpert["patient"].str.lstrip("0")
    return image_ids, patients.where(numbers.isna(), "chexpert-" + numbers)


def probabilities_of(raw: pd.DataFrame, columns: dict[str, str], path: Path) -> np.ndarray:
    """Probabilities, float64 of shape (N, F); NaN for a finding that has no column.

    Raises
    ------
    InputError
        A value that is no probability.
    """
    values = np.full((len(raw), len(FINDINGS)), np.nan)
    for f, finding in enumerate(FINDINGS):
        if finding not in columns:
            continue
        column = raw[columns[finding]]
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
        wrong = ~((numbers >= 0) & (numbers <= 1))
        if wrong.any():
            row = int(np.argmax(wrong))
            found = "nothing" if pd.isna(column.iloc[row]) else repr(column.iloc[row])
            outside = np.nanmax(np.abs(numbers)) if np.isfinite(numbers).any() else 0
            advice = " Percent? Divide by 100." if 1 < outside <= 100 and np.nanmin(numbers) >= 0 else ""
            advice = " These look like logits: apply the sigmoid first." if np.nanmin([*numbers, 0]) < 0 else advice
            raise InputError(
                f"{path}: line {row + 2}, column {columns[finding]!r}: expected a probability in 0..1, found {found} "
                f"({int(wrong.sum())} such lines).{advice or ' Mend or leave out these lines.'}"
            )
        values[:, f] = numbers
    return values


def labels_of(raw: pd.DataFrame, columns: dict[str, str], path: Path) -> np.ndarray:
    """Labels, float64 of shape (N, F): 1, 0, and NaN for blank, for -1 (uncertain) and where there is no column.

    Raises
    ------
    InputError
        Another value.
    """
    values = np.full((len(raw), len(FINDINGS)), np.nan)
    words = {"true": "1", "yes": "1", "positive": "1", "false": "0", "no": "0", "negative": "0"}
    for f, finding in enumerate(FINDINGS):
        if finding not in columns:
            continue
        text = raw[columns[finding]].str.strip().str.lower().replace(words)
        numbers = pd.to_numeric(text, errors="coerce")
        wrong = (text.notna() & ~numbers.isin([0, 1, -1])).to_numpy()
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{path}: line {row + 2}, column {columns[finding]!r}: expected the label 1, 0, -1 or nothing, found "
                f"{raw[columns[finding]].iloc[row]!r}. Mend the column, or name a probability prob_{finding}."
            )
        values[:, f] = numbers.mask(numbers == -1)
    return values
