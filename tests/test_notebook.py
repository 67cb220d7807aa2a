"""notebooks/nih_on_kaggle.ipynb is its script, and runs through, and goes on, in a stand-in of Kaggle's folders.

``python tests/test_notebook.py`` writes the notebook anew.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

from cxr.core import configuration, locks
from cxr.releases.writing import ReleaseParams, write_releases
from tests.conftest import PROJECT, TINY
from tests.test_pipeline import checksums
from tests.test_robustness import mounted

jupytext = pytest.importorskip("jupytext", reason='jupytext not installed. Run: pip install -e ".[tests]"')
nbclient = pytest.importorskip("nbclient", reason='nbclient not installed. Run: pip install -e ".[tests]"')
nbformat = pytest.importorskip("nbformat")

SCRIPT = PROJECT / "notebooks/nih_on_kaggle.py"
NOTEBOOK = SCRIPT.with_suffix(".ipynb")
NIH_FILMS = 112_120
FILMS = 36
METADATA = {
    "accelerator": "GPU",
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
PROFILE = TINY | {"LUNG_MASKING": "none", "SCHEDULE": "constant", "EARLY_STOPPING_PATIENCE": 0, "EPOCHS": 10**6}
PROFILE |= {"FAITHFULNESS_FILMS": 0, "OVERLAYS_PER_FINDING": 1, "VAL_FRACTION": 0.4, "BLANK_CORNERS": False}
PROFILE |= {"FINDINGS": ["Effusion", "Cardiomegaly"]}  # fewer pictures


def of_script():
    """The script as a notebook."""
    notebook = jupytext.reads(SCRIPT.read_text(encoding="utf-8"), "py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    return notebook


def as_text(notebook) -> str:
    return nbformat.writes(notebook) + "\n"


def test_the_notebook_is_the_script():
    assert NOTEBOOK.read_text(encoding="utf-8") == as_text(of_script()), "run: python tests/test_notebook.py"


def names_of_cell(number: int, **given):
    """The names that a code cell defines, from 0."""
    cells = [cell for cell in of_script().cells if cell.cell_type == "code"]
    exec(cells[number].source, given)
    return given


def test_what_the_profile_makes_of_all_films_fits_where_it_is_kept():
    params = configuration.params_from(names_of_cell(0)["PROFILE"], "PROFILE")
    (size,) = params.pack_sizes()
    packs = NIH_FILMS * (size**2 + params.unet.unet_input_size**2)
    assert 11e9 < packs < 12e9  # as the notebook and docs/kaggle.md say: 3 GB are left of Drive's 15, 8 of Kaggle's 20


def mount_or_not(folder: Path, *options: str) -> bool:
    """A small disk, where one may be mounted here."""
    try:
        mounted(folder, *options)
    except (FileNotFoundError, pytest.skip.Exception):
        return False
    return True


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory):
    """Folders as Kaggle's: an input with drawn films that cannot be written, a small disk for what is kept, a clone."""
    folder = tmp_path_factory.mktemp("kaggle")
    films, working = folder / "input/datasets/nih-chest-xrays/data", folder / "working"
    mounts = [place for place in (folder / "input", working) if not place.mkdir() and mount_or_not(place, "size=30m")]
    write_releases(films, folder / "lungs", folder / "masks", ReleaseParams(FILMS, 0, 0, 64, 3))
    for path in (*films.glob("CheXpert*"), *films.glob("phantom*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    project = folder / "repository"
    listed = subprocess.run(
        ["git", "-C", PROJECT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True
    ).stdout.split()
    for name in listed:
        if (PROJECT / name).is_file() and not name.startswith(("docs/", "benchmarks/", "experiments/")):
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, project / name)
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "all"]):
        subprocess.run(["git", "-C", project, *words], check=True)
    yield folder, films
    for place in mounts:
        subprocess.run(["umount", place], check=False)


