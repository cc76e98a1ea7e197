"""Sides of the smallest leaf; default tile, patch size and number of tokens for an image of given shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import per_axis
from ucf_vit.patching.tree.forest import Forest, in_pixels

_MAX_CROP = 8
"""Reciprocal of the largest fraction of a side that may be cropped."""


def smallest_leaf(min_leaf: int | Sequence[int], patch: Sequence[int]) -> tuple[int, ...]:
    """Returns the sides of the smallest leaf of trees whose tokens have the sides `patch`.

    One number for `min_leaf` is the shortest side, and the others follow in the ratio of the patch: 2 with a
    patch of 16 x 16 x 8 gives leaves of 4 x 4 x 2, 8 x 8 x 4 and so on, each with the shape of a token.
    Raises UserError if sides would be fractions of a pixel, or if a list has not one side for each axis.
    """
    if not isinstance(min_leaf, int):
        return per_axis(min_leaf, len(patch), "min_leaf")
    if any(side * min_leaf % min(patch) for side in patch):
        ratio = [side // math.gcd(*patch) for side in patch]
        near = [side * max(1, round(min_leaf / min(ratio))) for side in ratio]
        raise UserError(
            f"min_leaf {min_leaf}: leaves in the ratio of patch_size {list(patch)} would have sides that are "
            f"no whole pixels; give a side for each axis, such as {near}"
        )
    return tuple(side * min_leaf // min(patch) for side in patch)


def choose_tile(
    shape: Sequence[int], min_leaf: int | Sequence[int], length: int | None = None
) -> tuple[int, ...]:
    """Returns the tile within an image of sides `shape` that has large roots and crops little of the image.

    The sides of roots are those of `min_leaf` times the largest power of two for which no side loses more
    than an eighth, or a larger one if there would be more than `length` roots. Raises UserError if the image
    is smaller than the smallest leaf.
    """
    root = per_axis(min_leaf, len(shape), "min_leaf")
    if min(root) < 1 or any(side < leaf for side, leaf in zip(shape, root, strict=True)):
        raise UserError(f"an image of {list(shape)} pixels has no leaf of {in_pixels(root)}")
    while all(2 * part <= side for side, part in zip(shape, root, strict=True)):
        pairs = list(zip(shape, root, strict=True))
        too_many = length is not None and math.prod(side // part for side, part in pairs) > length
        if not too_many and any(_MAX_CROP * (side % (2 * part)) > side for side, part in pairs):
            break
        root = tuple(2 * part for part in root)
    return tuple(side - side % part for side, part in zip(shape, root, strict=True))


def choose_patch_size(tile: Sequence[int], leaf: Sequence[int] = (1,)) -> tuple[int, ...]:
    """Returns a power of two up to 16 for images and 8 for volumes, smaller for small tiles.

    If the sides of a `leaf` differ, the patch has its shape, and the longest side is at most that power.
    """
    largest, parts = (16, 32) if len(tile) == 2 else (8, 8)
    side = min(largest, 1 << (max(2, min(tile) // parts).bit_length() - 1))
    if len(set(leaf)) == 1:
        return (side,) * len(tile)
    patch = tuple(leaf)
    while 2 * max(patch) <= side:
        patch = tuple(2 * part for part in patch)
    return patch


def choose_length(forest: Forest, patch_size: int | Sequence[int]) -> int:
    """Returns about a quarter of the number of uniform patches, but at least twice the number of roots."""
    patch = per_axis(patch_size, forest.dims, "patch_size")
    uniform = math.prod(math.ceil(side / p) for side, p in zip(forest.space, patch, strict=True))
    return forest.reachable(max(uniform // 4, 2 * forest.num_roots))
