"""What was tried against the promises of docs/security.md: each attack with what it must say and leave behind."""

import gzip
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import pytest

from cxr.core import artifacts, configuration, locks
from cxr.core.artifacts import digest
from cxr.core.errors import FilmError, InputError
from cxr.core.own_files import RECORD, OwnFiles
from cxr.imaging import decoding, dicom_header
from cxr.new_films import bundles
from cxr.report import overlays
from cxr.tables.finding_columns import read_name
from cxr.tables.raw_tables import read_raw_csv
from cxr.training import run_records
from tests.classification.test_predict import arguments, evaluated, exported, film, predict, read, write_dicom
from tests.conftest import PROJECT, load_script

__all__ = ["evaluated", "exported"]  # fixtures: a family of one tiny network, and its bundle
PACKAGES = ("numpy", "pandas", "cv2", "keras", "tensorflow", "cxr", "pydantic", "matplotlib", "tqdm", "sitecustomize")
FILES = ("predictions.csv", "problems.csv", "report.html", "run.json")


def snapshot(*folders: Path) -> dict[Path, bytes | str]:
    """Everything below folders: files with their content, links with where they lead."""
    found = {path for folder in folders for path in folder.rglob("*")}
    return {
        path: os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else "" for path in found
    }


# Code of the current folder


@pytest.fixture
def trapped(tmp_path):
    """A folder of films, named by SETTINGS.json, in which every module's name is taken; each leaves a mark when run."""
    folder, marks = tmp_path / "data", tmp_path / "marks"
    folder.mkdir()
    marks.mkdir()
    for name in (*sys.stdlib_module_names, *PACKAGES):
        (folder / f"{name}.py").write_text(f"open({str(marks / name)!r}, 'w')\n")
    rows = ["Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"]
    for number in range(13):
        assert cv2.imwrite(str(folder / f"{number:08d}_000.png"), film(number))
        rows.append(f"{number:08d}_000.png,No Finding,0,{number},50,M,PA")
    (folder / "Data_Entry_2017.csv").write_text("\n".join(rows))
    keys = {"DATASET_DIR": ".", "DATASET_CSV_DIR": "Data_Entry_2017.csv", "DATA_DIR": "../a", "MODELS_DIR": "../a",
            "DATASET_CHEXPERT_TRAIN_CSV_DIR": "", "DATASET_CHEXPERT_VAL_CSV_DIR": ""}  # fmt: skip
    (folder / "SETTINGS.json").write_text(json.dumps(keys))
    (folder / "PARAMS.json").write_text('{"WORKERS": 2, "LUNG_FILMS": "real"}')  # the U-Net's first step stops it
    return folder, marks


