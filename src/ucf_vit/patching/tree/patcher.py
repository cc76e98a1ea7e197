"""Adaptive patcher for a batch of images: detail, trees, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.core.per_axis import per_axis
from ucf_vit.patching.detail.resolve import resolve_detail
from ucf_vit.patching.tree.choose import smallest_leaf
from ucf_vit.patching.tree.cut import cut
from ucf_vit.patching.tree.forest import Forest
from ucf_vit.patching.tree.grow import grow_trees, grow_trees_and_drop
from ucf_vit.patching.tree.leaves import Leaves
from ucf_vit.patching.tree.patches import Patches


class AdaptivePatcher:
    """Patcher of images or volumes into `fixed_length` tokens by their detail (Zhang et al. 2024).

    Args:
        tile_size: sides of an image in pixels, 2 entries for images and 3 for volumes.
        patch_size: side of a token in pixels along each axis; one number stands for all axes.
        fixed_length: L, tokens per tree.
        min_leaf: sides of the smallest leaf in pixels; one number is its shortest side, and the leaf has the
            shape of a token, see `smallest_leaf`.
        split_rule: "length" splits the leaf with most detail until there are L; "threshold" splits leaves
            with more detail than `split_threshold` and pads to L with invalid leaves.
        split_threshold: sum of detail over a leaf: number of edge pixels for canny; for the unit of others
            see the detail.
        split_overflow: action of the threshold rule if it would make more than L leaves. "coarsen" splits
            those with most detail until there are L; "drop" drops leaves at random, as published.
        separate_channels: one tree per channel, each token of one channel.
        detail, detail_smoothing, canny_low, canny_high: see `resolve_detail`.

    A tree has `Forest.reachable(fixed_length)` leaves and is padded to L with invalid ones (a config accepts
    only lengths that need no padding). Raises UserError if there are more than L roots, if the smallest leaf
    does not divide the tile, if sides are not one for each axis, or for an invalid option of the detail.
    """

    def __init__(
        self,
        *,
        tile_size: Sequence[int],
        patch_size: int | Sequence[int],
        fixed_length: int,
        min_leaf: int | Sequence[int] = 2,
        split_rule: Literal["length", "threshold"] = "length",
        split_threshold: float = 0.0,
        split_overflow: Literal["coarsen", "drop"] = "coarsen",
        separate_channels: bool = False,
        detail: str = "auto",
        detail_smoothing: Sequence[int] | None = None,
        canny_low: Sequence[float] = (50.0,),
        canny_high: Sequence[float] = (150.0,),
    ) -> None:
        self.patch_size = per_axis(patch_size, len(tile_size), "patch_size")
        self.forest = Forest(tuple(tile_size), smallest_leaf(min_leaf, self.patch_size))
        self.forest.splits(fixed_length)
        self.length = fixed_length
        self.threshold = split_threshold if split_rule == "threshold" else None
        self.drops = split_overflow == "drop"
        self.separate_channels = separate_channels
        options = {"smoothing": detail_smoothing, "canny_low": canny_low, "canny_high": canny_high}
        self.detail = resolve_detail(detail, self.forest.dims, options)

    @property
    def all_valid(self) -> bool:
        """Whether every tree has `length` valid leaves for any image, so that no mask is needed."""
        return self.threshold is None and self.forest.reachable(self.length) == self.length

    @property
    def detail_name(self) -> str:
        """How a person calls the detail."""
        return getattr(self.detail, "name", type(self.detail).__name__.lower())

    def __call__(self, image: Tensor, keys: Tensor | None = None) -> Patches:
        """Returns the patches of images `[B, C, *S]`; see `grow` for `keys` `[B]` and errors."""
        return self.cut(image, self.grow(image, keys))

    @torch.no_grad()
    def grow(self, image: Tensor, keys: Tensor | None = None) -> Leaves:
        """Returns the leaves of images `[B, C, *S]`, on their device.

        Everything random is a function of `keys` `[B]`; without keys, as in evaluation, random options have
        their middle value. Raises UserError if there is no image, or if the images do not have the size of
        the tile.
        """
        return self.grow_on(self.detail_of(image, keys), keys)

    @torch.no_grad()
    def detail_of(self, image: Tensor, keys: Tensor | None = None) -> Tensor:
        """The map of detail `[B, T, *S]` that trees of images `[B, C, *S]` grow on; see `grow`."""
        self._check(image)
        return self.detail(image, keys, self.separate_channels)

    @torch.no_grad()
    def grow_on(self, detail: Tensor, keys: Tensor | None = None) -> Leaves:
        """Leaves of images whose map of detail is `[B, T, *S]`; see `grow`."""
        trees = detail.shape[1]
        detail = detail.flatten(0, 1)
        if self.threshold is None or not self.drops:
            leaves = grow_trees(detail, self.forest, self.length, self.threshold)
        else:
            tree_keys = None if keys is None else keys.repeat_interleave(trees)
            leaves = grow_trees_and_drop(detail, self.forest, self.length, self.threshold, tree_keys)
        return replace(leaves, trees=trees)

    def cut(self, image: Tensor, leaves: Leaves) -> Patches:
        """Returns the patches of images `[B, C, *S]` along leaves from `grow`."""
        return Patches(cut(image, leaves, self.patch_size), leaves)

    def _check(self, image: Tensor) -> None:
        space = list(self.forest.space)
        if list(image.shape[2:]) != space or not len(image):
            raise UserError(
                f"adaptive patching is set up for tiles {space} and got images of shape {list(image.shape)}, "
                f"not [batch >= 1, channels, *{space}]: check tile_size"
            )
