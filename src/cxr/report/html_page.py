"""The HTML report of a model: one file that opens from disk, offline, and asks the network for nothing."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from cxr.core.artifacts import write_text
from cxr.core.findings import colours
from cxr.evaluation import metrics, predictions
from cxr.evaluation.bootstrap import FEWEST, LEAST
from cxr.report import curves, page_tables, table_notes
from cxr.report.page_tables import Table
from cxr.report.styles import as_svg, dashes
from cxr.tables.sources.catalogue import caveats

TEMPLATES = Path(__file__).parent / "templates"
LARGEST = 25e6  # bytes of a page: above it browsers and mail grow slow
CAVEATS = (
    "Intervals are 95 % percentile intervals of resampled test patients. They do not cover the variance of training: "
    "another seed would give another model.",
    "Labels that come from reports are wrong for a share of the films; a model is measured "
    "against the label, not against the patient.",
    "Pooled figures of several sources can be good because the model recognises the hospital; the figures of each "
    "source stand beside them.",
    "Research use only. Not a medical device.",
)


@dataclass(frozen=True)
class Model:
    """What a report needs to know of one model.

    metrics, thresholds: as in their JSON files. table, val: predictions tables of the films evaluated and fitted on.
    findings: those that the model scores. notes: what is to be said of how the figures came about.
    """

    name: str
    metrics: dict[str, Any]
    thresholds: dict[str, Any]
    table: pd.DataFrame
    val: pd.DataFrame
    findings: Sequence[str]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Extras:
    """What only a model of our own has: films with maps, lung masks, logs of training, facts of the run.

    cards, heat_key: from `gallery`, their maps by ``method``, in words; or None with ``no_maps`` saying why.
    map_tables to heart: from `trust_tables` and `doubt_tables`; froc: a network, and detection_scores.csv. masks:
    pictures (title, data URI), lines of text in mask_notes. logs: member -> log.csv. facts: title -> (name, value).
    """

    cards: list[dict[str, Any]] | None = None
    heat_key: str = ""
    method: str = ""
    no_maps: str = "These predictions came as numbers: there are no films and no maps to show."
    map_tables: list[Table] = field(default_factory=list)
    detection_tables: list[Table] = field(default_factory=list)
    froc: tuple[str, pd.DataFrame] | None = None
    faithfulness: Table | None = None
    randomisation: Table | None = None
    flips: list[Table] = field(default_factory=list)
    shortcuts: list[Table] = field(default_factory=list)
    heart: Table | None = None
    masks: list[tuple[str, str]] = field(default_factory=list)
    mask_notes: list[str] = field(default_factory=list)
    logs: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    facts: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)


def distinct_names(names: Sequence[str]) -> list[str]:
    """Names of models, a number behind those that stand twice; as folders too, on disks for which A is a."""
    given, taken, distinct = {name.casefold() for name in names}, set(), []
    for name in names:
        own, number = name, 1
        while own.casefold() in taken or (number > 1 and own.casefold() in given):
            number += 1
            own = f"{name} ({number})"
        taken.add(own.casefold())
        distinct.append(own)
    return distinct


def page(
    title: str,
    model: Model,
    blocks: Mapping[str, dict[str, Any]],
    compared: Sequence[dict[str, Any]] = (),
    extras: Extras | None = None,
) -> str:
    """The report as HTML.

    Parameters
    ----------
    title : str
    model : Model
        Whose report it is.
    blocks : mapping of str to dict
        metrics.json of every model to show side by side, this one among them.
    compared : sequence of dict
        From `comparison.paired`, with the names ``first`` and ``second``.
    extras : Extras, optional
    """
    extras = extras or Extras()
    every = predictions.findings_of(model.table)
    findings = [finding for finding in every if finding in model.findings]
    content = {
        "title": title,
        "summary": _summary(model, findings),
        "fewest": (FEWEST, LEAST),
        "notes": list(model.notes),
        "caveats": [*CAVEATS, *caveats(model.metrics["protocol"]["sources"])],
        **evaluation(model, blocks, compared, extras),
        "extras": extras,
        "gallery": gallery_data(extras.cards, every),
    }
    return render("report.html.j2", content)


def evaluation(model: Model, blocks, compared, extras: Extras) -> dict[str, Any]:
    """What evaluation.html.j2 shows, on any page; parameters as in `page`."""
    every = predictions.findings_of(model.table)
    findings = [finding for finding in every if finding in model.findings]
    return {
        "tables": _tables(model, blocks, compared, findings),
        "charts": _charts(model, findings, extras),
        "colours": colours(every), "dashes": dashes(every), "findings": findings,
    }  # fmt: skip


def gallery_data(cards: list[dict[str, Any]] | None, findings: Sequence[str]) -> Markup | None:
    """What the page's script needs of films (see `gallery.film_cards`) and their findings, or None without any."""
    return _json({"findings": list(findings), "films": cards}) if cards else None