def call(folder, *command, **variables) -> subprocess.CompletedProcess:
    names = ("PYTHONSAFEPATH", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"PYTHON": sys.executable} | variables
    return subprocess.run([*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_trap_is_one(trapped):
    folder, marks = trapped
    call(folder, sys.executable, "-c", "import contextlib, types", PYTHONPATH="")
    assert {path.name for path in marks.iterdir()} & {"contextlib", "linecache"}  # Python 3.13 itself needs the latter


GIVEN = ("--settings", "SETTINGS.json", "--params", "PARAMS.json")
CALLS = {  # each ends soon: after a check, with --help, or with an error of its own input
    "check_data.sh": GIVEN,  # reads the films in processes of their own
    "prepare_data.sh": GIVEN,
    "train_Ensemble.sh": GIVEN,  # starts TensorFlow
    "predict.sh": (*GIVEN, "."),
    "serve.sh": (".",),
    "experiment.sh": ("protocols", *GIVEN),
    "on_machines.sh": ("localhost", "--", "sh", PROJECT / "train_Ensemble.sh", "--help"),
}
INSTALLING = {"run_demo.sh": "--quick", "run_experiments.sh": "--version", "run_tests.sh": "--version"}


@pytest.mark.parametrize("name", CALLS)
def test_no_shell_script_runs_code_of_the_current_folder_or_of_the_films(trapped, name):
    folder, marks = trapped
    result = call(folder, "sh", PROJECT / name, *CALLS[name])
    assert result.returncode in (0, 2), result.stderr
    assert "This is a bug" not in result.stderr
    assert list(marks.iterdir()) == []


ALIKE = sorted({path.name for path in PROJECT.glob("*.sh")} - {*CALLS, *INSTALLING})


@pytest.mark.parametrize("name", ALIKE)
def test_the_others_start_python_as_these_do(tmp_path, name):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] || echo "$PYTHONSAFEPATH $PYTHONPATH"\n')
    python.chmod(0o755)
    result = call(tmp_path, "sh", PROJECT / name, PYTHON=str(python), PYTHONPATH=f".:{tmp_path}/a:")
    assert {*result.stdout.splitlines()} == {f"1 {PROJECT}/src:{tmp_path}/a"}, result.stderr


@pytest.mark.parametrize("name", INSTALLING)
def test_neither_do_those_that_install_first(trapped, tmp_path, name):
    folder, marks = trapped
    here, environment = tmp_path / "clone", tmp_path / "environment"
    for part in ("src", "demo", "experiments"):
        shutil.copytree(PROJECT / part, here / part, ignore=shutil.ignore_patterns("data", "models", "__pycache__"))
    for part in ("src", "demo", "demo/quick", "experiments"):
        (here / part / "SETTINGS.json").write_text("{")  # the first step stops there
    shutil.copy(PROJECT / "requirements.txt", here)
    shutil.copy(PROJECT / name, here)
    (environment / "bin").mkdir(parents=True)
    shutil.copy(PROJECT / "requirements.txt", environment / ".cxr-requirements")  # nothing to install
    python = f'#!/bin/sh\ncase "$1 $2" in "-m pip") exit ;; esac\nexec {sys.executable} "$@"\n'
    for tool, text in (("python", python), ("ruff", "#!/bin/sh\n")):
        (environment / "bin" / tool).write_text(text)
        (environment / "bin" / tool).chmod(0o755)
    path = f"{environment / 'bin'}:{os.environ['PATH']}"
    result = call(folder, "sh", here / name, INSTALLING[name], VIRTUAL_ENV=str(environment), PATH=path)
    assert "SETTINGS.json: not valid JSON" in result.stderr or result.stdout.startswith("pytest"), result.stderr
    assert list(marks.iterdir()) == []


@pytest.mark.parametrize(("given", "used"), [("", ""), (":/a", ":/a"), ("/a::/b:", ":/a:/b"), (".:/a:b", ":/a")])
def test_what_pythonpath_names_in_the_current_folder_is_left_out(tmp_path, given, used):
    line = f'here={PROJECT}; . "$here/src/python_path.sh"; . "$here/src/python_path.sh"; echo "$PYTHONPATH"'
    assert call(tmp_path, "sh", "-euc", line, PYTHONPATH=given).stdout == f"{PROJECT}/src{used}\n"


def test_the_workers_of_a_prediction_run_none_either(trapped, exported, tmp_path):
    folder, marks = trapped
    command = ["sh", PROJECT / "predict.sh", "--bundle", exported, "--out", tmp_path / "out", "--limit", "1", "."]
    result = call(folder, *command, PYTHONPATH=":/nowhere::")
    assert "13 films predicted, 0 not" in result.stdout, result.stderr
    assert list(marks.iterdir()) == []


def test_a_script_that_is_called_by_hand_and_its_workers_run_none(trapped):
    folder, marks = trapped
    command = [sys.executable, PROJECT / "src/checks/check_data.py", *GIVEN]
    result = call(folder, *command, PYTHONPATH=str(PROJECT / "src"))
    assert "unreadable or unfit: 0" in result.stdout, result.stderr
    assert list(marks.iterdir()) == []


# Files of the user's in --out


@pytest.fixture
def one(tmp_path):
    """A film, and a folder beside it that is the user's, with a thesis in it."""
    assert cv2.imwrite(str(tmp_path / "film.png"), film(1))
    (tmp_path / "user").mkdir()
    (tmp_path / "user/thesis.txt").write_text("mine")
    return tmp_path / "film.png", tmp_path / "user"


def test_what_only_looks_like_ours_stays(one, exported):
    path, user = one
    (user / "overlays").mkdir()
    mine = [".partner-data", ".partial-download.zip", ".part1.rar", ".lock", "notes.csv", "overlays/mine.png"]
    for name in mine:
        (user / name).write_text("mine")
    before = snapshot(user)
    for _ in range(2):
        predict(path, f"--out={user}", f"--bundle={exported}")
        assert snapshot(user).items() >= before.items()
    assert len(read(user)) == 1


@pytest.mark.parametrize("name", FILES)
def test_a_folder_with_a_result_that_no_run_of_ours_made_is_refused_and_left_as_it_is(one, exported, name):
    path, user = one
    (user / name).write_text("overlay\nx/..\n../thesis.txt\n")
    before = snapshot(user)
    with pytest.raises(InputError, match=rf"{name}: is there, and no run of ours made it.*: move it away, or give"):
        predict(path, f"--out={user}", f"--bundle={exported}")
    assert snapshot(user) == before


def test_a_link_in_the_place_of_a_lock_a_result_or_a_folder_is_not_followed(one, exported, tmp_path):
    path, user = one
    out = tmp_path / "out"
    for name, target in ((locks.LOCK, "thesis.txt"), ("run.json", "thesis.txt"), ("overlays", ".")):
        out.mkdir()
        (out / name).symlink_to(user / target)
        before = snapshot(tmp_path)
        with pytest.raises(InputError, match=rf"{name}: is (a link|no lock of ours|there, and no run of ours made it)"):
            predict(path, f"--out={out}", f"--bundle={exported}")
        left = {place: content for place, content in snapshot(tmp_path).items() if place.name != locks.LOCK}
        assert left == {place: content for place, content in before.items() if place.name != locks.LOCK}
        shutil.rmtree(out)
        locks._held.pop(out, None)


def test_a_record_of_somebody_else_makes_nothing_ours(one, exported):
    path, user = one
    (user / "overlays").mkdir()
    (user / "overlays/link.png").symlink_to(user / "thesis.txt")
    names = ["thesis.txt", "../film.png", str(path), "overlays/../thesis.txt", "overlays/link.png", 7, "overlays", ""]
    (user / RECORD).write_text(json.dumps({"made": names}))
    before = {place: content for place, content in snapshot(user.parent).items() if place.name != RECORD}
    predict(path, f"--out={user}", f"--bundle={exported}")
    assert snapshot(user.parent).items() >= before.items()
    for content in ("[" * 200_000, "[]", '{"made": 3}', '{"made": NaN}'):
        (user / RECORD).write_text(content)
        with pytest.raises(InputError, match=r"is there, and no run of ours made it"):
            predict(path, f"--out={user}", f"--bundle={exported}")


def test_what_a_killed_run_drew_and_did_not_list_is_swept_by_its_record(one, exported, tmp_path):
    path, _ = one
    out = tmp_path / "out"
    OwnFiles(out, [*FILES, "overlays/killed_0123456789.png"])
    (out / "overlays").mkdir()
    for name in ("killed_0123456789.png", f"{locks.PART}7.half.png", "mine.png"):
        (out / "overlays" / name).write_text("")
    predict(path, f"--out={out}", f"--bundle={exported}")
    assert set((out / "overlays").iterdir()) == {out / read(out)["overlay"].item(), out / "overlays/mine.png"}


def test_a_file_in_the_place_of_the_folder_is_said(one, exported):
    path, user = one
    with pytest.raises(InputError, match=r"thesis.txt: expected a folder to write into; there is a file"):
        predict(path, f"--out={user / 'thesis.txt'}", f"--bundle={exported}")
    assert (user / "thesis.txt").read_text() == "mine"


def test_pictures_of_earlier_runs_are_no_films(one, exported, tmp_path, monkeypatch, capsys):
    path, _ = one
    monkeypatch.chdir(tmp_path)
    predict(path, "--out=first", f"--bundle={exported}")
    predict(".", "--out=second", f"--bundle={exported}")
    assert read(tmp_path / "second")["filename"].tolist() == ["film.png"]
    assert ", 1 pictures that earlier runs made" in capsys.readouterr().out


def test_with_a_umask_nobody_else_may_read_what_is_made(one, exported, tmp_path):
    path, _ = one
    usual = os.umask(0o077)
    try:
        predict(path, f"--out={tmp_path / 'out'}", f"--bundle={exported}")
    finally:
        os.umask(usual)
    made = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert len(made) > len(FILES)
    assert [place for place in made if place.stat().st_mode & 0o077] == []


def scores(folder, out, *names: str) -> None:
    """Score a table of 60 films that lies in a folder under each of these names."""
    rows = [f"film{n}.png,p{n},0.{n % 9 + 1},{n % 2}" for n in range(60)]
    (folder / "PARAMS.json").write_text('{"BOOTSTRAP_REPLICATES": 0}')
    (folder / "SETTINGS.json").write_text('{"DATASET_CSV_DIR": "", "DATASET_CHEXPERT_TRAIN_CSV_DIR": ""}')
    for name in names:
        (folder / name).write_text("\n".join(["image,patient,prob_Edema,Edema_true", *rows]))
    given = [*(str(folder / name) for name in names), f"--out={out}"]
    files = [f"--{key}={folder / key.upper()}.json" for key in ("params", "settings")]
    load_script("src/classification/eval/score_predictions.py").main([*given, *files])


@pytest.mark.parametrize("name", ["metrics.json", "comparison.json", "roc.png"])
def test_scores_replace_no_file_of_the_users_either(one, tmp_path, name):
    _, user = one
    (user / name).write_text("mine")
    before = snapshot(user)
    with pytest.raises(InputError, match=rf"{name}: is there, and no run of ours made it"):
        scores(tmp_path, user, "mine.csv")
    assert snapshot(user) == before


def test_no_name_of_a_file_of_predictions_leads_out_of_the_folder_or_is_more_than_a_name(tmp_path):
    out, odd = tmp_path / "in/out", ("<img src=x onerror=a>.csv", "$\\frac{$.csv", "a\n\x1b[1m.csv", "=1.csv")
    scores(tmp_path, out, "...csv", "..csv", ".csv", *odd)
    folders = {"...csv", "..csv", ".csv", *(name.removesuffix(".csv") for name in odd)}
    assert {path.name for path in out.iterdir() if path.is_dir()} == folders
    assert list(out.parent.iterdir()) == [out]
    assert "<img src=x" not in "".join(path.read_text() for path in out.glob("*/report.html"))


def test_the_masks_of_films_replace_no_file_of_the_users(evaluated, one, tmp_path):
    folder, _ = evaluated
    path, user = one
    (user / "film.png").write_bytes(path.read_bytes())
    script = load_script("src/segmentation/predict.py")
    for name in ("masks.csv", "masks/film.png", "not_accepted/film.png", "overlays/film.png"):
        out = tmp_path / name.replace("/", "-")
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text("mine")
        before = snapshot(out)
        with pytest.raises(InputError, match=rf"{name}: is there, and no run of ours made it"):
            script.main([*arguments(folder), str(user), f"--out={out}"])
        assert snapshot(out) == before
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/masks").symlink_to(user)
    with pytest.raises(InputError, match="masks: is a link; nothing is written where it leads"):
        script.main([*arguments(folder), str(user), f"--out={tmp_path / 'linked'}"])
    before = snapshot(user)
    for _ in range(2):  # the second time its pictures, which lie among the films, are none
        script.main([*arguments(folder), str(user), f"--out={user}"])
        assert snapshot(user).items() >= before.items()
    made = [path for place in ("masks", "not_accepted") for path in (user / place).glob("*")]
    assert [path.name for path in made] == ["film.png"]


def test_tables_of_an_experiment_replace_no_file_of_the_users(one, tmp_path):
    _, user = one
    for name in ("SETTINGS", "PARAMS"):
        (tmp_path / f"{name}.json").write_text("{}")
    given = ["masking", *(f"--{name.lower()}={tmp_path / name}.json" for name in ("SETTINGS", "PARAMS"))]
    table, next_run = (load_script(f"src/experiments/{name}.py").main for name in ("table", "next_run"))
    (user / "v1.json").write_text("mine")
    with pytest.raises(InputError, match=r"v1.json: is there, and no run of ours made it"):
        table([*given, f"--out={user / 'v1.md'}"])
    table([*given, f"--out={user / 'v1.2'}"])
    assert {path.name for path in user.iterdir()} == {
        "thesis.txt",
        "v1.json",
        "v1.2.md",
        "v1.2.json",
        locks.LOCK,
        RECORD,
    }
    # Results that were copied with all that links lead to; and a link to nothing.
    copied = tmp_path / "models/experiments/densenet169/masking_none/seed_1/models/segmentation"
    copied.mkdir(parents=True)
    (copied / "mine.txt").write_text("mine")
    next_run(given)
    assert (copied / "mine.txt").exists()
    assert not copied.is_symlink()
    shutil.rmtree(tmp_path / "models/experiments")
    (tmp_path / "models/experiments").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="experiments: expected a folder to write into; there is a file, or a link"):
        table(given)


