"""Loss scaling in float16."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

LOWEST, LARGEST = 1.0, 2.0**24
"""At 1 nothing is scaled, so a smaller scale cannot help if a gradient is not finite."""


class LossScale:
    """Dynamic loss scale (Micikevicius et al. 2018), so that small gradients do not underflow in float16.

    It is halved if a gradient is not finite, and doubled after `patience` steps with finite gradients, within
    `LOWEST` and `LARGEST`. It depends on the global gradient norm, so all ranks agree on it even if each
    holds a shard of the gradients; torch's GradScaler decides by the local gradients of each rank.
    """

    def __init__(self, enabled: bool, start: float = 2.0**16, patience: int = 2000) -> None:
        self.enabled = enabled
        self.value = start if enabled else LOWEST
        self.patience = patience
        self.good = 0

    @property
    def can_shrink(self) -> bool:
        """Whether a smaller scale may help against a gradient that is not finite."""
        return self.value > LOWEST

    def scale(self, loss: Tensor) -> Tensor:
        """Returns the scaled loss, for the backward pass."""
        return loss * self.value if self.enabled else loss

    @torch.no_grad()
    def unscale(self, parameters: Iterable[nn.Parameter]) -> None:
        """Divides the gradients by the scale, in place; of a DTensor the local shard."""
        if not self.enabled:
            return
        grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
        local = [grad.to_local() if hasattr(grad, "to_local") else grad for grad in grads]
        torch._foreach_mul_(local, 1 / self.value)

    def update(self, norm: float) -> None:
        """Updates the scale after a step with the global gradient norm `norm`."""
        if not self.enabled:
            return
        if not math.isfinite(norm):
            self.value, self.good = max(self.value / 2, LOWEST), 0
            return
        self.good += 1
        if self.good >= self.patience:
            self.value, self.good = min(self.value * 2, LARGEST), 0

    def state_dict(self) -> dict[str, Any]:
        """Returns the scale and the number of good steps as plain values; empty if disabled."""
        return {"scale": self.value, "good": self.good} if self.enabled else {}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restores the values that `state_dict` returned."""
        if self.enabled and saved:
            self.value, self.good = max(saved["scale"], LOWEST), saved["good"]
