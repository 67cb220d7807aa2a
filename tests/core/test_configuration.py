import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cxr
from cxr.core import command_line, configuration
from cxr.core.configuration import InputError, chosen_members, load_params, load_settings, params_from
from cxr.core.errors import BusyError, MachineError
from tests.conftest import PROJECT


def write(folder, text, name="PARAMS.json"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(content: dict) -> str:
    with pytest.raises(InputError) as caught:
        params_from(content, "my/PARAMS.json")
    message = str(caught.value)
    assert message.startswith("my/PARAMS.json: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"EPOCH": 3}, "unknown key EPOCH. Did you mean EPOCHS?"),
        ({"LR": 0.1}, "unknown key LR. All keys are in docs/parameters.md."),
        ({"THRESHOLD": 0.1}, "unknown key THRESHOLD. Did you mean LUNG_THRESHOLD or MAP_THRESHOLD?"),
        ({"epochs": 3}, "unknown key epochs. Did you mean EPOCHS?"),
        ({"LUNGMASKING": "hard"}, "unknown key LUNGMASKING. Did you mean LUNG_MASKING?"),
        ({"COLOUR_OF_THE_SKY": 1}, "unknown key COLOUR_OF_THE_SKY. All keys are in docs/parameters.md."),
        ({"EPOCHS": "50"}, "EPOCHS: Input should be a valid integer; found '50'"),
        ({"EPOCHS": 2.5}, "EPOCHS: Input should be a valid integer"),
        ({"MAP_METHOD": "grad-cam"}, "or 'layercam'; found 'grad-cam'. Did you mean gradcam?"),
        ({"EPOCHS": True}, "EPOCHS: Input should be a valid integer; found True"),
        ({"EPOCHS": None}, "EPOCHS: Input should be a valid integer; found None"),
        ({"EPOCHS": 0}, "EPOCHS: Input should be greater than or equal to 1; found 0"),
        ({"ABNORMAL_ONLY": 1}, "ABNORMAL_ONLY: Input should be a valid boolean; found 1"),
        ({"ABNORMAL_ONLY": "false"}, "ABNORMAL_ONLY: Input should be a valid boolean; found 'false'"),
        ({"VAL_FRACTION": 1.5}, "VAL_FRACTION: Input should be less than or equal to 1; found 1.5"),
        ({"LEARNING_RATE": 0}, "LEARNING_RATE: Input should be greater than 0; found 0"),
        ({"LEARNING_RATE": float("nan")}, "LEARNING_RATE: "),
        ({"FIT": "stretch"}, "FIT: Input should be 'pad' or 'squash'; found 'stretch'"),
        ({"VIEWS": "PA"}, "VIEWS: Input should be a valid array; found 'PA'"),
        ({"VIEWS": []}, "VIEWS: must name 1 or more; found []"),
        ({"VIEWS": ["PA", "LL"]}, "VIEWS.1: Input should be 'PA', 'AP' or 'LATERAL'; found 'LL'"),
        ({"UNCERTAIN_LABELS": {"Edma": "ignore"}}, "UNCERTAIN_LABELS: Edma: not in FINDINGS"),
        ({"UNCERTAIN_LABELS": {"Edema": "maybe"}}, "UNCERTAIN_LABELS.Edema: Input should be 'negative', 'positive' or"),
        ({"CLASS_NUM": 14}, "CLASS_NUM: must be 6, the number of FINDINGS; found 14"),
        ({"FINDINGS": ["Mass"], "CLASS_NUM": 6}, "CLASS_NUM: must be 1, the number of FINDINGS; found 6"),
        ({"FINDINGS": []}, "FINDINGS: must name 1 or more; found []"),
        ({"FINDINGS": [f"F{n}" for n in range(31)]}, "FINDINGS: must name 30 at most"),
        ({"FINDINGS": ["Effusion", "Pleural Effusion"]}, "FINDINGS: must name each finding once; Effusion and Pleural"),
        ({"FINDINGS": ["a/b"]}, "FINDINGS: must be names of letters, digits, spaces, _ and -"),
        ({"FINDINGS": ["split"]}, "FINDINGS: must not name a column of our tables, as 'split' does"),
        ({"WEIGHTS_RANGE": [0, 1]}, "WEIGHTS_RANGE: is for a PyTorch file, and WEIGHTS names none"),
        ({"WEIGHTS": "a.pt", "WEIGHTS_RANGE": [1, 0]}, "WEIGHTS_RANGE: must be [] or [black, white], ascending; found"),
        ({"FREEZE": "all"}, "FREEZE: Input should be 'none' or 'backbone'; found 'all'"),
        ({"FREEZE": 0}, "FREEZE: must be none, backbone, or at least 1 and less than EPOCHS, 50 of densenet169; found"),
        ({"FREEZE": 50}, "less than EPOCHS, 50 of densenet169; found 50"),
        ({"FREEZE": 1, "WEIGHTS": {"xception": "none"}}, "FREEZE: xception has no first weights to freeze"),
        ({"UNET_INPUT_SIZE": 500}, "UNET_INPUT_SIZE: must be a multiple of 16; found 500"),
        ({"DENSENET_INPUT_SIZE": 16}, "DENSENET_INPUT_SIZE: Input should be greater than or equal to 32; found 16"),
        ({"INCEPTION_INPUT_SIZE": 64}, "INCEPTION_INPUT_SIZE: inceptionv3 needs 75 pixels or more; found 64"),
        ({"XCEPTION_INPUT_SIZE": 70}, "XCEPTION_INPUT_SIZE: xception needs 71 pixels or more; found 70"),
        ({"ENSEMBLE_MEMBERS": ["densenet196"]}, "ENSEMBLE_MEMBERS: no network densenet196. Did you mean densenet169?"),
        ({"WEIGHTS": 5}, "WEIGHTS: Input should be a valid string; found 5"),
        ({"WEIGHTS": {"xceptoin": "x.h5"}}, "WEIGHTS: no network xceptoin. Did you mean xception? Networks: dense"),
    ],
)  # fmt: skip
def test_a_mistake_in_params_is_named_with_its_key_and_what_came(content, message):
    assert message in refused(content)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"xceptoin": {"EPOCHS": 8}}, "MEMBER_OVERRIDES: no network xceptoin. Did you mean xception?"),
        ({"xception": {"EPOCH": 8}}, "MEMBER_OVERRIDES of xception: EPOCH cannot differ by member. Did you mean"),
        ({"xception": {"FIT": "squash"}}, "MEMBER_OVERRIDES of xception: FIT cannot differ by member."),
        ({"xception": {"MEMBER_OVERRIDES": {}}}, "MEMBER_OVERRIDES of xception: MEMBER_OVERRIDES cannot differ"),
        ({"xception": {"EPOCHS": 0}}, "MEMBER_OVERRIDES of xception: EPOCHS: Input should be greater than or equal"),
        ({"xception": {"DROPOUT": 2}}, "MEMBER_OVERRIDES of xception: DROPOUT: Input should be less than 1; found 2"),
        ({"xception": {"DROPOUT": "high"}}, "MEMBER_OVERRIDES of xception: DROPOUT: Input should be a valid number"),
        ({"xception": 8}, "MEMBER_OVERRIDES.xception: "),
        ([], "MEMBER_OVERRIDES: "),
    ],
)  # fmt: skip
def test_overrides_of_a_member_are_checked_like_the_keys_themselves(overrides, message):
    assert message in refused({"MEMBER_OVERRIDES": overrides})


