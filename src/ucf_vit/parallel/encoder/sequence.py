"""Sequence parallelism: the tokens of each sample split over ranks, whose attention still sees all of them.

Each rank holds a run of tokens `[B, n, D]`; runs differ by one token at most. Attention either exchanges
tokens for heads (Ulysses: Jacobs et al. 2023), so that every rank has all tokens of some heads, or lets keys
and values go round in a ring (Liu et al. 2023), which needs no heads to share out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

Exchange = Literal["auto", "ulysses", "ring"]
"""auto: heads where there are enough for all ranks, else the ring."""

QUERIES = 256
"""Tokens of a rank that attend at a time where keys and values go round."""


def token_shares(total: int, ranks: int) -> list[int]:
    """How many of `total` each rank gets: as even as can be, the first ones one more."""
    each, more = divmod(total, ranks)
    return [each + (rank < more) for rank in range(ranks)]


def uses_ring(attention: Exchange, heads: int, ranks: int) -> bool:
    """Whether attention of so many heads goes round in a ring."""
    return attention == "ring" or (attention == "auto" and heads < ranks)


@dataclass(frozen=True)
class TokenGroup:
    """The ranks that have the tokens of the same samples between them.

    Within the region between `split` and `join`, gradients are as many times too large as there are ranks:
    sharded parameters are averaged over these ranks, while what they need is the sum.
    """

    group: dist.ProcessGroup
    attention: Exchange = "auto"

    @property
    def ranks(self) -> int:
        """How many there are."""
        return self.group.size()

    @property
    def rank(self) -> int:
        """The place of this one."""
        return self.group.rank()

    def uses_ring(self, heads: int) -> bool:
        """Whether attention of so many heads goes round in a ring."""
        return uses_ring(self.attention, heads, self.ranks)

    def split(self, x: Tensor) -> Tensor:
        """Of tokens `[B, L, D]` that all ranks have, this rank's run `[B, n, D]`."""
        return _Split.apply(x, self)

    def join(self, x: Tensor, total: int) -> Tensor:
        """Inverse of `split`, for `total` tokens: the same on every rank."""
        return _Join.apply(x, self, total)

    def enter(self, x: Tensor) -> Tensor:
        """What all ranks have and every rank uses whole, for its own tokens."""
        return _Enter.apply(x, self)

    def runs(self, x: Tensor, total: int) -> list[Tensor]:
        """The runs of all ranks; x `[B, n, ...]` is that of this one."""
        counts = token_shares(total, self.ranks)
        padded = x.new_zeros(x.shape[0], counts[0], *x.shape[2:])
        padded[:, : x.shape[1]] = x
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded, group=self.group)
        return [part[:, :count] for part, count in zip(parts, counts, strict=True)]


class _Split(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tokens: TokenGroup) -> Tensor:
        ctx.tokens, ctx.total = tokens, x.shape[1]
        return x.split(token_shares(x.shape[1], tokens.ranks), dim=1)[tokens.rank].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        whole = torch.cat(ctx.tokens.runs(grad.contiguous(), ctx.total), dim=1)
        return whole / ctx.tokens.ranks, None


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tokens: TokenGroup, total: int) -> Tensor:
        ctx.tokens = tokens
        return torch.cat(tokens.runs(x, total), dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        own = grad.split(token_shares(grad.shape[1], ctx.tokens.ranks), dim=1)[ctx.tokens.rank]
        return own * ctx.tokens.ranks, None, None


class _Enter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, tokens: TokenGroup) -> Tensor:
        ctx.tokens = tokens
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        summed = grad.contiguous().clone()
        dist.all_reduce(summed, group=ctx.tokens.group)
        return summed / ctx.tokens.ranks, None


def heads_for_tokens(x: Tensor, tokens: TokenGroup, total: int) -> Tensor:
    """All heads of this rank's run `[B, H, n, D]` to this rank's heads of all tokens `[B, h, L, D]`."""
    return _Swap.apply(x, tokens, total, x.shape[1], True)


def tokens_for_heads(x: Tensor, tokens: TokenGroup, heads: int) -> Tensor:
    """Inverse of `heads_for_tokens`, of `heads` in all."""
    return _Swap.apply(x, tokens, x.shape[2], heads, False)


