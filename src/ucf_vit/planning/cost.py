"""Cost of training on a data set: number of tiles x cost of a tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tiles import tile_axis

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Workload:
    """Tiles `[N]` of each file of data set `name`, and the cost of a tile, in tokens or in measured seconds.

    A batch holds one of `variables`: every tile is read that many times in a pass. Raises UserError for a
    data set without tiles or an invalid cost.
    """

    name: str
    tiles: Ints
    tile_cost: float = 1.0
    variables: int = 1

    def __post_init__(self) -> None:
        if not len(self.tiles) or self.tiles.min() < 1:
            raise UserError(f"{self.name}: nothing to plan; expected files with at least one tile each")
        if not (0 < self.tile_cost < float("inf")) or self.variables < 1:
            raise UserError(f"{self.name}: a tile costs {self.tile_cost}; expected a number above 0")

    @cached_property
    def total(self) -> int:
        """Number of tiles of all files."""
        return int(self.tiles.sum())

    @property
    def cost(self) -> float:
        """Cost of a tile with all its variables."""
        return self.tile_cost * self.variables

    def batches(self, tiles: int, batch_size: int) -> int:
        """Returns the number of batches for `tiles` tiles."""
        return self.variables * -(-tiles // batch_size)


def count_tiles(shapes: NDArray[np.integer], size: Sequence[int], overlap: float, use_all: bool) -> Ints:
    """Returns the number of tiles `[N]`, `len(Tiling(...))`, of images with sides `shapes` `[N, d]`.

    Each axis is computed once per distinct side, since sides repeat. Raises UserError if the shapes and
    `size` have different numbers of axes.
    """
    if shapes.ndim != 2 or shapes.shape[1] != len(size):
        raise UserError(f"sides {shapes.shape} can't be cut into tiles of {tuple(size)}")
    counts = np.ones(len(shapes), np.int64)
    for sides, tile in zip(shapes.T, size, strict=True):
        distinct, inverse = np.unique(sides, return_inverse=True)
        counts *= np.array([tile_axis(int(n), tile, overlap, use_all).count for n in distinct], np.int64)[
            inverse
        ]
    return counts
