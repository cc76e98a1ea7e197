"""What turns patches into tokens: projection, positions, class token, mask token.

Every parameter lives in a small module with a name of its own, so that it can be placed and split by rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.nn.box_positions import Boxes
from ucf_vit.nn.init import normal_
from ucf_vit.nn.positions import check_kind, sincos


class PatchEmbed(nn.Linear):
    """Patches `[B, L, C * p**d]` to tokens `[B, L, D]`.

    One matrix product over flattened patches: the same map as a convolution with kernel = stride = patch.
    """

    def forward(self, patches: Tensor, numbers: Sequence[int] | None = None) -> Tensor:
        """`numbers` of variables do not matter here; see `VariableEmbed`."""
        return super().forward(patches)


class Positions(nn.Module):
    """Adds a place to every token: a table `[L, D]` over a grid, learned or fixed sine–cosine.

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
        """Draw a learned table, compute a fixed one."""
        if isinstance(self.table, nn.Parameter):
            normal_(self.table, std=0.02)
        else:
            self.table.copy_(sincos(self.grid, self.table.shape[1]))

    def forward(self, tokens: Tensor, places: Tensor | None = None, *, boxes: Boxes | None = None) -> Tensor:
        """Tokens `[B, N, D]` of the cells `places` `[B, N]` (default: all L in order) to `[B, N, D]`.

        `boxes` does not matter here; see `BoxPositions`.
        """
        return tokens + (self.table if places is None else self.table[places])


class ClassToken(nn.Module):
    """Puts one learned token, which has no position, before all others."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(dim))

    def reset_parameters(self) -> None:
        """Draw the token."""
        normal_(self.token, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[B, L, D]` to `[B, 1 + L, D]`."""
        return torch.cat([self.token.to(tokens.dtype).expand(len(tokens), 1, -1), tokens], dim=1)


class SequencePositions(Positions):
    """A table over the sequences of all variables; a token's row is its place in that of its own."""

    def __init__(self, num_variables: int, length: int, dim: int, kind: str) -> None:
        super().__init__((num_variables * length,), dim, kind)
        self.length = length

    def forward(self, tokens: Tensor, places: Tensor | None = None, *, boxes: Boxes | None = None) -> Tensor:
        """As `Positions`, for the tokens of `boxes`, sequence by sequence; the variable is their channel."""
        if boxes is None:
            raise UserError("positions in sequences of variables need the patches that tokens are of")
        rows = boxes.channel * self.length
        rows = rows + torch.arange(len(rows), device=rows.device) % self.length
        return super().forward(tokens, rows[None] if places is None else rows[places])


class MaskToken(nn.Module):
    """Completes a grid of which some tokens are seen with one learned token for all others."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(dim))

    def reset_parameters(self) -> None:
        """Draw the token."""
        normal_(self.token, std=0.02)

    def forward(self, seen: Tensor, places: Tensor, num_tokens: int) -> Tensor:
        """Seen tokens `[B, N, D]` and the cells they belong to, `[B, N]`, to the whole grid `[B, L, D]`."""
        blank = self.token.to(seen.dtype).expand(len(seen), num_tokens, -1)
        return blank.scatter(1, places[..., None].expand_as(seen), seen)
