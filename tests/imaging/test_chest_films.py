"""DICOM files that are chest films whatever their header says, because a list of the user's says so."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from cxr.core import command_line
from cxr.core.artifacts import write_csv
from cxr.core.errors import FilmError, InputError, counted
from cxr.core.findings import FINDINGS
from cxr.imaging import chest_films
from cxr.imaging.decoding import open_film
from cxr.tables import schema
from tests.conftest import TINY, load_script, settings_in
from tests.imaging.dicom_files import dicom

PIXELS = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def films(tmp_path, monkeypatch):
    """Two films whose headers say CT, and one that says KNEE too."""
    monkeypatch.setenv(chest_films.CHEST_FILMS, "")
    for name, tags in (("a.dcm", {}), ("b.dcm", {}), ("c.dcm", {"BodyPartExamined": "KNEE"})):
        dicom(tmp_path, PIXELS, name, Modality="CT", **tags)
    return tmp_path


def write_list(folder, *lines):
    (folder / "films.txt").write_text("\n".join(lines))
    chest_films.use(folder / "films.txt")
    return folder / "films.txt"


def test_a_listed_film_is_read_and_says_what_was_passed_over_and_another_is_refused(films):
    write_list(films, "# typed wrongly", "", "a.dcm", str(films / "c.dcm"))
    assert open_film(films / "a.dcm").pixels.shape == (64, 64)
    assert open_film(films / "a.dcm").notes == (
        "its Modality is CT, which was passed over: it is on the list of chest films",
    )
    assert [note.split(",")[0] for note in open_film(films / "c.dcm").notes] == [
        "its Modality is CT", "its BodyPartExamined is KNEE"
    ]  # fmt: skip
    with pytest.raises(FilmError, match=r"b\.dcm: its Modality is CT; expected one of CR"):
        open_film(films / "b.dcm")
    chest_films.use(None)
    with pytest.raises(FilmError, match=r"a\.dcm: its Modality is CT"):
        open_film(films / "a.dcm")


def test_a_film_is_known_by_its_file_whatever_the_path_to_it(films):
    (films / "link").symlink_to(films)
    write_list(films, "link/a.dcm")
    assert chest_films.is_listed(films / "a.dcm")
    assert chest_films.is_listed(films / "link" / "a.dcm")
    assert not chest_films.is_listed(films / "b.dcm")


def test_the_record_of_a_step_names_the_listed_films_that_it_reads(films):
    paths = [films / name for name in ("a.dcm", "b.dcm")]
    assert chest_films.recorded(paths) == {}
    write_list(films, "c.dcm", "a.dcm")
    assert chest_films.recorded(paths) == {"chest_films": ["a.dcm"]}
    assert chest_films.recorded(paths[1:], "tcp://there") == {}
    with pytest.raises(InputError, match="workers of --scheduler do not know"):
        chest_films.recorded(paths, "tcp://there")


def test_a_listed_file_that_is_not_there_and_a_list_that_is_not_are_named(films):
    path = write_list(films, "a.dcm", "d.dcm")
    with pytest.raises(InputError, match=rf"{path}: line 2: d\.dcm: no such file; expected a path relative to {films}"):
        chest_films.listed()
    with pytest.raises(InputError, match=r"line 2: d\.dcm"):  # said where a film is read too
        open_film(films / "a.dcm")
    chest_films.use(films / "none.txt")
    with pytest.raises(InputError, match=r"none\.txt: No such file or directory; expected a list of DICOM files"):
        chest_films.listed()


def test_settings_name_the_list_and_those_without_one_end_its_use(films, tmp_path):
    (tmp_path / "PARAMS.json").write_text("{}")
    given = [f"--{name.lower()}={tmp_path / name}.json" for name in ("SETTINGS", "PARAMS")]
    for text, expected in (('{"CHEST_FILMS": "films.txt"}', str(tmp_path / "films.txt")), ("{}", ""),
                           ('{"CHEST_FILMS": ""}', "")):  # fmt: skip
        (tmp_path / "SETTINGS.json").write_text(text)
        command_line.load(command_line.parser("-").parse_args(given))
        assert os.environ[chest_films.CHEST_FILMS] == expected


def test_a_pack_reads_listed_films_names_them_in_its_record_and_is_made_anew_when_the_list_changes(tmp_path, capsys):
    settings = settings_in(tmp_path)
    content = {**json.loads((tmp_path / "SETTINGS.json").read_text()), "CHEST_FILMS": "raw/films.txt"}
    (tmp_path / "SETTINGS.json").write_text(json.dumps(content))
    (tmp_path / "PARAMS.json").write_text(json.dumps(TINY | {"LUNG_MASKING": "none"}))
    settings.dataset_dir.mkdir()
    names = [dicom(settings.dataset_dir, PIXELS, f"{n}.dcm", Modality="CT" if n < 2 else "CR").name for n in range(12)]
    about = {"patient_id": "nih-1", "view": "PA", "sex": "M", "age": 50, "source": "nih", "label_source": "nih"}
    rows = [{"image_id": f"nih/{n:02d}", "path": name, **about} for n, name in enumerate(names)]
    images = pd.DataFrame(rows).assign(**dict.fromkeys(FINDINGS, 0))
    write_csv(schema.typed(images, FINDINGS), settings.images_csv)
    given = [f"--{name.lower()}={tmp_path / name}.json" for name in ("SETTINGS", "PARAMS")]
    for lines, unreadable in (("1.dcm", 1), ("1.dcm\n0.dcm", 0)):
        (settings.dataset_dir / "films.txt").write_text(lines)
        chest_films._read.cache_clear()  # a run reads the list once
        load_script("src/classification/etl/5_pack_arrays.py").main(given)
        assert f"{counted(unreadable, 'film')} unreadable" in capsys.readouterr().out
        record = json.loads(settings.pack(32).with_suffix(".json").read_text())
        assert record["inputs"]["chest_films"] == sorted(lines.split())
