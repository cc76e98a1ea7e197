"""Input of models with adaptive patching: tokens and their leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ucf_vit.patching.tree.leaves import Leaves


@dataclass(frozen=True)
class Patches:
    """Tokens of B images and the leaves that they were cut from.

    Args:
        values: `[B, T * L, C / T, *P]`, L tokens of all C channels from one tree, or with one tree per
        channel
            (T = C) the tokens of the first channel, then those of the second, and so on.
        leaves: leaves of the B * T trees.
        channel_numbers: `[T]` int64, numbers of the channels that the trees belong to; None for 0 to T - 1.
    """

    values: Tensor
    leaves: Leaves
    channel_numbers: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def valid(self) -> Tensor | None:
        """Mask of valid tokens, `[B, T * L]` bool; None if all are valid."""
        return None if self.leaves.valid is None else self.leaves.valid.view(len(self), -1)

    @property
    def center(self) -> Tensor:
        """Centre of each token in pixels of the tile, `[B, T * L, d]` float32."""
        return self.leaves.center.view(len(self), -1, self.leaves.forest.dims)

    @property
    def sides(self) -> Tensor:
        """Sides of the leaf of each token in pixels, `[B, T * L, d]` int64; 0 for invalid tokens."""
        return self.leaves.sides.view(len(self), -1, self.leaves.forest.dims)

    @property
    def channel(self) -> Tensor:
        """Channel number of each token if every channel has its own tree, otherwise 0; `[T * L]` int64."""
        numbers = self.channel_numbers
        if numbers is None:
            numbers = torch.arange(self.leaves.trees, device=self.values.device)
        return numbers.repeat_interleave(self.leaves.length)

    def to(self, device: torch.device | str) -> Patches:
        """Returns the patches on `device`."""
        numbers = None if self.channel_numbers is None else self.channel_numbers.to(device)
        values = self.values.to(device, non_blocking=True)
        return replace(self, values=values, leaves=self.leaves.to(device), channel_numbers=numbers)
