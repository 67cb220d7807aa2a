"""Kill every stage of the pipeline at random moments (kill -9), run it again, and compare with an undisturbed run.

    python -m tests.interruptions --kills 200             # all stages, tiny networks on a few synthetic films
    python -m tests.interruptions --kills 20 --tables     # without Keras: tables and packs only; --keras: the others

Half of the kills hit a stage that starts from nothing, half one that replaces the outputs of other parameters. After a
kill every file under a final name must be whole: that of the old run or that of the new one. After the plain re-run all
must be those of the undisturbed run: tables, packs, predictions, maps and pictures byte for byte; of models the weights
and the log, learning rates included (deterministic operations, one thread). Each stage is also started twice at once.

A run is a fork of this process, which has imported everything before: so the moments fall into the work, not into
Python's start.
"""

import argparse
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import cv2
import pandas as pd

from tests.conftest import TINY, load_script

CLASSIFICATION, SEGMENTATION = "src/classification", "src/segmentation"
# name, script, arguments, share of the kills, whether it needs Keras
STAGES = [
    ("NIH's table", f"{CLASSIFICATION}/etl/0_nih_table.py", [], 10, False),
    ("CheXpert's table", f"{CLASSIFICATION}/etl/1_chexpert_table.py", [], 10, False),
    ("merge", f"{CLASSIFICATION}/etl/2_merge_tables.py", [], 14, False),
    ("hold out", f"{CLASSIFICATION}/etl/3_hold_out_test.py", [], 10, False),
    ("pair lungs", f"{SEGMENTATION}/etl/0_pair_masks.py", [], 10, False),
    ("split lungs", f"{SEGMENTATION}/etl/1_split_patients.py", [], 10, False),
    ("pack lungs", f"{SEGMENTATION}/etl/2_pack_arrays.py", [], 16, False),
    ("train U-Net", f"{SEGMENTATION}/train.py", [], 16, True),
    ("evaluate U-Net", f"{SEGMENTATION}/evaluate.py", [], 6, True),
    ("mask lungs", f"{CLASSIFICATION}/etl/4_mask_lungs.py", [], 10, True),
    ("pack films", f"{CLASSIFICATION}/etl/5_pack_arrays.py", [], 20, False),
    ("split", f"{CLASSIFICATION}/etl/6_split_train_val.py", [], 10, False),
    ("train member", f"{CLASSIFICATION}/train/train.py", ["ensemble"], 16, True),
    ("evaluate", f"{CLASSIFICATION}/eval/evaluate.py", ["ensemble"], 16, True),
    ("visualise", f"{CLASSIFICATION}/eval/visualize.py", ["ensemble"], 8, True),
    ("score maps", f"{CLASSIFICATION}/eval/score_maps.py", ["ensemble"], 6, True),
    ("report", f"{CLASSIFICATION}/eval/report.py", ["ensemble"], 4, True),
    ("predict", f"{CLASSIFICATION}/predict.py", ["{raw}", "--out", "{folder}/data/predicted"], 10, True),
    ("export", f"{CLASSIFICATION}/export.py", ["--no-onnx"], 8, True),
]
PARAMS = TINY | {
    "DEMO_NIH_FILMS": 50,
    "DEMO_CHEXPERT_FILMS": 50,
    "DEMO_LUNG_FILMS": 30,
    "DEMO_FILM_SIZE": 128,
    "VAL_FRACTION": 0.3,
    "UNET_VAL_FRACTION": 0.2,
    "UNET_TEST_FRACTION": 0.3,
    "UNET_EPOCHS": 3,
    "EPOCHS": 4,
    "PLATEAU_PATIENCE": 1,
    "SCORE_BATCH_SIZE": 16,
    "BOOTSTRAP_REPLICATES": 20,
    "OVERLAYS_PER_FINDING": 2,
}
# Another run of the same films: what half of the kills find there and replace.
OTHERS = {"SEED": 7, "UNCERTAIN_LABELS": {}, "VIEWS": ["PA"], "TEST_FRACTION": 0.4, "LUNG_MARGIN": 0.2, "FIT": "squash"}
CHANGES = {
    "inputs",
    "outputs",
    "made_from",
    "seconds",
    "films_per_second",
    "resumed_from",
    "model",
    "unet",
    "commit",
    "bundle",
}
VOLATILE = ("report.html", "MODEL_CARD.md")  # they hold times