def test_the_override_of_a_member_that_is_not_in_use_now_is_kept():
    assert params_from({"MEMBER_OVERRIDES": {"efficientnetb0": {"EPOCHS": 2}}}, "x").for_member("efficientnetb0")


def test_a_small_input_is_fine_where_the_member_that_needs_more_is_not_in_use():
    content = {"ENSEMBLE_MEMBERS": ["densenet169"], "INCEPTION_INPUT_SIZE": 64, "DENSENET_INPUT_SIZE": 64}
    assert params_from(content, "x").models.inception_input_size == 64
    with pytest.raises(InputError, match="inceptionv3 needs 75"):
        params_from(content | {"ENSEMBLE_MEMBERS": ["inceptionv3"]}, "x")


def test_whole_numbers_do_for_a_fraction():
    assert params_from({"VAL_FRACTION": 1, "ROTATE": 0}, "x").augmentation.rotate == 0


NO_COMMA = "not valid JSON: a comma or the closing bracket is missing"
NO_VALUE = 'not valid JSON: a value is missing, or none of JSON\'s: a number, "text", true, false, null, [ ], { }'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"EPOCHS": 3,\n "SEED": }', f"{NO_VALUE}, line 2, column 10. Mend it there."),
        ('{"EPOCHS": 3', f"{NO_COMMA}, line 1, column 13. Mend it there."),
        (
            '{"EPOCHS": 3,\n "SEED": 1,\n}',
            "not valid JSON: a comma after the last value, which must have none, line 2, column 11.",
        ),
        (
            '{"FINDINGS": ["Edema",\n]}',
            "not valid JSON: a comma after the last value, which must have none, line 1, column 22.",
        ),
        ('{"EPOCHS": 3\n\n "SEED": 1}', f"{NO_COMMA}, line 1, column 13."),
        ("", f"{NO_VALUE}, line 1, column 1."),
        (
            "{“EPOCHS”: 3}",
            "not valid JSON: a key in double quotes is missing; JSON has no comments, line 1, column 2. Curly",
        ),
        ("[1, 2]", 'expected an object {"KEY": value, …}, found list.'),
        ('"EPOCHS"', 'expected an object {"KEY": value, …}, found str.'),
        ('{"EPOCHS": 3, "SEED": 1, "EPOCHS": 4}', "EPOCHS stands more than once; keep one."),
        ('{"MEMBER_OVERRIDES": {"xception": {"EPOCHS": 1, "EPOCHS": 2}}}', "EPOCHS stands more than once; keep one."),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path, text, message):
    path = write(tmp_path, text)
    for load in (load_params, load_settings):
        with pytest.raises(InputError, match=re.escape(f"{path}: {message}")):
            load(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_file_that_notepad_saved_as_unicode_is_no_mistake(tmp_path, encoding):
    (tmp_path / "PARAMS.json").write_bytes('{"EPOCHS": 3}'.encode(encoding))
    assert load_params(tmp_path / "PARAMS.json").training.epochs == 3
    (tmp_path / "SETTINGS.json").write_bytes('{"DATA_DIR": "자료"}'.encode(encoding))
    assert load_settings(tmp_path / "SETTINGS.json").data_dir == tmp_path / "자료"


def test_a_file_in_another_encoding_or_missing_or_a_folder_is_refused(tmp_path):
    path = tmp_path / "PARAMS.json"
    path.write_bytes('{"WEIGHTS": "Gewichte für Röntgen"}'.encode("latin-1"))
    with pytest.raises(InputError, match=r"PARAMS.json: line 1 is not UTF-8. Save it so"):
        load_params(path)
    with pytest.raises(InputError, match=r"other.json: no such file. Give one with --settings / --params"):
        load_params(tmp_path / "other.json")
    with pytest.raises(InputError, match=r"cannot be read: .*Is a directory"):
        load_params(tmp_path)


def test_the_original_s_params_load_unchanged(tmp_path):
    content = {"CLASS_NUM": 6, "DENSENET_INPUT_SIZE": 256, "EFFICIENTNET_INPUT_SIZE": 528, "UNET_INPUT_SIZE": 512}
    params = load_params(write(tmp_path, json.dumps(content)))
    assert [params.flat()[key] for key in content] == [6, 256, 528, 512]


def test_a_family_is_trained_whole_or_one_member_of_it():
    params = params_from({}, "x")
    assert chosen_members(params, "ensemble", None) == ("densenet169", "inceptionv3", "xception")
    assert chosen_members(params, "ensemble", "xception") == ("xception",)
    with pytest.raises(
        InputError, match="--member resnet: expected one of densenet169, inceptionv3, xception, the mem"
    ):
        chosen_members(params, "ensemble", "resnet")


def test_a_file_that_params_name_must_be_there(tmp_path):
    with pytest.raises(InputError, match=r"WEIGHTS: .*w.h5: no such file"):
        configuration.existing(str(tmp_path / "w.h5"), "WEIGHTS")
    (tmp_path / "w.h5").touch()
    assert configuration.existing(str(tmp_path / "w.h5"), "WEIGHTS") == tmp_path / "w.h5"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("HASH_IDS", "{}/secret.key", "HASH_IDS"),
        ("WEIGHTS", "{}/w.h5", "WEIGHTS"),
        ("WEIGHTS", {"xception": "{}/w.h5"}, "WEIGHTS of xception"),
    ],
)
def test_files_that_params_name_may_begin_at_home_or_hold_variables(tmp_path, monkeypatch, key, value, said):
    def found(start):
        write(tmp_path, json.dumps({key: value}).replace("{}", start))
        given = load_params(tmp_path / "PARAMS.json").flat()[key]
        return given if isinstance(given, str) else given["xception"]

    monkeypatch.setenv("HOME", "/home/somebody")
    assert found("~").startswith("/home/somebody/")
    assert found("$HOME").startswith("/home/somebody/")
    assert found("beside").startswith(f"{tmp_path}/beside/")
    for start, message in (("$NOWHERE", "the variable NOWHERE is not set"), ("D:", "In WSL write /mnt/d/")):
        with pytest.raises(InputError, match=f"PARAMS.json: {said}: .*{message}"):
            found(start)


