"""The head of a classifier: average pooling (ours), log-sum-exp, and attention by the map itself; one member, thrice.

All three turn local logits (a linear layer at each place) into the film's: ``mean`` is what the pipeline trains;
``lse`` is log(mean(exp(r * local))) / r (Pinheiro 2015; Wang 2017 on these films); ``pcam`` weighs local logits by
their own sigmoid (Ye 2020). The map is the local logits. Trains on the films of a prepared SETTINGS.json, such as the
demo's, with its PARAMS.json; models go to MODELS_DIR/heads. Printed: AUROC on val and test, and on films with known
boxes how often the hottest point lies in one, and the IoU at the outline that fits val's; means over the findings.

    sh run_demo.sh                                                          # films, masks, packs
    python benchmarks/heads.py --settings demo/SETTINGS.json --params demo/PARAMS.json --member densenet169
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core import configuration
from cxr.core.artifacts import read_csv
from cxr.evaluation import metrics, predictions
from cxr.maps import family_maps, heatmaps, localisation
from cxr.networks import backend, classifiers, inference, map_places
from cxr.networks.backend import keras
from cxr.preparation.films import load_films
from cxr.tables import schema
from cxr.training import classifier_training

HEADS = ("mean", "lse", "pcam")
ours = classifiers.build_classifier


@keras.saving.register_keras_serializable("benchmarks")
class Pool(keras.layers.Layer):
    """Local logits (N, h, w, F) -> the film's (N, F)."""

    def __init__(self, head: str, sharpness: float = 4.0, **options):
        super().__init__(**options)
        self.head, self.sharpness = head, sharpness

    def call(self, local):
        if self.head == "lse":
            places = local.shape[1] * local.shape[2]
            return (keras.ops.logsumexp(self.sharpness * local, axis=(1, 2)) - np.log(places)) / self.sharpness
        weights = keras.ops.sigmoid(local)
        return keras.ops.sum(weights * local, axis=(1, 2)) / keras.ops.sum(weights, axis=(1, 2))

    def get_config(self):
        return {**super().get_config(), "head": self.head, "sharpness": self.sharpness}


def build(head: str):
    def build_classifier(member, params):
        model = ours(member, params)
        if head == "mean":
            return model
        features = model.get_layer("features").output
        dropped = keras.layers.Dropout(params.models.dropout, seed=params.general.seed)(features)
        local = keras.layers.Dense(len(params.findings), dtype="float32", name="local")(dropped)
        logits = Pool(head, dtype="float32", name="logits")(local)
        probabilities = keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")(logits)
        return keras.Model(model.input, probabilities, name=member)

    return build_classifier


def scored_with(settings, params, member: str, head: str) -> family_maps.Scored:
    """Probabilities and maps of val and test, as evaluation would have them."""
    model = keras.models.load_model(settings.member_dir("ensemble", member) / "model.keras")
    films, pack = load_films(settings, params, params.input_size(member))
    rows = np.flatnonzero(films["split"].isin(["val", "test"]))
    if head == "mean":
        probabilities, maps = inference.score(inference.scorer(model, params, ("gradcam",)), pack, rows, params)
        maps = maps["gradcam"]
    else:
        network = keras.Model(model.input, [model.output, model.get_layer("local").output])
        probabilities, local = network.predict(np.asarray(pack[rows])[..., None], verbose=0)
        laid = map_places.onto_film(local / np.prod(local.shape[1:3]), map_places.places_of(model), pack.shape[1])
        maps = laid.transpose(0, 3, 1, 2)
    chosen = films.iloc[rows].reset_index(drop=True)
    truth = schema.label_array(chosen, params.findings)
    table = predictions.build(
        chosen["image_id"], chosen["patient_id"], chosen["split"], truth, probabilities, params.findings
    )
    val = (chosen["split"] == "val").to_numpy()
    boxes = read_csv(settings.boxes_csv, "sh prepare_data.sh")
    scored = family_maps.Scored(
        params=params, table=table, thresholds={}, decisions=probabilities > 0.5, cams=[maps],
        means=[heatmaps.mean_maps(maps[val], predictions.source(table[val]))], scale=1.0, outlines={}, films=chosen,
        boxes=boxes, size=params.input_size(member),
    )  # fmt: skip
    return replace(scored, outlines=family_maps.fit_outlines(scored, scored.heat))


def figures(scored: family_maps.Scored, split: str) -> dict[str, float]:
    chosen = (scored.table["split"] == split).to_numpy()
    truth, probabilities = predictions.arrays(scored.table)
    rows = []
    for finding in scored.findings:
        for row in family_maps.boxed_rows(scored, finding, split).tolist():
            known = family_maps.known_boxes(scored, finding, row)
            values = localisation.score(scored.heat(finding, row), known, scored.share(finding), scored.geometry(row))
            rows.append({"finding": finding, "hit": values["hit"], "iou": values["iou"], "iou > .3": values["iou_0.3"]})
    means = pd.DataFrame(rows).groupby("finding").mean()
    lowest = {"lowest hit": means["hit"].min()}
    return {"auroc": metrics.mean_auroc(truth[chosen], probabilities[chosen]), **means.mean(), **lowest}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--settings", type=Path, required=True)
    arguments.add_argument("--params", type=Path, required=True)
    arguments.add_argument("--member", default="densenet169")
    arguments.add_argument("--head", action="append", choices=HEADS, help="repeatable; default all three")
    chosen = arguments.parse_args()
    settings, params = configuration.load_settings(chosen.settings), configuration.load_params(chosen.params)
    params, results = params.for_member(chosen.member), {}
    backend.start(params)
    for head in chosen.head or HEADS:
        own = settings.model_copy(update={"models_dir": settings.models_dir / "heads" / head})
        classifiers.build_classifier = build(head)
        classifier_training.train_member(own, params, "ensemble", chosen.member, print)
        scored = scored_with(own, params, chosen.member, head)
        results |= {(head, split): figures(scored, split) for split in ("val", "test")}
        print(pd.DataFrame(results).T.round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
