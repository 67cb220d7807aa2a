"""List what the U-Net learns from: lung films with their masks, paired by name, and films that this project draws.

Reads   DATASET_DIR_SEGMENTATION and MASK_DIR of SETTINGS.json: Montgomery, Shenzhen, JSRT, or your own (same name for
        film and mask). Left and right masks may be two files; a mask with "heart" in its name or folder is the heart's.
        Nothing in them is moved, renamed or deleted. With "LUNG_FILMS": "drawn", and with "both" where the folders are
        not there, nothing is read: drawn films are all.
Writes  DATA_DIR/segmentation/pairs.csv, pairs_problems.csv (what has no partner)
"""

import sys
from collections import Counter

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line  # first: from here on Ctrl-C is one line

# isort: split
import pandas as pd

from cxr.core import locks
from cxr.core.artifacts import Step, raw_state, write_csv, write_problems
from cxr.core.errors import counted
from cxr.imaging.listing import Listing, told
from cxr.tables import lung_films, lung_sets, pseudonyms


def main(argv=None):
    arguments = command_line.unet_parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    if arguments.if_missing and lung_films.why_skip(settings, params):
        return
    locks.hold(settings.segmentation)
    pairs_csv = settings.segmentation / "pairs.csv"
    problems_csv = settings.segmentation / "pairs_problems.csv"
    films_dir, masks_dir = lung_films.places(settings)
    key, alone = pseudonyms.read_key(params.tables.hash_ids), lung_films.why_drawn_alone(settings, params)
    films, masks = sets = [Listing([], Counter())] * 2 if alone else lung_sets.list_sets(films_dir, masks_dir)
    state = {"key": pseudonyms.fingerprint(key), "films": raw_state(films.films), "masks": raw_state(masks.films)}
    drawn = lung_films.drawn_count(params)
    step = Step(
        pairs_csv.with_suffix(".json"),
        state,
        {"LUNG_FILMS": params.unet.lung_films, "DRAWN_LUNG_FILMS": drawn},
        [pairs_csv, problems_csv],
        refuse=problems_csv if arguments.strict else None,
    )

    def make():
        nothing = lung_films.drawn_pairs(0), pd.DataFrame(columns=["path", "problem"])
        pairs, problems = nothing if alone else lung_sets.pair_masks(films_dir, masks_dir, sets)
        hearts = (pairs["hearts"] != "").sum()
        pairs = pseudonyms.replace_ids(pairs, key).sort_values("image_id", ignore_index=True)
        pairs = pd.concat([pairs, lung_films.drawn_pairs(drawn)], ignore_index=True)
        write_csv(pairs, pairs_csv)
        write_problems(problems, problems_csv)
        counts = ", ".join(f"{name} {count}" for name, count in pairs["set"].value_counts().sort_index().items())
        paired = f"{counted(len(pairs), 'lung film')} with masks ({counts})"
        about = f"{alone}: the U-Net learns from drawn films" if alone else f"{hearts} real ones with the heart's mask"
        return [
            f"{paired}, {counted(len(problems), 'file')} without a partner -> {pairs_csv}",
            about,
            *told(films.not_taken + masks.not_taken),
        ]

    print(*step.run(make), sep="\n")


if __name__ == "__main__":
    command_line.run(main)
