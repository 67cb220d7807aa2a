"""Draw two sheets to look at: what the U-Net learns from without a real film, and findings of growing severity.

Reads   PARAMS.json (FINDINGS, SEED)
Writes  OUT/drawn_films.jpg (16 films, each as if from a hospital of its own, with lungs and heart outlined),
        OUT/drawn_severities.jpg (a row a finding: the same patient without it, then at five severities)
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/src")  # this project's cxr, whatever is installed

from cxr.core import command_line  # first: from here on Ctrl-C is one line

# isort: split
import cv2
import numpy as np

from cxr.core.findings import FINDINGS
from cxr.imaging.decoding import write_image
from cxr.report import canvas
from cxr.synthetic.phantoms import draw_film, draw_patient
from cxr.synthetic.randomised import draw_randomised_film

SIDE, SEVERITIES = 168, (0, 0.2, 0.4, 0.6, 0.8, 1.0)


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("--out", type=command_line.path, required=True, help="folder of the two sheets")
    arguments = parser.parse_args(argv)
    seed = command_line.load(arguments)[1].general.seed
    for name, sheet in (("drawn_films", for_the_unet(seed)), ("drawn_severities", severities(seed))):
        write_image(cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR), arguments.out / f"{name}.jpg")
        print(f"-> {arguments.out / f'{name}.jpg'}")


def for_the_unet(seed):
    films = [
        draw_randomised_film(np.random.default_rng([seed, number]), 3 * SIDE, with_surroundings=True)
        for number in range(16)
    ]
    outlined = [[(film.lungs, canvas.MASK), (film.heart, canvas.HEART)] for film in films]
    tiles = [canvas.film_tile(film.pixels, SIDE, outlines) for film, outlines in zip(films, outlined, strict=True)]
    return canvas.tile_grid(tiles, [f"ratio {film.cardiothoracic_ratio:.2f}" for film in films], columns=8)


def severities(seed):
    tiles, captions = [], []
    for row, finding in enumerate(FINDINGS):
        for severity in SEVERITIES:
            rng = np.random.default_rng([seed, row])  # the same patient, pose and exposure in all of a row
            present = {finding: severity} if severity else {}
            tiles.append(canvas.film_tile(draw_film(rng, draw_patient(rng), present, size=3 * SIDE).pixels, SIDE))
            captions.append(f"{finding} {severity:.1f}" if severity else f"without {finding}")
    return canvas.tile_grid(tiles, captions, columns=len(SEVERITIES))


if __name__ == "__main__":
    command_line.run(main)
