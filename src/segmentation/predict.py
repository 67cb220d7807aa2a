"""Lung masks of any folder of films: look at them, then train again with what was missing.

Reads   the films of FOLDER (PNG, JPEG, TIFF, DICOM; its subfolders too), the U-Net
Writes  OUT/masks/<name>.png (0/255, size of the film): with FOLDER, pairs to train on. OUT/not_accepted/<name>.png:
        masks to be mended first. OUT/overlays/<name>.png (outline on the film), OUT/masks.csv (area_fraction,
        components, accepted, reason, doubt). OUT is MODELS_DIR/segmentation/Unet/prediction by default

A mask in OUT/masks or OUT/not_accepted that is not to the byte as this script wrote it there was mended or put there by
somebody: it is kept, and said. Remove it to have it made anew.
"""

import functools
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line  # first: from here on Ctrl-C is one line

# isort: split
import numpy as np
import pandas as pd

from cxr.anatomy import drawn_masks
from cxr.anatomy.lungs import MaskQuality, shape_of
from cxr.core import executors
from cxr.core.artifacts import need, write_csv
from cxr.core.errors import InputError, counted, one_line
from cxr.core.own_files import OwnFiles, is_plain_file, listed, not_listed
from cxr.core.progress import progress
from cxr.imaging import decoding, geometry, listing
from cxr.new_films.film_files import shown_name
from cxr.preparation import reading
from cxr.tables import lung_sets

PLACES = ("masks", "not_accepted")
KEPT = "kept: not as this script wrote it"


def main(argv=None):
    arguments = command_line.parser(__doc__)
    arguments.add_argument("folder", type=command_line.path, help="films to find the lungs in")
    arguments.add_argument("--out", type=command_line.path, help="where masks and overlays go")
    arguments = arguments.parse_args(argv)
    settings, params = command_line.load(arguments)
    found = listing.list_films(arguments.folder)
    paths = not_listed(found.films)
    if not paths:
        raise InputError(f"{arguments.folder}: no film in it but pictures that earlier runs made.")
    out = arguments.out or settings.unet_dir / "prediction"
    need(settings.unet, "src/segmentation/train.py")
    names = [path.relative_to(arguments.folder) for path in paths]
    mask_names = lung_sets.mask_names(names)
    kept = mended(out, mask_names)
    possible = {f"{kind}/{name}" for name in mask_names for kind in (*PLACES, "overlays")} - kept.keys()
    own = OwnFiles(out, ["masks.csv", *possible])
    # Keras is imported only now: --help and wrong input answer at once.
    from cxr.networks import backend, inference, saved_models
    from cxr.report import film_pictures

    size = params.unet.unet_input_size
    print(f"lung masks of {len(paths)} films; {backend.start(params)}", *listing.told(found.not_taken), sep="\n")
    unet = saved_models.load_model(settings.unet, size, "src/segmentation/train.py")
    read = functools.partial(reading.try_square, size=size, fit=params.pack.fit)
    todo = [number for number in range(len(paths)) if number not in kept.values()]
    problems = []

    def readable():
        files = [paths[number] for number in todo]
        for film, problem in executors.by_processes(read, files, executors.process_count(params.general.workers)):
            problems.append(problem)
            yield film

    rows, written = {}, ["masks.csv", *kept]
    for name, number in kept.items():
        row, film, mask = of_mended(paths[number], name, out)
        rows[number] = {"film": shown_name(names[number]), **row}
        if mask is not None:
            film_pictures.lung_outline(film, mask, out / "overlays" / mask_names[number], note(rows[number]))
            written.append(f"overlays/{mask_names[number]}")
    outlined = progress(inference.outlined_films(unet, readable(), params), len(todo), "lung masks")
    for number, problem, found in ((todo[i], problems[i], found) for i, found in enumerate(outlined)):
        rows[number] = {"film": shown_name(names[number]), **found.record, "problem": problem}
        if problem:
            rows[number] |= {"accepted": False, "reason": "unreadable"}
            continue
        film = decoding.read_film(paths[number])
        whole = of_film(found.lungs, film.shape, params.pack.fit)
        place = PLACES[not found.quality.accepted]  # as pairs to train on those would teach the mistake
        drawn_masks.write_signed(whole, out / place / mask_names[number], place)
        measured = not np.isnan(found.widths.cardiothoracic_ratio)
        heart = of_film(found.heart, film.shape, params.pack.fit) if measured else None
        film_pictures.lung_outline(film, whole, out / "overlays" / mask_names[number], note(rows[number]), heart)
        written += [f"{place}/{mask_names[number]}", f"overlays/{mask_names[number]}"]
    table = pd.DataFrame([rows[number] for number in range(len(paths))]).astype({"components": "Int64"})
    write_csv(table, out / "masks.csv")
    own.finish({*written, *own.older - possible}, ["masks/*", "not_accepted/*", "overlays/*"])
    say(table, len(kept), out)


def say(table, kept, out):
    refused = table[~table["accepted"]]
    doubtful = f"{(table['doubt'] != '').sum()} of a doubtful shape"
    print(f"{counted(len(table), 'film')}, {counted(len(refused), 'mask')} not accepted, {doubtful} -> {out}")
    if kept:
        print(f"kept, not as this script wrote them: {counted(kept, 'mask')}; remove one to have it made anew")
    for film, reason, problem in refused[["film", "reason", "problem"]].head(10).itertuples(index=False):
        print(one_line(f"  {film}: {problem or reason}"))


def note(row):
    """What stands below a film: why its mask is not accepted, what is odd in its shape, the cardiothoracic ratio."""
    said = [row["reason"] or "mask accepted", row["doubt"] and f"doubtful: {row['doubt']}"]
    ratio = row.get("cardiothoracic_ratio", np.nan)
    return "; ".join(filter(None, [*said, "" if np.isnan(ratio) else f"cardiothoracic ratio {ratio:.2f}"]))


def of_film(mask, shape, fit):
    """A square mask on the film's own pixels, 0 or 255."""
    affine = geometry.square_affine(shape, mask.shape[0], fit)
    return np.where(geometry.square_to_film(mask, shape, affine) >= 128, 255, 0).astype(np.uint8)


def mended(out, mask_names):
    """Masks in a folder of ours that are not as this script wrote them, relative to it -> the number of their film."""
    if not listed(out):  # somebody else's: OwnFiles refuses what is in the way
        return {}
    names = {f"{place}/{name}": number for place in reversed(PLACES) for number, name in enumerate(mask_names)}
    return {
        name: number
        for name, number in names.items()
        if is_plain_file(out, name) and not drawn_masks.is_signed(out / name, name.split("/")[0])
    }


def of_mended(film_path, name, out):
    """The row of masks.csv of a mask that was kept, the film, and the mask; None where it is none of this film."""
    try:
        film, mask = lung_sets.read_pair(film_path, [out / name])
    except InputError as error:
        return {**vars(MaskQuality(np.nan, pd.NA, False, KEPT)), "problem": str(error)}, None, None
    accepted = name.startswith(f"{PLACES[0]}/")
    quality = MaskQuality((mask > 0).mean(), pd.NA, accepted, KEPT, shape_of(mask).doubt)
    return {**vars(quality), "problem": ""}, film, mask


if __name__ == "__main__":
    command_line.run(main)
