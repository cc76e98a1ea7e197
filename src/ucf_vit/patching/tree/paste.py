"""From tokens and their leaves back to images, and onto a regular grid."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tree.blocks import AT_ONCE, put_blocks, resample
from ucf_vit.patching.tree.cut import nearest_pixels, of_each_size
from ucf_vit.patching.tree.leaves import Leaves, z_order


def paste(tokens: Tensor, leaves: Leaves) -> Tensor:
    """Tokens `[B, T * L, K, *P]` to `[B, T * K, *S]`, tree by tree: logits, reconstructions, images.

    Larger leaves are interpolated linearly, smaller ones fitted by least squares, so that the tokens of an
    image give back the pixels of all leaves that are not larger than a patch. What no leaf covers becomes 0.
    """
    forest, patch, channels = leaves.forest, tokens.shape[3:], tokens.shape[2]
    flat = tokens.reshape(-1, channels, *patch)
    image = tokens.new_zeros(len(leaves.level), channels, *forest.space)
    for side, tree, leaf in _in_pieces(flat, leaves):
        blocks = resample(flat.index_select(0, tree * leaves.length + leaf), side, undo=True)
        put_blocks(image, tree, leaves.start[tree, leaf], blocks)
    return image.view(len(tokens), leaves.trees * channels, *forest.space)


def paste_labels(tokens: Tensor, leaves: Leaves) -> Tensor:
    """Class numbers `[B, T * L, *P]` to `[B, T, *S]`; every pixel gets the nearest of its leaf's token."""
    forest, patch = leaves.forest, tokens.shape[2:]
    flat = tokens.reshape(-1, *patch)
    image = tokens.new_zeros(len(leaves.level), 1, *forest.space)
    for side, tree, leaf in _in_pieces(flat[:, None], leaves):
        blocks = nearest_pixels(flat.index_select(0, tree * leaves.length + leaf), side)
        put_blocks(image, tree, leaves.start[tree, leaf], blocks[:, None])
    return image.view(len(tokens), leaves.trees, *forest.space)


def _in_pieces(tokens: Tensor, leaves: Leaves) -> Iterator[tuple[int, Tensor, Tensor]]:
    """As `of_each_size`, leaves of a size in pieces that stay in the cache, for tokens `[N * L, K, *P]`.

    With gradients they come whole: each write into the image has a backward pass over all of it.
    """
    whole = tokens.device.type != "cpu" or (tokens.requires_grad and torch.is_grad_enabled())
    for side, tree, leaf in of_each_size(leaves):
        largest = tokens.shape[1] * max(side, tokens.shape[-1]) ** leaves.forest.dims
        at_once = len(tree) if whole else max(1, AT_ONCE // largest)
        for trees, places in zip(tree.split(at_once), leaf.split(at_once), strict=True):
            yield side, trees, places


def place(features: Tensor, leaves: Leaves, side: int) -> Tensor:
    """Features of leaves `[B, T * L, D]` on the grid of cells of `side` pixels, `[B, *G, D]`.

    A cell within a leaf gets the leaf's features, a cell of several leaves their mean, and with several trees
    the mean over trees. What no leaf covers becomes 0. Raises UserError unless `side` divides the tile and is
    `min_leaf` times a power of two, so that leaves and cells never overlap in part.
    """
    forest = leaves.forest
    grid = _cells(leaves, side)
    level = forest.sizes.index(side)
    cells = torch.cartesian_prod(*(torch.arange(n, device=features.device) for n in grid))
    first = z_order(cells << (forest.depth - level), forest)
    flat = features.reshape(len(leaves.level), leaves.length, -1)
    around = torch.searchsorted(leaves.first, first.repeat(len(flat), 1), right=True).sub_(1).clamp_min_(0)
    large = leaves.level <= level if leaves.valid is None else (leaves.level <= level) & leaves.valid
    end = leaves.first + forest.branches ** (forest.depth - leaves.level)
    covered = large.gather(1, around) & (first < end.gather(1, around))
    placed = flat.gather(1, around[..., None].expand(-1, -1, flat.shape[-1])) * covered[..., None]
    share = (leaves.size / side) ** forest.dims * ~large
    cell = torch.zeros_like(leaves.level)
    for axis, count in enumerate(grid):
        cell = cell * count + leaves.start[..., axis] // side
    index = cell[..., None].expand_as(flat)
    placed = placed.scatter_add(1, index, flat * share[..., None].to(flat.dtype))
    return placed.view(-1, leaves.trees, *grid, flat.shape[-1]).mean(dim=1)


def _cells(leaves: Leaves, side: int) -> tuple[int, ...]:
    forest = leaves.forest
    if side not in forest.sizes:
        known = ", ".join(map(str, forest.sizes[::-1]))
        raise UserError(
            f"features of leaves can't be placed on cells of {side} pixels: the tile {list(forest.space)} "
            f"with min_leaf {forest.min_leaf} has leaves of {known}; take one of these as patch_size"
        )
    return tuple(n // side for n in forest.space)
