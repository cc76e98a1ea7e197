"""Mesh of the ranks of a run, with the axes ddp, fsdp, seq and tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from math import prod

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from ucf_vit.parallel.encoder.token_group import Exchange, TokenGroup

AXES = ("ddp", "fsdp", "seq", "tensor")
"""Outermost axis first: neighbours along the last axis have consecutive ranks, so they share a node."""


@dataclass(frozen=True)
class MeshLayout:
    """Number of ranks along each axis; rank = ((ddp * F + fsdp) * S + seq) * T + tensor."""

    ddp: int = 1
    fsdp: int = 1
    seq: int = 1
    tensor: int = 1

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of ranks along each of `AXES`."""
        return (self.ddp, self.fsdp, self.seq, self.tensor)

    @property
    def size(self) -> int:
        """Number of ranks."""
        return prod(self.shape)

    @property
    def shard(self) -> int:
        """Number of ranks over which weights are sharded: those with other data or other tokens."""
        return self.fsdp * self.seq

    @property
    def is_simple(self) -> bool:
        """Whether every rank holds a whole model and a batch of its own, as in mode simple."""
        return self.size == self.ddp

    def coordinates(self, rank: int) -> dict[str, int]:
        """Returns the coordinate of a rank along each axis."""
        coordinates = {}
        for axis, count in zip(reversed(AXES), reversed(self.shape), strict=True):
            rank, coordinates[axis] = divmod(rank, count)
        return {axis: coordinates[axis] for axis in AXES}

    def groups(self, *axes: str) -> list[list[int]]:
        """Returns sets of ranks that differ only along `axes`, each in ascending order."""
        fixed = [range(1) if axis in axes else range(n) for axis, n in zip(AXES, self.shape, strict=True)]
        varied = [range(n) if axis in axes else range(1) for axis, n in zip(AXES, self.shape, strict=True)]
        return [
            [self._rank([a + b for a, b in zip(start, step, strict=True)]) for step in product(*varied)]
            for start in product(*fixed)
        ]

    def _rank(self, coordinates: list[int]) -> int:
        rank = 0
        for coordinate, count in zip(coordinates, self.shape, strict=True):
            rank = rank * count + coordinate
        return rank


def layout_from_degrees(degrees: Mapping[str, int]) -> MeshLayout:
    """Returns the layout for the four sizes of section `parallelism`, all of which must be known."""
    return MeshLayout(
        ddp=degrees["simple_ddp_size"],
        fsdp=degrees["fsdp_size"],
        seq=degrees["seq_par_size"],
        tensor=degrees["tensor_par_size"],
    )


def make_mesh(layout: MeshLayout, device: torch.device, patience: timedelta) -> DeviceMesh:
    """Returns a mesh of the process groups over which weights are split: ddp, shard and tensor; collective.

    Axis shard joins fsdp and seq, since weights are sharded both over ranks with other data and over ranks
    with other tokens of the same data. Collectives of each group time out after `patience`.
    """
    shape = (layout.ddp, layout.shard, layout.tensor)
    mesh = init_device_mesh(device.type, shape, mesh_dim_names=("ddp", "shard", "tensor"))
    for axis in range(3):  # otherwise the groups of a mesh keep the default of half an hour
        _set_timeout(patience, mesh.get_group(axis))
    return mesh


def make_token_group(layout: MeshLayout, patience: timedelta, attention: Exchange) -> TokenGroup | None:
    """Returns the group of this process along seq, None if seq has one rank; collective."""
    if layout.seq == 1:
        return None
    group, _ = dist.new_subgroups_by_enumeration(layout.groups("seq"), timeout=patience)
    return TokenGroup(group, attention)


def _set_timeout(patience: timedelta, group: dist.ProcessGroup) -> None:
    # Before torch 2.15 there is only a private function.
    if hasattr(dist, "set_timeout"):
        dist.set_timeout(patience, group)
    else:
        dist.distributed_c10d._set_pg_timeout(patience, group)
