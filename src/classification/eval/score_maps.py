"""Score a family's maps: do they point at the finding, better than knowing nothing; does the answer come from there?

Reads   MODELS_DIR/classification/<family>/{predictions.csv, thresholds.json}, <member>/{predictions.csv, cams*.npy,
        model.keras}; DATA_DIR/classification/boxes.csv, images_<size>.csv, images_<size>.npy, lung_masks.npy
Writes  MODELS_DIR/classification/<family>/map_scores.csv (a row for each network, method and finding),
        map_scores_films.csv (a row for each film), detection_scores.csv (a row as of map_scores.csv), froc.png,
        faithfulness.csv (a row for each finding)

Maps: of every method that was computed, member and the family, on test films with a known box. Detection:
the boxes that maps of MAP_METHOD outline, ranked over test films with a known box and those without the finding. Beside
them random maps, a centre prior, the mean box of val, and the known boxes drawn on the finest grid. What must be chosen
is fixed beforehand or fitted on val: NIH's boxes are all of its official test list.

Faithfulness needs no boxes, but the networks: FAITHFULNESS_FILMS test films that have a finding and are called are
blanked place by place, the hottest first, the coldest first, and in random order. All else is NumPy only.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line, locks
from cxr.core.artifacts import write_csv
from cxr.core.members import FAMILIES
from cxr.maps import detection_scores, faithfulness, family_maps, map_scores
from cxr.report import curves
from cxr.report.table_notes import as_text


def main(argv=None):
    arguments = command_line.parser(__doc__)
    arguments.add_argument("family", choices=FAMILIES, help="whose maps to score")
    command_line.ignore_flags_of_visualize(arguments)
    arguments = arguments.parse_args(argv)
    settings, params = command_line.load(arguments)
    locks.hold(settings.family_dir(arguments.family))
    against_boxes(settings, params, arguments.family)
    blank_films(settings, params, arguments.family)


def against_boxes(settings, params, family):
    """map_scores.csv to froc.png, where there are known boxes."""
    if not settings.boxes_csv.exists():
        print("no known boxes (NIH's BBox_List_2017.csv): maps are not scored against any")
        return
    step = map_scores.step_of(settings, params, family)
    scores_csv, films_csv, detection_csv, froc_png = step.outputs
    if step.is_current():
        print(f"{scores_csv}: up to date")
        return
    step.begin()
    resampling = (params.evaluation.bootstrap_replicates, params.general.seed)
    by_method = {method: family_maps.load(settings, params, family, method) for method in params.evaluation.map_methods}
    if not map_scores.pairs(next(iter(by_method.values()))):
        print("no test film has a known box: maps are not scored against any")
        return
    scores = map_scores.score_all(by_method, params.members(family), family)
    table = map_scores.summary(scores, params.findings, *resampling)
    networks = detection_scores.networks(settings, params, family, by_method[params.evaluation.map_method])
    detection = detection_scores.score_all(networks, *resampling)
    write_csv(scores, films_csv)
    write_csv(table, scores_csv)
    write_csv(detection, detection_csv)
    curves.save_froc(detection, next(iter(networks)), params.findings, froc_png)
    step.finish()
    mean = table[table["finding"] == map_scores.MEAN].set_index(["network", "method"])
    shown = mean[
        ["films", "too_few", "hit", "iou", "iobb_0.1", "iobb_0.5", "iou_0.1", "iou_0.5", "in_lungs", "lungs_area"]
    ]
    print(f"maps against known boxes, mean over the findings that have any:\n{as_text(shown)}")
    mean = detection[detection["finding"] == map_scores.MEAN].set_index(["network", "method"])
    shown = mean[["films", "too_few", "boxes", "detected", *detection_scores.WITH_INTERVAL, "sensitivity_at_1"]]
    print(f"detection, mean over the findings that have boxes:\n{as_text(shown)}")
    print(
        "detected: all boxes that are outlined on test films with a known box or without the finding, called or not; "
        "detections.csv has those of all called test films, and so another number"
    )
    print(f"-> {', '.join([str(scores_csv), *(path.name for path in step.outputs[1:])])}")


def blank_films(settings, params, family):
    """faithfulness.csv, unless FAITHFULNESS_FILMS is 0."""
    if not params.evaluation.faithfulness_films:
        return
    models = [settings.member_dir(family, member) / "model.keras" for member in params.members(family)]
    if missing := [path for path in models if not path.is_file()]:
        print(f"{missing[0]} is not there: no films are blanked")
        return
    step = faithfulness.step_of(settings, params, family)
    if step.is_current():
        print(f"{step.outputs[0]}: up to date")
        return
    step.begin()
    scored = family_maps.load(settings, params, family)
    networks = faithfulness.networks(settings, params, family, scored)
    scores = faithfulness.score_all(scored, networks, params.evaluation.faithfulness_films)
    table = faithfulness.summary(scores, params.findings, params.evaluation.bootstrap_replicates, params.general.seed)
    write_csv(table, step.outputs[0])
    step.finish()
    print("probability of a finding while its film is blanked: areas under it, and differences from random order")
    shown = table.set_index("finding")[["films", "patients", *faithfulness.AREAS, *faithfulness.DIFFERENCES]]
    print(as_text(shown))  # intervals, and why there is none, in the CSV
    print(f"-> {step.outputs[0]}")


if __name__ == "__main__":
    command_line.run(main)
