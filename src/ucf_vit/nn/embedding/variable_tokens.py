"""Embedding of named variables: a token for each variable of a patch, aggregated to one token.

Parameters hold rows for all variables, and a batch with some of the variables uses their rows. Every
parameter gets a gradient at every step, zero in the rows of absent variables, so that ranks may see different
variables at the same step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ucf_vit.nn.embedding.aggregation import CrossAggregation, GroupSlots, slots_of
from ucf_vit.nn.init import normal_
from ucf_vit.options import VariableOptions


class VariableTokens(nn.Module):
    """Projection and embedding of each of V variables: `weight` `[V, P, D]`, `embedding` `[V, D]`.

    The embedding also serves as the bias of the projection, since only their sum would matter. Both tables
    can be split over ranks by variable, along their first axis.
    """

    def __init__(self, num_variables: int, patch_dim: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_variables, patch_dim, dim))
        self.embedding = nn.Parameter(torch.empty(num_variables, dim))

    def reset_parameters(self) -> None:
        """Draws each projection like that of a Linear, and small embeddings."""
        normal_(self.weight, std=math.sqrt(2 / sum(self.weight.shape[1:])))
        normal_(self.embedding, std=0.02)

    def forward(self, patches: Tensor, numbers: Tensor, share: Tensor | None = None) -> Tensor:
        """Patches `[B, L, V', P]` of the variables `numbers` `[V']` to tokens `[B, L, V', D]`.

        With `share` `[G, g]`, patches `[B, L, G, g, P]` of the variables `numbers` `[G, g]` become one token
        per group, `[B, L, G, D]`: the sum of the tokens of its variables, weighted by `share`.
        """
        weight, embedding = self.weight[numbers], self.embedding[numbers]
        if share is None:
            tokens = torch.einsum("blvp,vpd->blvd", patches, weight)
            return tokens + embedding.to(tokens.dtype)
        tokens = torch.einsum("blgvp,gvpd->blgd", patches * share[..., None].to(patches.dtype), weight)
        mean = torch.einsum("gv,gvd->gd", share.to(embedding.dtype), embedding)
        return tokens + mean.to(tokens.dtype)


class VariableEmbed(nn.Module):
    """Embeds patches of named variables; takes the place of `PatchEmbed` for channels with names.

    With hierarchical aggregation (distributed cross-channel hierarchical aggregation, Tsaris et al. 2025),
    groups can be computed on the ranks that hold their parameters, and the tokens of all variables are never
    in one place. With `aggregate=False`, every token is of one variable.

    Raises UserError if the heads do not divide `dim`.
    """

    def __init__(
        self, options: VariableOptions, patch_dim: int, dim: int, num_heads: int, aggregate: bool = True
    ) -> None:
        super().__init__()
        hierarchical = aggregate and options.aggregation == "hierarchical"
        self.group = options.group if hierarchical else None
        self.tokens = VariableTokens(len(options), patch_dim, dim)
        attends_in_groups = hierarchical and options.partial == "attention"
        self.partial = CrossAggregation(dim, num_heads) if attends_in_groups else None
        self.aggregation = CrossAggregation(dim, num_heads) if aggregate else None

    def forward(self, patches: Tensor, numbers: Sequence[int]) -> Tensor:
        """Flat patches `[B, L, V' * P]` of the variables `numbers` to `[B, L, D]`.

        Without aggregation, patches `[B, V' * L, P]`, variable by variable, to `[B, V' * L, D]`.
        """
        if self.aggregation is None:
            patches = patches.unflatten(1, (len(numbers), -1)).transpose(1, 2)
            return self.tokens(patches, _index(numbers, patches)).transpose(1, 2).flatten(1, 2)
        patches = patches.unflatten(2, (len(numbers), -1))
        if self.group is None:
            return self.aggregation(self.tokens(patches, _index(numbers, patches)))
        return self.aggregation(self._groups(patches, slots_of(numbers, self.group, patches.device)))

    def _groups(self, patches: Tensor, slots: GroupSlots) -> Tensor:
        """Patches `[B, L, V', P]` to tokens of groups `[B, L, G, D]`."""
        shape = slots.channel.shape
        patches = patches.index_select(2, slots.channel.flatten())
        if self.partial is None:
            return self.tokens(patches.unflatten(2, shape), slots.number, slots.share)
        tokens = self.tokens(patches, slots.number.flatten()).unflatten(2, shape)
        return self.partial(tokens, slots.present)


def _index(numbers: Sequence[int], like: Tensor) -> Tensor:
    return torch.tensor(numbers, device=like.device)
