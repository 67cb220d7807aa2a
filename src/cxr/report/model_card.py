"""MODEL_CARD.md: what a family is for, what it was made from, how it did, filled from what the runs recorded.

The sections follow Mitchell et al. 2019 (model cards) and name the items of CLAIM 2024 (Tejani et al.) that a run can
answer; the others are listed as left to the author. A figure that was not measured is "not measured".
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from cxr.core.artifacts import read_json_if_there
from cxr.core.parameters import METHOD_NAMES, Params
from cxr.core.settings import Settings
from cxr.evaluation.metrics import FIGURES, guessing_of, told_of_guessing
from cxr.report import family_report, table_notes
from cxr.report.page_tables import Cell
from cxr.tables.sources.catalogue import caveats, has_policy

LEFT_TO_AUTHOR = (
    "Title and abstract: that the study is about AI, its design, its main result",
    "Clinical background and intended role; hypotheses",
    "Ethics approval, consent, de-identification",
    "Eligibility, where and when the films were made, scanners",
    "How the reference standard was made, by whom, with which agreement (of a public release: see its paper)",
    "How the number of films was chosen",
    "Missing data beyond what is counted here",
    "External test on a hospital that is in no part of this training",
    "Comparison with readers; analysis of failures by a radiologist",
    "Registration, protocol, funding, conflicts of interest, availability of the trained model",
)
LIMITS = (
    "A film that is labelled 0 may still be abnormal: only the findings above are looked at.",
    "Results of several hospitals pooled can be good because the network recognises the hospital.",
    "Intervals cover the drawing of test patients, not the variance of training.",
    "{method} shows where evidence for the network's answer lies, not where disease is.",
)


def of_family(settings: Settings, params: Params, family: str, metrics: dict[str, Any]) -> str:
    """The model card of a family as Markdown."""
    method = METHOD_NAMES[params.evaluation.map_method]
    films = family_report.used_films(settings)
    parts = [
        f"# Model card: {family}",
        "Filled in by the pipeline from the facts of this run; nothing here was written by hand.",
        *(f"**{note}**" for note in family_report.synthetic(settings)),
        "## Model",
        *_model(settings, params, family),
        "## Intended use",
        "Research on chest radiographs: to study and to compare methods on the findings "
        f"{', '.join(params.findings)}.{_views(films)}",
        "**Not for diagnosis.** Not a medical device; never evaluated in care. Not for groups of patients, views or "
        "hospitals that the tables below do not show.",
        "## Data",
        *_data(settings, params, films),
        "## Protocol",
        *_protocol(films, metrics),
        "## Results",
        *_results(metrics),
        "## Subgroups",
        *_subgroups(metrics),
        "## Explanations and shortcuts",
        *_trust(settings, params, family),
        "## Limits",
        "\n".join(f"* {limit.format(method=method)}" for limit in (*caveats(metrics["protocol"]["sources"]), *LIMITS)),
        "## CLAIM items left to the author",
        "\n".join(f"* [ ] {item}" for item in LEFT_TO_AUTHOR),
    ]
    return "\n\n".join(parts) + "\n"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; what would end a cell is escaped."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def figure(values: Mapping[str, Any], key: str) -> str:
    """A figure of metrics.json with its interval: whether exact; whether it, or a part of a mean, is of too few."""
    value, interval = values[key], values.get(f"{key}_interval")
    if value is None:
        return "n/a"
    exact = ", exact" if key in values.get("exact_intervals", ()) else ""
    limits = f" ({interval[0]:.3f} to {interval[1]:.3f}{exact})" if interval else ""
    return f"{value:.3f}{limits}" + (" (too few)" if values.get("too_few") else "")


def _model(settings: Settings, params: Params, family: str) -> list[str]:
    members = params.members(family)
    weights = table_notes.of_weights(read_json_if_there(settings.family_dir(family) / "thresholds.json", "") or {})
    mean, said = ("weighted mean", "logits") if weights else ("mean", "probabilities")
    what = f"The {mean} of {len(members)} networks' {said}: " if len(members) > 1 else "One network: "
    lines = [what + ", ".join(f"{member} at {params.input_size(member)} px" for member in members) + "."]
    lines += ["\n".join(f"* {line}" for line in weights)] if weights else []
    for member in members:
        run = family_report.run_of(settings.member_dir(family, member))
        if run is None:
            lines.append(f"{member}: no run.json; how it was trained is not recorded.")
        else:
            lines.append(
                f"**{member}**\n\n" + table(["fact", "value"], [list(pair) for pair in family_report.run_facts(run)])
            )
    return lines


def _views(films: pd.DataFrame | None) -> str:
    if films is None:
        return ""
    counted = films["view"].fillna("view not known").value_counts()
    return f" Its films: {', '.join(f'{view} {number:,}' for view, number in counted.items())}."


def _data(settings: Settings, params: Params, films: pd.DataFrame | None) -> list[str]:
    if films is None:
        return ["The tables of films are not there: not recorded."]
    counted = family_report.counts(films, params.findings)
    heads = ["source", "split", "films", "patients", *(f"{finding}, positive" for finding in params.findings)]
    lines = [table(heads, [[str(cell) for cell in row] for row in counted.to_numpy().tolist()])]
    tables, train = params.tables, films[films["split"] == "train"]
    trained = ", ".join(f"{source} ({number:,})" for source, number in train["source"].value_counts().items())
    none = int((~(train[list(params.findings)] == 1).any(axis=1)).sum())
    may_doubt = [source for source in sorted(set(films["source"])) if has_policy(source)]
    doubt = "No label of these sources can be uncertain (−1)."
    if may_doubt:
        doubt = (
            f"Where {', '.join(may_doubt)} has uncertain labels (−1): {tables.uncertain_labels or 'none named'}, "
            f"unnamed: ignore; blank ones: {tables.blank_labels or 'as each source means it'}."
        )
    lines.append(
        f"Trained on films of: {trained or 'none'}; {none:,} of them are positive for none of the findings. {doubt} "
        f"Lung masking: {params.pack.lung_masking}; films are made square by: {params.pack.fit}."
    )
    lines += family_report.mask_notes(settings)
    return lines


def _protocol(films: pd.DataFrame | None, metrics: dict[str, Any]) -> list[str]:
    protocol = metrics["protocol"]
    leaks = "Whether patients are in two splits is not recorded."
    if films is not None:
        several = int((films.groupby("patient_id")["split"].nunique() > 1).sum())
        leaks = f"{several:,} PATIENTS ARE IN SEVERAL SPLITS." if several else "No patient is in two splits."
    fitted = protocol["thresholds_from"]
    return [
        f"{leaks} Tested on {protocol['films']:,} films of {protocol['patients']:,} patients "
        f"({', '.join(f'{name} {films:,}' for name, films in protocol['sources'].items())}).",
        f"Thresholds ({protocol['threshold_rule']}) and, where val has enough films, calibration were fitted on "
        f"{fitted['films']:,} val films of {fitted['patients']:,} patients, per finding and source (digest of the list "
        f"{fitted['digest']}). Intervals: {protocol['interval']}; {protocol['replicates']:,} resamples.",
    ]


def _results(metrics: dict[str, Any]) -> list[str]:
    blocks = {"All test films": metrics} if len(metrics["by_source"]) == 1 else metrics["by_source"]
    shown = [figure for figure in FIGURES if figure.on_card]
    heads = ["finding", "films", "positives", *(figure.title for figure in shown)]
    lines = [f"**{line}**" for line in told_of_guessing(**guessing_of(metrics))]
    for name, block in blocks.items():
        rows = []
        for finding, values in block["findings"].items():
            figures = [figure(values, kind.key) for kind in shown]
            rows.append([finding, f"{values['films']:,}", f"{values['positives']:,}", *figures])
        macro = block["macro"]
        over = f"over {len(macro['auroc_over'])} findings"
        lines.append(f"**{name}**: mean AUROC {figure(macro, 'auroc')} {over}.\n\n" + table(heads, rows))
        titles = {kind.key: kind.title for kind in shown}
        notes = table_notes.of_rows({**block["findings"], "Mean": table_notes.mean_of(block)}, titles)
        notes += table_notes.of_all_thresholds(block)
        lines += [f"* {note}" for note in notes]
    return lines


def _trust(settings: Settings, params: Params, family: str) -> list[str]:
    """What was measured of maps and shortcuts: the tables of the report, with what is below a figure in brackets."""
    extras = family_report.trust(settings, params, family)
    tables = [*extras["map_tables"][:2], *extras["detection_tables"]]
    tables += [extras["faithfulness"], extras["randomisation"], *extras["shortcuts"], extras["heart"]]
    lines = [
        "\n\n".join(
            [f"**{shown.caption}**", table(shown.heads, [list(map(_text, row)) for row in shown.rows]), *shown.notes]
        )
        for shown in tables
        if shown is not None
    ]
    return lines or ["Not measured."]


def _text(cell: Cell) -> str:
    return cell.text + (f" ({cell.below})" if cell.below else "")


def _why_lacking(measured: Mapping[str, Any]) -> str:
    """Why a group's AUROC is n/a, or has no interval."""
    if "reason" in measured:
        return f": {measured['reason']}"
    why = measured.get("without_interval", {}).get("auroc")
    return f", no interval: {why}" if why else ""


def _subgroups(metrics: dict[str, Any]) -> list[str]:
    if not metrics.get("subgroups"):
        return ["Not measured."]
    rows = []
    for grouping, values in metrics["subgroups"].items():
        for name, group in values["groups"].items():
            cells = [figure(measured, "auroc") + _why_lacking(measured) for measured in group["findings"].values()]
            rows.append([grouping, name, f"{group['films']:,}", f"{group['patients']:,}", *cells])
    return [
        table(["by", "group", "films", "patients", *(f"{finding}, AUROC" for finding in metrics["findings"])], rows),
        f"{table_notes.TOO_FEW[0].upper()}{table_notes.TOO_FEW[1:]}.",
    ]
