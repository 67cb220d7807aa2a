"""Says of every film whether it is for training, validation or the test: only a column, so a new SEED costs a second.

Reads:  <DATA_DIR>/classification/images.csv, test_patients.csv
Writes: <DATA_DIR>/classification/split.csv (image_id, split), split.json

A share VAL_FRACTION of the patients that are not held out is for validation. SPLIT "image" draws films instead of
patients, as the original did: patients are then in training and test, and results look better than they are.
Films of a source that is not in TRAIN_SOURCES are for the test or unused.
"""

from cxr.core import artifacts, command_line, locks, steps
from cxr.tables import schema, splitting


def main(argv=None):
    arguments = command_line.parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    locks.hold(settings.classification)
    images = schema.read_images(settings.images_csv)
    held_out = splitting.read_held_out(settings.test_patients_csv, params.tables)
    step = steps.Step(
        record=settings.split_csv.with_suffix(".json"),
        inputs={path.name: artifacts.digest(path) for path in (settings.images_csv, settings.test_patients_csv)},
        parameters={
            "SEED": params.general.seed,
            "SPLIT": params.tables.split,
            "VAL_FRACTION": params.tables.val_fraction,
            "TRAIN_SOURCES": params.tables.train_sources,
        },
        outputs=[settings.split_csv],
    )
    if step.is_current():
        print(f"{settings.split_csv}: up to date")
        return
    step.begin()
    table = splitting.split_images(images, held_out, params.general.seed, params.tables)
    split = splitting.check_split(images, table, params.tables.split)
    artifacts.write_csv(table, settings.split_csv)
    step.finish()

    print("films, patients, and positives/known:")
    print(schema.count(images, {"split": split, "labels of": schema.test_source(images["image_id"])}).to_string())
    for name, finding in splitting.without_positives(images, split):
        print(f"WARNING: no film with {finding} in {name}")
    if params.tables.split == "image":
        leaking = splitting.shared_with_training(images, split)
        print(
            f'WARNING: SPLIT is "image": patients leak. {leaking:,} of {(split == "test").sum():,} test films are of '
            "patients who are also in training; the results are for comparison with the original only."
        )
    unused = images["source"][split == splitting.UNUSED]
    if len(unused):
        sources = ", ".join(params.tables.train_sources)
        print(f"TRAIN_SOURCES: {sources}: {len(unused):,} films of {', '.join(sorted(set(unused)))} are not used")
    print(f"written: {settings.split_csv}")


if __name__ == "__main__":
    command_line.run(main)
