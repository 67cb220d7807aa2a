"""Outlines of findings, and most salient points, in files as CheXlocalize has them: read, checked, packed, unpacked."""

import json
import re
import reprlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cxr.core.artifacts import read_ordinary
from cxr.core.errors import InputError, hint
from cxr.core.findings import canonical
from cxr.core.progress import progress
from cxr.imaging.decoding import LONGEST_SIDE
from cxr.tables.sources.chexlocalize import TASK_OF_LABEL, TASKS, patient_of

Outline = dict[str, Any]  # run lengths as COCO has them: {"size": [H, W], "counts": str}
Outlines = dict[str, dict[str, Outline]]  # by film and task; an outline of no pixel: not there
Points = dict[str, dict[str, list[list[float]]]]  # by film and task: the most salient (x, y), pixels of the outlines
# Numbers in groups of five bits, the last of each below "P": pycocotools reads beyond a text that ends before.
RUN_LENGTHS = re.compile(r"(?:[P-o]{0,6}[0-O])+")


def coco() -> ModuleType:
    """pycocotools' masks; an InputError where it is not installed."""
    try:
        from pycocotools import mask
    except ImportError:
        raise InputError(
            'outlines need pycocotools, which is not installed. Run: pip install -e ".[outlines]"'
        ) from None
    return mask


def encode(mask: np.ndarray) -> Outline:
    """The outline of a mask (H, W), bool."""
    packed = coco().encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": packed["counts"].decode("ascii")}


def decode(outline: Outline) -> np.ndarray:
    """The mask (H, W), bool, of an outline."""
    return coco().decode(outline).astype(bool)


def read(path: Path) -> Outlines:
    """The outlines of a file, each checked.

    Raises
    ------
    InputError
        No such file; names the film and the task. Films must be named as CheXlocalize names them, and have the same
        tasks, some of `TASKS`, and outlines of one size.
    """
    outlines: Outlines = {}
    entries = list(_entries(path))
    for film, task, given in progress(entries, len(entries), path.name, "outline"):
        outlines.setdefault(film, {})[task] = _checked(given, f"{path}: {film}, {task}")
    first, tasks = next(iter(outlines.items()))
    for film, of_film in outlines.items():
        if set(of_film) != set(tasks):
            differing = ", ".join(sorted(set(of_film) ^ set(tasks)))
            raise InputError(
                f"{path}: {film}: expected the same tasks as of {first}; they differ in {differing}. "
                "Write an outline of no pixel where nothing is."
            )
        if len({tuple(outline["size"]) for outline in of_film.values()}) > 1:
            raise InputError(f"{path}: {film}: its outlines are of several sizes; expected the film's own for all.")
    return outlines


def read_points(path: Path) -> Points:
    """The most salient points of a file: film -> task -> [[x, y], …], as eval.py takes a reader's.

    Raises
    ------
    InputError
        No such file; names the film and the task.
    """
    points: Points = {}
    for film, task, given in _entries(path):
        try:
            pairs = [[float(x), float(y)] for x, y in given]
            if not np.isfinite(pairs).all():
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise InputError(
                f"{path}: {film}, {task}: expected points [[x, y], …] in pixels; found {reprlib.repr(given)}."
            ) from None
        points.setdefault(film, {})[task] = pairs
    return points


def _entries(path: Path) -> Iterator[tuple[str, str, Any]]:
    """Film, task, and what the file says of them."""
    expected = 'expected {"patient00001_study1_view1_frontal": {"Edema": …}} as in gt_segmentations_val.json'
    if path.is_dir() or not path.exists():
        raise InputError(f"{path}: is no file; {expected}.")
    try:
        content = json.loads(read_ordinary(path))
    except (ValueError, RecursionError) as error:  # nesting without end is the last
        raise InputError(f"{path}: cannot be read as JSON: {error}; {expected}.") from None
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: {expected}; found {reprlib.repr(content)}.")
    for film, tasks in content.items():
        if not patient_of(film) or not isinstance(tasks, dict) or not tasks:
            raise InputError(f"{path}: {expected}; found {film}: {reprlib.repr(tasks)}.")
        seen = set()
        for name, given in tasks.items():
            task = TASK_OF_LABEL.get(canonical(name))
            if task is None:
                raise InputError(f"{path}: {film}: {name}: expected some of {', '.join(TASKS)}.{hint(name, TASKS)}")
            if task in seen:
                raise InputError(
                    f"{path}: {film}: {task} stands there twice, as {name} the second time. Leave one out."
                )
            seen.add(task)
            yield film, task, given


def _checked(given: Any, where: str) -> Outline:
    if not isinstance(given, dict) or not {"size", "counts"} <= set(given) or not isinstance(given["counts"], str):
        raise InputError(
            f'{where}: expected {{"size": [height, width], "counts": "…"}}, packed run lengths of pycocotools; found '
            f"{reprlib.repr(given)}."
        )
    size, counts = given["size"], given["counts"]
    sides = size if isinstance(size, list) and len(size) == 2 else [0]
    if not all(type(side) is int and 0 < side <= LONGEST_SIDE for side in sides):
        raise InputError(f"{where}: size {reprlib.repr(size)}: expected [height, width], 1 to {LONGEST_SIDE:,} pixels.")
    outline, whole = {"size": size, "counts": counts}, False
    if RUN_LENGTHS.fullmatch(counts):
        try:
            # Runs that end too early leave what was in memory there: only the whole ones come out as they went in.
            whole = encode(decode(outline)) == outline
        except ValueError:
            whole = False
    if not whole:
        raise InputError(
            f"{where}: its run lengths are not those of {size[0]} x {size[1]} pixels: the file is damaged, or the size "
            "is of another film. Get it again, or encode the mask with pycocotools."
        )
    return outline
