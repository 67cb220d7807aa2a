"""The rules that keep the code as it is meant to be: imports go down, importing does nothing, scripts answer --help."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.core.findings import FINDINGS
from tests.conftest import PROJECT

# A module imports only from rows below its own.
ROWS = """
experiment_results
model_card new_films_report exporting
family_report bundle_texts
report gallery trust_tables new_films download_check plan
map_scores scoring bundles masking
maps training inference releases shortcuts evaluation foreign_predictions
films datasets models comparison preparation sources subgroups report_tables foreign_labels
metrics
localisation nih chexpert gradcam packs lung_sets release_plan operating_points foreign_columns film_checks film_files
raw_tables phantoms images charts result_table calibration film_pages
tables phantom_findings plots thresholds
phantom_anatomy phantom_exposure canvas predictions backend rates experiments
artifacts bootstrap heatmaps lungs config executors locks pseudonyms progress onnx_models
settings processes
parameters
labels errors
"""
LEVEL = {name: level for level, row in enumerate(reversed(ROWS.split("\n"))) for name in row.split()}
KERAS_MODULES = {"backend", "datasets", "models", "training", "gradcam", "inference"}
MODULES = sorted(path for path in (PROJECT / "src/cxr").glob("*.py") if path.stem != "__init__")
SCRIPTS = sorted([*(PROJECT / "src").glob("*/**/*.py"), *(PROJECT / "demo").glob("*.py")])
SCRIPTS = [path for path in SCRIPTS if path.parent.name != "cxr"]
SPELL_FINDINGS = ("labels", "nih", "chexpert", "parameters", "release", "phantom", "foreign")


def imported(path: Path) -> set[str]:
    """Names of the modules that a file imports, anywhere; modules of cxr without their package."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"cxr.{alias.name}" for alias in node.names} if node.module == "cxr" else {node.module}
            names |= inside
            if node.module == "cxr.networks.backend" and "keras" in {alias.name for alias in node.names}:
                names.add("keras")
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports_go_down(path):
    used = {name.removeprefix("cxr.") for name in imported(path) if name.startswith("cxr.")}
    assert path.stem in LEVEL, f"{path.stem} has no row in ROWS"
    assert not {name for name in used if LEVEL[name] >= LEVEL[path.stem]}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_only_a_few_modules_import_keras(path):
    frameworks = {name.split(".")[0] for name in imported(path)} & {"keras", "tensorflow", "jax"}
    assert not frameworks or path.stem in KERAS_MODULES


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_scripts_import_cxr_and_never_each_other(path):
    # A script's own folder is on sys.path: a bare name would find its neighbour.
    scripts = {script.stem for script in SCRIPTS}
    folders = {part for script in SCRIPTS for part in script.relative_to(PROJECT).parts[:-1]} | {"tests", "benchmarks"}
    assert not {name.split(".")[0] for name in imported(path)} & (scripts | folders)
    source = path.read_text()
    assert not re.search(r"importlib|runpy|subprocess|sys\.path|os\.system", source), "runs or imports by another way"


def test_importing_does_nothing(tmp_path):
    quiet = [path.stem for path in MODULES if path.stem not in KERAS_MODULES | {"training"}]
    code = "; ".join(["import sys", *(f"import cxr.{name}" for name in quiet), "assert 'keras' not in sys.modules"])
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_script_answers_help_with_its_docstring_from_anywhere(path, tmp_path):
    # A keras that cannot be imported: the answer must come before it is needed.
    (tmp_path / "keras.py").write_text("raise SystemExit('keras was imported')")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{PROJECT / 'src'}"}
    command = [sys.executable, path, "--help"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ast.get_docstring(ast.parse(path.read_text())).splitlines()[0] in result.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_findings_are_spelt_only_where_they_are_defined_and_translated(path):
    if path.stem.startswith(SPELL_FINDINGS):
        return
    texts = {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not texts & set(FINDINGS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_cxr_returns_and_scripts_print(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    prints = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    warnings = [call for call in prints if any(keyword.arg == "file" for keyword in call.keywords)]
    assert len(prints) == len(warnings), "only warnings on standard error"


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=lambda path: path.stem)
def test_functions_fit_on_a_screen_and_no_except_is_bare(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 80, node.name
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None)


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
