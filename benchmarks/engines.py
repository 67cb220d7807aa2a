"""OpenVINO against TensorFlow on trained networks: films a second, and whether the results stay the same.

Takes the U-Net and the members that the project's scripts trained, and their own test films: largest difference of a
probability, mean AUROC of the ensemble and Dice of the lung masks with both. OpenVINO runs as it is delivered (on new
processors in bfloat16) and once in float32.

    pip install openvino
    python benchmarks/engines.py --settings demo/SETTINGS.json --params demo/PARAMS.json      # after run_demo.sh
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from cxr.core.findings import FINDINGS

HINTS = {"as delivered": {}, "float32": {"INFERENCE_PRECISION_HINT": "f32"}}


def main(argv=None):
    from cxr.core import command_line

    parser = command_line.parser(__doc__)
    parser.add_argument("--films", type=int, default=256, help="test films timed, at most")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is timed, by turns")
    arguments = parser.parse_args(argv)
    settings, params = command_line.load(arguments)

    from cxr.networks import backend

    print(backend.start(params))
    with tempfile.TemporaryDirectory() as folder:
        classifiers(settings, params, arguments, Path(folder))
        lungs(settings, params, arguments, Path(folder))


def classifiers(settings, params, arguments, folder):
    """A line a member, then the ensemble's mean AUROC by each engine."""
    from cxr.evaluation import metrics
    from cxr.networks import saved_models
    from cxr.preparation import films
    from cxr.tables import schema

    found = []
    for member in params.members("ensemble"):
        size = params.input_size(member)
        table, pack = films.load_films(settings, params, size)
        test = np.flatnonzero(table["split"] == "test")
        network = saved_models.load_model(settings.member_dir("ensemble", member) / "model.keras", size, "run_demo.sh")
        found.append(compare(member, network, np.asarray(pack[test]), params, arguments, folder))
    truth = schema.label_array(table.loc[test], FINDINGS)
    for engine in found[0]:
        mean = np.mean([one[engine] for one in found], axis=0)
        print(f"ensemble, {engine}: mean AUROC {metrics.mean_auroc(truth, mean):.5f} on {len(test)} films")


def lungs(settings, params, arguments, folder):
    """The U-Net: a line, then mean Dice of the cleaned masks of held-out films by each engine."""
    from cxr.anatomy.heart import OUTLINES
    from cxr.anatomy.lungs import clean_mask, dice
    from cxr.networks import saved_models
    from cxr.preparation import packs
    from cxr.tables import lung_films

    size = params.unet.unet_input_size
    test = np.flatnonzero(lung_films.read_packed(settings.segmentation, size)["split"] == "test")
    films = packs.open_pack(settings.segmentation / f"images_{size}.npy", "")
    drawn = packs.open_pack(settings.segmentation / f"masks_{size}.npy", "", len(OUTLINES))[..., 0]
    unet = saved_models.load_model(settings.unet, size, "run_demo.sh")
    for engine, probabilities in compare("U-Net", unet, np.asarray(films[test]), params, arguments, folder).items():
        masks = np.stack([clean_mask(one, params.pack.lung_threshold)[0] for one in probabilities[..., 0]])
        print(f"U-Net, {engine}: mean Dice {dice(drawn[test], masks).mean():.5f} on {len(test)} films")


def compare(name, network, films, params, arguments, folder):
    """{engine: its output for all films}; says the rate of each and how far it is from TensorFlow's."""
    import openvino

    batch = params.evaluation.score_batch_size
    films = films[..., None].astype(np.float32)
    network(films[:1], training=False)  # Keras exports only what was called before
    path = folder / f"{name}.xml"
    network.export(str(path), format="openvino", verbose=False)
    engines = {"TensorFlow": network.predict_on_batch}
    for hint, options in HINTS.items():
        compiled = openvino.Core().compile_model(str(path), "CPU", options)
        engines[f"OpenVINO {hint}"] = lambda part, compiled=compiled: compiled(part)[0].copy()

    def run(engine, count):
        parts = []
        for first in range(0, count, batch):
            part = films[first : first + batch]
            whole = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), part.dtype)])
            parts.append(np.asarray(engines[engine](whole))[: len(part)])
        return np.concatenate(parts)

    outputs = {engine: run(engine, len(films)) for engine in engines}  # compiles too
    seconds = dict.fromkeys(engines, np.inf)
    timed = min(len(films), arguments.films)
    for _ in range(arguments.rounds):
        for engine in engines:
            started = time.perf_counter()
            run(engine, timed)
            seconds[engine] = min(seconds[engine], time.perf_counter() - started)
    for engine, output in outputs.items():
        apart = np.abs(output - outputs["TensorFlow"]).max()
        print(f"{name}, {engine}: {timed / seconds[engine]:.1f} films/s, "
              f"{seconds['TensorFlow'] / seconds[engine]:.2f} times; probabilities differ by {apart:.1e} at most",
              flush=True)  # fmt: skip
    return outputs


if __name__ == "__main__":
    main()
