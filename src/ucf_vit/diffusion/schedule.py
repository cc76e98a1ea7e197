"""Noise schedules: fraction of signal after each step."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.options.noise import MIN_STEPS

ScheduleKind = Literal["linear", "cosine"]
LARGEST_BETA = 0.999


def make_schedule(kind: ScheduleKind, steps: int) -> Tensor:
    """Returns the signal fraction of the variance after steps 1 to T, `[T]` float64 (alpha-bar in papers).

    linear: the variance that a step adds rises linearly from 1e-4 to 0.02 at T = 1000 (Ho et al. 2020); for
    other T both are multiplied by 1000 / T, so that the last step is almost pure noise for any T. cosine: the
    signal falls as a squared cosine with an offset of 0.008 (Nichol and Dhariwal 2021) for any T.

    Raises UserError for an unknown kind or too few steps.
    """
    if kind not in MIN_STEPS:
        raise UserError(f"noise_schedule {kind!r} is unknown; use linear or cosine")
    if steps < MIN_STEPS[kind]:
        raise UserError(
            f"num_time_steps {steps}: noise_schedule {kind} needs {MIN_STEPS[kind]} or more; cosine takes any"
        )
    if kind == "linear":
        first, last = 1e-4 * 1000 / steps, 0.02 * 1000 / steps
        beta = torch.linspace(first, last, steps, dtype=torch.float64)
    else:
        time = torch.arange(steps + 1, dtype=torch.float64) / steps
        signal = ((time + 0.008) / 1.008 * math.pi / 2).cos().square()
        beta = 1 - signal[1:] / signal[:-1]
    return (1 - beta.clamp(max=LARGEST_BETA)).cumprod(0)
