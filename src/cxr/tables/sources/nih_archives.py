"""NIH ChestX-ray14 comes in twelve archives: which are there, and what the first of them hold to begin with."""

import pandas as pd

from cxr.tables.schema import findings_of

NIH_TABLE_ROWS = 112_120
NIH_GB = 45  # of all archives
TO_BEGIN = 2  # archives
NIH_ARCHIVES = (4_999, *[10_000] * 10, 7_121)  # films in images_001 … images_012, in the order of the full table


def told(table: pd.DataFrame, on_disk: pd.Series) -> list[str]:
    """A line for each of NIH's twelve archives that is not whole on disk."""
    lines, first = [], 0
    there = table["path"].isin(on_disk)
    for number, films in enumerate(NIH_ARCHIVES, start=1):
        films_there, first = int(there[first : first + films].sum()), first + films
        if not films_there:
            lines.append(f"images_{number:03d}.tar.gz: MISSING, none of its {films:,} films is on disk")
        elif films_there < films:
            lines.append(f"images_{number:03d}.tar.gz: {films - films_there:,} of its {films:,} films are missing")
    return lines or ["all twelve archives are whole"]


def to_begin(table: pd.DataFrame, test: set[str]) -> list[str]:
    """What the first two archives hold, in words: enough to begin with, where 45 GB are too much.

    Parameters
    ----------
    table : DataFrame
        All of NIH's, as `read_nih` gives it.
    test : set of str
        The names in test_list.txt; empty where there is no such list.
    """
    first = table.head(sum(NIH_ARCHIVES[:TO_BEGIN]))
    held_out = first["path"].str.replace(r"^.*/", "", regex=True).isin(test)
    learned = first[~held_out]
    share = f"{NIH_GB * len(first) / NIH_TABLE_ROWS:.0f} of {NIH_GB} GB"
    films = f"{len(first):,} films of {first['patient_id'].nunique():,} patients"
    lines = [
        f"to begin, images_001 and images_002 will do: about {share}, {films}, {held_out.sum():,} of them test films"
    ]
    for finding in findings_of(table):
        positive = [part[part[finding] == 1] for part in (learned, first[held_out])]
        said = [f"{len(part):,} films of {part['patient_id'].nunique():,} patients" for part in positive]
        lines.append(f"  {finding}: {said[0]} to learn from" + (f", {said[1]} to test on" if test else ""))
    return lines
