"""Multi-head self-attention."""

from __future__ import annotations

from torch import Tensor, nn

from ucf_vit.nn.attention_backends import BACKENDS, attend
from ucf_vit.options import EncoderOptions


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017), `[B, L, D]` to `[B, L, D]`.

    q, k and v are separate Linears, so that each can be split over heads.
    In training, dropout is applied to the attention weights and to the output.
    Raises UserError if the heads do not divide the width or the backend is unknown.
    """

    def __init__(self, options: EncoderOptions) -> None:
        super().__init__()
        dim = options.embed_dim
        BACKENDS[options.attention]
        self.head_dim = options.head_width
        inner = self.head_dim * options.num_heads
        self.dropout = options.drop_rate
        self.backend = options.attention
        self.q = nn.Linear(dim, inner, bias=options.qkv_bias)
        self.k = nn.Linear(dim, inner, bias=options.qkv_bias)
        self.v = nn.Linear(dim, inner, bias=options.qkv_bias)
        self.proj = nn.Linear(inner, dim)
        self.drop = nn.Dropout(options.drop_rate)

    def forward(self, x: Tensor, first: int | None = None, valid: Tensor | None = None) -> Tensor:
        """Attends over all tokens of each sample, or over the `valid` ones, `[B, L]` bool.

        With `first`, returns only the first `first` tokens, `[B, first, D]`.
        """
        queries = x if first is None else x[:, :first]
        q, k, v = self._heads(self.q(queries)), self._heads(self.k(x)), self._heads(self.v(x))
        mixed = self.core(q, k, v, valid)
        return self.drop(self.proj(mixed.transpose(1, 2).flatten(2)))

    def core(self, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None) -> Tensor:
        """Mixes tokens: q `[B, H, N, D]`, k and v `[B, H, L, D]`, valid `[B, L]` to `[B, H, N, D]`.

        The only step in which tokens see each other, and the one that sequence parallelism replaces.
        """
        dropout = self.dropout if self.training else 0.0
        mask = None if valid is None else valid[:, None, None, :]
        return attend(q, k, v, mask, dropout=dropout, backend=self.backend)

    def _heads(self, x: Tensor) -> Tensor:
        """Views `[B, L, H * D]` as `[B, H, L, D]`; H may be this rank's part of the heads."""
        return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)
