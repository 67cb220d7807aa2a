"""Pack the lung films and their masks into two arrays at the U-Net's size.

Reads   DATA_DIR/segmentation/pairs.csv, the films and masks themselves
Writes  DATA_DIR/segmentation/images_<size>.npy, masks_<size>.npy (0/255), packed_<size>.csv (row by row),
        packed_<size>_problems.csv, preview_pairs.png
"""

import functools
import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line, executors, locks
from cxr.core.artifacts import digest, need, raw_state, read_csv, write_csv
from cxr.core.errors import InputError, counted
from cxr.core.progress import progress
from cxr.core.steps import Step
from cxr.imaging import chest_films
from cxr.preparation import packs, reading
from cxr.report import film_pictures
from cxr.tables import lung_sets


def main(argv=None):
    arguments = command_line.unet_parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    if arguments.if_missing and lung_sets.why_skip(settings, params):
        return
    locks.hold(settings.segmentation)
    folder, size = settings.segmentation, params.unet.unet_input_size
    pairs_csv = need(folder / "pairs.csv", "src/segmentation/etl/0_pair_masks.py")
    pairs = read_csv(pairs_csv, "src/segmentation/etl/0_pair_masks.py", lung_sets.PAIR_COLUMNS, dtype=str)
    places = settings.dataset_dir_segmentation, settings.mask_dir
    files = [lung_sets.files_of(pair, *places) for pair in pairs.itertuples()]
    jobs = [(film, masks) for film, *masks in files]
    images_npy, masks_npy = folder / f"images_{size}.npy", folder / f"masks_{size}.npy"
    packed_csv, preview = folder / f"packed_{size}.csv", folder / "preview_pairs.png"
    problems_csv = packed_csv.with_name(f"packed_{size}_problems.csv")
    raw = [path for paths in files for path in paths]
    inputs = {"pairs": digest(pairs_csv), "raw": raw_state(raw), **chest_films.recorded(raw)}
    step = Step(
        folder / f"packed_{size}.json",
        inputs,
        {"FIT": params.pack.fit, "size": size},
        [images_npy, masks_npy, packed_csv, problems_csv],
        refuse=problems_csv if arguments.strict else None,
    )

    def make():
        read = functools.partial(reading.try_pair, size=size, fit=params.pack.fit)
        results = executors.by_processes(read, jobs, executors.process_count(params.general.workers))
        films, masks, problems = zip(*progress(results, len(jobs), "lung films"), strict=True)
        reading.list_broken(pairs["film"], [film for film, _ in jobs], problems, problems_csv)
        whole = [row for row, problem in enumerate(problems) if not problem]
        if len(whole) <= len(jobs) / 2:  # not some bad masks, but other folders, or masks of another kind
            first = next(problem for problem in problems if problem)
            raise InputError(
                f"{pairs_csv}: {len(jobs) - len(whole)} of its {len(jobs)} pairs cannot be used; all are listed in "
                f"{problems_csv}, the first: {first}"
            )
        for path, squares in ((images_npy, films), (masks_npy, masks)):
            with packs.written_pack(path, len(whole), size) as temporary:
                for index, row in enumerate(whole):
                    packs.write_rows(temporary, index, squares[row][None])
        write_csv(pairs.iloc[whole], packed_csv)
        shown = whole[:: max(1, len(whole) // 16)][:16]
        shown_films, names, outlines = ([things[row] for row in shown] for things in (films, pairs["image_id"], masks))
        film_pictures.preview_grid(shown_films, names, preview, contours=outlines)
        unusable = len(jobs) - len(whole)
        return [
            f"{counted(len(whole), 'pair')} at {size} px, {unusable} unusable -> {images_npy}, {masks_npy}, {preview}"
        ]

    print(*step.run(make), sep="\n")


if __name__ == "__main__":
    command_line.run(main)
