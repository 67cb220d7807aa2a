"""Find the lungs of every film with the U-Net, and check each mask.

Reads   DATA_DIR/classification/images.csv and its films, MODELS_DIR/segmentation/Unet/weights/model.keras
Writes  DATA_DIR/classification/lung_masks.npy (0/255, row i = row i of images.csv), lung_masks.csv (area_fraction,
        components, accepted, reason, doubt, cardiothoracic_ratio and where both widths were taken, as shares of the
        square's side), lung_masks_problems.csv, preview_masks.png, preview_doubtful_masks.png
        (32: the oddest of a doubtful shape, then those most unlike the others, accepted or not)

With "LUNG_MASKING": "none" there is nothing to do. A film whose mask fails the check is used whole, and counted.
"""

import functools
import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line  # first: from here on Ctrl-C is one line
from cxr.core.errors import counted

# isort: split
import numpy as np

from cxr.anatomy.heart import Widths
from cxr.anatomy.lungs import shape_of
from cxr.core import executors
from cxr.core.artifacts import Step, digest, need, raw_state, write_csv
from cxr.core.progress import progress
from cxr.imaging import chest_films, film_checks
from cxr.preparation import masking, packing, packs, reading
from cxr.preparation.films import spread
from cxr.report import film_pictures
from cxr.tables import schema
from cxr.tables.sources.catalogue import film_paths

SHOWN = 16  # films on a sheet; twice as many doubtful ones, of which half may be so by their shape


def main(argv=None):
    arguments, settings, params = command_line.opened(command_line.parser(__doc__), argv, lambda s: s.classification)
    if params.pack.lung_masking == "none":
        print('"LUNG_MASKING": "none": films are used as they are, no masks are made')
        return
    images = schema.read_images(settings.images_csv, params.findings)
    paths = film_paths(settings, images)
    unet_path = need(settings.unet, "src/segmentation/train.py")
    masks_npy, size = settings.lung_masks, params.unet.unet_input_size
    masks_csv, preview = masks_npy.with_suffix(".csv"), masks_npy.with_name("preview_masks.png")
    doubtful = masks_npy.with_name("preview_doubtful_masks.png")
    problems_csv = schema.problems_csv(masks_npy)
    step = Step(
        masks_npy.with_suffix(".json"),
        {
            "images": digest(settings.images_csv),
            "raw": raw_state(paths),
            "unet": digest(unet_path),
            **chest_films.recorded(paths, arguments.scheduler),
        },
        {"UNET_INPUT_SIZE": size, "LUNG_THRESHOLD": params.pack.lung_threshold, "FIT": params.pack.fit},
        [masks_npy, masks_csv, problems_csv],
        refuse=problems_csv if arguments.strict else None,
    )

    def make():
        with packs.written_pack(masks_npy, len(images), size) as temporary:
            work = masking.Masking(str(unet_path), digest(unet_path), str(temporary), params)
            print(f"lung masks of {len(images)} films; {arguments.scheduler or masking.network(work)[1]}")
            records = executors.each_film(
                functools.partial(masking.mask_shard, masking=work),
                executors.shards(list(enumerate(paths)), masking.SHARD),
                arguments.scheduler,
                # One thread more than cores: while it waits for the network, the others read films and clean masks.
                executors.threads(executors.process_count(params.general.workers) + 1),
            )
            table = packing.gathered(progress(records, len(images), "lung masks"))
            broken = reading.list_broken(images["path"], paths, table.pop("problem"), problems_csv)
        table.insert(0, "image_id", images["image_id"])
        write_csv(table, masks_csv)
        masks = packs.open_pack(masks_npy, "this script")
        distances, limit = film_checks.far_from_the_rest(film_checks.thumbnails(masks))
        shown = table.iloc[spread(np.arange(len(images)), SHOWN)]
        draw_sheet(paths, masks, params.pack.fit, shown, [title(row) for row in shown.itertuples()], preview)
        shown = table.iloc[odd(masks, table["doubt"], distances)]
        titles = [how_odd(row, masks[row.Index], distances[row.Index], limit) for row in shown.itertuples()]
        draw_sheet(paths, masks, params.pack.fit, shown, titles, doubtful)
        rejected = ~table["accepted"]
        counts = f"{counted(len(table), 'mask')}, {rejected.sum()} not accepted (whole film used)"
        return [
            f"{counts}, {counted(broken, 'film')} unreadable -> {masks_npy}, {preview}",
            f"doubtful by their shape (used all the same): {counted((table['doubt'] != '').sum(), 'mask')}; far from "
            f"the others: {(distances > limit).sum()}; the first of both -> {doubtful}",
            *by_source(rejected, images["source"]),
            *ratios(table["cardiothoracic_ratio"], images),
        ]

    print(*step.run(make), sep="\n")


def by_source(rejected, source):
    """Lines on the masks that are not accepted."""
    shares = rejected.groupby(source).agg(["mean", "count"])
    return [f"  {name}: {share:.1%} of {count} masks not accepted" for name, share, count in shares.itertuples()]


def ratios(ratio, images):
    """Lines on the cardiothoracic ratio, by view: on AP films, and of those who lie, it comes out too large."""
    if ratio.isna().all():
        return [
            "  no film has a cardiothoracic ratio: no mask is accepted, or the U-Net outlines no heart above the "
            "diaphragm (LUNG_FILMS)"
        ]
    by_view = ratio.groupby(images["view"].fillna("view not known")).describe()
    return [
        f"  cardiothoracic ratio, {view}: median {row['50%']:.3f} of {counted(int(row['count']), 'film')}"
        f"{', where the heart is drawn too large' if view == 'AP' else ''}"
        for view, row in by_view[by_view["count"] > 0].iterrows()
    ]


def draw_sheet(paths, masks, fit, shown, titles, picture):
    """The films of some rows of the table with the outlines of their masks and the widths of heart and thorax."""
    films = [reading.try_square(paths[row], masks.shape[1], fit)[0] for row in shown.index]
    widths = [Widths(*row) for row in shown[list(vars(Widths()))].itertuples(index=False)]
    film_pictures.preview_grid(films, titles, picture, contours=list(masks[shown.index]), widths=widths)


def odd(masks, doubt, distances):
    """Rows of masks to look at: those of a doubtful shape, the oddest first, then those farthest from the others."""
    doubtful = np.flatnonzero(doubt != "")  # their shapes alone are measured again
    oddness = np.array([shape_of(masks[row]).oddness for row in doubtful])
    doubtful = doubtful[np.argsort(-oddness, kind="stable")][:SHOWN]
    farthest = np.argsort(-distances, kind="stable")
    return np.array(list(dict.fromkeys([*doubtful, *farthest]))[: 2 * SHOWN])


def title(row):
    """A film's name on a sheet, and why its mask is not accepted, or doubtful."""
    said = row.doubt if row.accepted else f"REJECTED: {row.reason}"
    return f"{row.image_id} {said}".strip()


def how_odd(row, mask, distance, limit):
    """The title, and of a mask that is neither refused nor of a doubtful shape why it is shown."""
    if row.reason or row.doubt:
        return title(row)
    far = f"{title(row)}: distance {distance:.2f} from the other masks"
    if distance > limit:
        return f"{far}, expected {limit:.2f} or less"
    return f"{far}, not doubtful: {shape_of(mask).measured}"


if __name__ == "__main__":
    command_line.run(main)