class _Swap(torch.autograd.Function):
    """One all-to-all; its backward pass is the one the other way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tokens: TokenGroup, total: int, heads: int, to_heads: bool) -> Tensor:
        ctx.tokens, ctx.total, ctx.heads, ctx.to_heads = tokens, total, heads, to_heads
        return _swap(x, tokens, total, heads, to_heads)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        back = _swap(grad, ctx.tokens, ctx.total, ctx.heads, not ctx.to_heads)
        return back, None, None, None, None


def _swap(x: Tensor, tokens: TokenGroup, total: int, heads: int, to_heads: bool) -> Tensor:
    """Split along one of heads (1) and tokens (2), join along the other."""
    by_head, by_token = token_shares(heads, tokens.ranks), token_shares(total, tokens.ranks)
    out, into = (by_head, by_token) if to_heads else (by_token, by_head)
    split_axis, join_axis = (1, 2) if to_heads else (2, 1)
    pieces = x.split(out, dim=split_axis)
    shapes = []
    for count in into:
        shape = list(pieces[tokens.rank].shape)
        shape[join_axis] = count
        shapes.append(shape)
    arrived = x.new_empty(sum(map(_size, shapes)))
    dist.all_to_all_single(
        arrived,
        torch.cat([piece.reshape(-1) for piece in pieces]),
        output_split_sizes=[_size(shape) for shape in shapes],
        input_split_sizes=[piece.numel() for piece in pieces],
        group=tokens.group,
    )
    parts = arrived.split([_size(shape) for shape in shapes])
    return torch.cat([part.view(shape) for part, shape in zip(parts, shapes, strict=True)], dim=join_axis)


def _size(shape: Sequence[int]) -> int:
    return torch.Size(shape).numel()


def ring_attention(
    q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None, tokens: TokenGroup, total: int
) -> Tensor:
    """softmax(q kᵀ / √D) v over the tokens of all ranks, of which each has a run `[B, H, n, D]`.

    `valid` `[B, L]` bool says to which of all tokens one may attend. Softmax is put together run by run
    (Milakov and Gimelshein 2018), at least in float32; logits of `QUERIES` tokens to one run alone exist at a
    time, so that memory grows with the tokens, not with their square.
    """
    with torch.autocast(q.device.type, enabled=False):
        return _Ring.apply(q, k, v, valid, tokens, total)


class _Ring(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None, tokens: TokenGroup, total: int
    ) -> Tensor:
        result = torch.zeros_like(q, dtype=_sum_type(q))
        lse = result.new_full(q.shape[:-1], -torch.inf)
        passing = torch.stack([k, v])
        for owner in _owners(tokens):
            if owner != tokens.rank:
                passing = _pass_on(passing, owner, tokens, total)
            there = _valid_of(valid, owner, tokens, total)
            for rows in _rows(q):
                logits = _logits(q[:, :, rows], passing[0], there)
                before = lse[:, :, rows]
                both = torch.logaddexp(before, logits.logsumexp(dim=-1))
                most = _finite(both)
                weights = logits.sub_(most[..., None]).exp_()
                result[:, :, rows] *= (before - most).exp()[..., None]
                result[:, :, rows] += weights.to(v.dtype) @ passing[1]
                lse[:, :, rows] = both
        result = result.to(q.dtype)
        ctx.save_for_backward(q, k, v, result, _finite(lse))
        ctx.valid, ctx.tokens, ctx.total = valid, tokens, total
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, result, lse = ctx.saved_tensors
        scale = q.shape[-1] ** -0.5
        delta = (grad * result).sum(dim=-1, keepdim=True, dtype=lse.dtype)
        grad_q = torch.zeros_like(q, dtype=lse.dtype)
        passing = torch.stack([k, v])
        grads = torch.zeros_like(passing, dtype=lse.dtype)
        for owner in _owners(ctx.tokens):
            if owner != ctx.tokens.rank:
                passing = _pass_on(passing, owner, ctx.tokens, ctx.total)
                grads = _pass_on(grads, owner, ctx.tokens, ctx.total)
            there_k, there_v = passing
            there = _valid_of(ctx.valid, owner, ctx.tokens, ctx.total)
            for rows in _rows(q):
                logits = _logits(q[:, :, rows], there_k, there)
                weights = logits.sub_(lse[:, :, rows, None]).exp_()
                by_value = (grad[:, :, rows] @ there_v.mT).to(weights.dtype)
                by_logit = by_value.sub_(delta[:, :, rows]).mul_(weights).mul_(scale).to(q.dtype)
                grad_q[:, :, rows] += by_logit @ there_k
                grads[0] += by_logit.mT @ q[:, :, rows]
                grads[1] += weights.to(grad.dtype).mT @ grad[:, :, rows]
        grads = _pass_on(grads, ctx.tokens.rank, ctx.tokens, ctx.total).to(k.dtype)
        return grad_q.to(q.dtype), grads[0], grads[1], None, None, None


def _sum_type(x: Tensor) -> torch.dtype:
    """In which sums over runs are kept."""
    return torch.promote_types(x.dtype, torch.float32)


def _finite(lse: Tensor) -> Tensor:
    """0 where no token is valid, so that weights become 0 there."""
    return lse.masked_fill(lse.isneginf(), 0.0)


def _rows(q: Tensor) -> list[slice]:
    return [slice(start, start + QUERIES) for start in range(0, q.shape[2], QUERIES)]


def _owners(tokens: TokenGroup) -> list[int]:
    """Whose keys and values this rank has, from one turn to the next."""
    return [(tokens.rank - turn) % tokens.ranks for turn in range(tokens.ranks)]


def _logits(q: Tensor, k: Tensor, valid: Tensor | None) -> Tensor:
    logits = (q @ k.mT).to(_sum_type(q)) * q.shape[-1] ** -0.5
    return logits if valid is None else logits.masked_fill(~valid[:, None, None, :], -torch.inf)


def _valid_of(valid: Tensor | None, owner: int, tokens: TokenGroup, total: int) -> Tensor | None:
    if valid is None:
        return None
    ends = list(accumulate(token_shares(total, tokens.ranks)))
    return valid[:, ends[owner] - token_shares(total, tokens.ranks)[owner] : ends[owner]]


def _pass_on(passing: Tensor, coming: int, tokens: TokenGroup, total: int) -> Tensor:
    """`passing` goes to the next rank; what the rank before had, of the tokens of `coming`, comes."""
    shape = list(passing.shape)
    shape[-2] = token_shares(total, tokens.ranks)[coming]
    arrived = passing.new_empty(shape)
    after, before = (tokens.rank + 1) % tokens.ranks, (tokens.rank - 1) % tokens.ranks
    moves = [
        dist.P2POp(dist.isend, passing.contiguous(), group=tokens.group, group_peer=after),
        dist.P2POp(dist.irecv, arrived, group=tokens.group, group_peer=before),
    ]
    for move in dist.batch_isend_irecv(moves):
        move.wait()
    return arrived
