import json
import os

import pandas as pd
import pytest

from cxr.core.artifacts import (
    Step,
    digest,
    digest_of,
    need,
    raw_state,
    read_json,
    write_csv,
    write_json,
    write_problems,
    write_text,
    written_whole,
)
from cxr.core.errors import InputError


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "film.png"
    with written_whole(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.suffix == ".png"
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def interrupted():
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nan_is_no_json(tmp_path):
    path = tmp_path / "metrics.json"
    write_json({"auroc": 0.5}, path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"auroc": float("nan")}, path)
    assert json.loads(path.read_text()) == {"auroc": 0.5}
    assert list(tmp_path.iterdir()) == [path]


def test_text_and_json_are_utf8_and_end_with_a_line(tmp_path):
    write_json({"name": "Röntgen", "none": None, "path": tmp_path}, tmp_path / "a.json")
    content = (tmp_path / "a.json").read_bytes().decode()
    assert "Röntgen" in content
    assert content.endswith("}\n")
    assert json.loads(content)["path"] == str(tmp_path)


def test_not_known_is_empty_in_a_table(tmp_path):
    write_csv(pd.DataFrame({"a": [1.0, None], "b": ["x", None]}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b"a,b\n1.0,x\n,\n"


def test_a_missing_artifact_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(InputError, match=r"images.csv: not there yet. Make it with: sh prepare_data.sh"):
        need(tmp_path / "images.csv", "sh prepare_data.sh")
    assert need(tmp_path, "sh prepare_data.sh") == tmp_path


def test_digests_hang_on_content_alone(tmp_path):
    for name, text in (("a", "same"), ("b", "same"), ("c", "other")):
        (tmp_path / name).write_text(text)
    a, b, c = (digest(tmp_path / name) for name in "abc")
    assert a == b != c
    assert len(a) == 32
    assert digest_of({"x": 1, "y": 2}) == digest_of({"y": 2, "x": 1}) != digest_of({"x": 1, "y": 3})


def test_raw_files_are_known_by_path_size_and_time(tmp_path):
    path = tmp_path / "film.png"
    path.write_text("film")
    first = raw_state([path])
    assert raw_state([path]) == first
    os.utime(path, ns=(0, 1))
    touched = raw_state([path])
    path.write_text("films")
    os.utime(path, ns=(0, 1))
    longer = raw_state([path])
    path.unlink()
    gone = raw_state([path])
    assert len({first, touched, longer, gone, raw_state([])}) == 5


@pytest.fixture
def step(tmp_path):
    """step(...) makes the same step again, with changes; its output is written and its record finished."""
    output = tmp_path / "table.csv"

    def make(inputs=None, parameters=None, outputs=None):
        parameters = {"SIZE": 64, "VIEWS": ("PA",)} if parameters is None else parameters
        return Step(tmp_path / "table.json", inputs or {"raw": "aa"}, parameters, outputs or [output])

    write_text("rows", output)
    make().finish()
    return make


def test_a_finished_step_is_current(step):
    assert step().is_current()


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": {"raw": "bb"}},
        {"inputs": {"raw": "aa", "unet": "cc"}},
        {"parameters": {"SIZE": 65, "VIEWS": ("PA",)}},
        {"parameters": {"SIZE": 64, "VIEWS": ("PA", "AP")}},
        {"parameters": {"SIZE": 64}},
    ],
)
def test_another_input_or_parameter_makes_a_step_stale(step, change):
    assert not step(**change).is_current()


def test_a_touched_changed_or_missing_output_makes_a_step_stale(step, tmp_path):
    output = tmp_path / "table.csv"
    status = output.stat()
    os.utime(output, ns=(0, status.st_mtime_ns + 1))
    assert not step().is_current()
    os.utime(output, ns=(0, status.st_mtime_ns))
    assert step().is_current()
    output.write_text("more rows")
    os.utime(output, ns=(0, status.st_mtime_ns))
    assert not step().is_current()
    output.unlink()
    assert not step().is_current()


def test_a_new_output_makes_a_step_stale(step, tmp_path):
    write_text("", tmp_path / "problems.csv")
    assert not step(outputs=[tmp_path / "table.csv", tmp_path / "problems.csv"]).is_current()


@pytest.mark.parametrize("record", [None, "", "{", "[]", "{}"])
def test_a_step_without_a_readable_record_is_not_done(step, tmp_path, record):
    (tmp_path / "table.json").unlink()
    if record is not None:
        (tmp_path / "table.json").write_text(record)
    assert not step().is_current()


def test_a_step_that_began_again_is_not_vouched_for_by_its_old_record(step):
    step().finish()
    step().begin()
    assert not step().is_current()


def test_with_strict_a_listed_problem_stops_the_step_each_time_and_without_it_does_not(tmp_path):
    listed = tmp_path / "problems.csv"
    write_csv(pd.DataFrame({"path": ["a.png", "NA"], "problem": ["missing", "unreadable"]}), listed)
    lenient, strict = (Step(tmp_path / "r.json", {}, {}, [listed], refuse) for refuse in (None, listed))
    said = r"--strict: 2 problems, listed in .*problems.csv: a.png: missing; NA: unreadable. Mend them, or run without"
    with pytest.raises(InputError, match=said):
        strict.finish()
    assert lenient.is_current()
    with pytest.raises(InputError, match=said):
        strict.is_current()
    write_csv(pd.DataFrame(columns=["path", "problem"]), listed)
    strict.finish()
    assert strict.is_current()


def test_names_that_are_no_utf8_are_escaped_in_every_file_and_json_gives_them_back(tmp_path):
    name = "\udcc6.png"
    write_csv(pd.DataFrame({"path": [name]}), tmp_path / "a.csv")
    write_text(name, tmp_path / "a.txt")
    write_json({"path": name}, tmp_path / "a.json")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "path\n\\udcc6.png\n"
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "\\udcc6.png"
    assert read_json(tmp_path / "a.json", "") == {"path": name}


def test_a_list_of_problems_holds_no_formula_and_still_the_way_to_the_file(tmp_path):
    table = pd.DataFrame({"path": ["=1+1.png", "a/=1.png", "@x", "-5", "a"], "problem": ["no label"] * 5})
    write_problems(table, tmp_path / "a.csv")
    assert pd.read_csv(tmp_path / "a.csv")["path"].tolist() == ["./=1+1.png", "a/=1.png", "./@x", "./-5", "a"]
    write_problems(table[:0], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "path,problem\n"
