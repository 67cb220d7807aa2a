"""Pack the lung films and their masks into two arrays at the U-Net's size; drawn films are drawn here.

Reads   DATA_DIR/segmentation/pairs.csv, the films and masks themselves
Writes  DATA_DIR/segmentation/images_<size>.npy, masks_<size>.npy (lungs and heart: 0/255, 128 = not known),
        packed_<size>.csv (row by row), packed_<size>_problems.csv, preview_pairs.png
"""

import functools
import itertools
import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line  # first: from here on Ctrl-C is one line

# isort: split
import numpy as np
import pandas as pd

from cxr.anatomy.heart import OUTLINES
from cxr.core import executors, locks
from cxr.core.artifacts import Step, digest, need, raw_state, write_csv, write_problems
from cxr.core.errors import InputError, counted
from cxr.core.progress import progress
from cxr.imaging import chest_films
from cxr.preparation import packs, reading
from cxr.report import film_pictures
from cxr.synthetic import randomised
from cxr.tables import lung_films, lung_sets


def main(argv=None):
    arguments = command_line.unet_parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    if arguments.if_missing and lung_films.why_skip(settings, params):
        return
    locks.hold(settings.segmentation)
    folder, size = settings.segmentation, params.unet.unet_input_size
    pairs_csv = need(folder / "pairs.csv", "src/segmentation/etl/0_pair_masks.py")
    pairs = lung_films.read_pairs(pairs_csv)
    is_drawn = pairs["set"] == lung_films.DRAWN
    jobs = lung_sets.jobs_of(pairs[~is_drawn], *lung_films.places(settings))
    drawing = {"SEED": params.general.seed, "drawing": randomised.VERSION} if is_drawn.any() else {}
    drawn = [int(image_id.split("/")[1]) for image_id in pairs.loc[is_drawn, "image_id"]]
    images_npy, masks_npy = folder / f"images_{size}.npy", folder / f"masks_{size}.npy"
    packed_csv, preview = folder / f"packed_{size}.csv", folder / "preview_pairs.png"
    problems_csv = packed_csv.with_name(f"packed_{size}_problems.csv")
    raw = [path for film, *masks in jobs for path in (film, *masks[0], *masks[1])]
    inputs = {"pairs": digest(pairs_csv), "raw": raw_state(raw), **chest_films.recorded(raw)}
    step = Step(
        folder / f"packed_{size}.json",
        inputs,
        {"FIT": params.pack.fit, "size": size, "outlines": OUTLINES, **drawing},
        [images_npy, masks_npy, packed_csv, problems_csv],
        refuse=problems_csv if arguments.strict else None,
    )

    def make():
        read = functools.partial(reading.try_pair, size=size, fit=params.pack.fit)
        workers = executors.process_count(params.general.workers)
        results = list(progress(executors.by_processes(read, jobs, workers), len(jobs), "lung films"))
        films, masks, problems = zip(*results, strict=True) if results else ((), (), ())
        if jobs:
            reading.list_broken(pairs.loc[~is_drawn, "film"], [job[0] for job in jobs], problems, problems_csv)
        else:
            write_problems(pd.DataFrame(columns=["path", "problem"]), problems_csv)
        whole = [row for row, problem in enumerate(problems) if not problem]
        if jobs and len(whole) <= len(jobs) / 2:  # not some bad masks, but other folders, or masks of another kind
            first = next(problem for problem in problems if problem)
            raise InputError(
                f"{pairs_csv}: {len(jobs) - len(whole)} of its {len(jobs)} pairs cannot be used; all are listed in "
                f"{problems_csv}, the first: {first}"
            )
        packed = pd.concat([pairs[~is_drawn].iloc[whole], pairs[is_drawn]], ignore_index=True)
        with (
            packs.written_pack(images_npy, len(packed), size) as images,
            packs.written_pack(masks_npy, len(packed), size, len(OUTLINES)) as outlines,
        ):
            draw = functools.partial(randomised.film_and_masks, seed=params.general.seed, size=size)
            made = progress(executors.by_processes(draw, drawn, workers), len(drawn), "drawing films")
            for row, (film, of_film) in enumerate(itertools.chain(((films[row], masks[row]) for row in whole), made)):
                packs.write_rows(images, row, film[None])
                packs.write_rows(outlines, row, of_film[None])
        write_csv(packed, packed_csv)
        show(packs.open_pack(images_npy, "this"), packs.open_pack(masks_npy, "this", len(OUTLINES)), packed, preview)
        unusable = len(jobs) - len(whole)
        pairs_at = f"{counted(len(whole), 'pair')} and {counted(len(drawn), 'drawn film')} at {size} px"
        return [f"{pairs_at}, {unusable} unusable -> {images_npy}, {masks_npy}, {preview}"]

    print(*step.run(make), sep="\n")


def show(films, masks, packed, preview):
    """Sixteen of the films, real and drawn, with the outlines that are known."""
    rows = np.unique(np.linspace(0, len(packed) - 1, 16).astype(int))
    lungs, hearts = (np.where(masks[rows][..., channel] == 255, np.uint8(255), np.uint8(0)) for channel in (0, 1))
    names = packed["image_id"].iloc[rows].tolist()
    film_pictures.preview_grid(list(films[rows]), names, preview, contours=list(lungs), hearts=list(hearts))


if __name__ == "__main__":
    command_line.run(main)
