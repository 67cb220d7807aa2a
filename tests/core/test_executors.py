import functools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from cxr.core import executors
from cxr.core.errors import InputError
from cxr.core.executors import (
    READ_AHEAD,
    by_processes,
    cached,
    cluster,
    each_film,
    forget,
    in_order,
    process_count,
    shards,
    usable_cores,
)
from cxr.imaging.decoding import write_image
from cxr.preparation.reading import try_square
from tests.conftest import PROJECT, SPAWNED, wait_until

FILM = np.add.outer(np.arange(40), 2 * np.arange(60)).astype(np.uint8)


@pytest.fixture(autouse=True)
def _processes_as_in_a_run(monkeypatch):
    monkeypatch.setattr(executors, "processes", SPAWNED)


def test_zero_workers_means_one_a_core_of_this_process():
    assert process_count(0) == usable_cores() >= 1
    assert usable_cores(Path("/nowhere")) == len(os.sched_getaffinity(0))
    assert process_count(3) == 3


def test_where_no_process_is_bound_to_cores_all_of_the_machine_count(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(Path("/nowhere")) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(Path("/nowhere")) == 1


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": ""}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "0\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n"}, 8),
    ],
)
def test_a_container_s_quota_limits_the_cores_that_count(tmp_path, monkeypatch, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(8))
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert usable_cores(tmp_path) == cores


def test_results_keep_the_order_of_the_jobs_with_few_in_flight_and_a_broken_film_is_a_problem(tmp_path):
    paths = [tmp_path / f"{n:02d}.png" for n in range(40)]
    for n, path in enumerate(paths):
        write_image(FILM // 2 + 3 * n, path)
    write_image(np.kron(FILM, np.ones((20, 20), np.uint8)), paths[0])  # slow: the others overtake it
    paths[7].write_text("<html>404</html>")
    given, done = [], []

    def jobs():
        for path in paths:
            given.append(path)
            assert len(given) - len(done) <= READ_AHEAD * 2 + 1
            yield path

    for square, problem in by_processes(functools.partial(try_square, size=32, fit="pad"), jobs(), 2):
        done.append((square, problem))
    assert [problem != "" for _, problem in done] == [n == 7 for n in range(40)]
    assert "07.png: is a web page" in done[7][1]
    assert done[7][0].max() == 0
    for n in (0, 1, 20, 39):
        np.testing.assert_array_equal(done[n][0], try_square(paths[n], 32, "pad")[0])


def test_an_error_that_is_no_film_s_fault_stops_the_loop():
    results = by_processes(len, ["ab", "abc", 5], 1)
    assert next(results) == 2
    assert next(results) == 3
    with pytest.raises(TypeError, match="has no len"):
        next(results)


def test_shards_hold_every_job_once_in_order():
    assert list(shards([1, 2, 3, 4, 5], 2)) == [[1, 2], [3, 4], [5]]
    assert list(shards([], 2)) == []


def test_what_is_said_of_each_film_comes_in_order_whichever_shard_is_done_first():
    second_done = threading.Event()

    def work(shard):
        if shard[0] == 0:
            assert second_done.wait(20)
        else:
            second_done.set()
        return [{"film": film} for film in shard]

    found = each_film(work, shards(range(4), 2), None, executors.threads(2))
    assert [record["film"] for record in found] == [0, 1, 2, 3]


def test_what_is_not_begun_is_given_up_where_the_loop_is_left():
    done = []
    with executors.threads(1) as pool:
        results = in_order(lambda job: done.append(job) or time.sleep(0.05), range(100), pool)
        next(results)
        results.close()
    assert len(done) < 5


def test_threads_keep_opencv_to_one_of_its_own_and_leave_it_as_it_was():
    usual = cv2.getNumThreads()
    with executors.threads(2) as pool:
        assert list(in_order(lambda _: cv2.getNumThreads(), range(3), pool)) == [1, 1, 1]
    assert cv2.getNumThreads() == usual


def test_a_thing_is_kept_until_another_one_is_asked_for():
    made = []

    def ask(key):
        return cached("thing of a test", key, lambda: made.append(key) or len(made))

    assert [ask(key) for key in ("a", "a", "b", "b", "a")] == [1, 1, 2, 2, 3]
    forget("thing of a test")
    assert ask("a") == 4


def test_two_threads_that_want_the_same_thing_make_it_once():
    made = []

    def make():
        time.sleep(0.05)
        made.append(1)

    asking = [threading.Thread(target=cached, args=("thing of two", 0, make)) for _ in range(2)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert made == [1]


def test_without_dask_a_scheduler_is_refused_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(InputError, match=r'--scheduler tcp://x:1: needs Dask. Run: pip install -e "\.\[dask\]"'),
        cluster("tcp://x:1"),
    ):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "http://127.0.0.1:9", "tcp://127.0.0.1:port"])
def test_a_scheduler_that_does_not_answer_is_said_soon(monkeypatch, address):
    pytest.importorskip("distributed", reason="Dask is not installed (the extra dask)")
    monkeypatch.setattr(executors, "SCHEDULER_SECONDS", 1)
    with pytest.raises(InputError, match=f"--scheduler {address}: no Dask scheduler answers there"), cluster(address):
        pass


def alive(pid) -> bool:
    """A zombie, ended and waiting for its parent to ask, does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_workers_end_with_the_run_that_started_them_even_a_killed_one(tmp_path):
    code = (
        "import time; from cxr.core.executors import by_processes; print(*by_processes(time.sleep, [0, 0, 60, 60], 2))"
    )
    run = subprocess.Popen([sys.executable, "-c", code], env={"PYTHONPATH": str(PROJECT / "src")})
    try:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        wait_until(
            lambda: sum(b"spawn_main" in command_of(pid) for pid in children.read_text().split()) == 2, seconds=20
        )
        workers = children.read_text().split()
    finally:
        run.kill()
    run.wait()
    wait_until(lambda: not any(map(alive, workers)), seconds=20)


def command_of(pid) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes() if alive(pid) else b""
