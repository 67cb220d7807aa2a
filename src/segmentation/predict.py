"""Lung masks of any folder of films: look at them, then train again with what was missing.

Reads   the films of FOLDER (PNG, JPEG, TIFF, DICOM; its subfolders too), the U-Net
Writes  OUT/masks/<name>.png (0/255, size of the film): with FOLDER, pairs to train on. OUT/not_accepted/<name>.png:
        masks to be mended first. OUT/overlays/<name>.png (outline on the film), OUT/masks.csv (area_fraction,
        components, accepted, reason). OUT is MODELS_DIR/segmentation/Unet/prediction by default
"""

import functools

from cxr.core import command_line  # first: from here on Ctrl-C is one line

# isort: split
import numpy as np
import pandas as pd

from cxr.core import executors
from cxr.core.artifacts import need, write_csv
from cxr.core.errors import InputError, one_line
from cxr.core.own_files import OwnFiles, not_listed
from cxr.core.progress import progress
from cxr.imaging import decoding, geometry, listing
from cxr.new_films.film_files import shown_name
from cxr.preparation import reading
from cxr.tables import lung_sets


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
    possible = {f"{kind}/{name}" for name in mask_names for kind in ("masks", "not_accepted", "overlays")}
    own = OwnFiles(out, ["masks.csv", *possible])
    # Keras is imported only now: --help and wrong input answer at once.
    from cxr.networks import backend, inference, saved_models
    from cxr.report import film_pictures

    size = params.unet.unet_input_size
    print(f"lung masks of {len(paths)} films; {backend.start(params)}", *listing.told(found.not_taken), sep="\n")
    unet = saved_models.load_model(settings.unet, size, "src/segmentation/train.py")
    read = functools.partial(reading.try_square, size=size, fit=params.pack.fit)
    problems = []

    def readable():
        for film, problem in executors.by_processes(read, paths, executors.process_count(params.general.workers)):
            problems.append(problem)
            yield film

    rows, written = [], ["masks.csv"]
    masks = progress(inference.lung_masks(unet, readable(), params), len(paths), "lung masks")
    for number, (mask, quality) in enumerate(masks):
        name = names[number]
        row = {"film": shown_name(name), **vars(quality), "problem": problems[number]}
        rows.append(row if not problems[number] else row | {"accepted": False, "reason": "unreadable"})
        if problems[number]:
            continue
        film = decoding.read_film(paths[number])
        affine = geometry.square_affine(film.shape, size, params.pack.fit)
        whole = np.where(geometry.square_to_film(mask, film.shape, affine) >= 128, 255, 0).astype(np.uint8)
        folder = "masks" if quality.accepted else "not_accepted"  # as pairs to train on those would teach the mistake
        decoding.write_image(whole, out / folder / mask_names[number])
        film_pictures.lung_outline(film, whole, out / "overlays" / mask_names[number], quality.reason)
        written += [f"{folder}/{mask_names[number]}", f"overlays/{mask_names[number]}"]
    table = pd.DataFrame(rows)
    write_csv(table, out / "masks.csv")
    own.finish({*written, *own.older - possible}, ["masks/*", "not_accepted/*", "overlays/*"])
    refused = table[~table["accepted"]]
    print(f"{len(table)} films, {len(refused)} masks not accepted -> {out}")
    for film, reason, problem in refused[["film", "reason", "problem"]].head(10).itertuples(index=False):
        print(one_line(f"  {film}: {problem or reason}"))


if __name__ == "__main__":
    command_line.run(main)
