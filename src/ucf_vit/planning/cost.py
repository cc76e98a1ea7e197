"""What the files of a data set cost to train on: tiles x cost of a tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tiles import axis

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Work:
    """Data set `name`: `tiles` `[N]` of each file, and what a tile costs, in tokens or in measured seconds.

    Its batches hold one of `variables` at a time: every tile is read so many times in a pass.
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
        """Tiles of all files."""
        return int(self.tiles.sum())

    @property
    def cost(self) -> float:
        """Cost of a tile in a pass, all its variables together."""
        return self.tile_cost * self.variables

    def batches(self, tiles: int, batch_size: int) -> int:
        """Batches that `tiles` of them make."""
        return self.variables * -(-tiles // batch_size)


def count_tiles(shapes: NDArray[np.integer], size: Sequence[int], overlap: float, use_all: bool) -> Ints:
    """Tiles `[N]` of images whose sides are `shapes` `[N, d]`; what `len(Tiling(...))` says of each.

    Sides repeat, so each axis is worked out once per different side.
    """
    if shapes.ndim != 2 or shapes.shape[1] != len(size):
        raise UserError(f"sides {shapes.shape} can't be cut into tiles of {tuple(size)}")
    counts = np.ones(len(shapes), np.int64)
    for sides, tile in zip(shapes.T, size, strict=True):
        different, where = np.unique(sides, return_inverse=True)
        counts *= np.array([axis(int(n), tile, overlap, use_all).count for n in different], np.int64)[where]
    return counts
