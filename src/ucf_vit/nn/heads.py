"""Last layer of a network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ucf_vit.nn.init import normal_


class Head(nn.Linear):
    """Linear for each token or pixel, `[..., D]` to `[..., K]`.

    Starts near zero, so that the first predictions are nearly uniform and the first loss is near that of
    guessing, for any D and K.
    """

    def reset_parameters(self) -> None:
        """Draws small weights and sets the bias to zero."""
        normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """Returns all outputs, or only `rows` `[K']` of them, in that order."""
        if rows is None:
            return super().forward(x)
        return F.linear(x, self.weight[rows], self.bias[rows])
