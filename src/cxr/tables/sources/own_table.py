"""A table of the user's own brought to one form: which column is what, and what its values mean."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import InputError, closest, counted
from cxr.core.findings import canonical
from cxr.tables.column_roles import ROLES, role_column
from cxr.tables.finding_columns import read_name, unused_notes
from cxr.tables.label_values import spelling, states
from cxr.tables.raw_tables import need_columns

MEND = "Mend OWN_COLUMNS in SETTINGS.json."
OPTIONS = {"labels": "a column that lists the findings of a film", "rows": "majority, where a film has several rows"}
USED = "only a finding's bare name is its label, or a column that OWN_COLUMNS names"
SEPARATORS = r"[|;,\[\]]"  # between the findings of one cell: ``Effusion|Mass``, ``['effusion', 'mass']``


@dataclass(frozen=True)
class OwnTable:
    """A table brought to one form, a row a reading of a film.

    films : DataFrame of N rows
        ``path``, ``patient``, ``view``, ``sex``, ``age``, ``split``: text as the table has it; NaN where it has none.
    raw : DataFrame of shape (N, F)
        1, 0, -1, NaN, inf of the findings that it labels (`cxr.tables.label_values.states`).
    labelled : list of str
        All findings that it labels, those that are not looked for too.
    blank : "ignore" or "negative"
        What a blank means.
    majority : bool
        Several rows a film are joined by majority, where they are; else they are refused.
    notes : list of str
        How it was read.
    """

    films: pd.DataFrame
    raw: pd.DataFrame
    labelled: list[str]
    blank: str = "ignore"
    majority: bool = False
    notes: list[str] = field(default_factory=list)


def by_columns(raw: pd.DataFrame, csv: Path, columns: dict[str, str], findings: Sequence[str]) -> OwnTable:
    """A table of which ``columns`` says what is what; the rest is guessed by usual names.

    Raises
    ------
    InputError
        A role is misspelt, a column is not there, or two columns mean one finding.
    """
    for name in columns:
        meant = None if name in (*ROLES, *OPTIONS) else closest(name, (*ROLES, *OPTIONS), cutoff=0.7)
        if meant:
            raise InputError(
                f"OWN_COLUMNS: {name}: expected {', '.join((*ROLES, *OPTIONS))} or a finding. Did you mean {meant}?"
            )
    need_columns(raw, csv, [column for role, column in columns.items() if role != "rows"], MEND)
    if columns.get("rows", "majority") != "majority":
        raise InputError(f'OWN_COLUMNS: rows: expected "majority", found {columns["rows"]!r}. {MEND}')
    named = {role: columns[role] for role in ROLES if role in columns}
    guessed = {role: role_column(raw.columns, role) for role in ROLES if role not in columns}
    guessed = {role: column for role, column in guessed.items() if column is not None}
    role_of = named | guessed
    if "path" not in role_of:
        raise InputError(
            f'{csv}: no column names the film; found {", ".join(raw.columns[:20])}. Say which: "OWN_COLUMNS": '
            '{"path": "…"} in SETTINGS.json.'
        )
    films = pd.DataFrame({role: raw[role_of[role]] if role in role_of else np.nan for role in ROLES}, index=raw.index)
    of_findings = {name: column for name, column in columns.items() if name not in (*ROLES, *OPTIONS)}
    taken = {*role_of.values(), *of_findings.values(), columns.get("labels")}
    free = [column for column in raw.columns if column not in taken]
    label_column = columns.get("labels")
    if label_column:
        labels, labelled = listed_labels(raw[label_column], findings)
        kinds = {finding: label_column for finding in labels}
    else:
        _refuse_two_columns(findings, of_findings, free, csv)
        kinds = spelling(findings, free)
        kinds |= {finding: column for name, column in of_findings.items() for finding in spelling(findings, [name])}
        labels = pd.DataFrame({finding: states(raw[column]) for finding, column in kinds.items()}, index=raw.index)
        _refuse_odd_values(raw, kinds, labels, csv)
        labelled = [*free, *of_findings]
    unused = sorted(name for name in of_findings if canonical(name) not in map(canonical, findings))
    notes = [f"{role}: column {column!r} (guessed)" for role, column in guessed.items()]
    notes += [f"{finding}: column {column!r}" for finding, column in kinds.items() if column != finding]
    others = {known.column: known.why for known in (read_name(column, findings) for column in free) if known}
    notes += unused_notes({name: why or USED for name, why in others.items() if name not in kinds.values()})
    notes += [f"OWN_COLUMNS names {name}, which is not in FINDINGS: not used" for name in unused]
    notes += _contradictions(raw[free], labels)
    return OwnTable(films, labels, labelled, majority="rows" in columns, notes=notes)


def _contradictions(others: pd.DataFrame, labels: pd.DataFrame) -> list[str]:
    """What to tell of films that are said to have no finding, and have one."""
    notes = []
    for column in (column for column in others if canonical(column) == canonical("No Finding")):
        films = int(((states(others[column]) == 1) & (labels == 1).any(axis=1)).sum())
        if films:
            notes.append(f"WARNING: {column!r} and a finding too: {counted(films, 'film')}; the finding counts")
    return notes


def listed_labels(column: pd.Series, findings: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Labels from a column that lists the findings of a film; one that no film has is not labelled by it.

    Returns
    -------
    labels : DataFrame
        1 where the list holds the finding, 0 where it does not, NaN where there is no list.
    labelled : list of str
        All that the lists hold.
    """
    names = column.str.split(SEPARATORS, regex=True).explode().str.strip(" '\"\t")
    names = names[names.fillna("") != ""]
    labelled = sorted(set(names))
    labels = {
        finding: pd.Series(column.index.isin(names.index[names.map(canonical) == canonical(name)]), column.index)
        for finding, name in spelling(findings, labelled).items()
    }
    return pd.DataFrame(labels, index=column.index).astype(float).mask(column.isna()), labelled


def _refuse_two_columns(findings: Sequence[str], named: dict[str, str], free: Sequence[str], csv: Path) -> None:
    for finding in (finding for finding in findings if canonical(finding) not in map(canonical, named)):
        names = [read_name(column, [finding]) for column in free]
        alike = [known.column for known in names if known and known.kind == "bare"]  # a suffix of a merge beside it
        if len(alike) > 1:
            raise InputError(
                f"{csv}: the columns {', '.join(map(repr, alike))} all mean {finding}. Say which: "
                f'"{finding}": "{alike[0]}" in OWN_COLUMNS.'
            )


def _refuse_odd_values(raw: pd.DataFrame, kinds: dict[str, str], labels: pd.DataFrame, csv: Path) -> None:
    for finding, column in kinds.items():
        odd = (labels[finding] == np.inf).to_numpy()
        if odd.any():
            row = int(np.argmax(odd))
            raise InputError(
                f"{csv}: line {row + 2}, column {column!r}: expected 1, 0, -1 (uncertain), nothing (not known), yes or "
                f"no, true or false; found {raw[column].iloc[row]!r} ({int(odd.sum())} such lines). Mend the table, or "
                f"name another column for {finding} in OWN_COLUMNS."
            )
