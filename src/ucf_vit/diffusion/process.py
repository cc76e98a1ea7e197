"""Between clean values, noise and their mixture, and what a network is asked for.

With `signal` s, the share of the variance that is left, a mixture is `sqrt(s) clean + sqrt(1 - s) noise`.
`signal` is a number for all samples, or has one for each, `[B]`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v", "clean"]
"""epsilon: the noise (Ho et al. 2020); v: `sqrt(s) noise - sqrt(1 - s) clean` (Salimans and Ho 2022); clean:
the clean values, which leave a network with wide patches less to remember (Li and He 2025)."""


def add_noise(clean: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """The mixture, `[B, ...]` like both."""
    a, b = _weights(signal, clean)
    return a * clean + b * noise


def target(kind: Prediction, clean: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """What the network is to say of a mixture."""
    if kind == "epsilon":
        return noise
    if kind == "clean":
        return clean
    a, b = _weights(signal, clean)
    return a * noise - b * clean


def solve(kind: Prediction, said: Tensor, mixture: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
    """Clean values and noise that what the network said means."""
    a, b = _weights(signal, mixture)
    if kind == "epsilon":
        return (mixture - b * said) / a, said
    if kind == "clean":
        return said, noise_of(mixture, said, signal)
    return a * mixture - b * said, b * mixture + a * said


def noise_of(mixture: Tensor, clean: Tensor, signal: Tensor) -> Tensor:
    """The noise that, with these clean values, makes this mixture."""
    a, b = _weights(signal, mixture)
    return (mixture - a * clean) / b


def snr_weight(kind: Prediction, signal: Tensor, largest: float) -> Tensor:
    """Weight of the squared error `[B]`, so that in clean values it counts min(SNR, `largest`).

    Min-SNR weighting (Hang et al. 2023): steps with little noise, which are easy and many, count less.
    """
    snr = signal / (1 - signal)
    counted = snr.clamp(max=largest)
    return counted / {"epsilon": snr, "v": snr + 1, "clean": torch.ones_like(snr)}[kind]


def _weights(signal: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Square roots of the shares of signal and noise, to be multiplied with `like` `[B, ...]`."""
    share = signal.double().reshape(-1, *[1] * (like.ndim - 1))
    return share.sqrt().to(like), (1 - share).sqrt().to(like)
