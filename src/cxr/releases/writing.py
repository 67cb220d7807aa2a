"""Writes synthetic films and their labels in the layout of the real releases: NIH, CheXpert, and the two lung sets.

Films come from `cxr.synthetic.phantoms`, who has what from `cxr.releases.plan`. The bytes depend on the
parameters only, not on the number of processes. Nothing that is not a phantom is ever overwritten.
"""

import json
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from cxr.core.artifacts import write_json, written_whole
from cxr.core.errors import InputError
from cxr.core.executors import by_processes
from cxr.core.findings import FINDINGS
from cxr.releases.plan import HOSPITAL_NUMBERS, plan_chexpert, plan_lungs, plan_nih
from cxr.releases.tables import (
    _nih_name,
    _write_chexpert_tables,
    _write_nih_tables,
    _write_truth,
    chexpert_paths,
)
from cxr.synthetic.drawn_findings import DEMO_LABELS
from cxr.synthetic.phantoms import draw_film, draw_patient

MARKER = "phantoms.json"
UNFINISHED = "phantoms_unfinished.json"
HEARTS = "heart"  # folder of the hearts' masks, within that of the lungs': SCR keeps JSRT's in one of this name
VERSION = 4  # raise it when the same parameters give other files
FILMS_PER_FOLDER = 600  # NIH: images_001, images_002, …


@dataclass(frozen=True)
class ReleaseParams:
    """What decides every byte of the releases."""

    nih_films: int
    chexpert_films: int
    lung_films: int
    size: int
    seed: int
    severity_scale: float = 1.0
    version: int = VERSION


@dataclass(frozen=True)
class Job:
    """One film to draw and where it goes; mask is None for films without one."""

    planned: object  # PlannedFilm
    path: Path
    mask: Path | None
    seed: int
    size: int
    keep_film: bool = True


def write_releases(dataset_dir, films_dir, masks_dir, params, workers=1, progress=lambda items, total: items):
    """Write all releases, unless they are there already.

    Parameters
    ----------
    dataset_dir : folder that gets the NIH-like and CheXpert-like releases, phantom_truth.csv and phantoms.json.
    films_dir, masks_dir : folders of the lung films (CXR_png) and of their masks.
    params : ReleaseParams.
    workers : number of processes.
    progress : called with the iterable of finished films and their number, gives the iterable back (tqdm's way).

    Returns
    -------
    dict: "written" (False if up to date), "films" by hospital, "positives" by hospital and finding (frontal films).

    Raises
    ------
    InputError
        A folder holds something else, or phantoms drawn with other parameters.
    """
    dataset_dir, films_dir, masks_dir = Path(dataset_dir), Path(films_dir), Path(masks_dir)
    nih = plan_nih(params.seed, params.nih_films, params.severity_scale)
    chexpert = plan_chexpert(params.seed, params.chexpert_films, params.severity_scale)
    lungs = plan_lungs(params.seed, params.lung_films, params.severity_scale)
    summary = _summary([*nih, *chexpert, *lungs])
    if _up_to_date(params, (dataset_dir, films_dir, masks_dir)):
        return {"written": False, **summary}
    for folder in (dataset_dir, films_dir, masks_dir):
        write_json(asdict(params), folder / UNFINISHED)
    jobs = [Job(film, dataset_dir / path, None, params.seed, params.size) for film, path in nih_paths(nih)]
    jobs += [Job(film, dataset_dir / path, None, params.seed, params.size) for film, path in chexpert_paths(chexpert)]
    jobs += _lung_jobs(lungs, films_dir, masks_dir, params)
    drawn = _run(jobs, workers, progress)
    _write_nih_tables(dataset_dir, nih, drawn[: len(nih)], params)
    _write_chexpert_tables(dataset_dir, chexpert, drawn[len(nih) : len(nih) + len(chexpert)], params)
    _write_truth(dataset_dir, jobs, drawn)
    for folder in (films_dir, masks_dir, dataset_dir):
        write_json(asdict(params), folder / MARKER)
        (folder / UNFINISHED).unlink()
    return {"written": True, **summary}


def is_drawn(folder: Path) -> bool:
    """Whether a folder of raw films holds what `write` put there, whole."""
    return (folder / MARKER).is_file()


def _summary(planned):
    frontal = [film for film in planned if film.view != "LATERAL"]
    films, positives = {}, {}
    for hospital in HOSPITAL_NUMBERS:
        own = [film for film in frontal if film.hospital == hospital]
        films[hospital] = len(own)
        positives[hospital] = {finding: sum(finding in film.severities for film in own) for finding in FINDINGS}
    return {"films": films, "positives": positives}


