"""Pieces of tensors that ranks hold: their boxes within the whole tensors, and the ranks that write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zlib import crc32

from torch import Tensor
from torch.distributed.tensor import DTensor

from ucf_vit.parallel.dtensor_layout import local_box
from ucf_vit.parallel.ranks.world import World

WRITERS = 8
"""Most ranks that share the writing of tensors which all of them hold."""


@dataclass(frozen=True)
class TensorPiece:
    """Part of a whole tensor of `shape`, at `offsets`."""

    tensor: Tensor
    offsets: tuple[int, ...]
    shape: tuple[int, ...]


def pieces_to_write(tensors: Mapping[str, Tensor], world: World) -> dict[str, TensorPiece]:
    """Returns the pieces of `tensors` that this rank writes, by name; needs no communication.

    Each element is written by exactly one rank. Among ranks that hold the same piece, the name of the tensor
    determines which one writes it.
    """
    pieces = {}
    for name, tensor in tensors.items():
        if not _is_writer(name, tensor, world):
            continue
        part = tensor.detach()
        offsets = (0,) * tensor.ndim
        if isinstance(part, DTensor):
            offsets, _ = local_box(tuple(tensor.shape), part)
            part = part.to_local()
        if part.numel():
            pieces[name] = TensorPiece(part, offsets, tuple(tensor.shape))
    return pieces


def read_local_parts(
    like: Mapping[str, Tensor], read: Callable[[str, tuple[int, ...], tuple[int, ...]], Tensor]
) -> dict[str, Tensor]:
    """Returns tensors laid out as those in `like`; `read(name, offsets, sizes)` returns a box of a tensor."""
    parts = {}
    for name, tensor in like.items():
        shape = tuple(tensor.shape)
        if not isinstance(tensor, DTensor):
            parts[name] = read(name, (0,) * len(shape), shape)
            continue
        part = read(name, *local_box(shape, tensor)).to(tensor.to_local().device)
        parts[name] = DTensor.from_local(
            part,
            tensor.device_mesh,
            tensor.placements,
            run_check=False,
            shape=tensor.shape,
            stride=tensor.stride(),
        )
    return parts


def _is_writer(name: str, tensor: Tensor, world: World) -> bool:
    if world.mesh is None or not isinstance(tensor, DTensor):
        return world.rank == _writer(name, world.size)
    axes, placements = tensor.device_mesh.mesh_dim_names or (), tensor.placements
    split = {axis for axis, placement in zip(axes, placements, strict=True) if hasattr(placement, "dim")}
    return all(
        world.mesh.get_local_rank(axis) == _writer(name, world.mesh[axis].size())
        for axis in world.mesh.mesh_dim_names or ()
        if axis not in split
    )


def _writer(name: str, ranks: int) -> int:
    """Returns one of `WRITERS` ranks, which are spread evenly over all ranks and thus over nodes."""
    writers = min(ranks, WRITERS)
    return crc32(name.encode()) % writers * (ranks // writers)
