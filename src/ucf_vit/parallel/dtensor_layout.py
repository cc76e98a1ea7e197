"""Between whole tensors and the parts of them that ranks hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate


def own_box(
    shape: tuple[int, ...], like: DTensor, axes: tuple[int, ...] = ()
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Offsets and sizes of what this rank holds of a tensor of `shape` that is laid out as `like`.

    With `axes`, split along these axes of the tensor alone. Tensor parallelism splits first, and sharding
    then splits what that leaves: so the mesh is gone through from the last axis on.
    """
    mesh = like.device_mesh
    offsets, sizes = [0] * len(shape), list(shape)
    for number in reversed(range(mesh.ndim)):
        axis = getattr(like.placements[number], "dim", None)
        if axis is not None and (not axes or axis in axes):
            step = -(-sizes[axis] // mesh.size(number))
            first = min(step * mesh.get_local_rank(number), sizes[axis])
            offsets[axis] += first
            sizes[axis] = min(step, sizes[axis] - first)
    return tuple(offsets), tuple(sizes)


def own_part(whole: Tensor, like: DTensor, axes: tuple[int, ...] = ()) -> Tensor:
    """What this rank holds of a tensor that is laid out as `like`, a view; see `own_box`."""
    for axis, (first, size) in enumerate(zip(*own_box(tuple(whole.shape), like, axes), strict=True)):
        whole = whole.narrow(axis, first, size)
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
