"""Default tile, patch size and number of tokens for an image of given shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tree.forest import Forest

_MAX_CROP = 8
"""Reciprocal of the largest fraction of a side that may be cropped."""


def choose_tile(shape: Sequence[int], min_leaf: int, length: int | None = None) -> tuple[int, ...]:
    """Returns the tile within an image of sides `shape` that has large roots and crops little of the image.

    The side of roots is `min_leaf` times the largest power of two for which no side loses more than an
    eighth, or a larger one if there would be more than `length` roots. Raises UserError if the image is
    smaller than the smallest leaf.
    """
    if min_leaf < 1 or min(shape) < min_leaf:
        raise UserError(f"an image of {list(shape)} pixels has no leaf of {min_leaf} pixels a side")
    root = min_leaf
    while 2 * root <= min(shape):
        too_many = length is not None and math.prod(side // root for side in shape) > length
        if not too_many and any(_MAX_CROP * (side % (2 * root)) > side for side in shape):
            break
        root *= 2
    return tuple(side - side % root for side in shape)


def choose_patch_size(tile: Sequence[int]) -> int:
    """Returns a power of two up to 16 for images and 8 for volumes, smaller for small tiles."""
    largest, parts = (16, 32) if len(tile) == 2 else (8, 8)
    return min(largest, 1 << (max(2, min(tile) // parts).bit_length() - 1))


def choose_length(forest: Forest, patch_size: int) -> int:
    """Returns about a quarter of the number of uniform patches, but at least twice the number of roots."""
    uniform = math.prod(math.ceil(side / patch_size) for side in forest.space)
    return forest.reachable(max(uniform // 4, 2 * forest.num_roots))
