"""Common part of the inputs of a network: channels and their names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ucf_vit.nn.embedding.embed import PatchEmbed
from ucf_vit.nn.embedding.variable_tokens import VariableEmbed
from ucf_vit.options import EncoderOptions, InputOptions
from ucf_vit.patching.tree.patches import Patches


class Cut(NamedTuple):
    """Flat patches `[B, L, patch_dim]` of a batch, and with adaptive patching the leaves that they are of.

    `boxes` says where the patches lie, `valid` `[B, L]` bool which of them are no padding (None: all).
    """

    values: Tensor
    boxes: Patches | None = None
    valid: Tensor | None = None


class NetworkInput(ABC):
    """Cuts a batch into patches, on a grid or along trees, and builds the embedding of these patches.

    With `options.variables`, images may have any of these variables as channels, in any order; `numbers`
    below are the indices of a batch's variables among all, None for a network whose channels have no names.
    """

    def __init__(self, options: InputOptions) -> None:
        self.in_channels = options.in_channels
        self.tile_size = options.tile
        self.patch_size = options.patch
        self.variables = options.variables

    @property
    @abstractmethod
    def channels(self) -> int:
        """Channels of one token."""

    @property
    @abstractmethod
    def patch_dim(self) -> int:
        """Values of one patch."""

    @property
    def token_has_one_variable(self) -> bool:
        """Whether each token is of one variable, so that there is nothing to aggregate."""
        return False

    def numbers(self, names: Sequence[str] | None) -> tuple[int, ...] | None:
        """Returns the indices of the variables `names`, see `VariableOptions.numbers`."""
        return None if self.variables is None else self.variables.numbers(names)

    def embed(self, encoder: EncoderOptions) -> nn.Module:
        """Returns the embedding of patches: of all channels together, or of each variable."""
        dim = encoder.embed_dim
        if self.variables is None:
            return PatchEmbed(self.patch_dim, dim)
        size, aggregate = self.patch_dim // self.channels, not self.token_has_one_variable
        return VariableEmbed(self.variables, size, dim, encoder.num_heads, aggregate)

    def outputs(self, numbers: Sequence[int] | None, device: torch.device) -> Tensor | None:
        """Returns which of the `patch_dim` predicted values belong to the batch's variables; None: all."""
        if self.token_has_one_variable or self._has_all_variables(numbers):
            return None
        size = self.patch_dim // self.channels
        first = torch.tensor(numbers, device=device)[:, None] * size
        return (first + torch.arange(size, device=device)).flatten()

    def all_channels(self, x: Tensor, numbers: Sequence[int] | None, axis: int) -> Tensor:
        """Returns `x` with the channels of all variables along `axis`, zeros for those the batch lacks.

        Absent variables then add nothing to a convolution over the channels.
        """
        if self.variables is None or self._has_all_variables(numbers):
            return x
        shape = list(x.shape)
        shape[axis] = len(self.variables)
        return x.new_zeros(shape).index_copy(axis, torch.tensor(numbers, device=x.device), x)

    def _has_all_variables(self, numbers: Sequence[int] | None) -> bool:
        return self.variables is None or numbers == self.variables.numbers(None)
