"""Machines on one machine: network namespaces with names and addresses of their own, a bridge between them, one disk.

    python -m tests.namespaces COMMAND …      # in such a world, which ends with the command, however it ends

The world has its own mounts, processes, network and name; /run and what `Machines` writes below /etc are memory that
only it sees. So nothing of the machine's own is changed, and what was started there dies with it, also when this is
killed by force. Needs Linux, root and the right to make namespaces.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HEAD, NODES = "head", ("node1", "node2")
ADDRESSES = {HEAD: "10.99.0.1"} | {node: f"10.99.0.1{number}" for number, node in enumerate(NODES, 1)}
PLACE = Path("/run/machines")  # for what tests write
# The shell is the first process of the world: it takes in what daemons leave behind, which else would stay as zombies.
WORLD = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child",
         "--mount-proc", "sh", "-c", '"$@" & wait $!', "sh")  # fmt: skip
TOOLS = {"ip": "iproute2", "setpriv": "util-linux", "unshare": "util-linux", "mount": "mount"}


def missing(tools: dict[str, str] = TOOLS) -> str:
    """What this machine lacks, in words, of programs (name -> Debian's package), root and namespaces; or nothing."""
    lacking = sorted({package for tool, package in tools.items() if not shutil.which(tool)})
    if lacking:
        return f"not installed: apt-get install {' '.join(lacking)}"
    if os.geteuid() != 0:
        return "needs root"
    refused = subprocess.run([*WORLD, "ip", "link", "add", "one", "type", "veth"], capture_output=True, text=True)
    return f"no namespaces here: {refused.stderr.strip()}" if refused.returncode else ""


def in_a_world(*command) -> int:
    """Exit status of a command in a world of its own, which ends with it and with this process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    process = subprocess.Popen([*WORLD, *command])
    try:
        return process.wait()
    finally:
        process.kill()
        process.wait()


def call(*words) -> None:
    subprocess.run([str(word) for word in words], check=True)


def memory(folder: Path) -> None:
    """Cover a folder with an empty one that only this world sees."""
    call("mount", "-t", "tmpfs", "-o", "mode=755", "machines", folder)


def on(machine: str, *words) -> list[str]:
    """The command that runs words on a machine: its network, and its name."""
    words = [str(word) for word in words]
    if machine == HEAD:
        return words
    # Not by "ip netns exec", which covers /sys.
    network = f"--net=/run/netns/{machine}"
    return ["nsenter", network, "unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', machine, *words]


class Machines:
    """The machines of this world, up, and the daemons that were started on them; `close` ends these."""

    def __init__(self):
        for folder in (Path("/run"), Path("/var/log")):
            memory(folder)
        PLACE.mkdir()
        os.environ["TMPDIR"] = str(PLACE)
        self.daemons: list[subprocess.Popen] = []
        names = "".join(f"{address} {name}\n" for name, address in ADDRESSES.items())
        (PLACE / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        call("mount", "--bind", PLACE / "hosts", "/etc/hosts")
        call("hostname", HEAD)
        call("ip", "link", "set", "lo", "up")
        call("ip", "link", "add", "bridge", "type", "bridge")
        call("ip", "addr", "add", f"{ADDRESSES[HEAD]}/24", "dev", "bridge")
        call("ip", "link", "set", "bridge", "up")
        for node in NODES:
            call("ip", "netns", "add", node)
            call("ip", "link", "add", node, "type", "veth", "peer", "name", "eth0", "netns", node)
            call("ip", "-n", node, "addr", "add", f"{ADDRESSES[node]}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                call("ip", "-n", node, "link", "set", link, "up")
            call("ip", "link", "set", node, "master", "bridge", "up")

    def link(self, node: str, state: str) -> None:
        """Pull a machine's cable ("down"), or put it back ("up")."""
        call("ip", "link", "set", node, state)

    def daemon(self, machine: str, *words, **variables: str) -> subprocess.Popen:
        """Start what stays in the foreground; what it says is kept in PLACE."""
        with open(PLACE / f"{Path(words[0]).name}.{machine}.{len(self.daemons)}.log", "w") as log:
            process = subprocess.Popen(on(machine, *words), stdout=log, stderr=log, env=os.environ | variables)
        self.daemons.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self.daemons):
            process.terminate()
        for process in self.daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()

    def secure_shell(self) -> None:
        """An sshd on each node, with keys and settings made now; `ssh node1` from anywhere asks for no password."""
        etc, home = Path("/etc/ssh"), Path(pwd.getpwuid(0).pw_dir) / ".ssh"
        for folder in (etc, *([home] if home.is_dir() else [])):
            memory(folder)
        Path("/run/sshd").mkdir()
        for key in ("host_key", "user_key"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", etc / key)
        shutil.copy(etc / "user_key.pub", etc / "authorized_keys")
        (etc / "known_hosts").write_text(f"{','.join(NODES)} {(etc / 'host_key.pub').read_text()}")
        (etc / "ssh_config").write_text(
            f"IdentityFile {etc}/user_key\nGlobalKnownHostsFile {etc}/known_hosts\nUserKnownHostsFile none\n"
        )
        (etc / "sshd_config").write_text(
            f"HostKey {etc}/host_key\nAuthorizedKeysFile {etc}/authorized_keys\nPasswordAuthentication no\n"
            f"KbdInteractiveAuthentication no\nPidFile none\nSetEnv TMPDIR={PLACE}\n"
        )
        for node in NODES:
            self.daemon(node, "/usr/sbin/sshd", "-D", "-e")

    def slurm(self) -> None:
        """SLURM: munged and slurmctld on the head, a slurmd on each node."""
        folder = PLACE / "slurm"
        for one in (folder, *(folder / name for name in ("state", *NODES)), Path("/run/munge")):
            one.mkdir()
        key = folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # it looks for one, and uses none
        (folder / "slurm.conf").write_text(SLURM.format(head=HEAD, nodes=",".join(NODES), folder=folder))
        files = (f"--{name}-file={folder}/munge.{name}" for name in ("key", "log", "pid", "seed"))
        self.daemon(HEAD, "munged", "--foreground", "--force", *files)
        self.daemon(HEAD, "slurmctld", "-D")
        for node in NODES:
            self.daemon(node, "slurmd", "-D", "-N", node)
        idle = ["sinfo", "--noheader", "--states=idle", "--format=%D"]
        until = time.monotonic() + 60
        while subprocess.run(idle, capture_output=True, text=True).stdout.strip() != str(len(NODES)):
            assert time.monotonic() < until, "SLURM's nodes did not come up within 60 s"
            time.sleep(0.5)


# Without control groups, which a container may not have. KillWait: seconds from SIGTERM to SIGKILL, SLURM's default.
SLURM = """ClusterName=machines
SlurmctldHost={head}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/linear
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=30
NodeName={nodes} CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""

if __name__ == "__main__":
    sys.exit(missing() or in_a_world(*sys.argv[1:]))
