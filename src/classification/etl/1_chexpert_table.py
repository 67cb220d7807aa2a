"""CheXpert's tables in our columns: every film of train.csv, valid.csv and the test set, with its place on disk.

Reads:  DATASET_CHEXPERT_TRAIN_CSV_DIR, DATASET_CHEXPERT_VAL_CSV_DIR, DATASET_CHEXPERT_TEST_CSV_DIR (each may be ""),
        DATASET_DIR (names of its files)
Writes: <DATA_DIR>/classification/chexpert.csv, chexpert_problems.csv, chexpert.json

What -1 (uncertain) and blank mean is said by UNCERTAIN_LABELS and BLANK_LABELS; valid.csv and the test set hold
experts' labels, which these do not change. HASH_IDS puts keyed hashes in the place of the ids of patients and films.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.tables.sources.catalogue import make_table
from cxr.tables.sources.chexpert import CHEXPERT


def main(argv=None):
    arguments, settings, params = command_line.opened(command_line.parser(__doc__), argv, lambda s: s.classification)
    print(*make_table(CHEXPERT, settings, params, arguments.strict), sep="\n")


if __name__ == "__main__":
    command_line.run(main)
