"""Which Python the shell scripts call, what they say where there is none, and that their lines end as shells want."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.core.configuration import load_params
from tests.conftest import PROJECT

SHELLS = [name for name in ("sh", "bash") if shutil.which(name)]
INSTALL = 'set -eu; here=$1; . "$here/src/install.sh"; python -c "import sys; print(sys.prefix)"'


def stand_in(path: Path, packages: bool = True, pip: bool = True) -> None:
    """What looks like Python with our packages, or without: says by which name it was called, and with what."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '#!/bin/sh\ncase $1 in -c) ;; */next_run.py) exit ;; *) echo "$0" "$@"; exit ;; esac\n'
        f"case $2 in *pip*) exit {int(not pip)} ;; *find_spec*) exit {int(not packages)} ;; esac\n"
    )
    path.chmod(0o755)


@pytest.fixture
def here(tmp_path):
    """The shell scripts in a folder with a blank in its name, and beside it a path with a Python."""
    folder = tmp_path / "a clone"
    (folder / "src").mkdir(parents=True)
    for script in (*PROJECT.glob("*.sh"), *PROJECT.glob("src/*.sh")):
        shutil.copy(script, folder / script.relative_to(PROJECT))
    (folder / "requirements.txt").touch()
    stand_in(tmp_path / "bin/python")
    return folder


def call(here, *words: str, shell: str = "sh", **variables: str):
    environment = {"PATH": f"{here.parent / 'bin'}:/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")} | variables
    return subprocess.run([shell, *words], cwd=here.parent, env=environment, capture_output=True, text=True)


def called(here, **variables: str) -> str:
    """The Python that check_data.sh calls."""
    result = call(here, here / "check_data.sh", "--sample", "3", **variables)
    assert result.returncode == 0, result.stderr
    python, _, rest = result.stdout.partition(f" {here}/src/checks/check_data.py")
    assert rest == " --sample 3\n"
    return python


def test_scripts_use_the_venv_beside_them_and_without_one_the_python_of_the_path(here):
    assert called(here) == str(here.parent / "bin/python")
    stand_in(here / ".venv/bin/python")
    assert called(here) == str(here / ".venv/bin/python")


def test_where_python_is_called_python3_it_is_found(here):
    (here.parent / "bin/python").rename(here.parent / "bin/python3")
    tools = {name: shutil.which(name) for name in ("sh", "dirname")}
    for name, path in tools.items():
        (here.parent / "bin" / name).symlink_to(path)
    assert called(here, PATH=str(here.parent / "bin")) == str(here.parent / "bin/python3")


def test_an_active_environment_and_the_variable_python_come_before_the_venv_beside(here, tmp_path):
    stand_in(here / ".venv/bin/python")
    stand_in(tmp_path / "other/bin/python")
    path = f"{tmp_path / 'other/bin'}:/usr/bin:/bin"
    for active in ({"VIRTUAL_ENV": "other"}, {"CONDA_PREFIX": "other", "CONDA_DEFAULT_ENV": "cxr"}):
        assert called(here, PATH=path, **active) == str(tmp_path / "other/bin/python")
    assert called(here, PYTHON="other/bin/python", VIRTUAL_ENV="x") == "other/bin/python"


def test_several_machines_are_told_the_same_python(here):
    stand_in(here / ".venv/bin/python")
    result = call(here, here / "on_machines.sh", "localhost", "--", "sh", "-c", "echo $PYTHON")
    assert (result.returncode, result.stdout) == (0, f"{here}/.venv/bin/python\n"), result.stderr


