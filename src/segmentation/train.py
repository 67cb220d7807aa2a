"""Train the U-Net that finds the lungs; goes on where an interrupted run stopped.

Reads   DATA_DIR/segmentation/images_<size>.npy, masks_<size>.npy, packed_<size>.csv, split.csv
Writes  MODELS_DIR/segmentation/Unet/weights/: model.keras (best epoch by Dice on val), log.csv, curves.png, run.json
"""

import shlex
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line, locks, process_group
from cxr.tables import lung_films
from cxr.training import time_limit, tracking


def main(argv=None):
    arguments = command_line.unet_parser(__doc__)
    arguments.add_argument("--hours", type=command_line.hours, help=time_limit.HELP)
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = arguments.parse_args(argv)
    settings, params = command_line.load(arguments)
    reason = lung_films.why_skip(settings, params) if arguments.if_missing else ""
    again = shlex.join(["python", "src/segmentation/train.py", *words])
    with process_group.first_speaks(), time_limit.within(arguments.hours, again) as limit:
        if reason:
            print(reason)
            return
        tracking.require(params)
        if process_group.is_first():
            locks.hold(settings.unet.parent)
        # Keras is imported only now: --help and wrong input answer at once.
        from cxr.training.unet_training import train_unet

        train_unet(settings, params, print, limit)
        tracking.log_training(params, settings.unet.parent)


if __name__ == "__main__":
    command_line.run(main)
