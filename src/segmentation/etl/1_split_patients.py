"""Split the lung films by patient into train, val and test.

Reads   DATA_DIR/segmentation/pairs.csv
Writes  DATA_DIR/segmentation/split.csv

A keyed hash of the patient decides, so a film added later moves nobody. UNET_TEST_SETS holds out whole hospitals.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line, locks
from cxr.core.artifacts import Step, digest, need, write_csv
from cxr.tables import lung_films


def main(argv=None):
    arguments = command_line.unet_parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    if arguments.if_missing and lung_films.why_skip(settings, params):
        return
    locks.hold(settings.segmentation)
    pairs_csv = need(settings.segmentation / "pairs.csv", "src/segmentation/etl/0_pair_masks.py")
    split_csv = settings.segmentation / "split.csv"
    unet = params.unet
    keys = {
        "UNET_VAL_FRACTION": unet.unet_val_fraction,
        "UNET_TEST_FRACTION": unet.unet_test_fraction,
        "UNET_TEST_SETS": unet.unet_test_sets,
        "SEED": params.general.seed,
    }

    def make():
        pairs = lung_films.read_pairs(pairs_csv)
        pairs["split"] = lung_films.split_pairs(pairs, unet, params.general.seed)
        write_csv(pairs[["image_id", "split"]], split_csv)
        return [pairs.groupby(["set", "split"]).size().unstack(fill_value=0).to_string(), f"-> {split_csv}"]

    step = Step(split_csv.with_suffix(".json"), {"pairs": digest(pairs_csv)}, keys, [split_csv])
    print(*step.run(make), sep="\n")


if __name__ == "__main__":
    command_line.run(main)
