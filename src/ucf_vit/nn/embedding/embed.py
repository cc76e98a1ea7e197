"""From patches to tokens: projection, positions, class token, mask token.

Every parameter is in a small module of its own, so that parallel rules can place and split it by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.nn.embedding.box_positions import Boxes
from ucf_vit.nn.embedding.positions import check_kind, sincos
from ucf_vit.nn.init import normal_


class PatchEmbed(nn.Linear):
    """Patches `[B, L, C * prod(P)]` to tokens `[B, L, D]`.

    A matrix product over flattened patches, the same map as a convolution with kernel = stride = patch.
    """

    def forward(self, patches: Tensor, numbers: Sequence[int] | None = None) -> Tensor:
        """Embeds patches; `numbers` is accepted for the interface of `VariableEmbed` and has no effect."""
        return super().forward(patches)


class Positions(nn.Module):
    """Adds a position embedding to every token: a table `[L, D]` over a grid, learned or sine–cosine.

    Raises UserError if `kind` is neither "learned" nor "sincos".
    """

    table: Tensor

    def __init__(self, grid: Sequence[int], dim: int, kind: str) -> None:
        super().__init__()
        check_kind(kind)
        self.grid = tuple(grid)
        table = torch.empty(math.prod(grid), dim)
        if kind == "learned":
            self.table = nn.Parameter(table)
        else:
            self.register_buffer("table", table)

    def reset_parameters(self) -> None:
        """Draws a learned table, or computes the fixed one."""
        if isinstance(self.table, nn.Parameter):
            normal_(self.table, std=0.02)
        else:
            self.table.copy_(sincos(self.grid, self.table.shape[1]))

    def forward(self, tokens: Tensor, places: Tensor | None = None, *, boxes: Boxes | None = None) -> Tensor:
        """Tokens `[B, N, D]` of the cells `places` `[B, N]` (None: all L, in order) to `[B, N, D]`.

        `boxes` is accepted for the interface of `BoxPositions` and has no effect.
        """
        return tokens + (self.table if places is None else self.table[places])


class ClassToken(nn.Module):
    """Puts a learned token, which has no position, before all others."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(dim))

    def reset_parameters(self) -> None:
        """Draws the token."""
        normal_(self.token, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[B, L, D]` to `[B, 1 + L, D]`."""
        return torch.cat([self.token.to(tokens.dtype).expand(tokens.shape[0], 1, -1), tokens], dim=1)


class SequencePositions(Positions):
    """Position table over the sequences of all variables, `[V * length, D]`."""

    def __init__(self, num_variables: int, length: int, dim: int, kind: str) -> None:
        super().__init__((num_variables * length,), dim, kind)
        self.length = length

    def forward(self, tokens: Tensor, places: Tensor | None = None, *, boxes: Boxes | None = None) -> Tensor:
        """Same as `Positions`; the channel of each of the `boxes` says which variable's rows apply."""
        if boxes is None:
            raise UserError("positions in sequences of variables need the patches that tokens are of")
        rows = boxes.channel * self.length
        rows = rows + torch.arange(len(rows), device=rows.device) % self.length
        return super().forward(tokens, rows[None] if places is None else rows[places])


class MaskToken(nn.Module):
    """Fills the places of missing tokens with a learned token."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(dim))

    def reset_parameters(self) -> None:
        """Draws the token."""
        normal_(self.token, std=0.02)

    def forward(self, tokens: Tensor, places: Tensor, num_tokens: int) -> Tensor:
        """Tokens `[B, N, D]` of the cells `places` `[B, N]` to all L cells, `[B, L, D]`."""
        blank = self.token.to(tokens.dtype).expand(tokens.shape[0], num_tokens, -1)
        return blank.scatter(1, places[..., None].expand_as(tokens), tokens)