def test_an_input_error_is_one_line_on_standard_error_and_exit_status_2(capsys, tmp_path):
    path = write(tmp_path, '{"EPOCH": 1}')

    def main():
        command_line.load(command_line.parser("What it does.").parse_args(["--params", str(path)]))

    with pytest.raises(SystemExit) as caught:
        command_line.run(main)
    assert caught.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"error: {path}: unknown key EPOCH. Did you mean EPOCHS? All keys are in docs/parameters.md.\n"


def fail_with(error):
    """The exit status and what is said on standard error when a script's main raises this."""

    def main():
        raise error

    with pytest.raises(SystemExit) as caught:
        command_line.run(main)
    return caught.value.code


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InputError("a: wrong."), 2, "a: wrong."),
        (MachineError("a: no room."), 5, "a: no room."),
        (BusyError("a: busy."), 4, "a: busy."),
        (OSError(errno.ENOSPC, "No space left on device", "a.csv"), 5, "a.csv: No space left on device. Free some"),
        (OSError(errno.EROFS, "Read-only file system", "a.csv"), 5, "a.csv: Read-only file system. Make it writable"),
        (PermissionError(errno.EACCES, "Permission denied", "a.csv"), 5, "a.csv: Permission denied. Make it writable"),
        (OSError("262144 requested and 6016 written"), 5, r"no room on the disk \(.*\). Free some"),
        (MemoryError(), 5, "not enough memory. Lower BATCH_SIZE"),
        (
            UnicodeEncodeError("utf-8", "\udcc6.png", 0, 1, "surrogates not allowed"),
            2,
            r"\\udcc6.png: a name that is no UTF-8",
        ),
        (KeyboardInterrupt(), 130, "interrupted. The same command goes on"),
        (
            ZeroDivisionError("by 0"),
            1,
            r"ZeroDivisionError: by 0 \(test_configuration.py, line \d+\). This is a bug: please rep",
        ),
        (InputError("two\nlines \x1b[31m, \ud55c"), 2, r"two\\nlines \\x1b\[31m, \ud55c"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_is_one_line_that_says_what_to_do_and_has_its_exit_status(capsys, error, status, message):
    assert fail_with(error) == status
    said = capsys.readouterr().err
    assert re.match(f"error: {message}", said)
    assert said.count("\n") == 1


def test_a_key_of_the_other_file_is_told_so(tmp_path):
    with pytest.raises(InputError, match=r"unknown key DATA_DIR\. It is a key of SETTINGS\.json\."):
        load_params(write(tmp_path, '{"DATA_DIR": "data"}'))
    with pytest.raises(InputError, match=r"unknown key SEED\. It is a key of PARAMS\.json\."):
        load_settings(write(tmp_path, '{"SEED": 1}'))


def run_script(script: Path, *words: str, **options) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src")}
    return subprocess.run([sys.executable, script, *words], env=environment, capture_output=True, text=True, **options)


def scripted(name: str, at: Path, **variables: str) -> subprocess.CompletedProcess:
    """A script of the project, where ``at`` comes first of all that is installed."""
    environment = os.environ | {"PYTHONPATH": str(at)} | variables
    command = [sys.executable, PROJECT / "src" / name, "--help"]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["checks/plan_preparation.py", "classification/etl/0_nih_table.py"])
