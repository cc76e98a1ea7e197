"""Aggregation of the tokens of several variables to one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ucf_vit.core.errors import UserError
from ucf_vit.nn.init import normal_


class Query(nn.Module):
    """Learned query of cross-attention, the same for all samples and tokens."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(dim))

    def reset_parameters(self) -> None:
        """Draws a small token, so that attention first gives nearly the mean."""
        normal_(self.token, std=0.02)


class CrossAggregation(nn.Module):
    """Multi-head attention of one learned query over V tokens, `[..., V, D]` to `[..., D]`.

    The same map as attention (Vaswani et al. 2017) with this query, computed in another order: since the
    query is the same everywhere, query times key projection is one small matrix, and the value projection
    follows the weighted sum. Keys and values of the tokens are never computed or stored.
    The keys have no bias, since it would not change the result. Raises UserError if the heads do not divide
    `dim`.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise UserError(f"num_heads {num_heads} does not divide the embedding dimension {dim}")
        self.head_dim = dim // num_heads
        self.query = Query(dim)
        self.k = nn.Linear(dim, dim, bias=False)
        self.v = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Attends over all tokens, or over the `present` ones, `[..., V]` bool, at least one of each V."""
        tokens, heads = tokens.contiguous(), (-1, self.head_dim)
        query = self.query.token.view(heads) / math.sqrt(self.head_dim)
        key = torch.einsum("he,hed->hd", query, self.k.weight.unflatten(0, heads))  # [H, D]
        scores = tokens @ key.to(tokens.dtype).T
        if present is not None:
            scores = scores.masked_fill(~present[..., None], -torch.inf)
        mixed = scores.softmax(-2).to(tokens.dtype).transpose(-1, -2) @ tokens
        value = torch.einsum("...hd,hed->...he", mixed, self.v.weight.unflatten(0, heads)).flatten(-2)
        return self.proj(value + self.v.bias)


class GroupSlots(NamedTuple):
    """G groups of up to g variables of a batch; all tensors are `[G, g]`.

    `channel` is the index of a variable in the batch and `number` its index among all variables; `present` is
    false in the unused slots of a group (None: no slot is unused); `share` is 1 / (variables in the group),
    and 0 in unused slots.
    """

    channel: Tensor
    number: Tensor
    present: Tensor | None
    share: Tensor


def slots_of(numbers: Sequence[int], group: int, device: torch.device) -> GroupSlots:
    """Returns the groups of the variables `numbers`: up to `group` neighbours in the order of all variables.

    The group of a variable does not depend on the other variables of the batch.
    """
    groups: dict[int, list[int]] = {}
    for channel in sorted(range(len(numbers)), key=numbers.__getitem__):
        groups.setdefault(numbers[channel] // group, []).append(channel)
    width = max(map(len, groups.values()))
    rows = [members + members[:1] * (width - len(members)) for members in groups.values()]
    counts = torch.tensor([len(members) for members in groups.values()])[:, None]
    channel, present = torch.tensor(rows), torch.arange(width) < counts
    number = torch.tensor(numbers)[channel]
    all_present = bool(present.all())
    return GroupSlots(
        channel.to(device),
        number.to(device),
        None if all_present else present.to(device),
        (present / counts).to(device),
    )
