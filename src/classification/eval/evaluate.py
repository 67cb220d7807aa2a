"""Score val and test with every member, average the members, and say what that is worth.

Reads   DATA_DIR/classification/…, MODELS_DIR/classification/<family>/<member>/model.keras
Writes  MODELS_DIR/classification/<family>/<member>/: predictions.csv, cams.npy (maps of all six findings), metrics.json
        MODELS_DIR/classification/<family>/: predictions.csv, thresholds.json (with operating points and calibration,
        all fitted on val, per source), metrics.json, result.csv (the table), roc.png, precision_recall.png; these two
        also for each source; comparison.json (the ensemble minus its member that is best on val, paired)

The network runs once per film and member; everything after predictions.csv is NumPy and pandas.
"""

import numpy as np

from cxr import comparison, config, evaluation, locks, plots, predictions, tables
from cxr.artifacts import Step, digest, need, write_csv, write_json, written_whole
from cxr.films import load_films
from cxr.parameters import FAMILIES
from cxr.result_table import result_table, result_text


def main(argv=None):
    arguments = config.parser(__doc__)
    arguments.add_argument("family", choices=FAMILIES, help="which family to evaluate")
    arguments = arguments.parse_args(argv)
    settings, params = config.load(arguments)
    family = arguments.family
    locks.hold(settings.family_dir(family), *(settings.member_dir(family, member) for member in params.members(family)))
    scored = {member: score_member(settings, params, family, member) for member in params.members(family)}
    folder, films = settings.family_dir(family), tables.read_images(settings.images_csv)
    table = predictions.average(list(scored.values()))
    predictions.write(table, folder / "predictions.csv")
    for member, one in scored.items():
        block, _ = judge(one, films, params)
        write_json(block, settings.member_dir(family, member) / "metrics.json")
        print(f"{member}: mean AUROC on test {text(block['macro']['auroc'])}")
    block, thresholds = judge(table, films, params)
    write_json(compare(family, table, scored, params), folder / "comparison.json")
    write_json(thresholds, folder / "thresholds.json")
    write_json(block, folder / "metrics.json")
    write_csv(result_table(block), folder / "result.csv")
    test = table[table["split"] == "test"]
    sources = predictions.source(test)
    draw_curves(test, folder, "", family)
    for source in sorted(set(sources)):
        draw_curves(test[sources == source], folder, f"_{source}", f"{family}, {source}")
    print(f"\n{family} on {len(test)} test films of {test['patient_id'].nunique()} patients:\n")
    print(result_text(block))
    if params.tables.split == "image":
        print('WARNING: SPLIT is "image": test patients are in training too; these numbers are too good.')
    print(f"-> {folder / 'metrics.json'}, result.csv, roc.png, precision_recall.png")


def score_member(settings, params, family, member):
    """Predictions and maps of one member, made anew only where model, films or split changed."""
    folder, size = settings.member_dir(family, member), params.input_size(member)
    films, pack = load_films(settings, params, size)
    made_by = f"sh train_{family.capitalize()}.sh"
    need(folder / "run.json", made_by)  # written last: without it the model is of an unfinished run
    model_path = need(folder / "model.keras", made_by)
    predictions_csv, cams_npy = folder / "predictions.csv", folder / "cams.npy"
    step = Step(
        folder / "predictions.json",
        {
            "model": digest(model_path),
            "pack": digest(settings.pack(size).with_suffix(".json")),
            "split": digest(settings.split_csv),
        },
        {"TEST_TIME_AUGMENTATION": params.evaluation.test_time_augmentation, "PRECISION": params.training.precision},
        [predictions_csv, cams_npy],
    )
    if step.is_current():
        print(f"{predictions_csv}: up to date")
        return predictions.read(predictions_csv)
    step.begin()
    # Keras is imported only now: --help, wrong input and an up-to-date step answer at once.
    from cxr import backend, inference, models

    rows = films["split"].isin(["val", "test"]).to_numpy().nonzero()[0]
    print(f"{member}: scoring {len(rows)} films; {backend.start(params)}")
    model = models.load_model(model_path, size, made_by)
    probabilities, maps = inference.score(model, pack, rows, params)
    chosen = films.iloc[rows]
    table = predictions.build(
        chosen["image_id"], chosen["patient_id"], chosen["split"], tables.label_array(chosen), probabilities
    )
    with written_whole(cams_npy) as temporary, open(temporary, "wb") as file:
        np.save(file, maps)
    predictions.write(table, predictions_csv)
    step.finish()
    return table


def judge(table, films, params):
    """Metrics of test at thresholds from val, and those thresholds."""
    val, test = (table[table["split"] == split] for split in ("val", "test"))
    rule, replicates = params.evaluation.threshold_rule, params.evaluation.bootstrap_replicates
    return evaluation.judge(val, test, films, rule, replicates, params.general.seed)


def compare(family, table, scored, params):
    """The ensemble minus its best member, which is chosen on val; nothing where it has only one."""
    if len(scored) == 1:
        return []
    best = comparison.best_on_val(scored)
    first, second = (one[one["split"] == "test"] for one in (table, scored[best]))
    paired = comparison.paired(first, second, params.evaluation.bootstrap_replicates, params.general.seed)
    notes = [f"{best} has the best mean AUROC on val of all members."]
    return [{"first": family, "second": best, **paired, "notes": notes}]


def draw_curves(test, folder, suffix, title):
    truth, probabilities = predictions.arrays(test)
    plots.roc_curves(truth, probabilities, folder / f"roc{suffix}.png", f"{title}, {len(test)} test films")
    plots.precision_recall_curves(
        truth, probabilities, folder / f"precision_recall{suffix}.png", f"{title}, {len(test)} test films"
    )


def text(value):
    return "n/a" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    config.run(main)
