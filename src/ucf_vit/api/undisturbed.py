"""Work inside a program of somebody else, which finds its own state again."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ucf_vit.core.log import ROOT


@contextmanager
def undisturbed() -> Iterator[None]:
    """Context at whose end random generators and the log of the package are as they were before.

    A run draws all its random numbers from generators that it seeds, and opens a log file.
    """
    states = random.getstate(), np.random.get_state()
    logger = logging.getLogger(ROOT)
    level, handlers = logger.level, list(logger.handlers)
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        for handler in [one for one in logger.handlers if one not in handlers]:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(level)
