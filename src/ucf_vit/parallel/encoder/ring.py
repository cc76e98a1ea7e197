"""Ring attention (Liu et al. 2023): keys and values of each rank's tokens pass from rank to rank."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from ucf_vit.parallel.encoder.token_group import TokenGroup, shard_sizes

QUERIES = 256
"""Number of query tokens whose logits are computed at a time."""


def ring_attention(
    q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None, tokens: TokenGroup, total: int
) -> Tensor:
    """Returns softmax(q kᵀ / √D) v over the tokens of all ranks, `[B, H, n, D]`.

    q, k and v `[B, H, n, D]` hold this rank's shard of `total` tokens; `valid` `[B, L]` bool masks the tokens
    of all ranks. The softmax is accumulated shard by shard (Milakov and Gimelshein 2018), in float32 or
    better. Only the logits of `QUERIES` tokens to one shard exist at a time, so that memory grows linearly
    with the number of tokens.
    """
    with torch.autocast(q.device.type, enabled=False):
        return _Ring.apply(q, k, v, valid, tokens, total)


class _Ring(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None, tokens: TokenGroup, total: int
    ) -> Tensor:
        output = torch.zeros_like(q, dtype=_accumulation_dtype(q))
        lse = output.new_full(q.shape[:-1], -torch.inf)  # log-sum-exp of the logits so far
        keys_values = torch.stack([k, v])
        for owner in _shard_order(tokens):
            if owner != tokens.rank:
                keys_values = _rotate(keys_values, owner, tokens, total)
            mask = _shard_of_mask(valid, owner, tokens, total)
            for rows in _query_chunks(q):
                logits = _logits(q[:, :, rows], keys_values[0], mask)
                previous = lse[:, :, rows]
                updated = torch.logaddexp(previous, logits.logsumexp(dim=-1))
                norm = _replace_inf(updated)
                weights = logits.sub_(norm[..., None]).exp_()
                # The output so far was normalised by `previous`; it is rescaled to the new sum.
                output[:, :, rows] *= (previous - norm).exp()[..., None]
                output[:, :, rows] += weights.to(v.dtype) @ keys_values[1]
                lse[:, :, rows] = updated
        output = output.to(q.dtype)
        ctx.save_for_backward(q, k, v, output, _replace_inf(lse))
        ctx.valid, ctx.tokens, ctx.total = valid, tokens, total
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # With logits s = scale q kᵀ, p = exp(s - lse) and o = p v, the gradients are
        #   dv = pᵀ do,  ds = p * (do vᵀ - delta),  dq = scale ds k,  dk = scale dsᵀ q,
        # where delta = sum(do * o) equals the sum of p * (do vᵀ) over all tokens, so that each shard of keys
        # and values can be processed without the others. Their gradients travel round the ring with them and
        # arrive at their own rank with the last rotation.
        q, k, v, output, lse = ctx.saved_tensors
        scale = q.shape[-1] ** -0.5
        delta = (grad * output).sum(dim=-1, keepdim=True, dtype=lse.dtype)
        grad_q = torch.zeros_like(q, dtype=lse.dtype)
        keys_values = torch.stack([k, v])
        grad_kv = torch.zeros_like(keys_values, dtype=lse.dtype)
        for owner in _shard_order(ctx.tokens):
            if owner != ctx.tokens.rank:
                keys_values = _rotate(keys_values, owner, ctx.tokens, ctx.total)
                grad_kv = _rotate(grad_kv, owner, ctx.tokens, ctx.total)
            keys, values = keys_values
            mask = _shard_of_mask(ctx.valid, owner, ctx.tokens, ctx.total)
            for rows in _query_chunks(q):
                weights = _logits(q[:, :, rows], keys, mask).sub_(lse[:, :, rows, None]).exp_()
                grad_weights = (grad[:, :, rows] @ values.mT).to(weights.dtype)
                grad_logits = grad_weights.sub_(delta[:, :, rows]).mul_(weights).mul_(scale).to(q.dtype)
                grad_q[:, :, rows] += grad_logits @ keys
                grad_kv[0] += grad_logits.mT @ q[:, :, rows]
                grad_kv[1] += weights.to(grad.dtype).mT @ grad[:, :, rows]
        grad_kv = _rotate(grad_kv, ctx.tokens.rank, ctx.tokens, ctx.total).to(k.dtype)
        return grad_q.to(q.dtype), grad_kv[0], grad_kv[1], None, None, None


def _accumulation_dtype(x: Tensor) -> torch.dtype:
    """Returns the type in which sums over shards are accumulated."""
    return torch.promote_types(x.dtype, torch.float32)


def _replace_inf(lse: Tensor) -> Tensor:
    """Returns `lse` with 0 for rows without a valid token, whose weights then become 0 instead of NaN."""
    return lse.masked_fill(lse.isneginf(), 0.0)


def _query_chunks(q: Tensor) -> list[slice]:
    return [slice(start, start + QUERIES) for start in range(0, q.shape[2], QUERIES)]


def _shard_order(tokens: TokenGroup) -> list[int]:
    """Returns the ranks whose keys and values this rank holds, in order of the rotations."""
    return [(tokens.rank - turn) % tokens.size for turn in range(tokens.size)]


def _logits(q: Tensor, k: Tensor, valid: Tensor | None) -> Tensor:
    logits = (q @ k.mT).to(_accumulation_dtype(q)) * q.shape[-1] ** -0.5
    return logits if valid is None else logits.masked_fill(~valid[:, None, None, :], -torch.inf)


def _shard_of_mask(valid: Tensor | None, owner: int, tokens: TokenGroup, total: int) -> Tensor | None:
    if valid is None:
        return None
    sizes = shard_sizes(total, tokens.size)
    end = list(accumulate(sizes))[owner]
    return valid[:, end - sizes[owner] : end]


def _rotate(shard: Tensor, owner: int, tokens: TokenGroup, total: int) -> Tensor:
    """Sends `shard` to the next rank and returns that of the previous rank, with the tokens of `owner`."""
    shape = list(shard.shape)
    shape[-2] = shard_sizes(total, tokens.size)[owner]
    received = shard.new_empty(shape)
    next_rank, previous_rank = (tokens.rank + 1) % tokens.size, (tokens.rank - 1) % tokens.size
    transfers = [
        dist.P2POp(dist.isend, shard.contiguous(), group=tokens.group, group_peer=next_rank),
        dist.P2POp(dist.irecv, received, group=tokens.group, group_peer=previous_rank),
    ]
    for transfer in dist.batch_isend_irecv(transfers):
        transfer.wait()
    return received
