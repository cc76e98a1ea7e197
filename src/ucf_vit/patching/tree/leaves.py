"""Leaves of a batch of trees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from ucf_vit.patching.tree.forest import Forest


@dataclass(frozen=True)
class Leaves:
    """L leaves in Z-order for each of N trees; N = B samples of T trees each, sample by sample.

    Args:
        forest: geometry of the trees.
        start: `[N, L, d]` int64, first pixel of each leaf.
        level: `[N, L]` int64, number of splits from the root to the leaf.
        valid: `[N, L]` bool, False for padding, which comes last and has start and level 0; None if there is
            no padding.
        trees: T.
    """

    forest: Forest
    start: Tensor
    level: Tensor
    valid: Tensor | None = None
    trees: int = 1

    @property
    def length(self) -> int:
        """L, number of leaves per tree."""
        return self.level.shape[1]

    @cached_property
    def size(self) -> Tensor:
        """Side of each leaf in pixels, `[N, L]` int64; 0 for invalid leaves."""
        size = torch.tensor(self.forest.sizes, device=self.level.device)[self.level]
        return size if self.valid is None else size * self.valid

    @property
    def center(self) -> Tensor:
        """Centre of each leaf in pixels, `[N, L, d]` float32; the first pixel extends from 0 to 1."""
        return self.start + self.size[..., None] / 2

    @cached_property
    def first_cell(self) -> Tensor:
        """Z-order number of each leaf's first cell, `[N, L]` int64; `num_cells` for invalid leaves."""
        first = z_order(self.start // self.forest.min_leaf, self.forest)
        return first if self.valid is None else first.masked_fill(~self.valid, self.forest.num_cells)

    def to(self, device: torch.device | str) -> Leaves:
        """Returns the leaves on `device`."""
        return replace(
            self,
            start=self.start.to(device, non_blocking=True),
            level=self.level.to(device, non_blocking=True),
            valid=None if self.valid is None else self.valid.to(device, non_blocking=True),
        )


def z_order(cells: Tensor, forest: Forest) -> Tensor:
    """Returns the Z-order numbers `[...]` int64 of cells with coordinates `[..., d]` int64."""
    number = torch.zeros_like(cells[..., 0])
    for axis, count in enumerate(forest.grid):
        number = number * count + (cells[..., axis] >> forest.depth)
    number <<= forest.dims * forest.depth
    spread = _spread_table(forest.dims, forest.depth, cells.device)
    for axis in range(forest.dims):
        number |= spread[cells[..., axis] & (2**forest.depth - 1)] << (forest.dims - 1 - axis)
    return number


@lru_cache(maxsize=64)
def _spread_table(dims: int, bits: int, device: torch.device) -> Tensor:
    """Returns all numbers of `bits` bits with bit k moved to bit `dims * k`, `[2**bits]` int64."""
    table = torch.zeros(1, dtype=torch.int64, device=device)
    for bit in range(bits):
        table = torch.cat([table, table + (1 << dims * bit)])
    return table
