"""Multi-head self-attention."""

from __future__ import annotations

from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.nn.attention_backends import BACKENDS, attend


class Attention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017), `[B, L, D]` to `[B, L, D]`.

    q, k and v are Linears of their own, so that each can be split over heads by itself.
    Dropout acts on attention weights and output while training only.
    Raises UserError if the heads do not divide `dim` or the backend is unknown.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float = 0.0, backend: str = "auto") -> None:
        super().__init__()
        if dim % num_heads:
            raise UserError(f"num_heads {num_heads} does not divide the embedding dimension {dim}")
        BACKENDS[backend]
        self.head_dim = dim // num_heads
        self.dropout = dropout
        self.backend = backend
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, first: int | None = None, valid: Tensor | None = None) -> Tensor:
        """Attend over all tokens of each sample, or over its `valid` ones, `[B, L]` bool.

        With `first`, only for the first so many tokens.
        """
        asking = x if first is None else x[:, :first]
        q, k, v = self._heads(self.q(asking)), self._heads(self.k(x)), self._heads(self.v(x))
        mixed = self.core(q, k, v, valid)
        return self.drop(self.proj(mixed.transpose(1, 2).flatten(2)))

    def core(self, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None) -> Tensor:
        """What tokens exchange: q `[B, H, N, D]`, k, v `[B, H, L, D]`, valid `[B, L]` to `[B, H, N, D]`."""
        dropout = self.dropout if self.training else 0.0
        mask = None if valid is None else valid[:, None, None, :]
        return attend(q, k, v, mask, dropout=dropout, backend=self.backend)

    def _heads(self, x: Tensor) -> Tensor:
        """`[B, L, H * D]` to `[B, H, L, D]`, a view; H may be a share of all heads."""
        return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)
