"""What a training list and a test list are: public ones by their digest, patients in both, films of known training."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from cxr.core.errors import InputError, counted
from cxr.core.settings import Settings
from cxr.external.column_names import film_column
from cxr.external.label_tables import own_patients
from cxr.new_hospital.disclosure import FEWEST, shown, told
from cxr.releases import writing
from cxr.report import family_report
from cxr.tables.raw_tables import read_raw_csv
from cxr.tables.sources.catalogue import name_films
from cxr.tables.sources.known_lists import KnownList, digest_of_films, known_lists, released
from cxr.tables.table_text import text_of

MEND = "Give a text with a film's name at the start of each line, or a CSV with a column for it."


def read_list(path: Path, split: str) -> pd.DataFrame:
    """``image_id``, ``patient_id`` (NaN = not known) of a list: a CSV, or a text whose lines begin with a film's name.

    ``split``: train or test; of a CSV with a column of that name its rows alone.

    Raises
    ------
    InputError
        It is not there, no list, or a film stands twice.
    """
    if ".csv" in map(str.lower, path.suffixes):
        raw = read_raw_csv(path, (), MEND)
        if "split" in raw:
            raw = raw[raw["split"].astype(str).str.lower() == split].reset_index(drop=True)
            if raw.empty:
                raise InputError(f"{path}: split: expected {split} in some rows; found none. Give the list of {split}.")
        image_ids, patients = name_films(raw[film_column(raw, path)])
        patients = own_patients(raw, patients)
    else:
        try:
            lines = text_of(path, MEND).splitlines()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}. {MEND}") from None
        names = pd.Series([line.split()[0].rsplit("/", 1)[-1] for line in lines if line.strip()], dtype=str)
        if names.str.contains(",").any():
            raise InputError(f"{path}: its lines hold commas; a table must be named .csv. {MEND}")
        if names.empty:
            raise InputError(f"{path}: no film is named. {MEND}")
        image_ids, patients = name_films(names)
    again = image_ids.duplicated()
    if again.any():
        raise InputError(f"{path}: {image_ids[again].iloc[0]} stands twice ({int(again.sum())} such). Keep one.")
    return pd.DataFrame({"image_id": image_ids, "patient_id": patients})


def recognise(image_ids: Collection[str]) -> KnownList | None:
    """The public list of exactly these films, or None."""
    digest = digest_of_films(image_ids)
    return next((known for known in known_lists() if known.digest == digest), None)


def line(image_ids: Collection[str], aggregates: bool = False) -> str:
    """The passport of test films in a line; films of other releases are left aside.

    aggregates: fewer than ten films in a training list are told as that.
    """
    films = released(image_ids)
    if not films:
        return "Split passport: none of these films is of a release whose public lists are known."
    known = recognise(films)
    every = len(set(image_ids))
    of_others = every - len(films)
    inside = [f"{told(len(films & other.films), aggregates, every)} in {other}" for other in trained(films, known)]
    count = f"{len(films):,} of"
    if aggregates and of_others < FEWEST:  # it would be known from the number of all films
        count = "films of"
    those = f"the {count} that release among them" if of_others else "these"
    named = f"{those} are {known}" if known else f"{those} are no known public list"
    beside = f"; published figures of the same films: {'; '.join(known.beside)}" if known and known.beside else ""
    of_these = "" if of_others and count.startswith("films") else f" {counted(len(films), 'film')}"
    seen = f"; of these{of_these} {', '.join(inside)}: weights trained there must not be scored here"
    return f"Split passport: {named}{beside}{seen if inside else ''}."


def of_split(films: pd.DataFrame, drawn: bool = False) -> str:
    """The passport of a split of this project in a line, with who of its test is in training too.

    Parameters
    ----------
    films : DataFrame
        ``image_id``, ``patient_id``, ``split`` (train, val, test).
    drawn : bool
        They are films that this project draws, of which only the names are those of a release.
    """
    test = films[films["split"] == "test"]
    shared = overlap(films[films["split"].isin(["train", "val"])], test)
    what = line(test["image_id"])
    if drawn:
        what = "Split passport: drawn films, which bear names of public releases and are in none of their lists."
    if not shared["patients"]:
        return f"{what} No patient of test is in train or val."
    return (
        f"{what} {counted(shared['patients'], 'patient')} of test ({counted(shared['test_films'], 'film')} of "
        f"{len(test):,}) {'is' if shared['patients'] == 1 else 'are'} in train or val too: no published figure may "
        "stand beside yours."
    )


def of_family(settings: Settings, test: pd.DataFrame) -> str:
    """`of_split` of the films that a family was trained and tested on; ``test``: its predictions of test."""
    films = family_report.used_films(settings)
    if films is None:
        return line(test["image_id"])
    return of_split(films[["image_id", "patient_id", "split"]], writing.is_drawn(settings.dataset_dir))


def trained(image_ids: Collection[str], known: KnownList | None = None) -> list[KnownList]:
    """The public training lists that hold some of these films; not the list's own one."""
    own = known.title if known else None
    return [
        other for other in known_lists()
        if other.split == "train" and other.title != own and not other.films.isdisjoint(image_ids)
    ]  # fmt: skip


def overlap(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, int]:
    """Patients in both, test films of them, and films in both; a film without a known patient counts as its own."""
    owners = [table["patient_id"].fillna(table["image_id"]) for table in (train, test)]
    shared = owners[1].isin(owners[0])
    films = int(test["image_id"].isin(train["image_id"]).sum())
    return {"patients": int(owners[1][shared].nunique()), "test_films": int(shared.sum()), "films": films}


def recalled(train: pd.DataFrame, test: pd.DataFrame, finding: str) -> float | None:
    """AUROC of predicting a test film's label by the mean of the same patient's training labels; others: prevalence.

    None where no patient is shared, or the labels are of one kind.
    """
    known, tested = train[train[finding].notna()], test[test[finding].notna()]
    means = known.groupby("patient_id")[finding].mean()
    scores = tested["patient_id"].map(means)
    if scores.isna().all() or tested[finding].nunique() < 2:
        return None
    return float(roc_auc_score(tested[finding], scores.fillna(known[finding].mean())))


def shift(tables: dict[str, pd.DataFrame], findings: Sequence[str], aggregates: bool = False) -> pd.DataFrame:
    """A row a list: prevalence of each finding, share of each view and sex, median age; NaN where nothing is known.

    aggregates: NaN too where it is of fewer than ten films, or would tell such a count.
    """
    rows = {}
    for name, table in tables.items():
        age = pd.to_numeric(table["age"], errors="coerce").astype(float)
        of_labels = table[list(findings)].apply(lambda labels: labels.value_counts()).reindex([1, 0]).fillna(0)
        few = aggregates & (of_labels < FEWEST).any()
        rows[name] = {finding: np.nan if few[finding] else float(table[finding].mean()) for finding in findings}
        for column in ("view", "sex"):
            counts = table[column].value_counts()
            left = shown(counts.to_numpy()[:, None]) if aggregates else np.ones(len(counts), bool)
            shares = (counts / counts.sum()).where(left)
            rows[name] |= {f"{column} {value}": share for value, share in shares.items()}
        few_ages = aggregates and age.notna().sum() < FEWEST
        rows[name]["median age"] = float(age.median()) if age.notna().any() and not few_ages else np.nan
    return pd.DataFrame(rows)
