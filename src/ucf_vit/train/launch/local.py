"""The processes of a run on this machine: they start, are signalled and end together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed as dist

LOOPBACK = "127.0.0.1"
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP, signal.SIGQUIT)
GRACE = 30.0
"""Seconds that the others have, once one has failed, to name it and to end."""
PAUSE = 0.05
PR_SET_PDEATHSIG = 1
"""Of linux/prctl.h."""


def spawn(processes: int, arguments: Sequence[str]) -> int:
    """Run `ucf-vit` with `arguments` on local processes, as torchrun would; see `run_together`.

    They meet in a store of this process, which knows where each was when one of them dies.
    """
    store = dist.TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False, timeout=timedelta(minutes=1))
    environment = {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes)),
        **os.environ,
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "TORCHELASTIC_RESTART_COUNT": "0",
    }
    return run_together([sys.executable, "-m", "ucf_vit", *arguments], processes, environment)


def run_together(command: Sequence[str], processes: int, environment: Mapping[str, str]) -> int:
    """Returns the exit status of `command` on all ranks: 0, or that of the first to fail, as a shell does.

    Signals are passed on, once each: a terminal signals only this process. One that a signal has ended is
    named on standard error. Where this process itself is killed, the ranks get SIGTERM (Linux).
    """
    sizes = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    ranks: list[subprocess.Popen[bytes]] = []
    end = _end_with(os.getpid())
    with _asked() as asked:
        try:
            for rank in map(str, range(processes)):
                place = {**environment, **sizes, "RANK": rank, "LOCAL_RANK": rank}
                ranks.append(subprocess.Popen(command, env=place, start_new_session=True, preexec_fn=end))
            return _wait(ranks, asked)
        finally:
            _kill(ranks)


def _end_with(parent: int) -> Callable[[], None] | None:
    """Returns a function for a new process to get SIGTERM when `parent` dies; None if the system has none."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def end() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    return end


@contextmanager
def _asked() -> Iterator[list[int]]:
    """The signals that have come in; those that this process was started to ignore do not count."""
    asked: list[int] = []
    former = {
        number: signal.signal(number, lambda number, frame: asked.append(number))
        for number in PASSED_ON
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _wait(ranks: Sequence[subprocess.Popen[bytes]], asked: list[int]) -> int:
    status, until = 0, float("inf")
    while any(rank.poll() is None for rank in ranks):
        while asked:
            number = asked.pop(0)
            for rank in ranks:
                rank.send_signal(number)
        if not status and (status := _failure(ranks)):
            until = time.monotonic() + GRACE
        if time.monotonic() > until:
            _kill(ranks)
        time.sleep(PAUSE)
    return status or _failure(ranks)


def _failure(ranks: Sequence[subprocess.Popen[bytes]]) -> int:
    """The status of one that has failed; 0 if none has. Those that a signal ended come first."""
    codes = [(rank.poll() or 0, number) for number, rank in enumerate(ranks)]
    code, number = min(codes)
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        print(f"error: rank {number} of {len(ranks)} was ended by {name}", file=sys.stderr, flush=True)
        return 128 - code
    return next((code for code, _ in codes if code), 0)


def _kill(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    for rank in ranks:
        if rank.poll() is None:
            os.killpg(rank.pid, signal.SIGKILL)
            rank.wait()
