"""Train the members of a family one after the other; goes on where an interrupted run stopped, or a shorter one ended.

Reads   DATA_DIR/classification/images.csv, split.csv, images_<size>.npy and .csv
Writes  MODELS_DIR/classification/<family>/<member>/: model.keras (best epoch by val_auroc), log.csv, curves.png,
        run.json
"""

import shlex
import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line, configuration, locks, process_group
from cxr.core.members import FAMILIES
from cxr.training import time_limit, tracking


def main(argv=None):
    arguments = command_line.parser(__doc__)
    arguments.add_argument(
        "family", choices=FAMILIES, help="ensemble = ENSEMBLE_MEMBERS, efficientnet = EFFICIENTNET_VARIANT"
    )
    arguments.add_argument("--member", help="only this member of the family")
    arguments.add_argument("--hours", type=command_line.hours, help=time_limit.HELP)
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = arguments.parse_args(argv)
    settings, params = command_line.load(arguments)
    tracking.require(params)
    words.remove(arguments.family)
    again = shlex.join(["sh", f"train_{arguments.family.capitalize()}.sh", *words])
    with process_group.first_speaks(), time_limit.within(arguments.hours, again) as limit:
        for member in configuration.chosen_members(params, arguments.family, arguments.member):
            if process_group.is_first():
                locks.hold(settings.member_dir(arguments.family, member))
            # Keras is imported only now: --help and wrong input answer at once.
            from cxr.training.classifier_training import train_member

            train_member(settings, params.for_member(member), arguments.family, member, print, limit)
            tracking.log_training(params, settings.member_dir(arguments.family, member))


if __name__ == "__main__":
    command_line.run(main)
