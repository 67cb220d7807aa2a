"""An experiment: variants side by side, mean and each seed, in tables of the runs that are finished.

sh experiment.sh makes them before and after every training; python src/experiments/table.py trains nothing.

Reads   MODELS_DIR/experiments/<member>/<variant>/seed_<n>/: metrics, predictions, splits
Writes  MODELS_DIR/experiments/<name>_<member>.md and .json, or the two files of --out
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.core.artifacts import write_json, write_text
from cxr.core.own_files import OwnFiles
from cxr.experiments import planning, results


def main(argv=None):
    arguments = planning.parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    name, member = arguments.name, arguments.member
    runs = planning.planned(arguments, settings, params)
    finished = results.collect(runs, member)
    text = results.as_markdown(name, member, runs, finished)
    folder, stem = planning.folder_of(settings), f"{name}_{member}"
    if arguments.out:
        folder, stem = arguments.out.parent, arguments.out.name.removesuffix(".md").removesuffix(".json")
        OwnFiles(folder, [f"{stem}.md", f"{stem}.json"])
    write_text(text, folder / f"{stem}.md")
    write_json({"experiment": name, "member": member, "runs": finished}, folder / f"{stem}.json")
    print(f"{text}\n-> {folder / stem}.md, {stem}.json")


if __name__ == "__main__":
    command_line.run(main)
