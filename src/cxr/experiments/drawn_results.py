"""What drawn films are worth: AUROC of the finished runs, paired by patient, as tables and as a curve."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import rankdata

from cxr.core.errors import counted
from cxr.core.findings import colours
from cxr.core.parameters import Params
from cxr.evaluation import bootstrap, figures, metrics
from cxr.evaluation.predictions import prob_columns
from cxr.experiments.drawn_runs import Plan, Run, step_of
from cxr.report.model_card import table as markdown
from cxr.report.styles import PRINT, Style, dressed, save_png

MEAN = "mean (macro)"
CALLED = {"none": "random", "drawn": "drawn", "imagenet": "ImageNet"}


def collect(planned: Plan, params: Params) -> list[dict[str, Any]]:
    """The figures of each share of patients, on the films that all first weights were tested on.

    Returns
    -------
    shares : list of dicts that JSON can hold, of ascending ``percent``
        ``seeds``, ``films``, ``patients``; ``trained``: mean films and patients of a training; ``rows``: finding or
        `MEAN` -> ``positives``, and first weights -> ``auroc`` (mean of the seeds), ``seeds``, ``interval``,
        ``difference`` to the first of the first weights and its ``difference_interval``, or why there is none.
    """
    finished = [run for run in planned.runs if step_of(run, planned, params).is_current()]
    shares = []
    for percent in sorted({run.percent for run in finished}):
        of_share = [run for run in finished if run.percent == percent]
        firsts = planned.firsts if percent else ["drawn"]
        done = [
            (seed, fold)
            for seed, fold in dict.fromkeys((run.seed, run.fold) for run in of_share)
            if {run.first for run in of_share if (run.seed, run.fold) == (seed, fold)} >= set(firsts)
        ]
        folds = {seed: [fold for other, fold in done if other == seed] for seed, _ in done}
        most = max(folds.values(), key=len, default=[])
        # Seeds on the same films only: the others are not finished.
        seeds = [seed for seed, own in folds.items() if own == most]
        if seeds:
            shares.append(_share(planned, params, percent, firsts, seeds, folds[seeds[0]]))
    return shares


def _share(
    planned: Plan, params: Params, percent: float, firsts: Sequence[str], seeds: list[int], folds: list[int]
) -> dict[str, Any]:
    runs = [Run(firsts[0], percent, seeds[0], fold) for fold in folds]
    tested = np.any([planned.tested(run) for run in runs], axis=0)
    truth, patients = planned.truth[tested], planned.films["patient_id"].to_numpy()[tested]
    defined = np.array([{0, 1} <= set(column[~np.isnan(column)]) for column in truth.T])
    names = [finding for finding, known in zip(params.findings, defined, strict=True) if known]
    truth, silent = truth[:, defined], metrics.silences(truth[:, defined], patients, names)
    silent[MEAN] = bootstrap.silence_of_mean(silent)
    replicates, seed = params.evaluation.bootstrap_replicates, params.general.seed
    rows: dict[str, Any] = {
        name: {"positives": int((truth[:, f] == 1).sum()), "films": int((~np.isnan(truth[:, f])).sum())}
        for f, name in enumerate(names)
    } | {MEAN: {}}
    base = None
    for first in firsts:
        each = [ranks(planned, params, [Run(first, percent, one, fold) for fold in folds])[tested] for one in seeds]
        each = [scores[:, defined] for scores in each]
        plain = _with_mean(np.array([metrics.ranking(figures.RANKINGS[0], truth, scores) for scores in each]))
        drawn = _with_mean(
            np.mean(
                [figures.replicate_scores(truth, scores, patients, replicates, seed)["auroc"] for scores in each], 0
            )
        )
        base = (plain, drawn) if base is None else base
        for column, name in enumerate([*names, MEAN]):
            rows[name][first] = _figures(plain[:, column], drawn[:, column], silent[name])
            if base[0] is not plain:
                change = _figures(
                    plain[:, column] - base[0][:, column], drawn[:, column] - base[1][:, column], silent[name]
                )
                rows[name][first] |= {"difference": change["auroc"], "difference_seeds": change["seeds"]}
                rows[name][first]["difference_interval"] = change["interval"]
    trained = [planned.trained(run) for run in runs] if percent else [[]]
    owners = planned.films["patient_id"].to_numpy()
    return {
        "percent": percent,
        "seeds": seeds,
        "folds": folds,
        "films": int(tested.sum()),
        "patients": len(set(patients)),
        "trained_films": float(np.mean([len(rows) for rows in trained])),
        "trained_patients": float(np.mean([len(set(owners[list(rows)])) for rows in trained])),
        "rows": rows,
    }


def _with_mean(values: np.ndarray) -> np.ndarray:
    """AUROCs (…, F) with their mean as a last column; NaN where one is not defined."""
    return np.concatenate([values, values.mean(axis=-1, keepdims=True)], axis=-1)


def _figures(seeds: np.ndarray, drawn: np.ndarray, silent: str | None) -> dict[str, Any]:
    limits = bootstrap.interval(drawn, silent)
    return {"auroc": float(seeds.mean()), "seeds": seeds.tolist(), "interval": limits, "no_interval": silent}


def ranks(planned: Plan, params: Params, runs: Sequence[Run]) -> np.ndarray:
    """Scores (N, F) of the films, NaN of those that no run is tested on: their ranks within a run, above 0, at most 1.

    Folds are scored by networks of their own, whose probabilities are not of one scale.
    """
    scores = np.full(planned.truth.shape, np.nan)
    for run in runs:
        table = pd.read_csv(planned.folder / f"{run.name}.csv")
        found = table[prob_columns(params.findings)].to_numpy()
        scores[planned.tested(run)] = rankdata(found, axis=0) / len(found)
    return scores


def as_markdown(member: str, planned: Plan, shares: list[dict[str, Any]], left_out: Sequence[str]) -> str:
    """The tables of an experiment, and what they say in words."""
    base, *others = planned.firsts
    films = f"{counted(len(planned.films), 'film')} of {planned.films['patient_id'].nunique():,} patients"
    parts = [f"# Experiment drawn: first weights {', '.join(CALLED[first] for first in planned.firsts)}"]
    parts += [f"Member {member}; {films}. {note}" for note in left_out] or [f"Member {member}; {films}."]
    if not shares:
        return "\n\n".join([*parts, "No run is finished."]) + "\n"
    heads = ["real training patients (films)", "tested films", "seeds", *(CALLED[first] for first in planned.firsts)]
    heads += [f"{CALLED[first]} − {CALLED[base]}" for first in others]
    parts += ["## Mean AUROC", markdown(heads, [_mean_row(share, planned.firsts) for share in shares])]
    told = [said for share in shares for said in _said(share, base, others)]
    parts += ["\n".join(f"* {line}" for line in told)] if told else []
    for share in shares:
        own = [first for first in planned.firsts if first in share["rows"][MEAN]]
        heads = ["finding", "positives/films", *(CALLED[first] for first in own)]
        heads += [f"{CALLED[first]} − {CALLED[base]}" for first in own if "difference" in share["rows"][MEAN][first]]
        rows = [_finding_row(name, values, own) for name, values in share["rows"].items()]
        parts += [f"## AUROC with {_called(share)}", markdown(heads, rows)]
    parts.append(
        "AUROC: mean over the seeds, in brackets each seed. Behind it the 95 % interval, for which patients are drawn; "
        "of a difference they are drawn for both at once. The chance of another training is in the seeds, not in "
        "intervals. Of folds the ranks within each are pooled."
    )
    return "\n\n".join(parts) + "\n"


def _called(share: dict[str, Any]) -> str:
    return f"{share['percent']:g} % of the real training patients" if share["percent"] else "no real film"


def _mean_row(share: dict[str, Any], firsts: Sequence[str]) -> list[str]:
    values, percent = share["rows"][MEAN], share["percent"]
    trained = f"{percent:g} %: {share['trained_patients']:.0f} ({share['trained_films']:.0f})" if percent else "none"
    seeds = " ".join(map(str, share["seeds"])) if percent else "–"
    cells = [_cell(values[first]) if first in values else "–" for first in firsts]
    return [trained, str(share["films"]), seeds, *cells, *(_change(values.get(first)) for first in firsts[1:])]


def _finding_row(name: str, values: dict[str, Any], firsts: Sequence[str]) -> list[str]:
    counts = f"{values['positives']}/{values['films']}" if "films" in values else ""
    changes = [_change(values[first]) for first in firsts if "difference" in values[first]]
    return [name, counts, *(_cell(values[first]) for first in firsts), *changes]


def _cell(values: dict[str, Any]) -> str:
    each = f" ({' '.join(f'{value:.3f}' for value in values['seeds'])})" if len(values["seeds"]) > 1 else ""
    limits = values["interval"]
    return f"{values['auroc']:.3f}{each}" + (f"; {limits[0]:.3f} to {limits[1]:.3f}" if limits else "")


def _change(values: dict[str, Any] | None) -> str:
    if not values or "difference" not in values:
        return "–"
    limits = values["difference_interval"]
    each = f" ({' '.join(f'{value:+.3f}' for value in values['difference_seeds'])})"
    each = each if len(values["difference_seeds"]) > 1 else ""
    return f"{values['difference']:+.3f}{each}" + (f"; {limits[0]:+.3f} to {limits[1]:+.3f}" if limits else "")


def _said(share: dict[str, Any], base: str, others: Sequence[str]) -> list[str]:
    """A line of each difference: better, worse, or not told apart."""
    lines = []
    for first in others:
        values = share["rows"][MEAN].get(first, {})
        if "difference" in values:
            limits = values["difference_interval"]
            low, high = limits or (0, 0)
            verdict = "better" if low > 0 else "worse" if high < 0 else "not told apart"
            pair = f"first weights {CALLED[first]} against {CALLED[base]}"
            lines.append(f"With {_called(share)}, {pair}: **{verdict}**, {_change(values)}.")
    return lines


@dressed
def curve(shares: list[dict[str, Any]], firsts: Sequence[str], title: str, *, style: Style = PRINT) -> Figure:
    """Mean AUROC over the share of real training patients: a line for each of the first weights, with intervals."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    for index, (first, colour) in enumerate(colours(list(firsts)).items()):
        own = [(place, share) for place, share in enumerate(shares) if first in share["rows"][MEAN]]
        places = [place + 0.06 * (index - (len(firsts) - 1) / 2) for place, _ in own]
        values = [share["rows"][MEAN][first] for _, share in own]
        axes.plot(
            places, [value["auroc"] for value in values], "o-", color=colour, label=f"{CALLED[first]} first weights"
        )
        for place, value in zip(places, values, strict=True):
            if value["interval"]:
                axes.plot([place, place], value["interval"], color=colour, linewidth=1, alpha=0.6)
    axes.axhline(0.5, color=style.line, linestyle=":", linewidth=1.2, label="chance")
    names = [
        f"{share['percent']:g} %\n{share['trained_patients']:.0f} patients" if share["percent"] else "no real film"
        for share in shares
    ]
    axes.set_xticks(range(len(shares)), names)
    axes.set(xlabel="real training patients", ylabel="mean AUROC on real films", title=title)
    axes.set_xlim(-0.4, len(shares) - 0.6)
    axes.grid(True, axis="y")
    figure.legend(loc="outside lower center", ncols=len(firsts) + 1)  # where no interval can lie below it
    return figure


def save_curve(shares: list[dict[str, Any]], firsts: Sequence[str], title: str, path: Path) -> None:
    """Write `curve` as a PNG."""
    save_png(curve(shares, firsts, title, style=PRINT), path)
