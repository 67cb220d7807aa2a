"""Train the members of a family one after the other; goes on where an interrupted run stopped.

Reads   DATA_DIR/classification/images.csv, split.csv, images_<size>.npy and .csv
Writes  MODELS_DIR/classification/<family>/<member>/: model.keras (best epoch by val_auroc), log.csv, curves.png,
        run.json
"""

from cxr.core import command_line, configuration, locks, process_group
from cxr.core.artifacts import digest, origin
from cxr.core.parameters import FAMILIES


def main(argv=None):
    arguments = command_line.parser(__doc__)
    arguments.add_argument(
        "family", choices=FAMILIES, help="ensemble = ENSEMBLE_MEMBERS, efficientnet = EFFICIENTNET_VARIANT"
    )
    arguments.add_argument("--member", help="only this member of the family")
    arguments = arguments.parse_args(argv)
    settings, params = command_line.load(arguments)
    with process_group.first_speaks():
        for member in configuration.chosen_members(params, arguments.family, arguments.member):
            if process_group.is_first():
                locks.hold(settings.member_dir(arguments.family, member))
            train_member(settings, params.for_member(member), arguments.family, member)


def train_member(settings, params, family, member):
    # Keras is imported only now: --help and wrong input answer at once.
    from cxr.preparation.films import load_films
    from cxr.tables import schema

    size = params.input_size(member)
    films, pack = load_films(settings, params, size)
    folder = settings.member_dir(family, member)
    weights = params.first_weights(member)
    identity = {
        "member": member,
        "size": size,
        "first_weights": weights
        if weights in ("imagenet", "none")
        else digest(configuration.existing(weights, "WEIGHTS")),
        "pack": origin(settings.pack(size).with_suffix(".json"), "sh prepare_data.sh"),
        "split": digest(settings.split_csv),
        "seed": params.general.seed,
        "dropout": params.models.dropout,
        "batch_norm_momentum": params.models.batch_norm_momentum,
        "training": params.training.model_dump(exclude={"member_overrides", "tensorboard"}),
        "augmentation": params.augmentation.model_dump(),
    }
    from cxr.networks import backend, classifiers, film_batches, inference, recomputation
    from cxr.training import epoch_callback, loop, losses, run_records

    device = backend.start(params, together=True)
    if not run_records.begin(folder, identity):
        print(f"{folder / 'model.keras'}: up to date")
        return
    truth = schema.label_array(films)
    train, val = ((films["split"] == name).to_numpy().nonzero()[0] for name in ("train", "val"))
    if not len(train) or not len(val):
        raise configuration.InputError(
            f"{settings.split_csv}: {len(train)} films for training and {len(val)} for validation; one or more of each "
            "are needed. Change VAL_FRACTION in PARAMS.json and run: sh prepare_data.sh"
        )
    print(f"{member} at {size} px: {len(train)} films, {len(val)} for validation; {device}")
    backend.batch_must_divide(params.training.batch_size, "BATCH_SIZE")
    with backend.scope():
        classifier = classifiers.build_classifier(member, params)
        logits = recomputation.logits_of(classifier, params.training.recompute)
    positive = losses.class_weights(truth[train], params)
    batches = film_batches.FilmBatches(
        pack, train, films["image_id"][train], truth[train], params.training.batch_size, params.general.seed,
        params.augmentation, loop.loader_threads(params), (process_group.index(), process_group.count()),
    )  # fmt: skip
    predict = inference.predictor(classifier, pack, val, params)
    score = loop.classifier_score(predict, truth[val], positive)
    every_epoch = epoch_callback.EveryEpoch(folder, classifier, score, "val_auroc", params, batches, identity)
    loss = losses.masked_cross_entropy(positive)
    outcome = loop.fit(logits, loss, batches, every_epoch, params.training.epochs, params)
    run_records.finish(folder, run_records.run_record(params, device, identity, outcome))
    print(
        f"{member}: val_auroc {outcome['best']:.4f} in epoch {outcome['best_epoch']}, {outcome['seconds']} s "
        f"-> {folder / 'model.keras'}"
    )


if __name__ == "__main__":
    command_line.run(main)
