"""Score a family's maps against known boxes: do they point at the finding, and better than knowing nothing?

Reads   MODELS_DIR/classification/<family>/predictions.csv, <member>/cams*.npy; DATA_DIR/classification/boxes.csv,
        images_<size>.csv, lung_masks.npy
Writes  MODELS_DIR/classification/<family>/map_scores.csv (a row for each network, method and finding),
        map_scores_films.csv (a row for each film)

Test films with a known box only. Grad-CAM, Grad-CAM++ and LayerCAM of every member and of the family, beside random
maps, a centre prior and the known boxes drawn on the finest grid. MAP_THRESHOLD, MAP_METHOD and linear enlarging are
fixed beforehand: NIH's boxes are all of its official test list.
"""

from cxr.core import command_line, locks
from cxr.core.artifacts import write_csv
from cxr.core.parameters import FAMILIES, MAP_METHODS
from cxr.maps import family_maps, map_scores


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
    scores_csv, films_csv = step.outputs
    if step.is_current():
        print(f"{scores_csv}: up to date")
        return
    step.begin()
    by_method = {method: family_maps.load(settings, params, family, method) for method in MAP_METHODS}
    if not map_scores.pairs(by_method[MAP_METHODS[0]]):
        print("no test film has a known box: maps are not scored")
        return
    scores = map_scores.score_all(by_method, params.members(family), family, settings)
    table = map_scores.summary(scores, params.findings, params.evaluation.bootstrap_replicates, params.general.seed)
    write_csv(scores, films_csv)
    write_csv(table, scores_csv)
    step.finish()
    mean = table[table["finding"] == map_scores.MEAN].set_index(["network", "method"])
    shown = mean[["films", "hit", "iou", "iobb_0.1", "iobb_0.5", "iou_0.1", "iou_0.5", "in_lungs", "lungs_area"]]
    print(f"maps against known boxes, mean over the findings that have any:\n{shown.round(3).to_string()}")
    print(f"-> {scores_csv}, {films_csv.name}")


if __name__ == "__main__":
    command_line.run(main)
