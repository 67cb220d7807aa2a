"""Score val and test with every member, put the members together, and say what that is worth.

Reads   DATA_DIR/classification/… (ratios: lung_masks.csv), MODELS_DIR/classification/<family>/<member>/model.keras
Writes  MODELS_DIR/classification/<family>/<member>/: predictions.csv, metrics.json, maps of all
        findings (cams_hirescam.npy, cams.npy of Grad-CAM, cams_gradcam++.npy, cams_layercam.npy),
        predictions_blanked.csv (test films without their corners),
        randomisation.csv (do maps depend on what was learned?)
        MODELS_DIR/classification/<family>/: predictions.csv, thresholds.json (with operating points and calibration,
        all fitted on val, per source; with ENSEMBLE_WEIGHTS the members' weights), metrics.json, result.csv (the
        table), roc.png, precision_recall.png; these two also for each source; comparison.json (the ensemble minus its
        member that is best on val, paired); flips.json (how often do members decide otherwise on test films?);
        shortcuts.json (do scores tell the hospital, do they move when corners are blanked, is the cardiothoracic ratio
        alone as good?); reference.json (what new films are compared with)

The network runs once per film and member, once more on test films without their corners, and on a few with shuffled
weights; everything after predictions.csv is NumPy and pandas.
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 3)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line, locks
from cxr.core.artifacts import read_csv, write_csv, write_json
from cxr.core.errors import counted
from cxr.core.members import FAMILIES
from cxr.evaluation import assessment, calibration, comparison, predictions, scoring, shortcuts
from cxr.new_films import bundles
from cxr.new_hospital import flip_risk, split_passport
from cxr.report import curves, doubt_tables, table_notes
from cxr.report.result_table import result_table, result_text
from cxr.tables import schema
from cxr.training import tracking


def main(argv=None):
    arguments = command_line.parser(__doc__)
    arguments.add_argument("family", choices=FAMILIES, help="which family to evaluate")
    arguments = arguments.parse_args(argv)
    settings, params = command_line.load(arguments)
    family = arguments.family
    locks.hold(settings.family_dir(family), *(settings.member_dir(family, member) for member in params.members(family)))
    results = {
        member: scoring.score_member(settings, params, family, member, arguments.scheduler, print)
        for member in params.members(family)
    }
    scored = {member: whole for member, (whole, _) in results.items()}
    folder, films = settings.family_dir(family), schema.read_images(settings.images_csv, params.findings)
    assessment.begin(folder)
    ensemble = fit_ensemble(scored, params)
    weights = predictions.member_weights(ensemble, list(scored))
    table = predictions.average(list(scored.values()), weights)
    predictions.write(table, folder / "predictions.csv")
    for member, of_member in scored.items():
        block, _ = assess(of_member, films, params)
        write_json(block, settings.member_dir(family, member) / "metrics.json")
        print(f"{member}: mean AUROC on test {text(block['macro']['auroc'])}")
    block, thresholds = assess(table, films, params)
    write_json(compare(family, table, scored, params), folder / "comparison.json")
    write_json(flips_of(scored, params), folder / "flips.json")
    blanked = [without_corners for _, without_corners in results.values() if without_corners is not None]
    dependence = shortcuts_of(table, predictions.average(blanked, weights) if blanked else None, params)
    dependence["heart_size"] = heart_size_of(table, films, settings, params)
    write_json(dependence, folder / "shortcuts.json")
    write_json(thresholds | ensemble, folder / "thresholds.json")
    write_json(block, folder / "metrics.json")
    write_csv(result_table(block), folder / "result.csv")
    test = table[table["split"] == "test"]
    sources = predictions.label_source(test)
    curves.save_curves(test, folder, f"{family}, {counted(len(test), 'test film')}")
    for source in sorted(set(sources)):
        own = test[sources == source]
        curves.save_curves(own, folder, f"{family}, {source}, {counted(len(own), 'test film')}", f"_{source}")
    assessment.finish(settings, family, params.members(family))
    write_json(bundles.reference(settings, params, family), folder / "reference.json")
    print(f"\n{family} on {counted(len(test), 'test film')} of {test['patient_id'].nunique()} patients:\n")
    print(result_text(block))
    for line in table_notes.of_weights(ensemble):
        print(line)
    for line in doubt_tables.heart_lines(dependence["heart_size"]):
        print(line)
    print(split_passport.of_family(settings, test))
    if params.tables.split == "image":
        print('WARNING: SPLIT is "image": test patients are in training too; these numbers are too good.')
    print(f"-> {folder / 'metrics.json'}, result.csv, roc.png, precision_recall.png")
    names = ("result.csv", "metrics.json", "roc.png", "precision_recall.png")
    tracking.log(params, folder, aurocs(block), "test", files=[folder / name for name in names])


def aurocs(block):
    """AUROC on test by name, for a tracker."""
    each = {f"auroc_{finding}": values["auroc"] for finding, values in block["findings"].items()}
    return {"auroc": block["macro"]["auroc"], **each}


def assess(table, films, params):
    """Metrics of test at thresholds from val, and those thresholds."""
    val, test = (table[table["split"] == split] for split in ("val", "test"))
    rule, replicates = params.evaluation.threshold_rule, params.evaluation.bootstrap_replicates
    return assessment.assess(val, test, films, rule, replicates, params.general.seed)


def fit_ensemble(scored, params):
    """Weights of several members, as thresholds.json holds them; empty where all count alike."""
    if len(scored) == 1 or params.evaluation.ensemble_weights == "equal":
        return {}
    val = {member: table[table["split"] == "val"].reset_index(drop=True) for member, table in scored.items()}
    return {"ensemble": calibration.fit_ensemble(val)}


def compare(family, table, scored, params):
    """The ensemble minus its best member, which is chosen on val; nothing where it has only one."""
    if len(scored) == 1 or not (table["split"] == "test").any():
        return []
    best = comparison.best_on_val(scored)
    first, second = (each[each["split"] == "test"] for each in (table, scored[best]))
    paired = comparison.paired(first, second, params.evaluation.bootstrap_replicates, params.general.seed)
    notes = [f"{best} has the best mean AUROC on val of all members."]
    return [{"first": family, "second": best, **paired, "notes": notes}]


def flips_of(scored, params):
    """How much the members differ, and the flip risk from val beside what happens on test; nothing of one member."""
    splits = {
        name: {member: table[table["split"] == name] for member, table in scored.items()} for name in ("val", "test")
    }
    return flip_risk.of_members(splits["val"], splits["test"], params.evaluation.threshold_rule)


def shortcuts_of(table, without_corners, params):
    """What the scores depend on beside the findings."""
    val, test = (table[table["split"] == split].reset_index(drop=True) for split in ("val", "test"))
    resampling = params.evaluation.bootstrap_replicates, params.general.seed
    blocks = {"source_probe": shortcuts.source_probe(val, test, *resampling)}
    if without_corners is not None and len(test):
        blocks["corners"] = shortcuts.blanked(test, without_corners, *resampling)
    return blocks


def heart_size_of(table, films, settings, params):
    """The cardiothoracic ratio alone beside the model; None where the lung masks have none, or there are no masks."""
    path = settings.lung_masks.with_suffix(".csv")
    if not path.is_file():
        return None
    masks = read_csv(path, "prepare_data.sh", dtype={"image_id": "str"})
    test = table[table["split"] == "test"]
    return shortcuts.heart_size(test, films, masks, params.evaluation.bootstrap_replicates, params.general.seed)


def text(value):
    return "n/a" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    command_line.run(main)
