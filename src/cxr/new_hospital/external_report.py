"""All tables of the report on a new hospital, and what they say in sentences."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from cxr.evaluation import metrics
from cxr.new_hospital import carried, disclosure, promises, refitting
from cxr.new_hospital.carried import Carried, Here


def tables(here: Here, came: Carried, replicates: int, seed: int) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Every table of the report, by its file's name; and metrics.json of the local films.

    Parameters
    ----------
    here : Here
        The local films, under what came.
    came : Carried
    replicates, seed : int
    """
    home = carried.at(came.home, came.thresholds) if came.home is not None else None
    block = metrics.evaluate(here.table, came.thresholds, replicates, seed)
    of_findings = carried.as_came(here, came, block, replicates, seed)
    refits = refitting.curve(here, came.thresholds["rule"], seed, refitting.DRAWS)
    elsewhere = refitting.crossed(here, seed)
    versions = dict(zip(carried.VERSIONS, (here.deployed, here.raw, elsewhere), strict=True))
    hospitals = {"here": here, **({"home": home} if home else {})}
    covered = [promises.risk_coverage(films).assign(hospital=name) for name, films in hospitals.items()]
    return {
        "as_came": of_findings,
        "predictive_curves": carried.predictive_curves(of_findings),
        "decision_curves": carried.decision_curves(here, versions),
        "refits": refits,
        "promises": promises.promises(here, home),
        "abstaining": promises.abstaining(here, home),
        "risk_coverage": pd.concat(covered, ignore_index=True),
    }, block


def sentences(shown: Mapping[str, pd.DataFrame], rule: str) -> dict[str, list[str]]:
    """What the tables say: ``refits``, ``promises`` and ``hidden``, a line a finding."""
    judged = list(dict.fromkeys(shown["refits"]["finding"]))
    absent = [finding for finding in shown["as_came"]["finding"] if finding not in judged]
    return {
        "refits": [refitting.sentence(shown["refits"], finding, rule) for finding in judged],
        "promises": [promises.sentence(row) for row in shown["promises"].to_dict("records")],
        "hidden": [disclosure.sentence(finding) for finding in absent],
    }
