"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Ema:
    """A float32 copy of a task's trainable parameters that follows them slowly, by name.

    After update n = 0, 1, ... it is d w_ema + (1 - d) w with d = min(decay, (1 + n) / (10 + n)); the second
    term, so that the average soon forgets the initial weights, is that of TensorFlow's
    `tf.train.ExponentialMovingAverage`. Buffers are not averaged: those of our networks are constants, there
    is no batch norm. Every process averages what it holds of a parameter, all of it or a shard.
    """

    def __init__(self, task: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights = {
            name: parameter.detach().to(torch.float32, copy=True)
            for name, parameter in task.named_parameters()
            if parameter.requires_grad
        }

    @torch.no_grad()
    def update(self, task: nn.Module) -> None:
        """Take in the weights that an optimizer step has just made."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = [parameter.float() for parameter in self._parameters(task)]
        torch._foreach_lerp_(_local(self.weights.values()), current, 1 - decay)
        self.updates += 1

    @contextmanager
    def averaged(self, task: nn.Module) -> Iterator[None]:
        """A context in which `task` has the averaged weights; afterwards its own again, whatever happens."""
        with torch.no_grad():
            parameters = self._parameters(task)
            own = [parameter.clone() for parameter in parameters]
        try:
            with torch.no_grad():
                torch._foreach_copy_(parameters, _local(self.weights.values()))
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(parameters, own)

    def state_dict(self) -> dict[str, Any]:
        """All but the weights, as plain values."""
        return {"updates": self.updates}

    def load_state_dict(self, saved: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Continue from what `state_dict` returned and from the averaged `weights`, by name.

        A parameter without one among them keeps the average that it has.
        """
        self.updates = saved["updates"]
        for name, average in self.weights.items():
            if name in weights:
                average.copy_(weights[name])

    def _parameters(self, task: nn.Module) -> list[Tensor]:
        parameters = dict(task.named_parameters())
        return _local(parameters[name] for name in self.weights)


def _local(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Returns the local part of each tensor, in the same memory: of a DTensor its shard."""
    return [tensor.to_local() if hasattr(tensor, "to_local") else tensor.detach() for tensor in tensors]