class Workplace:
    """Raw films drawn once, both JSON files, and folders in which the stages are run."""

    def __init__(self, root: Path, echo=print):
        self.root, self.echo, self.scripts = root, echo, {}

    def draw(self) -> None:
        self.write_files(self.root, PARAMS)
        assert self.run("demo/draw_films.py", self.root, []) == 0, self.said(self.root)

    def write_files(self, folder: Path, params: dict) -> None:
        raw, lungs = self.root / "raw", self.root / "lungs"
        keys = {
            "DATASET_DIR": raw,
            "DATASET_CSV_DIR": raw / "Data_Entry_2017.csv",
            "DATASET_CHEXPERT_TRAIN_CSV_DIR": raw / "CheXpert-v1.0-small/train.csv",
            "DATASET_CHEXPERT_VAL_CSV_DIR": raw / "CheXpert-v1.0-small/valid.csv",
            "DATASET_DIR_SEGMENTATION": lungs / "CXR_png",
            "MASK_DIR": lungs / "masks",
        }
        (folder / "SETTINGS.json").write_text(json.dumps(keys, default=str))
        (folder / "PARAMS.json").write_text(json.dumps(params))

    def start(self, script: str, folder: Path, arguments: list[str]) -> int:
        """Fork a run of a script on a folder; returns its process id. What it says goes to ``said.txt``."""
        module = self.scripts.setdefault(script, load_script(script))
        sys.stdout.flush()
        process = os.fork()
        if process:
            return process
        from cxr.core import command_line

        status = 1
        try:
            said = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(said, 1)
            os.dup2(said, 2)
            words = [word.format(raw=self.root / "raw", folder=folder) for word in arguments]
            words += ["--settings", str(folder / "SETTINGS.json"), "--params", str(folder / "PARAMS.json")]
            sys.argv = [script, *words]
            command_line.run(lambda: module.main(words))
            status = 0
        except SystemExit as end:
            status = end.code
        finally:
            sys.stdout.flush()
            os._exit(status)

    def run(self, script: str, folder: Path, arguments: list[str]) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.start(script, folder, arguments), 0)[1])

    def said(self, folder: Path) -> str:
        return (folder / "said.txt").read_text() if (folder / "said.txt").exists() else ""


def made(folder: Path) -> dict[str, Path]:
    """Everything under a final name below data/ and models/, by its name there."""
    found = {}
    for place in ("data", "models"):
        for path in sorted((folder / place).rglob("*")):
            parts = path.relative_to(folder).parts
            if path.is_file() and not any(part.startswith(".") for part in parts):
                found["/".join(parts)] = path
    return found


def content(path: Path):
    """What of a file must come out the same; raises where it is not whole."""
    if path.name in VOLATILE:
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n") or text.endswith("</html>"), "cut short"
        return None
    if path.suffix == ".keras":
        import h5py

        weights = {}
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                file.visititems(
                    lambda name, item: weights.__setitem__(name, item[()].tobytes()) if hasattr(item, "dtype") else None
                )
        assert weights
        return weights
    if path.suffix == ".json":
        whole = json.loads(path.read_text())
        return {key: value for key, value in whole.items() if key not in CHANGES} if isinstance(whole, dict) else whole
    if path.name == "log.csv":
        return pd.read_csv(path).drop(columns="seconds").to_csv()
    if path.suffix == ".png":
        assert cv2.imread(str(path)) is not None, "no picture"
    return path.read_bytes()


def whole_or_named(folder: Path, allowed: list[dict]) -> list[str]:
    """Names of the files that are neither those of the old nor those of the new run, or not whole."""
    wrong = []
    for name, path in made(folder).items():
        try:
            found = content(path)
            # A model, its log and curves grow with the epochs: whole is all that can be asked of them on the way.
            grows = path.name in ("model.keras", "log.csv", "curves.png")
            if not grows and not any(name in one and found == one[name] for one in allowed):
                wrong.append(f"{name} is neither the old nor the new one")
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__} {error}")
    return wrong


def differing(folder: Path, expected: dict) -> list[str]:
    found = {name: content(path) for name, path in made(folder).items()}
    return sorted(name for name in set(found) | set(expected) if found.get(name, 0) != expected.get(name, 1))


def leftovers(folder: Path) -> list[str]:
    return [str(path) for place in ("data", "models") for path in (folder / place).rglob(".cxr-part*")]


def copy_state(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)  # with times: a step knows its outputs by them


def undisturbed(workplace: Workplace, stages, params: dict, name: str, timed=True) -> tuple[list[Path], list[float]]:
    """Run the stages one after the other; the folder before each stage and after the last, and the seconds of each.

    What is timed is run elsewhere before, which warms up.
    """
    folder, states, seconds = workplace.root / name, [], []
    folder.mkdir()
    workplace.write_files(folder, params)
    for place, (title, script, arguments, _, _) in enumerate(stages):
        copy_state(folder, workplace.root / f"{name}_{place}")
        states.append(workplace.root / f"{name}_{place}")
        taken = []
        for place_of_run in (workplace.root / "work", folder) if timed else (folder,):
            copy_state(states[-1], place_of_run)
            started = time.perf_counter()
            status = workplace.run(script, place_of_run, arguments)
            taken.append(time.perf_counter() - started)
            assert status == 0, f"{title}: {workplace.said(place_of_run)}"
        seconds.append(min(taken))
    return [*states, folder], seconds


