"""Faults planted in films, masks and networks, for alarms.py: on an evaluated demo, and real lung films where given."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from cxr.anatomy.lungs import beside_lungs, shape_of
from cxr.core import configuration
from cxr.core.errors import InputError
from cxr.evaluation import bootstrap, metrics, predictions, shortcuts
from cxr.imaging import film_checks
from cxr.imaging.decoding import read_film
from cxr.imaging.geometry import blank_corners, fit_square
from cxr.maps import localisation, lung_regions
from cxr.maps.localisation import FilmGeometry
from cxr.new_films import bundles
from cxr.preparation import film_flags
from cxr.preparation.films import load_films
from cxr.tables import lung_sets
from cxr.tables.schema import label_array

SIDE = 64  # of the films that the small network learns from
SEEDS = 2
EPOCHS = 40  # of which fewer than twenty do not learn a token in half of the positives
DOSES = (0, 0.1, 0.25, 0.5, 1)  # share of its positives
MARKED = "Pneumothorax"  # the finding whose positives bear the token
GRAYS: dict[str, Callable] = {
    "as they are": lambda film: film,
    "32 grays brighter": lambda film: np.clip(film + 32, 0, 255),
    "64 grays brighter": lambda film: np.clip(film + 64, 0, 255),
    "128 grays brighter": lambda film: np.clip(film + 128, 0, 255),
    "gamma 0.5": lambda film: 255 * (film / 255) ** 0.5,
}


@dataclass(frozen=True)
class Demo:
    """Settings, parameters, films with their split, packed films, and a folder of real lung films or None."""

    settings: object
    params: object
    films: pd.DataFrame
    pack: np.ndarray
    lungs: Path | None


def opened(folder: Path, lungs: Path | None) -> Demo:
    settings = configuration.load_settings(folder / "SETTINGS.json")
    params = configuration.load_params(folder / "PARAMS.json")
    size = max(params.input_size(member) for member in params.members("ensemble"))
    return Demo(settings, params, *load_films(settings, params, size), lungs)


def films_of(demo: Demo, split: str) -> list[np.ndarray]:
    paths = demo.films.loc[demo.films["split"] == split, "path"]
    return [read_film(demo.settings.dataset_dir / path) for path in paths]


def negatives(demo: Demo):
    films = films_of(demo, "test")
    for dose, turned in ((0, films), (1, [255 - film for film in films])):
        said = [film_checks.brightness_of_the_middle(film) < 0 for film in turned]
        yield "negatives, drawn films", dose, "looks inverted", sum(said), len(said), ""


def masks_shifted(demo: Demo):
    folders = {"drawn": (demo.settings.dataset_dir_segmentation, demo.settings.mask_dir)}
    if demo.lungs:
        folders["real"] = demo.lungs / "CXR_png", demo.lungs / "masks"
    for kind, (films, masks) in folders.items():
        pairs = []
        for pair in lung_sets.pair_masks(films, masks)[0].itertuples():
            film, *of_film = lung_sets.files_of(pair, films, masks)
            film, mask = lung_sets.read_pair(film, of_film)[:2]
            pairs.append((fit_square(film, 256, "pad")[0], fit_square(mask, 256, "pad", nearest=True)[0]))
        others = [pairs[(number + len(pairs) // 2) % len(pairs)][1] for number in range(len(pairs))]
        faults = {"right": {0: [mask for _, mask in pairs]}, "another film's": {1: others}, "sideways": {}, "up": {}}
        faults["down"] = {}
        for share in (0.05, 0.1, 0.2):
            for way, (x, y) in {"sideways": (share, 0), "up": (0, -share), "down": (0, share)}.items():
                warp = np.float32([[1, 0, 256 * x], [0, 1, 256 * y]])
                faults[way][share] = [cv2.warpAffine(mask, warp, (256, 256)) for _, mask in pairs]
        for way, doses in faults.items():
            for dose, given in doses.items():
                odd = sum(bool(shape_of(mask).doubt) for mask in given)
                beside = sum(bool(beside_lungs(film, mask)) for (film, _), mask in zip(pairs, given, strict=True))
                yield f"masks, {kind}: {way}", dose, "shape doubtful", odd, len(given), ""
                yield f"masks, {kind}: {way}", dose, "lies beside the lungs", beside, len(given), ""


def films_copied(demo: Demo):
    """A share of the test films once more, under another name: as it is, and stored anew as JPEG."""
    squares = [fit_square(film, 256, "pad")[0] for film in films_of(demo, "test")]
    stored = [cv2.imdecode(cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 95])[1], 0) for film in squares]
    for name, copies in (("none", []), ("as they are", squares[::20]), ("as JPEG, quality 95", stored[::20])):
        pictures = {str(n): film_checks.thumbnails([film])[0].tobytes() for n, film in enumerate(squares + copies)}
        told = {film for film, _ in film_flags.twins(pictures)}
        copied = [str(len(squares) + n) in told for n in range(len(copies))] or [
            str(n) in told for n in range(len(squares))
        ]
        yield f"films twice, {name}", int(bool(copies)), "same picture", sum(copied), len(copied), ""


def scored(demo: Demo, rows: np.ndarray, pack: np.ndarray) -> np.ndarray:
    """Mean probabilities of the ensemble."""
    from cxr.networks import inference, saved_models

    each = []
    for member in demo.params.members("ensemble"):
        path = demo.settings.member_dir("ensemble", member) / "model.keras"
        network = inference.scorer(saved_models.load_model(path, demo.params.input_size(member), ""), demo.params, ())
        each.append(inference.score(network, pack, rows, demo.params)[0])
    return np.mean(each, axis=0)


def a_hospital_brighter(demo: Demo):
    """Of one hospital half the patients are called another one, whose films are brighter: does `source_probe` tell?"""
    films, findings = demo.films, demo.params.findings
    train, val = (film_checks.thumbnails(demo.pack[films["split"] == split]) for split in ("train", "val"))
    fitted = film_checks.fit_distance(train, val)
    first = films["source"] == films["source"].mode()[0]
    rows = np.flatnonzero(films["split"].isin(["val", "test"]) & first)
    chosen, whole = films.iloc[rows], None
    truth = label_array(chosen, findings)
    for name, change in GRAYS.items():
        pack = np.stack([change(film.astype(float)).astype(np.uint8) for film in demo.pack[rows]])
        values = scored(demo, np.arange(len(rows)), pack)
        whole = values if whole is None else whole
        test = (chosen["split"] == "test").to_numpy()
        note = f"mean AUROC {metrics.mean_auroc(truth[test].astype(float), values[test]):.3f}"
        far = film_checks.distances(film_checks.thumbnails(pack[test]), fitted) > fitted["cut"]
        dose = int(name != "as they are")
        yield f"films {name}", dose, "far from training", int(far.sum()), len(far), note
        said, aurocs = [], []
        for draw in range(10):
            patients = chosen["patient_id"].unique()
            other = chosen["patient_id"].isin(np.random.default_rng(draw).permutation(patients)[::2]).to_numpy()
            ids = np.where(other, "chexpert/" + chosen["image_id"].astype(str), chosen["image_id"])
            mixed = np.where(other[:, None], values, whole)
            table = predictions.build(ids, chosen["patient_id"], chosen["split"], truth, mixed, findings)
            sides = [table[table["split"] == split].reset_index(drop=True) for split in ("val", "test")]
            probe = shortcuts.source_probe(*sides, 200, 1)["none of the findings"]
            if probe["auroc"] is not None and probe["interval"]:
                said.append(probe["interval"][0] > 0.5)
                aurocs.append(probe["auroc"])
        told = f"mean AUROC of the hospital {np.mean(aurocs):.2f}" if aurocs else ""
        yield f"one hospital {name}", dose, "scores tell the hospital", sum(said), len(said), told


def a_token_in_a_corner(demo: Demo):
    """A bright square in the upper left corner of a share of the positives, in training and in test."""
    films, findings = demo.films, demo.params.findings
    squares = [fit_square(read_film(demo.settings.dataset_dir / path), SIDE, "pad") for path in films["path"]]
    truth, f = np.nan_to_num(label_array(films, findings).astype(float)), findings.index(MARKED)
    test = np.flatnonzero(films["split"] == "test")
    shapes = list(zip(films["width"], films["height"], strict=True))
    lungs = lungs_on(squares, shapes, demo)
    for dose in DOSES:
        corners, heats, notes = {MARKED: [], "others": []}, {MARKED: [], "others": []}, []
        for seed in range(SEEDS):
            marked = (truth[:, f] == 1) & (np.random.default_rng(seed).random(len(films)) < dose)
            pack = np.stack([film for film, _ in squares])
            for row in np.flatnonzero(marked):
                top, left = (round(squares[row][1][axis] + 0.04 * SIDE) for axis in (3, 2))
                pack[row, top : top + 5, left : left + 5] = 255
            network = learned(demo, pack, truth, seed)
            blank = np.stack([blank_corners(pack[row], squares[row][1], *shapes[row]) for row in test])
            scores, maps = network.predict(pack[..., None], verbose=0)
            tables = [
                predictions.build(films["image_id"].iloc[test], films["patient_id"].iloc[test], ["test"] * len(test),
                                  truth[test], values, findings)
                for values in (scores[test], network.predict(blank[..., None], verbose=0)[0])
            ]  # fmt: skip
            change = shortcuts.blanked(*tables, 300, 1)["findings"]
            shares = in_lungs(maps, lungs, truth, films, findings)
            for finding, values in change.items():
                kind, limits = finding if finding == MARKED else "others", values["auroc"]["interval"]
                corners[kind].append(limits is not None and limits[1] < 0)
                heats[kind].append(shares[finding][1] is not None and shares[finding][1][1] < 0)
            one = change[MARKED]["auroc"]
            notes.append((one["second"], one["first"], *shares[MARKED][0]))
        auroc, without, inside, area = np.mean(notes, axis=0)
        told = {"AUROC falls with blanked corners": (corners, f"AUROC {auroc:.3f}, blanked {without:.3f}")}
        told["heat avoids the lungs"] = heats, f"{inside:.1%} of the heat in the lungs, {area:.1%} of the film"
        for check, (said, note) in told.items():
            yield f"token, {MARKED}", dose, check, sum(said[MARKED]), len(said[MARKED]), note
            yield "token, the other findings", dose, check, sum(said["others"]), len(said["others"]), ""


def learned(demo: Demo, pack: np.ndarray, truth: np.ndarray, seed: int):
    """A network of three convolutions, trained on train: films -> probabilities (N, F), maps (N, h, w, F)."""
    from cxr.networks import class_activation, classifiers
    from cxr.networks.backend import keras

    keras.utils.set_random_seed(seed)
    models = demo.params.models.model_copy(update={"densenet_input_size": SIDE, "output_stride": 32})
    model = classifiers.build_classifier("tiny", demo.params.model_copy(update={"models": models}))
    model = keras.Model(model.input, model.output)
    model.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy", steps_per_execution=16)  # each is so small
    train = (demo.films["split"] == "train").to_numpy()
    model.fit(pack[train][..., None], truth[train], batch_size=32, epochs=EPOCHS, verbose=0)
    return class_activation.explainer(model, ("gradcam",))


def lungs_on(squares: list, shapes: list, demo: Demo) -> dict[int, tuple[np.ndarray, FilmGeometry]]:
    """Row -> lungs (SIDE, SIDE) and geometry of the test films whose mask was accepted."""
    masks, found = lung_regions.masks_of(demo.settings, demo.films["image_id"]), {}
    for row in np.flatnonzero(demo.films["split"] == "test"):
        geometry = FilmGeometry(SIDE, squares[row][1], *shapes[row])
        if masks(row) is not None:
            found[row] = lung_regions.on_square(masks(row), geometry, "pad"), geometry
    return found


def in_lungs(maps: np.ndarray, lungs: dict, truth: np.ndarray, films: pd.DataFrame, findings) -> dict[str, tuple]:
    """Finding -> (share of heat in the lungs, their share of the film), interval of the difference; of positives."""
    maps, result = np.maximum(maps - maps[(films["split"] == "val").to_numpy()].mean(axis=0), 0), {}
    for f, finding in enumerate(findings):
        rows = [row for row in lungs if truth[row, f] == 1]
        shares = np.array([localisation.share_in_lungs(maps[row, :, :, f], *lungs[row]) for row in rows])
        warm = ~np.isnan(shares[:, 0])
        change, patients = (shares[:, 0] - shares[:, 1])[warm], films["patient_id"].iloc[rows][warm]
        result[finding] = shares[warm].mean(axis=0), bootstrap.mean_interval(change, patients, 300, 1)
    return result


def another_network(demo: Demo):
    """A bundle with a file of another one; models of other parameters or another pack."""
    tried = {"as it is": None, "two networks exchanged": "models", "another threshold": "thresholds.json"}
    source = demo.settings.models_dir / "bundles/ensemble"
    first, second = (f"models/{member}.keras" for member in demo.params.members("ensemble")[:2])
    for name, what in tried.items():
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(shutil.copytree(source, Path(folder) / "bundle"))
            if what == "models":
                shutil.copy(source / first, copy / second)
            elif what:
                (copy / what).write_text((copy / what).read_text().replace('"threshold": 0.', '"threshold": 0.1', 1))
            yield f"a bundle, {name}", int(bool(what)), "refused", refused(bundles.open_bundle, copy), 1, ""
    other = demo.params.pack.model_copy(update={"lung_masking": "none"})
    general = demo.params.general.model_copy(update={"findings": demo.params.findings[::-1]})
    changed = {"as it is": {}, "LUNG_MASKING of another pack": {"pack": other}}
    changed["findings in another order"] = {"general": general}
    for name, update in changed.items():
        params = demo.params.model_copy(update=update)
        said = refused(bundles.of_models, demo.settings, params, "ensemble")
        yield f"a trained family, {name}", int(bool(update)), "refused", said, 1, ""


def refused(work: Callable, *given) -> int:
    try:
        work(*given)
    except InputError:
        return 1
    return 0


OF_FILMS = (negatives, masks_shifted, films_copied, another_network, a_hospital_brighter, a_token_in_a_corner)
