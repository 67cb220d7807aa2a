"""All releases -> one table of the films that are on disk and wanted."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from cxr.core.errors import InputError
from cxr.core.parameters import TableParams
from cxr.tables.raw_files import leaves_raw_folder
from cxr.tables.schema import findings_of, label_array, problems


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


def merge(releases: Mapping[str, pd.DataFrame], on_disk: Mapping[str, pd.Series], params: TableParams) -> Merged:
    """One table of all films that are on disk and wanted, sorted by ``image_id``.

    Parameters
    ----------
    releases : mapping of source to DataFrame
        The tables of the sources, with the same findings.
    on_disk : mapping of source to Series of str
        The files below each source's folder, or those of them that its table names.
    params : TableParams
        VIEWS and ABNORMAL_ONLY.

    Raises
    ------
    InputError
        No film is left.
    """
    there = [table["path"].isin(on_disk[name]) for name, table in releases.items()]
    table = pd.concat(releases.values(), ignore_index=True).assign(there=pd.concat(there, ignore_index=True))
    table, listed = first_of_each(table)
    there = table.pop("there")
    outside = leaves_raw_folder(table["path"])
    listed = pd.concat([listed, problems(table.loc[outside, "path"], "outside the raw folder")], ignore_index=True)
    findings = findings_of(table)
    abnormal = pd.Series((label_array(table, findings) == 1).any(axis=1), index=table.index)
    left_out, total = {"twice in a table": len(listed) - int(outside.sum())}, len(table)
    unknown = table["view"].isna()
    # A source that says of no film whether it is PA or AP (an own table without that column) is taken as frontal.
    frontal = table["view"].isin(["PA", "AP"]).groupby(table["label_source"]).transform("any")
    for reason, drop in {
        "outside the raw folder": outside,
        "not on disk": ~there,
        "view not known": unknown & frontal,
        f"view not in VIEWS ({', '.join(params.views)})": ~unknown & ~table["view"].isin(params.views),
        f"none of the {len(findings)} findings (ABNORMAL_ONLY)": ~abnormal & params.abnormal_only,
    }.items():
        drop = drop.reindex(table.index)
        left_out[reason] = int(drop.sum())
        table = table[~drop]
    left_out = {reason: count for reason, count in left_out.items() if count}
    if table.empty:
        why = "; ".join(f"{reason}: {count}" for reason, count in left_out.items())
        raise InputError(f"no film is left of {total} ({why}). Widen VIEWS or mend DATASET_DIR.")
    return Merged(table.sort_values("image_id", ignore_index=True), listed, left_out)