def test_a_script_takes_the_package_of_its_own_project_whichever_is_installed(tmp_path, name):
    (tmp_path / "cxr").mkdir()
    (tmp_path / "cxr/__init__.py").write_text("raise SystemExit('another project')")
    done = scripted(name, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (
            "ModuleNotFoundError(\"No module named 'pandas'\")",
            "lacks our packages (No module named 'pandas'). Run",
        ),
        ("ImportError('libz.so.1: cannot open shared object file')", "libraries are missing or do not fit together ("),
    ],
    ids=["missing", "broken"],
)
def test_a_package_that_cannot_be_imported_is_one_line_with_what_to_run(tmp_path, raised, said):
    (tmp_path / "pandas.py").write_text(f"raise {raised}")
    done = scripted("checks/plan_preparation.py", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_old_python_is_told_whatever_it_stumbles_over(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert cxr._told(TypeError("|"), str(PROJECT / "src/classification/predict.py")).endswith(
        "; 3.11 or newer is needed: docs/install.md"
    )
    assert cxr._told(TypeError("|"), "/home/a/script.py") is None


@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "ImportError('x') from KeyboardInterrupt()"])
def test_ctrl_c_during_imports_is_one_line(tmp_path, raised):
    (tmp_path / "a.py").write_text(
        f"import cxr\ntry:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt:\n    raise {raised}"
    )
    result = run_script(tmp_path / "a.py")
    assert result.returncode
    assert result.stderr == "error: interrupted. The same command goes on where it stopped.\n"
    assert "Traceback" in run_script(tmp_path / "a.py", "--debug").stderr


