"""Input of a network on adaptive patches, cut along trees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.models.network_input import Cut, NetworkInput
from ucf_vit.nn.embedding.box_positions import BoxPositions
from ucf_vit.nn.embedding.embed import Positions, SequencePositions
from ucf_vit.options import InputOptions
from ucf_vit.patching.tree.paste import paste
from ucf_vit.patching.tree.patches import Patches


class TreeInput(NetworkInput):
    """Images cut along trees with `length` leaves each: one tree for all channels, or one per channel.

    With `box_positions`, the position of a token is the centre and size of its leaf, otherwise its place in
    the sequence.
    """

    def __init__(self, options: InputOptions) -> None:
        super().__init__(options)
        if options.fixed_length is None:
            raise UserError("adaptive_patching needs fixed_length, the number of tokens per tree")
        self.length = options.fixed_length
        self.separate_channels = options.separate_channels
        self.box_positions = options.use_adaptive_pos_emb

    @property
    def trees(self) -> int:
        """T, trees per image."""
        return self.in_channels if self.separate_channels else 1

    @property
    def num_tokens(self) -> int:
        """Tokens of one image, `T * L`."""
        return self.trees * self.length

    def count(self, channels: int) -> int:
        """Returns the number of tokens of an image that has only `channels` of the network's."""
        return (channels if self.separate_channels else 1) * self.length

    @property
    def channels(self) -> int:
        """Channels of one token, `C / T`."""
        return self.in_channels // self.trees

    @property
    def patch_dim(self) -> int:
        """Values of one patch, `C / T * prod(P)`."""
        return self.channels * math.prod(self.patch_size)

    def shape(self, channels: int) -> tuple[int, ...]:
        """Returns `(T * L, C / T, *P)`, the shape of the patches of an image with `channels`."""
        return (self.count(channels), 1 if self.separate_channels else channels, *self.patch_size)

    @property
    def token_has_one_variable(self) -> bool:
        """True with one tree per variable."""
        return self.separate_channels

    def positions(self, dim: int, kind: str) -> Positions | BoxPositions:
        """Returns the positions of leaves, or a table over the sequence."""
        if self.box_positions:
            return BoxPositions(dim, kind, self.patch_size, self.trees)
        if self.variables is not None and self.separate_channels:
            return SequencePositions(self.trees, self.length, dim, kind)
        return Positions((self.num_tokens,), dim, kind)

    def split(self, patches: Tensor | Patches, numbers: Sequence[int] | None = None) -> Cut:
        """Flattens patches, whose channels are the variables `numbers`.

        Raises UserError if they are not the patches that the network was built for.
        """
        if not isinstance(patches, Patches):
            raise UserError(
                "the model was built with adaptive_patching and got images; give it what an AdaptivePatcher "
                "makes of them"
            )
        self._check(patches, numbers)
        if numbers is not None and self.separate_channels:
            patches = replace(patches, channel_numbers=torch.tensor(numbers, device=patches.values.device))
        return Cut(patches.values.flatten(2), patches, patches.valid)

    def join(self, tokens: Tensor, patches: Patches | None = None) -> Tensor:
        """Pastes tokens `[B, T * L, K * prod(P)]` back where `patches` lie, `[B, T * K, *S]`."""
        if patches is None:
            raise UserError("tokens of adaptive patching can't be put back without the patches they are of")
        return paste(tokens.unflatten(2, (-1, *self.patch_size)), patches.leaves)

    def _check(self, patches: Patches, numbers: Sequence[int] | None) -> None:
        count = self.in_channels if numbers is None else len(numbers)
        trees, expected = count if self.separate_channels else 1, self.shape(count)
        got, leaves = tuple(patches.values.shape[1:]), patches.leaves
        if got != expected or leaves.trees != trees or leaves.forest.space != self.tile_size:
            raise UserError(
                f"the model was built for tiles {list(self.tile_size)}, each cut by {trees} trees into "
                f"patches [tokens, channels, *pixels] = {list(expected)}, and got tiles "
                f"{list(leaves.forest.space)} cut by {leaves.trees} trees into {list(got)}. Check tile_size, "
                "patch_size, fixed_length, separate_channels and in_channels (variables, single_channel)"
            )
