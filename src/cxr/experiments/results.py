"""What came out of an experiment: the figures of its finished runs, and its tables, variants side by side."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.artifacts import read_json
from cxr.core.errors import counted
from cxr.evaluation import comparison, metrics, predictions
from cxr.experiments.planning import FAMILY, Run
from cxr.preparation.films import load_films
from cxr.report import table_notes
from cxr.report.model_card import table as markdown
from cxr.tables import schema, splitting

POOLED = "all test films"
MACRO = "mean (macro)"
FIGURES = ("auroc", "accuracy", "precision", "recall", "always_no_accuracy", "positives", "films")
MARKS = {"guessing": "† not told from guessing", "too_few": table_notes.TOO_FEW}  # keys of metrics.json
UNLIKE = 0.05  # share by which numbers of training films may differ between variants without a word


def collect(runs: list[Run], member: str) -> list[dict[str, Any]]:
    """The figures of every finished run; see `figures_of`. The first run of each seed is what others differ from."""
    finished = [figures_of(run, member) for run in runs if run.is_finished()]
    first = {result["seed"]: result for result in finished if result["variant"] == runs[0].variant}
    scored = {(run.variant, run.seed): run for run in runs}
    for result in finished:
        base = first.get(result["seed"])
        if base and base is not result:
            pair = [scored[which["variant"], result["seed"]] for which in (result, base)]
            result["difference"] = {"auroc": difference(result, base), "same_films": on_same_films(*pair)}
    return finished


def figures_of(run: Run, member: str) -> dict[str, Any]:
    """One run: films of each split, what leaked, its training, and its figures on test.

    Returns
    -------
    dict that JSON can hold
        ``variant``, ``seed``; ``films``: split -> films, patients; ``leaked``: test films of training patients;
        ``recalled``: see `recalled_auroc`; ``epochs``, ``seconds``; ``figures``: all test films or a source -> finding
        or mean -> AUROC, accuracy, precision, recall, ….
    """
    settings, params = run.loaded()
    films, _ = load_films(settings, params, params.input_size(member))
    record = read_json(settings.member_dir(FAMILY, member) / "run.json", "sh experiment.sh")
    block = read_json(run.results() / "metrics.json", "sh experiment.sh")
    groups = films.groupby("split")["patient_id"]
    return {
        "variant": run.variant,
        "seed": run.seed,
        "films": {
            name: {"films": int(groups.size().get(name, 0)), "patients": int(groups.nunique().get(name, 0))}
            for name in splitting.SPLITS
        },
        "leaked": splitting.shared_with_training(films, films["split"]),
        "recalled": recalled_auroc(films, params.findings),
        **{key: record[key] for key in ("epochs", "best_epoch", "seconds", "commit")},
        "figures": {name: _chosen(part) for name, part in {POOLED: block, **block["by_source"]}.items()},
    }


def _chosen(block: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rows = block["findings"] | {MACRO: block["macro"]}
    chosen = {name: {key: values[key] for key in (*FIGURES, *MARKS) if key in values} for name, values in rows.items()}
    chosen[MACRO]["auroc_interval"] = block["macro"]["auroc_interval"]
    chosen[MACRO]["no_interval"] = block["macro"].get("without_interval", {}).get("auroc")
    chosen[MACRO].pop("too_few", None)  # a list of findings, which have their own marks
    return chosen


def recalled_auroc(films: pd.DataFrame, findings: Sequence[str]) -> float | None:
    """What a leak alone is worth: the mean AUROC on test of a program that looks at no film.

    It gives a film the mean training label of the film's patient; of a patient it does not know, the mean of all
    training films. Without a leak it cannot rank films (None: nothing to rank by).
    """
    train, test = (films[films["split"] == name] for name in ("train", "test"))
    findings = list(findings)
    remembered = train.groupby("patient_id")[findings].mean().astype(float)
    guess = test[["patient_id"]].join(remembered, on="patient_id")[findings].fillna(train[findings].mean())
    if not test["patient_id"].isin(train["patient_id"]).any():
        return None
    return metrics.mean_auroc(schema.label_array(test, findings), guess.to_numpy(float))


def difference(result: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """AUROC of one run minus that of another: source -> finding or mean -> difference; sources that both have."""
    differences: dict[str, Any] = {}
    for source in (name for name in result["figures"] if name in base["figures"]):
        pairs = {
            row: (result["figures"][source][row], base["figures"][source][row]) for row in result["figures"][source]
        }
        differences[source] = {
            row: None if None in (first["auroc"], second["auroc"]) else first["auroc"] - second["auroc"]
            for row, (first, second) in pairs.items()
        }
    return differences


def on_same_films(run: Run, base: Run) -> dict[str, Any]:
    """The mean AUROC's difference on the test films that both runs have, patients drawn for both at once.

    Returns
    -------
    dict that JSON can hold
        all test films or a source -> ``films``, ``difference``, ``interval`` (95 %), ``no_interval`` (why).
    """
    _, params = run.loaded()
    own, other = (predictions.read(each.results() / "predictions.csv").query("split == 'test'") for each in (run, base))
    own = own[own["image_id"].isin(other["image_id"])]
    sources = predictions.label_source(own)
    changes = {}
    for name in (POOLED, *sorted(set(sources))):
        films = own if name == POOLED else own[sources == name]
        if len(films):
            compared = comparison.paired(films, other, params.evaluation.bootstrap_replicates, params.general.seed)
            macro = compared["macro"]["auroc"]
            changes[name] = {
                "films": compared["films"],
                **{key: macro[key] for key in ("difference", "interval", "no_interval")},
            }
    return changes


def as_markdown(name: str, member: str, runs: list[Run], finished: list[dict[str, Any]]) -> str:
    """All tables of an experiment, with what they do not say."""
    names = list(dict.fromkeys(run.variant for run in runs))
    missing = [run for run in runs if not run.is_finished()]
    parts = [
        f"# Experiment {name}: {', '.join(names)}",
        f"Member {member}. {len(finished)} of {len(runs)} runs finished.",
    ]
    if missing:
        parts.append("Not run yet: " + ", ".join(f"{run.variant}, seed {run.seed}" for run in missing) + ".")
    if not finished:
        return "\n\n".join(parts) + "\n"
    parts += ["## Films and training", films_table(finished), *film_notes(names, finished)]
    sources = [name for name in finished[0]["figures"] if all(name in result["figures"] for result in finished)]
    for source in sources if len(sources) != 2 else sources[:1]:
        parts += [f"## AUROC, {source}", auroc_table(names, finished, source), *marked(names, finished, source)]
    parts.append(
        "Mean over the seeds, in brackets each seed. Interval: 95 %, by patient, of the mean AUROC of one training "
        "(mean of the seeds' limits). Difference: to the first variant, seed by seed. Same films: the mean AUROC's "
        "difference on the test films that both have, and its interval, for which patients are drawn for both at once."
    )
    if name == "protocols":
        parts += [
            "## Accuracy, precision, recall, all test films (mean over the seeds)",
            decisions_table(names, finished),
        ]
    return "\n\n".join(parts) + "\n"


def films_table(finished: list[dict[str, Any]]) -> str:
    heads = ["variant", "seed", "train films (patients)", "val", "test", "test films of training patients", "epochs",
             "best", "s of training"]  # fmt: skip
    rows = []
    for result in finished:
        counts = [f"{part['films']:,} ({part['patients']:,})" for part in result["films"].values()]
        tail = [result["leaked"], result["epochs"], result["best_epoch"], f"{result['seconds']:.0f}"]
        rows.append([result["variant"], str(result["seed"]), *counts, *map(str, tail)])
    return markdown(heads, rows)


def film_notes(names: list[str], finished: list[dict[str, Any]]) -> list[str]:
    """What makes variants unlike beside what is compared; and what a leak offers."""
    notes = []
    trained = [np.mean(films) for name in names if (films := values_of(finished, name, "films", "train", "films"))]
    if max(trained) > min(trained) * (1 + UNLIKE):
        notes.append("The variants were trained on different numbers of films: a difference may come from that.")
    if len({result["films"]["test"]["films"] for result in finished}) > 1:
        notes.append("The variants are tested on different films: their difference holds the chance of that draw too.")
    for name in names:
        recalled = values_of(finished, name, "recalled")
        if recalled:
            notes.append(
                f"What the leak of {name} offers: a program that looks at no film and only recalls the patient's "
                f"training labels has a mean AUROC of {_each(recalled)} on its test films."
            )
    return notes


def auroc_table(names: list[str], finished: list[dict[str, Any]], source: str) -> str:
    """AUROC of every variant and finding on the test films of a source, and the differences to the first variant."""
    rows = []
    for row in finished[0]["figures"][source]:
        keys = ("figures", source, row)
        counts = [values_of(finished, name, *keys, key) for name in names for key in ("positives", "films")]
        counted = dict.fromkeys(
            f"{ill[0]}/{films[0]}" for ill, films in zip(counts[::2], counts[1::2], strict=True) if ill
        )
        aurocs = [_each(values_of(finished, name, *keys, "auroc")) + _dagger(finished, name, keys) for name in names]
        changes = [_each(values_of(finished, name, "difference", "auroc", source, row), "+.3f") for name in names[1:]]
        rows.append([row, ", ".join(counted), *aurocs, *changes])
    limits = [_limits(values_of(finished, name, "figures", source, MACRO, "auroc_interval")) for name in names]
    rows.append(["95 % interval", "", *limits, *[""] * len(names[1:])])
    rows.append(["same films", "", *[""] * len(names), *(_same_films(finished, name, source) for name in names[1:])])
    return markdown(["finding", "positives/films", *names, *(f"{name} − {names[0]}" for name in names[1:])], rows)


def _dagger(finished: list[dict[str, Any]], variant: str, keys: Sequence[str]) -> str:
    return " †" if values_of(finished, variant, *keys, "guessing") else ""


def marked(names: list[str], finished: list[dict[str, Any]], source: str) -> list[str]:
    """A Markdown list: which AUROCs of a source are not told from guessing, or of too few patients, in which runs."""
    notes = []
    for name, row in itertools.product(names, finished[0]["figures"][source]):
        runs = [(result["seed"], result["figures"][source][row]) for result in finished if result["variant"] == name]
        for key, said in MARKS.items():
            seeds = [str(seed) for seed, values in runs if values.get(key)]
            notes += [(row, f"{said} ({name}, seed {' '.join(seeds)})")] if seeds else []
        for why in dict.fromkeys(values.get("no_interval") for _, values in runs):
            notes += [(row, f"without an interval: {why} ({name})")] if why else []
    return ["\n".join(f"* {note}" for note in table_notes.grouped(notes))] if notes else []


def _same_films(finished: list[dict[str, Any]], variant: str, source: str) -> str:
    films, changes, intervals, reasons = (
        values_of(finished, variant, "difference", "same_films", source, key)
        for key in ("films", "difference", "interval", "no_interval")
    )
    limits = f", {_limits(intervals, '+.3f')}" if intervals else f", no interval: {reasons[0]}" if reasons else ""
    return f"{_mean(changes, '+.3f')}{limits}; {counted(films[0], 'film')}" if changes else "n/a"


def decisions_table(names: list[str], finished: list[dict[str, Any]]) -> str:
    """The original's table, once for each variant, side by side; with what always saying no would reach."""
    shown = {"Accuracy": "accuracy", "Precision": "precision", "Recall": "recall", "Always-no": "always_no_accuracy"}
    columns = [(name, head) for name in names for head in shown]
    rows = [
        [row, *(_mean(values_of(finished, name, "figures", POOLED, row, shown[head])) for name, head in columns)]
        for row in finished[0]["figures"][POOLED]
    ]
    return markdown(["finding", *(f"{name}: {head}" for name, head in columns)], rows)


def values_of(finished: list[dict[str, Any]], variant: str, *keys: str) -> list:
    """One figure, by its keys, of every finished run of a variant, where it is defined."""
    values = []
    for value in (result for result in finished if result["variant"] == variant):
        for key in keys:
            value = (value or {}).get(key)
        values.append(value)
    return [value for value in values if value is not None]


def _mean(values: list[float], form: str = ".3f") -> str:
    return f"{np.mean(values):{form}}" if values else "n/a"


def _each(values: list[float], form: str = ".3f") -> str:
    """The mean, and in brackets every value where there are several."""
    each = f" ({' '.join(f'{value:{form}}' for value in values)})" if len(values) > 1 else ""
    return f"{_mean(values, form)}{each}"


def _limits(intervals: list[list[float]], form: str = ".3f") -> str:
    if not intervals:
        return "n/a"
    low, high = np.mean(intervals, axis=0)
    return f"{low:{form}} to {high:{form}}"
