"""A tile, a patch and a number of tokens for an image of which nothing else is said."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tree.forest import Forest

_MOST_CUT = 8


def fitting_tile(shape: Sequence[int], min_leaf: int, length: int | None = None) -> tuple[int, ...]:
    """The tile within an image of sides `shape` that has the largest roots and leaves out little.

    Roots are `min_leaf` times a power of two, as large as they can be while no side loses more than an
    eighth, and larger where they would be more than `length`. Raises UserError if the image is smaller than
    the smallest leaf.
    """
    if min_leaf < 1 or min(shape) < min_leaf:
        raise UserError(f"an image of {list(shape)} pixels has no leaf of {min_leaf} pixels a side")
    root = min_leaf
    while 2 * root <= min(shape):
        many = length is not None and math.prod(side // root for side in shape) > length
        if not many and any(_MOST_CUT * (side % (2 * root)) > side for side in shape):
            break
        root *= 2
    return tuple(side - side % root for side in shape)


def usual_patch(tile: Sequence[int]) -> int:
    """A power of two up to 16 for images and 8 for volumes, smaller where the tile is small."""
    most, parts = (16, 32) if len(tile) == 2 else (8, 8)
    return min(most, 1 << (max(2, min(tile) // parts).bit_length() - 1))


def usual_length(forest: Forest, patch_size: int) -> int:
    """About a quarter of the uniform patches of `patch_size`, or twice the roots where that is more."""
    uniform = math.prod(math.ceil(side / patch_size) for side in forest.space)
    return forest.reachable(max(uniform // 4, 2 * forest.num_roots))
