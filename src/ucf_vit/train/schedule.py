"""Learning rate by optimizer step."""

from __future__ import annotations

import math
from collections.abc import Callable


def warmup_cosine(
    lr: float, warmup_steps: int, max_steps: int, warmup_start_lr: float = 0.0, eta_min: float = 0.0
) -> Callable[[int], float]:
    """Learning rate of step i: linear from `warmup_start_lr` to `lr`, then half a cosine down to `eta_min`.

    The warm-up reaches `lr` at step `warmup_steps - 1`, so that one of a single step is none; from
    `max_steps` on the rate stays at `eta_min` (Loshchilov and Hutter 2017, without restarts).
    """

    def rate(step: int) -> float:
        if step < warmup_steps - 1:
            return warmup_start_lr + (lr - warmup_start_lr) * step / (warmup_steps - 1)
        progress = min(1.0, max(0, step - warmup_steps) / max(1, max_steps - warmup_steps))
        return eta_min + (lr - eta_min) * (1 + math.cos(math.pi * progress)) / 2

    return rate
