"""The documents say what the code does: every key with its default, every shell script, every path.

``python tests/test_readme.py`` writes the tables of keys in README.md anew from the models.
"""

import json
import re
from pathlib import Path

import pytest

from cxr.core.configuration import load_params
from cxr.core.parameters import STAGES, Params, Stage
from cxr.core.settings import REPLACED_SETTINGS, Settings

PROJECT = Path(__file__).resolve().parents[1]
DOCUMENTS = (
    "README.md",
    "README.ko.md",
    "docs/cluster.md",
    "docs/from_original.md",
    "docs/lung_masks.md",
    "docs/scaling.md",
    "docs/experiments.md",
    "docs/security.md",
)
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
    "OPENCV_IO_MAX_IMAGE_PIXELS",
    "CUDA_VISIBLE_DEVICES",
    "JOB_PORT",
    "OPENCV_FOR_THREADS_NUM",
}
PRODUCED = ("demo/data", "demo/models", "data/", "models/")  # there only after a run
LONGEST_CHOICE = 6  # a longer list of values is said by the description


def document(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


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
        default = field.default.as_posix() if isinstance(field.default, Path) else field.default
        cells = [f"`{key}`", f"`{json.dumps(default)}`", takes(schema[key]), field.description or ""]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def tables_by_marker() -> dict[str, str]:
    """What stands between <!-- NAME --> and <!-- /NAME --> in README.md."""
    stages = [f"**{TITLES.get(name, name)}**\n\n{key_table(stage)}" for name, stage in STAGES.items()]
    return {"SETTINGS": key_table(Settings), "PARAMS": "\n\n".join(stages)}


def with_tables(text: str) -> str:
    for name, table in tables_by_marker().items():
        between = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        assert len(between.findall(text)) == 1, f"README.md: expected one <!-- {name} --> … <!-- /{name} -->"
        text = between.sub(lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}", text)
    return text


def default_of(key: str):
    fields = {name.upper(): field.default for stage in (Settings, *STAGES.values()) for name, field in fields_of(stage)}
    return fields[key].as_posix() if isinstance(fields[key], Path) else fields[key]


def fields_of(stage: type[Stage]):
    return stage.model_fields.items()


def our_keys() -> set[str]:
    return {name.upper() for stage in (Settings, *STAGES.values()) for name, _ in fields_of(stage)}


def test_the_tables_of_keys_equal_what_the_models_say():
    text = document("README.md")
    assert text == with_tables(text), f"README.md is out of step with the models; run: {REGENERATE}"


def test_the_readme_says_how_its_tables_are_written():
    assert REGENERATE in document("README.md")


def test_every_key_and_every_stage_is_described():
    for name, stage in STAGES.items():
        assert name in TITLES, f"give the stage {name} a title here"
        for key, field in fields_of(stage):
            assert field.description, f"{key.upper()} has no description"


def test_the_json_files_at_the_top_hold_the_defaults():
    settings = json.loads(document("SETTINGS.json"))
    assert settings == {name.upper(): field.default.as_posix() for name, field in fields_of(Settings)}
    defaults = json.loads(json.dumps(Params().flat()))
    for key, value in json.loads(document("PARAMS.json")).items():
        assert value == defaults[key], f"PARAMS.json: {key}"


def test_the_readme_counts_the_films_of_the_demo():
    demo = load_params(PROJECT / "demo/PARAMS.json").demo
    films = demo.demo_nih_films + demo.demo_chexpert_films
    assert f"{films:,} synthetic frontal films and {demo.demo_lung_films} lung films" in document("README.md")


def test_the_korean_readme_gives_the_defaults():
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \| `(.+?)` \|", document("README.ko.md"), re.MULTILINE)
    assert len(rows) > 10
    for key, default in rows:
        assert json.loads(default) == json.loads(json.dumps(default_of(key))), key


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_key_named_in_a_document_exists(name):
    known = our_keys() | ENVIRONMENT
    if name == "docs/from_original.md":
        known |= REPLACED_SETTINGS | {"ENSEMBLE_SNAPSHOT_DIR", "ENSEMBLE_LOG_DIR"}
    text = re.sub(r"<!--.*?-->", "", document(name))
    named = set(re.findall(r"[`\"]([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)[`\"=]", text))
    assert named <= known, f"{name}: {sorted(named - known)}"


def test_the_readme_names_every_shell_script_at_the_top_level():
    scripts = {path.name for path in PROJECT.glob("*.sh")}
    assert scripts
    assert scripts <= set(re.findall(r"\w+\.sh", document("README.md")))


@pytest.mark.parametrize("name", ["README.md", "README.ko.md", "docs/lung_masks.md"])
def test_every_shell_script_named_in_a_document_exists(name):
    for script in set(re.findall(r"\b\w+\.sh\b", document(name))):
        assert (PROJECT / script).is_file(), f"{name} names {script}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relative_link_leads_somewhere(name):
    targets = re.findall(r"\]\(([^)\s]+)\)", document(name))
    assert targets
    for target in targets:
        if not re.match(r"[a-z]+:|#", target):
            path = (PROJECT / name).parent / target.split("#")[0]
            assert path.exists(), f"{name}: {target}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_into_a_page_has_its_heading(name):
    for page, anchor in re.findall(r"\]\(([\w./-]*)#([^)]+)\)", document(name)):
        there = (PROJECT / name).parent / page if page else PROJECT / name
        headings = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in anchors, f"{name}: {page}#{anchor}"


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
    readme = PROJECT / "README.md"
    readme.write_text(with_tables(readme.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{readme}: tables of keys written")
