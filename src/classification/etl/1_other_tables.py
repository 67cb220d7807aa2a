"""Tables of every further source in our columns, such as the user's own: a film a row, with its place on disk.

Reads:  OWN_CSV (a table of the user's, or of a release that OWN_COLUMNS names), OWN_DATASET_DIR (names of its files)
Writes: <DATA_DIR>/classification/own.csv, own_problems.csv, own.json; own_split.csv where the table has a split

OWN_COLUMNS says which column is what; the rest is guessed by usual names, and told. UNCERTAIN_LABELS says what -1
means; a blank is not known. HASH_IDS puts keyed hashes in the place of the ids of patients and films.
"""

import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.tables.sources.catalogue import SOURCES, make_table


def main(argv=None):
    arguments, settings, params = command_line.opened(command_line.parser(__doc__), argv, lambda s: s.classification)
    own = [source for source in SOURCES if source.script == Path(__file__).name]
    for source in (source for source in own if source.tables(settings)):
        print(*make_table(source, settings, params, arguments.strict), sep="\n")


if __name__ == "__main__":
    command_line.run(main)
