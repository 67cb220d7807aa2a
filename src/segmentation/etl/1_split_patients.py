"""Split the lung films by patient into train, val and test.

Reads   DATA_DIR/segmentation/pairs.csv
Writes  DATA_DIR/segmentation/split.csv

A keyed hash of the patient decides, so a film added later moves nobody. UNET_TEST_SETS holds out whole hospitals.
"""

from cxr.core import config
from cxr.core import locks
from cxr.tables import lung_sets
from cxr.core.artifacts import Step, digest, need, read_csv, write_csv


def main(argv=None):
    arguments = config.unet_parser(__doc__).parse_args(argv)
    settings, params = config.load(arguments)
    if arguments.if_missing and lung_sets.why_skip(settings, params):
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
    step = Step(split_csv.with_suffix(".json"), {"pairs": digest(pairs_csv)}, keys, [split_csv])
    if step.is_current():
        print(f"{split_csv}: up to date")
        return
    step.begin()
    pairs = read_csv(pairs_csv, "src/segmentation/etl/0_pair_masks.py", lung_sets.PAIR_COLUMNS, dtype=str)
    pairs["split"] = lung_sets.split_pairs(pairs, unet, params.general.seed)
    write_csv(pairs[["image_id", "split"]], split_csv)
    step.finish()
    print(pairs.groupby(["set", "split"]).size().unstack(fill_value=0).to_string())
    print(f"-> {split_csv}")


if __name__ == "__main__":
    config.run(main)
