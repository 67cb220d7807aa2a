"""The films of a set before they train anything: which cannot be read, and which deserve a look."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxr.anatomy.lungs import Shape, beside_lungs, shape_of
from cxr.core import executors
from cxr.imaging import film_checks
from cxr.preparation import reading
from cxr.tables.sources.source import Checked

SIDE = 256  # pixels, of a film that is looked at
SHOWN = 16  # films of a set on its sheet
MOST_FLAGGED = 32  # films on the sheet of flagged ones
FLAGS = (*film_checks.OF_ONE_FILM, "doubtful_mask", "far_from_the_rest", "same_picture", "file_note")


@dataclass(frozen=True)
class Looked:
    """What was seen of one set.

    films: how many were read. problems: ``path``, ``problem`` of those that cannot be used. flags: ``set``, ``film``,
    ``path``, ``flag`` (of `FLAGS`), ``reason``, a row a flag. shown: name -> film and mask or None, for the sheet.
    shapes: name -> that of its mask, of those that have one.
    """

    films: int
    problems: pd.DataFrame
    flags: pd.DataFrame
    shown: dict[str, tuple[np.ndarray, np.ndarray | None]]
    shapes: dict[str, Shape]


def look(checked: Checked, sample: int, workers: int, progress: Callable[[Iterable, int, str], Iterable]) -> Looked:
    """Read the films of a set, or ``sample`` of them (0 = all), and apply the rules for new films to them.

    A lateral film that its table calls one is no surprise, and not among the films that others are compared with.
    """
    names = spread(list(checked.films), sample or len(checked.films))
    to_show = set(spread(names, SHOWN))
    read = functools.partial(reading.try_checked, size=SIDE, fit="pad")
    results = executors.by_processes(read, [checked.films[name] for name in names], workers)
    wrong, flags, shown, small, pictures, shapes = [], [], {}, {}, {}, {}
    for name, (film, mask, checks, problem) in zip(names, progress(results, len(names), checked.name), strict=True):
        if problem:
            wrong.append((str(checked.films[name][0]), problem))
            continue
        if name in to_show:
            shown[name] = (film, mask)
        thumbnail = film_checks.thumbnails([film])[0]
        pictures[name] = thumbnail.tobytes()
        if name not in checked.lateral:
            small[name] = thumbnail
        reasons = {flag: getattr(checks, flag) for flag in film_checks.OF_ONE_FILM} | {"file_note": checks.file_notes}
        if name in checked.lateral:
            reasons["lateral"] = ""
        if mask is not None:
            shapes[name] = shape_of(mask)
            reasons["doubtful_mask"] = shapes[name].doubt or beside_lungs(film, mask)
        flags += [(name, flag, reason) for flag, reason in reasons.items() if reason]
    distances, limit = film_checks.far_from_the_rest(np.array(list(small.values())))
    flags += [
        (name, "far_from_the_rest", f"distance {distance:.2f} from the other films, expected {limit:.2f} or less")
        for name, distance in zip(small, distances, strict=True)
        if distance > limit
    ]
    flags += [(name, "same_picture", f"has the picture of {other}") for name, other in twins(pictures)]
    table = pd.DataFrame(flags, columns=["film", "flag", "reason"])
    table.insert(0, "set", checked.name)
    table.insert(2, "path", [str(checked.films[name][0]) for name in table["film"]])
    problems = pd.DataFrame(wrong, columns=["path", "problem"])
    return Looked(len(names), problems, table, shown, shapes)


def twins(pictures: dict[str, bytes]) -> list[tuple[str, str]]:
    """Films whose picture another film has too, to a gray of its thumbnail: (name, the first other one)."""
    named = pd.Series(list(pictures), dtype=object).groupby(list(pictures.values()), sort=False).agg(list)
    return [(name, names[name == names[0]]) for names in named[named.str.len() > 1] for name in names]


Sheet = tuple[list[np.ndarray], list[str], list[np.ndarray | None]]


def shown_films(checked: Checked, looked: Looked) -> Sheet:
    """Films spread over a set, with their titles (name, then findings, sex and view) and masks."""
    films, masks = zip(*looked.shown.values(), strict=True)
    return list(films), [title(checked, name) for name in looked.shown], list(masks)


def flagged_films(checked: Checked, flags: pd.DataFrame) -> Sheet:
    """The same of at most `MOST_FLAGGED` flagged ones: the first of each flag, then the second, and so on."""
    order = flags.groupby("flag").cumcount().sort_values(kind="stable").index
    said = flags.groupby("film", sort=False)["flag"].agg(", ".join).str.replace("_", " ")
    return _read_again(checked, said[flags.loc[order, "film"].unique()[:MOST_FLAGGED]])


def oddest_masks(checked: Checked, looked: Looked) -> Sheet:
    """The same of the `SHOWN` films with the oddest masks, the oddest first, and why they are doubtful, or how near."""
    names = sorted(looked.shapes, key=lambda name: -looked.shapes[name].oddness)[:SHOWN]
    shapes = [looked.shapes[name] for name in names]
    return _read_again(checked, pd.Series([shape.doubt or f"passes: {shape.measured}" for shape in shapes], names))


def _read_again(checked: Checked, said: pd.Series) -> Sheet:
    """Films and masks of ``said``: name -> what is to stand behind it."""
    read = [reading.try_checked(checked.films[name], SIDE, "pad") for name in said.index]
    return (
        [film for film, *_ in read],
        [title(checked, *about) for about in said.items()],
        [mask for _, mask, *_ in read],
    )


def title(checked: Checked, name: str, said: str = "") -> str:
    """A film's name without its set, what is said of it, its findings, sex and view."""
    labels = checked.labels.get(name, "")
    said = "; ".join(filter(None, (said, labels)))
    return f"{name.partition('/')[2]}{': ' if said else ''}{said}"


def spread(names: Sequence[str], count: int) -> list[str]:
    """Some of the names, evenly from the first to the last."""
    positions = np.unique(np.linspace(0, max(0, len(names) - 1), count).astype(int))
    return [names[position] for position in positions] if names else []