@pytest.mark.parametrize(
    "ending",
    ["", "raise ValueError('a callback failed') from error", "raise InputError('wrapped') from None"],
    ids=["as it is", "wrapped", "hidden"],
)
def test_a_reader_that_has_seen_enough_is_no_bug(tmp_path, ending):
    (tmp_path / "a.py").write_text(
        "import sys\nfrom cxr.core import command_line\nfrom cxr.core.errors import InputError\n"
        "def main():\n"
        "    try:\n"
        "        for _ in range(100_000):\n"
        "            print('a line', flush=True)\n"
        "    except BrokenPipeError as error:\n"
        f"        {ending or 'raise'}\n"
        "command_line.run(main)\n"
    )
    command = f"{{ '{sys.executable}' '{tmp_path / 'a.py'}'; echo $? > '{tmp_path / 'status'}'; }}"
    for pipe in (" | head -1", " 2>&1 | head -1"):
        said = subprocess.run(["sh", "-c", command + pipe], capture_output=True, text=True)
        assert (said.stdout, said.stderr) == ("a line\n", "")
        assert (tmp_path / "status").read_text() == "141\n"


def test_help_that_nobody_reads_to_its_end_is_no_traceback(tmp_path):
    (tmp_path / "a.py").write_text(
        "from cxr.core import command_line\n"
        "command_line.run(lambda: command_line.parser('long ' * 100_000).parse_args())\n"
    )
    command = f"'{sys.executable}' '{tmp_path / 'a.py'}' --help | head -1"
    assert subprocess.run(["sh", "-c", command], capture_output=True, text=True).stderr == ""


