"""A SLURM of two nodes on this machine, of more cores and GPUs than there are.

Its daemons are its own: started here, and ended by their process ids.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ports import free_port

NEEDED = ("slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel", "sinfo", "sbcast")
NODES, GPUS = 2, 8
PATIENCE = 300
"""Seconds: a busy machine is slow, a failure shows earlier."""

SETTINGS = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
SlurmctldPort={ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/ctld.pid
SlurmdPidFile={root}/run/%n.pid
SlurmctldLogFile={root}/log/ctld.log
SlurmdLogFile={root}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
ReturnToService=2
SlurmdTimeout=30
KillWait=5
JobRequeue=1
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName=DEFAULT CPUs=64 Gres=gpu:8 RealMemory=1000 State=UNKNOWN
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]}
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]}
PartitionName=batch Nodes=ALL Default=YES State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=60
PartitionName=urgent Nodes=ALL State=UP PriorityTier=10 PreemptMode=OFF
"""


def why_not() -> str:
    """Why there can be no SLURM here; empty if there can."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)} (as root: apt-get install slurm-wlm; .ci/run does)"
    return "" if os.geteuid() == 0 else "needs root: SLURM's daemons run jobs as whoever sends them"


@dataclass
class LocalSlurm:
    """The daemons, and what a user does with them."""

    root: Path
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        for name in ("state", "spool", "run", "log"):
            (self.root / name).mkdir()
        ports = [free_port() for _ in range(1 + NODES)]
        settings = SETTINGS.format(host=socket.gethostname(), root=self.root, ports=ports)
        self.conf.write_text(settings)
        (self.root / "cgroup.conf").touch()
        for number in range(GPUS):
            os.mknod(self.root / f"gpu{number}", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        (self.root / "gres.conf").write_text(
            f"NodeName=node[1-{NODES}] Name=gpu File={self.root}/gpu[0-{GPUS - 1}]\n"
        )
        self._daemon("slurmctld", "-D", "-c")
        for number in range(1, NODES + 1):
            self._daemon("slurmd", "-D", "-N", f"node{number}")
        self.wait(lambda: self.run("sinfo", "-h", "-t", "idle", "-o", "%D", check=False) == str(NODES))

    def stop(self) -> None:
        """End the jobs, then the daemons, all of which this object started."""
        self.run("scancel", "--user=root", check=False)
        for daemon in self.daemons:
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    @property
    def conf(self) -> Path:
        return self.root / "slurm.conf"

    def run(self, *command: str, cwd: Path | None = None, check: bool = True, **variables: str) -> str:
        """The output of a command of SLURM."""
        environment = {**os.environ, "SLURM_CONF": str(self.conf), **variables}
        done = subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}{self.logs()}"
        return done.stdout.strip()

    def submit(self, *arguments: str, cwd: Path, **variables: str) -> str:
        """Send a job; its number."""
        return self.run("sbatch", "--parsable", *arguments, cwd=cwd, **variables)

    def shown(self, job: str, key: str) -> str:
        """A field of `scontrol show job`."""
        fields = self.run("scontrol", "show", "job", job).split()
        return next(field.split("=", 1)[1] for field in fields if field.startswith(f"{key}="))

    def wait(self, ready: Callable[[], bool], output: Path | None = None) -> None:
        """Until `ready`; fails with the logs if that takes too long."""
        end = time.monotonic() + PATIENCE
        while not ready():
            said = output.read_text()[-3000:] if output is not None and output.exists() else ""
            assert time.monotonic() < end, f"not ready after {PATIENCE} s\n{said}{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        return "".join(f"\n--- {path}\n{path.read_text()[-2000:]}" for path in self.root.glob("log/*"))

    def _daemon(self, name: str, *arguments: str) -> None:
        command = [name, *arguments, "-f", str(self.conf)]
        quiet = subprocess.DEVNULL
        self.daemons.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))
