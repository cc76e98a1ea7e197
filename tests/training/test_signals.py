"""Signals that ask a run to stop, and those that end it at once."""

import os
import signal

import pytest

from ucf_vit.training.signals import listen


@pytest.mark.usefixtures("foreground")
def test_ctrl_c_asks_once_and_then_ends() -> None:
    with pytest.raises(KeyboardInterrupt), listen() as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request.name == "SIGINT"
        os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_that_is_ignored_stays_ignored() -> None:
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with listen() as request:
            os.kill(os.getpid(), signal.SIGINT)
        assert not request
    finally:
        signal.signal(signal.SIGINT, former)
