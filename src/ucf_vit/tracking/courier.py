"""The process that delivers, as the training sees it: started, listened to, and waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from pathlib import Path

from ucf_vit.core.log import get_logger
from ucf_vit.tracking.delivery import undelivered

log = get_logger(__name__)
LEVELS = {"info": 20, "warning": 30}
RESTART = 60.0
"""Least seconds between two starts of the process, if something ends it."""


class Courier:
    """Process beside a training that delivers its events; the training never waits for it, only at its end.

    Args:
        directory: directory of the run.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._text = b""
        self._start()

    def listen(self) -> None:
        """Logs what the process has said, without waiting, and starts it again if it has ended."""
        self._read()
        if self._process.poll() is not None and time.monotonic() > self._started + RESTART:
            self._finalizer()
            self._start()

    def finish(self, seconds: float) -> None:
        """Waits until everything is delivered, at most that many seconds, and ends the process.

        Logs a warning if something is left.
        """
        until = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
            self._read()
        self._read()
        self._finalizer()
        if left := undelivered(self.directory):
            log.warning(
                "%d entries are not delivered; they are when the run is resumed, or by: "
                "ucf-vit track %s --deliver",
                *(left, self.directory),
            )

    def _start(self) -> None:
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ucf_vit.tracking", str(self.directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        )
        if self._process.stdout is not None:
            os.set_blocking(self._process.stdout.fileno(), False)
        self._finalizer = weakref.finalize(self, _end, self._process, os.getpid())

    def _read(self) -> None:
        if self._process.stdout is None or self._process.stdout.closed:
            return
        with suppress(BlockingIOError):
            while found := os.read(self._process.stdout.fileno(), 65536):
                self._text += found
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            level, _, text = line.decode(errors="replace").partition(" ")
            log.log(LEVELS.get(level, 30), "%s", text)


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    """Ends the process; it can be ended at any time. Does nothing in a fork of the training."""
    if os.getpid() != owner:
        return
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
