import json
import os

import pytest

from cxr.core import configuration
from cxr.core.artifacts import write_json, write_text
from cxr.core.configuration import InputError
from cxr.core.findings import FINDINGS
from cxr.experiments import planning
from cxr.experiments.planning import begin, plan, variants
from tests.conftest import load_script, settings_in, tiny_params

SOURCES = ("nih", "chexpert")
TINY = {"UNCERTAIN_LABELS": {}, "LUNG_MASKING": "crop"}


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path)


def runs_of(settings, name="protocols", seeds=(1,), **changes):
    return plan(name, settings, tiny_params(**TINY | changes), "tiny", list(seeds))


def finish(run, settings, others=()):
    """What next_run.py and the scripts of a training leave."""
    begin(run, settings, tiny_params(**TINY), list(others))
    write_text("{}", run.results() / "metrics.json")


def test_every_experiment_changes_only_what_it_asks_for():
    params = tiny_params(EPOCHS=5)
    changed = {
        name: {key for keys in variants(name, params, SOURCES).values() for key in keys} for name in planning.NAMES
    }
    assert changed == {
        "protocols": {"SPLIT"},
        "hospitals": {"TRAIN_SOURCES", "EPOCHS"},
        "masking": {"LUNG_MASKING"},
        "labels": {"UNCERTAIN_LABELS"},
    }
    assert variants("hospitals", params, SOURCES)["on nih"] == {"TRAIN_SOURCES": ["nih"], "EPOCHS": 10}
    assert set(variants("labels", params, SOURCES)["zeros"]["UNCERTAIN_LABELS"].values()) == {"negative"}


def test_every_variant_comes_with_the_first_seed_before_the_next(settings):
    planned = [(run.variant, run.seed) for run in runs_of(settings, seeds=[1, 2])]
    assert planned == [("by patient", 1), ("by image", 1), ("by patient", 2), ("by image", 2)]


def test_a_run_that_several_experiments_need_is_one_run(settings):
    base = settings.models_dir / "experiments/tiny/base/seed_1"
    first = {name: runs_of(settings, name) for name in planning.NAMES}
    assert first["protocols"][0].folder == first["hospitals"][0].folder == first["masking"][1].folder == base
    folders = [run.folder for runs in first.values() for run in runs if run.folder != base]
    assert len(folders) == len(set(folders)) == 8


def test_the_files_of_a_run_say_the_variant_the_seed_and_one_member(settings):
    run = runs_of(settings, seeds=[7], ENSEMBLE_MEMBERS=["tiny", "xception"], XCEPTION_INPUT_SIZE=96)[1]
    begin(run, settings, tiny_params(**TINY), [])
    own, params = run.loaded()
    assert (params.tables.split, params.general.seed, params.members("ensemble")) == ("image", 7, ("tiny",))
    assert params.pack_sizes() == (32,)
    assert own.dataset_dir == settings.dataset_dir
    assert json.loads((run.folder / "SETTINGS.json").read_text())["DATASET_CHEXPERT_TRAIN_CSV_DIR"] == ""
    assert own.data_dir == run.folder / "data"
    assert own.family_dir("ensemble") == run.results()


def test_what_overrides_one_member_is_in_force_for_its_runs(settings):
    run = runs_of(settings, "hospitals", MEMBER_OVERRIDES={"tiny": {"EPOCHS": 4}})[1]
    assert (run.params["EPOCHS"], run.params["MEMBER_OVERRIDES"]) == (8, {})


def test_a_wrong_parameter_of_a_variant_is_refused_before_anything_runs(settings):
    with pytest.raises(InputError, match="protocols, by patient: SEED: Input should be greater than or equal to 0"):
        runs_of(settings, seeds=[-1])


def test_a_run_is_finished_by_its_metrics_and_only_with_its_own_parameters(settings):
    run, _ = runs_of(settings)
    assert not run.is_finished()
    finish(run, settings)
    assert run.is_finished()
    changed, _ = runs_of(settings, LEARNING_RATE=0.5)
    assert not changed.is_finished()
    begin(changed, settings, tiny_params(**TINY), [])
    assert not changed.is_finished()
    assert not run.is_finished(), "the old metrics are of other parameters"


def test_a_run_of_an_older_version_stays_finished_where_its_missing_keys_are_at_their_defaults(settings):
    run, _ = runs_of(settings)
    finish(run, settings)
    older = dict(run.params)
    assert older.pop("MAP_METHOD") == "hirescam"
    assert older.pop("TRACKING") == ""
    write_text(json.dumps(older | {"TENSORBOARD": True}), run.folder / "PARAMS.json")
    assert run.is_finished()
    changed, _ = runs_of(settings, MAP_METHOD="layercam")
    assert not changed.is_finished()


def test_files_of_a_run_that_were_changed_by_hand_are_written_anew(settings):
    run, _ = runs_of(settings)
    finish(run, settings)
    (run.folder / "PARAMS.json").write_text('{"EPOCHS": ')
    assert not run.is_finished()
    begin(run, settings, tiny_params(**TINY), [])
    assert run.loaded()[1].training.epochs == 1
    assert not run.is_finished()


def test_all_runs_share_the_u_net(settings):
    for run in runs_of(settings):
        begin(run, settings, tiny_params(**TINY), [])
        assert run.loaded()[0].unet.resolve() == settings.unet.resolve()
        begin(run, settings, tiny_params(**TINY), [])  # again after an interruption


