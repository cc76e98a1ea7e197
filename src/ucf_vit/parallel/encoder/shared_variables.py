"""Variables shared out over tensor ranks: each embeds some groups of them, and one gather joins these.

Distributed cross-channel hierarchical aggregation (Tsaris et al. 2025). What is saved is memory and work of
the tokens of all variables; the weights, which are small beside them, every rank has.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from ucf_vit.nn.aggregation import GroupSlots
from ucf_vit.nn.variable_tokens import VariableEmbed
from ucf_vit.parallel.encoder.sequence import token_shares


def split_variables(model: nn.Module, group: dist.ProcessGroup) -> None:
    """Have the ranks of `group` share the groups of variables of every hierarchical embedding, in place."""
    for module in model.modules():
        if type(module) is VariableEmbed and module.group is not None:
            module.__class__ = SplitVariableEmbed
            module.ranks = group


class SplitVariableEmbed(VariableEmbed):
    """Of G groups of variables each rank embeds its share; the last cross-attention sees all of them."""

    ranks: dist.ProcessGroup

    def _groups(self, patches: Tensor, slots: GroupSlots) -> Tensor:
        """As of one rank: `[B, L, V', P]` to tokens of all groups `[B, L, G, D]`."""
        counts = token_shares(len(slots.channel), self.ranks.size())
        own = GroupSlots(*(None if x is None else x.split(counts)[self.ranks.rank()] for x in slots))
        shape = own.channel.shape
        patches = patches.index_select(2, own.channel.flatten())
        if self.partial is None:
            tokens = self._call(self.tokens, patches.unflatten(2, shape), own.number, own.share)
        else:
            tokens = self._call(self.tokens, patches, own.number.flatten()).unflatten(2, shape)
            tokens = self._call(self.partial, tokens, own.present)
        return _Gather.apply(tokens, self.ranks, counts)

    def _call(self, module: nn.Module, *inputs: Tensor | None) -> Tensor:
        """What `module` makes of this rank's part, so that its weights get the gradient of all parts."""
        summed = {name: _SumGradient.apply(weight, self.ranks) for name, weight in module.named_parameters()}
        return functional_call(module, summed, inputs)


class _SumGradient(torch.autograd.Function):
    """The same forward; backward the sum over ranks."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: dist.ProcessGroup) -> Tensor:
        ctx.ranks = ranks
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        summed = grad.contiguous().clone()
        dist.all_reduce(summed, group=ctx.ranks)
        return summed, None


class _Gather(torch.autograd.Function):
    """The groups `[B, L, g, D]` of all ranks, `[B, L, G, D]`; after it all ranks do the same."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: dist.ProcessGroup, counts: list[int]) -> Tensor:
        ctx.ranks, ctx.counts = ranks, counts
        padded = x.new_zeros(*x.shape[:2], counts[0], x.shape[3])
        padded[:, :, : x.shape[2]] = x
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded, group=ranks)
        return torch.cat([part[:, :, :count] for part, count in zip(parts, counts, strict=True)], dim=2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad.split(ctx.counts, dim=2)[ctx.ranks.rank()].contiguous(), None, None
