"""All sources together: which are in use, and how the test patients of each are found."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxr.core.errors import InputError
from cxr.core.parameters import TableParams
from cxr.core.settings import Settings
from cxr.tables.schema import problems, test_source
from cxr.tables.sources.chexpert import chexpert_is_used
from cxr.tables.sources.nih import listed_patients, nih_is_used


def tables_in_use(settings: Settings) -> dict[Path, str]:
    """The tables to merge, each with the script that makes it: what SETTINGS.json names, not what lies around.

    Raises
    ------
    InputError
        SETTINGS.json names no source at all.
    """
    used = {}
    if nih_is_used(settings):
        used[settings.nih_csv] = "python src/classification/etl/0_nih_table.py"
    if chexpert_is_used(settings):
        used[settings.chexpert_csv] = "python src/classification/etl/1_chexpert_table.py"
    if not used:
        raise InputError(
            "SETTINGS.json: no source of films: give DATASET_CSV_DIR (NIH), or DATASET_CHEXPERT_TRAIN_CSV_DIR and "
            "DATASET_CHEXPERT_VAL_CSV_DIR (CheXpert), or all."
        )
    return used


@dataclass(frozen=True)
class TestPlan:
    """Who is set aside: patients of official lists, sources of which a share is drawn; and what is to be said of it."""

    __test__ = False  # not a test, whatever pytest thinks of its name
    listed: set[str]
    hashed: set[str]
    problems: pd.DataFrame
    notes: list[str]


def plan_test(images: pd.DataFrame, nih: pd.DataFrame | None, lists: dict[str, Path], params: TableParams) -> TestPlan:
    """How the test patients of each source are found.

    Parameters
    ----------
    images : DataFrame
        The merged table.
    nih : DataFrame or None
        NIH's whole table: a listed film need not be on disk to make its patient a test patient.
    lists : dict
        From `nih_lists`. A list without any patient on disk counts as no list.
    params : TableParams
        CHEXPERT_TEST, SPLIT.
    """
    origins = test_source(images["image_id"])
    if params.split == "image":
        return TestPlan(set(), set(origins), problems(), ["SPLIT is image: a share TEST_FRACTION of all films"])
    listed, hashed, notes, in_both = set(), set(), [], problems()
    if "nih" in origins:
        patients = {name: listed_patients(path, nih) for name, path in lists.items()}
        official = patients.get("test", set())
        if official & set(images["patient_id"]):
            listed |= official
            both = sorted(official & patients.get("train_val", set()))
            in_both = problems(both, "in NIH's test and train_val list: held out for the test")
            notes.append(f"NIH: official {lists['test'].name}")
        else:
            hashed.add("nih")
            notes.append("NIH: a share TEST_FRACTION of the patients, for there is no test_list.txt with films on disk")
    experts = set(images["patient_id"][origins == "chexpert-valid"])
    if experts and params.chexpert_test != "hash":
        listed |= experts
        notes.append("CheXpert: valid.csv, labelled by experts")
    if "chexpert-train" in origins and (not experts or params.chexpert_test != "valid"):
        hashed.add("chexpert-train")
        why = "" if params.chexpert_test != "valid" else ", for no film of valid.csv is on disk"
        notes.append(f"CheXpert: a share TEST_FRACTION of the train patients, labelled from reports{why}")
    return TestPlan(listed, hashed, in_both, notes)
