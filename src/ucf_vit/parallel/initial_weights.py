"""Initial weights that depend only on the seed, not on the layout of the model over ranks."""

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
from ucf_vit.parallel.dtensor_layout import local_part

ROWS = 16
"""Number of rows of a matrix that are drawn together."""


def materialise(model: nn.Module, seed: int, device: torch.device) -> None:
    """Allocates a model that was built on `meta` on `device` and sets its initial weights, in place.

    The weights are those of `init_weights`, drawn from (seed, name): bit for bit the same on any number of
    ranks in any layout. Of a Linear only this rank's rows are drawn; other modules, which are small, are
    drawn whole, one at a time. Raises UserError for a tensor that no module initialises.
    """
    model.to_empty(device=device)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for _, tensor in _tensors(model):
            if tensor.is_floating_point():
                tensor.fill_(torch.nan)
        for name, module in model.named_modules():
            if any(True for _ in _direct_tensors(module)):
                _fill(module, name, seed)
        for name, tensor in _tensors(model):
            if tensor.is_floating_point() and tensor.isnan().any():
                raise UserError(f"{name}: no initial value; add a method reset_parameters to its module")


def _fill(module: nn.Module, name: str, seed: int) -> None:
    """Sets the initial values of a module's own tensors."""
    if getattr(type(module), "reset_parameters", None) is nn.Linear.reset_parameters:
        _fill_linear(module, name, seed)
        return
    full = _full_copy(module)
    _seed(seed, name)
    init_weights(full)
    for tensor_name, tensor in _direct_tensors(module):
        _copy_local_part(tensor, getattr(full, tensor_name))


def _fill_linear(linear: nn.Module, name: str, seed: int) -> None:
    """Sets the values that `init_weights` would, drawn in blocks of rows, each from a seed of its own."""
    weight = linear.weight
    rows, columns = weight.shape
    numbers = torch.arange(rows)
    if isinstance(weight, DTensor):
        numbers = local_part(numbers, weight, axes=(0,))
    own = torch.empty(len(numbers), columns, dtype=weight.dtype)
    std = math.sqrt(2 / (rows + columns))
    for block in numbers.div(ROWS, rounding_mode="floor").unique().tolist():
        first = block * ROWS
        values = torch.empty(min(ROWS, rows - first), columns, dtype=weight.dtype)
        _seed(seed, name, block)
        normal_(values, std)
        in_block = (numbers >= first) & (numbers < first + ROWS)
        own[in_block] = values[numbers[in_block] - first]
    if isinstance(weight, DTensor):
        weight.to_local().copy_(local_part(own, weight, axes=(1,)))
    else:
        weight.copy_(own)
    if linear.bias is not None:
        _local(linear.bias).zero_()


def _full_copy(module: nn.Module) -> nn.Module:
    """Returns a copy of the module without its submodules, with whole tensors on the CPU."""
    full = copy.copy(module)
    full._modules = {}
    full._parameters = {
        name: None if tensor is None else nn.Parameter(_unset(tensor), requires_grad=False)
        for name, tensor in module._parameters.items()
    }
    full._buffers = {
        name: None if tensor is None else _unset(tensor) for name, tensor in module._buffers.items()
    }
    return full


def _unset(like: Tensor) -> Tensor:
    """Returns a whole tensor on the CPU filled with NaN, or with 0 if its type has no NaN."""
    return torch.full(like.shape, math.nan if like.is_floating_point() else 0, dtype=like.dtype)


def _copy_local_part(tensor: Tensor, whole: Tensor) -> None:
    if isinstance(tensor, DTensor):
        tensor.to_local().copy_(local_part(whole, tensor))
    else:
        tensor.copy_(whole)


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yields all parameters and buffers by name, or this rank's part of those that are split."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        yield name, _local(tensor)


def _direct_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(recurse=False)
    yield from module.named_buffers(recurse=False)


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _seed(*parts: int | str) -> None:
    torch.default_generator.manual_seed(seed_of(*parts))
