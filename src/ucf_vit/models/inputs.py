"""How a network takes its input apart: into the patches of a regular grid, or as trees have cut it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ucf_vit.core.errors import UserError
from ucf_vit.nn.box_positions import BoxPositions
from ucf_vit.nn.embed import PatchEmbed, Positions, SequencePositions
from ucf_vit.nn.variable_tokens import Kind, Partial, VariableEmbed, Variables
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
class Input(ABC):
    """What is the same for both: channels, which have names where `variables` are given.

    Then images come with any of these variables, in any order.
    """

    variables: Variables | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def channels(self) -> int:
        """Channels of one token."""

    @property
    @abstractmethod
    def patch_dim(self) -> int:
        """Values of one patch."""

    def numbers(self, names: Sequence[str] | None) -> tuple[int, ...] | None:
        """The variables of a batch as rows of parameters, see `Variables.numbers`; None without names."""
        return None if self.variables is None else self.variables.numbers(names)

    def embed(
        self, dim: int, num_heads: int, aggregation: Kind, group: int, partial: Partial
    ) -> PatchEmbed | VariableEmbed:
        """What makes tokens of patches: of all channels together, or of each variable apart."""
        if self.variables is None:
            return PatchEmbed(self.patch_dim, dim)
        size = self.patch_dim // self.channels
        kind = None if self.token_has_one_variable else aggregation
        return VariableEmbed(len(self.variables), size, dim, num_heads, kind, group, partial)

    @property
    def token_has_one_variable(self) -> bool:
        """Whether there are tokens for each variable, so that there is nothing to aggregate."""
        return False

    def outputs(self, numbers: Sequence[int] | None, device: torch.device) -> Tensor | None:
        """Of the `patch_dim` values that are predicted for a token, those of the batch; None: all."""
        if self.variables is None or self.token_has_one_variable or _is_all(numbers, self.variables):
            return None
        size = self.patch_dim // self.channels
        first = torch.tensor(numbers, device=device)[:, None] * size
        return (first + torch.arange(size, device=device)).flatten()

    def all_channels(self, x: Tensor, numbers: Sequence[int] | None, axis: int) -> Tensor:
        """Channels along `axis`, in the order of all variables, zeros for those that the batch has not.

        To a convolution over them, absent variables then add nothing.
        """
        if self.variables is None or _is_all(numbers, self.variables):
            return x
        shape = list(x.shape)
        shape[axis] = len(self.variables)
        return x.new_zeros(shape).index_copy(axis, torch.tensor(numbers, device=x.device), x)


def _is_all(numbers: Sequence[int] | None, variables: Variables) -> bool:
    return numbers == variables.numbers(None)


@dataclass(frozen=True)
class GridInput(Input):
    """Images cut into equal patches."""

    grid: PatchGrid

    @property
    def channels(self) -> int:
        """C, channels of one token."""
        return self.grid.in_channels

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

    def count(self, channels: int) -> int:
        """Tokens of an image, whatever its channels."""
        return self.num_tokens

    def shape(self, channels: int) -> tuple[int, ...]:
        """`(C, *S)`, an image of `channels`."""
        return (channels, *self.grid.tile_size)

    def split(self, image: Tensor | Patches, numbers: Sequence[int] | None = None) -> Cut:
        """Image `[B, C, *S]` to patches; raises UserError if it has another shape than the model's.

        `numbers`: the variables that its channels are.
        """
        if isinstance(image, Patches):
            raise UserError("the model was built without adaptive_patching; give it images, not Patches")
        return Cut(grid_for(self.grid, image, numbers).split(image))

    def join(self, tokens: Tensor, patches: Patches | None = None) -> Tensor:
        """`[B, L, K * p**d]` to `[B, K, *S]`."""
        return self.grid.join(tokens)


@dataclass(frozen=True)
class TreeInput(Input):
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

    def count(self, channels: int) -> int:
        """Tokens of an image of `channels`, of which a batch may have less than the model."""
        return (channels if self.separate_channels else 1) * self.length

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

    def shape(self, channels: int) -> tuple[int, ...]:
        """`(T * L, C / T, *P)`, the patches of an image of `channels`."""
        return (self.count(channels), 1 if self.separate_channels else channels, *self.pixels)

    @property
    def token_has_one_variable(self) -> bool:
        """True with a tree for each variable."""
        return self.separate_channels

    def positions(self, dim: int, kind: str) -> Positions | BoxPositions:
        """Positions of leaves, or a table over the sequence."""
        if self.box_positions:
            return BoxPositions(dim, kind, self.patch_size, self.trees)
        if self.variables is not None and self.separate_channels:
            return SequencePositions(self.trees, self.length, dim, kind)
        return Positions((self.num_tokens,), dim, kind)

    def split(self, patches: Tensor | Patches, numbers: Sequence[int] | None = None) -> Cut:
        """Patches as flat ones; raises UserError if they are others than those the model was built for.

        `numbers`: the variables that their channels are.
        """
        if not isinstance(patches, Patches):
            raise UserError(
                "the model was built with adaptive_patching and got images; give it what an AdaptivePatcher "
                "makes of them"
            )
        count = self.in_channels if numbers is None else len(numbers)
        trees, channels = (count, 1) if self.separate_channels else (1, count)
        expected = (trees * self.length, channels, *self.pixels)
        got, leaves = tuple(patches.values.shape[1:]), patches.leaves
        if got != expected or leaves.trees != trees or leaves.forest.space != self.tile_size:
            raise UserError(
                f"the model was built for tiles {list(self.tile_size)}, each cut by {trees} trees into "
                f"patches [tokens, channels, *pixels] = {list(expected)}, and got tiles "
                f"{list(leaves.forest.space)} cut by {leaves.trees} trees into {list(got)}. Check tile_size, "
                "patch_size, fixed_length, separate_channels and in_channels (variables, single_channel)"
            )
        if numbers is not None and self.separate_channels:
            patches = replace(patches, channel_numbers=torch.tensor(numbers, device=patches.values.device))
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
    variables: Variables | None,
) -> GridInput | TreeInput:
    """The input of a network with these options; UserError where they can't be."""
    if not adaptive_patching:
        return GridInput(PatchGrid(in_channels, tuple(tile_size), patch_size), variables=variables)
    if fixed_length is None:
        raise UserError("adaptive_patching needs fixed_length, the number of tokens per tree")
    return TreeInput(
        in_channels,
        tuple(tile_size),
        patch_size,
        fixed_length,
        separate_channels,
        use_adaptive_pos_emb,
        variables=variables,
    )


def named_channels(in_channels: int, use_varemb: bool, default_vars: Sequence[str]) -> Variables | None:
    """The variables of a network with these options; None where channels have no names.

    Raises UserError if there is not one for each of `in_channels`.
    """
    if not use_varemb:
        return None
    variables = Variables(tuple(default_vars))
    if len(variables) != in_channels:
        raise UserError(
            f"use_varemb: the model has {in_channels} channels and default_vars {len(variables)} names; "
            "expected a name for each"
        )
    return variables


def grid_for(grid: PatchGrid, image: Tensor, numbers: Sequence[int] | None) -> PatchGrid:
    """The grid of images of the variables `numbers`; raises UserError if they have other channels."""
    if numbers is None:
        return grid
    if image.ndim < 2 or image.shape[1] != len(numbers):
        raise UserError(
            f"{len(numbers)} variables are named for a batch of shape {list(image.shape)}; expected "
            f"[batch, {len(numbers)} channels, *{list(grid.tile_size)}], one channel for each variable"
        )
    return replace(grid, in_channels=len(numbers))
