# %% [markdown]
# # NIH ChestX-ray14 on Kaggle, without a download
#
# The films lie on Kaggle already, and two GPUs can be had there for some hours. This notebook finds the films, trains
# the networks for as long as a run may last, evaluates them, and goes on in the next run. In Colab it does the same.
#
# **On Kaggle**, in the panel on the right:
#
# 1. *Add input*: the data set [nih-chest-xrays/data](https://www.kaggle.com/datasets/nih-chest-xrays/data).
# 2. *Session options*: accelerator *GPU T4 x2*, internet *on*.
# 3. Set `REPOSITORY` below, then *Save version*, *Save & run all*. Nobody needs to sit there.
# 4. Not all trained yet? *Add input*: the output of that version of this notebook. Save a version again: it goes on.
#
# **In Colab**: a runtime with a GPU. Results are kept in your Drive, in the folder `xray`, from where the next run goes
# on; they take 13 GB.
#
# It was run against a stand-in of Kaggle's folders with drawn films. **On Kaggle and in Colab it was not run**: times
# and memory there are not known, and names of folders may have changed. For research only.
# All that it means stands in the project's docs/kaggle.md.
#
# The notebook is written from the script of the same name: change that one.

# %% tags=["parameters"]
import csv
import html
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = ""  # where this project is, such as https://github.com/NAME/PROJECT; what git clone takes
HOURS = 11.0  # of this run, from here; Kaggle stops one after 12 and keeps nothing of it then
RESERVE = 1.5  # of these, for evaluation and pictures
PIECE = 1.0  # where results are kept elsewhere: of training, from copy to copy; more than an epoch takes
FAMILIES = ["Ensemble", "Efficientnet"]
# What differs from PARAMS.json. 112,120 films make a pack of 7.3 GB at 256 px and masks of 4.1 GB at 192: of the 20 GB
# that Kaggle keeps, and of the 15 that Drive has for nothing, that leaves enough for the networks.
PROFILE = {
    "DENSENET_INPUT_SIZE": 256,
    "INCEPTION_INPUT_SIZE": 256,
    "XCEPTION_INPUT_SIZE": 256,
    "EFFICIENTNET_INPUT_SIZE": 256,
    "EFFICIENTNET_VARIANT": "B0",
    "UNET_INPUT_SIZE": 192,
    "BATCH_SIZE": 32,  # 16 on each of two GPUs, as many as one has by default
    "EPOCHS": 20,
    "PLATEAU_PATIENCE": 2,
    "EARLY_STOPPING_PATIENCE": 5,
}
INPUT = Path("/kaggle/input")  # only read
WORKING = Path("/kaggle/working")  # kept with the version
KEPT = None  # a folder that outlives the machine, where WORKING does not
SCRATCH = Path("/tmp/xray")  # the project and its packages: gone with the machine, and no part of what is kept
PYTHON = None  # one that has the packages of requirements.txt; None: they are installed
TABLE = "Data_Entry_2017.csv"

# %%
end = time.time() + 3600 * HOURS
in_notebook = "get_ipython" in globals()


def run(*words, must=True):
    """A command, with what it prints as it comes; its exit status, which must be 0 unless another will do."""
    print("$", *words, flush=True)
    environment = {key: os.environ[key] for key in os.environ if key not in ("PYTHONPATH", "KERAS_BACKEND")}
    environment |= {"PYTHONUNBUFFERED": "1"} | ({"PYTHON": str(PYTHON)} if PYTHON else {})
    outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen([str(word) for word in words], env=environment, **outputs) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
    if must and process.returncode:
        raise SystemExit(f"{words[0]} {words[1]} ended with exit status {process.returncode}; its error stands above.")
    return process.returncode


