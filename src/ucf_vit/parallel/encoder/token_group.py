"""Group of ranks that split the tokens of each sample between them (sequence parallelism).

Each rank holds a shard of consecutive tokens, `[B, n, D]`; shards differ by at most one token. Attention
still sees all tokens of a sample: by exchange of heads (`ulysses`) or in a ring (`ring`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

Exchange = Literal["auto", "ulysses", "ring"]
"""Exchange by which attention sees all tokens. auto: ulysses if every rank gets a head, otherwise ring."""


def shard_sizes(total: int, ranks: int) -> list[int]:
    """Returns the size of each rank's shard of `total` elements. The first ranks take the remainder."""
    size, remainder = divmod(total, ranks)
    return [size + (rank < remainder) for rank in range(ranks)]


def uses_ring(attention: Exchange, heads: int, ranks: int) -> bool:
    """Returns whether attention with `heads` heads on `ranks` ranks is computed in a ring."""
    return attention == "ring" or (attention == "auto" and heads < ranks)


@dataclass(frozen=True)
class TokenGroup:
    """Ranks that hold the tokens of the same samples between them.

    Gradients between `split` and `join` are larger than those of one rank by a factor of `size`: the
    gradients of sharded parameters are averaged over these ranks, but have to be summed.
    """

    group: dist.ProcessGroup
    attention: Exchange = "auto"

    @property
    def size(self) -> int:
        """Number of ranks in the group."""
        return self.group.size()

    @property
    def rank(self) -> int:
        """Index of this rank within the group."""
        return self.group.rank()

    def uses_ring(self, heads: int) -> bool:
        """Returns whether attention with `heads` heads is computed in a ring."""
        return uses_ring(self.attention, heads, self.size)

    def split(self, x: Tensor) -> Tensor:
        """Returns this rank's shard `[B, n, D]` of tokens `[B, L, D]` that every rank holds."""
        return _Split.apply(x, self)

    def join(self, x: Tensor, total: int) -> Tensor:
        """Returns all `total` tokens `[B, L, D]` on every rank: the inverse of `split`."""
        return _Join.apply(x, self, total)

    def replicate(self, x: Tensor) -> Tensor:
        """Returns `x`, which every rank holds and applies to its own tokens; sums its gradient over ranks."""
        return _Replicate.apply(x, self)

    def gather_shards(self, x: Tensor, total: int) -> list[Tensor]:
        """Returns the shards of all ranks, given this rank's shard `[B, n, ...]` of `total` tokens."""
        sizes = shard_sizes(total, self.size)
        # all_gather needs equal shapes: all shards are padded to the largest, which is the first.
        padded = x.new_zeros(x.shape[0], sizes[0], *x.shape[2:])
        padded[:, : x.shape[1]] = x
        shards = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(shards, padded, group=self.group)
        return [shard[:, :size] for shard, size in zip(shards, sizes, strict=True)]


class _Split(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tokens: TokenGroup) -> Tensor:
        ctx.tokens, ctx.total = tokens, x.shape[1]
        return x.split(shard_sizes(x.shape[1], tokens.size), dim=1)[tokens.rank].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        whole = torch.cat(ctx.tokens.gather_shards(grad.contiguous(), ctx.total), dim=1)
        return whole / ctx.tokens.size, None


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tokens: TokenGroup, total: int) -> Tensor:
        ctx.tokens = tokens
        return torch.cat(tokens.gather_shards(x, total), dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        own = grad.split(shard_sizes(grad.shape[1], ctx.tokens.size), dim=1)[ctx.tokens.rank]
        return own * ctx.tokens.size, None, None


class _Replicate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tokens: TokenGroup) -> Tensor:
        ctx.tokens = tokens
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        summed = grad.contiguous().clone()
        dist.all_reduce(summed, group=ctx.tokens.group)
        return summed / ctx.tokens.size, None
