"""Exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Ema:
    """Exponential moving average of a task's trainable parameters, in float32, by name.

    Update n = 0, 1, ... computes w_ema = d w_ema + (1 - d) w with d = min(decay, (1 + n) / (10 + n)). The
    second term, as in TensorFlow's `tf.train.ExponentialMovingAverage`, makes the average forget the initial
    weights soon. Buffers are not averaged: they are constants, since no network has batch norm. Each process
    averages the shard of a parameter that it holds.
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
        """Updates the average with the current weights, after an optimizer step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = [parameter.float() for parameter in self._parameters(task)]
        torch._foreach_lerp_(_local(self.weights.values()), current, 1 - decay)
        self.updates += 1

    @contextmanager
    def averaged(self, task: nn.Module) -> Iterator[None]:
        """Context in which `task` has the averaged weights; its own weights are restored at the end."""
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
        """Returns the state except for the weights, as plain values."""
        return {"updates": self.updates}

    def load_state_dict(self, saved: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Restores the values that `state_dict` returned, and the averaged `weights` by name.

        A parameter that is not among them keeps its current average.
        """
        self.updates = saved["updates"]
        for name, average in self.weights.items():
            if name in weights:
                average.copy_(weights[name])

    def _parameters(self, task: nn.Module) -> list[Tensor]:
        parameters = dict(task.named_parameters())
        return _local(parameters[name] for name in self.weights)


def _local(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Returns the local tensors, in the same memory: the shard of a DTensor, a plain tensor itself."""
    return [tensor.to_local() if hasattr(tensor, "to_local") else tensor.detach() for tensor in tensors]