def test_the_base_environment_of_conda_which_every_terminal_activates_does_not(here, tmp_path):
    stand_in(here / ".venv/bin/python")
    assert called(here, CONDA_PREFIX="base", CONDA_DEFAULT_ENV="base") == str(here / ".venv/bin/python")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_half_made_venv_is_told_with_its_remedy(here, shell):
    (here / ".venv/bin").mkdir(parents=True)
    for left in ("nothing", "a link that leads nowhere", "a Python without pip"):
        if left == "a link that leads nowhere":
            (here / ".venv/bin/python").symlink_to("python3.9-that-was-removed")
        elif left == "a Python without pip":
            (here / ".venv/bin/python").unlink()
            stand_in(here / ".venv/bin/python", packages=False, pip=False)
        result = call(here, here / "predict.sh", "film.png", shell=shell)
        assert (result.returncode, result.stdout) == (2, ""), left
        assert f"{here}/.venv is half made" in result.stderr, left
        assert "sudo apt install python3-venv" in result.stderr, left


def test_where_our_packages_are_missing_the_commands_that_install_them_are_told(here):
    stand_in(here / ".venv/bin/python", packages=False)
    result = call(here, here / "predict.sh", "film.png")
    assert result.returncode == 2
    assert f"'{here}/.venv/bin/python' is missing or lacks our packages" in result.stderr
    assert f"cd '{here}' && python3 -m venv .venv && .venv/bin/python -m pip install -r requirements.txt" in (
        result.stderr
    )
    assert "half made" not in result.stderr
    result = call(here, here / "predict.sh", "film.png", PYTHON="nowhere/python")
    assert "'nowhere/python' is missing or lacks our packages" in result.stderr


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("words", "demo"), [((), "demo"), (("--quick",), "demo/quick")], ids=["full", "quick"])
def test_the_demo_runs_every_step_with_its_own_files_in_the_venv_beside_it(here, shell, words, demo):
    for name in ("python", "ruff"):
        stand_in(here / ".venv/bin" / name)
    result = call(here, here / "run_demo.sh", *words, shell=shell)
    assert result.returncode == 0, result.stderr
    python, files = (
        f"{here}/.venv/bin/python ",
        f" --settings {here}/{demo}/SETTINGS.json --params {here}/{demo}/PARAMS.json",
    )
    installs, *steps = [line.removeprefix(python) for line in result.stdout.splitlines() if line.startswith(python)]
    assert installs == "-m pip install --quiet --disable-pip-version-check -r requirements.txt"
    assert [line for line in steps if not line.endswith(files)] == []
    names = [line.removesuffix(files).removeprefix(f"{here}/") for line in steps]
    assert names[0] == "demo/draw_films.py"
    assert names[-1] == "demo/thumbnail_baseline.py"
    families = [name for name in names if name.startswith("src/classification/train")]
    assert families == [f"src/classification/train/train.py {family}" for family in ("ensemble", "efficientnet")]
    assert "Done in 0 s" in result.stdout or "Done in 1 s" in result.stdout
    told = [line for line in result.stdout.splitlines() if line.startswith("== Part ")]
    assert len(told) == 18, "each of nine parts says what it is and what can be looked at"
    assert all(f"Look at: {demo}/" in line for line in told[1:-1:2])
    assert ("FIGURES MEAN NOTHING" in result.stdout) == (demo == "demo/quick")
    again = call(here, here / "run_demo.sh", *words, shell=shell)
    assert "pip install" not in again.stdout, "installed once"


def test_the_demo_takes_no_word_that_it_does_not_know(here):
    result = call(here, here / "run_demo.sh", "--quik")
    assert (result.returncode, result.stdout, result.stderr) == (2, "", "usage: bash run_demo.sh [--quick]\n")


def test_both_demos_read_and_write_the_same_tree_each_in_its_own_folder():
    assert (PROJECT / "demo/quick/SETTINGS.json").read_text() == (PROJECT / "demo/SETTINGS.json").read_text()
    quick = load_params(PROJECT / "demo/quick/PARAMS.json")
    assert "tiny" in quick.models.ensemble_members


