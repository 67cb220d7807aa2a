"""The benchmarks of speed still run: each once, as small as it gets. Their numbers are not looked at."""

import json
import re
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.core.findings import FINDINGS
from cxr.networks.backend import keras
from tests.conftest import PROJECT, load_script

TINY = ["--member", "tiny", "--size", "32"]


@pytest.fixture(autouse=True)
def _beside_their_shared_module(monkeypatch):
    monkeypatch.syspath_prepend(PROJECT / "benchmarks")
    yield
    keras.backend.clear_session()


def test_feeding_times_every_side_the_loader_and_a_pack_larger_than_memory(capsys):
    options = ["--steps", "2", "--rounds", "1", "--batch", "4", "--films", "16", "--memory", "1"]
    load_script("benchmarks/feeding.py").main([*TINY, *options])
    said = capsys.readouterr().out
    assert "tiny at 32 px, batch 4, 2 steps a side" in said
    for side in ("constant", "packed", "elastic"):
        assert re.search(rf"{side} +[\d.]+ ms a step; more than constant: [+-][\d.]+ %", said)
    assert re.search(r"augmentation default +\S+ on 1, \S+ on 2 threads", said)
    assert re.search(r"1 MB in memory +\S+ films/s; read from disk: ", said)


def test_memory_of_a_step_is_told_and_measured(capsys):
    load_script("benchmarks/memory.py").main([*TINY, "--one", "4"])
    told, peak = json.loads(capsys.readouterr().out)
    assert told == 4 * (2 * (8 * 16**2 + 16 * 8**2 + 32 * 4**2) + 3 * 32**2 + 32 * 4**2 + 2 * 32 + 2 * 6)
    assert peak > 100


@pytest.mark.parametrize("variant", ["sgd", "recompute"])
def test_training_times_a_variant(variant, capsys):
    script = load_script("benchmarks/training.py")
    script.main([*TINY, "--batch", "4", "--steps", "2", "--one", variant])
    found = json.loads(capsys.readouterr().out)
    assert [batch for batch, *_ in found["batches"]] == ([4, 2, 8] if variant == "sgd" else [4])
    assert min(second for _, *seconds in found["batches"] for second in seconds) > 0
    # Three convolutions of 3x3 on 16x16, 8x8 and 4x4 places, and six outputs of 32 channels; two a weight and place
    by_hand = 2 * 9 * (256 * 3 * 8 + 64 * 8 * 16 + 16 * 16 * 32) + 2 * 32 * 6
    assert found["forward_flops"] == by_hand


def test_training_leaves_torchvision_unmeasured_where_it_is_missing(capsys, monkeypatch):
    script = load_script("benchmarks/training.py")
    monkeypatch.setattr(script, "in_process", lambda *_: {"missing": "no torch"})
    script.main([*TINY, "--gpu"])
    assert "torchvision: not measured (no torch)" in capsys.readouterr().out


def test_first_weights_are_left_unmeasured_where_pytorch_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    load_script("benchmarks/first_weights.py").main([])
    assert capsys.readouterr().out.startswith("not run: ")


def test_scoring_agrees_with_gradient_tapes(capsys):
    load_script("benchmarks/scoring.py").main([*TINY, "--films", "8", "--batch", "4", "--few", "1", "--rounds", "1"])
    said = capsys.readouterr().out
    assert "tiny at 32 px, 8 films, maps of 8x8 cells" in said
    assert "drawing on 1 threads" in said
    if keras.backend.backend() == "tensorflow":
        apart = re.findall(r"maps differ by (\S+) of", said)
        assert len(apart) == 3
        assert max(map(float, apart)) < 1e-3


def test_masks_times_every_unet(capsys):
    options = ["--sizes", "32", "48", "--batches", "2", "3", "--filters", "4", "--films", "1"]
    load_script("benchmarks/masks.py").main([*options, "--precisions", "float32"])
    said = capsys.readouterr().out
    for size in (32, 48):
        assert re.search(rf"4 filters, float32 +{size} px: films/s [\d.]+ by 2, [\d.]+ by 3", said)


def test_packing_compares_both_steps_with_opencv_and_tells_memory():
    options = "--films 6 --side 64 --size 32 --processes 2 --rounds 1 --unet-size 32 --unet-filters 4".split()
    command = [sys.executable, PROJECT / "benchmarks/packing.py", *options]  # its processes import it by its path
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for side in ("OpenCV alone, one size", "step 5, none, two sizes", "step 5, loose, one size"):
        assert re.search(rf"{side} +\d+ +\d+%", said)
    assert re.search(r"step 4 +\d+ +\d+% of the ideal", said)
    assert re.search(r"60 films: \d+ \d+", said)


def test_the_rule_for_laterals_is_made_and_tried(capsys):
    load_script("benchmarks/laterals.py").main(["--drawn", "6"])
    said = capsys.readouterr().out
    assert "LATERAL_WEIGHTS = [[" in said
    for view in ("LATERAL", "PA", "AP"):
        assert re.search(rf"^{view}: \d of 6 flagged$", said, re.MULTILINE)


