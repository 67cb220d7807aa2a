"""All releases -> one table of the films that are on disk and wanted."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from cxr.core.errors import InputError
from cxr.core.parameters import TableParams
from cxr.tables.raw_files import leaves_raw_folder
from cxr.tables.schema import label_array, problems


def first_of_each(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table with the first row of each ``image_id``, and the others as problems."""
    again = table["image_id"].duplicated()
    listed = problems(table.loc[again, "path"], "stands more than once in the table; the first row is used")
    return table[~again].reset_index(drop=True), listed


@dataclass(frozen=True)
class Merged:
    """What `merge` makes: the films to work with, what is wrong with others, and how many were left out, by reason."""

    images: pd.DataFrame
    problems: pd.DataFrame
    left_out: dict[str, int]


def merge(releases: Iterable[pd.DataFrame], on_disk: pd.Series, params: TableParams) -> Merged:
    """One table of all films that are on disk and wanted, sorted by ``image_id``.

    Parameters
    ----------
    releases : iterable of DataFrame
        The tables of the sources.
    on_disk : Series of str
        The files below the raw folder, from `list_files`.
    params : TableParams
        VIEWS and ABNORMAL_ONLY.

    Raises
    ------
    InputError
        No film is left.
    """
    table, listed = first_of_each(pd.concat(releases, ignore_index=True))
    outside = leaves_raw_folder(table["path"])
    listed = pd.concat([listed, problems(table.loc[outside, "path"], "outside the raw folder")], ignore_index=True)
    abnormal = pd.Series((label_array(table) == 1).any(axis=1), index=table.index)
    left_out, total = {"twice in a table": len(listed) - int(outside.sum())}, len(table)
    for reason, drop in {
        "outside the raw folder": outside,
        "not on disk": ~table["path"].isin(on_disk),
        "view not known": table["view"].isna(),
        f"view not in VIEWS ({', '.join(params.views)})": ~table["view"].isin(params.views),
        "none of the six findings (ABNORMAL_ONLY)": ~abnormal & params.abnormal_only,
    }.items():
        drop = drop.reindex(table.index)
        left_out[reason] = int(drop.sum())
        table = table[~drop]
    left_out = {reason: count for reason, count in left_out.items() if count}
    if table.empty:
        why = "; ".join(f"{reason}: {count}" for reason, count in left_out.items())
        raise InputError(f"no film is left of {total} ({why}). Widen VIEWS or mend DATASET_DIR.")
    return Merged(table.sort_values("image_id", ignore_index=True), listed, left_out)
