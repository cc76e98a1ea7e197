"""The last layer of a network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ucf_vit.nn.init import normal_


class Head(nn.Linear):
    """One Linear per token or pixel, `[..., D]` to `[..., K]`.

    Starts near zero, so that the first predictions are close to even and the first loss close to that of
    guessing, whatever D and K are.
    """

    def reset_parameters(self) -> None:
        """Draw small weights; zero the bias."""
        normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """All outputs, or those of `rows` `[K']` alone, in that order."""
        if rows is None:
            return super().forward(x)
        return F.linear(x, self.weight[rows], self.bias[rows])
