"""CheXpert's tables in our columns: every film of train.csv and valid.csv, with its place on disk.

Reads:  DATASET_CHEXPERT_TRAIN_CSV_DIR, DATASET_CHEXPERT_VAL_CSV_DIR (either may be ""), DATASET_DIR (names of its
        files)
Writes: <DATA_DIR>/classification/chexpert.csv, chexpert_problems.csv, chexpert.json

What -1 (uncertain) and blank mean is said by UNCERTAIN_LABELS and BLANK_LABELS; valid.csv holds experts' labels, which
these do not change. HASH_IDS puts keyed hashes in the place of the ids of patients and films.
"""

from cxr.core import artifacts, command_line, locks, steps
from cxr.tables import pseudonyms, schema
from cxr.tables.sources import chexpert


def main(argv=None):
    arguments = command_line.parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    if not chexpert.chexpert_is_used(settings):
        print('CheXpert is not used: DATASET_CHEXPERT_TRAIN_CSV_DIR and DATASET_CHEXPERT_VAL_CSV_DIR are "".')
        return
    locks.hold(settings.classification)
    csvs = chexpert.chexpert_csvs(settings)
    key = pseudonyms.read_key(params.tables.hash_ids)
    problems_csv = schema.problems_csv(settings.chexpert_csv)
    on_disk = chexpert.films_on_disk(csvs, settings.dataset_dir)
    step = steps.Step(
        record=settings.chexpert_csv.with_suffix(".json"),
        inputs={
            "tables": artifacts.raw_state(csvs.values()),
            "key": pseudonyms.fingerprint(key),
            "films": artifacts.digest_of(on_disk.tolist()),  # where they are is all that is used of them here
        },
        parameters={
            "UNCERTAIN_LABELS": params.tables.uncertain_labels,
            "BLANK_LABELS": params.tables.blank_labels,
        },
        outputs=[settings.chexpert_csv, problems_csv],
        refuse=problems_csv if arguments.strict else None,
    )
    if step.is_current():
        print(f"{settings.chexpert_csv}: up to date")
        return
    step.begin()
    release = chexpert.read_chexpert(csvs, settings.dataset_dir, on_disk, params.tables)
    artifacts.write_csv(pseudonyms.replace_ids(release.table, key), settings.chexpert_csv)
    artifacts.write_csv(release.problems, problems_csv)
    step.finish()

    print("as CheXpert has it:")
    print(release.raw_counts.to_string())
    print("as we read it:")
    print(release)
    print(f"written: {settings.chexpert_csv}, {problems_csv.name}")


if __name__ == "__main__":
    command_line.run(main)
