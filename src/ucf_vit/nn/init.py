"""Initial weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def normal_(tensor: Tensor, std: float) -> None:
    """Fills `tensor` with a normal distribution, clamped at two standard deviations.

    Clamping gives the same values for a seed in every version of torch, unlike `trunc_normal_`.
    """
    with torch.no_grad():
        tensor.normal_(std=std).clamp_(-2 * std, 2 * std)


def init_weights(model: nn.Module) -> None:
    """Fills every parameter and table of `model` with its initial value, module by module.

    Plain Linears get a normal distribution of variance 2 / (in + out) (Glorot and Bengio 2010) and zero
    biases; all others their own `reset_parameters`. Also initialises models that were built on `meta` and
    moved by `to_empty`.
    """
    for module in model.modules():
        reset = getattr(type(module), "reset_parameters", None)
        if reset is nn.Linear.reset_parameters:
            _reset_linear(module)
        elif reset is not None:
            with torch.no_grad():
                reset(module)


def _reset_linear(linear: nn.Module) -> None:
    fan_out, fan_in = linear.weight.shape
    normal_(linear.weight, std=math.sqrt(2 / (fan_in + fan_out)))
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
