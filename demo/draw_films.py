"""Draw the synthetic films of the demo: NIH's, CheXpert's and the lung sets' layout, labels and boxes included.

Reads   SETTINGS.json (DATASET_DIR, DATASET_DIR_SEGMENTATION, MASK_DIR), PARAMS.json (DEMO_…, SEED, WORKERS)
Writes  the films, tables and lists under those folders, phantom_truth.csv (all boxes), phantoms.json (parameters)

Does nothing where the same films are there already, and refuses a folder that holds anything else.
"""

import sys
import time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/src")  # this project's cxr, whatever is installed

from cxr.core import locks
from cxr.core.command_line import load, parser, run
from cxr.core.executors import process_count
from cxr.core.progress import progress
from cxr.releases.writing import ReleaseParams, write_releases


def main(argv=None):
    settings, params = load(parser(__doc__).parse_args(argv))
    locks.hold(settings.data_dir)
    demo, started = params.demo, time.perf_counter()
    release = ReleaseParams(
        demo.demo_nih_films,
        demo.demo_chexpert_films,
        demo.demo_lung_films,
        demo.demo_film_size,
        params.general.seed,
        demo.demo_severity,
    )
    summary = write_releases(
        settings.dataset_dir,
        settings.dataset_dir_segmentation,
        settings.mask_dir,
        release,
        workers=process_count(params.general.workers),
        progress=lambda films, total: progress(films, total, "drawing films"),
    )
    for hospital, films in summary["films"].items():
        positives = " · ".join(f"{finding} {count}" for finding, count in summary["positives"][hospital].items())
        print(f"{hospital}-like: {films} frontal films · {positives}")
    if summary["written"]:
        print(f"Written to {settings.dataset_dir} in {time.perf_counter() - started:.0f} s.")
    else:
        print(f"{settings.dataset_dir}: up to date.")


if __name__ == "__main__":
    run(main)
