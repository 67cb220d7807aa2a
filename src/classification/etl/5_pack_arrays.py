"""Mask, fit and pack every film into one array per input size.

Reads   DATA_DIR/classification/images.csv and its films, lung_masks.npy and .csv
Writes  DATA_DIR/classification/images_<size>.npy (row i = row i of images.csv), images_<size>.csv (each film's size on
        disk, affine to packed pixels, mask status), images_<size>_problems.csv, images_<size>.json (what it was made
        from), preview_<size>.png

A film is decoded once for all sizes. A film that cannot be read stays black and is left out of every split.
"""

import contextlib
import functools
import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line  # first: from here on Ctrl-C is one line

# isort: split
import numpy as np

from cxr.core import executors
from cxr.core.artifacts import Step, digest, origin, raw_state, read_csv, write_csv
from cxr.core.errors import InputError, counted
from cxr.core.progress import progress
from cxr.imaging import chest_films
from cxr.imaging.geometry import AFFINE
from cxr.preparation import packing, packs, reading
from cxr.report import film_pictures
from cxr.tables import schema
from cxr.tables.sources.catalogue import film_paths


def main(argv=None):
    arguments, settings, params = command_line.opened(command_line.parser(__doc__), argv, lambda s: s.classification)
    images = schema.read_images(settings.images_csv, params.findings)
    paths = film_paths(settings, images)
    listed = chest_films.recorded(paths, arguments.scheduler)
    inputs = {"images": digest(settings.images_csv), "raw": raw_state(paths), **listed}
    accepted = np.zeros(len(images), bool)
    if params.pack.lung_masking != "none":
        accepted, inputs["masks"] = accepted_masks(settings, len(images))
    steps = {
        size: Step(
            settings.pack(size).with_suffix(".json"), inputs, {"size": size, **params.pack.model_dump(by_alias=True)},
            [settings.pack(size), settings.pack(size).with_suffix(".csv"), schema.problems_csv(settings.pack(size))],
            refuse=schema.problems_csv(settings.pack(size)) if arguments.strict else None,
        )
        for size in params.pack_sizes()
    }  # fmt: skip
    sizes = [size for size, step in steps.items() if not step.is_current()]
    for size in set(steps) - set(sizes):
        print(f"{settings.pack(size)}: up to date")
    if not sizes:
        return
    for size in sizes:
        steps[size].begin()
    masks = digest(settings.lung_masks.with_suffix(".json")) if "masks" in inputs else ""
    films = list(zip(paths, accepted.tolist(), strict=True))
    table = pack(settings, params, sizes, images["path"], films, masks, arguments.scheduler)
    table.insert(0, "image_id", images["image_id"])
    table["mask_used"] = accepted
    for size in sizes:
        print(write_beside(settings, size, table))
        steps[size].finish()
    whole, broken = int((~accepted).sum()), int((table["problem"] != "").sum())
    unreadable = f"{counted(broken, 'film')} unreadable (black, in no split)"
    print(f"masking {params.pack.lung_masking}: {counted(whole, 'film')} whole, {unreadable}")


def accepted_masks(settings, films):
    """Which films' masks are to be used, and what the masks were made from."""
    csv, made_by = settings.lung_masks.with_suffix(".csv"), "python src/classification/etl/4_mask_lungs.py"
    made_from = origin(settings.lung_masks.with_suffix(".json"), made_by)
    accepted = read_csv(csv, made_by, ["accepted"])["accepted"].to_numpy()
    if len(accepted) != films:
        raise InputError(f"{csv}: {counted(len(accepted), 'mask')}, {counted(films, 'film')}. Run: {made_by}")
    return accepted, made_from


def pack(settings, params, sizes, names, films, masks, scheduler):
    """Write the packs of all sizes from (path, mask accepted) of each film; the table of what became of each."""
    with contextlib.ExitStack() as stack:
        packed = [packs.written_pack(settings.pack(size), len(films), size) for size in sizes]
        written = tuple((size, str(stack.enter_context(writing))) for size, writing in zip(sizes, packed, strict=True))
        what = packing.Packing(
            written, str(settings.lung_masks), masks, params.pack.fit, params.pack.lung_masking, params.pack.lung_margin
        )
        workers = executors.process_count(params.general.workers)
        records = executors.each_film(
            functools.partial(packing.pack_shard, packing=what),
            executors.shards([(row, *film) for row, film in enumerate(films)], packing.shard_size(len(films), workers)),
            scheduler,
            executors.processes(workers),
        )
        table = packing.gathered(progress(records, len(films), "packing"))
        for size in sizes:  # before the packs stand under their names
            csv = schema.problems_csv(settings.pack(size))
            reading.list_broken(names, [path for path, _ in films], table["problem"], csv)
    return table


def write_beside(settings, size, table):
    """Write the table and the preview of one pack; what to tell."""
    path = settings.pack(size)
    columns = {f"{name}_{size}": name for name in AFFINE}
    about = table[["image_id", "width", "height", "mask_used", "problem", *columns]].rename(columns=columns)
    write_csv(about, path.with_suffix(".csv"))
    shown = np.linspace(0, len(table) - 1, 16).astype(int)
    made = packs.open_pack(path, "this script")
    preview = settings.classification / f"preview_{size}.png"
    film_pictures.preview_grid(list(made[shown]), table["image_id"][shown].tolist(), preview)
    return f"{counted(len(table), 'film')} at {size} px ({made.nbytes / 1e9:.2f} GB) -> {path}"


if __name__ == "__main__":
    command_line.run(main)
