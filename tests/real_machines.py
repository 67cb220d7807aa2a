"""Train and prepare on several machines with the real OpenSSH, SLURM and Dask. docs/cluster.md tells the outcome.

    python -m tests.real_machines                # all; as root, on Linux
    python -m tests.real_machines ssh slurm      # some of ssh, slurm, dask

The machines are network namespaces of this one (tests/namespaces.py), the networks tiny, the films drawn. Workers are
killed, cables pulled, jobs cancelled; the same command goes on, and must end with the weights or bytes of one process.
Whatever happens, nothing is left behind. What is not installed is left out with a reason.
"""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

from tests import namespaces
from tests.conftest import wait_until
from tests.namespaces import ADDRESSES, HEAD, NODES, PLACE, Machines, on

NEEDS = {  # programs, and Debian's packages that have them
    "ssh": {"ssh": "openssh-client", "sshd": "openssh-server"},
    "slurm": {"slurmctld": "slurm-wlm", "slurmd": "slurm-wlm", "munged": "munge"},
    "dask": {},
}
PROJECT = Path(__file__).resolve().parents[1]
TRAIN = ("sh", PROJECT / "train_Ensemble.sh", "--settings", "SETTINGS.json", "--params", "PARAMS.json")
TOGETHER = ("sh", PROJECT / "on_machines.sh", *NODES, "--", *TRAIN)
EPOCHS, NEVER = 8, 100_000
TOLERANCE = 1e-5  # of a weight


