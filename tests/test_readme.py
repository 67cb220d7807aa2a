"""The documents say what the code does: every key with its default, every shell script, every path, every room.

``python tests/test_readme.py`` writes the generated tables of the documents anew.
"""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

from cxr.core import errors
from cxr.core.configuration import load_params
from cxr.core.parameters import STAGES, Params, Stage
from cxr.core.settings import REPLACED_SETTINGS, Settings

PROJECT = Path(__file__).resolve().parents[1]
# Every page that is in git; other folders hold pages that a run or an installation wrote.
PATTERNS = ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "tests/**/*.md", "data/README.md", "models/README.md")
DOCUMENTS = sorted({path.relative_to(PROJECT).as_posix() for form in PATTERNS for path in PROJECT.glob(form)})
PAGES = [name for name in DOCUMENTS if name.startswith("docs/") and name != "docs/README.md"]
REGENERATE = "python tests/test_readme.py"
TITLES = {
    "general": "General",
    "tables": "Films, labels and split (`src/classification/etl`)",
    "unet": "The U-Net that finds the lungs (`src/segmentation`)",
    "pack": "What the classifiers see of a film",
    "models": "Networks",
    "training": "Training",
    "augmentation": "Augmentation while the classifiers train",
    "evaluation": "Evaluation and pictures",
    "demo": "The synthetic films of `run_demo.sh`",
}
ENVIRONMENT = {
    "PYTHON",
    "KERAS_BACKEND",
    "KERAS_MAX_EPOCHS",
    "OPENCV_IO_MAX_IMAGE_PIXELS",
    "CUDA_VISIBLE_DEVICES",
    "MLFLOW_TRACKING_URI",
    "JOB_PORT",
    "OPENCV_FOR_THREADS_NUM",
}
PRODUCED = (
    "demo/data",
    "demo/models",
    "demo/quick/data",
    "demo/quick/models",
    "data/",
    "models/",
)  # there only after a run
LONGEST_CHOICE = 6  # a longer list of values is said by the description


