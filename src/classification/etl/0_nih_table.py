"""NIH ChestX-ray14's table in our columns: every film of the release, with its place on disk, and the known boxes.

Reads:  DATASET_CSV_DIR (Data_Entry_2017.csv, .gz too), DATASET_DIR (names of its files),
        BBox_List_2017.csv where it is beside the table or in DATASET_DIR
Writes: <DATA_DIR>/classification/nih.csv, nih_problems.csv, boxes.csv (fractions of the film's sides), nih.json

FINDINGS says which labels become columns. HASH_IDS puts keyed hashes in the place of the ids of patients and films.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.tables.sources.catalogue import make_table
from cxr.tables.sources.nih import NIH


def main(argv=None):
    arguments, settings, params = command_line.opened(command_line.parser(__doc__), argv, lambda s: s.classification)
    print(*make_table(NIH, settings, params, arguments.strict), sep="\n")


if __name__ == "__main__":
    command_line.run(main)
