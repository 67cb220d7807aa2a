"""What may leave a site that lets no rows out: aggregates, of which no cell is of fewer than ten films or patients."""

from collections.abc import Mapping

import pandas as pd

FEWEST = 10
_RATES = ("recall", "specificity", "precision", "negative_predictive_value", "auroc")
_OF_CLASSES = (
    *(f"{key}{end}" for key in _RATES for end in ("", "_low", "_high")),
    *(f"{key}{end}" for key in ("intercept", "slope") for end in ("", "_low", "_high")),
    *("patients_with", "positives", "negatives", "prevalence_here", "expected", "observed"),
    *("hits", "misses", "alarms", "rejections"),
)
# Missed and alarmed films add up to the wrong ones: with one of the three hidden two would tell it.
_ANSWERED = ("answered_wrong", "answered_right", "wrong")
_OF_PREDICTION = ("precision", "negative_predictive_value")


def _with_limits(*keys: str) -> tuple[str, ...]:
    return tuple(f"{key}{end}" for key in keys for end in ("", "_low", "_high"))


# Table -> (cells, what goes with them): where one cell is under `FEWEST` the others of its row would tell it, and so
# would every share of them.
RULES: Mapping[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    "as_came": (
        (("patients_with", "positives", "negatives"), _OF_CLASSES),
        (("hits", "misses"), ("hits", "misses", *_with_limits("recall", *_OF_PREDICTION))),
        (("alarms", "rejections"), ("alarms", "rejections", *_with_limits("specificity", *_OF_PREDICTION))),
    ),
    "decision_curves": (
        (
            ("hits", "alarms", "rejections", "misses"),
            ("hits", "alarms", "rejections", "misses", "net_benefit", "treat_all"),
        ),
    ),
    "promises": (
        (("patients",), ("patients", "threshold")),
        (
            ("drawn_missed", "drawn_found"),
            ("drawn", "drawn_missed", "drawn_found", "missed", "missed_of_films", "low", "high"),
        ),
    ),
    "abstaining": (
        (("answered", "left"), ("answered", "left", "coverage", "answered_wrong", "answered_right", "wrong")),
        (("answered_wrong", "answered_right"), ("answered_wrong", "answered_right", "wrong")),
        (("missed_films", "found_films"), ("missed_films", "found_films", "missed", *_ANSWERED)),
        (("alarmed_films", "spared_films"), ("alarmed_films", "spared_films", "alarmed", *_ANSWERED)),
    ),
    "risk_coverage": ((("answered_wrong", "answered_right"), ("answered_wrong", "answered_right", "wrong")),),
}
# Of these, findings with a class under `FEWEST` have no rows: every figure is of that class.
DROPPED = ("predictive_curves", "decision_curves", "refits", "promises", "abstaining", "risk_coverage")


def hidden(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables of a report without cells under `FEWEST` and without what would tell them.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By the names in `RULES`; ``as_came`` among them.
    """
    came = tables["as_came"]
    few = set(came.loc[came[["patients_with", "positives", "negatives"]].lt(FEWEST).any(axis=1), "finding"])
    result = {}
    for name, table in tables.items():
        table = table[~table["finding"].isin(few)].copy() if name in DROPPED else table.copy()
        for cells, told in RULES.get(name, ()):
            under = table[list(cells)].lt(FEWEST).any(axis=1)
            for column in told:
                table[column] = table[column].astype(float).mask(under)
        result[name] = table.reset_index(drop=True)
    shown = result["as_came"].set_index("finding")["recall"].notna()
    curves = result["predictive_curves"]  # made of sensitivity and specificity
    both = shown & result["as_came"].set_index("finding")["specificity"].notna()
    result["predictive_curves"] = curves[curves["finding"].map(both)].reset_index(drop=True)
    return result