def test_what_is_prepared_is_linked_from_the_most_similar_finished_run(settings):
    none, crop, loose, _ = runs_of(settings, "masking")
    for run in (none, crop):
        finish(run, settings)
        write_text(run.variant, run.folder / "data/classification/images_32.npy")
        write_text(run.variant, run.folder / "data/classification/.cxr-part7.images_32.npy")
    same = runs_of(settings, seeds=[2])[1]  # cropped, but for its split and seed
    begin(same, settings, tiny_params(**TINY), [none, crop, loose])
    linked = same.folder / "data/classification/images_32.npy"
    assert linked.read_text() == "crop"
    assert os.path.samefile(linked, crop.folder / "data/classification/images_32.npy")
    assert [path.name for path in linked.parent.iterdir()] == ["images_32.npy"]
    write_text("new", linked)  # as every step writes
    assert (crop.folder / "data/classification/images_32.npy").read_text() == "crop"


def test_the_first_run_takes_what_prepare_data_made_already_but_no_raw_films(settings):
    write_text("table", settings.images_csv)
    write_text("a film", settings.classification / "dataset/film.png")
    run, _ = runs_of(settings)
    begin(run, settings, tiny_params(**TINY), [])
    assert [str(path.relative_to(run.folder)) for path in (run.folder / "data").rglob("*") if path.is_file()] == [
        "data/classification/images.csv"
    ]


def test_next_run_prints_the_folder_of_one_run_at_a_time_and_then_nothing(settings, tmp_path, capsys):
    (tmp_path / "PARAMS.json").write_text(json.dumps(json.loads(json.dumps(tiny_params(**TINY).flat()))))
    files = ["--settings", str(tmp_path / "SETTINGS.json"), "--params", str(tmp_path / "PARAMS.json")]
    script = load_script("src/experiments/next_run.py")
    for run in runs_of(settings):
        for _ in range(2):  # an unfinished run stays the next one
            script.main(["protocols", "--member", "tiny", "--seeds", "1", *files])
            assert capsys.readouterr().out == f"{run.folder}\n"
        write_text("{}", run.results() / "metrics.json")
    script.main(["protocols", "--member", "tiny", "--seeds", "1", *files])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "protocols: 2 of 2 runs are finished" in printed.err


NIH_TABLE = """Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position
00000001_000.png,Edema,0,1,58,M,PA
"""
PATHS = {name: f"CheXpert-v1.0-small/{name}/patient00001/study1/view1_frontal.jpg" for name in ("train", "valid")}


def of_films(folder, name, **labels):
    """SETTINGS of one NIH film and, with labels, one CheXpert film of the folder ``name``."""
    settings = settings_in(folder)
    (folder / "raw/images").mkdir(parents=True)
    (folder / "raw/Data_Entry_2017.csv").write_text(NIH_TABLE)
    (folder / "raw/images/00000001_000.png").write_text("a film")
    if not labels:
        return settings
    columns = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FINDINGS, "Pleural Effusion"]
    row = [PATHS[name], "Male", "50", "Frontal", "AP", *(labels.get(finding, "0.0") for finding in FINDINGS), "0.0"]
    (folder / f"raw/{name}.csv").write_text(f"{','.join(columns)}\n{','.join(row)}\n")
    film = folder / "raw" / PATHS[name]
    film.parent.mkdir(parents=True)
    film.write_text("a film")
    keys = json.loads((folder / "SETTINGS.json").read_text())
    key = {"train": "DATASET_CHEXPERT_TRAIN_CSV_DIR", "valid": "DATASET_CHEXPERT_VAL_CSV_DIR"}[name]
    (folder / "SETTINGS.json").write_text(json.dumps(keys | {key: f"raw/{name}.csv"}))
    return configuration.load_settings(folder / "SETTINGS.json")


def planned(settings, name):
    arguments = planning.parser("").parse_args([name, "--member", "tiny", "--seeds", "1"])
    return planning.planned(arguments, settings, tiny_params(**TINY, TEST_FRACTION=0.0))


def test_hospitals_are_not_compared_where_only_one_is_used(tmp_path):
    settings = of_films(tmp_path, "train")
    with pytest.raises(InputError, match=r"SETTINGS.json names tables of NIH only.*CheXpert: DATASET_CHEXPERT"):
        planned(settings, "hospitals")
    assert len(planned(settings, "protocols")) == 2


def test_hospitals_are_not_compared_where_all_films_of_one_are_held_out(tmp_path):
    settings = of_films(tmp_path, "valid", Edema="1.0")
    with pytest.raises(InputError, match=r"all 1 films of CheXpert on disk are held out for the test"):
        planned(settings, "hospitals")


def test_hospitals_are_compared_where_each_has_films_to_train_on(tmp_path):
    settings = of_films(tmp_path, "train", Edema="1.0")
    assert [run.variant for run in planned(settings, "hospitals")] == ["on both", "on nih", "on chexpert"]


@pytest.mark.parametrize(("name", "label"), [("train", "1.0"), ("valid", "-1.0")])
def test_labels_are_not_compared_where_no_label_is_uncertain(tmp_path, name, label):
    settings = of_films(tmp_path, name, Edema=label)
    with pytest.raises(InputError, match=r"no film on disk of NIH, CheXpert has one .* all variants would be the same"):
        planned(settings, "labels")


def test_labels_are_compared_where_one_is_uncertain_and_nothing_is_read_once_a_run_is_finished(tmp_path):
    settings = of_films(tmp_path, "train", Edema="-1.0")
    runs = planned(settings, "labels")
    assert len(runs) == 3
    finish(runs[0], settings)
    (tmp_path / "raw" / PATHS["train"]).unlink()
    assert len(planned(settings, "labels")) == 3


def test_after_a_run_it_is_told_how_long_the_others_take(settings):
    runs = runs_of(settings, seeds=[1, 2])
    assert planning.time_left(runs, "tiny") == ""
    finish(runs[0], settings)
    write_json({"seconds": 600.0}, runs[0].results() / "tiny" / "run.json")
    assert planning.time_left(runs, "tiny") == "; training the other 3 takes about 30 min on this machine"