def test_what_is_not_ours_beside_pictures_and_backups_stays(tmp_path):
    family, member = tmp_path / "family", tmp_path / "member"
    mine = ["gradcam/notes.txt", "gradcam/Edema/nih/read.csv"]
    ours = ["gradcam/made_from.json", "gradcam/overview_Edema.png", "gradcam/Edema/nih/1.png", "gradcam/Mass/nih/1.png"]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/film.png").write_text("mine")
    for name in (*mine, *ours):
        (family / name).parent.mkdir(parents=True, exist_ok=True)
        (family / name).write_text("")
    (family / "gradcam/link").symlink_to(tmp_path / "elsewhere")
    overlays.remove_overlays(family)
    assert (tmp_path / "elsewhere/film.png").exists()
    left = {path.relative_to(family).as_posix() for path in family.rglob("*") if path.is_file()}
    assert left - {"gradcam/link/film.png"} == set(mine)
    for name in ("backup", locks.BACKUP):
        (member / name).mkdir(parents=True)
        (member / name / "state.json").write_text("mine")
    (member / "model.keras").write_text("")
    run_records.finish(member, {})
    assert {path.name for path in member.iterdir()} == {"backup", "model.keras", "run.json"}


WATCH = """
import os, runpy, sys
DELETING = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
seen = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def watch(event, words):
    changes = event == "open" and isinstance(words[2], int) and words[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if changes or event in DELETING:
        inside = event in ("os.remove", "os.rmdir") and words[1] != -1  # relative to a folder that is open
        folder = os.readlink(f"/proc/self/fd/{words[1]}") if inside else os.getcwd()
        for word in words[: 2 if event == "os.rename" else 1]:
            if isinstance(word, (str, bytes, os.PathLike)):
                os.write(seen, os.path.abspath(os.path.join(os.fsencode(folder), os.fsencode(word))) + b"\\n")
sys.addaudithook(watch)
script, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_path(script, run_name="__main__")
"""


