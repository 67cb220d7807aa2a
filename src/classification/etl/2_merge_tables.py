"""One table of all films that are on disk and wanted; its row i is row i of the packed array.

Reads:  <DATA_DIR>/classification/nih.csv, chexpert.csv, own.csv (those whose source SETTINGS.json names); the names of
        the films' files
Writes: <DATA_DIR>/classification/images.csv, images_problems.csv, images.json

VIEWS says which projections are kept; ABNORMAL_ONLY drops films with none of the findings.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import artifacts, command_line
from cxr.core.artifacts import Step
from cxr.core.errors import counted, one_line
from cxr.imaging.listing import has_film_name
from cxr.tables import merging, schema
from cxr.tables.sources import catalogue


def main(argv=None):
    arguments, settings, params = command_line.opened(command_line.parser(__doc__), argv, lambda s: s.classification)
    for source in catalogue.in_use(settings):
        artifacts.need(settings.source_csv(source.name), catalogue.made_by(source))
    tables = catalogue.read_tables(settings, params)
    on_disk = catalogue.present_films(settings, tables)
    problems_csv = schema.problems_csv(settings.images_csv)

    def make():
        merged = merging.merge(tables, on_disk, params.tables)
        artifacts.write_csv(merged.images, settings.images_csv)
        artifacts.write_problems(merged.problems, problems_csv)
        lines = [f"left out, {reason}: {counted(films, 'film')}" for reason, films in merged.left_out.items()]
        extra = [path for path in catalogue.others_on_disk(settings, tables) if has_film_name(path)]
        if extra:
            lines.append(
                f"on disk, but in no table: {counted(len(extra), 'film')}, such as {one_line(extra[0])}; not used"
            )
        images = merged.images
        groups = {"source": images["source"], "view": images["view"].fillna("not known")}
        lines.append(schema.count(images, groups, params.findings).to_string())
        return [*lines, f"written: {settings.images_csv} ({counted(len(images), 'film')}), {problems_csv.name}"]

    step = Step(
        record=settings.images_csv.with_suffix(".json"),
        inputs={f"{name}.csv": artifacts.digest(settings.source_csv(name)) for name in tables}
        # Where they are is all that is used of them here.
        | {"films": artifacts.digest_of({name: paths.tolist() for name, paths in on_disk.items()})},
        parameters={
            "FINDINGS": params.findings, "VIEWS": params.tables.views, "ABNORMAL_ONLY": params.tables.abnormal_only,
        },
        outputs=[settings.images_csv, problems_csv],
        refuse=problems_csv if arguments.strict else None,
    )  # fmt: skip
    print(*step.run(make), sep="\n")


if __name__ == "__main__":
    command_line.run(main)
