"""One table of all films that are on disk and wanted; its row i is row i of the packed array.

Reads:  <DATA_DIR>/classification/nih.csv, chexpert.csv (those whose source SETTINGS.json names), DATASET_DIR (names of
        its files)
Writes: <DATA_DIR>/classification/images.csv, images_problems.csv, images.json

VIEWS says which projections are kept; ABNORMAL_ONLY drops films with none of the six findings.
"""

from pathlib import Path

import pandas as pd

from cxr.core import artifacts, command_line, locks, steps
from cxr.core.errors import one_line
from cxr.imaging.listing import FILM_SUFFIXES
from cxr.tables import merging, raw_files, schema
from cxr.tables.sources import in_use


def main(argv=None):
    arguments = command_line.parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    releases = in_use.tables_in_use(settings)
    locks.hold(settings.classification)
    for path, made_by in releases.items():
        artifacts.need(path, made_by)
    problems_csv = schema.problems_csv(settings.images_csv)
    read = [schema.read_table(path, made_by) for path, made_by in releases.items()]
    known = pd.concat([table["path"] for table in read])
    on_disk = raw_files.present(settings.dataset_dir, known)
    step = steps.Step(
        record=settings.images_csv.with_suffix(".json"),
        inputs={path.name: artifacts.digest(path) for path in releases}
        | {"films": artifacts.digest_of(on_disk.tolist())},  # where they are is all that is used of them here
        parameters={"VIEWS": params.tables.views, "ABNORMAL_ONLY": params.tables.abnormal_only},
        outputs=[settings.images_csv, problems_csv],
        refuse=problems_csv if arguments.strict else None,
    )
    if step.is_current():
        print(f"{settings.images_csv}: up to date")
        return
    step.begin()
    merged = merging.merge(read, on_disk, params.tables)
    artifacts.write_csv(merged.images, settings.images_csv)
    artifacts.write_csv(merged.problems, problems_csv)
    step.finish()

    for reason, films in merged.left_out.items():
        print(f"left out, {reason}: {films:,} films")
    extra = others_on_disk(settings.dataset_dir, known)
    if extra:
        print(f"on disk, but in no table: {len(extra):,} films, such as {one_line(extra[0])}; not used")
    print(schema.count(merged.images, {"source": merged.images["source"], "view": merged.images["view"]}).to_string())
    print(f"written: {settings.images_csv} ({len(merged.images):,} films), {problems_csv.name}")


def others_on_disk(folder, known):
    """Films that no table names; CheXpert's quarter of a million folders are not entered for that."""
    files = raw_files.list_files(folder, skip=("chexpert", "patient"))
    return [path for path in files[~files.isin(known)] if Path(path).suffix.lower() in FILM_SUFFIXES]


if __name__ == "__main__":
    command_line.run(main)
