"""Sets the test patients aside, once, before anything is looked at.

Reads:  <DATA_DIR>/classification/images.csv, nih.csv; NIH's test_list.txt and train_val_list.txt where they are beside
        its table or in DATASET_DIR
Writes: <DATA_DIR>/classification/test_patients.csv, test_patients_problems.csv, test_patients.json

NIH: the patients of its official test list. CheXpert: CHEXPERT_TEST (valid, hash or both; with hash, the patients of
valid.csv are used for training like all others). A source without a list: a share TEST_FRACTION of its patients, drawn
by a hash that does not hang on SEED. With SPLIT "image" a share of all films, whatever the lists say; the file then
holds image_id instead of patient_id.
"""

from cxr.core import artifacts, command_line, locks, steps
from cxr.tables import schema, splitting
from cxr.tables.sources import in_use, nih


def main(argv=None):
    arguments = command_line.parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    locks.hold(settings.classification)
    images = schema.read_images(settings.images_csv)
    lists = nih.nih_lists(settings)
    whole_nih = schema.read_table(settings.nih_csv, in_use.tables_in_use(settings)[settings.nih_csv]) if lists else None
    produced = [settings.images_csv, *([settings.nih_csv] if lists else [])]
    problems_csv = schema.problems_csv(settings.test_patients_csv)
    step = steps.Step(
        record=settings.test_patients_csv.with_suffix(".json"),
        inputs={path.name: artifacts.digest(path) for path in produced}
        | {"lists": artifacts.raw_state(lists.values())},
        parameters={
            "SPLIT": params.tables.split,
            "CHEXPERT_TEST": params.tables.chexpert_test,
            "TEST_FRACTION": params.tables.test_fraction,
        },
        outputs=[settings.test_patients_csv, problems_csv],
        refuse=problems_csv if arguments.strict else None,
    )
    if step.is_current():
        print(f"{settings.test_patients_csv}: up to date")
        return
    step.begin()
    plan = in_use.plan_test(images, whole_nih, lists, params.tables)
    held_out = splitting.hold_out(images, plan.listed, plan.hashed, params.tables)
    artifacts.write_csv(held_out, settings.test_patients_csv)
    artifacts.write_csv(plan.problems, problems_csv)
    step.finish()

    for note in plan.notes:
        print(note)
    test = images[images[held_out.columns[0]].isin(held_out.iloc[:, 0])]
    print(schema.count(test, {"labels of": schema.test_source(test["image_id"])}).to_string())
    if len(plan.problems):
        print(f"WARNING: {len(plan.problems)} patients are in both of NIH's lists; held out (see {problems_csv})")
    print(
        f"written: {settings.test_patients_csv} ({len(test):,} of {len(images):,} films held out), {problems_csv.name}"
    )


if __name__ == "__main__":
    command_line.run(main)
