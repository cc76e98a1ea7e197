"""How the ranks of a run form groups: a mesh with the axes ddp, fsdp, seq and tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from math import prod

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from ucf_vit.parallel.encoder.sequence import Exchange, TokenGroup

AXES = ("ddp", "fsdp", "seq", "tensor")
"""Outermost first: neighbours along the last axis are neighbouring ranks, so on the same node."""


@dataclass(frozen=True)
class MeshLayout:
    """Ranks along each axis; rank = ((ddp * F + fsdp) * S + seq) * T + tensor."""

    ddp: int = 1
    fsdp: int = 1
    seq: int = 1
    tensor: int = 1

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Ranks along `AXES`."""
        return (self.ddp, self.fsdp, self.seq, self.tensor)

    @property
    def size(self) -> int:
        """Number of ranks."""
        return prod(self.shape)

    @property
    def shard(self) -> int:
        """Over how many ranks weights are sharded: those with other data or other tokens."""
        return self.fsdp * self.seq

    @property
    def is_simple(self) -> bool:
        """Whether every rank holds a whole model and a batch of its own, as in mode simple."""
        return self.size == self.ddp

    def coordinates(self, rank: int) -> dict[str, int]:
        """Where a rank stands along each axis."""
        places = {}
        for axis, count in zip(reversed(AXES), reversed(self.shape), strict=True):
            rank, places[axis] = divmod(rank, count)
        return {axis: places[axis] for axis in AXES}

    def groups(self, *axes: str) -> list[list[int]]:
        """Sets of ranks that differ along `axes` alone, each in ascending order."""
        fixed = [range(1) if axis in axes else range(n) for axis, n in zip(AXES, self.shape, strict=True)]
        moving = [range(n) if axis in axes else range(1) for axis, n in zip(AXES, self.shape, strict=True)]
        return [
            [self._rank([a + b for a, b in zip(start, step, strict=True)]) for step in product(*moving)]
            for start in product(*fixed)
        ]

    def _rank(self, places: list[int]) -> int:
        rank = 0
        for place, count in zip(places, self.shape, strict=True):
            rank = rank * count + place
        return rank


def layout_of(degrees: Mapping[str, int]) -> MeshLayout:
    """The layout of the four sizes of section `parallelism`, all of them known."""
    return MeshLayout(
        ddp=degrees["simple_ddp_size"],
        fsdp=degrees["fsdp_size"],
        seq=degrees["seq_par_size"],
        tensor=degrees["tensor_par_size"],
    )


def make_mesh(layout: MeshLayout, device: torch.device, patience: timedelta) -> DeviceMesh:
    """Process groups of what weights are spread over: axes ddp, shard and tensor; collective.

    Weights are sharded over the ranks with other data and over those with other tokens of the same: shard is
    fsdp and seq together. Each group gives up on a lost process after `patience`.
    """
    shape = (layout.ddp, layout.shard, layout.tensor)
    mesh = init_device_mesh(device.type, shape, mesh_dim_names=("ddp", "shard", "tensor"))
    for axis in range(3):  # groups of a mesh would keep their half hour
        _set_timeout(patience, mesh.get_group(axis))
    return mesh


def make_token_group(layout: MeshLayout, patience: timedelta, attention: Exchange) -> TokenGroup | None:
    """This process's group along seq, None where that has one rank; collective."""
    if layout.seq == 1:
        return None
    group, _ = dist.new_subgroups_by_enumeration(layout.groups("seq"), timeout=patience)
    return TokenGroup(group, attention)


def _set_timeout(patience: timedelta, group: dist.ProcessGroup) -> None:
    """Before torch 2.15 there is a private function alone."""
    if hasattr(dist, "set_timeout"):
        dist.set_timeout(patience, group)
    else:
        dist.distributed_c10d._set_pg_timeout(patience, group)