def show(*paths):
    """Pictures, tables and pages in the notebook; in a script, where they lie."""
    for path in filter(Path.is_file, paths):
        print(path)
        if not in_notebook:
            continue
        from IPython.display import Image, display

        if path.suffix == ".png":
            display(Image(filename=str(path)))
        elif path.suffix == ".csv":
            display({"text/html": as_table(path)}, raw=True)
        else:
            page = html.escape(path.read_text())
            display({"text/html": f'<iframe srcdoc="{page}" width="100%" height="900"></iframe>'}, raw=True)


def as_table(path):
    """A CSV file as HTML: numbers with three digits, without the notes, which were printed."""
    rows = list(csv.reader(path.open(encoding="utf-8")))
    kept = [row[: rows[0].index("Notes")] for row in rows]
    short = [[f"{float(cell):.3f}" if re.fullmatch(r"\d\.\d+", cell) else cell for cell in row] for row in kept]
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in short]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def inside(folder, name):
    """Paths that end so, one to three folders below ``folder``: Kaggle mounts inputs at the one or the other depth."""
    return sorted(path for depth in (1, 2, 3) for path in folder.glob("*/" * depth + name))


# %%
if "google.colab" in sys.modules:
    from google.colab import drive

    drive.mount("/content/drive")
    KEPT, WORKING = Path("/content/drive/MyDrive/xray"), Path("/content/xray")
    INPUT = KEPT / "input"  # films of your own copy: input/nih/Data_Entry_2017.csv, input/nih/images_001/images/…
    if not inside(INPUT, TABLE):
        import kagglehub

        INPUT = Path(kagglehub.dataset_download("nih-chest-xrays/data")).parent
found = inside(INPUT, TABLE)
if not found:
    raise SystemExit(f"No {TABLE} in {INPUT}. Add the data set nih-chest-xrays/data to the inputs.")
films = found[0].parent
print("films:", films, "folders:", len(list(films.glob("images_*"))), "of NIH's 12")

# %% [markdown]
# The project, and its packages **beside** those that are preinstalled: in an environment of their own, for their
# versions differ (Colab's list of June 2026 has TensorFlow 2.20, Keras 3.13, NumPy 2.0, pandas 2.2). What is
# preinstalled stays as it is.

# %%
PROJECT = SCRATCH / "project"
if not PROJECT.exists():
    if not REPOSITORY:
        raise SystemExit("Set REPOSITORY in the first cell: where this project is cloned from.")
    SCRATCH.mkdir(parents=True, exist_ok=True)
    run("git", "clone", "--quiet", "--depth", "1", REPOSITORY, PROJECT)
if PYTHON is None:
    PYTHON = PROJECT / ".venv/bin/python"
    if not PYTHON.exists():  # without a pip of its own, which Debian's Python cannot make
        run(sys.executable, "-m", "venv", "--without-pip", PROJECT / ".venv")
    os.chdir(PROJECT)  # requirements.txt names it as "."
    pip = (sys.executable, "-m", "pip", "--python", PYTHON, "install", "--quiet")
    run(*pip, "-r", "requirements.txt", *(["-e", ".[gpu]"] if shutil.which("nvidia-smi") else []))

# %% [markdown]
# What an earlier run left, if there is one, is copied: inputs cannot be written.

# %%
here = WORKING / "xray"
data, models = here / "data/classification", here / "models/classification"
copy = ("cp", "-r", "--no-preserve=mode", "--preserve=timestamps")
earlier = [path.parent for path in inside(KEPT or INPUT, "xray/SETTINGS.json")]
if len(earlier) > 1:
    raise SystemExit(f"Several earlier runs are in the inputs: {', '.join(map(str, earlier))}. Leave one.")
if earlier and not here.exists():
    WORKING.mkdir(parents=True, exist_ok=True)
    run(*copy, earlier[0], here)
    if (here / "unfinished.tar").exists():
        run("tar", "-xf", here / "unfinished.tar", "-C", here)
print("goes on from", earlier[0] if earlier else "nothing: a first run")


