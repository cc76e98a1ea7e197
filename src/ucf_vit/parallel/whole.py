"""Between whole tensors and the parts of them that ranks hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate


def own_part(whole: Tensor, like: DTensor, axes: tuple[int, ...] = ()) -> Tensor:
    """What this rank holds of a tensor that is laid out as `like`, a view.

    With `axes`, split along these axes of the tensor alone. Tensor parallelism splits first, and sharding
    then splits what that leaves: so the mesh is gone through from the last axis on.
    """
    mesh = like.device_mesh
    for number in reversed(range(mesh.ndim)):
        axis = getattr(like.placements[number], "dim", None)
        if axis is not None and (not axes or axis in axes):
            pieces = whole.chunk(mesh.size(number), axis)
            place = mesh.get_local_rank(number)
            whole = pieces[place] if place < len(pieces) else whole.narrow(axis, 0, 0)
    return whole


def gathered(tree: Any, keep: bool) -> Any:
    """A nest of dictionaries, lists and tensors with every DTensor whole and on the CPU; collective.

    Where `keep` is false, an empty tensor takes its place: one rank writes, and one tensor at a time is
    whole on the others.
    """
    if isinstance(tree, DTensor):
        whole = _whole(tree.detach())
        return whole.cpu() if keep else torch.empty(0)
    if isinstance(tree, Mapping):
        return {key: gathered(value, keep) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(gathered(value, keep) for value in tree)
    return tree


def spread(whole: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the tensors of `whole` this rank's parts, laid out as those of the same name in `like`."""
    return {name: _spread(value, like.get(name)) for name, value in whole.items()}


def spread_moments(whole: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimizer's state dict with whole tensors, for `optimizer`, whose parameters may be parts."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        number: {
            name: _spread(value, parameters[number]) if isinstance(value, Tensor) and value.ndim else value
            for name, value in moments.items()
        }
        for number, moments in whole["state"].items()
    }
    return {**whole, "state": state}


def _whole(tensor: DTensor) -> Tensor:
    """Gathered along one axis of the mesh after the other, sharding first: the way it was split, back.

    What lies in host memory goes through the device, which is where ranks exchange.
    """
    mesh, placements = tensor.device_mesh, list(tensor.placements)
    part = tensor.to_local()
    if part.device.type != mesh.device_type:
        shape, stride = tensor.shape, tensor.stride()
        part = part.to(mesh.device_type)
        tensor = DTensor.from_local(part, mesh, placements, run_check=False, shape=shape, stride=stride)
    for number in range(len(placements)):
        placements[number] = Replicate()
        tensor = tensor.redistribute(placements=placements)
    return tensor.to_local()


def _spread(value: Tensor, like: Tensor | None) -> Tensor:
    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    part = own_part(value, like).to(like.to_local().device, copy=True, memory_format=torch.contiguous_format)
    return DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
