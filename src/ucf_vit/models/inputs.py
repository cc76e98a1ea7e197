"""How a network takes its input apart: into the patches of a regular grid, or as trees have cut it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.nn.box_positions import BoxPositions
from ucf_vit.nn.embed import Positions
from ucf_vit.patching.tree.paste import paste
from ucf_vit.patching.tree.patches import Patches
from ucf_vit.patching.uniform import PatchGrid


class Cut(NamedTuple):
    """What a network sees: flat patches `[B, L, patch_dim]`, and what trees say about them.

    `boxes` is where they lie, `valid` `[B, L]` bool which of them are there (None: all).
    """

    values: Tensor
    boxes: Patches | None = None
    valid: Tensor | None = None


@dataclass(frozen=True)
class GridInput:
    """Images cut into equal patches."""

    grid: PatchGrid

    @property
    def num_tokens(self) -> int:
        """L, the number of patches of one image."""
        return self.grid.num_tokens

    @property
    def patch_dim(self) -> int:
        """Values of one patch, `C * p**d`."""
        return self.grid.patch_dim

    def positions(self, dim: int, kind: str) -> Positions:
        """A table over the grid."""
        return Positions(self.grid.shape, dim, kind)

    def split(self, image: Tensor | Patches) -> Cut:
        """Image `[B, C, *S]` to patches; raises UserError if it has another shape than the model's."""
        if isinstance(image, Patches):
            raise UserError("the model was built without adaptive_patching; give it images, not Patches")
        return Cut(self.grid.split(image))

    def join(self, tokens: Tensor, patches: Patches | None = None) -> Tensor:
        """`[B, L, K * p**d]` to `[B, K, *S]`."""
        return self.grid.join(tokens)


@dataclass(frozen=True)
class TreeInput:
    """Images cut along trees with `length` leaves each: one for all channels, or one per channel.

    With `box_positions` a token's position is the centre and size of its leaf, otherwise its place in the
    sequence.
    """

    in_channels: int
    tile_size: tuple[int, ...]
    patch_size: int
    length: int
    separate_channels: bool
    box_positions: bool

    def __post_init__(self) -> None:
        if len(self.tile_size) not in (2, 3):
            raise UserError(f"tile_size {list(self.tile_size)} must have 2 entries (images) or 3 (volumes)")
        if self.length < 1:
            raise UserError(f"fixed_length {self.length}: an image needs at least one token")

    @property
    def trees(self) -> int:
        """T, trees per image."""
        return self.in_channels if self.separate_channels else 1

    @property
    def num_tokens(self) -> int:
        """Tokens of one image, `T * L`."""
        return self.trees * self.length

    @property
    def channels(self) -> int:
        """Channels of one token, `C / T`."""
        return self.in_channels // self.trees

    @property
    def pixels(self) -> tuple[int, ...]:
        """`P`, the shape of a patch in pixels."""
        return (self.patch_size,) * len(self.tile_size)

    @property
    def patch_dim(self) -> int:
        """Values of one patch, `C / T * p**d`."""
        return self.channels * math.prod(self.pixels)

    def positions(self, dim: int, kind: str) -> Positions | BoxPositions:
        """Positions of leaves, or a table over the sequence."""
        if self.box_positions:
            return BoxPositions(dim, kind, self.patch_size, self.trees)
        return Positions((self.num_tokens,), dim, kind)

    def split(self, patches: Tensor | Patches) -> Cut:
        """Patches as flat ones; raises UserError if they are others than those the model was built for."""
        if not isinstance(patches, Patches):
            raise UserError(
                "the model was built with adaptive_patching and got images; give it what an AdaptivePatcher "
                "makes of them"
            )
        expected = (self.num_tokens, self.channels, *self.pixels)
        got, leaves = tuple(patches.values.shape[1:]), patches.leaves
        if got != expected or leaves.trees != self.trees or leaves.forest.space != self.tile_size:
            raise UserError(
                f"the model was built for tiles {list(self.tile_size)}, each cut by {self.trees} trees into "
                f"patches [tokens, channels, *pixels] = {list(expected)}, and got tiles "
                f"{list(leaves.forest.space)} cut by {leaves.trees} trees into {list(got)}. Check tile_size, "
                "patch_size, fixed_length, separate_channels and in_channels (variables, single_channel)"
            )
        return Cut(patches.values.flatten(2), patches, patches.valid)

    def join(self, tokens: Tensor, patches: Patches | None = None) -> Tensor:
        """`[B, T * L, K * p**d]` pasted back where `patches` lie, `[B, T * K, *S]`."""
        if patches is None:
            raise UserError("tokens of adaptive patching can't be put back without the patches they are of")
        return paste(tokens.unflatten(2, (-1, *self.pixels)), patches.leaves)


def input_for(
    in_channels: int,
    tile_size: Sequence[int],
    patch_size: int,
    adaptive_patching: bool,
    fixed_length: int | None,
    separate_channels: bool,
    use_adaptive_pos_emb: bool,
) -> GridInput | TreeInput:
    """The input of a network with these options; UserError where they can't be."""
    if not adaptive_patching:
        return GridInput(PatchGrid(in_channels, tuple(tile_size), patch_size))
    if fixed_length is None:
        raise UserError("adaptive_patching needs fixed_length, the number of tokens per tree")
    return TreeInput(
        in_channels, tuple(tile_size), patch_size, fixed_length, separate_channels, use_adaptive_pos_emb
    )