def test_the_traceback_is_shown_on_demand(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["0_nih_table.py", "--debug"])
    fail_with(InputError("a: wrong."))
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last)")
    assert said.endswith("\nerror: a: wrong.\n")


def arguments_of(*words):
    arguments = command_line.parser("What it does.")
    arguments.add_argument("--out", type=command_line.path)
    arguments.add_argument("--family", choices=["ensemble", "efficientnet"])
    return arguments.parse_args([str(word) for word in words])


def test_paths_on_the_command_line_may_begin_at_home_where_no_shell_replaces_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert arguments_of("--out=~/new").out == Path("/home/somebody/new")
    assert arguments_of("--out", "$HOME/new").out == Path("/home/somebody/new")
    assert arguments_of("--settings=~/S.json").settings == Path("/home/somebody/S.json")
    odd = tmp_path / "~ $x\ny\\"
    odd.touch()
    assert arguments_of("--out", odd).out == odd, "what is there may have any name"
    with pytest.raises(InputError, match=r'the command line: "\$NOWHERE/x": the variable NOWHERE is not set'):
        arguments_of("--out", "$NOWHERE/x")
    with pytest.raises(InputError, match=r"In WSL write /mnt/d/out"):
        arguments_of("--out", "D:\\out")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--oout", "x"], "--oout: no such argument. Did you mean --out? All are shown by --help."),
        (["--settigns=x"], "--settigns: no such argument. Did you mean --settings?"),
        (["films"], "films: no such argument. All are shown by --help."),
        (["--out"], "--out: expected one argument. What is expected is shown by --help."),
        (["--family", "x"], "--family: invalid choice: 'x' (choose from"),
    ],
)
def test_a_misspelt_argument_is_one_line_with_the_nearest_right_one(words, said):
    with pytest.raises(InputError, match=re.escape(said)):
        arguments_of(*words)


def test_the_json_files_beside_the_scripts_are_the_default(tmp_path, monkeypatch):
    monkeypatch.setattr(command_line, "PROJECT", tmp_path)  # where no file of one's own is
    arguments = command_line.parser("What it does.").parse_args([])
    assert arguments.settings == command_line.PROJECT / "SETTINGS.json"
    assert arguments.params == command_line.PROJECT / "PARAMS.json"
    assert not command_line.unet_parser("What it does.").parse_args([]).if_missing


def test_files_of_one_s_own_are_used_where_they_are_there_and_named_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command_line, "PROJECT", tmp_path)
    monkeypatch.setenv(command_line.TOLD, "")
    write(tmp_path, "{}", "SETTINGS.json")
    write(tmp_path, '{"EPOCHS": 5}')
    _, params = command_line.load(command_line.parser("A script.").parse_args([]))
    assert (params.training.epochs, capsys.readouterr().err) == (5, "")
    own = write(tmp_path, '{"SEED": 7}', "PARAMS.local.json")
    arguments = command_line.parser("A script.").parse_args([])
    _, params = command_line.load(arguments)
    assert (params.training.epochs, params.general.seed) == (50, 7)  # in its place, not on top of it
    assert capsys.readouterr().err == "with PARAMS.local.json, in place of the example in git\n"
    command_line.load(arguments)  # the next step of a shell script, or the same once more
    assert capsys.readouterr().err == ""
    given = command_line.parser("A script.").parse_args(["--params", str(tmp_path / "PARAMS.json")])
    assert command_line.load(given)[1].general.seed == 1
    own.unlink()
    own.symlink_to("away.json")
    with pytest.raises(InputError, match=r"PARAMS.local.json: no such file"):
        command_line.load(command_line.parser("A script.").parse_args([]))


