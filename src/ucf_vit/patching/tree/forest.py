"""Geometry of the trees of a tile: roots, levels and numbers of leaves, in integer arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from ucf_vit.core.errors import UserError


@dataclass(frozen=True)
class Forest:
    """Square or cubic roots of equal size that cover a tile; a node is split in halves along all axes.

    The side of a root is the largest `min_leaf * 2**depth` that divides all sides of the tile, so that a tile
    need not be a power of two: 48 x 32 with smallest leaves of 2 has 3 x 2 roots of side 16. Cells are the
    smallest leaves. Leaves are in Z-order (Morton 1966): roots in row-major order, and the children of a node
    in row-major order.

    Args:
        space: sides of the tile in pixels, 2 entries for images and 3 for volumes.
        min_leaf: side of the smallest leaf in pixels; divides every side of the tile.

    Raises UserError if the smallest leaf does not divide the tile.
    """

    space: tuple[int, ...]
    min_leaf: int = 2

    def __post_init__(self) -> None:
        if len(self.space) not in (2, 3):
            raise UserError(
                f"a tile has 2 sides (images) or 3 (volumes), not {len(self.space)}: {self.space}"
            )
        leaf = max(self.min_leaf, 1)
        if self.min_leaf < 1 or any(side < 1 or side % leaf for side in self.space):
            near = [leaf * max(1, round(side / leaf)) for side in self.space]
            raise UserError(
                f"the smallest leaf, {self.min_leaf} pixels a side, does not divide the tile "
                f"{list(self.space)}; take the tile {near} or another min_leaf"
            )

    @property
    def dims(self) -> int:
        """Number of axes d."""
        return len(self.space)

    @property
    def branches(self) -> int:
        """Number of children of a split node, 2**d."""
        return 2**self.dims

    @cached_property
    def depth(self) -> int:
        """Number of splits from a root to the smallest leaf."""
        cells = math.gcd(*self.space) // self.min_leaf
        return (cells & -cells).bit_length() - 1

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Side of a leaf in pixels by level, from a root (level 0) to the smallest leaf (level `depth`)."""
        return tuple(self.min_leaf * 2 ** (self.depth - level) for level in range(self.depth + 1))

    @property
    def root(self) -> int:
        """Side of a root in pixels."""
        return self.sizes[0]

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of roots along each axis."""
        return tuple(side // self.root for side in self.space)

    @property
    def num_roots(self) -> int:
        """Number of roots of the tile, R."""
        return math.prod(self.grid)

    @property
    def num_cells(self) -> int:
        """Number of cells, which is the largest number of leaves that the tile can have."""
        return self.num_roots * self.branches**self.depth

    @property
    def num_inner(self) -> int:
        """Number of nodes that can be split."""
        return (self.num_cells - self.num_roots) // (self.branches - 1)

    def first_node(self, level: int) -> int:
        """Returns the number of a level's first node; nodes are numbered level by level."""
        return self.num_roots * (self.branches**level - 1) // (self.branches - 1)

    def splits(self, length: int) -> int:
        """Returns the largest number of splits that give at most `length` leaves; each adds `2**d - 1`.

        Raises UserError if there are more than `length` roots.
        """
        if length < self.num_roots:
            raise UserError(
                f"the tile {list(self.space)} has {self.num_roots} roots of side {self.root} (min_leaf "
                f"{self.min_leaf}, doubled as often as all sides allow), more than {length} tokens; take "
                "sides that can be halved more often, another min_leaf, or more tokens"
            )
        return min((length - self.num_roots) // (self.branches - 1), self.num_inner)

    def reachable(self, length: int) -> int:
        """Returns the largest number of leaves, up to `length`, that the tile can have.

        Raises UserError if there are more than `length` roots.
        """
        return self.num_roots + self.splits(length) * (self.branches - 1)
