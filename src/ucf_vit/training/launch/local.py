"""Local launcher: starts the processes of a run on this machine, passes on signals, ends them together."""

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
"""Seconds that the other ranks have to report a failed rank and to end."""
PAUSE = 0.05
PR_SET_PDEATHSIG = 1
"""Constant of linux/prctl.h."""


def spawn(processes: int, arguments: Sequence[str]) -> int:
    """Runs `ucf-vit` with `arguments` on local processes, as torchrun would; see `run_together`.

    This process holds their store, so the store survives a rank that dies and still knows what each did last.
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
    """Runs `command` on all ranks; returns 0, or the exit status of a failed rank, as a shell does.

    The ranks have sessions of their own, so a terminal signals only this process, which passes each signal
    on once. A rank that a signal has ended is named on standard error. If this process is killed, the ranks
    get SIGTERM (Linux).
    """
    sizes = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    ranks: list[subprocess.Popen[bytes]] = []
    end = _end_with(os.getpid())
    with _received_signals() as received:
        try:
            for rank in map(str, range(processes)):
                place = {**environment, **sizes, "RANK": rank, "LOCAL_RANK": rank}
                ranks.append(subprocess.Popen(command, env=place, start_new_session=True, preexec_fn=end))
            return _wait(ranks, received)
        finally:
            _kill(ranks)


def _end_with(parent: int) -> Callable[[], None] | None:
    """Returns a function that requests SIGTERM for the calling process when `parent` dies; None off Linux."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def end() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent died before prctl
            os.kill(os.getpid(), signal.SIGTERM)

    return end


@contextmanager
def _received_signals() -> Iterator[list[int]]:
    """Context that collects signals; those that this process was started to ignore stay ignored."""
    received: list[int] = []
    former = {
        number: signal.signal(number, lambda number, frame: received.append(number))
        for number in PASSED_ON
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield received
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _wait(ranks: Sequence[subprocess.Popen[bytes]], received: list[int]) -> int:
    status, until = 0, float("inf")
    while any(rank.poll() is None for rank in ranks):
        while received:
            number = received.pop(0)
            for rank in ranks:
                rank.send_signal(number)
        if not status and (status := _failure(ranks)):
            until = time.monotonic() + GRACE
        if time.monotonic() > until:
            _kill(ranks)
        time.sleep(PAUSE)
    return status or _failure(ranks)


def _failure(ranks: Sequence[subprocess.Popen[bytes]]) -> int:
    """Returns the exit status of a failed rank, 0 if none has failed; ranks ended by a signal come first."""
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
