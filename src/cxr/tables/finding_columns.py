"""What a column's name says of a finding: its probability, its label, a model's decision, or nothing that is clear.

Names are read in words: ``prob_Pleural_Effusion``, ``p_Edema`` and ``CardiomegalyProb`` are probabilities of a finding,
``Edema_true`` is its label, ``Edema_pred_label`` and ``Edema_binary`` are what a model decided.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cxr.core.errors import closest
from cxr.core.findings import SYNONYMS, canonical

WORDS = {
    "probability": "prob probs proba probability probabilities p pred preds predicted prediction predictions score "
    "scores hat yhat ypred yprob yscore output outputs sigmoid confidence likelihood",
    "truth": "true truth ytrue label labels target targets gt groundtruth actual gold reference annotation annotated "
    "consensus expert",
    "decision": "decision decisions decided binary binarized binarised bin call called class classification classified "
    "thresholded hard detected flag flagged",
}
KINDS = {word: kind for kind, words in WORDS.items() for word in words.split()}
NEUTRAL = {"y", "ground"}
# What merges append to names that both tables have (pandas, R, polars), and pandas to one that a header holds twice.
SUFFIX = re.compile(r"(?:[._ ](?:x|y|left|right)|\.\d+)$", re.IGNORECASE)
ALIKE = 0.85  # of a misspelt finding


@dataclass(frozen=True)
class FindingColumn:
    """A column whose name holds a finding.

    kind: "probability", "truth", "bare" (the finding alone), "decision", or "unclear". suffix: of a merge, "" = none.
    why: what a decision or an unclear name is left out for.
    """

    column: str
    finding: str
    kind: str
    suffix: str = ""
    why: str = ""


def read_name(column: str, findings: Sequence[str]) -> FindingColumn | None:
    """What a column is by its name; None where it holds none of the findings.

    >>> read_name("prob_Pleural_Effusion", ["Edema", "Effusion"]).kind, read_name("Edema_pred_label", ["Edema"]).kind
    ('probability', 'decision')
    """
    names = {canonical(finding): finding for finding in findings}
    if canonical(column) in names:
        return FindingColumn(column, names[canonical(column)], "bare")
    plain = SUFFIX.sub("", column)
    suffix, words = column[len(plain) :], _words(plain)
    ends, longest = range(1, len(words) + 1), max(map(len, {*names, *SYNONYMS}))  # letters, so words too
    runs = [(stop - start, start, stop) for stop in ends for start in range(max(0, stop - longest), stop)]
    runs = [run for run in runs if canonical("".join(words[run[1] : run[2]])) in names]
    if not runs:
        meant = _like(plain, words, names)
        return meant and FindingColumn(column, meant, "unclear", suffix, "the name is not understood")
    _, start, stop = max(runs)  # the longest: Pleural Effusion, not Effusion
    kind, why = _kind(words[:start], words[stop:])
    return FindingColumn(column, names[canonical("".join(words[start:stop]))], kind, suffix, why)


def of_other_findings(columns: Sequence[str], findings: Sequence[str]) -> list[str]:
    """Columns that say by their names that they are probabilities, of nothing that is looked for."""
    probable = WORDS["probability"].split()
    return [
        column
        for column in columns
        if len(words := _words(column)) > 1 and set(words) & set(probable) and read_name(column, findings) is None
    ]


def _words(name: str) -> list[str]:
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W_]+", parted.lower()) if word]


def _kind(before: list[str], after: list[str]) -> tuple[str, str]:
    """Kind of a column by the words around its finding, and why it is left out."""
    rest = before + after
    kinds = {KINDS[word] for word in rest if word in KINDS}
    unknown = [word for word in rest if word not in KINDS and word not in NEUTRAL]
    if "decision" in kinds or len(kinds) > 1:
        return "decision", "a decision of the model by its name, no label and no probability"
    if unknown:
        return "unclear", f"{' and '.join(map(repr, unknown))} in the name is not understood"
    if kinds:
        return kinds.pop(), ""
    return ("truth" if rest == ["y"] and before else "bare"), ""


def _like(plain: str, words: list[str], names: Mapping[str, str]) -> str | None:
    """The finding that a name holds in one word with others (``edemaprob``), or misspelt."""
    inside = [name for name in names if len(name) > 4 and name in canonical(plain)]
    if inside:
        return names[max(inside, key=len)]
    meant = closest("".join(word for word in words if word not in {*KINDS, *NEUTRAL}), names, ALIKE)
    return meant and names[meant]


def merged_twice(columns: Sequence[FindingColumn]) -> tuple[FindingColumn, FindingColumn] | None:
    """Two columns that differ in the suffix of a merge only, or None."""
    first: dict[tuple[str, str, str], FindingColumn] = {}
    for named in columns:
        key = named.finding, named.kind, canonical(SUFFIX.sub("", named.column))
        other = first.setdefault(key, named)
        if named.suffix != other.suffix:
            return other, named
    return None


def unused_notes(unused: Mapping[str, str]) -> list[str]:
    """A line a reason, from columns that were left out and why."""
    reasons: dict[str, list[str]] = {}
    for column, why in unused.items():
        reasons.setdefault(why, []).append(repr(column))
    return [f"not used: {', '.join(columns)}: {why}" for why, columns in reasons.items()]
