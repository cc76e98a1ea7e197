"""Leaves of a batch of trees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from ucf_vit.core.per_axis import product_of
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

    @property
    def counts(self) -> Tensor:
        """Number of valid leaves of each tree, `[N]` int64."""
        valid = torch.ones_like(self.level, dtype=torch.bool) if self.valid is None else self.valid
        return valid.sum(dim=1)

    @cached_property
    def levels(self) -> list[int]:
        """Levels that valid leaves have, in ascending order: the largest leaves first."""
        return (self.level if self.valid is None else self.level[self.valid]).unique().tolist()

    def sizes_in_words(self) -> str:
        """Returns the sides of the smallest and the largest leaf: `2 to 16`, `4 x 4 x 2 to 8 x 8 x 4`."""
        sides = [self.forest.sides[level] for level in dict.fromkeys((self.levels[-1], self.levels[0]))]
        return " to ".join(str(s[0]) if len(set(s)) == 1 else product_of(s) for s in sides)

    @cached_property
    def sides(self) -> Tensor:
        """Side of each leaf along each axis in pixels, `[N, L, d]` int64; 0 for invalid leaves."""
        sides = sides_of_levels(self.forest, self.level.device)[self.level]
        return sides if self.valid is None else sides * self.valid[..., None]

    @property
    def center(self) -> Tensor:
        """Centre of each leaf in pixels, `[N, L, d]` float32; the first pixel extends from 0 to 1."""
        return self.start + self.sides / 2

    @cached_property
    def first_cell(self) -> Tensor:
        """Z-order number of each leaf's first cell, `[N, L]` int64; `num_cells` for invalid leaves."""
        cell = sides_of_levels(self.forest, self.start.device)[-1]
        first = z_order(self.start // cell, self.forest)
        return first if self.valid is None else first.masked_fill(~self.valid, self.forest.num_cells)

    def to(self, device: torch.device | str) -> Leaves:
        """Returns the leaves on `device`."""
        return replace(
            self,
            start=self.start.to(device, non_blocking=True),
            level=self.level.to(device, non_blocking=True),
            valid=None if self.valid is None else self.valid.to(device, non_blocking=True),
        )


@lru_cache(maxsize=64)
def sides_of_levels(forest: Forest, device: torch.device) -> Tensor:
    """Returns `forest.sides`, `[depth + 1, d]` int64; the last are those of a cell."""
    return torch.tensor(forest.sides, device=device)


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
