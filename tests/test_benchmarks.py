"""The benchmarks of speed still run: each once, as small as it gets. Their numbers are not looked at."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

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
