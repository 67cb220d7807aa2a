"""The default findings: their names, their order in every array and table, their colours; and what a name means.

Which findings a run looks for is FINDINGS of PARAMS.json; these six are its default.
"""

import re

FINDINGS = ("Consolidation", "Pneumothorax", "Edema", "Effusion", "Pneumonia", "Cardiomegaly")

# Okabe and Ito's palette: told apart by colour-blind readers and in print.
COLOURS = {
    "Consolidation": "#E69F00",
    "Pneumothorax": "#56B4E9",
    "Edema": "#009E73",
    "Effusion": "#0072B2",
    "Pneumonia": "#D55E00",
    "Cardiomegaly": "#CC79A7",
}
# The same finding in other words, once spaces, case and marks are gone.
SYNONYMS = {"pleuraleffusion": "effusion", "oedema": "edema", "infiltrate": "infiltration", "nofindings": "nofinding"}


def canonical(name: str) -> str:
    """What two spellings of one finding have in common.

    >>> canonical("Pleural Effusion") == canonical("effusion"), canonical("Pleural_Thickening")
    (True, 'pleuralthickening')
    """
    short = re.sub(r"[\W_]+", "", name.lower())
    return SYNONYMS.get(short, short)
