"""Tokens of an image along its leaves: every leaf is resampled to the size of a patch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import per_axis
from ucf_vit.patching.tree.blocks import CACHED_ELEMENTS, halve, resample, take_blocks
from ucf_vit.patching.tree.leaves import Leaves


def cut(image: Tensor, leaves: Leaves, patch_size: int | Sequence[int]) -> Tensor:
    """Returns tokens `[B, T * L, C / T, *P]` of images `[B, C, *S]`; with one tree per channel, by channel.

    `patch_size` is one number for all axes, or the side P along each.

    Larger leaves are averaged over areas, smaller ones interpolated linearly within the leaf. Tokens of
    invalid leaves are 0. All leaves of a level are cut at once; large ones come from an image that was halved
    as often as they stay at least as large as a patch. Raises UserError if the images do not have the shape
    of the forest.
    """
    image = _checked(image, leaves)
    (rows, channels), dims = image.shape[:2], leaves.forest.dims
    patch = per_axis(patch_size, dims, "patch_size")
    empty = image.new_empty if leaves.valid is None else image.new_zeros
    tokens = empty(rows * leaves.length, channels * math.prod(patch))
    chunk = max(1, CACHED_ELEMENTS // tokens.shape[1]) if image.device.type == "cpu" else len(tokens)
    halvings = 0
    for sides, tree_of, leaf_of in group_by_size(leaves):
        while all((side >> halvings) % (2 * p) == 0 for side, p in zip(sides, patch, strict=True)):
            image = halve(image)
            halvings += 1
        halved = [side >> halvings for side in sides]
        for tree, leaf in zip(tree_of.split(chunk), leaf_of.split(chunk), strict=True):
            blocks = take_blocks(image, tree, leaves.start[tree, leaf] >> halvings, halved)
            tokens.index_copy_(0, tree * leaves.length + leaf, resample(blocks, patch).flatten(1))
    return tokens.view(-1, leaves.trees * leaves.length, channels, *patch)


def cut_labels(label: Tensor, leaves: Leaves, patch_size: int | Sequence[int], num_classes: int) -> Tensor:
    """Returns the labels of tokens, `[B, T * L, *P]`, for labels `[B, *S]`; those of invalid leaves are 0.

    A pixel of a larger leaf's token gets the most frequent class of the pixels that it covers (the lowest of
    several); smaller leaves repeat their pixels. Along an axis where the patch does not divide the leaf, the
    nearest pixel is taken. Expects classes 0 to `num_classes` - 1, which sources check when they read, and -1
    for ignored pixels: these are not counted, and a pixel that covers no other is ignored.
    """
    dims = leaves.forest.dims
    patch = per_axis(patch_size, dims, "patch_size")
    tokens = label.new_zeros(len(leaves.level) * leaves.length, math.prod(patch))
    for sides, tree, leaf in group_by_size(leaves):
        blocks = take_blocks(label[:, None], tree // leaves.trees, leaves.start[tree, leaf], sides)[:, 0]
        factors = [1 if side % p else side // p for side, p in zip(sides, patch, strict=True)]
        if max(factors) > 1:
            blocks = _majority(blocks, factors, num_classes)
        patches = resample_nearest(blocks, patch)
        tokens.index_copy_(0, tree * leaves.length + leaf, patches.flatten(1))
    return tokens.view(len(label), leaves.trees * leaves.length, *patch)


def group_by_size(leaves: Leaves) -> Iterator[tuple[tuple[int, ...], Tensor, Tensor]]:
    """Yields the sides of leaves, smallest first, with tree `[M]` and number `[M]` of the valid ones."""
    level = leaves.level if leaves.valid is None else leaves.level.masked_fill(~leaves.valid, -1)
    counts = (level.flatten() + 1).bincount(minlength=leaves.forest.depth + 2).tolist()
    number = level.flatten().argsort(stable=True)
    tree_of, leaf_of = (number // leaves.length).split(counts), (number % leaves.length).split(counts)
    for sides, tree, leaf in reversed(list(zip(leaves.forest.sides, tree_of[1:], leaf_of[1:], strict=True))):
        if len(tree):
            yield sides, tree, leaf


def resample_nearest(blocks: Tensor, sides: Sequence[int]) -> Tensor:
    """Returns blocks `[M, *B]` as `[M, *sides]`, by taking the pixels whose centres are nearest."""
    for axis, side in enumerate(sides, start=1):
        before = blocks.shape[axis]
        if side != before:
            nearest = (torch.arange(side, device=blocks.device) * 2 + 1) * before // (2 * side)
            blocks = blocks.index_select(axis, nearest)
    return blocks


def _majority(blocks: Tensor, factors: Sequence[int], num_classes: int) -> Tensor:
    """Returns the most frequent class of the pixels in boxes of sides `factors`, or -1 if a box has none.

    `[M, *B]` to `[M, *(B / factors)]`.
    """
    best = torch.full_like(blocks[(slice(None), *(slice(None, None, factor) for factor in factors))], -1)
    best_count = torch.zeros_like(best)
    for number in range(num_classes):
        count = (blocks == number).to(torch.int32)
        for axis, factor in enumerate(factors, start=1):
            count = count.unflatten(axis, (-1, factor)).sum(dim=axis + 1)
        better = count > best_count
        best, best_count = best.masked_fill(better, number), torch.where(better, count, best_count)
    return best


def _checked(image: Tensor, leaves: Leaves) -> Tensor:
    """Returns images with one row per tree, `[N, C / T, *S]` float. Raises UserError for a wrong shape."""
    forest, trees = leaves.forest, leaves.trees
    if tuple(image.shape[2:]) != forest.space or len(image) * trees != len(leaves.level):
        raise UserError(
            f"{len(leaves.level)} trees, {trees} per image, do not fit images of shape {list(image.shape)}; "
            f"expected [{len(leaves.level) // trees}, channels, *{list(forest.space)}]"
        )
    if trees not in (1, image.shape[1]):
        raise UserError(
            f"{trees} trees per image, but {image.shape[1]} channels; expected one tree per channel"
        )
    image = image if image.is_floating_point() else image.float()
    return image.contiguous().view(-1, image.shape[1] // trees, *forest.space)
