"""Writing a bundle: its folder, what it holds of a family, examples with what this machine predicts of them, ONNX."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cxr.core import locks
from cxr.core.artifacts import digest, read_record, write_csv, write_json
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.own_files import is_plain_file
from cxr.evaluation.source_fits import POOLED
from cxr.imaging.decoding import write_image
from cxr.new_films import onnx_models, predicting, prediction_table
from cxr.new_films.bundles import DIGESTS, Bundle
from cxr.preparation import packs
from cxr.preparation.reading import try_square
from cxr.synthetic import phantoms

EXAMPLES = 4


@contextmanager
def written_bundle(folder: Path) -> Iterator[Path]:
    """A folder to write a bundle's files to; when the block ends well its digests are added and it takes its name.

    Raises
    ------
    InputError
        There is something at ``folder`` that is no bundle, or a file in it that is none of the bundle's: it is not
        replaced.
    """
    refuse_foreign(folder)
    with locks.work_folder(folder.parent) as temporary:
        new = temporary / "new"
        new.mkdir()
        yield new
        files = sorted(path for path in new.rglob("*") if path.is_file())
        write_json({path.relative_to(new).as_posix(): digest(path) for path in files}, new / DIGESTS)
        old = temporary / "old"
        refuse_foreign(folder)  # once more: a network takes its time
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise


def refuse_foreign(folder: Path) -> None:
    """Raise an InputError where replacing a folder would lose more than a bundle: what its digests do not vouch for."""
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not is_plain_file(folder, DIGESTS):
        raise InputError(f"{folder}: is there and no bundle; it is not replaced. Give another --out.")
    ours = {DIGESTS: digest(folder / DIGESTS), **read_record(folder / DIGESTS)}
    for inside, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(inside, name))]
        for name in (os.path.relpath(os.path.join(inside, entry), folder) for entry in sorted(files + links)):
            if not is_plain_file(folder, name) or ours.get(name) != digest(folder / name):
                raise InputError(
                    f"{folder / name}: is no file of the bundle there, or was changed since. The bundle is not "
                    "replaced: move this away, or give another --out."
                )


def copy_family(bundle: Bundle, folder: Path) -> None:
    """Write what `open_bundle` reads of a family, but for metadata.json, into a bundle's new folder."""
    (folder / "models").mkdir()
    for member, path in bundle.models.items():
        shutil.copyfile(path, folder / "models" / f"{member}.keras")
    if bundle.unet:
        shutil.copyfile(bundle.unet, folder / "models" / "unet.keras")
    params = bundle.params.flat()
    # Of this machine only: how many cores it has, where its first weights and its secret lay, what is installed.
    own = {"WORKERS": 0, "WEIGHTS": "none", "HASH_IDS": "", "TRACKING": ""}
    write_json({**params, **own}, folder / "PARAMS.json")
    write_json(bundle.thresholds, folder / "thresholds.json")
    write_json(bundle.reference, folder / "reference.json")


def write_examples(bundle: Bundle, folder: Path, onnx: bool) -> dict[str, float]:
    """Draw synthetic films into ``examples`` of a bundle's new folder, predict them, and write the ONNX files.

    Returns
    -------
    differences : dict
        Network -> largest difference of its ONNX file from Keras on these films; empty without ``onnx``.
    """
    paths = [folder / "examples" / f"synthetic_{number}.png" for number in range(1, EXAMPLES + 1)]
    for number, path in enumerate(paths):
        random = np.random.default_rng(number)
        findings = dict.fromkeys(FINDINGS[number::EXAMPLES], 0.8)  # what can be drawn, whatever the family finds
        write_image(phantoms.draw_film(random, phantoms.draw_patient(random), findings).pixels, path)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        predicted = predicting.predict(bundle, paths, POOLED, work, lambda films, doing: films)
        expected = prediction_table.of(predicted, [""] * len(paths))
        write_csv(expected.assign(filename=[path.name for path in paths]), folder / "examples" / "expected.csv")
        return _write_onnx(bundle, folder / "onnx", work, paths) if onnx else {}


def _write_onnx(bundle: Bundle, folder: Path, work: Path, paths: list[Path]) -> dict[str, float]:
    from cxr.networks import saved_models

    differences = {}
    if bundle.unet:
        size, fit = bundle.params.unet.unet_input_size, bundle.params.pack.fit
        network = saved_models.load_model(bundle.unet, size, bundle.made_by)
        films = np.stack([try_square(path, size, fit)[0] for path in paths])
        differences["unet"] = onnx_models.export(network, folder / "unet.onnx", films, onnx_models.PIXEL_TOLERANCE)
    for member, path in bundle.models.items():
        size = bundle.params.input_size(member)
        network = saved_models.load_model(path, size, bundle.made_by)
        films = packs.open_pack(work / f"{size}.npy", bundle.made_by)
        differences[member] = onnx_models.export(network, folder / f"{member}.onnx", films)
    return differences
