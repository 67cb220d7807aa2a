"""Score outlines against radiologists' (CheXlocalize, Saporta 2022): do maps cover what was seen, and point at it?

Reads   TRUTH: gt_segmentations_val.json or gt_segmentations_test.json of CheXlocalize
        --predicted FILE: anybody's outlines in the same form, such as gradcam_segmentations_val.json
        --family: MODELS_DIR/classification/<family>/predictions.csv, <member>/cams*.npy, for its CheXpert test films
Writes  --out DIR (default: outline_scores): outline_scores.csv (a row for each method and finding),
        outline_scores_films.csv (a row for each film); of a family also outlines.json and points.json, its outlines and
        most salient points as the authors' eval.py reads them

IoU: films that have both outlines; with --all also those that have one of them only, as 0, and then a family outlines
only what it calls positive. Hit rate: the most salient point lies in the outline. Intervals are by patient. Beside a
family stand random maps and a centre prior. Nothing is fitted on TRUTH.
"""

import sys
from pathlib import Path

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line  # first: from here on Ctrl-C is one line

# isort: split
import pandas as pd

from cxr.core.artifacts import write_csv, write_json
from cxr.core.errors import InputError, one_line
from cxr.core.members import FAMILIES
from cxr.core.own_files import OwnFiles
from cxr.external import family_outlines, outline_scores, outlines
from cxr.maps import family_maps


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("truth", type=command_line.path, metavar="TRUTH", help="outlines by radiologists")
    parser.add_argument("--predicted", type=command_line.path, metavar="FILE", help="outlines to score")
    parser.add_argument("--points", type=command_line.path, metavar="FILE", help="their most salient points")
    parser.add_argument("--family", choices=FAMILIES, help="whose maps to outline and score")
    parser.add_argument("--all", action="store_true", help="count films that have one of the two outlines only, as 0")
    parser.add_argument("--out", type=command_line.path, default=Path("outline_scores"), help="folder of the results")
    arguments = parser.parse_args(argv)
    settings, params = command_line.load(arguments)
    if not (arguments.predicted or arguments.family):
        raise InputError("what is to be scored is missing: give --predicted FILE, --family ensemble, or both.")
    if arguments.points and not arguments.predicted:
        raise InputError("--points: belongs to --predicted FILE, which is missing; a family has its own.")
    truth, parts, contents, notes = outlines.read(arguments.truth), [], {}, []
    if arguments.predicted:
        predicted = outlines.read(arguments.predicted)
        points = outlines.read_points(arguments.points) if arguments.points else None
        parts.append(outline_scores.score(truth, predicted, arguments.all, arguments.predicted.name, points))
        notes += outline_scores.left_over(truth, predicted, arguments.all)
    if arguments.family:
        scored = family_maps.load(settings, params, arguments.family)
        drawn = family_outlines.draw(scored, arguments.family, truth, arguments.all)
        parts.append(drawn.scores)
        contents = {"outlines.json": drawn.outlines, "points.json": drawn.points}
        notes += drawn.notes
    scores = pd.concat(parts)
    table = outline_scores.summary(scores, params.evaluation.bootstrap_replicates, params.general.seed)
    names = ["outline_scores.csv", "outline_scores_films.csv", *contents]
    own = OwnFiles(arguments.out, names)  # only now: wrong input leaves no folder behind
    for name, content in contents.items():
        write_json(content, arguments.out / name)
    write_csv(scores, arguments.out / "outline_scores_films.csv")
    write_csv(table, arguments.out / "outline_scores.csv")
    own.finish(names, ["outlines.json", "points.json"])
    print("\n".join([*notes, outline_scores.text(table)]))
    print(one_line(f"-> {arguments.out}: {', '.join(names)}"))


if __name__ == "__main__":
    command_line.run(main)
