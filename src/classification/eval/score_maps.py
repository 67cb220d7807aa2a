"""Score a family's maps against known boxes: do they point at the finding, and better than knowing nothing?

Reads   MODELS_DIR/classification/<family>/predictions.csv, <member>/{predictions.csv, cams*.npy};
        DATA_DIR/classification/boxes.csv, images_<size>.csv, lung_masks.npy
Writes  MODELS_DIR/classification/<family>/map_scores.csv (a row for each network, method and finding),
        map_scores_films.csv (a row for each film), detection_scores.csv (a row as of map_scores.csv), froc.png

Maps: Grad-CAM, Grad-CAM++ and LayerCAM of every member and of the family, on test films with a known box. Detection:
the boxes that maps of MAP_METHOD outline, ranked over test films with a known box and those without the finding. Beside
them random maps, a centre prior, the mean box of val, and the known boxes drawn on the finest grid. What must be chosen
is fixed beforehand or fitted on val: NIH's boxes are all of its official test list.
"""

from cxr.core import command_line, locks
from cxr.core.artifacts import write_csv
from cxr.core.parameters import FAMILIES, MAP_METHODS
from cxr.maps import detection_scores, family_maps, map_scores
from cxr.report import curves


def main(argv=None):
    arguments = command_line.parser(__doc__)
    arguments.add_argument("family", choices=FAMILIES, help="whose maps to score")
    command_line.ignore_flags_of_visualize(arguments)
    arguments = arguments.parse_args(argv)
    settings, params = command_line.load(arguments)
    family, folder = arguments.family, settings.family_dir(arguments.family)
    locks.hold(folder)
    if not settings.boxes_csv.exists():
        print("no known boxes (NIH's BBox_List_2017.csv): maps are not scored")
        return
    step = map_scores.step_of(settings, params, family)
    scores_csv, films_csv, detection_csv, froc_png = step.outputs
    if step.is_current():
        print(f"{scores_csv}: up to date")
        return
    step.begin()
    resampling = (params.evaluation.bootstrap_replicates, params.general.seed)
    by_method = {method: family_maps.load(settings, params, family, method) for method in MAP_METHODS}
    if not map_scores.pairs(by_method[MAP_METHODS[0]]):
        print("no test film has a known box: maps are not scored")
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
    shown = mean[["films", "hit", "iou", "iobb_0.1", "iobb_0.5", "iou_0.1", "iou_0.5", "in_lungs", "lungs_area"]]
    print(f"maps against known boxes, mean over the findings that have any:\n{shown.round(3).to_string()}")
    mean = detection[detection["finding"] == map_scores.MEAN].set_index(["network", "method"])
    shown = mean[["films", "boxes", "detected", *detection_scores.WITH_INTERVAL, "sensitivity_at_1"]]
    print(f"detection, mean over the findings that have boxes:\n{shown.round(3).to_string()}")
    print(f"-> {', '.join([str(scores_csv), *(path.name for path in step.outputs[1:])])}")


if __name__ == "__main__":
    command_line.run(main)
