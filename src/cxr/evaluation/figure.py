"""What one figure of metrics.json is: a further metric is a function, and a line in the list of its kind.

The lists: `cxr.evaluation.bootstrap.RANKINGS` (of probabilities), `cxr.evaluation.rates.RATES` (of decisions),
`cxr.evaluation.metrics.FIGURES` (all). metrics.json, its intervals and means, the result table, the report, the model
card and comparisons follow them.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A figure.

    key: in metrics.json. title: in tables for people. compute: from what its kind is computed from. plain: for a
    ranking (truth, probabilities) -> float without weights, by a library. column: its heading in result.csv, "" = it
    has none there beside those of the original's form. on_card: whether the model card shows it.
    """

    key: str
    title: str
    compute: Callable | None = None
    plain: Callable | None = None
    column: str = ""
    on_card: bool = False
