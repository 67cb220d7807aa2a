"""Make the folder of the next unfinished run of an experiment ready, and print it; print nothing where none is left.

Reads   DATA_DIR (what is prepared already), the finished runs
Writes  MODELS_DIR/experiments/<member>/<variant>/seed_<n>/: SETTINGS.json, PARAMS.json, data (links), models

Standard output holds the folder only: experiment.sh calls this in a loop, and then the scripts of a usual training.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.experiments import planning


def main(argv=None):
    arguments = planning.parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    runs = planning.planned(arguments, settings, params)
    waiting = [run for run in runs if not run.is_finished()]
    told = planning.time_left(runs, arguments.member)
    print(f"{arguments.name}: {len(runs) - len(waiting)} of {len(runs)} runs are finished{told}", file=sys.stderr)
    if waiting:
        others = [
            run
            for name in planning.NAMES
            for run in planning.plan(name, settings, params, arguments.member, arguments.seeds)
        ]
        planning.begin(waiting[0], settings, params, others)
        print(f"next: {waiting[0].variant}, seed {waiting[0].seed}", file=sys.stderr)
        print(waiting[0].folder)


if __name__ == "__main__":
    command_line.run(main)
