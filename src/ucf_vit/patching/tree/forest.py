"""Geometry of the trees of a tile: roots, levels and numbers of leaves, in integer arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import compact, per_axis, product_of


def in_pixels(sides: Sequence[int]) -> str:
    """Returns sides in words: `4 pixels a side`, or `4 x 4 x 2 pixels` where they differ."""
    return f"{sides[0]} pixels a side" if len(set(sides)) == 1 else f"{product_of(sides)} pixels"


@dataclass(frozen=True)
class Forest:
    """Roots of equal size that cover a tile; a node is split in halves along all axes.

    A root has the sides `min_leaf * 2**depth`, with the largest depth for which they divide those of the tile
    along every axis, so that a tile need not be a power of two: 48 x 32 with smallest leaves of 2 has 3 x 2
    roots of side 16. All leaves have sides in the ratio of `min_leaf`. Cells are the smallest leaves. Leaves
    are in Z-order (Morton 1966): roots in row-major order, and the children of a node in row-major order.

    Args:
        space: sides of the tile in pixels, 2 entries for images and 3 for volumes.
        min_leaf: sides of the smallest leaf in pixels, which divide those of the tile; one number stands for
            all axes and becomes a tuple.

    Raises UserError if the smallest leaf does not divide the tile.
    """

    space: tuple[int, ...]
    min_leaf: int | Sequence[int] = 2

    def __post_init__(self) -> None:
        if len(self.space) not in (2, 3):
            raise UserError(
                f"a tile has 2 sides (images) or 3 (volumes), not {len(self.space)}: {self.space}"
            )
        leaf = per_axis(self.min_leaf, len(self.space), "min_leaf")
        object.__setattr__(self, "min_leaf", leaf)
        divisors = [max(side, 1) for side in leaf]
        if min(leaf) < 1 or any(side < 1 or side % n for side, n in zip(self.space, divisors, strict=True)):
            near = [n * max(1, round(side / n)) for side, n in zip(self.space, divisors, strict=True)]
            raise UserError(
                f"the smallest leaf, {in_pixels(leaf)}, does not divide the tile {list(self.space)}; take "
                f"the tile {near} or another min_leaf"
            )

    @property
    def dims(self) -> int:
        """Number of axes d."""
        return len(self.space)

    @property
    def branches(self) -> int:
        """Number of children of a split node, 2**d."""
        return 2**self.dims

    @property
    def leaf(self) -> tuple[int, ...]:
        """`min_leaf` as a tuple: sides of the smallest leaf, and of a cell, in pixels."""
        return per_axis(self.min_leaf, self.dims, "min_leaf")

    @cached_property
    def depth(self) -> int:
        """Number of splits from a root to the smallest leaf."""
        cells = math.gcd(*(side // leaf for side, leaf in zip(self.space, self.leaf, strict=True)))
        return (cells & -cells).bit_length() - 1

    @cached_property
    def sides(self) -> tuple[tuple[int, ...], ...]:
        """Sides of a leaf in pixels by level, from a root (level 0) to the smallest leaf (level `depth`)."""
        return tuple(
            tuple(side << (self.depth - level) for side in self.leaf) for level in range(self.depth + 1)
        )

    @property
    def root(self) -> tuple[int, ...]:
        """Sides of a root in pixels."""
        return self.sides[0]

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of roots along each axis."""
        return tuple(side // root for side, root in zip(self.space, self.root, strict=True))

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
                f"the tile {list(self.space)} has {self.num_roots} roots of side {compact(self.root)} "
                f"(min_leaf {compact(self.leaf)}, doubled as often as all sides allow), more than {length} "
                "tokens; take sides that can be halved more often, another min_leaf, or more tokens"
            )
        return min((length - self.num_roots) // (self.branches - 1), self.num_inner)

    def reachable(self, length: int) -> int:
        """Returns the largest number of leaves, up to `length`, that the tile can have.

        Raises UserError if there are more than `length` roots.
        """
        return self.num_roots + self.splits(length) * (self.branches - 1)