def tell(what: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {what}", flush=True)


class Training:
    """A folder in which a tiny network is trained, by one process or several, and what is found there."""

    def __init__(self, name: str, epochs: int = EPOCHS):
        from tests.test_several_devices import miniature

        self.folder = miniature(PLACE / name)
        self.set_epochs(epochs)

    def set_epochs(self, epochs: int) -> None:
        file = self.folder / "PARAMS.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"EPOCHS": epochs}))

    def start(self, machine: str, *words) -> subprocess.Popen:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        variables = os.environ | {"PYTHON": sys.executable}
        return subprocess.Popen(on(machine, *words), cwd=self.folder, env=variables, **pipes)

    def whole(self, machine: str, *words) -> str:
        """What a command that must end well says."""
        process = self.start(machine, *words)
        said, errors = process.communicate(timeout=600)
        assert process.returncode == 0, said + errors
        return said

    def epochs(self) -> int:
        """Those that are whole and kept."""
        state = self.folder / "models/classification/ensemble/tiny/.cxr-backup/state.json"
        return json.loads(state.read_text())["epoch"] if state.exists() else 0

    def wait_for_an_epoch(self) -> None:
        wait_until(self.epochs, 600, f"an epoch of {self.folder.name}")

    def workers(self) -> dict[int, int]:
        from tests.test_several_devices import processes_below

        return processes_below(self.folder)

    def all_stopped(self, seconds: float) -> float:
        return wait_until(lambda: not self.workers(), seconds, "no process of the training is left")

    def same_weights(self, what: str) -> None:
        """Compare with one process and as many epochs, or with two on the loopback where rounding has grown by then."""
        from tests.test_several_devices import difference, weights_of

        one = self.epochs() == EPOCHS
        other = PLACE / f"undisturbed{self.epochs()}"
        if not other.exists():
            together = () if one else ("sh", PROJECT / "on_machines.sh", "localhost", "localhost", "--")
            Training(other.name, self.epochs()).whole(HEAD, *together, *TRAIN)
        largest = difference(weights_of(other), weights_of(self.folder))
        undisturbed = "one process" if one else "two processes on the loopback"
        tell(f"{what}: {self.epochs()} epochs, largest difference to {undisturbed} {largest:.1e}")
        assert largest < TOLERANCE


# ssh


def ssh(machines: Machines) -> None:
    run = Training("ssh")
    assert "2 devices of 2 processes train together" in run.whole("node1", *TOGETHER)
    run.same_weights("from node1, which needs no ssh to itself")


def ssh_with_a_killed_worker(machines: Machines) -> None:
    run = Training("ssh_killed")
    process = run.start(HEAD, *TOGETHER)
    run.wait_for_an_epoch()
    workers = run.workers()
    assert sorted(workers) == [0, 1]
    os.kill(workers[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 255, errors  # ssh's own: it tells no signal
    assert "error: process 1 on node2 ended with exit status 255; the other processes were stopped." in errors
    run.all_stopped(5)
    assert "resumed after epoch" in run.whole(HEAD, *TOGETHER)
    run.same_weights("from a third machine, the process on node2 killed, the same command again")


def ssh_interrupted(machines: Machines) -> None:
    run = Training("ssh_interrupted", NEVER)
    process = run.start(HEAD, *TOGETHER)
    run.wait_for_an_epoch()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    tell(f"Ctrl-C: nothing runs on either machine {run.all_stopped(30):.0f} s after the launcher ended")


def ssh_with_a_pulled_cable(machines: Machines) -> None:
    run = Training("ssh_cable", NEVER)
    process = run.start(HEAD, *TOGETHER)
    run.wait_for_an_epoch()
    begin = time.monotonic()
    machines.link("node2", "down")
    _, errors = process.communicate(timeout=300)
    assert process.returncode not in (0, 2), errors
    tell(f"node2 cut off: after {time.monotonic() - begin:.0f} s: {errors.splitlines()[-1]}")
    run.all_stopped(300)
    tell(f"the process that is cut off ended {time.monotonic() - begin:.0f} s after the cut")
    machines.link("node2", "up")
    run.set_epochs(run.epochs() + 2)
    assert "resumed after epoch" in run.whole(HEAD, *TOGETHER)
    run.same_weights("the cable back, the same command again")


# SLURM


def slurm(machines: Machines) -> None:
    run = Training("srun")
    words = ("srun", "--nodes=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1", "sh", PROJECT / "on_machines.sh")
    assert "2 devices of 2 processes train together" in run.whole(HEAD, *words, *TRAIN)
    run.same_weights("srun")


def said_by(*words) -> str:
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout


class Job:
    """A batch job as docs/cluster.md has it, which sends itself again as docs/interruptions.md has it."""

    def __init__(self, run: Training, *options: str, more: str = ""):
        lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in ("--nodes=2", "--ntasks-per-node=1", *options))]
        train = " ".join(map(str, TRAIN))
        lines += [f"export PYTHON={sys.executable}"]
        lines += [f"srun --kill-on-bad-exit=1 sh {PROJECT}/on_machines.sh {train} {more}"]
        lines += ["status=$?", '[ $status -ne 6 ] || sbatch "$0"', "exit $status"]
        self.run = run
        (run.folder / "job.sh").write_text("\n".join(lines) + "\n")
        self.submit()

    def submit(self) -> None:
        words = ("sbatch", "--parsable", f"--chdir={self.run.folder}", f"{self.run.folder}/job.sh")
        self.number = int(said_by(*words))

    def shown(self, key: str) -> str:
        words = said_by("scontrol", "show", "job", str(self.number)).split()
        return next(word.partition("=")[2] for word in words if word.startswith(f"{key}="))

    def ended(self, state: str, seconds: float = 600) -> str:
        """What it wrote, once it has ended in that state."""
        running = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")
        wait_until(lambda: self.shown("JobState") not in running, seconds, f"job {self.number} ends")
        said = (self.run.folder / f"slurm-{self.number}.out").read_text()
        assert self.shown("JobState") == state, f"{self.shown('JobState')}\n{said}"
        return said

    def goes_on(self) -> None:
        assert "resumed after epoch" in self.ended("COMPLETED")


def slurm_with_a_killed_worker(machines: Machines) -> None:
    run = Training("slurm_killed")
    job = Job(run)
    run.wait_for_an_epoch()
    os.kill(run.workers()[1], signal.SIGKILL)
    job.ended("FAILED", 90)
    run.all_stopped(5)
    job.submit()
    job.goes_on()
    run.same_weights("a worker killed, the job sent again")


def slurm_cancelled(machines: Machines) -> None:
    run = Training("slurm_cancelled")
    job = Job(run)
    run.wait_for_an_epoch()
    said_by("scancel", str(job.number))
    said = job.ended("CANCELLED", 90)
    assert "of 2: SIGTERM; epoch" in said
    assert "Submitted" not in said  # the job's script ends with it
    run.all_stopped(60)
    job.submit()
    job.goes_on()
    run.same_weights("scancel, the job sent again")


def slurm_over_its_time(machines: Machines) -> None:
    run = Training("slurm_time", NEVER)
    job = Job(run, "--time=2")
    said = job.ended("TIMEOUT", 300)
    assert "DUE TO TIME LIMIT" in said
    assert "of 2: SIGTERM; epoch" in said
    run.all_stopped(60)
    run.set_epochs(run.epochs() + 2)
    job.submit()
    job.goes_on()
    run.same_weights("over its time limit, the job sent again")


def slurm_with_a_warning(machines: Machines) -> None:
    goes_on_by_itself(Training("slurm_signal", NEVER), "--time=3", "--signal=USR1@30")


def slurm_with_hours(machines: Machines) -> None:
    goes_on_by_itself(Training("slurm_hours", NEVER), more="--hours 0.03")


def goes_on_by_itself(run: Training, *options: str, more: str = "") -> None:
    # The next job begins late enough to be given an end.
    job = Job(run, "--begin=now+20", *options, more=more)
    said = job.ended("FAILED")
    assert job.shown("ExitCode") == "6:0"
    tell(next(line for line in said.splitlines() if line.startswith("ended in process 0")))
    run.set_epochs(run.epochs() + 2)
    job.number = int(said.split("Submitted batch job")[1].split()[0])
    job.goes_on()
    run.same_weights(f"{' '.join((*options, more)).strip()}, the job sent itself again")


# Dask


SCHEDULER = f"tcp://{HEAD}:8786"


def dask_worker(machines: Machines, node: str) -> subprocess.Popen:
    words = (sys.executable, "-m", "dask", "worker", SCHEDULER, "--nthreads", "1", "--local-directory", PLACE)
    return machines.daemon(node, *words, PYTHONSAFEPATH="1", OPENCV_FOR_THREADS_NUM="1")


def dask(machines: Machines) -> None:
    """Each step on a cluster of which node2 is cut off in the middle, shards in hand."""
    import distributed

    from cxr.evaluation import scoring
    from cxr.preparation import masking
    from tests import test_cluster

    here, there = PLACE / "here", PLACE / "there"
    here.mkdir()
    test_cluster.write_data(here)
    shutil.copytree(here, there)
    test_cluster.run(here)
    masking.SHARD, scoring.SHARD = 4, 1
    machines.daemon(HEAD, sys.executable, "-m", "dask", "scheduler", "--port", "8786")
    dask_worker(machines, "node1")
    with distributed.Client(SCHEDULER, set_as_default=False, timeout=120) as client:
        for step, part in zip(test_cluster.steps(there, f"--scheduler={SCHEDULER}"), test_cluster.PARTS, strict=True):
            worker = dask_worker(machines, "node2")
            client.wait_for_workers(len(NODES), timeout=120)
            outcome: dict = {}
            thread = threading.Thread(target=cut_off, args=(machines, client, there, part, outcome), daemon=True)
            thread.start()
            begin = time.monotonic()
            step()
            took = time.monotonic() - begin
            thread.join(600)
            tell(f"{part.split('.')[-2]}: {outcome['told']}; the step took {took:.0f} s")
            assert outcome["held"]
            time.sleep(20)
            back = len(client.scheduler_info(n_workers=-1)["workers"]) == len(NODES)
            tell(f"20 s after the cable is back its worker is {'back' if back else 'not back'}: {worker.poll()}")
            worker.kill()
    for name in test_cluster.COMPARED:
        assert (there / name).read_bytes() == (here / name).read_bytes(), name
    tell(f"{len(test_cluster.COMPARED)} files of the same bytes as without a cluster")


def cut_off(machines: Machines, client, folder: Path, part: str, outcome: dict) -> None:
    """Pull node2's cable once a step has written rows, until the scheduler gives up its worker."""
    from tests.test_cluster import STEPS_SECONDS, written

    def there() -> list[str]:
        return [one for one in client.scheduler_info(n_workers=-1)["workers"] if ADDRESSES["node2"] in one]

    (address,) = there()
    process = client.run(os.getpid, workers=[address])[address]
    wait_until(lambda: any(folder.glob(part)), STEPS_SECONDS, part)
    os.kill(process, signal.SIGSTOP)  # so that it has shards in hand
    wait_until(lambda: any(written(path) for path in folder.glob(part)), STEPS_SECONDS, part)
    outcome["held"] = len(client.processing()[address])
    machines.link("node2", "down")
    os.kill(process, signal.SIGCONT)
    seconds = wait_until(lambda: not there(), 600, "the worker that is cut off is given up")
    machines.link("node2", "up")
    outcome["told"] = f"node2 cut off with {outcome['held']} shards in hand, given up after {seconds:.0f} s"


CHECKS = {
    "ssh": (Machines.secure_shell, ssh, ssh_with_a_killed_worker, ssh_interrupted, ssh_with_a_pulled_cable),
    "slurm": (Machines.slurm, slurm, slurm_with_a_killed_worker, slurm_cancelled, slurm_over_its_time,
              slurm_with_a_warning, slurm_with_hours),
    "dask": (dask,),
}  # fmt: skip


def inside(chosen: list[str]) -> int:
    """Exit status of the checks, each of which is made though another failed."""
    os.environ["KERAS_BACKEND"] = "jax"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and hand that on
    machines, failed = Machines(), 0
    try:
        for name in chosen:
            print(f"{name}:", flush=True)
            for check in CHECKS[name]:
                try:
                    check(machines)
                except Exception:
                    traceback.print_exc()
                    failed += 1
    finally:
        machines.close()
    print(f"{failed} failed")
    return 1 if failed else 0


def lacking(name: str) -> str:
    """Why a check cannot be made here, in words, or nothing."""
    package = {"dask": "distributed"}.get(name, "jax")
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed (the extra {'dask' if name == 'dask' else 'jax'})"
    return namespaces.missing(namespaces.TOOLS | NEEDS[name])


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("programs", nargs="*", help=f"of {', '.join(NEEDS)}; without it all")
    arguments.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.inside:
        return inside(given.programs)
    if unknown := set(given.programs) - set(NEEDS):
        arguments.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(NEEDS)}")
    reasons = {name: lacking(name) for name in given.programs or NEEDS}
    for name, reason in reasons.items():
        if reason:
            print(f"{name}: skipped: {reason}")
    able = [name for name, reason in reasons.items() if not reason]
    command = (sys.executable, "-m", "tests.real_machines", "--inside", *able)
    return namespaces.in_a_world(*command) if able else 0


if __name__ == "__main__":
    sys.exit(main())
