"""Between clean values, noise and their mixture, and what a network is asked for.

A mixture is `a clean + b noise`; `levels` `[B, 2]` (or `[2]`, for all samples) are a and b.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v", "clean"]
"""epsilon: the noise (Ho et al. 2020); v: `a noise - b clean` (Salimans and Ho 2022); clean: the clean
values, which leave a network with wide patches less to remember (Li and He 2025)."""


def levels_of(signal: Tensor) -> Tensor:
    """Levels `[..., 2]` where `signal` `[...]` is the share of the variance that is left: both roots."""
    return torch.stack([signal, 1 - signal], dim=-1).sqrt()


def add_noise(clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
    """The mixture, `[B, ...]` like both."""
    a, b = _weights(levels, clean)
    return a * clean + b * noise


def target(kind: Prediction, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
    """What the network is to say of a mixture."""
    if kind == "epsilon":
        return noise
    if kind == "clean":
        return clean
    a, b = _weights(levels, clean)
    return a * noise - b * clean


def solve(kind: Prediction, said: Tensor, mixture: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Clean values and noise that what the network said means."""
    a, b = _weights(levels, mixture)
    if kind == "epsilon":
        return (mixture - b * said) / a, said
    if kind == "clean":
        return said, noise_of(mixture, said, levels)
    return a * mixture - b * said, b * mixture + a * said


def noise_of(mixture: Tensor, clean: Tensor, levels: Tensor) -> Tensor:
    """The noise that, with these clean values, makes this mixture."""
    a, b = _weights(levels, mixture)
    return (mixture - a * clean) / b


def snr_weight(kind: Prediction, levels: Tensor, largest: float) -> Tensor:
    """Weight of the squared error `[B]`, so that in clean values it counts min(SNR, `largest`).

    Min-SNR weighting (Hang et al. 2023): steps with little noise, which are easy and many, count less.
    """
    snr = (levels[..., 0] / levels[..., 1]).square()
    counted = snr.clamp(max=largest)
    return counted / {"epsilon": snr, "v": snr + 1, "clean": torch.ones_like(snr)}[kind]


def _weights(levels: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """a and b, to be multiplied with `like` `[B, ...]`."""
    a, b = levels.to(like).reshape(-1, 2, *[1] * (like.ndim - 1)).unbind(1)
    return a, b
