"""Conversion between whole tensors and the parts of them that ranks hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate


def local_box(
    shape: tuple[int, ...], like: DTensor, axes: tuple[int, ...] = ()
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns offsets and sizes of this rank's part of a tensor of `shape` that is laid out as `like`.

    With `axes`, only splits along these axes of the tensor count. Tensor parallelism splits a tensor first
    and sharding splits the result, so the axes of the mesh are visited from last to first.
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


def local_part(whole: Tensor, like: DTensor, axes: tuple[int, ...] = ()) -> Tensor:
    """Returns this rank's part of a tensor that is laid out as `like`, as a view; see `local_box`."""
    for axis, (first, size) in enumerate(zip(*local_box(tuple(whole.shape), like, axes), strict=True)):
        whole = whole.narrow(axis, first, size)
    return whole


def gather_full_tensors(tree: Any, keep: bool) -> Any:
    """Returns nested dictionaries and lists with every DTensor gathered and on the CPU; collective.

    On ranks where `keep` is false an empty tensor takes its place, so that those that do not write hold only
    one whole tensor at a time.
    """
    if isinstance(tree, DTensor):
        whole = _full_tensor(tree.detach())
        return whole.cpu() if keep else torch.empty(0)
    if isinstance(tree, Mapping):
        return {key: gather_full_tensors(value, keep) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(gather_full_tensors(value, keep) for value in tree)
    return tree


def _full_tensor(tensor: DTensor) -> Tensor:
    """Returns `tensor` gathered along one axis of the mesh after the other.

    Sharding is undone first, in reverse order of the splits. A tensor in host memory is moved to the device,
    since that is where collectives run.
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
