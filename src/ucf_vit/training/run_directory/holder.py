"""Process that holds the lock of a directory."""

from __future__ import annotations

import json
import os
import re
import socket
import time
import uuid
from dataclasses import asdict, dataclass, fields
from pathlib import Path

FILE = "holder.json"
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Holder:
    """A process that trains in a directory.

    `machine` is equal for processes that can see each other by `pid`. `started` distinguishes a process from
    a later one with the same `pid`. `job` and `restarts` are those of SLURM. `inode` is the directory's,
    so that a copy of the directory has another one.
    """

    token: str
    host: str
    pid: int
    started: str
    machine: str
    job: str
    restarts: int
    inode: int
    since: str

    @classmethod
    def me(cls, directory: Path) -> Holder:
        """Returns the holder for this process, in `directory`."""
        job, cluster = os.environ.get("SLURM_JOB_ID", ""), os.environ.get("SLURM_CLUSTER_NAME", "")
        restarts = os.environ.get("SLURM_RESTART_COUNT", "0")
        return cls(
            token=uuid.uuid4().hex,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=_started(os.getpid()) or "",
            machine=_machine(),
            job=job and f"{cluster}:{job}",
            restarts=int(restarts) if restarts.isdecimal() else 0,
            inode=directory.stat().st_ino,
            since=time.strftime("%Y-%m-%d %H:%M:%S"),
        )

    @classmethod
    def read(cls, place: Path) -> Holder | None:
        """Returns the holder of the lock at `place`, None without one. Raises ValueError if it is damaged."""
        try:
            content = json.loads((place / FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        types = {field.name: str(field.type) for field in fields(cls)}
        if not isinstance(content, dict) or {n: type(v).__name__ for n, v in content.items()} != types:
            raise ValueError(f"expected an object with {', '.join(types)}")
        if not _TOKEN.fullmatch(content["token"]):
            raise ValueError("the token is not 32 hexadecimal digits")
        return cls(**content)

    def write(self, place: Path) -> None:
        """Writes the holder to the lock at `place`."""
        (place / FILE).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    def is_gone(self, me: Holder) -> bool | None:
        """Returns whether the holder's process has ended, None if `me` cannot tell."""
        if self.job and self.job == me.job and self.restarts < me.restarts:
            return True
        if not self.machine or self.machine != me.machine:
            return None
        alive = _is_alive(self.pid, self.started)
        if alive is False:
            return True
        return False if alive and self.inode == me.inode else None

    def __str__(self) -> str:
        job = f" (job {self.job.rpartition(':')[2]})" if self.job else ""
        return f"process {self.pid} on {self.host}{job}, since {self.since}"


def _machine() -> str:
    """Returns an identifier of this boot and PID namespace, "" if it is unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        seen = Path("/proc/self").readlink().name == str(os.getpid())
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}" if seen else ""
    except OSError:
        return ""


def _is_alive(pid: int, started: str) -> bool | None:
    """Returns whether process `pid`, started at `started`, still runs; None if the system does not tell."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    now = _started(pid)
    return None if now is None else now == started


def _started(pid: int) -> str | None:
    """Returns the start time of a process in clock ticks since boot; "" if it has ended, None if unknown."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
    except OSError:
        return None
    return "" if after_name[0] in "ZX" else after_name[19]
