"""The rule that knows a lateral film by its picture (`cxr.imaging.views`): how its numbers are made, and its error.

Drawn films are all that it is fitted on: laterals against PA and AP films, shifted, turned, zoomed, of other
margins and contrasts. Real frontal films (folders after --frontal) set the cut: one film in two, the others tell how
many are flagged. --ct is a folder with the DICOM slices of a chest CT: summed from the side and from the front, its
voxels are films of a real chest.

    python benchmarks/laterals.py --frontal images_001/images CXR_png --ct SLICES
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression

from cxr.imaging import views
from cxr.imaging.decoding import read_film
from cxr.imaging.listing import list_films
from cxr.synthetic.phantoms import HOSPITALS, draw_film, draw_patient

SIZE = 256
STRENGTH = 0.003  # of the regression's data against its penalty
BELOW = 0.998  # share of the real frontal films that the cut leaves alone, in the half that sets it
MILLIMETRE = 0.02  # attenuation of water


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawn", type=int, default=400, help="films drawn of each view")
    parser.add_argument("--frontal", type=Path, nargs="+", default=[], help="folders of real frontal films")
    parser.add_argument("--ct", type=Path, help="a folder of DICOM slices")
    arguments = parser.parse_args(argv)
    random = np.random.default_rng(0)
    drawn = {view: [draw(seed, view) for seed in range(arguments.drawn)] for view in ("LATERAL", "PA", "AP")}
    films = {view: ones + [changed(film, random) for film in ones for _ in range(4)] for view, ones in drawn.items()}
    rows = np.vstack([np.array([views.halves(film).ravel() for film in ones]) for ones in films.values()])
    lateral = np.repeat([True, False, False], [len(ones) for ones in films.values()])
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=5000).fit(rows, lateral)
    weights = np.round(100 * model.coef_[0]).astype(int).reshape(views.SIDE, -1)
    print("LATERAL_WEIGHTS =", [row.tolist() for row in weights])
    real = np.array([score(read_film(folder / name), weights)
                     for folder in arguments.frontal for name in list_films(folder).films])  # fmt: skip
    cut = round(float(np.quantile(real[::2], BELOW)), 2) if len(real) else views.LATERAL_CUT
    print(f"LATERAL_CUT = {cut}")
    told = {"real frontal films, the half that set it": real[::2], "real frontal films, the other half": real[1::2]}
    unseen = {view: [draw(10_000 + seed, view) for seed in range(arguments.drawn)] for view in drawn}
    if arguments.ct:
        voxels, sides = read_ct(arguments.ct)
        for name, axis in (("laterals of a CT", 2), ("frontal films of a CT", 1)):
            unseen[name] = [projected(voxels, sides, axis, random) for _ in range(200)]
    told |= {name: np.array([score(film, weights) for film in ones]) for name, ones in unseen.items()}
    for name, scores in told.items():
        print(f"{name}: {np.count_nonzero(scores > cut)} of {len(scores)} flagged")


def score(film, weights):
    return float((views.halves(film) * weights).sum() / 100)


def draw(seed, view):
    random = np.random.default_rng([seed, ord(view[0])])
    hospital = sorted(HOSPITALS)[seed % len(HOSPITALS)]
    return draw_film(random, draw_patient(random), {}, view, hospital, SIZE).pixels


def changed(film, random):
    """A film, cut otherwise, turned a little, on a black or continued margin, of another contrast."""
    warp = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), random.normal(0, 5), 1)
    zoom, shift = random.uniform(0.7, 1.5, 2), random.normal(0, 0.05, 2) * SIZE
    warp = zoom[:, None] * warp
    warp[:, 2] += (1 - zoom) * SIZE / 2 + shift
    border = cv2.BORDER_CONSTANT if random.random() < 0.5 else cv2.BORDER_REPLICATE
    film = cv2.warpAffine(film, warp, (SIZE, SIZE), borderMode=border)
    return np.uint8(255 * (film / 255) ** random.uniform(0.6, 1.6))


def read_ct(folder):
    """Attenuation (Z, Y, X), from head to foot, without what is not the body; millimetres of a voxel (Z, X)."""
    import pydicom
    from scipy import ndimage

    slices = [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    slices = sorted(
        (one for one in slices if "ImagePositionPatient" in one), key=lambda one: -one.ImagePositionPatient[2]
    )
    hounsfield = np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices])
    voxels = np.clip(hounsfield + 1000, 0, None).astype(np.float32) / 1000
    parts, _ = ndimage.label(ndimage.binary_opening(voxels > 0.5, iterations=3))
    body = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    body = np.stack([ndimage.binary_fill_holes(one) for one in body])
    spacing = abs(slices[0].ImagePositionPatient[2] - slices[1].ImagePositionPatient[2])
    return voxels * ndimage.binary_dilation(body, iterations=2), (float(spacing), float(slices[0].PixelSpacing[0]))


def projected(voxels, sides, axis, random):
    """One film of the CT: parallel rays, turned by up to 12 degrees, cut and exposed as films of hospitals are."""
    from scipy import ndimage

    turned = ndimage.rotate(voxels[:, ::2, ::2], random.uniform(-12, 12), axes=(1, 2), reshape=False, order=1)
    stopped = turned.sum(axis) * 2 * sides[1] * MILLIMETRE
    stopped = cv2.resize(stopped, None, fx=2 * sides[1], fy=sides[0], interpolation=cv2.INTER_CUBIC)  # 1 mm a pixel
    inside = np.flatnonzero((stopped[60:220] > 0.3).mean(0) > 0.5)
    width = (inside[-1] - inside[0]) * random.uniform(0.85, 1.3)
    top = random.uniform(-5, 25)
    height = min(width * random.choice([1, 1.2]), len(stopped) - top - 5)
    left = (inside[0] + inside[-1] - width) / 2 + random.normal(0, 0.04) * width
    warp = np.array([[SIZE / width, 0, -left * SIZE / width], [0, SIZE / height, -top * SIZE / height]])
    film = cv2.warpAffine(stopped, warp, (SIZE, SIZE), flags=cv2.INTER_AREA)
    low, high = np.percentile(film, random.uniform(0, 20)), np.percentile(film, random.uniform(95, 100))
    film = np.uint8(255 * np.clip((film - low) / (high - low), 0, 1) ** random.uniform(0.6, 1.6))
    return cv2.createCLAHE(2, (8, 8)).apply(film) if random.random() < 0.4 else film


if __name__ == "__main__":
    main()