def test_heads_pool_local_logits_as_their_papers_say():
    script = load_script("benchmarks/heads.py")
    local = np.log(np.array([1, 2, 3, 6], np.float32)).reshape(1, 2, 2, 1)
    of_lse, of_pcam = (float(script.Pool(head, sharpness=1.0)(local)[0, 0]) for head in ("lse", "pcam"))
    assert of_lse == pytest.approx(np.log((1 + 2 + 3 + 6) / 4), abs=1e-6)
    weights = np.array([1 / 2, 2 / 3, 3 / 4, 6 / 7])  # sigmoids
    assert of_pcam == pytest.approx((weights * local.ravel()).sum() / weights.sum(), abs=1e-6)
    even = np.full((1, 2, 2, 1), -1.5, np.float32)
    assert [float(script.Pool(head)(even)[0, 0]) for head in ("lse", "pcam")] == pytest.approx([-1.5, -1.5])


def test_alarms_measures_a_fault_once_and_tells_what_it_kept(tmp_path, capsys):
    script = load_script("benchmarks/alarms.py")
    tried = []

    def fault(given):
        tried.append(given)
        yield "a fault", 0.5, "a check", 3, 4, "noted"

    for _ in range(2):  # the second time it is read
        table = script.measured(fault, "films", tmp_path)
    assert tried == ["films"]
    assert table.to_numpy().tolist() == [["a fault", 0.5, "a check", 3, 4, "noted"]]


@pytest.fixture
def peers(tmp_path):
    """The script, and arguments of it, read as its own: what has no file of its own is small."""
    script, parsed = load_script("benchmarks/peers.py"), []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(script, "one_side", lambda part, side, arguments: parsed.append(arguments))
        options = "--side intervals/ours --replicates 3 --plain 3 --batch 4 --size 32 --repeats 2 --nih".split()
        given = [tmp_path, "--predictions", tmp_path / "p.csv", "--labels", tmp_path / "l.csv", "--work", tmp_path]
        script.main([*options, *map(str, given)])
    return script, parsed[0]


def test_peers_figures_by_scikit_learn_in_a_loop_are_those_of_our_evaluation(peers):
    script, arguments = peers
    random, films = np.random.default_rng(1), 900
    truth = random.random((films, 6)) < 0.3
    names = [f"{film:05d}.png" for film in range(films)]
    scores = 1 / (1 + np.exp(-random.normal(truth - 0.5)))
    columns = [f"{finding}_prob" for finding in FINDINGS]
    pd.DataFrame(scores, columns=columns).assign(image=names).to_csv(arguments.predictions, index=False)
    labels = pd.DataFrame(truth.astype(int), columns=FINDINGS).assign(
        image=names, patient_id=random.integers(300, size=films), sex=random.choice(["M", "F"], films),
        view=random.choice(["PA", "AP"], films), age=random.integers(10, 90, films),
    )  # fmt: skip
    labels.to_csv(arguments.labels, index=False)
    for part, lines in (("evaluation", 2), ("intervals", 1)):
        for side in ("ours", "scikit-learn"):
            found = script.one_side(part, side, arguments)["seconds"]
            assert min(found.values()) > 0
        kept = {path.stem: dict(np.load(path)) for path in arguments.work.glob("*.npz")}
        said = list(script.PARTS[part][3](kept))
        differences = [float(number) for line in said for number in re.findall(r"by (\d\.\de-\d+)", line)]
        assert len(differences) == lines
        assert max(differences) < 1e-12
        if part == "evaluation":
            figures, limits = (int(line.split()[0].replace(",", "")) for line in said)
            assert figures == 6 * 14 + 6 * 4 * 6 + 6 * 3 * (1 + 2 + 2 + 5) + 6 * 2  # once, points, groups, gaps
            assert limits > 300


def test_peers_films_of_a_folder_reach_the_network_as_they_are_on_disk(peers):
    script, arguments = peers
    arguments.films = None
    films = [np.clip(level + np.arange(48 * 48).reshape(48, 48) % 37, 0, 255) for level in (20, 90, 200, 130, 50)]
    for number, film in enumerate(films):
        cv2.imwrite(str(arguments.nih / f"{number}.png"), film.astype(np.uint8))
    seconds, kept = script.PARTS["feeding"][2]["ours"](arguments)
    assert sorted(seconds) == ["epoch 1", "epoch 2"]
    assert kept["grays"] == pytest.approx([film.mean() / 255 for film in films], abs=2e-3)


def test_peers_that_are_missing_are_told_and_not_invented(peers, monkeypatch, capsys):
    script, arguments = peers
    for module in ("torch", "torchxrayvision"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it fails
    for part, side in (("feeding", "torchxrayvision"), ("step", "torchvision"), ("maps", "pytorch-grad-cam")):
        assert re.fullmatch("no torch(xrayvision)?", script.one_side(part, side, arguments)["missing"])
    found = {"ours": {"seconds": {"a step": 0.5}}, "torchvision": {"missing": "no torch"}}
    monkeypatch.setattr(script, "by_turns", lambda *_: (found, {}))
    script.main(["--only", "step", "maps"])
    said = capsys.readouterr().out
    assert "torchvision: not measured (no torch)" in said
    assert re.search(r"a step +500.0 ms +- +-\n", said)
    assert "maps: not measured (needs --nih)" in said


def test_peers_times_stand_beside_each_other_as_medians_of_turns(peers, monkeypatch, capsys):
    script, _ = peers
    rounds = [{"seconds": {"a step": seconds}} for seconds in (0.2, 9, 0.3)]
    found = {"ours": script.middle(rounds), "torchvision": {"seconds": {"a step": 0.6}}}
    monkeypatch.setattr(script, "by_turns", lambda *_: (found, {}))
    script.main(["--only", "step"])
    assert re.search(r"a step, torchvision +300.0 ms +600.0 ms +2.00\n", capsys.readouterr().out)
