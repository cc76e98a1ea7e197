"""What turns patches into tokens: projection, positions, class token, mask token.

Every parameter lives in a small module with a name of its own, so that it can be placed and split by rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ucf_vit.nn.box_positions import Boxes
from ucf_vit.nn.init import normal_
from ucf_vit.nn.positions import check_kind, sincos


class PatchEmbed(nn.Linear):
    """Patches `[B, L, C * p**d]` to tokens `[B, L, D]`.

    One matrix product over flattened patches: the same map as a convolution with kernel = stride = patch.
    """


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


class MaskToken(nn.Module):
    """Completes a grid of which some tokens are seen with one learned token for all others."""

    def __init__(self, num_tokens: int, dim: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens
        self.token = nn.Parameter(torch.empty(dim))

    def reset_parameters(self) -> None:
        """Draw the token."""
        normal_(self.token, std=0.02)

    def forward(self, seen: Tensor, places: Tensor) -> Tensor:
        """Seen tokens `[B, N, D]` and the cells they belong to, `[B, N]`, to the whole grid `[B, L, D]`."""
        blank = self.token.to(seen.dtype).expand(len(seen), self.num_tokens, -1)
        return blank.scatter(1, places[..., None].expand_as(seen), seen)