def test_nothing_outside_the_folder_of_out_is_opened_for_writing(one, exported, tmp_path):
    path, user = one
    for name in ("temporary", "home"):
        (tmp_path / name).mkdir()
    before = snapshot(user, exported)
    variables = {"SEEN": str(tmp_path / "seen"), "TMPDIR": str(tmp_path / "temporary"), "HOME": str(tmp_path / "home"),
                 "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(PROJECT / "src")}  # fmt: skip
    command = [sys.executable, "-c", WATCH, PROJECT / "src/classification/predict.py", "--bundle", exported]
    result = call(user, *command, "--out", "out", path, **variables)
    assert result.returncode == 0, result.stderr
    written = {Path(line) for line in (tmp_path / "seen").read_text().splitlines()}
    assert user / "out/predictions.csv" in written
    allowed = {user / "out", tmp_path / "temporary", tmp_path / "home"}  # Matplotlib lists the fonts at home
    outside = {place for place in written if not allowed & {place, *place.parents}}
    assert outside <= {Path("/dev/null"), Path("/dev/tty")}
    assert snapshot(user, exported).items() >= before.items()


# Bundles


def spoilt(bundle: Path, name: str, change) -> None:
    """Change the content of a bundle's JSON file, and write new digests as somebody would who means harm."""
    content = change(json.loads((bundle / name).read_text()))
    (bundle / name).write_text(content if isinstance(content, str) else json.dumps(content))
    if name != bundles.DIGESTS:
        digests = json.loads((bundle / bundles.DIGESTS).read_text())
        (bundle / bundles.DIGESTS).write_text(json.dumps(digests | {name: digest(bundle / name)}))


def setting(*keys, to):
    """A change of JSON content: the value under these keys, or with ``to`` None none."""

    def change(content):
        inside = content
        for key in keys[:-1]:
            inside = inside[key]
        if to is None:
            del inside[keys[-1]]
        else:
            inside[keys[-1]] = to
        return content

    return change


E, NAN = "Edema", float("nan")
FLIPS = {"variance": {}, "from": [0.0], "flips": [0.5], "thresholds": {}}
SPOILT = [
    ("metadata.json", setting("family", to=None), "metadata.json: family: Field required"),
    ("metadata.json", setting("family", to="../x"), "metadata.json: family: Input should be 'ensemble'"),
    ("metadata.json", setting("name", to="\x1b[31mred"), "metadata.json: name: expected one line of text"),
    ("metadata.json", lambda _: "[" * 200_000, "metadata.json: cannot be read as JSON"),
    ("metadata.json", lambda _: "[]", "metadata.json: expected a JSON object, found list"),
    ("PARAMS.json", lambda _: "[" * 200_000, "PARAMS.json: not valid JSON"),
    ("thresholds.json", lambda _: {}, "thresholds.json: rule: Field required"),
    ("thresholds.json", setting("findings", to={}), "thresholds.json: nothing pooled of Consolidation"),
    ("thresholds.json", setting("findings", E, "pooled", to=None), "thresholds.json: nothing pooled of Edema"),
    ("thresholds.json", setting("findings", E, "pooled", "threshold", to="0.5"), "Edema.pooled.threshold: Input"),
    ("thresholds.json", setting("findings", E, "pooled", "threshold", to=NAN), "as JSON: NaN is no JSON"),
    ("thresholds.json", setting("calibration", to=None), "thresholds.json: calibration: Field required"),
    ("thresholds.json", setting("calibration", "findings", E, "pooled", "slope", to="x"), "Edema.pooled.slope: Input"),
    ("reference.json", setting("distance", "cut", to=NAN), "reference.json: cannot be read as JSON: NaN is no JSON"),
    ("reference.json", setting("distance", "noise", to=0), "distance.noise: Input should be greater than 0"),
    ("reference.json", setting("distance", "mean", to=[1.0]), "distance.mean: List should have at least 256 items"),
    ("reference.json", setting("distance", "variances", to=[]), "distance: expected a variance for each of the"),
    ("reference.json", setting("mean_maps", "tiny", "pooled", to=[[[1.0]]]), "mean_maps.tiny: expected 6 maps"),
    ("reference.json", setting("made_from", "parameters", "heat", to="half of the peak"), "rule 'half of the peak'"),
    ("reference.json", setting("mean_maps", "tiny", "pooled", to=[[[1.0], []]]), "mean_maps.tiny.pooled: "),
    ("reference.json", setting("mean_maps", "tiny", "pooled", to=[]), "mean_maps.tiny.pooled: expected maps of one"),
    ("reference.json", setting("made_from", to=None), "reference.json: made_from: Field required"),
    ("reference.json", lambda c: json.dumps(c).replace('"cut": ', '"cut": 1e999, "x": '), "distance.cut: .* finite"),
    ("reference.json", setting("flips", to=FLIPS | {"flips": [2.0]}), "flips.flips.0: Input should be less than or"),
    ("reference.json", setting("flips", to=FLIPS | {"from": [1.0]}), "flips: expected distances from 0 upwards"),
    ("thresholds.json", setting("ensemble", to={"findings": {E: {"weights": {"tiny": -1.0}}}}),
     "thresholds.json: ensemble.findings.Edema.weights.tiny: Input should be greater than or equal to 0"),
    ("thresholds.json", setting("ensemble", to={"findings": {E: {"weights": {"other": 1.0}}}}),
     "thresholds.json: ensemble.findings.Edema.weights: expected one for each member, 1 together"),
    ("reference.json", setting("flips", to=FLIPS), "reference.json: flips: nothing pooled of tiny"),
    ("digests.json", lambda _: {}, "digests.json: does not list PARAMS.json"),
    ("digests.json", setting("models/unet.keras", to=None), "digests.json: does not list models/unet.keras"),
    ("digests.json", setting("models/tiny.keras", to=None), "digests.json: does not list models/tiny.keras"),
    ("digests.json", setting("/proc/kmsg", to="x"), "'/proc/kmsg' is no file of the bundle"),
    ("digests.json", setting("../other", to="x"), "'../other' is no file of the bundle"),
    ("digests.json", setting("pipe", to="x"), "pipe: is missing from the bundle, or a link"),
    ("digests.json", setting("link", to="x"), "link: is missing from the bundle, or a link"),
    ("digests.json", setting("models", to="x"), "models: is missing from the bundle, or a link"),
    ("digests.json", lambda _: "[" * 200_000, "digests.json: cannot be read as JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "said"), SPOILT, ids=[row[2] for row in SPOILT])
def test_a_bundle_is_refused_before_anything_is_written(one, exported, tmp_path, name, change, said):
    path, _ = one
    bundle = shutil.copytree(exported, tmp_path / "bundle")
    os.mkfifo(bundle / "pipe")
    (bundle / "link").symlink_to("/proc/kmsg")
    spoilt(bundle, name, change)
    with pytest.raises(InputError, match=said):
        predict(path, f"--out={tmp_path / 'out'}", f"--bundle={bundle}")
    assert not (tmp_path / "out").exists()


def test_mean_maps_of_another_grid_than_the_networks_are_refused(one, exported, tmp_path):
    """NumPy would spread one place over all, or raise its own words."""
    path, _ = one
    bundle = shutil.copytree(exported, tmp_path / "bundle")
    spoilt(bundle, "reference.json", setting("mean_maps", "tiny", to={"pooled": [[[1.0]]] * 6}))
    with pytest.raises(InputError, match=r"mean_maps.tiny have \(1, 1\) places, the network's maps \("):
        predict(path, f"--out={tmp_path / 'out'}", f"--bundle={bundle}")
    assert not (tmp_path / "out/predictions.csv").exists()


@pytest.mark.parametrize("kind", ["a file more", "a file changed", "a link", "a link to a folder", "the bundle a link"])
def test_export_replaces_a_bundle_and_nothing_else(evaluated, exported, tmp_path, kind):
    folder, _ = evaluated
    there = tmp_path / "bundles/ensemble"
    shutil.copytree(exported, tmp_path / "elsewhere" if kind == "the bundle a link" else there)
    make = {
        "a file more": lambda: (there / "models/thesis.txt").write_text("mine"),
        "a file changed": lambda: (there / "MODEL_CARD.md").write_text("mine"),
        "a link": lambda: (there / "thesis.txt").symlink_to(tmp_path),
        "a link to a folder": lambda: (there / "films").symlink_to(tmp_path),
        "the bundle a link": lambda: (there.parent.mkdir(), there.symlink_to(tmp_path / "elsewhere")),
    }
    make[kind]()
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=r"is no file of the bundle there|is there and no bundle; it is not replaced"):
        load_script("src/classification/export.py").main([*arguments(folder), f"--out={there.parent}", "--no-onnx"])
    left = {place: content for place, content in snapshot(tmp_path).items() if place.name != locks.LOCK}
    assert left == before


@pytest.mark.parametrize("content", ["{", "{}", "[" * 200_000, '{"changelog": 3}'])
def test_a_spoilt_bundle_is_named_when_it_is_to_be_replaced(evaluated, exported, tmp_path, content):
    folder, _ = evaluated
    there = shutil.copytree(exported, tmp_path / "ensemble")
    (there / "metadata.json").write_text(content)
    with pytest.raises(InputError, match=r"metadata.json: .*once that file is removed"):
        load_script("src/classification/export.py").main([*arguments(folder), f"--out={tmp_path}", "--no-onnx"])


# What reaches a terminal or a spreadsheet


def test_nothing_printed_moves_a_terminal(tmp_path):
    printed = "print('\\x1b[2J흉부\\r\\u202e\\tx'); print('\\x9b31m\\r50%', file=sys.stderr)"
    code = f"import sys\nfrom cxr.core import command_line\ndef main(): {printed}\ncommand_line.run(main)"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
    assert result.stdout.decode() == "\\x1b[2J흉부\\r\\u202e\tx\n"
    assert result.stderr.decode() == "\\x9b31m\r50%\n"


def test_no_name_of_a_file_is_a_formula_in_what_people_open(exported, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["=HYPERLINK(1).png", "+1.png", "@a.png", "-1.png"]
    for name in names:
        Path(name).write_bytes(cv2.imencode(".png", film(1))[1].tobytes())
        Path(name).with_suffix(".jpg").write_text("no film")
    predict("--out=out", f"--bundle={exported}", ".")
    for table in ("predictions.csv", "problems.csv"):
        cells = [line.split(",")[0].strip('"') for line in (tmp_path / "out" / table).read_text().splitlines()]
        assert [cell for cell in cells if cell.startswith(tuple("=+-@"))] == []
    assert set(read(tmp_path / "out")["filename"]) == {f"./{name}" for name in names}


def test_a_dollar_of_a_file_is_no_formula_in_a_long_title(tmp_path):
    scores(tmp_path, tmp_path / "out", f"$\\frac{{$ {'long ' * 20}.csv")
    assert (tmp_path / "out/roc.png").exists()


# What has no end, or unpacks to too much


@pytest.mark.parametrize("key", ["--settings", "--params", "--labels", "file"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_a_device_in_the_place_of_a_table_or_of_json_is_not_waited_for(tmp_path, key, kind):
    path = tmp_path / "odd"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    given = {"file": tmp_path / "mine.csv", "--settings": tmp_path / "S.json", "--params": tmp_path / "P.json"}
    for place in given.values():
        place.write_text("{}")
    words = [f"{name}={place}" for name, place in (given | {key: path}).items() if name != "file"]
    with pytest.raises(InputError, match="odd: is a pipe or a device; expected a file"):
        load_script("src/classification/eval/score_predictions.py").main([str((given | {key: path})["file"]), *words])


def test_the_record_of_a_run_that_is_a_pipe_vouches_for_nothing(tmp_path):
    os.mkfifo(tmp_path / "run.json")
    assert artifacts.read_record(tmp_path / "run.json") == {}


def test_a_packed_table_is_not_unpacked_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("cxr.tables.table_text.LARGEST_TEXT", 1_000_000)
    (tmp_path / "a.csv").write_bytes(gzip.compress(b"image\n" + b"a\n" * 1_000_000))
    with pytest.raises(InputError, match=r"a.csv: unpacks to more than"):
        read_raw_csv(tmp_path / "a.csv", (), "")


def test_a_file_of_any_size_is_not_read_into_memory_as_a_table(tmp_path):
    (tmp_path / "a.csv").touch()
    os.truncate(tmp_path / "a.csv", 50_000_000_000)
    with pytest.raises(InputError, match=r"a.csv: is larger than 1 GB. Is it another file"):
        read_raw_csv(tmp_path / "a.csv", (), "")


def test_names_of_columns_and_of_keys_take_no_time_that_grows_with_their_square(tmp_path):
    (tmp_path / "a.csv").write_text(f"image,{'Edema_' * 20_000}\na,1\n")
    with pytest.raises(InputError, match=r"a.csv: a column's name has 120,000 letters, 'Edema_Edema_"):
        read_raw_csv(tmp_path / "a.csv", (), "")
    assert read_name("x_" * 20_000 + "prob_Pleural_Effusion", ["Effusion"]).finding == "Effusion"
    (tmp_path / "PARAMS.json").write_text(json.dumps({f"K{number}": 0 for number in range(200_000)}))
    with pytest.raises(InputError, match="unknown key K0"):
        configuration.load_params(tmp_path / "PARAMS.json")


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """An element of a DICOM file: explicit, little-endian; PS3.5, 7.1.2."""
    if kind in (b"OB", b"SQ"):
        return struct.pack("<HH2sHI", group, number, kind, 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, kind, len(value)) + value


@pytest.mark.parametrize("before", [b"", bytes(3000)])
def test_deflated_dicom_is_not_unpacked_wherever_its_header_says_so(tmp_path, before):
    write_dicom(film(1), tmp_path / "a.dcm")
    content = (tmp_path / "a.dcm").read_bytes()
    body = content[content.index(b"\x08\x00\x16\x00UI") :]
    meta = element(2, 3, b"UI", b"1.2.3\0" + before) + element(2, 16, b"UI", b"1.2.840.10008.1.2.1.99")
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    head = bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta
    (tmp_path / "a.dcm").write_bytes(head + packer.compress(body) + packer.flush())
    with pytest.raises(FilmError, match=r"a.dcm: is deflated DICOM, which is not read"):
        decoding.read_film(tmp_path / "a.dcm")


@pytest.mark.parametrize("kind", ["elements", "items", "fragments"])
def test_dicom_of_millions_of_empty_parts_is_not_read_to_its_end(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(dicom_header, "MOST_PIECES", 5000)
    path, item = tmp_path / "a.dcm", struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    write_dicom(film(1), path)
    assert decoding.read_film(path).shape == (60, 80)
    content = path.read_bytes()
    start = content.index(b"\xe0\x7f\x10\x00OW")
    more = {
        "elements": b"".join(element(0x29, 0x1000 + number, b"LO", b"") for number in range(10_000)),
        "items": struct.pack("<HH2sHI", 0x40, 0x260, b"SQ", 0, 0xFFFFFFFF) + item * 10_000,
        "fragments": b"",
    }[kind]
    pixels = content[start:]
    if kind == "fragments":
        content = content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
        end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        pixels = struct.pack("<HH2sHI", 0x7FE0, 16, b"OB", 0, 0xFFFFFFFF) + item * 10_000 + end
    path.write_bytes(content[:start] + more + pixels)
    with pytest.raises(FilmError, match=r"a.dcm: (holds hundreds of thousands of elements|not readable as DICOM)"):
        decoding.read_film(path)


def test_sequences_in_sequences_end_in_our_error(tmp_path):
    write_dicom(film(1), tmp_path / "a.dcm")
    content = (tmp_path / "a.dcm").read_bytes()
    start = content.index(b"\xe0\x7f\x10\x00OW")
    begin = struct.pack("<HH2sHIHHI", 0x40, 0x260, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    (tmp_path / "a.dcm").write_bytes(content[:start] + begin * 10_000 + end * 10_000 + content[start:])
    with pytest.raises(FilmError, match=r"a.dcm: not readable as DICOM \(RecursionError\)"):
        decoding.read_film(tmp_path / "a.dcm")


def test_a_jpeg_2000_of_many_pictures_in_one_is_refused_before_it_is_decoded(tmp_path):
    import pydicom.encaps

    write_dicom(film(1), tmp_path / "a.dcm")
    header = pydicom.dcmread(tmp_path / "a.dcm")
    size = struct.pack(">HIIIIIIIIH", 0, 80, 60, 0, 0, 80, 60, 0, 0, 200) + b"\7\1\1" * 200
    stream = b"\xff\x4f\xff\x51" + struct.pack(">H", len(size) + 2) + size
    header.PixelData, header.file_meta.TransferSyntaxUID = (
        pydicom.encaps.encapsulate([stream]),
        "1.2.840.10008.1.2.4.90",
    )
    header["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    header.save_as(buffer)
    (tmp_path / "a.dcm").write_bytes(buffer.getvalue())
    with pytest.raises(FilmError, match=r"a.dcm: its JPEG holds 200 pictures in one; expected one film"):
        decoding.read_film(tmp_path / "a.dcm")


# Names of machines


@pytest.mark.parametrize(
    "host",
    ["", " ", "a -oProxyCommand=x", "a;x", "$(x)", "`x`", "*", "a\nb", "u@-oProxyCommand=x", "a=b", "-oX", "\x1b[1m"],
)
def test_no_name_of_a_machine_is_more_than_a_name(tmp_path, host):
    (tmp_path / "ssh").write_text("#!/bin/sh\ntouch called\n")
    (tmp_path / "ssh").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    result = call(tmp_path, "sh", PROJECT / "on_machines.sh", "node1", host, "--", "true", PATH=path)
    assert result.returncode == 2
    assert not (tmp_path / "called").exists()
    assert result.stderr.startswith(("error: HOST 2 is no plain name of a machine", "usage: "))
    assert result.stderr[:-1].isprintable()