def document(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def as_json(default):
    """A default as a JSON file writes it."""
    if isinstance(default, Path):
        return "" if default == Path() else default.as_posix()
    return default


def takes(schema: dict) -> str:
    """The values that a key takes, in words, from its JSON schema."""
    if "anyOf" in schema:
        return " or ".join(takes(part) for part in schema["anyOf"])
    if "enum" in schema:
        if len(schema["enum"]) > LONGEST_CHOICE:
            return "text"
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "boolean":
        return "`true`, `false`"
    if kind == "array":
        return f"list of {takes(schema['items'])}"
    if kind == "object":
        return "object"
    if kind == "string":
        return "path" if schema.get("format") == "path" else "text"
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    limits = [
        f"{value} {words}" if words in ("or more", "or less") else f"{words} {value}"
        for value, words in ((low, "or more"), (above, "above"), (high, "or less"), (below, "below"))
        if value is not None
    ]
    if low is not None and high is not None:
        limits = [f"{low} to {high}"]
    return ", ".join(["whole number" if kind == "integer" else "number", *limits])


def key_table(stage: type[Stage]) -> str:
    """A Markdown table: key, default, what it takes, meaning."""
    schema = stage.model_json_schema(by_alias=True)["properties"]
    lines = ["| key | default | takes | meaning |", "|---|---|---|---|"]
    for name, field in stage.model_fields.items():
        key = name.upper()
        default = as_json(field.default)
        cells = [f"`{key}`", f"`{json.dumps(default)}`", takes(schema[key]), field.description or ""]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def room_table() -> str:
    """A Markdown table of the rooms from the bottom up, in each room's own words."""
    rows = re.search(r'^ROOMS = """\n(.*?)\n"""', document("tests/test_architecture.py"), re.MULTILINE | re.DOTALL)[1]
    lines = ["| | room | what it is | in | out | called by |", "|---|---|---|---|---|---|"]
    for level, row in enumerate(reversed(rows.split("\n")), start=1):
        for room in row.split():
            text = ast.get_docstring(ast.parse(document(f"src/cxr/{room}/__init__.py")))
            what, said = text.split("\n", 1)
            goes = re.search(r"In: (.*?)\. Out: (.*?)\. Called by: (.*?)\.$", " ".join(said.split()))
            cells = [cell.replace("|", "\\|").replace("*", "\\*") for cell in (what.rstrip("."), *goes.groups())]
            lines.append(f"| {level} | `{room}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def generated() -> dict[str, dict[str, str]]:
    """What stands between <!-- NAME --> and <!-- /NAME -->, by document and name."""
    stages = [f"**{TITLES.get(name, name)}**\n\n{key_table(stage)}" for name, stage in STAGES.items()]
    return {
        "docs/settings.md": {"SETTINGS": key_table(Settings)},
        "docs/parameters.md": {"PARAMS": "\n\n".join(stages)},
        "CONTRIBUTING.md": {"ROOMS": room_table()},
    }


def with_tables(name: str) -> str:
    text = document(name)
    for marker, table in generated()[name].items():
        between = re.compile(f"(<!-- {marker} -->\n).*?(<!-- /{marker} -->)", re.DOTALL)
        assert len(between.findall(text)) == 1, f"{name}: expected one <!-- {marker} --> … <!-- /{marker} -->"
        text = between.sub(lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}", text)
    return text


def links(name: str) -> list[str]:
    """Targets of a document's links and pictures, those in its code left out."""
    return re.findall(r"\]\(([^)\s]+)\)", without_code(document(name)))


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def default_of(key: str):
    fields = {name.upper(): field.default for stage in (Settings, *STAGES.values()) for name, field in fields_of(stage)}
    return as_json(fields[key])


def fields_of(stage: type[Stage]):
    return stage.model_fields.items()


def our_keys() -> set[str]:
    return {name.upper() for stage in (Settings, *STAGES.values()) for name, _ in fields_of(stage)}


@pytest.mark.parametrize("name", generated())
def test_generated_tables_equal_what_the_code_says(name):
    assert document(name) == with_tables(name), f"{name} is out of step with the code; run: {REGENERATE}"


@pytest.mark.parametrize("name", generated())
def test_a_document_says_how_its_tables_are_written(name):
    assert REGENERATE in document(name)


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_a_readme_fits_on_a_desk(name):
    assert len(document(name).splitlines()) < 250


def test_both_readmes_have_the_same_sections_pictures_and_pages():
    def outline(name):
        pages = {target.split("#")[0] for target in links(name) if not target.startswith("http")} - {"README.md", ""}
        return len(re.findall(r"^## ", document(name), re.MULTILINE)), pages - {"README.ko.md"}

    assert outline("README.ko.md") == outline("README.md")


def test_the_index_leads_to_every_page_and_every_page_back():
    assert set(links("docs/README.md")) >= {name.removeprefix("docs/") for name in PAGES}
    for name in PAGES:
        assert "README.md" in links(name), f"{name}: no way back"


def test_every_key_and_every_stage_is_described():
    for name, stage in STAGES.items():
        assert name in TITLES, f"give the stage {name} a title here"
        for key, field in fields_of(stage):
            assert field.description, f"{key.upper()} has no description"


def test_the_json_files_at_the_top_hold_the_defaults():
    settings = json.loads(document("SETTINGS.json"))
    assert settings == {name.upper(): as_json(field.default) for name, field in fields_of(Settings)}
    of_the_demo = {name.upper() for name, _ in fields_of(STAGES["demo"])}  # docs/parameters.md says where those are
    defaults = json.loads(json.dumps({key: value for key, value in Params().flat().items() if key not in of_the_demo}))
    assert json.loads(document("PARAMS.json")) == defaults


def test_the_documents_count_the_films_of_the_demo():
    demo = load_params(PROJECT / "demo/PARAMS.json").demo
    films = demo.demo_nih_films + demo.demo_chexpert_films
    for name in ("README.md", "docs/demo.md"):
        assert f"{films:,} synthetic frontal films and {demo.demo_lung_films} lung films" in document(name)


def test_the_korean_readme_gives_the_defaults():
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \| `(.+?)` \|", document("README.ko.md"), re.MULTILINE)
    assert len(rows) > 10
    for key, default in rows:
        assert json.loads(default) == json.loads(json.dumps(default_of(key))), key


def test_citation_and_licence_agree_with_the_package():
    project = tomllib.loads(document("pyproject.toml"))["project"]
    cited = dict(re.findall(r"^(version|license): (\S+)$", document("CITATION.cff"), re.MULTILINE))
    assert cited == {key: project[key] for key in ("version", "license")}
    for file in project["license-files"]:
        assert document(file).split()[:4] == ["Apache", "License", "Version", "2.0,"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_key_named_in_a_document_exists(name):
    known = our_keys() | ENVIRONMENT
    if name == "docs/from_original.md":
        known |= REPLACED_SETTINGS | {"ENSEMBLE_SNAPSHOT_DIR", "ENSEMBLE_LOG_DIR"}
    text = re.sub(r"<!--.*?-->", "", document(name))
    named = set(re.findall(r"[`\"]([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)[`\"=]", text))
    assert named <= known, f"{name}: {sorted(named - known)}"


def test_the_page_of_scripts_explains_every_shell_script_and_every_step():
    rows = set(re.findall(r"^\| `([\w/.]+)` \|", document("docs/scripts.md"), re.MULTILINE))
    assert {path.name for path in PROJECT.glob("*.sh")} == {row for row in rows if row.endswith(".sh")}
    steps = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "src").glob("*/etl/*.py")}
    assert steps
    assert steps <= rows


def test_the_page_of_errors_explains_every_exit_status():
    statuses = {
        kind.exit_status for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    explained = re.findall(r"^\| (\d+) \|", document("docs/errors.md"), re.MULTILINE)
    assert {int(status) for status in explained} == statuses | {0, 1, 3, 130, 141}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_shell_script_named_in_a_document_exists(name):
    gone = {"train_DenseNet.sh"} if name == "docs/from_original.md" else set()
    for script in set(re.findall(r"\b\w+\.sh\b", document(name))) - gone:
        assert (PROJECT / script).is_file() or (PROJECT / "src" / script).is_file(), f"{name} names {script}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relative_link_leads_somewhere(name):
    assert links(name)
    for target in links(name):
        if not re.match(r"[a-z]+:|#", target):
            path = (PROJECT / name).parent / target.split("#")[0]
            assert path.exists(), f"{name}: {target}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_into_a_page_has_its_heading(name):
    for target in links(name):
        page, _, anchor = target.partition("#")
        if anchor and "://" not in target:
            there = (PROJECT / name).parent / page if page else PROJECT / name
            headings = re.findall(r"^#+ (.+)$", without_code(there.read_text(encoding="utf-8")), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{name}: {target}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_of_the_project_named_in_a_document_exists(name):
    for path in set(re.findall(r"(?<![\w./-])(?:src|docs|demo|tests|benchmarks)/[\w./-]*\w", document(name))):
        if not path.startswith(PRODUCED):
            assert (PROJECT / path).exists(), f"{name}: {path}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_holds_a_path_of_one_machine(name):
    found = re.findall(r"(?<![\w.:/])/(?:home|root|work|Users|tmp|mnt|opt|srv|media)/\S*|\b[A-Z]:\\\S*", document(name))
    assert not found, f"{name}: {found[0]}"


if __name__ == "__main__":
    for changed in generated():
        (PROJECT / changed).write_text(with_tables(changed), encoding="utf-8")
        print(f"{changed}: tables written")
