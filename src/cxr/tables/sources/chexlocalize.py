"""CheXlocalize (Saporta 2022), outlines on CheXpert's films: what it calls the films and the findings."""

import re
from collections.abc import Sequence

from cxr.core.findings import canonical
from cxr.tables.sources.chexpert import CHEXPERT, EXPERT_FOLDERS

TASKS = (
    "Airspace Opacity|Atelectasis|Cardiomegaly|Consolidation|Edema|Enlarged Cardiomediastinum|Lung Lesion|"
    "Pleural Effusion|Pneumothorax|Support Devices"
).split("|")
TASK_OF_LABEL = {canonical(task): task for task in TASKS} | {canonical("Lung Opacity"): "Airspace Opacity"}
FILM = re.compile(r"(patient\d+)_study\d+_view\d+_\w+")


def patient_of(film: str) -> str | None:
    """The patient of a film called such as ``patient64541_study1_view1_frontal``; None where it is no such name."""
    named = FILM.fullmatch(film)
    return named and named[1]


def film_name(image_id: str) -> str | None:
    """What a film is called there; None for films of other sources, and of train, which has no outlines.

    >>> film_name("chexpert/valid/patient64541/study1/view1_frontal")
    'patient64541_study1_view1_frontal'
    """
    parts = image_id.split("/")
    outlined = len(parts) > 2 and parts[0] == CHEXPERT.name and parts[1] in EXPERT_FOLDERS
    return "_".join(parts[2:]) if outlined else None


def tasks_of(findings: Sequence[str]) -> dict[str, str]:
    """Finding -> the task of its outlines, for those that have some.

    >>> tasks_of(["Effusion", "Pneumonia", "Lung Opacity"])
    {'Effusion': 'Pleural Effusion', 'Lung Opacity': 'Airspace Opacity'}
    """
    known = {finding: TASK_OF_LABEL.get(canonical(finding)) for finding in findings}
    return {finding: task for finding, task in known.items() if task}
