"""Initial weights that are a function of the seed alone, however the model is spread."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.seeds import seed_of
from ucf_vit.nn.init import init_weights, normal_
from ucf_vit.parallel.dtensor_layout import own_part

ROWS = 16
"""Rows of a matrix that are drawn together."""


def materialise(model: nn.Module, seed: int, device: torch.device) -> None:
    """Give a model that was built on `meta` memory on `device` and its initial weights, in place.

    The weights are those of `init_weights` with the randomness of (seed, name): bit for bit the same on any
    number of ranks in any layout. Of a Linear only this rank's rows are ever made; other modules, which are
    small, are whole one at a time. Raises UserError for a tensor that no module gives a value.
    """
    model.to_empty(device=device)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for _, tensor in _tensors(model):
            if tensor.is_floating_point():
                tensor.fill_(torch.nan)
        for name, module in model.named_modules():
            if any(True for _ in _own_tensors(module)):
                _fill(module, name, seed)
        for name, tensor in _tensors(model):
            if tensor.is_floating_point() and tensor.isnan().any():
                raise UserError(f"{name} has no initial value; give its module a method reset_parameters")


def _fill(module: nn.Module, name: str, seed: int) -> None:
    """Initial values of a module's own tensors."""
    if getattr(type(module), "reset_parameters", None) is nn.Linear.reset_parameters:
        _fill_linear(module, name, seed)
        return
    alone = _whole_copy(module)
    _seed(seed, name)
    init_weights(alone)
    for which, tensor in _own_tensors(module):
        _put(tensor, getattr(alone, which))


def _fill_linear(linear: nn.Module, name: str, seed: int) -> None:
    """As `init_weights`, drawn in blocks of rows with a seed each."""
    weight = linear.weight
    rows, columns = weight.shape
    numbers = torch.arange(rows)
    if isinstance(weight, DTensor):
        numbers = own_part(numbers, weight, axes=(0,))
    own = torch.empty(len(numbers), columns, dtype=weight.dtype)
    std = math.sqrt(2 / (rows + columns))
    for block in numbers.div(ROWS, rounding_mode="floor").unique().tolist():
        first = block * ROWS
        values = torch.empty(min(ROWS, rows - first), columns, dtype=weight.dtype)
        _seed(seed, name, block)
        normal_(values, std)
        here = (numbers >= first) & (numbers < first + ROWS)
        own[here] = values[numbers[here] - first]
    if isinstance(weight, DTensor):
        weight.to_local().copy_(own_part(own, weight, axes=(1,)))
    else:
        weight.copy_(own)
    if linear.bias is not None:
        _local(linear.bias).zero_()


def _whole_copy(module: nn.Module) -> nn.Module:
    """The module alone, without those below it, with whole tensors on the CPU."""
    alone = copy.copy(module)
    alone._modules = {}
    alone._parameters = {
        name: None if tensor is None else nn.Parameter(_nothing(tensor), requires_grad=False)
        for name, tensor in module._parameters.items()
    }
    alone._buffers = {
        name: None if tensor is None else _nothing(tensor) for name, tensor in module._buffers.items()
    }
    return alone


def _nothing(like: Tensor) -> Tensor:
    """A whole tensor on the CPU, NaN where there is such a number."""
    return torch.full(like.shape, math.nan if like.is_floating_point() else 0, dtype=like.dtype)


def _put(tensor: Tensor, whole: Tensor) -> None:
    if isinstance(tensor, DTensor):
        tensor.to_local().copy_(own_part(whole, tensor))
    else:
        tensor.copy_(whole)


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All parameters and buffers, of those that are spread this rank's parts."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        yield name, _local(tensor)


def _own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _seed(*parts: int | str) -> None:
    torch.default_generator.manual_seed(seed_of(*parts))
