"""Scale of the loss in float16."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

LOWEST, LARGEST = 1.0, 2.0**24
"""At 1 nothing is scaled: a gradient that is not finite there is not so for want of a smaller scale."""


class LossScale:
    """Factor of the loss, so that small gradients do not vanish in float16.

    Dynamic scaling (Micikevicius et al. 2018): halved when a gradient is not finite, doubled after `patience`
    steps in which all are. The decision follows from the global gradient norm, which all processes have, so
    that they agree whatever part of a gradient each holds; torch's GradScaler looks at each part by itself.
    The scale stays between `LOWEST` and `LARGEST`.
    """

    def __init__(self, enabled: bool, start: float = 2.0**16, patience: int = 2000) -> None:
        self.enabled = enabled
        self.value = start if enabled else LOWEST
        self.patience = patience
        self.good = 0

    @property
    def can_shrink(self) -> bool:
        """Whether a smaller scale may help where a gradient is not finite."""
        return self.value > LOWEST

    def scale(self, loss: Tensor) -> Tensor:
        """The loss to go backward from."""
        return loss * self.value if self.enabled else loss

    @torch.no_grad()
    def unscale(self, parameters: Iterable[nn.Parameter]) -> None:
        """Divide the gradients, of a DTensor the part that this process holds."""
        if not self.enabled:
            return
        grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
        local = [grad.to_local() if hasattr(grad, "to_local") else grad for grad in grads]
        torch._foreach_mul_(local, 1 / self.value)

    def update(self, norm: float) -> None:
        """Take in the global norm of the gradients of a step."""
        if not self.enabled:
            return
        if not math.isfinite(norm):
            self.value, self.good = max(self.value / 2, LOWEST), 0
            return
        self.good += 1
        if self.good >= self.patience:
            self.value, self.good = min(self.value * 2, LARGEST), 0

    def state_dict(self) -> dict[str, Any]:
        """Scale and good steps, as plain values; empty where nothing is scaled."""
        return {"scale": self.value, "good": self.good} if self.enabled else {}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        if self.enabled and saved:
            self.value, self.good = max(saved["scale"], LOWEST), saved["good"]
