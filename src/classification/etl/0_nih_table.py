"""NIH ChestX-ray14's table in our columns: every film of the release, with its place on disk, and the known boxes.

Reads:  DATASET_CSV_DIR (Data_Entry_2017.csv, .gz too), DATASET_DIR (names of its files),
        BBox_List_2017.csv where it is beside the table or in DATASET_DIR
Writes: <DATA_DIR>/classification/nih.csv, nih_problems.csv, boxes.csv (fractions of the film's sides), nih.json

HASH_IDS puts keyed hashes in the place of the ids of patients and films.
"""

import pandas as pd

from cxr.core import artifacts, command_line, locks, steps
from cxr.tables import pseudonyms, raw_files, schema
from cxr.tables.sources import nih


def main(argv=None):
    arguments = command_line.parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    if not nih.nih_is_used(settings):
        print('NIH is not used: DATASET_CSV_DIR is "".')
        return
    locks.hold(settings.classification)
    boxes_csv = nih.nih_boxes_csv(settings)
    key = pseudonyms.read_key(params.tables.hash_ids)
    problems_csv = schema.problems_csv(settings.nih_csv)
    # CheXpert's folders are not entered: one for each of its quarter of a million studies.
    on_disk = raw_files.list_files(settings.dataset_dir, skip=("chexpert", "patient"))
    step = steps.Step(
        record=settings.nih_csv.with_suffix(".json"),
        inputs={
            "table": artifacts.raw_state([settings.dataset_csv_dir]),
            "boxes": artifacts.raw_state([boxes_csv] if boxes_csv else []),
            "key": pseudonyms.fingerprint(key),
            "films": artifacts.digest_of(on_disk.tolist()),  # where they are is all that is used of them here
        },
        parameters={},
        outputs=[settings.nih_csv, problems_csv, settings.boxes_csv],
        refuse=problems_csv if arguments.strict else None,
    )
    if step.is_current():
        print(f"{settings.nih_csv}: up to date")
        return
    step.begin()
    release = nih.read_nih(settings.dataset_csv_dir, settings.dataset_dir, on_disk)
    boxes, box_problems = nih.read_nih_boxes(boxes_csv, release.table["image_id"])
    artifacts.write_csv(pseudonyms.replace_ids(release.table, key), settings.nih_csv)
    artifacts.write_csv(pseudonyms.replace_ids(boxes, key), settings.boxes_csv)
    artifacts.write_csv(pd.concat([release.problems, box_problems]), problems_csv)
    step.finish()

    print(release)
    print(f"boxes of our findings: {len(boxes):,} (unusable: {len(box_problems):,})")
    print(f"written: {settings.nih_csv}, {problems_csv.name}, {settings.boxes_csv.name}")


if __name__ == "__main__":
    command_line.run(main)
