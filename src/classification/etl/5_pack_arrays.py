"""Mask, fit and pack every film into one array per input size.

Reads   DATA_DIR/classification/images.csv and its films, lung_masks.npy and .csv
Writes  DATA_DIR/classification/images_<size>.npy (row i = row i of images.csv), images_<size>.csv (each film's size on
        disk, affine to packed pixels, mask status), images_<size>_problems.csv, images_<size>.json (what it was made
        from), preview_<size>.png

A film is decoded once for all sizes. A film that cannot be read stays black and is left out of every split.
"""

import contextlib
import functools

import numpy as np

from cxr.core import command_line, executors, locks
from cxr.core.artifacts import digest, origin, raw_state, read_csv, write_csv
from cxr.core.errors import InputError
from cxr.core.progress import progress
from cxr.core.steps import Step
from cxr.preparation import packing, packs, reading
from cxr.preparation.films import AFFINE
from cxr.report import film_pictures
from cxr.tables import schema
from cxr.tables.sources.catalogue import film_paths


def main(argv=None):
    arguments = command_line.parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    locks.hold(settings.classification)
    images = schema.read_images(settings.images_csv, params.findings)
    paths = film_paths(settings, images)
    inputs = {"images": digest(settings.images_csv), "raw": raw_state(paths)}
    accepted = np.zeros(len(images), bool)
    if params.pack.lung_masking != "none":
        masks_csv, made_by = settings.lung_masks.with_suffix(".csv"), "python src/classification/etl/4_mask_lungs.py"
        masks_record = settings.lung_masks.with_suffix(".json")
        inputs["masks"] = origin(masks_record, made_by)
        accepted = read_csv(masks_csv, made_by, ["accepted"])["accepted"].to_numpy()
        if len(accepted) != len(images):
            raise InputError(f"{masks_csv}: {len(accepted)} masks, {len(images)} films. Run: {made_by}")
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
    with contextlib.ExitStack() as stack:
        written = [
            (size, str(stack.enter_context(packs.written_pack(settings.pack(size), len(images), size))))
            for size in sizes
        ]
        what = packing.Packing(
            tuple(written),
            str(settings.lung_masks),
            digest(masks_record) if "masks" in inputs else "",
            params.pack.fit,
            params.pack.lung_masking,
            params.pack.lung_margin,
        )
        jobs = list(zip(range(len(images)), paths, accepted.tolist(), strict=True))
        workers = executors.process_count(params.general.workers)
        records = executors.each_film(
            functools.partial(packing.pack_shard, packing=what),
            executors.shards(jobs, packing.shard_size(len(jobs), workers)),
            arguments.scheduler,
            executors.processes(workers),
        )
        table = packing.gathered(progress(records, len(images), "packing"))
        for size in sizes:
            problems_csv = schema.problems_csv(settings.pack(size))
            broken = reading.list_broken(images["path"], paths, table["problem"], problems_csv)
    table.insert(0, "image_id", images["image_id"])
    table["mask_used"] = accepted & (params.pack.lung_masking != "none")
    for size in sizes:
        columns = {f"{name}_{size}": name for name in AFFINE}
        one = table[["image_id", "width", "height", "mask_used", "problem", *columns]].rename(columns=columns)
        write_csv(one, settings.pack(size).with_suffix(".csv"))
        shown = np.linspace(0, len(images) - 1, 16).astype(int)
        pack = packs.open_pack(settings.pack(size), "this script")
        film_pictures.preview_grid(
            list(pack[shown]), images["image_id"][shown].tolist(), settings.classification / f"preview_{size}.png"
        )
        steps[size].finish()
        print(f"{len(images)} films at {size} px ({pack.nbytes / 1e9:.2f} GB) -> {settings.pack(size)}")
    whole = int((~table["mask_used"]).sum())
    print(f"masking {params.pack.lung_masking}: {whole} films whole, {broken} films unreadable (black, in no split)")


if __name__ == "__main__":
    command_line.run(main)
