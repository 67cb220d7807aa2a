"""Maps of a network on real films, where no boxes are known: does the heat of Cardiomegaly lie on the heart?

For each method the share of films labelled with Cardiomegaly whose hottest point lies within the heart as the U-Net
outlines it, and the share of the heat there, beside random maps, the middle of the square, and the heart's share of
what the network saw. Maps are read against their mean over all films of the pack.

    python benchmarks/maps_on_hearts.py --settings SETTINGS.json --params PARAMS.json --model model.keras
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxr.core import configuration
from cxr.core.artifacts import read_csv
from cxr.core.parameters import MAP_METHODS
from cxr.evaluation import bootstrap
from cxr.imaging.geometry import AFFINE
from cxr.maps import heatmaps, localisation, lung_regions
from cxr.networks import backend, inference, saved_models
from cxr.preparation.films import load_films
from cxr.preparation.reading import try_square
from cxr.tables.sources.catalogue import film_paths

FINDING = "Cardiomegaly"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("settings", "params", "model"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args(argv)
    settings = configuration.load_settings(arguments.settings)
    params = configuration.load_params(arguments.params)
    print(backend.start(params))
    size = params.input_size(params.members("ensemble")[0])
    films, pack = load_films(settings, params, size)
    images = read_csv(settings.images_csv, "sh prepare_data.sh")
    path_of = dict(zip(images["image_id"], film_paths(settings, images), strict=True))
    unet = saved_models.load_model(settings.unet, params.unet.unet_input_size, "-")
    scorer = inference.scorer(saved_models.load_model(arguments.model, size, "-"), params, MAP_METHODS)
    _, maps = inference.score(scorer, pack, np.arange(len(pack)), params)
    index = params.findings.index(FINDING)
    maps = {method: of_method[:, index] for method, of_method in maps.items()}
    means = {method: of_method.mean(axis=0, dtype=np.float32) for method, of_method in maps.items()}
    rows = np.flatnonzero(films[FINDING] == 1)
    asked = params.unet.unet_input_size, params.pack.fit
    squares = (try_square(path_of[image_id], *asked)[0] for image_id in films["image_id"].iloc[rows])
    masks = lung_regions.masks_of(settings, films["image_id"])
    found = {name: [] for name in (*MAP_METHODS, "random map", "middle of the square")}
    areas, patients = [], []
    random = np.random.default_rng(1)
    for row, outlined in zip(rows, inference.outlined_films(unet, squares, params), strict=True):
        film = films.iloc[row]
        whole = localisation.FilmGeometry(size, tuple(film[list(AFFINE)]), int(film["width"]), int(film["height"]))
        geometry = replace(whole, seen=lung_regions.seen(masks(row), whole, params.pack))
        heart = lung_regions.on_square(outlined.heart, geometry, params.pack.fit)
        if not outlined.quality.accepted or not (heart if geometry.seen is None else heart & geometry.seen).any():
            continue
        heats = {method: heatmaps.heatmap([maps[method][row]], [mean]) for method, mean in means.items()}
        heats |= {
            "random map": random.random((20, 20), dtype=np.float32),
            "middle of the square": localisation.centre_prior(),
        }
        for name, heat in heats.items():
            large = localisation.on_square(heat, geometry)
            hit = large.max() > 0 and heart[np.unravel_index(large.argmax(), large.shape)]
            share, area = localisation.share_in_lungs(heat, heart, geometry)  # of any mask
            found[name].append((float(hit), np.nan_to_num(share)))
        areas.append(area)
        patients.append(film["patient_id"])
    print(f"{len(areas)} films with {FINDING} and an outlined heart, on average {np.mean(areas):.3f} of what was seen")
    for name, pairs in found.items():
        hits, share = np.array(pairs).T
        low, high = bootstrap.mean_interval(hits, np.array(patients), 1000, 1)
        figures = f"{hits.mean():.3f} ({low:.3f}-{high:.3f}), of the heat {share.mean():.3f}"
        print(f"{name:22s} hottest point in the heart {figures}")


if __name__ == "__main__":
    main()
