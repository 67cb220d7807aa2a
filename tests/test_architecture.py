"""The rules that keep the code as it is meant to be: imports go down, importing does nothing, scripts answer --help."""

import ast
import graphlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.core.findings import FINDINGS
from cxr.tables.sources.catalogue import SOURCES
from tests.conftest import PROJECT

# A room imports only from rooms of the rows below its own: the order in which data flows, read upwards.
ROOMS = """
delivery
new_films experiments
new_hospital
training external
report
maps
evaluation
preparation
tables networks
releases
synthetic anatomy
imaging
core
"""
LEVEL = {name: level for level, row in enumerate(reversed(ROOMS.split("\n"))) for name in row.split()}
# Films are drawn by anybody, whatever the pipeline is.
ONLY = {"synthetic": {"core", "imaging"}, "releases": {"core", "imaging", "synthetic"}}
KERAS_ROOMS = {"networks", "training"}
CXR = PROJECT / "src/cxr"
MODULES = sorted(path for path in CXR.rglob("*.py") if path.name != "__init__.py")
SCRIPTS = sorted([*(PROJECT / "src").glob("*/**/*.py"), *(PROJECT / "demo").glob("*.py")])
SCRIPTS = [path for path in SCRIPTS if CXR not in path.parents]
NAME_SOURCES = ("core.settings", "core.parameters", "tables.sources", "synthetic", "releases")
SPELL_FINDINGS = (
    "core.findings", "core.parameters", "tables.sources", "synthetic", "releases", "external.column_names"
)  # fmt: skip


def dotted(path: Path) -> str:
    """A module's name below cxr, such as ``core.findings``."""
    return ".".join(path.relative_to(CXR).with_suffix("").parts)


def room_of(name: str) -> str:
    return name.split(".")[0]


