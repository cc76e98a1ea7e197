"""Groups of variables split over tensor ranks: each rank embeds some groups, and one gather joins them.

Distributed cross-channel hierarchical aggregation (Tsaris et al. 2025). It saves memory and work for the
tokens of all variables; every rank holds the weights, which are small in comparison.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from ucf_vit.nn.embedding.aggregation import GroupSlots
from ucf_vit.nn.embedding.variable_tokens import VariableEmbed
from ucf_vit.parallel.encoder.token_group import shard_sizes


def split_variables(model: nn.Module, group: dist.ProcessGroup) -> None:
    """Splits the groups of variables of every hierarchical embedding over the ranks of `group`, in place."""
    for module in model.modules():
        if type(module) is VariableEmbed and module.group is not None:
            module.__class__ = SplitVariableEmbed
            module.ranks = group


class SplitVariableEmbed(VariableEmbed):
    """VariableEmbed that embeds this rank's groups of variables; the last cross-attention sees all groups."""

    ranks: dist.ProcessGroup

    def _groups(self, patches: Tensor, slots: GroupSlots) -> Tensor:
        """Returns the tokens of all groups `[B, L, G, D]` for patches `[B, L, V', P]`."""
        sizes = shard_sizes(len(slots.channel), self.ranks.size())
        own = GroupSlots(*(None if x is None else x.split(sizes)[self.ranks.rank()] for x in slots))
        shape = own.channel.shape
        patches = patches.index_select(2, own.channel.flatten())
        if self.partial is None:
            tokens = self._call(self.tokens, patches.unflatten(2, shape), own.number, own.share)
        else:
            tokens = self._call(self.tokens, patches, own.number.flatten()).unflatten(2, shape)
            tokens = self._call(self.partial, tokens, own.present)
        return _Gather.apply(tokens, self.ranks, sizes)

    def _call(self, module: nn.Module, *inputs: Tensor | None) -> Tensor:
        """Applies `module` to this rank's groups; its weights get the sum of the gradients of all ranks."""
        weights = {name: _SumGradient.apply(weight, self.ranks) for name, weight in module.named_parameters()}
        return functional_call(module, weights, inputs)


class _SumGradient(torch.autograd.Function):
    """Identity whose backward pass sums the gradient over ranks."""

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
    """Gather of the groups `[B, L, g, D]` of all ranks to `[B, L, G, D]`.

    All ranks compute the same afterwards, so that the backward pass needs no communication.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: dist.ProcessGroup, sizes: list[int]) -> Tensor:
        ctx.ranks, ctx.sizes = ranks, sizes
        padded = x.new_zeros(*x.shape[:2], sizes[0], x.shape[3])
        padded[:, :, : x.shape[2]] = x
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded, group=ranks)
        return torch.cat([part[:, :, :size] for part, size in zip(parts, sizes, strict=True)], dim=2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad.split(ctx.sizes, dim=2)[ctx.ranks.rank()].contiguous(), None, None