def test_a_message_names_the_files_in_use_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(command_line, "_in_use", {})
    monkeypatch.setattr(command_line, "PROJECT", tmp_path)
    write(tmp_path, "{}", "SETTINGS.local.json")
    (tmp_path / "mine").mkdir()
    own = write(tmp_path / "mine", "{}", "few.json")
    command_line.load(command_line.parser("A script.").parse_args(["--params", str(own)]))
    told = command_line.with_files_in_use
    assert told("Mend OWN_CSV in SETTINGS.json.") == "Mend OWN_CSV in SETTINGS.local.json."
    assert told("SETTINGS.json: none, PARAMS.json says 6") == f"SETTINGS.local.json: none, {own} says 6"
    assert told("Run: sh prepare_data.sh") == f"Run: sh prepare_data.sh --params {own}"
    for other in ("sh run_demo.sh", "sh evaluate_Ensemble.sh, with the --settings of that folder"):
        assert told(other) == other
    for other in ("bundle/PARAMS.json: not there", "my_SETTINGS.json", "SETTINGS.json.gz", "a.PARAMS.json"):
        assert told(other) == other


@pytest.mark.parametrize("name", ["SETTINGS", "PARAMS"])
def test_git_ignores_files_of_one_s_own(name):
    checked = subprocess.run(["git", "-C", PROJECT, "check-ignore", "-q", f"{name}.local.json"])
    if checked.returncode == 128:
        pytest.skip("this is no git checkout")
    assert checked.returncode == 0


def test_the_parameters_for_a_laptop_fit_one():
    params = load_params(PROJECT / "PARAMS_small.json")
    assert params.pack_sizes() == (160,)
    # Packed films and masks of all that CheXpert and NIH have fit beside the raw data: 13 GB.
    assert 303_000 * (160**2 + params.unet.unet_input_size**2) < 13e9
    assert params.members("ensemble") == ("densenet121", "inceptionv3")
    assert params.members("efficientnet") == ("efficientnetb0",)


def test_names_that_no_terminal_shows_are_printed_escaped():
    code = "from cxr.core import command_line; command_line.run(lambda: print('\\udcc6 \ud3d0'))"
    environment = os.environ | {"PYTHONIOENCODING": "cp437", "PYTHONPATH": str(command_line.PROJECT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "\\udcc6 \\ud3d0\n")


@pytest.mark.parametrize("key", ["DATA_DIR", "MODELS_DIR"])
def test_the_folder_of_the_films_is_no_place_for_results(tmp_path, key):
    (tmp_path / "SETTINGS.json").write_text(json.dumps({"DATASET_DIR": "raw", key: "./raw"}))
    with pytest.raises(
        InputError, match=f"{key}: is the folder of the films, DATASET_DIR .*raw, where nothing is written"
    ):
        configuration.load_settings(tmp_path / "SETTINGS.json")


@pytest.mark.parametrize("given", ["-1", "1.5", "many"])
def test_a_number_of_films_is_a_whole_one(given, capsys):
    parser = command_line.parser("")
    parser.add_argument("--limit", type=command_line.count)
    with pytest.raises((SystemExit, InputError)) as refused:
        parser.parse_args([f"--limit={given}"])
    assert f"expected a whole number, 0 or more; found {given}" in f"{refused.value}{capsys.readouterr().err}"
    assert parser.parse_args(["--limit=12"]).limit == 12
