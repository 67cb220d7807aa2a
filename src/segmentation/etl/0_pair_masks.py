"""Pair the lung films with their masks, by name.

Reads   DATASET_DIR_SEGMENTATION and MASK_DIR of SETTINGS.json: Montgomery, Shenzhen, JSRT, or your own (same name for
        film and mask). Left and right masks may be two files. Nothing in them is moved, renamed or deleted.
Writes  DATA_DIR/segmentation/pairs.csv, pairs_problems.csv (what has no partner)
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line, locks
from cxr.core.artifacts import raw_state, write_csv, write_problems
from cxr.core.errors import counted
from cxr.core.steps import Step
from cxr.imaging.listing import told
from cxr.tables import lung_sets, pseudonyms


def main(argv=None):
    arguments = command_line.unet_parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    if arguments.if_missing and lung_sets.why_skip(settings, params):
        return
    locks.hold(settings.segmentation)
    pairs_csv = settings.segmentation / "pairs.csv"
    problems_csv = settings.segmentation / "pairs_problems.csv"
    films_dir, masks_dir = settings.dataset_dir_segmentation, settings.mask_dir
    key = pseudonyms.read_key(params.tables.hash_ids)
    films, masks = sets = lung_sets.list_sets(films_dir, masks_dir)
    state = {"key": pseudonyms.fingerprint(key), "films": raw_state(films.films), "masks": raw_state(masks.films)}
    step = Step(
        pairs_csv.with_suffix(".json"), state, {}, [pairs_csv, problems_csv], problems_csv if arguments.strict else None
    )

    def make():
        pairs, problems = lung_sets.pair_masks(films_dir, masks_dir, sets)
        pairs = pseudonyms.replace_ids(pairs, key).sort_values("image_id", ignore_index=True)
        write_csv(pairs, pairs_csv)
        write_problems(problems, problems_csv)
        counts = ", ".join(f"{name} {count}" for name, count in pairs["set"].value_counts().sort_index().items())
        paired = f"{counted(len(pairs), 'lung film')} with masks ({counts})"
        return [
            f"{paired}, {counted(len(problems), 'file')} without a partner -> {pairs_csv}",
            *told(films.not_taken + masks.not_taken),
        ]

    print(*step.run(make), sep="\n")


if __name__ == "__main__":
    command_line.run(main)
