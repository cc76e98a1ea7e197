"""Stochastic depth."""

from __future__ import annotations

from torch import Tensor, nn


class DropPath(nn.Module):
    """Drops a residual branch for random samples in training (Huang et al. 2016).

    `rate` is the probability, in [0, 1); the other samples are scaled by 1 / (1 - rate) to keep the mean.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """`[B, ...]` to `[B, ...]`."""
        if not self.training or self.rate == 0:
            return x
        mask = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * mask / (1 - self.rate)