def interrupt(workplace: Workplace, stage, before: Path, old: Path | None, after: Path, moment: float) -> dict:
    """One kill of one stage after some seconds, and the plain re-run; what was wrong, and whether the kill hit work."""
    _, script, arguments, _, _ = stage
    folder = workplace.root / "work"
    copy_state(before, folder)
    expected = {name: content(path) for name, path in made(after).items()}
    allowed = [expected, {name: content(path) for name, path in made(folder).items()}]
    if old is not None:
        for name, path in made(old).items():
            if name in expected and name not in allowed[1]:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, folder / name)
        allowed.append({name: content(path) for name, path in made(folder).items()})
    process = workplace.start(script, folder, arguments)
    time.sleep(moment)
    os.kill(process, signal.SIGKILL)
    killed = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    wrong = whole_or_named(folder, allowed)
    status = workplace.run(script, folder, arguments)
    if status:
        wrong.append(f"re-run ended with {status}: {workplace.said(folder)}")
    else:
        wrong += differing(folder, expected) + leftovers(folder)
    return {"killed": killed, "wrong": wrong}


def twice_at_once(workplace: Workplace, stage, before: Path, after: Path) -> list[str]:
    """Two runs of a stage on one folder: one finishes as undisturbed, the other says who is there, or finds it done."""
    _, script, arguments, _, _ = stage
    folder = workplace.root / "work"
    copy_state(before, folder)
    processes = [workplace.start(script, folder, arguments) for _ in range(2)]
    statuses = sorted(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes)
    wrong = [] if statuses in ([0, 4], [0, 0]) else [f"exit statuses {statuses}: {workplace.said(folder)}"]
    if statuses == [0, 4] and "another run is writing there" not in workplace.said(folder):
        wrong.append("the second did not say why it stopped")
    expected = {name: content(path) for name, path in made(after).items()}
    return wrong + differing(folder, expected)


def prepare_keras() -> None:
    """Import everything once, and make TensorFlow deterministic; no operation runs before the forks."""
    import tensorflow

    from cxr.training import loop  # noqa: F401

    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    tensorflow.config.experimental.enable_op_determinism()


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="about how many, over all stages")
    parser.add_argument("--tables", action="store_true", help="only the stages that need no Keras")
    parser.add_argument("--keras", action="store_true", help="kill only the stages that need Keras")
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="kill only these, of the stages named in the table")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    arguments = parser.parse_args(argv)
    stages = [stage for stage in STAGES if not (arguments.tables and stage[4])]
    params = PARAMS | ({"LUNG_MASKING": "none"} if arguments.tables else {})
    if not arguments.tables:
        prepare_keras()
    chosen = [stage for stage in stages if stage[4] or not arguments.keras]
    chosen = [stage for stage in chosen if not arguments.only or stage[0] in arguments.only]
    shares, draw = sum(stage[3] for stage in chosen), random.Random(arguments.seed)
    kills_done = failures = 0
    with tempfile.TemporaryDirectory(prefix="interruptions_") as root:
        workplace = Workplace(Path(root))
        workplace.draw()
        states, seconds = undisturbed(workplace, stages, params, "whole")
        tables = [stage for stage in chosen if not stage[4]]
        others, _ = undisturbed(workplace, tables, PARAMS | OTHERS | {"LUNG_MASKING": "none"}, "other", timed=False)
        print(f"{'stage':<18} {'seconds':>7} {'runs':>6} {'kills':>7} {'identical':>9} {'twice at once':>13}")
        for place, stage in enumerate(stages):
            if stage not in chosen:
                continue
            before, after = states[place], states[place + 1]
            kills = max(1, round(arguments.kills * stage[3] / shares))
            outcomes: list[dict] = []
            longest = seconds[place]
            # A moment after the end is no interruption: it is drawn again, a few times.
            while sum(outcome["killed"] for outcome in outcomes) < kills and len(outcomes) < 2 * kills + 4:
                old = others[-1] if len(outcomes) % 2 and not stage[4] else None
                outcomes.append(interrupt(workplace, stage, before, old, after, moment := draw.uniform(0, longest)))
                longest = longest if outcomes[-1]["killed"] else min(longest, moment)
            both = twice_at_once(workplace, stage, before, after)
            whole = sum(not outcome["wrong"] for outcome in outcomes)
            hit = sum(outcome["killed"] for outcome in outcomes)
            twice = "WRONG" if both else "ok"
            print(
                f"{stage[0]:<18} {seconds[place]:>7.2f} {len(outcomes):>6} {hit:>7} {whole:>9} {twice:>13}", flush=True
            )
            for wrong in [line for outcome in outcomes for line in outcome["wrong"]][:10] + both:
                print(f"    {wrong}", flush=True)
            kills_done, failures = kills_done + hit, failures + (len(outcomes) - whole) + bool(both)
    print(f"{kills_done} kills during work; {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
