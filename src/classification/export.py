"""Write a family as a bundle: a folder that stands alone, for predict.sh --bundle on a machine without training data.

Reads   MODELS_DIR/classification/<family>/: <member>/model.keras, thresholds.json, reference.json, metrics.json,
        MODEL_CARD.md; the U-Net
Writes  --out DIR/<family>/ (default: MODELS_DIR/bundles): models/*.keras, onnx/*.onnx (with the package extra "onnx"),
        PARAMS.json, thresholds.json, reference.json, metadata.json, MODEL_CARD.md, README.md, digests.json, and
        examples/: synthetic films with expected.csv, what this machine predicts of them

A bundle that is there is replaced, and its changelog carried on; one with files that are not its own stays. ONNX files
are compared with Keras on the examples.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line, locks, machine
from cxr.core.artifacts import need, read_json, read_json_if_there, write_json
from cxr.core.members import FAMILIES
from cxr.new_films import bundle_contents, bundle_texts, bundles, exporting, onnx_models


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("--family", choices=FAMILIES, action="append", help="default: every family that is evaluated")
    parser.add_argument("--out", type=command_line.path, help="folder of the bundles")
    parser.add_argument("--bundle-version", default="1.0.0", help="version of the bundle (default 1.0.0)")
    parser.add_argument("--note", default="as trained", help="what is new in this version, for the changelog")
    parser.add_argument("--no-onnx", action="store_true", help="no ONNX files")
    arguments = parser.parse_args(argv)
    settings, params = command_line.load(arguments)
    evaluated = [family for family in FAMILIES if (settings.family_dir(family) / "reference.json").is_file()]
    for family in arguments.family or evaluated or FAMILIES[:1]:
        bundle = bundles.of_models(settings, params, family)
        out = (arguments.out or settings.models_dir / "bundles") / family
        locks.hold(out.parent)
        card = need(settings.family_dir(family) / "MODEL_CARD.md", bundle.made_by)
        metrics = read_json(settings.family_dir(family) / "metrics.json", bundle.made_by)
        # Keras is imported only now: --help and wrong input answer at once.
        from cxr.networks import backend

        device = backend.start(params)
        print(f"{bundle.name}; {device}")
        changelog = older(out) | {arguments.bundle_version: arguments.note}
        with exporting.written_bundle(out) as folder:
            exporting.copy_family(bundle, folder)
            (folder / "MODEL_CARD.md").write_bytes(card.read_bytes())
            onnx = exporting.write_examples(bundle, folder, not without_onnx(arguments))
            for name, difference in onnx.items():
                print(f"onnx/{name}.onnx: at most {difference:.1e} from Keras on the examples")
            about = bundle_texts.metadata(
                bundle, arguments.bundle_version, changelog, metrics, onnx, machine.versions()
            )
            write_json(about, folder / "metadata.json")
            (folder / "README.md").write_text(bundle_texts.readme(about), encoding="utf-8")
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        print(f"{bundles.open_bundle(out).name}: {size / 1e6:.1f} MB -> {out}")


def older(out):
    """The changelog of the bundle that is replaced."""
    again = "sh export.sh, once that file is removed"
    about = read_json_if_there(out / "metadata.json", again)
    if about is None:
        return {}
    return bundle_contents.checked(bundle_contents.Metadata, about, out / "metadata.json", again).changelog


def without_onnx(arguments):
    reason = onnx_models.why_not()
    if reason and not arguments.no_onnx:
        print(f"no ONNX: {reason}")
    return arguments.no_onnx or bool(reason)


if __name__ == "__main__":
    command_line.run(main)
