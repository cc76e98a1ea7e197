"""One transformer block."""

from __future__ import annotations

from torch import Tensor, nn

from ucf_vit.core.rounding import part_of
from ucf_vit.nn.attention import Attention
from ucf_vit.nn.drop_path import DropPath
from ucf_vit.nn.mlp import Mlp


class Block(nn.Module):
    """Pre-norm transformer block, `[B, L, D]` to `[B, L, D]` (Dosovitskiy et al. 2021).

    `drop_path` is the chance that a sample skips a residual branch while training (Huang et al. 2016).
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float,
        dropout: float,
        drop_path: float,
        attention: str,
        norm_eps: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = Attention(dim, num_heads, dropout, attention)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = Mlp(dim, part_of(dim, mlp_ratio), dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, first: int | None = None, valid: Tensor | None = None) -> Tensor:
        """Mix tokens, then channels, each added to what came in.

        With `first`, only the first so many tokens come out, `[B, first, D]`; all are attended to, or those
        that are `valid`, `[B, L]` bool.
        """
        residual = x if first is None else x[:, :first]
        x = residual + self.drop_path(self.attn(self.norm1(x), first, valid))
        return x + self.drop_path(self.mlp(self.norm2(x)))
