"""Images and regular grids from tokens and their leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import compact, per_axis
from ucf_vit.patching.tree.blocks import CACHED_ELEMENTS, put_blocks, resample
from ucf_vit.patching.tree.cut import group_by_size, resample_nearest
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.leaves import Leaves, z_order


def paste(tokens: Tensor, leaves: Leaves) -> Tensor:
    """Returns maps `[B, T * K, *S]`, tree by tree, of tokens `[B, T * L, K, *P]`, such as logits or images.

    Larger leaves are interpolated linearly, smaller ones fitted by least squares, so that the tokens of an
    image restore the pixels of all leaves that are not larger than a patch. Pixels without a leaf are 0.
    """
    forest, patch, channels = leaves.forest, tokens.shape[3:], tokens.shape[2]
    flat = tokens.reshape(-1, channels, *patch)
    image = tokens.new_zeros(len(leaves.level), channels, *forest.space)
    for sides, tree, leaf in _split_into_chunks(flat, leaves):
        blocks = resample(flat.index_select(0, tree * leaves.length + leaf), sides, undo=True)
        put_blocks(image, tree, leaves.start[tree, leaf], blocks)
    return image.view(len(tokens), leaves.trees * channels, *forest.space)


def paste_labels(tokens: Tensor, leaves: Leaves) -> Tensor:
    """Returns labels `[B, T, *S]` for those of tokens, `[B, T * L, *P]`, by nearest neighbour."""
    forest, patch = leaves.forest, tokens.shape[2:]
    flat = tokens.reshape(-1, *patch)
    image = tokens.new_zeros(len(leaves.level), 1, *forest.space)
    for sides, tree, leaf in _split_into_chunks(flat[:, None], leaves):
        blocks = resample_nearest(flat.index_select(0, tree * leaves.length + leaf), sides)
        put_blocks(image, tree, leaves.start[tree, leaf], blocks[:, None])
    return image.view(len(tokens), leaves.trees, *forest.space)


def _split_into_chunks(tokens: Tensor, leaves: Leaves) -> Iterator[tuple[tuple[int, ...], Tensor, Tensor]]:
    """Yields the groups of `group_by_size` in chunks that stay in the cache, for tokens `[N * L, K, *P]`.

    With gradients the groups are not split, since each write into the image has a backward pass over all of
    it.
    """
    whole = tokens.device.type != "cpu" or (tokens.requires_grad and torch.is_grad_enabled())
    for sides, tree, leaf in group_by_size(leaves):
        largest = tokens.shape[1] * math.prod(map(max, sides, tokens.shape[2:]))
        chunk = len(tree) if whole else max(1, CACHED_ELEMENTS // largest)
        for trees, numbers in zip(tree.split(chunk), leaf.split(chunk), strict=True):
            yield sides, trees, numbers


def place_on_grid(features: Tensor, leaves: Leaves, box_size: int | Sequence[int]) -> Tensor:
    """Returns features of leaves `[B, T * L, D]` on a grid of boxes of sides `box_size`, `[B, *G, D]`.

    A box within a leaf gets the features of the leaf, a box of several leaves their mean weighted by area,
    and with several trees it gets the mean over trees. Boxes without a leaf are 0. Raises UserError unless
    the sides of a box divide the tile and are `min_leaf` times a power of two, so that leaves and boxes never
    overlap partly.
    """
    forest = leaves.forest
    sides = per_axis(box_size, forest.dims, "box_size")
    grid = _grid(forest, sides)
    level = forest.sides.index(sides)
    boxes = torch.cartesian_prod(*(torch.arange(n, device=features.device) for n in grid))
    first_cell = z_order(boxes << (forest.depth - level), forest)
    flat = features.reshape(len(leaves.level), leaves.length, -1)
    # Leaves as large as a box or larger: since leaves are sorted by their first cells, the leaf around a box
    # is the last one that begins at or before the first cell of the box, if it extends that far.
    queries = first_cell.repeat(len(flat), 1)
    around = torch.searchsorted(leaves.first_cell, queries, right=True).sub_(1).clamp_min_(0)
    is_large = leaves.level <= level if leaves.valid is None else (leaves.level <= level) & leaves.valid
    end_cell = leaves.first_cell + forest.branches ** (forest.depth - leaves.level)
    is_covered = is_large.gather(1, around) & (first_cell < end_cell.gather(1, around))
    placed = flat.gather(1, around[..., None].expand(-1, -1, flat.shape[-1])) * is_covered[..., None]
    # Smaller leaves: each adds its features to the box around it, weighted by its fraction of the box.
    fraction = leaves.sides.prod(dim=-1) / math.prod(sides) * ~is_large
    box = torch.zeros_like(leaves.level)
    for axis, (count, side) in enumerate(zip(grid, sides, strict=True)):
        box = box * count + leaves.start[..., axis] // side
    index = box[..., None].expand_as(flat)
    placed = placed.scatter_add(1, index, flat * fraction[..., None].to(flat.dtype))
    return placed.view(-1, leaves.trees, *grid, flat.shape[-1]).mean(dim=1)


def _grid(forest: Forest, sides: tuple[int, ...]) -> tuple[int, ...]:
    if sides not in forest.sides:
        known = ", ".join(str(compact(leaf)) for leaf in forest.sides[::-1])
        raise UserError(
            f"features of leaves can't be placed on cells of {compact(sides)} pixels: the tile "
            f"{list(forest.space)} with min_leaf {compact(forest.leaf)} has leaves of {known}; take one of "
            "these as patch_size"
        )
    return tuple(n // side for n, side in zip(forest.space, sides, strict=True))
