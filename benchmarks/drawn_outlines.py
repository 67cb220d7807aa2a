"""Where the lungs end on real films and on drawn ones: border by border, in shares of the width of both lungs.

What the U-Net's drawn films must have right: a network finds an unclear border where it is used to find it.

    python benchmarks/drawn_outlines.py --films CXR_png --masks masks [--drawn 300] [--size 192]
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cxr.imaging.geometry import fit_square
from cxr.synthetic import randomised
from cxr.tables import lung_sets

HEIGHTS = (0.04, 0.12, 0.21, 0.29, 0.37, 0.46, 0.54, 0.63, 0.71, 0.79, 0.88)  # of the lungs' box, from the top
BORDERS = ("right lateral", "right medial", "left medial", "left lateral")  # of the patient; 0 is left on the film


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--drawn", type=int, default=300)
    parser.add_argument("--size", type=int, default=192)
    arguments = parser.parse_args(argv)
    pairs, _ = lung_sets.pair_masks(arguments.films, arguments.masks)
    sets = {
        name: [real_mask(row, arguments) for row in rows.itertuples()] for name, rows in pairs.groupby("set", sort=True)
    }
    sets["drawn"] = [
        randomised.film_and_masks(number, 5, arguments.size)[1][..., 0] for number in range(arguments.drawn)
    ]
    found = {name: np.array([borders(mask) for mask in masks]) for name, masks in sets.items()}
    rows = [
        {"height": height, "border": border}
        | {name: f"{np.nanmedian(of_set[:, at, side]):.3f}" for name, of_set in found.items()}
        for side, border in enumerate(BORDERS)
        for at, height in enumerate(HEIGHTS)
    ]
    print(pd.DataFrame(rows).to_string(index=False))


def real_mask(pair, arguments):
    """The lungs of a real pair as the U-Net learns them, (size, size), uint8, 0 or 255."""
    film, *masks = lung_sets.files_of(pair, arguments.films, arguments.masks)
    return fit_square(lung_sets.read_pair(film, masks)[1], arguments.size, is_mask=True)[0]


def borders(mask):
    """Where both lungs begin and end at `HEIGHTS`, (heights, 4), shares of their box's width; NaN where none is."""
    _, labels, stats, centres = cv2.connectedComponentsWithStats(mask)
    lungs = sorted(1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:2], key=lambda lung: centres[lung][0])
    left, top, width, height = cv2.boundingRect(np.isin(labels, lungs).astype(np.uint8))
    found = np.full((len(HEIGHTS), 4), np.nan)
    for at, share in enumerate(HEIGHTS):
        row = labels[int(top + share * height)]
        for side, lung in enumerate(lungs):
            if len(inside := np.flatnonzero(row == lung)):
                found[at, 2 * side : 2 * side + 2] = (inside[0] - left) / width, (inside[-1] + 1 - left) / width
    return found


if __name__ == "__main__":
    main()
