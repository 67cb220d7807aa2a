"""The report of a family: one HTML page that opens from disk, offline; and its model card.

Reads   MODELS_DIR/classification/<family>/: predictions.csv, metrics.json, thresholds.json, comparison.json,
        shortcuts.json, map_scores.csv, detection_scores.csv, <member>/{metrics.json, cams*.npy, randomisation.csv,
        log.csv, run.json}; the packed films; the U-Net's evaluation, where they are
Writes  MODELS_DIR/classification/<family>/: report.html, MODEL_CARD.md
"""

import sys
from dataclasses import replace

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line, locks
from cxr.core.artifacts import read_json_if_there, write_text
from cxr.core.errors import counted
from cxr.core.members import FAMILIES
from cxr.new_hospital import split_passport
from cxr.report import family_report, html_page, model_card
from cxr.report.gallery import MOST
from cxr.training import tracking


def main(argv=None):
    arguments = command_line.parser(__doc__)
    arguments.add_argument("family", choices=FAMILIES, help="whose report to write")
    arguments.add_argument("--films", type=int, help=f"films in the gallery (default {MOST}, fewer for many findings)")
    command_line.ignore_flags_of_visualize(arguments)
    arguments = arguments.parse_args(argv)
    settings, params = command_line.load(arguments)
    family, folder = arguments.family, settings.family_dir(arguments.family)
    locks.hold(folder)
    model = family_report.model(settings, params, family)
    passport = split_passport.of_family(settings, model.table)
    model = replace(model, notes=[*family_report.synthetic(settings), *model.notes, passport])
    blocks = family_report.blocks(settings, params, family, model.metrics)
    compared = read_json_if_there(folder / "comparison.json", "", list) or []
    extras = family_report.extras(settings, params, family, arguments.films)
    size = html_page.write(html_page.page(family.capitalize(), model, blocks, compared, extras), folder / "report.html")
    write_text(model_card.of_family(settings, params, family, model.metrics), folder / "MODEL_CARD.md")
    films = f"{counted(len(extras.cards), 'film')} in the gallery" if extras.cards else "no maps"
    tracking.log(params, folder, files=[folder / "report.html", folder / "MODEL_CARD.md"])
    print(f"{folder / 'report.html'}: {size / 1e6:.1f} MB, {films}\n{folder / 'MODEL_CARD.md'}")
    if size > html_page.LARGEST:
        print(f"WARNING: more than {html_page.LARGEST / 1e6:.0f} MB; give fewer with --films.")


if __name__ == "__main__":
    command_line.run(main)
