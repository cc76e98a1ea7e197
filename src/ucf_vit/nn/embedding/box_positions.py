"""Position embeddings of patches of any place and size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ucf_vit.nn.embedding.positions import check_kind, sincos_at
from ucf_vit.nn.init import normal_


class Boxes(Protocol):
    """Centre, sides and channel of N patches of each of B samples, in pixels."""

    @property
    def center(self) -> Tensor:
        """Centres, `[B, N, d]` float32; the first pixel spans 0 to 1."""

    @property
    def sides(self) -> Tensor:
        """Side of the patches along each axis, `[B, N, d]`; 0 for padding."""

    @property
    def channel(self) -> Tensor:
        """Channel of patches that have only one, `[N]` int64."""


class BoxPositions(nn.Module):
    """Adds embeddings of the centre, size and channel of its patch to every token.

    The centre is embedded by sines and cosines in units of `patch_size` (a side for each axis), so that a
    patch that is a cell of the regular grid gets the row that `Positions` has for it; with kind "learned"
    they pass through a Linear. Size and, if `channels` is above 1, channel have learned tables.
    Raises UserError if `kind` is neither "learned" nor "sincos".
    """

    def __init__(self, dim: int, kind: str, patch_size: Sequence[int], channels: int = 1) -> None:
        super().__init__()
        check_kind(kind)
        self.dim = dim
        self.patch_size = tuple(patch_size)
        self.size = SizeTable(dim)
        self.channel = RowTable(channels, dim) if channels > 1 else None
        self.linear = nn.Linear(dim, dim) if kind == "learned" else None

    def forward(self, tokens: Tensor, places: Tensor | None = None, *, boxes: Boxes) -> Tensor:
        """Tokens `[B, N, D]` of the boxes `places` `[B, N]` (None: all, in order) to `[B, N, D]`."""
        center, sides = boxes.center, boxes.sides
        channel = boxes.channel.expand(sides.shape[:2])
        if places is not None:
            per_axis = places[..., None].expand(-1, -1, len(self.patch_size))
            center, sides = center.gather(1, per_axis), sides.gather(1, per_axis)
            channel = channel.gather(1, places)
        rows = self.size(self._in_patches(sides))
        # Cell i of the grid has its centre at i + 0.5 patches and row i in the table of `Positions`.
        waves = sincos_at(self._in_patches(center) - 0.5, self.dim).to(rows.dtype)
        rows = rows + (waves if self.linear is None else self.linear(waves))
        return tokens + (rows if self.channel is None else rows + self.channel(channel))

    def _in_patches(self, lengths: Tensor) -> Tensor:
        """Returns lengths `[B, N, d]` in pixels as multiples of the patch's side along their axis."""
        # Numbers of Python rather than a tensor of sides, which would have to be copied to the device.
        along = zip(lengths.unbind(-1), self.patch_size, strict=True)
        return torch.stack([length / side for length, side in along], dim=-1)


class RowTable(nn.Module):
    """Learned table `[rows, D]`."""

    def __init__(self, rows: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(rows, dim))

    def reset_parameters(self) -> None:
        """Draws the table."""
        normal_(self.table, std=0.02)

    def forward(self, rows: Tensor) -> Tensor:
        """Row numbers `[...]` int64 to `[..., D]`."""
        return F.embedding(rows, self.table)


class SizeTable(RowTable):
    """Learned row for each doubling of the size, from 1 / 256 of a patch to 128 patches."""

    def __init__(self, dim: int) -> None:
        super().__init__(16, dim)

    def forward(self, sides: Tensor) -> Tensor:
        """Sides `[..., d]` in patches to `[..., D]`; the size is the geometric mean of the sides.

        Sizes outside the range get the nearest row.
        """
        return super().forward((sides.log2().mean(-1).round() + 8).clamp(0, 15).long())