def keep():
    """What the next run goes on from: where the machine's disk is kept, names that begin with a dot, of unfinished
    trainings, in a file without one; else copies elsewhere."""
    hidden = [path.relative_to(here) for path in sorted(here.rglob(".cxr-backup"))]
    if hidden and not KEPT:
        run("tar", "-cf", here / "unfinished.tar", "-C", here, *hidden)
    if KEPT:
        copy_whole(here, KEPT / "run/xray")


def copy_whole(folder, kept):
    """Copy what is new. A machine that vanishes meanwhile leaves files that are whole, and of a state its weights."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    for name in sorted(files, key=lambda name: name.name in ("state.json", "run.json")):
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        if not (kept / name).exists() or (folder / name).stat().st_mtime > (kept / name).stat().st_mtime:
            shutil.copy2(folder / name, kept / "part")
            os.replace(kept / "part", kept / name)
    for path in kept.rglob("epoch_*.weights.h5"):  # of epochs before
        if path.relative_to(kept) not in files:
            path.unlink()


# %%
settings = {
    "DATASET_DIR": str(films),
    "DATASET_CSV_DIR": str(films / TABLE),
    "DATASET_CHEXPERT_TRAIN_CSV_DIR": "",
    "DATASET_CHEXPERT_VAL_CSV_DIR": "",
    "DATASET_DIR_SEGMENTATION": "",  # no lung films there: the U-Net learns from drawn ones
    "MASK_DIR": "",
    "DATA_DIR": "data",
    "MODELS_DIR": "models",
}
here.mkdir(parents=True, exist_ok=True)
for name, content in (("SETTINGS", settings), ("PARAMS", PROFILE)):
    (here / f"{name}.json").write_text(json.dumps(content, indent=1))
files = ("--settings", here / "SETTINGS.json", "--params", here / "PARAMS.json")

# %% [markdown]
# Tables, lungs, packs, split: once. An earlier run's are taken as they are, for a machine that is new each time has no
# times of files to go by. After a change of `PROFILE` that concerns them, start without the earlier run.

# %%
if not (data / "split.json").exists():
    run("sh", PROJECT / "prepare_data.sh", *files)
    keep()
show(data / "preview_masks.png", *sorted(data.glob("preview_[0-9]*.png")))

# %% [markdown]
# Training, within the hours; all GPUs of the machine work together. Where the time is over, the next run goes on. An
# error does not stop this notebook: Kaggle would keep nothing of it.


# %%
def train(family):
    """Train, in pieces where what is done must be kept elsewhere; whether all of it is trained now."""
    while (left := (end - time.time()) / 3600 - RESERVE) > 0:
        hours = f"{min(left, PIECE) if KEPT else left:.3f}"
        status = run("sh", PROJECT / f"train_{family}.sh", *files, "--hours", hours, must=False)
        keep()
        if status != 6 or not KEPT:  # 6: to be gone on with
            return status == 0
    return False


trained = []
for family in FAMILIES:
    if not train(family):
        break
    trained.append(family)
show(*sorted(models.glob("*/*/curves.png")))

# %% [markdown]
# Evaluation on NIH's official test list, and maps.

# %%
for family in trained:
    for script in ("evaluate", "visualization"):
        run("sh", PROJECT / f"{script}_{family}.sh", *files, must=False)
    results = models / family.lower()
    show(results / "result.csv", results / "roc.png", *sorted(results.glob("gradcam/overview_*.png")))
keep()

# %%
for family in trained:
    show(models / family.lower() / "report.html")

# %%
missing = [family for family in FAMILIES if family not in trained]
size = sum(path.stat().st_size for path in here.rglob("*") if path.is_file()) / 1e9
print(f"{here}: {size:.3g} GB. Trained and evaluated: {', '.join(trained) or 'nothing yet'}.")
if missing:
    print(f"Not all trained: {', '.join(missing)}. Add this run's output to the inputs and run again: it goes on.")
