"""Several models of your own side by side: one table, with paired intervals by patient.

Reads   DIR …: two or more, each a MODELS_DIR with an evaluated family (--family), or the folder of one family in it,
        such as models/classification/efficientnet
Writes  --out DIR (default: compared): comparison.md (the tables, also printed), comparison.json

All must have been tested on the same films, with the same labels, patients and findings; what differs is named.
"""

import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.core.artifacts import write_json, write_text
from cxr.core.members import FAMILIES
from cxr.core.own_files import OwnFiles
from cxr.experiments import own_models

FILES = ("comparison.md", "comparison.json")


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("folders", nargs="+", type=command_line.path, metavar="DIR", help="the first is compared with")
    parser.add_argument("--family", choices=FAMILIES, default=FAMILIES[0], help="which family of a MODELS_DIR")
    parser.add_argument("--out", type=command_line.path, default=Path("compared"), help="folder of the results")
    arguments = parser.parse_args(argv)
    _, params = command_line.load(arguments)
    models = own_models.read(arguments.folders, arguments.family)
    OwnFiles(arguments.out, FILES)  # only now: wrong input leaves no folder behind
    differences = own_models.compare(models, params.evaluation.bootstrap_replicates, params.general.seed)
    text = own_models.as_markdown(models, differences)
    write_text(text, arguments.out / "comparison.md")
    write_json(differences, arguments.out / "comparison.json")
    print(f"{text}\n-> {arguments.out / 'comparison.md'}, comparison.json")


if __name__ == "__main__":
    command_line.run(main)