@pytest.mark.parametrize("name", ["run_experiments.sh", "run_tests.sh"])
def test_help_of_what_installs_installs_and_runs_nothing(here, name):
    result = call(here, here / name, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: bash {name} ")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_experiments_and_the_tests_hand_on_their_words(here, shell):
    for name in ("python", "ruff"):
        stand_in(here / ".venv/bin" / name)
    result = call(here, here / "run_experiments.sh", "--seeds", "2 3", shell=shell)
    assert result.returncode == 0, result.stderr
    files = f"--settings {here}/experiments/SETTINGS.json --params {here}/experiments/PARAMS.json"
    assert f"demo/draw_films.py {files}\n" in result.stdout
    assert f"experiments/table.py labels --seeds 2 3 {files}\n" in result.stdout
    result = call(here, here / "run_tests.sh", "tests/core", "-k", "a b", shell=shell)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-3:] == [
        f"{here}/.venv/bin/ruff check .",
        f"{here}/.venv/bin/ruff format --check .",
        f"{here}/.venv/bin/python -m pytest tests/core -k a b",
    ]


# What run_demo.sh and run_tests.sh make


def install(here, shell: str = "sh", **variables: str):
    return call(here, "-c", INSTALL, shell, str(here), shell=shell, PYTHON=sys.executable, **variables)


@pytest.mark.parametrize("left", ["no pip", "no Python that runs"])
def test_a_half_made_venv_is_made_again(here, left):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", here / ".venv"], check=True)
    (here / ".venv/mine.txt").touch()
    for script in here.glob(".venv/bin/[aA]ctivate*"):
        script.unlink()
    if left == "no Python that runs":
        for link in here.glob(".venv/bin/python*"):
            link.unlink()
            link.symlink_to("python3.9-that-was-removed")
    result = install(here)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == str(here / ".venv")
    assert (here / ".venv/bin/activate").is_file()
    assert (here / ".venv/mine.txt").exists() == (left == "no pip"), "what is whole stays"
    again = install(here)
    assert (again.returncode, again.stdout) == (0, f"{here}/.venv\n"), "a second call makes and installs nothing"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_python_that_cannot_make_environments_is_told_with_the_package_that_it_lacks(here, tmp_path, shell):
    (tmp_path / "without").mkdir()
    (tmp_path / "without/ensurepip.py").write_text("raise ModuleNotFoundError")
    version = "{}.{}".format(*sys.version_info[:2])
    result = install(here, shell, PYTHONPATH=str(tmp_path / "without"))
    assert result.returncode == 2
    assert f"cannot make .venv. On Debian and Ubuntu: sudo apt install python{version}-venv. Then" in result.stderr
    assert not (here / ".venv").exists()


def test_an_older_python_or_none_is_told(here, tmp_path):
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" != -V ] || exec echo Python 3.9.6\ncase $2 in *version_info*) exit 1 ;; esac\n')
    old.chmod(0o755)
    for name, message in (
        (str(old), f"'{old}' is Python 3.9.6, 3.11 or newer is needed. Name one: PYTHON=python3.12"),
        ("python3.99", "no 'python3.99' here. Install Python 3.11 or newer"),
    ):
        result = call(here, "-c", INSTALL, "sh", str(here), PYTHON=name)
        assert result.returncode == 2
        assert message in result.stderr


# Line ends


def test_a_clone_made_on_windows_has_the_line_ends_of_this_one(tmp_path):
    if not shutil.which("git"):
        pytest.skip("no git")
    suffixes = (".sh", ".py", ".json", ".md", ".txt", ".toml")
    files = [path for path in (*PROJECT.glob("*"), *PROJECT.glob("src/*"), *PROJECT.glob("tests/*.py"))
             if path.suffix in suffixes]  # fmt: skip
    for path in (PROJECT / ".gitattributes", *files):
        (tmp_path / "original" / path.relative_to(PROJECT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "original" / path.relative_to(PROJECT))
    git = ["git", "-c", "user.name=x", "-c", "user.email=x", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], cwd=tmp_path / "original", check=True)
    clone = ["clone", "-q", "-c", "core.autocrlf=true", "-c", "core.eol=crlf", "original", "windows"]
    subprocess.run([*git, *clone], cwd=tmp_path, check=True)
    cloned = [path for path in (tmp_path / "windows").rglob("*") if path.suffix in suffixes]
    assert len(cloned) == len(files) > 20
    assert not [path.name for path in cloned if b"\r" in path.read_bytes()]
