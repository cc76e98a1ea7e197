"""The pieces of tensors that ranks hold: which box of the whole each is, and who writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zlib import crc32

from torch import Tensor
from torch.distributed.tensor import DTensor

from ucf_vit.parallel.dtensor_layout import own_box
from ucf_vit.parallel.ranks.world import World

WRITERS = 8
"""At most so many of the ranks that hold the same write."""


@dataclass(frozen=True)
class TensorPiece:
    """What lies from `offsets` on in a whole tensor of `shape`."""

    tensor: Tensor
    offsets: tuple[int, ...]
    shape: tuple[int, ...]


def pieces_to_write(tensors: Mapping[str, Tensor], world: World) -> dict[str, TensorPiece]:
    """This rank's share of `tensors`, by name: over all ranks each element is there once; no communication.

    Of ranks that hold the same, the name decides which one writes it.
    """
    pieces = {}
    for name, tensor in tensors.items():
        if not _is_writer(name, tensor, world):
            continue
        part = tensor.detach()
        offsets = (0,) * tensor.ndim
        if isinstance(part, DTensor):
            offsets, _ = own_box(tuple(tensor.shape), part)
            part = part.to_local()
        if part.numel():
            pieces[name] = TensorPiece(part, offsets, tuple(tensor.shape))
    return pieces


def own_parts(
    like: Mapping[str, Tensor], read: Callable[[str, tuple[int, ...], tuple[int, ...]], Tensor]
) -> dict[str, Tensor]:
    """Tensors laid out as those in `like`, of which `read(name, offsets, sizes)` gives this rank's boxes."""
    parts = {}
    for name, tensor in like.items():
        shape = tuple(tensor.shape)
        if not isinstance(tensor, DTensor):
            parts[name] = read(name, (0,) * len(shape), shape)
            continue
        part = read(name, *own_box(shape, tensor)).to(tensor.to_local().device)
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
        return world.rank == _chosen(name, world.size)
    axes, placements = tensor.device_mesh.mesh_dim_names or (), tensor.placements
    split = {axis for axis, placement in zip(axes, placements, strict=True) if hasattr(placement, "dim")}
    return all(
        world.mesh.get_local_rank(axis) == _chosen(name, world.mesh[axis].size())
        for axis in world.mesh.mesh_dim_names or ()
        if axis not in split
    )


def _chosen(name: str, ranks: int) -> int:
    """One of `WRITERS` ranks spread evenly over all, so over the nodes."""
    writers = min(ranks, WRITERS)
    return crc32(name.encode()) % writers * (ranks // writers)
