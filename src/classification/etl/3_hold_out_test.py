"""Sets the test patients aside, once, before anything is looked at.

Reads:  <DATA_DIR>/classification/images.csv and the sources' tables; official lists (NIH's test_list.txt and
        train_val_list.txt) where they are beside the table or in DATASET_DIR; own_split.csv
Writes: <DATA_DIR>/classification/test_patients.csv, test_patients_problems.csv, test_patients.json

NIH: the patients of its official test list. CheXpert: CHEXPERT_TEST (valid, official, hash or both; where valid.csv is
not held out, its patients are used for training like all others). An own table: its test films. A source without any of
these: a share TEST_FRACTION of its patients, drawn by a hash that does not depend on SEED. With SPLIT "image" a share
of all films, whatever the lists say; the file then holds image_id instead of patient_id.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import artifacts, command_line
from cxr.core.artifacts import Step
from cxr.core.errors import counted
from cxr.tables import schema, splitting
from cxr.tables.sources import catalogue


def main(argv=None):
    arguments, settings, params = command_line.opened(command_line.parser(__doc__), argv, lambda s: s.classification)
    images = schema.read_images(settings.images_csv, params.findings)
    problems_csv = schema.problems_csv(settings.test_patients_csv)

    def make():
        rule = catalogue.plan_test(images, catalogue.read_tables(settings, params), settings, params)
        held_out = splitting.hold_out(images, rule.listed, rule.hashed, params.tables)
        artifacts.write_csv(held_out, settings.test_patients_csv)
        artifacts.write_problems(rule.problems, problems_csv)
        test = images[images[held_out.columns[0]].isin(held_out.iloc[:, 0])]
        lines = [*rule.notes, schema.count(test, {"labels of": test["label_source"]}, params.findings).to_string()]
        if len(rule.problems):
            lines.append(
                f"WARNING: in both lists: {counted(len(rule.problems), 'patient')}; held out (see {problems_csv})"
            )
        films = f"{len(test):,} of {len(images):,} films held out"
        return [*lines, f"written: {settings.test_patients_csv} ({films}), {problems_csv.name}"]

    step = Step(
        record=settings.test_patients_csv.with_suffix(".json"),
        inputs=catalogue.hold_out_inputs(settings),
        parameters={
            "SPLIT": params.tables.split,
            "CHEXPERT_TEST": params.tables.chexpert_test,
            "TEST_FRACTION": params.tables.test_fraction,
        },
        outputs=[settings.test_patients_csv, problems_csv],
        refuse=problems_csv if arguments.strict else None,
    )
    print(*step.run(make), sep="\n")


if __name__ == "__main__":
    command_line.run(main)
