"""What models take in place of an image with adaptive patching."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ucf_vit.patching.tree.leaves import Leaves


@dataclass(frozen=True)
class Patches:
    """Tokens of B images and where they come from.

    `values` is `[B, T * L, C / T, *P]`: L tokens of all C channels from one tree, or with one tree per
    channel (T = C) the tokens of the first channel, then those of the second, and so on. `numbers` `[T]`
    int64 says which channels these are; None: 0 to T - 1.
    """

    values: Tensor
    leaves: Leaves
    numbers: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def valid(self) -> Tensor | None:
        """Which tokens are there, `[B, T * L]` bool; None: all."""
        return None if self.leaves.valid is None else self.leaves.valid.view(len(self), -1)

    @property
    def center(self) -> Tensor:
        """Centre of each token in pixels of the tile, `[B, T * L, d]` float32."""
        return self.leaves.center.view(len(self), -1, self.leaves.forest.dims)

    @property
    def size(self) -> Tensor:
        """Side in pixels of the leaf of each token, `[B, T * L]` int64; 0 where there is none."""
        return self.leaves.size.view(len(self), -1)

    @property
    def channel(self) -> Tensor:
        """Number of each token's channel where each has a tree of its own, else 0; `[T * L]` int64."""
        trees = self.numbers
        if trees is None:
            trees = torch.arange(self.leaves.trees, device=self.values.device)
        return trees.repeat_interleave(self.leaves.length)

    def to(self, device: torch.device | str) -> Patches:
        """The same patches on `device`."""
        numbers = None if self.numbers is None else self.numbers.to(device)
        values = self.values.to(device, non_blocking=True)
        return replace(self, values=values, leaves=self.leaves.to(device), numbers=numbers)
