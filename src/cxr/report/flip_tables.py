"""The report's tables of flips: whether several trainings say the same of a film."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cxr.report.page_tables import Cell, Table, count, number


def flip_tables(measured: Mapping[str, Any] | None) -> list[Table]:
    """How often trainings decide otherwise, by finding and by distance to the threshold, from flips.json."""
    if not measured or "findings" not in measured:
        return []
    spread, bands = [], []
    for finding, values in {**measured["findings"], "Mean": measured["all"]}.items():
        cells = [number(values[key]) for key in ("flips", "not_unanimous", "coefficient_of_variation", "log_ratio")]
        auroc = values.get("auroc") or (None, None)
        cells += [number(auroc[0]), number(auroc[1])] if finding != "Mean" else [Cell(""), Cell("")]
        if finding != "Mean":
            cells += [number(values["expected"][size]) for size in ("1", "10")]
            cells.append(count(values["needed"]) if values["needed"] else Cell("more than 200"))
            shares = [number(band["flips"], faint=band["flips"] is None) for band in values["bands"]]
            of_films = [f"{band['films']:,} films" if band["films"] else "" for band in values["bands"]]
            bands.append(
                [Cell(finding), *(replace(share, below=films) for share, films in zip(shares, of_films, strict=True))]
            )
        spread.append([Cell(finding), *cells, *[Cell("")] * (9 - len(cells))])
    heads = "Finding|Flips|Not unanimous|Coefficient of variation|ln(highest / lowest)|Lowest AUROC|Highest AUROC"
    more = "Expected of 1 member|Of 10|Members for under 5 %"
    caption = f"{measured['trainings']} trainings on the same {measured['films']:,} films: do they say the same?"
    begins = [band["from"] for band in next(iter(measured["findings"].values()))["bands"]]
    ends = [f"to {end:g}" for end in begins[1:]] + ["and more"]
    names = [f"{begin:g} {end}" for begin, end in zip(begins, ends, strict=True)]
    few = ["n/a: fewer than ten films."]
    return [
        Table(caption, f"{heads}|{more}".split("|"), spread, foot=1),
        Table("Flips by distance of the film from the threshold, in logits", ["Finding", *names], bands, few),
    ]