def render(template: str, content: dict[str, Any]) -> str:
    """A page from its template: with our style, our script, and a policy that allows nothing else."""
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    frame = {
        "script": Markup(script),
        "style": Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        "policy": f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'",
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render({**frame, **content})


def write(html: str, path: Path) -> int:
    """Write the page; returns its bytes."""
    write_text(html, path)
    return path.stat().st_size


def of_predictions(name: str, model: Model, models: Mapping[str, Model], compared: Sequence[dict[str, Any]]) -> str:
    """The report of somebody's predictions, beside those of other files."""
    extras = Extras(facts={"Protocol": protocol_facts(model.metrics["protocol"])})
    return page(name, model, {other: models[other].metrics for other in models}, compared, extras)


def protocol_facts(protocol: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The protocol of metrics.json as pairs of text."""
    return [
        ("films, patients", f"{protocol['films']:,} films, {protocol['patients']:,}"),
        ("films at thresholds", f"{protocol['decided_films']:,}"),
        ("threshold rule", protocol["threshold_rule"]),
        ("digest of the val list", protocol["thresholds_from"]["digest"]),
        ("resamples, seed", f"{protocol['replicates']:,}, {protocol['seed']}"),
    ]


def _json(content: Any) -> Markup:
    """JSON for a script element, which no character in it can end."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _summary(model: Model, findings: Sequence[str]) -> dict[str, Any]:
    """The numbers at the top of the page."""
    protocol, macro = model.metrics["protocol"], model.metrics["macro"]
    tiles = []
    for finding in findings:
        interval = (values := model.metrics["findings"][finding])["auroc_interval"]
        tiles.append(
            {
                "finding": finding,
                "auroc": page_tables.number(values["auroc"], interval),
                "from": _percent(interval[0]) if interval else None,
                "width": (_percent(interval[1]) - _percent(interval[0])) if interval else None,
                "at": None if values["auroc"] is None else _percent(values["auroc"]),
                "positives": values["positives"],
                "films": values["films"],
                "reason": values.get("reason", ""),
                "few": values.get("too_few", False),
                "no_interval": _no_interval(values),
                "guessing": bool(values.get("guessing")),
            }
        )
    return {
        "films": protocol["films"],
        "patients": protocol["patients"],
        "sources": protocol["sources"],
        "macro": page_tables.number(macro["auroc"], macro["auroc_interval"]),
        "over": len(macro["auroc_over"]),
        "few": macro.get("too_few", []),
        "no_interval": _no_interval(macro),
        "guessing": metrics.told_of_guessing(**metrics.guessing_of(model.metrics)),
        "tiles": tiles,
    }


def _no_interval(values: Mapping[str, Any]) -> str:
    return f"no interval: {values.get('without_interval', {}).get('auroc', 'not recorded')}"


def _percent(auroc: float) -> float:
    """Position of an AUROC on a bar from 0.5 to 1."""
    return round(200 * (min(max(auroc, 0.5), 1.0) - 0.5), 2)


def _tables(model: Model, blocks, compared, findings: Sequence[str]) -> dict[str, Any]:
    whole = model.metrics
    sources = whole["by_source"]
    pooled = "All films" if len(sources) == 1 else "All sources pooled (read the sources' own tables below first)"
    original = [page_tables.original_form(whole, pooled, findings)]
    calibration = []
    for source, block in sources.items():
        films = whole["protocol"]["sources"][source]
        if len(sources) > 1:
            original.append(page_tables.original_form(block, f"{source}: {films:,} films", findings))
        calibration.append(page_tables.calibration(block, findings, f"Calibration on {source}"))
    return {
        "original": original,
        "all": page_tables.all_figures(whole, findings),
        "models": page_tables.models(blocks, findings) if len(blocks) > 1 else None,
        "differences": page_tables.differences(compared, findings),
        "calibration": calibration,
        "prevalences": page_tables.prevalences(model.thresholds, whole, findings),
        "points": page_tables.operating_points(whole, findings, model.table),
        "subgroups": page_tables.subgroups(whole, findings),
    }


def _charts(model: Model, findings: Sequence[str], extras: Extras) -> dict[str, Any]:
    """Curves as SVG: of all findings of the table, whose place in it says their colour; then of those shown."""
    every, numbers = predictions.findings_of(model.table), curves.numbers(model.table)
    of_val = table_notes.of_labels(*curves.numbers(model.val)[::2], every)
    values, colour, groups = model.metrics["findings"], colours(every), model.metrics.get("subgroups")
    calibrations = {finding: values[finding]["calibration"] for finding in findings}
    return {
        "roc": _svg(curves.roc(*numbers, every), "roc", "ROC: sensitivity against 1 - specificity of each finding"),
        "precision_recall": _svg(
            curves.precision_recall(*numbers, every), "pr", "Precision against recall of each finding"
        ),
        "reliability": [
            _svg(
                curves.reliability(finding, fit["before"], fit["after"], colour[finding]), f"reliability-{finding}",
                f"Reliability of the probabilities of {finding}",
            )
            for finding, fit in calibrations.items()
            if fit["before"]
        ],
        "forests": [
            _svg(
                curves.forest(finding, values[finding], groups, colour[finding]), f"forest-{finding}",
                f"AUROC of {finding} in groups of films",
            )
            for finding in (findings if groups else ())
        ],
        "froc": extras.froc and _svg(
            curves.froc(extras.froc[1], extras.froc[0], every), "froc",
            "Share of known boxes found against false boxes a film, a panel for each finding",
        ),
        "training": [
            (member, _svg(curves.training(log, "", of_val), f"training-{member}", f"Loss and AUROC of {member}"))
            for member, log in extras.logs.items()
        ],
        "val_marks": table_notes.grouped((finding, mark) for finding, mark in of_val.items() if mark),
    }  # fmt: skip


def _svg(figure: Figure, key: str, label: str) -> Markup:
    return Markup(as_svg(figure, key, label))
