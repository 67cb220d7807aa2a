"""What a bundle says of itself: metadata.json in the manner of MONAI bundles, and a README."""

from collections.abc import Mapping, Sequence
from typing import Any

from cxr.new_films.bundles import PIXEL_KEYS, Bundle, told_of_drawn

TASK = "Multi-label classification of {} findings on frontal chest radiographs"
NOT_A_DEVICE = "Research only. Not a medical device; never evaluated in care."


def notice(bundle: Bundle) -> str:
    """What goes with all that a bundle says."""
    return " ".join([*told_of_drawn(bundle), NOT_A_DEVICE])


def metadata(
    bundle: Bundle, version: str, changelog: Mapping[str, str], metrics: Mapping[str, Any], onnx: Mapping[str, float],
    versions: Mapping[str, str],
) -> dict[str, Any]:  # fmt: skip
    """metadata.json.

    Parameters
    ----------
    bundle : Bundle
    version : str
    changelog : mapping of version to what changed
    metrics : mapping
        metrics.json of the family.
    onnx : mapping of network to largest difference from Keras
        Of those that were exported.
    versions : mapping of package to version
    """
    findings = bundle.params.findings
    flat, limits = bundle.params.flat(), bundle.reference["distance"]
    networks = {member: bundle.params.input_size(member) for member in bundle.models}
    weighted = "ensemble" in bundle.thresholds
    mean = "Mean of the logits, weighted as thresholds.json says," if weighted else "Mean of the probabilities"
    return {
        "version": version,
        "changelog": dict(changelog),
        "name": f"cxr_{bundle.family}",
        "family": bundle.family,
        "task": TASK.format(len(findings)),
        "description": f"{mean} of {', '.join(networks)}; lungs found by a U-Net beforehand.",
        "intended_use": notice(bundle),
        "authors": "",
        "copyright": "",
        "data_source": ", ".join(metrics["protocol"]["sources"]),
        "data_type": "PNG, JPEG, TIFF, DICOM",
        "image_classes": "one gray channel, 0..255, bright is dense",
        "label_classes": "1, 0 or not known, for each finding",
        "pred_classes": f"{len(findings)} independent probabilities: {', '.join(findings)}",
        "label_order": list(findings),
        "eval_metrics": {
            "mean_auroc": metrics["macro"]["auroc"],
            "mean_auroc_interval": metrics["macro"]["auroc_interval"],
            **{f"auroc_{finding}": metrics["findings"][finding]["auroc"] for finding in findings},
            "films": metrics["protocol"]["films"],
            "patients": metrics["protocol"]["patients"],
        },
        "keras_version": versions.get("keras"),
        "numpy_version": versions.get("numpy"),
        "optional_packages_version": {
            name: value for name, value in versions.items() if name not in ("keras", "numpy")
        },
        "network_data_format": {
            **{name: _classifier(size, findings) for name, size in networks.items()},
            **({"unet": _unet(bundle.params.unet.unet_input_size)} if bundle.unet else {}),
        },
        "preprocessing": {key: flat[key] for key in PIXEL_KEYS},
        "thresholds": {"file": "thresholds.json", "for_new_films": "pooled", "val": bundle.thresholds["val"]},
        "distance": {"file": "reference.json", **{key: limits[key] for key in ("cut", "train_films", "val_films")}},
        "onnx_largest_difference": dict(onnx),
    }


def _channel(size: int, kind: str, channel: str) -> dict[str, Any]:
    return {
        "type": "image", "format": kind, "num_channels": 1, "spatial_shape": [size, size], "dtype": "float32",
        "value_range": [0, 255] if kind == "magnitude" else [0, 1], "is_patch_data": False,
        "channel_def": {"0": channel},
    }  # fmt: skip


def _classifier(size: int, findings: Sequence[str]) -> dict[str, Any]:
    pred = {
        "type": "probabilities", "format": "classes", "num_channels": len(findings), "spatial_shape": [],
        "dtype": "float32", "value_range": [0, 1], "is_patch_data": False,
        "channel_def": {str(index): finding for index, finding in enumerate(findings)},
    }  # fmt: skip
    image = _channel(size, "magnitude", "gray, bright is dense; masked and made square as PARAMS.json says")
    return {"layout": "N, H, W, C", "inputs": {"image": image}, "outputs": {"pred": pred}}


def _unet(size: int) -> dict[str, Any]:
    image = _channel(size, "magnitude", "gray, bright is dense; the whole film, made square")
    pred = _channel(size, "segmentation", "probability of lung; of heart in a second channel, where the U-Net has one")
    return {"layout": "N, H, W, C", "inputs": {"image": image}, "outputs": {"pred": pred}}


def readme(about: Mapping[str, Any]) -> str:
    """README.md of the bundle, from its metadata."""
    networks = "\n".join(
        f"* `{name}`: {' x '.join(map(str, network['inputs']['image']['spatial_shape']))} pixels"
        for name, network in about["network_data_format"].items()
    )
    onnx = "\n".join(f"* `onnx/{name}.onnx`: {value:.1e}" for name, value in about["onnx_largest_difference"].items())
    return f"""# {about["name"]} {about["version"]}

{about["task"]}. {about["description"]}

**{about["intended_use"]}** What it was trained on and how it did: MODEL_CARD.md.

Predict with the project's code and no training data:

    sh predict.sh --bundle THIS_FOLDER FOLDER_OF_FILMS --out results

To see whether another machine computes the same (`examples`, synthetic films, against `examples/expected.csv`):

    sh predict.sh --bundle THIS_FOLDER --check

Order of the probabilities: {", ".join(about["label_order"])}. Thresholds of new films: pooled, in thresholds.json.

Networks (`models/*.keras`; one gray channel, 0..255; input scaling is inside):

{networks}

The same as ONNX, with the largest difference from Keras on the examples:

{onnx or "* none: exported without the package extra `onnx`"}

| file | what |
|---|---|
| metadata.json | all of this for programs, in the manner of MONAI bundles |
| PARAMS.json | parameters in force |
| thresholds.json | decision thresholds, operating points, calibration, from val |
| reference.json | mean maps of val, distance from the training films, digests of the networks |
| MODEL_CARD.md | data, protocol, results, limits |
| digests.json | BLAKE2b (16 bytes) of every file; checked before anything is read |
"""
