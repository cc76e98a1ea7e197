"""Signals SIGTERM, SIGUSR1 and SIGINT (Ctrl-C), which ask a run to save and stop after the current step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Request to stop: false until a signal comes in, whose name is `name`."""

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
    """Context that handles SIGTERM, SIGUSR1 and SIGINT, and restores the former handlers at its end.

    A second SIGINT ends the process at once. A SIGINT that is ignored, as by background jobs of a shell,
    stays ignored. Python delivers signals to the main thread only: in other threads nothing is handled.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    former = {
        number: signal.signal(number, request._receive)
        for number in STOP_SIGNALS
        if number != signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield request
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
