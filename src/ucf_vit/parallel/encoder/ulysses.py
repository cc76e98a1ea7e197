"""Exchange of tokens for heads (Ulysses: Jacobs et al. 2023): each rank gets all tokens of some heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from ucf_vit.parallel.encoder.token_group import TokenGroup, shard_sizes


def tokens_to_heads(x: Tensor, tokens: TokenGroup, total: int) -> Tensor:
    """Returns this rank's heads of all `total` tokens, `[B, h, L, D]`.

    `x` `[B, H, n, D]` holds all heads of this rank's tokens.
    """
    return _Exchange.apply(x, tokens, total, x.shape[1], True)


def heads_to_tokens(x: Tensor, tokens: TokenGroup, heads: int) -> Tensor:
    """Returns all `heads` heads of this rank's tokens: the inverse of `tokens_to_heads`."""
    return _Exchange.apply(x, tokens, x.shape[2], heads, False)


class _Exchange(torch.autograd.Function):
    """One all-to-all; the backward pass is the all-to-all in the other direction."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tokens: TokenGroup, total: int, heads: int, to_heads: bool) -> Tensor:
        ctx.tokens, ctx.total, ctx.heads, ctx.to_heads = tokens, total, heads, to_heads
        return _exchange(x, tokens, total, heads, to_heads)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        grad = _exchange(grad, ctx.tokens, ctx.total, ctx.heads, not ctx.to_heads)
        return grad, None, None, None, None


def _exchange(x: Tensor, tokens: TokenGroup, total: int, heads: int, to_heads: bool) -> Tensor:
    """Splits one of the axes heads (1) and tokens (2) over ranks and joins the other."""
    head_sizes, token_sizes = shard_sizes(heads, tokens.size), shard_sizes(total, tokens.size)
    split_axis, join_axis = (1, 2) if to_heads else (2, 1)
    split_sizes, join_sizes = (head_sizes, token_sizes) if to_heads else (token_sizes, head_sizes)
    pieces = x.split(split_sizes, dim=split_axis)
    shapes = []
    for size in join_sizes:
        shape = list(pieces[tokens.rank].shape)
        shape[join_axis] = size
        shapes.append(shape)
    received = x.new_empty(sum(map(_numel, shapes)))
    dist.all_to_all_single(
        received,
        torch.cat([piece.reshape(-1) for piece in pieces]),
        output_split_sizes=[_numel(shape) for shape in shapes],
        input_split_sizes=[piece.numel() for piece in pieces],
        group=tokens.group,
    )
    parts = received.split([_numel(shape) for shape in shapes])
    return torch.cat([part.view(shape) for part, shape in zip(parts, shapes, strict=True)], dim=join_axis)


def _numel(shape: Sequence[int]) -> int:
    return torch.Size(shape).numel()
