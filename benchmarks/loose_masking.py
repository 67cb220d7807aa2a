"""What loose masking keeps of the heart and beside it: the hull of both lungs against that of lungs and heart.

python benchmarks/loose_masking.py --unet model.keras --films FOLDER [--table Data_Entry_2017.csv]
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.anatomy.lungs import mask_film
from cxr.core.parameters import Params
from cxr.imaging.decoding import read_film
from cxr.imaging.geometry import fit_square
from cxr.networks import inference
from cxr.networks.backend import keras


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unet", type=Path, required=True, help="model.keras of src/segmentation/train.py")
    parser.add_argument("--films", type=Path, required=True, help="folder of real films")
    parser.add_argument("--table", type=Path, help="of NIH: the films with Cardiomegaly are counted apart")
    arguments = parser.parse_args(argv)
    paths, params = sorted(arguments.films.rglob("*.png")), Params()
    unet = keras.saving.load_model(arguments.unet, compile=False)
    films = (fit_square(read_film(path), unet.input_shape[1], params.pack.fit)[0] for path in paths)
    found = [
        [path.name, *kept_of(one.lungs, one.heart, params.pack.lung_margin), one.quality.doubt]
        for path, one in zip(paths, inference.outlined_films(unet, films, params), strict=True)
        if one.quality.accepted and one.heart.any()
    ]
    columns = ["film", "heart", "whole", "area", "beside", "area with heart", "beside with heart", "doubt"]
    table = pd.DataFrame(found, columns=columns)
    say("all", table)
    say("without doubt", table[table["doubt"] == ""])
    if arguments.table:
        labels = pd.read_csv(arguments.table).set_index("Image Index")["Finding Labels"]
        say("Cardiomegaly", table[labels[table["film"]].str.contains("Cardiomegaly").to_numpy()])


def kept_of(lungs, heart, margin):
    """Of a film: share of the heart in the lungs' hull, whether all; then area of the film and share of no organ in it,
    with the hull of the lungs and with that of both.
    """
    white, organ = np.full_like(lungs, 255), (lungs > 0) | (heart > 0)
    hulls = [mask_film(white, mask, "loose", margin)[0] > 0 for mask in (lungs, np.maximum(lungs, heart))]
    share = float(hulls[0][heart > 0].mean())
    return share, share == 1, *(value for hull in hulls for value in (hull.mean(), (~organ)[hull].mean()))


def say(name, table):
    kept = f"{table['heart'].mean():.3f} of the heart (5 % of films: {table['heart'].quantile(0.05):.3f} or less)"
    print(f"{name}: {len(table)} films; the lungs' hull keeps {kept}, all of it on {table['whole'].mean():.1%}")
    for hull in ("", " with heart"):
        area, beside = table[f"area{hull}"].mean(), table[f"beside{hull}"].mean()
        print(f"    hull of lungs{hull}: {area:.3f} of the film, {beside:.3f} of it neither lung nor heart")


if __name__ == "__main__":
    main()
