"""Polite ends: SIGTERM, SIGUSR1 and SIGINT (Ctrl-C) ask a run to save and stop at the next step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ASKING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Set once a signal asked the run to stop; `name` is that signal's."""

    def __init__(self) -> None:
        self.name = ""

    def __bool__(self) -> bool:
        return bool(self.name)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.name = signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)


@contextmanager
def listen() -> Iterator[StopRequest]:
    """Watch for SIGTERM, SIGUSR1 and SIGINT; the former handlers come back at the end.

    A second SIGINT ends the process at once; where it is ignored, as in a shell's background, it stays so.
    Only the main thread hears signals; elsewhere nothing is watched.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    former = {
        number: signal.signal(number, request._receive)
        for number in ASKING
        if number != signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield request
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
