"""What a prediction rests on: its thresholds, what its family has not told from guessing, and run.json."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cxr.core.errors import one_line
from cxr.evaluation import metrics, thresholds
from cxr.new_films.predicting import Predicted

LIKELY = 0.2  # a flip risk that is told
SHOWN = 10  # films and findings of the highest risk


def thresholds_used(predicted: Predicted) -> dict[str, dict[str, Any]]:
    """Finding -> threshold and fitted_on, as `thresholds.threshold_of` gives them."""
    fitted = predicted.bundle.thresholds
    return {
        finding: thresholds.threshold_of(fitted, finding, predicted.hospital) for finding in predicted.scored.findings
    }


def threshold_shown(predicted: Predicted, finding: str) -> str:
    """The threshold of a finding as text, with as many digits as it takes to see the decision on every film."""
    used = thresholds_used(predicted)[finding]["threshold"]
    return thresholds.threshold_text(used, predicted.scored.probability(finding))


def told_of_guessing(predicted: Predicted) -> list[str]:
    """What the family's test films have not told from guessing, in sentences; nothing where that was not recorded."""
    recorded = predicted.bundle.reference.get("guessing")
    return metrics.told_of_guessing(**recorded) if recorded else []


def told_of_flips(predicted: Predicted) -> list[str]:
    """The films that one further training would most likely call otherwise, as lines; or why that is not known."""
    if predicted.no_flip_risk:
        return [f"flip risk: not known, {predicted.no_flip_risk}"]
    risk, findings = predicted.flip_risk, predicted.scored.findings
    often = int((risk.max(axis=1, initial=0) >= LIKELY).sum())
    lines = [f"flip risk: {often} of {len(risk)} films with a finding that one training in five calls otherwise"]
    for place in np.argsort(-risk, axis=None, kind="stable")[:SHOWN]:
        row, column = np.unravel_index(place, risk.shape)
        if risk[row, column] < LIKELY:
            break
        probability, name = predicted.scored.shown(findings[column], row)[0], predicted.films["filename"].iloc[row]
        lines.append(f"  {risk[row, column]:.2f}  {findings[column]} {probability}  {one_line(name)}")
    return lines


def record(predicted: Predicted, device: str, versions: dict[str, str], listed: Sequence[str] = ()) -> dict[str, Any]:
    """run.json of a prediction: what the numbers depend on; nothing of the films but how many there were.

    listed: those that were taken as chest films because a list says so, as it names them.
    """
    return {
        "bundle": predicted.bundle.name,
        "family": predicted.bundle.family,
        "films": len(predicted.films),
        "not_predicted": len(predicted.problems),
        **({"chest_films_by_list": list(listed)} if listed else {}),
        "thresholds_of": predicted.hospital,
        "thresholds": thresholds_used(predicted),
        "learned_from_drawn_films": predicted.bundle.reference.get("drawn"),
        "not_told_from_guessing": told_of_guessing(predicted),
        "flip_risk": predicted.no_flip_risk or "in predictions.csv",
        "cut_of_distance": predicted.bundle.reference["distance"]["cut"],
        "made_from": predicted.bundle.reference["made_from"],
        "device": device,
        "versions": versions,
    }


def facts(record: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """The same as pairs of text for the report."""
    plain = ("bundle", "family", "films", "not_predicted", "thresholds_of", "cut_of_distance", "device")
    made_from = record["made_from"]
    networks = {**made_from["models"], **({"unet": made_from["unet"]} if made_from["unet"] else {})}
    return {
        "Run": [(name.replace("_", " "), str(record[name])) for name in plain],
        "Networks, by digest": [(name, value) for name, value in networks.items()],
        "Films before they reach a network": [(key, str(value)) for key, value in made_from["parameters"].items()],
        "Versions": list(record["versions"].items()),
    }
