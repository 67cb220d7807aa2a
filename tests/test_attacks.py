"""What was tried against the promises of docs/security.md: each attack with what it must say and leave behind."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from cxr.core import locks
from cxr.core.artifacts import digest
from cxr.core.errors import InputError
from cxr.core.own_files import RECORD, OwnFiles
from cxr.new_films import bundles
from tests.classification.test_predict import arguments, evaluated, exported, film, predict, read
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
    (folder / "PARAMS.json").write_text('{"WORKERS": 2}')
    return folder, marks


def call(folder, *command, **variables) -> subprocess.CompletedProcess:
    names = ("PYTHONSAFEPATH", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"PYTHON": sys.executable} | variables
    return subprocess.run([*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_trap_is_one(trapped):
    folder, marks = trapped
    call(folder, sys.executable, "-c", "import contextlib, types", PYTHONPATH="")
    assert (marks / "contextlib").exists()


GIVEN = ("--settings", "SETTINGS.json", "--params", "PARAMS.json")
CALLS = {  # each ends soon: after a check, with --help, or with an error of its own input
    "check_data.sh": GIVEN,  # reads the films in processes of their own
    "prepare_data.sh": GIVEN,
    "predict.sh": (*GIVEN, "."),
    "export.sh": GIVEN,
    "score_predictions.sh": (*GIVEN, "Data_Entry_2017.csv"),
    "experiment.sh": ("masking", *GIVEN),
    "on_machines.sh": ("localhost", "--", "sh", PROJECT / "train_Ensemble.sh", "--help"),
    **{f"{step}_{family}.sh": GIVEN for step in ("train", "evaluate", "visualization")
       for family in ("Ensemble", "Efficientnet")},
}  # fmt: skip
INSTALLING = ("run_demo.sh", "run_experiments.sh", "run_tests.sh")


@pytest.mark.parametrize("name", CALLS)
def test_no_shell_script_runs_code_of_the_current_folder_or_of_the_films(trapped, name):
    folder, marks = trapped
    result = call(folder, "sh", PROJECT / name, *CALLS[name])
    assert result.returncode in (0, 2), result.stderr
    assert "This is a bug" not in result.stderr
    assert list(marks.iterdir()) == []


@pytest.mark.parametrize("name", INSTALLING)
def test_neither_do_those_that_install_first(trapped, tmp_path, name):
    folder, marks = trapped
    here, environment = tmp_path / "clone", tmp_path / "environment"
    for part in ("src", "demo", "experiments"):
        shutil.copytree(PROJECT / part, here / part, ignore=shutil.ignore_patterns("data", "models", "__pycache__"))
        (here / part / "SETTINGS.json").write_text("{")  # the first step stops there
    (here / "requirements.txt").touch()
    shutil.copy(PROJECT / name, here)
    (environment / "bin").mkdir(parents=True)
    (environment / ".cxr-requirements").touch()  # nothing to install
    python = f'#!/bin/sh\ncase "$1 $2" in "-m pip") exit ;; esac\nexec {sys.executable} "$@"\n'
    for tool, text in (("python", python), ("ruff", "#!/bin/sh\n")):
        (environment / "bin" / tool).write_text(text)
        (environment / "bin" / tool).chmod(0o755)
    path = f"{environment / 'bin'}:{os.environ['PATH']}"
    result = call(folder, "sh", here / name, "--version", VIRTUAL_ENV=str(environment), PATH=path)
    assert "SETTINGS.json: not valid JSON" in result.stderr or result.stdout.startswith("pytest"), result.stderr
    assert list(marks.iterdir()) == []


def test_every_shell_script_is_tried():
    assert {*CALLS, *INSTALLING} == {path.name for path in PROJECT.glob("*.sh")}


@pytest.mark.parametrize(("given", "used"), [("", ""), (":/a", ":/a"), ("/a::/b:", ":/a:/b")])
def test_an_empty_part_of_pythonpath_which_is_the_current_folder_is_left_out(tmp_path, given, used):
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
    assert "left out: 1 pictures that earlier runs made" in capsys.readouterr().out


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


@pytest.mark.parametrize("name", ["metrics.json", "comparison.json", "roc.png"])
def test_scores_replace_no_file_of_the_users_either(one, tmp_path, name):
    _, user = one
    rows = [f"film{n}.png,p{n},0.{n % 9 + 1},{n % 2}" for n in range(60)]
    (tmp_path / "mine.csv").write_text("\n".join(["image,patient,prob_Edema,Edema_true", *rows]))
    (tmp_path / "PARAMS.json").write_text('{"BOOTSTRAP_REPLICATES": 0}')
    (tmp_path / "SETTINGS.json").write_text('{"DATASET_CSV_DIR": "", "DATASET_CHEXPERT_TRAIN_CSV_DIR": ""}')
    given = [str(tmp_path / "mine.csv"), *(f"--{key}={tmp_path / key.upper()}.json" for key in ("params", "settings"))]
    (user / name).write_text("mine")
    before = snapshot(user)
    with pytest.raises(InputError, match=rf"{name}: is there, and no run of ours made it"):
        load_script("src/classification/eval/score_predictions.py").main([*given, f"--out={user}"])
    assert snapshot(user) == before


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
SPOILT = [
    ("metadata.json", setting("family", to=None), "metadata.json: family: Field required"),
    ("metadata.json", setting("family", to="../x"), "metadata.json: family: Input should be 'ensemble'"),
    ("metadata.json", setting("name", to="\x1b[31mred"), "metadata.json: name: expected one line of text"),
    ("metadata.json", lambda _: "[" * 200_000, "metadata.json: cannot be read as JSON"),
    ("metadata.json", lambda _: "[]", "metadata.json: expected a JSON object, found list"),
    ("PARAMS.json", lambda _: "[" * 200_000, "PARAMS.json: not valid JSON"),
    ("thresholds.json", lambda _: {}, "thresholds.json: findings: Field required"),
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
    ("reference.json", setting("peaks", "tiny", to=[1.0]), "reference.json: peaks.tiny: expected 6, one a finding"),
    ("reference.json", setting("made_from", to=None), "reference.json: made_from: Field required"),
    ("reference.json", lambda c: json.dumps(c).replace('"cut": ', '"cut": 1e999, "x": '), "distance.cut: .* finite"),
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