def _up_to_date(params, folders):
    """Whether all folders hold these phantoms, whole; an interrupted run of the same parameters may go on."""
    whole = []
    for folder in folders:
        entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")] if folder.is_dir() else []
        names = {entry.name for entry in entries}
        marker = MARKER if MARKER in names else UNFINISHED
        if entries and marker not in names:
            raise InputError(
                f"{folder}: holds files that are not synthetic films (no {MARKER}). Nothing was written. "
                "Name another folder in SETTINGS.json, or remove this one."
            )
        if entries and json.loads((folder / marker).read_text(encoding="utf-8")) != asdict(params):
            raise InputError(
                f"{folder}: holds synthetic films of other parameters ({marker} has {(folder / marker).read_text()!r}, "
                f"wanted {json.dumps(asdict(params))}). Nothing was written. Remove the folder and run again."
            )
        whole.append(MARKER in names)
    return all(whole)


def nih_paths(planned):
    """Each film with its path under the dataset folder: images_001/images/00000001_000.png."""
    return [
        (film, f"images_{index // FILMS_PER_FOLDER + 1:03d}/images/{_nih_name(film)}")
        for index, film in enumerate(planned)
    ]


def _lung_jobs(planned, films_dir, masks_dir, params):
    """Film and mask in the names of the two sets; one film without a mask and one mask without a film in each."""
    jobs = []
    for hospital, group in groupby(planned, key=lambda film: film.hospital):
        films = list(group)
        prefix, suffix = {"montgomery": ("MCUCXR", ""), "shenzhen": ("CHNCXR", "_mask")}[hospital]
        for film in films:
            # The releases end a name in 1 if the film is abnormal.
            stem = f"{prefix}_{film.patient:04d}_{int(bool(film.severities))}"
            mask = masks_dir / f"{stem}{suffix}.png" if film is not films[-1] else None
            keep_film = len(films) < 2 or film is not films[-2]
            jobs.append(Job(film, films_dir / f"{stem}.png", mask, params.seed, params.size, keep_film))
    return jobs


def _run(jobs, workers, progress):
    """Draw and write all films; what `draw_job` returns, in the order of the jobs."""
    if workers <= 1:
        return list(progress(map(draw_job, jobs), len(jobs)))
    return list(progress(by_processes(draw_job, jobs, workers), len(jobs)))


def draw_job(job):
    """Draw one film, write it (and its masks).

    Returns
    -------
    dict: "sex", "age", "height", "width" (pixels), "boxes" (finding to boxes (x, y, w, h) in film pixels).
    """
    planned = job.planned
    key = [job.seed, HOSPITAL_NUMBERS[planned.hospital], planned.patient]
    patient = draw_patient(np.random.default_rng([*key, 1]))
    rng = np.random.default_rng([*key, 2 + planned.number, int(planned.view == "LATERAL")])
    drawn = {name: value for name, value in planned.others.items() if name in DEMO_LABELS} | planned.severities
    film = draw_film(rng, patient, drawn, planned.view, planned.hospital, job.size)
    rows = _cut(rng, planned.hospital, job.size)
    if job.keep_film:
        _write_image(film.pixels[rows], job.path)
    if job.mask is not None:
        _write_image(film.lungs[rows], job.mask)
        if job.keep_film:
            _write_image(film.heart[rows], job.mask.parent / HEARTS / job.mask.name)
    boxes = {finding: [_cut_box(box, rows) for box in film.boxes.get(finding, ())] for finding in planned.severities}
    return {"sex": patient.sex, "age": patient.age, "height": rows.stop - rows.start, "width": job.size, "boxes": boxes}


def _cut(rng, hospital, size):
    """Rows kept: NIH and Shenzhen are square here, CheXpert and Montgomery often wider than high."""
    height = size if hospital in ("nih", "shenzhen") else round(size * rng.uniform(0.86, 1.0))
    start = int(0.55 * (size - height))
    return slice(start, start + height)


def _cut_box(box, rows):
    x, y, width, height = box
    top, bottom = max(y, rows.start), min(y + height, rows.stop)
    return (x, top - rows.start, width, max(bottom - top, 1.0))


def _write_image(pixels, path):
    options = [cv2.IMWRITE_JPEG_QUALITY, 90] if path.suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    _, encoded = cv2.imencode(path.suffix, pixels, options)
    with written_whole(path) as temporary:
        temporary.write_bytes(encoded)
