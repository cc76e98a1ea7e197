"""Positions of the tiles of an image, computed one tile at a time without a list of all tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ucf_vit.core.errors import UserError
from ucf_vit.core.rounding import part_of


@dataclass(frozen=True)
class Axis:
    """Tiles along an axis of `length` voxels: tile k starts at `k * stride`, or earlier at the end."""

    length: int
    tile: int
    stride: int
    count: int

    def start(self, k: int) -> int:
        """Returns the first voxel of tile number `k`; a tile that would cross the border is moved inside."""
        return min(k * self.stride, max(self.length - self.tile, 0))


def tile_axis(length: int, tile: int, overlap: float, use_all: bool) -> Axis:
    """Returns the tiles that start at `range(0, length - tile + 1, tile - part_of(tile, overlap))`.

    With `use_all`, a remainder gets one more tile, which ends at the border. An axis shorter than the tile
    has one tile, which starts at 0. Raises UserError for lengths below 1 or an overlap outside [0, 1).
    """
    if length < 1 or tile < 1:
        raise UserError(
            f"an axis of {length} voxels can't be cut into tiles of {tile}: both must be at least 1"
        )
    if not 0 <= overlap < 1:
        raise UserError(f"tile overlap {overlap} is not a fraction of the tile: expected 0 <= overlap < 1")
    stride = max(tile - part_of(tile, overlap), 1)
    last_start = max(length - tile, 0)
    count = last_start // stride + 1
    if use_all and last_start % stride:
        count += 1
    return Axis(length, tile, stride, count)


class Tiling:
    """Tiles of one image of `shape` `[*S]`, numbered in row-major order of their starts.

    `overlap` is the fraction of a tile that its neighbour repeats; `use_all` adds tiles that end at the
    border if the regular ones leave a remainder. A size of 1 on the last axis gives the 2D slices of a
    volume.
    """

    def __init__(
        self, shape: Sequence[int], size: Sequence[int], overlap: float = 0.0, use_all: bool = False
    ):
        if len(shape) != len(size):
            raise UserError(f"an image of shape {tuple(shape)} can't be cut into tiles of {tuple(size)}")
        self.shape = tuple(shape)
        self.size = tuple(size)
        self.axes = tuple(tile_axis(n, t, overlap, use_all) for n, t in zip(shape, size, strict=True))
        self.counts = tuple(a.count for a in self.axes)

    def __len__(self) -> int:
        return math.prod(self.counts)

    @property
    def padded(self) -> bool:
        """Whether the image is smaller than a tile, so that the reader has to pad it."""
        return any(n < t for n, t in zip(self.shape, self.size, strict=True))

    def start(self, tile: int) -> tuple[int, ...]:
        """Returns the first voxel `[*S]` of tile number `tile`."""
        first: list[int] = []
        for a in reversed(self.axes):
            tile, k = divmod(tile, a.count)
            first.append(a.start(k))
        return tuple(reversed(first))

    def region(self, tile: int) -> tuple[slice, ...]:
        """Returns the voxels of tile number `tile`, without those outside an image smaller than a tile."""
        return tuple(
            slice(first, min(first + a.tile, a.length))
            for first, a in zip(self.start(tile), self.axes, strict=True)
        )

    def __repr__(self) -> str:
        return f"Tiling(shape={self.shape}, size={self.size}, counts={self.counts})"
