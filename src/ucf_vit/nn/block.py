"""Transformer block."""

from __future__ import annotations

from torch import Tensor, nn

from ucf_vit.nn.attention import Attention
from ucf_vit.nn.drop_path import DropPath
from ucf_vit.nn.mlp import Mlp
from ucf_vit.options import EncoderOptions


class Block(nn.Module):
    """Pre-norm transformer block, `[B, L, D]` to `[B, L, D]` (Dosovitskiy et al. 2021).

    `drop_path` is the probability that a sample skips a residual branch in training (Huang et al. 2016).
    """

    def __init__(self, options: EncoderOptions, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(options.embed_dim, eps=options.layer_norm_eps)
        self.attn = Attention(options)
        self.norm2 = nn.LayerNorm(options.embed_dim, eps=options.layer_norm_eps)
        self.mlp = Mlp(options)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, first: int | None = None, valid: Tensor | None = None) -> Tensor:
        """Adds attention, then the MLP, each to its input.

        With `first`, returns only the first `first` tokens, `[B, first, D]`. Attends to all tokens, or to the
        `valid` ones, `[B, L]` bool.
        """
        residual = x if first is None else x[:, :first]
        x = residual + self.drop_path(self.attn(self.norm1(x), first, valid))
        return x + self.drop_path(self.mlp(self.norm2(x)))
