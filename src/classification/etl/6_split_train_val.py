"""Says of every film whether it is for training, validation or the test: only a column, so a new SEED costs a second.

Reads:  <DATA_DIR>/classification/images.csv, test_patients.csv; own_split.csv
Writes: <DATA_DIR>/classification/split.csv (image_id, split), split.json

A share VAL_FRACTION of the patients that are not held out is for validation, or what an own table says. SPLIT "image"
draws films instead of patients, as the original did: patients are then in training and test, and results look better
than they are. Films of a source that is not in TRAIN_SOURCES are for the test or unused.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import artifacts, command_line
from cxr.core.artifacts import Step
from cxr.tables import schema, splitting
from cxr.tables.sources import catalogue


def main(argv=None):
    _, settings, params = command_line.opened(command_line.parser(__doc__), argv, lambda s: s.classification)
    images = schema.read_images(settings.images_csv, params.findings)
    held_out = splitting.read_held_out(settings.test_patients_csv, params.tables)

    def make():
        given = catalogue.given_splits(settings, images)
        table = splitting.split_images(images, held_out, params.general.seed, params.tables, given)
        split = splitting.check_split(images, table, params.tables.split)
        artifacts.write_csv(table, settings.split_csv)
        counts = schema.count(images, {"split": split, "labels of": images["label_source"]}, params.findings)
        lines = ["films, patients, and positives/known:", counts.to_string()]
        if why := splitting.why_untrainable(split):
            lines.append(f"WARNING: nothing can be trained: {why}.")
        empty = [name for name in splitting.SPLITS if not (split == name).any()]
        lines += [f"WARNING: no film in {name}" for name in empty]
        for name, finding in splitting.without_positives(images, split, params.findings):
            if name not in empty:
                lines.append(f"WARNING: no film with {finding} in {name}")
        return [*lines, *notes(images, split, params), f"written: {settings.split_csv}"]

    step = Step(
        record=settings.split_csv.with_suffix(".json"),
        inputs={path.name: artifacts.digest(path) for path in (settings.images_csv, settings.test_patients_csv)}
        | catalogue.given_split_inputs(settings),
        parameters={
            "SEED": params.general.seed,
            "SPLIT": params.tables.split,
            "VAL_FRACTION": params.tables.val_fraction,
            "TRAIN_SOURCES": params.tables.train_sources,
        },
        outputs=[settings.split_csv],
    )
    print(*step.run(make), sep="\n")


def notes(images, split, params):
    """What is to be said of a split that leaks, or that leaves films out."""
    warnings = []
    if params.tables.split == "image":
        leaking = splitting.shared_with_training(images, split)
        warnings.append(
            f'WARNING: SPLIT is "image": patients leak. {leaking:,} of {(split == "test").sum():,} test films are of '
            "patients who are also in training; the results are for comparison with the original only."
        )
    unused = images["source"][split == splitting.UNUSED]
    if len(unused):
        sources = ", ".join(params.tables.train_sources)
        warnings.append(
            f"TRAIN_SOURCES: {sources}: {len(unused):,} films of {', '.join(sorted(set(unused)))} are not used"
        )
    return warnings


if __name__ == "__main__":
    command_line.run(main)
