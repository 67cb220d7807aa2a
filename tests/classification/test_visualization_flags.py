"""visualization_*.sh hands its arguments to three scripts: each takes the others' flags, and none a misspelt one."""

import re

import pytest

from cxr.core.errors import InputError
from tests.conftest import PROJECT, load_script, settings_in

AFTER = ("score_maps", "report")  # visualize.py


def main_of(name):
    return load_script(f"src/classification/eval/{name}.py").main


def flags(name, capsys) -> dict[str, str]:
    """The flags of a script with what its help says of each."""
    with pytest.raises(SystemExit):
        main_of(name)(["--help"])
    options = capsys.readouterr().out.split("options:")[1]
    return dict(re.findall(r"^  (?:-h, )?(--[a-z]+)((?:.|\n(?!  -))*)", options, re.MULTILINE))


def test_the_shell_scripts_hand_all_arguments_to_all_three():
    for family in ("Ensemble", "Efficientnet"):
        lines = (PROJECT / f"visualization_{family}.sh").read_text().splitlines()
        called = [line.split("eval/")[1] for line in lines if "eval/" in line]
        assert called == [f'{name}.py" {family.lower()} "$@"' for name in ("visualize", *AFTER)]


@pytest.mark.parametrize("name", AFTER)
def test_a_flag_of_visualize_is_taken_by_the_scripts_after_it_and_said_to_be_ignored(name, capsys, tmp_path):
    common = set(flags("visualize", capsys)) & set(flags("../etl/6_split_train_val", capsys))
    own = set(flags("visualize", capsys)) - common
    assert own == {"--film", "--finding", "--limit"}
    told = flags(name, capsys)
    assert own <= set(told)
    assert {flag for flag in told if "ignored here" in told[flag]} == own
    settings = settings_in(tmp_path)
    settings.boxes_csv.parent.mkdir(parents=True)
    settings.boxes_csv.touch()
    (tmp_path / "PARAMS.json").write_text("{}")
    given = [f"--{file.lower()}={tmp_path / file}.json" for file in ("SETTINGS", "PARAMS")]
    with pytest.raises(InputError, match="not there yet"):  # of what evaluation leaves: the words were fine
        main_of(name)(["ensemble", *given, "--film", "a", "--film", "b", "--finding", "Edema", "--limit", "3"])


@pytest.mark.parametrize(
    ("word", "finding"),
    [("effusion", "Effusion"), ("pleural effusion", "Effusion"), ("EDEMA", "Edema"), ("Edema", "Edema")],
)
def test_a_finding_may_be_asked_for_in_any_spelling(word, finding):
    asked = load_script("src/classification/eval/visualize.py").asked
    assert asked(word, ["Effusion", "Edema"]) == finding
    with pytest.raises(
        InputError, match=r"--finding Efusion: expected one of Effusion, Edema. Did you mean Effusion\?"
    ):
        asked("Efusion", ["Effusion", "Edema"])


@pytest.mark.parametrize("name", ["visualize", *AFTER])
@pytest.mark.parametrize("word", ["--flim", "--fil", "--find", "--limits", "--filmss", "picture.png"])
def test_a_misspelt_flag_is_refused_by_each_script_and_not_swallowed(name, word):
    with pytest.raises(InputError, match=f"^{word}: no such argument"):
        main_of(name)(["ensemble", word])


def test_films_of_the_report_are_another_flag_than_film(capsys):
    told = flags("report", capsys)
    assert {"--films", "--film"} <= set(told)
    assert "films in the gallery" in told["--films"]
    assert "--films" not in flags("visualize", capsys)
