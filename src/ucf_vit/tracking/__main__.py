"""The process that delivers a run while it trains: `python -m ucf_vit.tracking DIRECTORY`.

It prints what the user should know, for the training to log, and ends with the process that started it.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from ucf_vit.core.errors import brief
from ucf_vit.tracking.delivery import Delivery, alone
from ucf_vit.tracking.store import redacted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that are for the training, which decides when this process ends."""


def main(directory: Path) -> None:
    """Delivers until the training ends."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    os.nice(10)
    parent = os.getppid()

    def is_training() -> bool:
        return os.getppid() == parent

    with alone(directory, is_training) as mine:
        if mine:
            Delivery(directory, say).follow(is_training)


def say(level: str, text: str) -> None:
    """Prints a message for the training to log."""
    with suppress(OSError):  # the training has ended
        os.write(_OUT, f"{level} {' '.join(text.split())}\n".encode(errors="backslashreplace"))


if __name__ == "__main__":
    _OUT = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print is not for the log
    try:
        main(Path(sys.argv[1]))
    except Exception as error:
        say("warning", f"{type(error).__name__}: {redacted(brief(error))}")
        sys.exit(1)
