"""Mixtures of clean values and noise, and the targets that a network predicts from them.

A mixture is `a clean + b noise`; `levels` `[B, 2]` (or `[2]` for all samples) holds a and b.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v", "clean"]
"""Target of a network. epsilon: the noise (Ho et al. 2020); v: `a noise - b clean` (Salimans and Ho 2022);
clean: the clean values, which require less capacity of a network with large patches (Li and He 2025)."""


def levels_from_signal(signal: Tensor) -> Tensor:
    """Returns levels `[..., 2]`, the roots of `signal` `[...]` (a variance fraction) and 1 - `signal`."""
    return torch.stack([signal, 1 - signal], dim=-1).sqrt()


def add_noise(clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
    """Returns the mixture of clean values and noise, all `[B, ...]`."""
    a, b = _weights(levels, clean)
    return a * clean + b * noise


def prediction_target(kind: Prediction, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
    """Returns the target that the network has to predict for the mixture, `[B, ...]`."""
    if kind == "epsilon":
        return noise
    if kind == "clean":
        return clean
    a, b = _weights(levels, clean)
    return a * noise - b * clean


def split_mixture(
    kind: Prediction, prediction: Tensor, mixture: Tensor, levels: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns clean values and noise of a mixture according to the network's prediction, all `[B, ...]`."""
    a, b = _weights(levels, mixture)
    if kind == "epsilon":
        return (mixture - b * prediction) / a, prediction
    if kind == "clean":
        return prediction, recover_noise(mixture, prediction, levels)
    return a * mixture - b * prediction, b * mixture + a * prediction


def recover_noise(mixture: Tensor, clean: Tensor, levels: Tensor) -> Tensor:
    """Returns the noise of a mixture with known clean values."""
    a, b = _weights(levels, mixture)
    return (mixture - a * clean) / b


def snr_weight(kind: Prediction, levels: Tensor, largest: float) -> Tensor:
    """Returns weights `[B]` of squared errors that weight errors of clean values by min(SNR, `largest`).

    Min-SNR weighting (Hang et al. 2023) lowers the weight of steps with little noise, which are easy and
    many.
    """
    snr = (levels[..., 0] / levels[..., 1]).square()
    clipped = snr.clamp(max=largest)
    return clipped / {"epsilon": snr, "v": snr + 1, "clean": torch.ones_like(snr)}[kind]


def _weights(levels: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Returns a and b in a shape that broadcasts with `like` `[B, ...]`."""
    a, b = levels.to(like).reshape(-1, 2, *[1] * (like.ndim - 1)).unbind(1)
    return a, b
