"""From an image and its leaves to tokens: every leaf brought to the size of a patch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.patching.tree.blocks import AT_ONCE, halve, resample, take_blocks
from ucf_vit.patching.tree.leaves import Leaves


def cut(image: Tensor, leaves: Leaves, patch_size: int) -> Tensor:
    """Image `[B, C, *S]` to tokens `[B, T * L, C / T, *P]`; with one tree per channel, channel by channel.

    Larger leaves are averaged over areas, smaller ones interpolated linearly within the leaf. What is not
    valid becomes 0. All leaves of a level are cut at once, large ones from an image halved as often as leaves
    them `patch_size` a side or more. Raises UserError if the image is not of the forest's shape.
    """
    image = _checked(image, leaves)
    (rows, channels), dims = image.shape[:2], leaves.forest.dims
    patch = [patch_size] * dims
    empty = image.new_empty if leaves.valid is None else image.new_zeros
    tokens = empty(rows * leaves.length, channels * patch_size**dims)
    at_once = max(1, AT_ONCE // tokens.shape[1]) if image.device.type == "cpu" else len(tokens)
    halvings = 0
    for side, trees, places in of_each_size(leaves):
        while (side >> halvings) % (2 * patch_size) == 0:
            image = halve(image)
            halvings += 1
        for tree, leaf in zip(trees.split(at_once), places.split(at_once), strict=True):
            blocks = take_blocks(image, tree, leaves.start[tree, leaf] >> halvings, side >> halvings)
            tokens.index_copy_(0, tree * leaves.length + leaf, resample(blocks, patch_size).flatten(1))
    return tokens.view(-1, leaves.trees * leaves.length, channels, *patch)


def cut_labels(label: Tensor, leaves: Leaves, patch_size: int, num_classes: int) -> Tensor:
    """Class numbers `[B, *S]` to those of tokens, `[B, T * L, *P]`; what is not valid becomes 0.

    A pixel of a larger leaf's token gets the class that most of its pixels have (of several, the lowest);
    smaller leaves repeat theirs. Where the patch does not divide the leaf, the nearest pixel is taken.
    Expects classes 0 to `num_classes` - 1, as sources check when they read, and -1 of pixels to be ignored:
    these count in no majority, and a pixel of a token is one of them where no other is in it.
    """
    dims = leaves.forest.dims
    patch = [patch_size] * dims
    tokens = label.new_zeros(len(leaves.level) * leaves.length, patch_size**dims)
    for side, tree, leaf in of_each_size(leaves):
        blocks = take_blocks(label[:, None], tree // leaves.trees, leaves.start[tree, leaf], side)[:, 0]
        if side > patch_size and side % patch_size == 0:
            small = _majority(blocks, side // patch_size, num_classes)
        else:
            small = nearest_pixels(blocks, patch_size)
        tokens.index_copy_(0, tree * leaves.length + leaf, small.flatten(1))
    return tokens.view(len(label), leaves.trees * leaves.length, *patch)


def of_each_size(leaves: Leaves) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Side in pixels, and tree `[M]` and number `[M]` of the valid leaves that have it; smallest first."""
    level = leaves.level if leaves.valid is None else leaves.level.masked_fill(~leaves.valid, -1)
    counts = (level.flatten() + 1).bincount(minlength=leaves.forest.depth + 2).tolist()
    number = level.flatten().argsort(stable=True)
    trees, places = (number // leaves.length).split(counts), (number % leaves.length).split(counts)
    for side, tree, leaf in reversed(list(zip(leaves.forest.sizes, trees[1:], places[1:], strict=True))):
        if len(tree):
            yield side, tree, leaf


def nearest_pixels(blocks: Tensor, side: int) -> Tensor:
    """Blocks `[M, s, ...]` brought to `side` by taking the pixel whose centre is nearest."""
    before = blocks.shape[-1]
    picked = (torch.arange(side, device=blocks.device) * 2 + 1) * before // (2 * side)
    for axis in range(1, blocks.ndim):
        blocks = blocks.index_select(axis, picked)
    return blocks


def _majority(blocks: Tensor, factor: int, num_classes: int) -> Tensor:
    """Most frequent class in blocks of `factor` a side, `[M, s, ...]` to `[M, s / factor, ...]`; else -1."""
    axes = range(1, blocks.ndim)
    best = torch.full_like(blocks[(slice(None), *[slice(None, None, factor)] * len(axes))], -1)
    most = torch.zeros_like(best)
    for number in range(num_classes):
        count = (blocks == number).to(torch.int32)
        for axis in axes:
            count = count.unflatten(axis, (-1, factor)).sum(dim=axis + 1)
        better = count > most
        best, most = best.masked_fill(better, number), torch.where(better, count, most)
    return best


def _checked(image: Tensor, leaves: Leaves) -> Tensor:
    """The image as one row per tree, `[N, C / T, *S]` float."""
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