def imported(path: Path) -> set[str]:
    """Names of the modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if CXR_NAMES.get(name) else node.module for name in inside}
            if node.module == "cxr.networks.backend" and "keras" in {alias.name for alias in node.names}:
                names.add("keras")
    return names


CXR_NAMES = {f"cxr.{dotted(path)}": path for path in MODULES}
USED = {
    dotted(path): {name.removeprefix("cxr.") for name in imported(path) if name.startswith("cxr.")} for path in MODULES
}


@pytest.mark.parametrize("name", USED)
def test_imports_between_rooms_go_down(name):
    room, others = room_of(name), {room_of(used) for used in USED[name]} - {room_of(name)}
    assert not {other for other in others if LEVEL[other] >= LEVEL[room]}
    assert others <= ONLY.get(room, others)


@pytest.mark.parametrize("room", LEVEL)
def test_no_circle_in_a_room(room):
    inside = {name: {used for used in uses if used in USED} for name, uses in USED.items() if room_of(name) == room}
    list(graphlib.TopologicalSorter(inside).static_order())  # raises CycleError, which names the circle


@pytest.mark.parametrize("room", LEVEL)
def test_a_room_says_what_comes_in_what_goes_out_and_who_calls_it(room):
    text = ast.get_docstring(ast.parse((CXR / room / "__init__.py").read_text()))
    assert re.search(r"^In: .*Out: .*Called by: ", text, re.MULTILINE | re.DOTALL)
    modules = [name for name in USED if room_of(name) == room and name.count(".") == 1]
    assert 2 <= len(modules) <= 14


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_only_networks_and_training_import_keras(path):
    frameworks = {name.split(".")[0] for name in imported(path)} & {"keras", "tensorflow", "jax"}
    assert not frameworks or room_of(dotted(path)) in KERAS_ROOMS


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_scripts_import_cxr_and_never_each_other(path):
    # A script's own folder is on sys.path: a bare name would find its neighbour.
    scripts = {script.stem for script in SCRIPTS}
    folders = {part for script in SCRIPTS for part in script.relative_to(PROJECT).parts[:-1]} | {"tests", "benchmarks"}
    assert not {name.split(".")[0] for name in imported(path)} & (scripts | folders)
    source = path.read_text().replace(own_package(path), "")
    assert not re.search(r"importlib|runpy|subprocess|sys\.path|os\.system", source), "runs or imports by another way"


def own_package(path: Path) -> str:
    """The line by which a script finds the cxr beside it, in its own project."""
    up = len(path.relative_to(PROJECT).parts) - 1
    src = f'__file__.rsplit("/", {up})[0]' if path.is_relative_to(CXR.parent) else '__file__.rsplit("/", 2)[0] + "/src"'
    return f"sys.path.insert(0, {src})  # this project's cxr, whatever is installed\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_scripts_import_cxr_of_their_own_project_before_other_packages(path):
    # It says what Ctrl-C does while the others are imported, which takes a second, and what is missing.
    before, line, _ = path.read_text().partition(own_package(path))
    assert line
    assert not re.search(r"^(import|from) cxr", before, re.MULTILINE)
    nodes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in nodes]
    others = [name.split(".")[0] for name in names if name.split(".")[0] not in sys.stdlib_module_names]
    assert others[0] == "cxr"


def test_importing_does_nothing(tmp_path):
    quiet = [name for name in USED if room_of(name) not in KERAS_ROOMS]
    code = "; ".join(["import sys", *(f"import cxr.{name}" for name in quiet), "assert 'keras' not in sys.modules"])
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


# One process imports what takes a second and is not ours, and is forked for each script.
ANSWERS = """
import cv2, numpy, os, pandas, pydantic, pydicom, runpy, scipy.stats, sklearn.linear_model, sklearn.metrics, sys
for number, script in enumerate(sys.argv[1:]):
    if process := os.fork():
        os.rename(f"{number}.part", f"{number}.{os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])}")
    else:
        for stream in (1, 2):
            os.dup2(os.open(f"{number}.part", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        sys.argv = [script, "--help"]
        runpy.run_path(script, run_name="__main__")
        sys.exit()
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Script -> its exit status and what it says to --help, in a folder that is not the project's."""
    folder = tmp_path_factory.mktemp("elsewhere")
    # A keras that cannot be imported: the answer must come before it is needed.
    (folder / "keras.py").write_text("raise SystemExit('keras was imported')")
    # And a notebook's way to draw, which Colab hands to all that it starts and which is not installed here.
    backend = {"MPLBACKEND": "module://a_notebook.that_is_not_there"}
    environment = os.environ | backend | {"PYTHONPATH": f"{folder}:{PROJECT / 'src'}"}
    subprocess.run([sys.executable, "-c", ANSWERS, *SCRIPTS], cwd=folder, env=environment, check=True)
    said = {int(path.stem): (path.suffix, path.read_text()) for path in folder.glob("[0-9]*")}
    return {path: said[number] for number, path in enumerate(SCRIPTS)}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_script_answers_help_with_its_docstring_from_anywhere(path, answers):
    status, said = answers[path]
    assert status == ".0", said
    assert ast.get_docstring(ast.parse(path.read_text())).splitlines()[0] in said


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_findings_are_spelt_only_where_they_are_defined_and_translated(path):
    if dotted(path).startswith(SPELL_FINDINGS):
        return
    texts = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not texts & set(FINDINGS)


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_sources_are_named_only_where_they_are_read_drawn_and_given_keys(path):
    if dotted(path).startswith(NAME_SOURCES):
        return
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    prose = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, documented)}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    names = "|".join(source.name for source in SOURCES if source.name != "own")
    assert not [text for text in texts if text not in prose and re.search(names, text, re.IGNORECASE)]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_cxr_returns_and_scripts_print(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    prints = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    warnings = [call for call in prints if any(keyword.arg == "file" for keyword in call.keywords)]
    assert len(prints) == len(warnings), "only warnings on standard error"


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=lambda path: str(path.relative_to(PROJECT)))
def test_functions_fit_on_a_screen_and_no_except_is_bare(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None)


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_module_is_longer_than_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


def test_no_module_is_named_after_nothing():
    assert not {path.stem for path in MODULES} & {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", sorted(PROJECT.glob("*.sh")), ids=lambda path: path.name)
def test_shell_scripts_say_what_goes_in_and_out_and_are_plain_sh(path):
    lines = path.read_text().splitlines()
    assert lines[1].startswith("# Goes in:")
    assert lines[2].startswith("# Comes out:")
    if lines[0] == "#!/bin/sh":
        assert not re.search(r"\[\[|\bfunction\b|=\(|<<<|\bsource\b|^\s*local\b", "\n".join(lines), re.M)
        assert subprocess.run(["sh", "-n", path], capture_output=True).returncode == 0