def executed(folder: Path, scratch: str, **changes):
    """The notebook, run in these folders; all that it printed, and the kinds of what it showed."""
    places = {name: folder / name.lower() for name in ("INPUT", "WORKING")}
    given = {name: str(place) for name, place in places.items()} | {"SCRATCH": str(folder / scratch)}
    lines = [f"{name} = Path({place!r})" for name, place in given.items()]
    lines += [f"REPOSITORY = {str(folder / 'repository')!r}", f"PYTHON = {sys.executable!r}", "RESERVE = 0"]
    lines += [f"{name} = {value!r}" for name, value in ({"FAMILIES": ["Ensemble"]} | changes).items()]
    notebook = of_script()
    place = 1 + next(n for n, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    notebook.cells.insert(place, nbformat.v4.new_code_cell("\n".join(lines)))
    nbclient.NotebookClient(notebook, timeout=None, kernel_name="python3").execute(cwd=str(folder))
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    shown = [kind for output in outputs if output.output_type == "display_data" for kind in output.data]
    return printed, shown


@contextlib.contextmanager
def ended_after_an_epoch(member: Path):
    """Asks the training in this folder, by the signal that comes ahead of a time limit, to end."""
    over = threading.Event()

    def ask():
        while not over.wait(0.1):
            if (member / locks.BACKUP / "state.json").exists():
                number = (member / locks.LOCK).read_text().split("process ")[1].split(",")[0]
                os.kill(int(number), signal.SIGUSR1)
                return

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_two_runs_on_kaggle_train_evaluate_and_show_all_without_touching_the_films(kaggle):
    folder, films = kaggle
    before = checksums(folder / "input")
    here = folder / "working/xray"
    member = here / "models/classification/ensemble/tiny"
    with ended_after_an_epoch(member):
        printed, shown = executed(folder, "first", PROFILE=PROFILE, HOURS=1000.0)
    assert f"films: {films} folders: 1 of NIH's 12" in printed
    assert "goes on from nothing: a first run" in printed
    assert "Not all trained: Ensemble. Add this run's output to the inputs" in printed
    assert not (member / "run.json").exists()
    assert shown.count("image/png") == 2  # packed films, curves
    epochs = len((member / "log.csv").read_text().splitlines()) - 1
    # The next session: the films at the older place, the output among the inputs, without hidden files, on a new disk.
    assert checksums(folder / "input") == before
    kept = folder / "input/notebooks/me/a-notebook/xray"
    shutil.copytree(here, kept, ignore=shutil.ignore_patterns(".*"))
    films.rename(folder / "input/data")
    shutil.rmtree(folder / "working/xray")
    before = checksums(folder / "input")
    printed, shown = executed(folder, "second", PROFILE=PROFILE | {"EPOCHS": epochs + 1}, HOURS=1000.0)
    assert f"goes on from {kept}" in printed
    assert "prepare_data.sh" not in printed.split("goes on from")[1].split("train_Ensemble.sh")[0]
    assert f"resumed after epoch {epochs}" in printed
    assert "Trained and evaluated: Ensemble" in printed
    assert "Not all trained" not in printed
    assert json.loads((member / "run.json").read_text())["resumed_from"] == epochs
    assert shown.count("image/png") >= 4  # and roc.png, overviews
    assert shown.count("text/html") == 2  # the table, the report
    assert checksums(folder / "input") == before


def test_colab_is_known_and_keeps_results_in_drive(tmp_path, monkeypatch):
    asked = []
    colab = types.ModuleType("google.colab")
    colab.drive = types.SimpleNamespace(mount=asked.append)
    hub = types.ModuleType("kagglehub")
    hub.dataset_download = lambda name: asked.append(name) or str(tmp_path / "cache/data")
    (tmp_path / "cache/data/images_001").mkdir(parents=True)
    (tmp_path / "cache/data/Data_Entry_2017.csv").touch()
    for name, module in (("google", types.ModuleType("google")), ("google.colab", colab), ("kagglehub", hub)):
        monkeypatch.setitem(sys.modules, name, module)
    given = names_of_cell(2, **names_of_cell(1, **names_of_cell(0)))
    assert given["films"] == tmp_path / "cache/data"
    assert asked == ["/content/drive", "nih-chest-xrays/data"]
    assert str(given["KEPT"]).startswith("/content/drive/MyDrive")


def test_what_is_kept_elsewhere_is_where_the_next_machine_goes_on(tmp_path):
    drive, folder = tmp_path / "drive", "models/classification/ensemble/tiny/.cxr-backup"
    given = names_of_cell(1, **names_of_cell(0)) | {"KEPT": drive, "WORKING": tmp_path / "first"}
    given = names_of_cell(4, **given)
    (given["here"] / folder).mkdir(parents=True)
    for epoch in (1, 2):
        for old in (given["here"] / folder).glob("epoch_*"):
            old.unlink()
        (given["here"] / folder / f"epoch_000{epoch}.weights.h5").touch()
        (given["here"] / folder / "state.json").write_text(f"epoch {epoch}")
        (given["here"] / "SETTINGS.json").write_text(f"epoch {epoch}")
        given["keep"]()
    kept = drive / "run/xray" / folder
    assert sorted(path.name for path in kept.iterdir()) == ["epoch_0002.weights.h5", "state.json"]
    given = names_of_cell(4, **given | {"WORKING": tmp_path / "second"})
    assert given["earlier"] == [drive / "run/xray"]
    assert (tmp_path / "second/xray" / folder / "state.json").read_text() == "epoch 2"


def test_a_machine_that_vanishes_while_it_copies_leaves_what_can_be_gone_on_with(tmp_path, monkeypatch):
    drive, folder = tmp_path / "drive", "models/classification/ensemble/tiny/.cxr-backup"
    given = names_of_cell(1, **names_of_cell(0)) | {"KEPT": drive, "WORKING": tmp_path}
    given = names_of_cell(4, **given)
    (given["here"] / folder).mkdir(parents=True)
    backup, kept = given["here"] / folder, drive / "run/xray" / folder

    def write(epoch: int):
        (backup / "state.json").write_text(str(epoch))
        (backup / f"epoch_000{epoch}.weights.h5").write_text(f"weights {epoch}")

    write(1)
    given["keep"]()
    (backup / "epoch_0001.weights.h5").unlink()
    write(2)
    for copied in (0, 1):  # files, before it vanishes in the middle of the next
        calls = iter(range(copied))

        def copy2(source, target, calls=calls, whole=shutil.copy2):
            if next(calls, None) is None:
                Path(target).write_text("half")
                raise KeyboardInterrupt
            whole(source, target)

        with monkeypatch.context() as patched:
            patched.setattr(shutil, "copy2", copy2)
            with pytest.raises(KeyboardInterrupt):
                given["keep"]()
        epoch = (kept / "state.json").read_text()
        assert (kept / f"epoch_000{epoch}.weights.h5").read_text() == f"weights {epoch}"
    given["keep"]()
    assert (kept / "state.json").read_text() == "2"


@pytest.mark.parametrize(
    ("kept", "statuses", "hours", "done"),
    [
        (True, [6, 6, 0], [2, 2, 2], ["Ensemble"]),
        (True, [6, 2], [2, 2], []),
        (False, [0], [100], ["Ensemble"]),
        (False, [6], [100], []),
        (False, [5], [100], []),
    ],
    ids=["pieces", "an error in the second", "at once", "the time is over", "an error"],
)
def test_training_goes_on_in_pieces_where_it_is_kept_elsewhere_and_an_error_ends_no_notebook(
    tmp_path, kept, statuses, hours, done
):
    given, asked = names_of_cell(0), []
    given |= {
        "FAMILIES": ["Ensemble"],
        "KEPT": tmp_path if kept else None,
        "RESERVE": 0,
        "PROJECT": tmp_path,
        "PIECE": 2,
    }
    given |= {"end": time.time() + 3600 * 100, "files": (), "models": tmp_path}
    given |= {"run": lambda *words, must: asked.append(round(float(words[-1]))) or statuses[len(asked) - 1]}
    given = names_of_cell(7, **given | {"keep": lambda: None, "show": lambda *paths: None})
    assert (given["trained"], asked) == (done, hours)
    assert names_of_cell(7, **given | {"end": 0})["trained"] == []  # no time is left


def test_without_films_the_notebook_says_what_to_add(tmp_path):
    given = names_of_cell(1, **names_of_cell(0)) | {"INPUT": tmp_path}
    with pytest.raises(SystemExit, match=r"No Data_Entry_2017.csv in .*Add the data set nih-chest-xrays/data"):
        names_of_cell(2, **given)


if __name__ == "__main__":
    NOTEBOOK.write_text(as_text(of_script()), encoding="utf-8")
    print(f"{NOTEBOOK}: written", time.strftime("%H:%M:%S"))
